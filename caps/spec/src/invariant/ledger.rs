//! I11, I12 and the model's part of I26: every resource has one holder, none is created or lost, and each goes only the
//! ways that it may go.

use caps::ledger::{ChunkEntry, Holder, Phase};

use crate::ledger::LedgerMemory;

/// I11: a chunk says that it is of a lot exactly if that lot covers it, and no two lots cover one chunk. Every lot has a
/// holder.
pub fn exclusive(memory: &LedgerMemory) -> Result<(), String> {
    for (chunk, entry) in (0_u32..).zip(&memory.chunks) {
        let covering: Vec<usize> = (0..memory.lots.len())
            .filter(|&lot| memory.lots[lot].chunks().any(|covered| covered.0 == chunk))
            .collect();
        let named: Vec<usize> = match entry {
            ChunkEntry::Lot(lot) => vec![usize::from(*lot)],
            _ => Vec::new(),
        };
        if covering != named {
            return Err(format!(
                "I11 exclusive: chunk {chunk} is {entry:?} and the lots {covering:?} cover it"
            ));
        }
    }
    match memory.lots.iter().find(|lot| (lot.count > 0) != lot.holder.subos().is_some()) {
        Some(lot) => Err(format!("I11 exclusive: {lot:?}")),
        None => Ok(()),
    }
}

/// I12: what is reserved, in the pool, held, leaving and quarantined is the machine, before and after; nothing is
/// reserved after boot, and nothing leaves quarantine.
pub fn conserved(before: &LedgerMemory, after: &LedgerMemory) -> Result<(), String> {
    let (mut old, mut new) = (before.clone(), after.clone());
    let (old, new) = (old.ledger(), new.ledger());
    for (old, new, size) in [
        (old.tally_cores(), new.tally_cores(), after.cores.len()),
        (old.tally_chunks(), new.tally_chunks(), after.chunks.len()),
    ] {
        if new.total() != size || new.reserved > old.reserved || new.quarantined < old.quarantined {
            return Err(format!("I12 conserved: {old:?} became {new:?} of {size}"));
        }
    }
    Ok(())
}

/// I26, as far as the ledger decides it, and the order of the phases: in one operation a resource stays, or takes one
/// step of *pool, held, revoking, quiescing, scrubbing, pool*, or goes from held to quiescing when its holder is
/// destroyed, or from any phase into quarantine, but that a chunk first loses its holder's capabilities. It never comes to
/// the pool but from scrubbing, or reserved at boot.
pub fn lawful(before: &LedgerMemory, after: &LedgerMemory) -> Result<(), String> {
    let cores = before.cores.len();
    let holders = |memory: &LedgerMemory| -> Vec<Holder> {
        let mut memory = memory.clone();
        let count = u32::try_from(memory.chunks.len()).unwrap_or(u32::MAX);
        let ledger = memory.ledger();
        let cores = ledger.cores().map(|(_, holder)| holder);
        let chunks = (0..count).filter_map(|chunk| ledger.chunk(caps::ledger::ChunkId(chunk)).ok());
        cores.chain(chunks).collect()
    };
    for (place, (old, new)) in holders(before).into_iter().zip(holders(after)).enumerate() {
        let way = match (old, new) {
            _ if old == new => true,
            (Holder::Reserved, Holder::Pool) | (Holder::Pool, Holder::SubOs(_)) => true,
            (Holder::SubOs(from), Holder::Leaving(to, Phase::Revoking | Phase::Quiescing)) => from == to,
            (Holder::Leaving(from, Phase::Revoking), Holder::Leaving(to, Phase::Quiescing)) => from == to,
            (Holder::Leaving(from, Phase::Quiescing), Holder::Leaving(to, Phase::Scrubbing)) => from == to,
            (Holder::Leaving(_, Phase::Scrubbing), Holder::Pool) => true,
            (Holder::Leaving(_, phase), Holder::Quarantined) => place < cores || phase != Phase::Revoking,
            _ => false,
        };
        if !way {
            return Err(format!("I26 lawful: {old:?} became {new:?}"));
        }
    }
    Ok(())
}
