//! Visits: how an operation of the supervisor reaches into another subOS's kernel.
//!
//! The visitor holds the target's lock and not its own kernel's. Every reference that it follows there must lie in
//! the target's lots; a miss, like any failure during the visit, condemns the target and abandons the stack. A
//! target that does not part with its lock in time is condemned as well.

use caps::ledger::{self, LotEntry};
use caps::{Error, SlotIndex, SlotRef};

use super::books::Books;
use super::{Target, condemn, number_of, places};
use crate::arch::x86_64::clock;
use crate::arch::{self, Core, physmap};
use crate::kernel::Kernel;
use crate::limits::{BRIEF_MICROSECONDS, LOOK_MICROSECONDS, MAX_LOTS, PARK_MICROSECONDS, VISIT_MICROSECONDS};
use crate::memory::Fence;
use crate::sync::recall::Watch;
use crate::sync::{Epoch, Wait};
use crate::trace;
use crate::types::{CoreId, PhysAddr, SubOsId, Ticks};

impl Target {
    /// The subOS, if it is there.
    ///
    /// # Errors
    /// `StaleHandle`.
    pub fn find(self, books: &Books) -> Result<ledger::SubOsId, Error> {
        books.find(self.subos, self.incarnation)
    }
}

/// Works in a subOS's kernel, under its lock.
///
/// # Errors
/// `Condemned`; `WrongState` if it has no kernel.
pub fn visit<R>(
    books: &mut Books,
    core: &mut Core,
    id: ledger::SubOsId,
    work: impl FnOnce(&mut Kernel) -> R,
) -> Result<R, Error> {
    let cell = books.cell(id)?;
    let fence = fence(books, id);
    let (mut watch, patience) = (Watch::default(), clock::microseconds(VISIT_MICROSECONDS));
    let wait = || if look(&mut watch) < patience { Wait::On } else { Wait::Withdraw };
    let Ok(guard) = cell.lock.visit(core.id(), wait) else {
        condemn::by_visitor(books, id, "its lock was not to be had in time");
        return Err(Error::Condemned);
    };
    let number = number_of(id);
    places().shelf().set_visited(physmap::physical(cell));
    trace::record(core, arch::now(), trace::Event::Visit, number.0.into(), 0);
    core.set_visiting(Some(number).filter(|number| *number != SubOsId::SUPERVISOR));
    // SAFETY: the guard is held until after the last use of the reference.
    let kernel = unsafe { cell.visit() };
    kernel.me = core.id();
    kernel.now = arch::now();
    kernel.memory.fence(fence);
    let result = work(kernel);
    kernel.memory.fence(None);
    let spent = arch::now().0.saturating_sub(kernel.now.0);
    kernel.here().counters.kernel += spent;
    core.visited += spent;
    core.set_visiting(None);
    trace::record(core, arch::now(), trace::Event::VisitEnd, number.0.into(), 0);
    drop(guard);
    Ok(result)
}

/// The memory that a visited kernel's references may point into: no window, where it has no objects. The supervisor's own
/// is not fenced.
fn fence(books: &mut Books, id: ledger::SubOsId) -> Option<Fence> {
    if number_of(id) == SubOsId::SUPERVISOR {
        return None;
    }
    let mut fence = Fence { lots: [(PhysAddr(0), PhysAddr(0)); MAX_LOTS] };
    let own = |lot: &LotEntry| lot.holder.subos() == Some(id) && lot.window == ledger::Window::None;
    for (_, lot) in books.ledger().lots().filter(|(_, lot)| own(lot)) {
        if let Some(place) = fence.lots.get_mut(usize::from(lot.seat)) {
            *place = range(&lot);
        }
    }
    Some(fence)
}

/// Where a lot begins and ends.
#[must_use]
pub fn range(lot: &LotEntry) -> (PhysAddr, PhysAddr) {
    (PhysAddr(lot.address()), PhysAddr(lot.address() + lot.bytes()))
}

/// The slot of a kernel's root table for a core.
#[must_use]
pub fn core_slot(kernel: &Kernel, core: CoreId) -> Option<SlotRef> {
    let index = idl::slots::root_core(u32::from(core.0))?;
    root_slot(kernel, index).ok()
}

/// A slot of a kernel's root table.
///
/// # Errors
/// `OutOfRange`.
pub fn root_slot(kernel: &Kernel, index: SlotIndex) -> Result<SlotRef, Error> {
    kernel.roots.ok_or(Error::OutOfRange)?.at(index)
}

/// The slot of a kernel's root table for one of its lots.
#[must_use]
pub fn lot_slot(kernel: &Kernel, lot: u32) -> Option<SlotRef> {
    let index = idl::slots::root_lot(lot)?;
    root_slot(kernel, index).ok()
}

/// Tells the subOS of something that the supervisor did: puts an event into its ring and rings.
pub fn notify(id: ledger::SubOsId, event: idl::event::Event) {
    let number = number_of(id);
    if number == SubOsId::SUPERVISOR {
        return;
    }
    let share = super::places().share(number);
    // A ring that is full to the last place is one that nobody reads.
    let _ = share.down().ring.push(event.to_words(), arch::now(), super::share::Author::Kernel);
    super::doorbell::ring_down(number);
}

/// What the watch of somebody who waits for another core shows now.
pub fn look(watch: &mut Watch) -> Ticks {
    watch.look(arch::now(), clock::microseconds(LOOK_MICROSECONDS))
}

/// Asks all cores of a subOS to flush and to let go of what was taken away; answers with what to wait for.
pub fn raise(books: &mut Books, id: ledger::SubOsId) -> Result<Epoch, Error> {
    let cell = books.cell(id)?;
    let epoch = cell.board.raise();
    interrupt(books.at_large(id));
    books.record(id).asked = look(&mut books.watch);
    Ok(epoch)
}

fn interrupt(cores: u64) {
    for core in CoreId::all_in(cores).filter(|core| !super::is_deaf(*core)) {
        arch::send_ipi(core, arch::Vector::FLUSH);
    }
}

/// Whether all cores that may reach what a subOS has, as the ledger says, have acknowledged an epoch; looks for a short
/// time. Those that have not are asked again, since an interrupt may have been lost. A subOS with a core that lets go of
/// nothing for long is condemned: it would keep what is to be taken from it.
pub fn is_quiet(books: &mut Books, id: ledger::SubOsId, epoch: Epoch) -> Result<bool, Error> {
    let cell = books.cell(id)?;
    let cores = books.at_large(id);
    let patience = clock::microseconds(BRIEF_MICROSECONDS);
    let quiet = await_briefly(patience, || cell.board.have_let_go(cores, epoch));
    if !quiet {
        interrupt(cores);
        let waited = look(&mut books.watch).0.saturating_sub(books.record(id).asked.0);
        if waited > clock::microseconds(PARK_MICROSECONDS).0 {
            condemn::by_visitor(books, id, "a core did not let go of what was taken away");
            return Err(Error::Condemned);
        }
    }
    Ok(quiet)
}

/// Looks again and again, for a short time, whether something has come true.
pub fn await_briefly(patience: Ticks, mut done: impl FnMut() -> bool) -> bool {
    let end = arch::now().after(patience);
    loop {
        if done() {
            return true;
        }
        if arch::now() >= end {
            return false;
        }
        arch::pause();
    }
}
