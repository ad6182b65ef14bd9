//! I11, I12 and the model's part of I26: every resource has one holder, none is created or lost, and each goes only the
//! ways that it may go.

use caps::ledger::{ChunkEntry, Holder, LotEntry, Phase, Window};

use crate::ledger::LedgerMemory;

/// I11: a chunk says that it is of a lot exactly if that lot covers it, and no two lots cover one chunk, but for the two
/// of a window, which name each other, cover the same and have different holders. Every lot has a holder.
pub fn exclusive(memory: &LedgerMemory) -> Result<(), String> {
    for (chunk, entry) in (0_u32..).zip(&memory.chunks) {
        let covering: Vec<usize> = (0..memory.lots.len())
            .filter(|&lot| memory.lots[lot].chunks().any(|covered| covered.0 == chunk))
            .collect();
        let fine = match (entry, &covering[..]) {
            (ChunkEntry::Lot(lot), [one]) => {
                usize::from(*lot) == *one && !matches!(memory.lots[*one].window, Window::Shared(_))
            }
            (ChunkEntry::Lot(lot), [one, other]) => {
                let (first, second) = (memory.lots[*one], memory.lots[*other]);
                let names = |lot: LotEntry, other: usize| {
                    lot.window == Window::Shared(u16::try_from(other).unwrap_or(0))
                };
                covering.contains(&usize::from(*lot))
                    && names(first, *other)
                    && names(second, *one)
                    && (first.first, first.count) == (second.first, second.count)
                    && first.holder.subos() != second.holder.subos()
            }
            (ChunkEntry::Lot(_), _) => false,
            (_, covering) => covering.is_empty(),
        };
        if !fine {
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
/// destroyed, or into quarantine, a lot only when its holder has no capabilities to it any more. It never comes to the
/// pool but from scrubbing, or reserved at boot; and while the other side of a window has it, nothing happens to a chunk.
pub fn lawful(before: &LedgerMemory, after: &LedgerMemory) -> Result<(), String> {
    for (old, new) in before.cores.iter().zip(&after.cores) {
        if !is_way(*old, *new) {
            return Err(format!("I26 lawful: a core was {old:?} and is {new:?}"));
        }
    }
    for chunk in 0..u32::try_from(before.chunks.len()).unwrap_or(u32::MAX) {
        let ((was, old), (is, new)) = (held(before, chunk), held(after, chunk));
        let same = |one: &(usize, LotEntry), other: &(usize, LotEntry)| {
            one.0 == other.0 && one.1.generation == other.1.generation
        };
        let left: Vec<_> = old.iter().filter(|one| !new.iter().any(|other| same(one, other))).collect();
        let came: Vec<_> = new.iter().filter(|one| !old.iter().any(|other| same(one, other))).collect();
        let stayed = old
            .iter()
            .flat_map(|one| new.iter().filter(|other| same(one, other)).map(move |other| (one, other)));
        let lawful = match (was, is, &left[..], &came[..]) {
            (Holder::Reserved | Holder::Pool, _, [], []) => was == is || is == Holder::Pool,
            (Holder::Pool, _, [], [_]) => true,
            (Holder::Quarantined, _, [], []) => is == Holder::Quarantined,
            (_, Holder::Pool, [(_, lot)], []) => matches!(lot.holder, Holder::Leaving(_, Phase::Scrubbing)),
            (_, Holder::Quarantined, [(_, lot)], []) => {
                matches!(lot.holder, Holder::Leaving(_, phase) if phase != Phase::Revoking)
            }
            // A window: another comes to have it too, or one of two has it no longer.
            (_, _, [], [_]) => old.len() == 1,
            (_, _, [(_, lot)], []) => {
                new.len() == 1 && matches!(lot.holder, Holder::Leaving(_, phase) if phase != Phase::Revoking)
            }
            (_, _, [], []) => true,
            _ => false,
        };
        let steps = stayed.into_iter().all(|((_, one), (_, other))| is_way(one.holder, other.holder));
        if !lawful || !steps {
            return Err(format!("I26 lawful: chunk {chunk} was {was:?} {old:?} and is {is:?} {new:?}"));
        }
    }
    Ok(())
}

/// What a chunk is, if it is of no lot, and the lots that cover it.
fn held(memory: &LedgerMemory, chunk: u32) -> (Holder, Vec<(usize, LotEntry)>) {
    let covers = |(_, lot): &(usize, LotEntry)| lot.chunks().any(|covered| covered.0 == chunk);
    let lots: Vec<(usize, LotEntry)> = memory.lots.iter().copied().enumerate().filter(covers).collect();
    let holder = match memory.chunks[chunk as usize] {
        ChunkEntry::Reserved => Holder::Reserved,
        ChunkEntry::Pool => Holder::Pool,
        ChunkEntry::Quarantined => Holder::Quarantined,
        ChunkEntry::Lot(lot) => memory.lots[usize::from(lot)].holder,
    };
    (holder, lots)
}

/// Whether one operation may lead a core, or one holder's lot, from the one to the other.
fn is_way(old: Holder, new: Holder) -> bool {
    match (old, new) {
        _ if old == new => true,
        (Holder::Reserved, Holder::Pool) | (Holder::Pool, Holder::SubOs(_)) => true,
        (Holder::SubOs(from), Holder::Leaving(to, Phase::Revoking | Phase::Quiescing)) => from == to,
        (Holder::Leaving(from, Phase::Revoking), Holder::Leaving(to, Phase::Quiescing)) => from == to,
        (Holder::Leaving(from, Phase::Quiescing), Holder::Leaving(to, Phase::Scrubbing)) => from == to,
        (Holder::Leaving(_, Phase::Scrubbing), Holder::Pool) => true,
        (Holder::Leaving(..), Holder::Quarantined) => true,
        _ => false,
    }
}
