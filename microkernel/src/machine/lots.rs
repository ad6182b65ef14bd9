//! Memory lots: giving one, and taking one with everything in it.
//!
//! Taking goes *revoking* (the subtree of the lot's root is removed in the owner's kernel, in bounded steps, as the
//! kernel itself would do it), *quiescing* (a round in which every core of the owner lets go of what went; then the
//! lot leaves the kernel half; then a round in which every core forgets the translations), *scrubbing*, *free*.
//! Each call does a bounded amount.

use caps::Error;
use caps::ledger::{self, Holder, LedgerChange, LotEntry, LotId, Phase, Resource, Window};
use idl::Words;
use idl::event::Event;
use idl::types::{LotNumber, Progress, Scrubbing};

use super::books::{Books, LotWork};
use super::cores::Next;
use super::visit::{is_quiet, lot_slot, notify, raise, visit};
use super::{Target, cores, create, doorbell, raw, windows};
use crate::arch::Core;
use crate::arch::x86_64::apic;
use crate::limits::{PAGE, VISIT_STEPS};
use crate::outcome::Answer;
use crate::removal::Removing;
use crate::sync::rounds::Rounds;
use crate::types::PhysAddr;

/// Puts a lot into its owner's kernel half.
pub fn map(books: &mut Books, id: ledger::SubOsId, entry: &LotEntry) -> Result<(), Error> {
    if create::is_supervisor(id) {
        return Ok(());
    }
    let half = books.record(id).half.take().ok_or(Error::WrongState)?;
    let mapped = create::map_lot(books, &half, entry);
    books.record(id).half = Some(half);
    mapped
}

/// Takes a lot out of its owner's kernel half.
pub fn unmap(books: &mut Books, id: ledger::SubOsId, entry: &LotEntry) {
    if create::is_supervisor(id) {
        return;
    }
    if let Some(half) = &books.record(id).half {
        half.unmap_chunks(PhysAddr(entry.address()), entry.count as usize);
    }
}

/// `SubOs.reclaim_lot`.
///
/// # Errors
/// `NotOwner`, `HomeLot`, `Condemned`.
pub fn reclaim(books: &mut Books, core: &mut Core, target: Target, seat: u32) -> Result<Answer, Error> {
    let id = target.find(books)?;
    let (lot, entry) = books.lot_of(id, seat).ok_or(Error::NotOwner)?;
    books.cell(id)?;
    if entry.holder == Holder::SubOs(id) {
        let resource = Resource::Lot(lot);
        books.ledger().apply(&[LedgerChange::Reclaim { resource, from: id }]).map_err(|(_, error)| error)?;
        *work(books, lot) = LotWork::default();
    }
    for _ in 0..VISIT_STEPS {
        let entry = books.ledger().lot(lot)?;
        let Holder::Leaving(_, phase) = entry.holder else { return Err(Error::WrongState) };
        let progress = match phase {
            Phase::Revoking => revoke(books, core, id, lot, &entry)?,
            Phase::Quiescing => quiesce(books, id, lot, &entry)?,
            Phase::Scrubbing => scrub(books, lot, &entry)?,
        };
        match progress {
            Next::On if !apic::interrupt_waits() => {}
            Next::Wait | Next::On => break,
            Next::Free => {
                books.moves.lots += 1;
                return Ok(Answer { words: Progress::Done.to_words() });
            }
        }
    }
    Ok(Answer { words: Progress::More.to_words() })
}

/// How far the taking of a lot has come.
pub fn work(books: &mut Books, lot: LotId) -> &mut LotWork {
    let count = books.works.len();
    &mut books.works[usize::from(lot.index) % count]
}

/// `SubOs.set_scrubbing`.
///
/// # Errors
/// `StaleHandle`.
pub fn set_scrubbing(books: &mut Books, target: Target, when: Scrubbing) -> Result<Answer, Error> {
    let id = target.find(books)?;
    books.record(id).clears_late = when == Scrubbing::AtGrant;
    Ok(Answer::NOTHING)
}

/// One step of removing what was made of the lot, and its root.
fn revoke(
    books: &mut Books,
    core: &mut Core,
    id: ledger::SubOsId,
    lot: LotId,
    entry: &LotEntry,
) -> Result<Next, Error> {
    let progress = visit(books, core, id, |kernel| {
        if entry.window != Window::None {
            doorbell::set_window(kernel, entry.seat, None);
        }
        let slot = lot_slot(kernel, u32::from(entry.seat)).ok_or(Error::NotOwner)?;
        kernel.removal_step(slot, Removing::Delete, None)
    })??;
    if progress == Progress::More {
        // One step a call: there may be thousands, and interrupts are off.
        return Ok(Next::Wait);
    }
    books.ledger().revoked(Resource::Lot(lot))?;
    let number = LotNumber(u32::from(entry.seat));
    if entry.window == Window::None {
        notify(id, Event::LotLost { lot: number });
    } else {
        cores::retarget(books, id);
        notify(id, Event::WindowLost { lot: number });
    }
    let epoch = raise(books, id)?;
    *work(books, lot) = LotWork { rounds: Rounds::begun(epoch), cleared: 0 };
    Ok(Next::On)
}

/// The two rounds, with the lot leaving the kernel half in between.
fn quiesce(books: &mut Books, id: ledger::SubOsId, lot: LotId, entry: &LotEntry) -> Result<Next, Error> {
    let mut rounds = work(books, lot).rounds;
    if !is_quiet(books, id, rounds.awaited)? {
        return Ok(Next::Wait);
    }
    let over = rounds.next(|| {
        unmap(books, id, entry);
        raise(books, id)
    })?;
    work(books, lot).rounds = rounds;
    if over && !settle(books, lot)? {
        return Ok(Next::Free);
    }
    Ok(Next::On)
}

/// No core of its holder's can reach a lot any more. Says whether it is to be cleared: not if the other side of a window
/// still has it, who is told, nor if a core may use it for ever, for which it is given up.
pub fn settle(books: &mut Books, lot: LotId) -> Result<bool, Error> {
    let (window, resource) = (books.ledger().lot(lot)?.window, Resource::Lot(lot));
    match books.ledger().quiesced(resource) {
        Err(Error::CoreSilent) => books.ledger().quarantine(resource)?,
        quiet => quiet?,
    }
    if let Window::Shared(other) = window {
        windows::tell_survivor(books, other);
    }
    Ok(books.ledger().lot(lot).is_ok())
}

/// Clears a bounded number of pages of a lot that nobody can reach any more.
fn scrub(books: &mut Books, lot: LotId, entry: &LotEntry) -> Result<Next, Error> {
    if !clear_some(books, lot, entry) {
        return Ok(Next::Wait);
    }
    books.ledger().scrubbed(Resource::Lot(lot))?;
    Ok(Next::Free)
}

/// Clears pages of a lot, until all are clear, an interrupt waits, or it has been enough for one call; says whether all
/// are clear, or noted to be cleared when they are granted.
pub fn clear_some(books: &mut Books, lot: LotId, entry: &LotEntry) -> bool {
    if entry.holder.subos().is_some_and(|id| books.record(id).clears_late) {
        entry.chunks().for_each(|chunk| books.note_soiled(chunk));
        return true;
    }
    let pages = entry.bytes() / PAGE;
    let cleared = &mut work(books, lot).cleared;
    *cleared += raw::clear_run(PhysAddr(entry.address() + *cleared * PAGE), pages - *cleared);
    *cleared == pages
}
