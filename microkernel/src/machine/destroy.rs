//! Destroying a subOS: its cores park, its share closes, its chunks are cleared and free. Its kernel's lock is never
//! taken and its objects are never looked at, so the cost depends on cores and chunks alone, and nothing that it did
//! or became can stand in the way.

use caps::ledger::{self, Holder, Life, LotEntry, LotId, Phase, Resource};
use caps::{Effects, Error, Kind, SlotRef, Slots, Step};
use idl::Words;
use idl::types::Progress;

use super::books::{Books, Errand, LotWork, Record};
use super::cores::{self, Next};
use super::{Target, create, lots, number_of, places, visit, windows};
use crate::arch::x86_64::core::Core;
use crate::kernel::Kernel;
use crate::limits::REVOKE_BUDGET;
use crate::outcome::Answer;
use crate::types::CoreId;

/// `SubOs.destroy`.
///
/// # Errors
/// `StaleHandle`; `WrongState` for subOS 0.
pub fn destroy(
    books: &mut Books,
    core: &mut Core,
    target: Target,
    through: SlotRef,
) -> Result<Answer, Error> {
    let id = target.find(books)?;
    if create::is_supervisor(id) {
        return Err(Error::WrongState);
    }
    if !step(books, id)? {
        return Ok(Answer { words: Progress::More.to_words() });
    }
    let supervisor = create::supervisor(books)?;
    visit::visit(books, core, supervisor, |kernel| forget(kernel, target, through))?;
    Ok(Answer { words: Progress::Done.to_words() })
}

/// Goes on with the end of a subOS that nobody has authority over, if there is one.
pub fn end_orphans(books: &mut Books) {
    let Some(number) = Books::next_orphan() else { return };
    let id = books.records.get(number.index()).and_then(|record| record.id);
    if id.is_none_or(|id| step(books, id) != Ok(false)) {
        Books::forget_orphan(number);
    }
}

/// A bounded step towards the end; says whether all is done.
fn step(books: &mut Books, id: ledger::SubOsId) -> Result<bool, Error> {
    if !books.record(id).deserted && !desert(books, id)? {
        return Ok(false);
    }
    if let Some(lot) = next_lot(books, id) {
        let entry = books.ledger().lot(lot)?;
        books.record(id).ending = Some(lot);
        if entry.holder == Holder::Leaving(id, Phase::Quiescing) {
            if !lots::settle(books, lot)? {
                books.record(id).ending = None;
                return Ok(false);
            }
            *lots::work(books, lot) = LotWork::default();
        }
        if lots::clear_some(books, lot, &entry) {
            books.ledger().scrubbed(Resource::Lot(lot))?;
            books.record(id).ending = None;
        }
        return Ok(false);
    }
    Books::set_incarnation(number_of(id), None);
    // The number, and with it the share, is used again only if nobody can still be writing to it.
    if !books.is_silent(id) {
        books.ledger().destroyed(id)?;
        *books.record(id) = Record::default();
    }
    Ok(true)
}

/// The lot that is being cleared, or the next one.
fn next_lot(books: &mut Books, id: ledger::SubOsId) -> Option<LotId> {
    let next = |(_, lot): &(LotId, LotEntry)| lot.holder.subos() == Some(id);
    books.record(id).ending.or_else(|| books.ledger().lots().find(next).map(|(lot, _)| lot))
}

/// Makes the cores leave; says whether they all have.
fn desert(books: &mut Books, id: ledger::SubOsId) -> Result<bool, Error> {
    if books.ledger().life(id)? == Life::Alive {
        begin(books, id)?;
    }
    if !park_all(books, id)? {
        return Ok(false);
    }
    // No core runs on it any more: the tables can go, and with them the last way to its memory. Unless there is one of
    // which nobody knows: then they stay for ever, as its memory does.
    let record = books.record(id);
    let half = record.half.take().or(record.remains.take());
    if !books.is_silent(id) {
        let left = half.and_then(|half| half.release_some(&mut books.pages));
        books.record(id).remains = left;
    }
    books.record(id).deserted = books.record(id).remains.is_none();
    Ok(books.record(id).deserted)
}

/// From now on it is dying: its share is closed, and its cores are told to park.
fn begin(books: &mut Books, id: ledger::SubOsId) -> Result<(), Error> {
    let working = books.cores_of(id);
    books.ledger().destroy(id)?;
    let number = number_of(id);
    Books::doorbell_target(number).set(None);
    places().share(number).up().target().set(None);
    windows::retarget(books, id, None);
    books.record(id).condemned = true;
    for which in CoreId::all_in(working) {
        if !matches!(books.errands[which.index()], Errand::Leaving(_) | Errand::Parked(_)) {
            cores::tell_to_park(books, which);
        }
    }
    Ok(())
}

/// Whether every core has parked, or was given up: then those that have are free. None is before that, since in the kernel half
/// on which the others still run its area is mapped.
fn park_all(books: &mut Books, id: ledger::SubOsId) -> Result<bool, Error> {
    let leaving = books.cores_of(id);
    if CoreId::all_in(leaving)
        .fold(false, |waits, which| waits | (cores::parked(books, id, which) == Next::Wait))
    {
        return Ok(false);
    }
    // Without those that were given up just now.
    for which in CoreId::all_in(books.cores_of(id)) {
        let resource = Resource::Core(ledger::CoreId(which.0));
        if books.ledger().core(ledger::CoreId(which.0))? == Holder::Leaving(id, Phase::Quiescing) {
            books.ledger().quiesced(resource)?;
        }
        books.ledger().scrubbed(resource)?;
        books.errands[which.index()] = Errand::None;
        books.moves.cores += 1;
    }
    Ok(true)
}

/// The supervisor's kernel forgets a subOS that is gone: its doorbell, and the capability with all copies, of which
/// one was used and may have gone meanwhile.
fn forget(kernel: &mut Kernel, target: Target, through: SlotRef) {
    kernel.shares.forget(target.subos);
    let found = kernel.memory.slot(through).capability();
    if found.is_none_or(|found| found.kind != Kind::SubOs || Target::of(&found) != target) {
        return;
    }
    let first = kernel.forest.first_of(&kernel.memory, through);
    // Nothing but copies derives from it, so what goes needs no more than this.
    loop {
        let mut effects = Effects::new();
        let step = kernel.forest.delete_step(&mut kernel.memory, first, REVOKE_BUDGET, &mut effects);
        kernel.perform(&effects);
        if step != Ok(Step::More) {
            break;
        }
    }
}
