//! What the supervisor can ask: about a subOS, about the machine, about the ledger.

use caps::Error;
use caps::ledger::{ChunkId, CoreId as LedgerCore, Holder, Life, Phase};
use idl::Words;
use idl::kernel::machine::LedgerEntry;
use idl::kernel::subos::SubOsInfo;
use idl::types::{
    Chunks, LedgerState, LotNumber, MachineQuestion, ResourceKind, StatisticsQuestion, SubOsNumber,
    SubOsState,
};

use super::books::{Books, Stage};
use super::{Target, places, share, visit};
use crate::arch::x86_64::clock;
use crate::arch::x86_64::core::Core;
use crate::kernel::Kernel;
use crate::limits::{AREA_STRIDE, CHUNK};
use crate::outcome::Answer;
use crate::types::CoreId;

/// `SubOs.info`.
///
/// # Errors
/// `StaleHandle`.
pub fn info(books: &mut Books, target: Target) -> Result<Answer, Error> {
    let id = target.find(books)?;
    let condemned = matches!(books.cell(id), Err(Error::Condemned));
    let dying = books.ledger().life(id)? == Life::Dying;
    let state = match books.record(id).stage {
        _ if dying => SubOsState::Dying,
        _ if condemned => SubOsState::Condemned,
        Stage::Created | Stage::Filling => SubOsState::Created,
        Stage::Loaded => SubOsState::Loaded,
        Stage::Running => SubOsState::Running,
    };
    let (cores, number) = (books.cores_of(id), SubOsNumber(u32::from(id.index)));
    let chunks = books
        .ledger()
        .lots()
        .filter(|(_, lot)| lot.holder.subos() == Some(id))
        .fold(0, |sum, (_, lot)| sum + lot.count);
    Ok(Answer { words: SubOsInfo { state, cores, chunks: Chunks(chunks), number }.to_words() })
}

/// `SubOs.statistics`.
///
/// # Errors
/// `NoResource` for a core that the machine does not have; `Condemned`.
pub fn statistics(
    books: &mut Books,
    core: &mut Core,
    target: Target,
    which: CoreId,
    question: StatisticsQuestion,
) -> Result<Answer, Error> {
    let id = target.find(books)?;
    books.ledger().core(LedgerCore(which.0)).map_err(|_| Error::NoResource)?;
    let look = |kernel: &mut Kernel| (kernel.cores[which.index()], kernel.now, kernel.live.map(u64::from));
    let (state, now, live) = visit::visit(books, core, id, look)?;
    let staying = if state.active { now.0.saturating_sub(state.arrived.0) } else { 0 };
    let [_, untyped, table, thread, space, region, _, endpoint, bell, reply, guest, rest @ ..] = live;
    let words = match question {
        StatisticsQuestion::Memories => [untyped, table, thread, space, region],
        StatisticsQuestion::Meetings => [endpoint, bell, reply, guest, 0],
        StatisticsQuestion::Planted => rest,
        question => state.counters.answer(question, staying),
    };
    Ok(Answer { words })
}

/// `Machine.info`.
pub fn machine(books: &mut Books, question: MachineQuestion) -> Answer {
    let (moves, second) = (books.moves, clock::ticks_per_second());
    let words = match question {
        MachineQuestion::Totals => {
            let ledger = books.ledger();
            let (free, suboses) = (ledger.tally_chunks().pool as u64, ledger.suboses().count() as u64);
            [ledger.core_count() as u64, ledger.chunk_count() as u64, free, suboses, second]
        }
        MachineQuestion::Clock => [clock::now().0, second, moves.audits, moves.cores, moves.lots],
        MachineQuestion::Places => {
            [books.areas[0].0, AREA_STRIDE, places().shares.0, share::BYTES as u64, places().shelf.0]
        }
        MachineQuestion::Memory => [books.pages.untouched(), 0, 0, 0, 0],
    };
    Answer { words }
}

/// `Machine.ledger`.
///
/// # Errors
/// `NoResource`.
pub fn ledger(books: &mut Books, kind: ResourceKind, index: u64) -> Result<Answer, Error> {
    let (holder, lot) = match kind {
        ResourceKind::Core => {
            let core = LedgerCore(u8::try_from(index).map_err(|_| Error::NoResource)?);
            (books.ledger().core(core), 0)
        }
        ResourceKind::Chunk => {
            let chunk = ChunkId(u32::try_from(index).map_err(|_| Error::NoResource)?);
            let address = index * CHUNK;
            let inside = |lot: &caps::ledger::LotEntry| {
                lot.address() <= address && address - lot.address() < lot.bytes()
            };
            let ledger = books.ledger();
            let holder = ledger.chunk(chunk);
            // Of a window, the same side's.
            let found = ledger.lots().find(|(_, lot)| inside(lot) && holder == Ok(lot.holder));
            (holder, found.map_or(0, |(_, lot)| u32::from(lot.seat)))
        }
    };
    let holder = holder.map_err(|_| Error::NoResource)?;
    let state = match holder {
        Holder::Reserved => LedgerState::Reserved,
        Holder::Pool => LedgerState::Free,
        Holder::SubOs(_) => LedgerState::Owned,
        Holder::Leaving(_, Phase::Revoking) => LedgerState::Revoking,
        Holder::Leaving(_, Phase::Quiescing) => LedgerState::Quiescing,
        Holder::Leaving(_, Phase::Scrubbing) => LedgerState::Scrubbing,
        Holder::Quarantined => LedgerState::Quarantined,
    };
    let owner = SubOsNumber(holder.subos().map_or(0, |id| u32::from(id.index)));
    Ok(Answer { words: LedgerEntry { state, owner, lot: LotNumber(lot) }.to_words() })
}
