//! Making a subOS: a home lot, a kernel half, a kernel, the table of roots, a clean share.

use caps::ledger::{self, LedgerChange, Life, LotEntry, LotId, LotRole, Resource};
use caps::{Capability, Error, Handle, Kind, Rights, SlotIndex, SlotRef, Table};

use super::books::{Books, Record, Stage};
use super::{Target, cores, number_of, places, raw, share, visit};
use crate::arch::x86_64::clock;
use crate::arch::x86_64::half::HalfError;
use crate::arch::{Access, Core, KernelHalf};
use crate::kernel::{Kernel, KernelCell, NewKernel};
use crate::limits::{CHUNK, PAGE, ROOT_SLOTS, SLICE_MICROSECONDS};
use crate::outcome::Answer;
use crate::types::{PhysAddr, SubOsId};

/// The slot of a root table that holds a capability to the table itself, to look and to copy from.
pub const ROOT_OWN: SlotIndex = SlotIndex(ROOT_SLOTS - 1);

/// `Machine.create`.
///
/// # Errors
/// `BadSize`, `NoResource`, `SlotOccupied`; a full table of subOSes is `NoResource` too.
pub fn create(books: &mut Books, core: &mut Core, home: u32, slot: SlotIndex) -> Result<Answer, Error> {
    let id = books.ledger().create()?;
    let made = clear_share(books, number_of(id)).and_then(|()| build(books, id, home)).and_then(|()| {
        visit::visit(books, core, supervisor(books)?, |kernel| plant_subos(kernel, id, slot))?
    });
    match made {
        Ok(handle) => {
            // From now on the new subOS's doorbell interrupts the supervisor.
            let supervisor = supervisor(books)?;
            cores::retarget(books, supervisor);
            Ok(Answer::of(handle))
        }
        Err(error) => {
            unmake(books, id);
            Err(error)
        }
    }
}

/// Makes a share as it was at the beginning, so that the next subOS of this number finds nothing of the one before. No
/// kernel but the supervisor's maps it now. Stopped, the next that is made has the same number.
fn clear_share(books: &mut Books, number: SubOsId) -> Result<(), Error> {
    let done = if books.clearing.0 == number { books.clearing.1 } else { 0 };
    let clear = done + raw::clear_run(places().share_pages(number).plus(done * PAGE), share::PAGES - done);
    books.clearing = (number, clear % share::PAGES);
    if clear < share::PAGES { Err(books.stop()) } else { Ok(()) }
}

/// The supervisor's own subOS.
pub fn supervisor(books: &Books) -> Result<ledger::SubOsId, Error> {
    books.records[0].id.ok_or(Error::WrongState)
}

fn build(books: &mut Books, id: ledger::SubOsId, home: u32) -> Result<(), Error> {
    let change = LedgerChange::GrantLot { chunks: home, to: id, role: LotRole::Home };
    let granted = books.ledger().apply(&[change]).map_err(|(_, error)| error)?;
    let Some(Resource::Lot(lot)) = granted.first().copied() else { return Err(Error::NoResource) };
    let entry = books.ledger().lot(lot)?;
    // Stopped, it gets the same lot again, of which some is clear.
    if !scrub_soiled(books, &entry) {
        return Err(books.stop());
    }
    let half = crate::journal::half(books.common, &mut books.pages).map_err(no_page)?;
    let mapped = map_own(books, &half, id, &entry);
    let root = half.root();
    books.record(id).half = Some(half);
    mapped?;
    birth(books, id, &entry, root);
    Ok(())
}

/// Maps into a new kernel half what a subOS has from birth, but for cores.
fn map_own(books: &mut Books, half: &KernelHalf, id: ledger::SubOsId, home: &LotEntry) -> Result<(), Error> {
    map_lot(books, half, home)?;
    let number = number_of(id);
    for page in 0..share::PAGES {
        let at = share::address(number) + page * PAGE;
        let memory = places().share_pages(number).plus(page * PAGE);
        half.map_share_page(at, memory, Access::Write, &mut books.pages).map_err(no_page)?;
    }
    Ok(())
}

/// Maps a lot's chunks into a kernel half; all or none.
pub fn map_lot(books: &mut Books, half: &KernelHalf, lot: &LotEntry) -> Result<(), Error> {
    half.map_chunks(PhysAddr(lot.address()), lot.count as usize, Access::Write, &mut books.pages)
        .map_err(no_page)
}

/// A kernel half could not grow: there is no system page left, or memory lies too high.
fn no_page(_: HalfError) -> Error {
    Error::NoResource
}

/// Clears those chunks of a lot that firmware, boot or the last owner left something in, until an interrupt waits; says
/// whether all are clear. All other chunks were cleared when they came back.
pub fn scrub_soiled(books: &mut Books, lot: &LotEntry) -> bool {
    for chunk in lot.chunks() {
        if !books.is_soiled(chunk) {
            continue;
        }
        let done = if books.scrubbing.0 == chunk { books.scrubbing.1 } else { 0 };
        let clear = done + raw::clear_run(PhysAddr(chunk.address() + done * PAGE), CHUNK / PAGE - done);
        books.scrubbing = (chunk, clear);
        if clear < CHUNK / PAGE {
            return false;
        }
        books.note_clean(chunk);
    }
    true
}

/// Writes the kernel of a subOS into its home lot, with the table of roots, and plants the first of them.
pub fn birth(books: &mut Books, id: ledger::SubOsId, home: &LotEntry, home_root: PhysAddr) {
    let number = number_of(id);
    let at = PhysAddr(home.address());
    let table = at.plus((size_of::<KernelCell>() as u64).next_multiple_of(PAGE));
    let rest = table.plus(u64::from(ROOT_SLOTS) * caps::Slot::SIZE);
    let first = SlotRef::at(table.0).expect("a page that is not the first is where slots can be");
    let roots = Table { first, count: ROOT_SLOTS };
    let new = NewKernel {
        id: number,
        slice: clock::microseconds(SLICE_MICROSECONDS),
        roots,
        home_root,
        upper: &raw::upper_half(home_root),
    };
    // SAFETY: the home lot is zero, mapped here, large enough for a kernel, and nobody else knows of it yet.
    let cell = unsafe { KernelCell::create(at, &new) };
    // SAFETY: as above: no core works for it yet.
    let kernel = unsafe { cell.visit() };
    let look = Rights::READ | Rights::DERIVE;
    let own = Capability::new(Kind::CSpace, look, table.0, u64::from(ROOT_SLOTS));
    let free = PhysAddr(home.address() + home.bytes()).0 - rest.0;
    let untyped = Capability::new(Kind::Untyped, Rights::all(), rest.0, free);
    let lot = visit::lot_slot(kernel, 0);
    for (slot, root) in [(roots.at(ROOT_OWN).ok(), own), (lot, untyped)] {
        let planted = slot.map(|slot| kernel.plant(slot, root));
        assert!(planted == Some(Ok(())), "a new table of roots takes its roots");
    }
    *books.record(id) = Record {
        id: Some(id),
        cell: Some(at),
        stage: Stage::Created,
        half: books.record(id).half.take(),
        ..Record::default()
    };
    Books::set_incarnation(number, Some(id));
    Books::doorbell_target(number).set(None);
}

/// Puts the capability to a new subOS into a slot of the calling thread's table.
fn plant_subos(kernel: &mut Kernel, id: ledger::SubOsId, slot: SlotIndex) -> Result<Handle, Error> {
    let caller = kernel.current().ok_or(Error::Cancelled)?;
    let table = kernel.table_of(caller)?;
    let (dest, handle) = kernel.vacant(table, slot)?;
    let target = Target { subos: number_of(id), incarnation: u64::from(id.generation) + 1 };
    let capability = Capability::new(Kind::SubOs, Rights::all(), target.object(), 0);
    kernel.plant(dest, capability)?;
    Ok(handle)
}

/// Takes back what was made of a subOS whose making failed. It has no core and never ran.
fn unmake(books: &mut Books, id: ledger::SubOsId) {
    let number = number_of(id);
    Books::set_incarnation(number, None);
    let record = core::mem::take(books.record(id));
    if let Some(half) = record.half {
        half.release(&mut books.pages);
    }
    let mut ledger = books.ledger();
    let mut done = ledger.destroy(id);
    let lot: Option<LotId> =
        ledger.lots().find(|(_, lot)| lot.holder.subos() == Some(id)).map(|(lot, _)| lot);
    if let Some(lot) = lot {
        // Only its first pages were written.
        if record.cell.is_some()
            && let Ok(entry) = ledger.lot(lot)
        {
            let used = size_of::<KernelCell>() as u64 + 2 * PAGE + u64::from(ROOT_SLOTS) * caps::Slot::SIZE;
            raw::clear_pages(PhysAddr(entry.address()), used.div_ceil(PAGE));
        }
        let lot = Resource::Lot(lot);
        done = done.and_then(|()| ledger.quiesced(lot)).and_then(|()| ledger.scrubbed(lot));
    }
    let done = done.and_then(|()| ledger.destroyed(id));
    assert!(done.is_ok(), "what was just made can be taken back");
    debug_assert!(ledger.life(id) != Ok(Life::Alive), "it is gone");
}

/// Whether a number is the supervisor's, who cannot be destroyed, loaded or moved like others.
#[must_use]
pub fn is_supervisor(id: ledger::SubOsId) -> bool {
    number_of(id) == SubOsId::SUPERVISOR
}
