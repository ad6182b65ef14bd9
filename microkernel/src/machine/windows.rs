//! Windows: memory that two subOSes have in common, with a doorbell each way. The supervisor opens them.
//!
//! A window is whole chunks, of which each side has a lot of its own (see [`caps::ledger`]). The root of that lot is a
//! Region, whose badge is the lot's number: nothing can be made of it, and no kernel ever clears it. The first page is
//! not part of the region: the doorbells lie there, which both kernels reach and no program does. What the other side's
//! kernel writes there is an allegation, and the worst that comes of it is an interrupt of a wrong core.

use caps::ledger::{self, Holder, LedgerChange, LotEntry, LotId, LotRole, Resource};
use caps::{Capability, Error, Kind, Rights};
use idl::event::Event;
use idl::kernel::subos::SharedLots;
use idl::types::{Chunks, LotNumber, SubOsNumber};
use static_assertions::const_assert;

use super::books::Books;
use super::visit::{lot_slot, notify, visit};
use super::{Target, cores, create, doorbell, grants, lots, number_of, planted, raw};
use crate::arch::Core;
use crate::kernel::Kernel;
use crate::limits::{MAX_LOTS, MAX_SUBOSES, PAGE};
use crate::outcome::Answer;
use crate::sync::bell::{self, Note};
use crate::sync::mailbox::Line;
use crate::types::{CoreId, PhysAddr, SubOsId};

/// The doorbells of a window, in its first page: one for each subOS that there can be, so that a side finds its own by
/// its number. Zeroes are doorbells that nobody rang.
#[repr(C, align(4096))]
pub struct Bells([Line<Bell>; MAX_SUBOSES]);

/// The doorbell at one side.
#[derive(Default)]
#[repr(C)]
pub struct Bell {
    /// Set by the other side, cleared only when this one waits.
    pub note: Note,
    /// The core of this side that is interrupted. Only the supervisor writes it.
    pub target: bell::Target,
}

const_assert!(size_of::<Bells>() as u64 == PAGE);

/// A window, for the kernel that has a side of it.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Where it begins.
    pub start: PhysAddr,
    /// Who has the other side, or had it.
    pub peer: SubOsId,
}

/// The doorbell at a side of the window that begins here.
#[must_use]
pub fn bell(start: PhysAddr, side: SubOsId) -> &'static Bell {
    let Bells(bells) = raw::bells(start);
    &bells[side.index() % MAX_SUBOSES].0
}

/// A side of a window that is being opened.
#[derive(Clone, Copy)]
struct Side {
    id: ledger::SubOsId,
    lot: LotId,
    entry: LotEntry,
}

/// `SubOs.share`.
///
/// # Errors
/// `BadSize`, `NoResource`, `InvalidArgument` (both are the same), `Condemned`.
pub fn share(books: &mut Books, core: &mut Core, targets: [Target; 2], chunks: u32) -> Result<Answer, Error> {
    let [one, other] = [targets[0].find(books)?, targets[1].find(books)?];
    books.cell(one)?;
    books.cell(other)?;
    let first = hold(books, one, LedgerChange::GrantLot { chunks, to: one, role: LotRole::Window })?;
    // Stopped, it gets the same lot again, of which some is clear.
    let clear = create::scrub_soiled(books, &first.entry);
    let second = if clear { Ok(()) } else { Err(books.stop()) }
        .and_then(|()| hold(books, other, LedgerChange::Share { lot: first.lot, with: other }));
    let opened = second.and_then(|second| {
        let sides = [first, second];
        let opened = open(books, core, sides);
        books.at_stake = None;
        if opened.is_err() {
            grants::take_back(books, other, Resource::Lot(second.lot));
        }
        opened.map(|()| sides.map(|side| LotNumber(u32::from(side.entry.seat))))
    });
    match opened {
        Ok([lot, peer]) => Ok(Answer::of(SharedLots { lot, peer })),
        Err(error) => {
            grants::take_back(books, one, Resource::Lot(first.lot));
            Err(error)
        }
    }
}

/// Has the ledger make a change that grants a lot.
fn hold(books: &mut Books, id: ledger::SubOsId, change: LedgerChange) -> Result<Side, Error> {
    let granted = books.ledger().apply(&[change]).map_err(|(_, error)| match error {
        Error::BadSize | Error::InvalidArgument => error,
        _ => Error::NoResource,
    })?;
    let Some(Resource::Lot(lot)) = granted.first().copied() else { return Err(Error::NoResource) };
    Ok(Side { id, lot, entry: books.ledger().lot(lot)? })
}

/// The kernel at one side failed under the visitor's hands before the other had anything of the window: nothing comes of it.
pub fn end_abandoned(books: &mut Books) {
    if let Some((id, lot)) = books.at_stake.take() {
        grants::take_back(books, id, Resource::Lot(lot));
    }
}

/// Gives both sides what they have of the window. An error leaves nothing in either kernel.
fn open(books: &mut Books, core: &mut Core, sides: [Side; 2]) -> Result<(), Error> {
    let [one, other] = sides;
    planted::opened(books, &one.entry);
    for (side, peer) in [(one, other), (other, one)] {
        lots::map(books, side.id, &side.entry)?;
        books.at_stake = Some((peer.id, peer.lot));
        visit(books, core, side.id, |kernel| {
            let index = idl::slots::root_lot(u32::from(side.entry.seat)).ok_or(Error::NoResource)?;
            let roots = kernel.roots.ok_or(Error::NoResource)?;
            roots.vacant(&kernel.memory, index).map_err(|_| Error::NoResource)
        })??;
    }
    for (side, peer, at_stake) in [(one, other, Some((other.id, other.lot))), (other, one, None)] {
        books.at_stake = at_stake;
        let window = Window { start: PhysAddr(side.entry.address()), peer: number_of(peer.id) };
        // A kernel that fails only now leaves the other its side, as one that fails a moment later does.
        let _ = visit(books, core, side.id, |kernel| plant(kernel, &side.entry, window));
        books.record(side.id).has_windows = true;
        cores::retarget(books, side.id);
        let lot = LotNumber(u32::from(side.entry.seat));
        let peer = SubOsNumber(u32::from(peer.id.index));
        notify(side.id, Event::WindowOpened { lot, chunks: Chunks(side.entry.count), peer });
    }
    Ok(())
}

/// Plants a side's root and tells its kernel of the doorbells.
fn plant(kernel: &mut Kernel, lot: &LotEntry, window: Window) {
    // Not to be executed: what the other side writes is data.
    let rights = Rights::READ | Rights::WRITE | Rights::DERIVE | Rights::CALL | Rights::RECEIVE;
    let region = Capability::new(Kind::Region, rights, lot.address() + PAGE, lot.bytes() - PAGE);
    let region = Capability { badge: u64::from(lot.seat), ..region };
    let slot = lot_slot(kernel, u32::from(lot.seat));
    let planted = slot.map(|slot| kernel.plant(slot, region));
    assert!(planted == Some(Ok(())), "a root slot that was vacant takes a window's root");
    doorbell::set_window(kernel, lot.seat, Some(window));
}

/// The doorbells at a subOS's sides of windows, with who the ledger says holds each side: it, or it no more for long.
pub fn bells(books: &mut Books, id: ledger::SubOsId) -> heapless::Vec<(&'static Bell, Holder), MAX_LOTS> {
    let mine = |lot: &LotEntry| lot.window != ledger::Window::None && lot.holder.subos() == Some(id);
    let ledger = books.ledger();
    let lots = ledger.lots().filter(|(_, lot)| mine(lot)).take(MAX_LOTS);
    lots.map(|(_, lot)| (bell(PhysAddr(lot.address()), number_of(id)), lot.holder)).collect()
}

/// From now on the doorbells of a subOS's windows interrupt this core of it, or none; those of what is being taken
/// interrupt none in any case.
pub fn retarget(books: &mut Books, id: ledger::SubOsId, core: Option<CoreId>) {
    if !books.record(id).has_windows {
        return;
    }
    for (bell, holder) in bells(books, id) {
        bell.target.set(core.filter(|_| holder == Holder::SubOs(id)));
    }
}

/// One side of a window has gone, and no core can reach it any more from there: whoever has the lot of the other side is
/// told.
pub fn tell_survivor(books: &mut Books, lot: u16) {
    let found = books.ledger().lots().find(|(id, _)| id.index == lot).map(|(_, lot)| lot);
    if let Some(LotEntry { holder: Holder::SubOs(survivor), seat, .. }) = found {
        notify(survivor, Event::PeerGone { lot: LotNumber(u32::from(seat)) });
    }
}
