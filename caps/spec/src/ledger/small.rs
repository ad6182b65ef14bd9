//! Every reachable state of a small ledger.
//!
//! States are known by their canonical form: the least over all ways to name the cores and all subOSes but the first.
//! Generations are left out of it, since nothing but the comparison of names depends on them; stale names are tried in
//! every state.

use std::collections::{HashSet, VecDeque};

use caps::ledger::{
    ChunkEntry, ChunkId, CoreId, Holder, LedgerChange, Life, LotId, LotRole, Phase, Resource, SubOsId, Window,
};

use super::{LedgerMemory, LedgerModel, LedgerOperation, examine};
use crate::small::{Extent, Symmetry};
use crate::transition::Scrutiny;

/// The size of a small ledger.
#[derive(Clone, Copy, Debug)]
pub struct SmallLedger {
    /// Cores.
    pub cores: u8,
    /// Chunks.
    pub chunks: u32,
    /// SubOSes, the supervisor's included.
    pub suboses: usize,
    /// What lots can be granted as; a window is tried to be shared as well.
    pub roles: &'static [LotRole],
    /// Whether states are merged that differ only in the names of cores and of subOSes.
    pub symmetry: Symmetry,
}

impl SmallLedger {
    /// Goes through all states from the one in which everything is reserved.
    pub fn explore(self) -> Result<Extent, String> {
        let mut extent = Extent { complete: true, ..Extent::default() };
        let begin = LedgerMemory::new(self.cores, self.chunks, self.chunks as usize, self.suboses);
        let mut seen = HashSet::from([self.key(&begin)]);
        let mut forms = HashSet::from([self.canonical(&begin)]);
        let mut queue = VecDeque::from([begin]);
        while let Some(memory) = queue.pop_front() {
            let mut model = LedgerModel::of(&memory);
            let mut after = memory.clone();
            let mut operations = self.operations(&memory);
            while let Some(operation) = operations.pop() {
                extent.transitions += 1;
                let answer = after.perform(&operation);
                let refused = answer.refusal().is_some();
                let wrong = if refused {
                    examine(&memory, &mut after, &mut model, &operation, &answer, Scrutiny::Everything)
                } else {
                    examine(
                        &memory,
                        &mut after,
                        &mut model.clone(),
                        &operation,
                        &answer,
                        Scrutiny::Everything,
                    )
                };
                wrong.map_err(|why| format!("{why}\nafter {operation:?}\nin {memory:?}"))?;
                if refused {
                    continue;
                }
                extent.accepted += 1;
                operations.extend(taken_back(&operation));
                if seen.insert(self.key(&after)) {
                    if self.symmetry == Symmetry::Plain {
                        forms.insert(self.canonical(&after));
                    }
                    queue.push_back(after);
                }
                after = memory.clone();
            }
        }
        extent.states = seen.len();
        extent.forms = forms.len();
        Ok(extent)
    }

    /// Everything that can be asked: with every resource, every subOS, and one stale name of each.
    fn operations(self, memory: &LedgerMemory) -> Vec<LedgerOperation> {
        let mut suboses: Vec<SubOsId> = (0_u8..)
            .zip(&memory.suboses)
            .map(|(index, entry)| SubOsId { index, generation: entry.generation })
            .collect();
        suboses.push(SubOsId { index: 0, generation: 7 });
        let mut lots: Vec<LotId> = (0_u16..)
            .zip(&memory.lots)
            .map(|(index, lot)| LotId { index, generation: lot.generation })
            .collect();
        lots.push(LotId { index: 0, generation: u32::MAX });
        let cores = (0..=self.cores).map(CoreId);
        let resources: Vec<Resource> =
            cores.clone().map(Resource::Core).chain(lots.iter().copied().map(Resource::Lot)).collect();
        let mut all = vec![LedgerOperation::Create];
        all.extend(cores.clone().map(LedgerOperation::ReleaseCore));
        all.extend((0..=self.chunks).map(|chunk| LedgerOperation::ReleaseChunk(ChunkId(chunk))));
        let mut changes = Vec::new();
        for &subos in &suboses {
            all.extend([LedgerOperation::Destroy(subos), LedgerOperation::Destroyed(subos)]);
            changes.extend(cores.clone().map(|core| LedgerChange::GrantCore { core, to: subos }));
            for &role in self.roles {
                changes.push(LedgerChange::GrantLot { chunks: 1, to: subos, role });
            }
            changes.push(LedgerChange::GrantLot { chunks: 2, to: subos, role: LotRole::Extra });
            if self.roles.contains(&LotRole::Window) {
                changes.extend(lots.iter().map(|&lot| LedgerChange::Share { lot, with: subos }));
            }
            changes.extend(resources.iter().map(|&resource| LedgerChange::Reclaim { resource, from: subos }));
        }
        for &resource in &resources {
            all.extend([
                LedgerOperation::Revoked(resource),
                LedgerOperation::Quiesced(resource),
                LedgerOperation::Scrubbed(resource),
                LedgerOperation::Quarantine(resource),
            ]);
        }
        all.extend(changes.iter().map(|&change| LedgerOperation::Apply(vec![change])));
        all
    }

    fn key(self, memory: &LedgerMemory) -> Vec<u8> {
        match self.symmetry {
            Symmetry::Merged => self.canonical(memory),
            Symmetry::Plain => {
                let names: Vec<usize> = (0..self.suboses - 1).collect();
                form(memory, &names, Symmetry::Plain)
            }
        }
    }

    /// The least form over all namings.
    fn canonical(self, memory: &LedgerMemory) -> Vec<u8> {
        let mut least: Option<Vec<u8>> = None;
        for names in permutations(self.suboses - 1) {
            let form = form(memory, &names, Symmetry::Merged);
            if least.as_ref().is_none_or(|least| form < *least) {
                least = Some(form);
            }
        }
        least.unwrap_or_default()
    }
}

/// For a transaction of one change that succeeds: the same followed by a change that fails, so that it is taken back.
fn taken_back(operation: &LedgerOperation) -> Option<LedgerOperation> {
    let LedgerOperation::Apply(changes) = operation else { return None };
    let to = SubOsId { index: 0, generation: 7 };
    let fails = LedgerChange::GrantLot { chunks: 0, to, role: LotRole::Home };
    Some(LedgerOperation::Apply(vec![*changes.first()?, fails]))
}

/// All orders of the numbers `0..count`.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in permutations(count - 1) {
        for position in 0..count {
            let mut longer = shorter.clone();
            longer.insert(position, count - 1);
            all.push(longer);
        }
    }
    all
}

/// A state with subOS `n + 1` named `names[n]`; cores in the order of their holders, lots by their chunks.
fn form(memory: &LedgerMemory, names: &[usize], symmetry: Symmetry) -> Vec<u8> {
    let small = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
    let name = |subos: SubOsId| match usize::from(subos.index) {
        0 => 0,
        index => small(names[index - 1] + 1),
    };
    let holder = |holder: Holder| -> u8 {
        match holder {
            Holder::Reserved => 0,
            Holder::Pool => 1,
            Holder::Quarantined => 2,
            Holder::SubOs(subos) => 10 + 8 * name(subos),
            Holder::Leaving(subos, Phase::Revoking) => 11 + 8 * name(subos),
            Holder::Leaving(subos, Phase::Quiescing) => 12 + 8 * name(subos),
            Holder::Leaving(subos, Phase::Scrubbing) => 13 + 8 * name(subos),
        }
    };
    let mut cores: Vec<u8> = memory.cores.iter().map(|&core| holder(core)).collect();
    if symmetry == Symmetry::Merged {
        cores.sort_unstable();
    }
    let mut form = cores;
    for chunk in &memory.chunks {
        match chunk {
            ChunkEntry::Reserved => form.push(0),
            ChunkEntry::Pool => form.push(1),
            ChunkEntry::Quarantined => form.push(2),
            ChunkEntry::Lot(lot) => {
                let lot = memory.lots[usize::from(*lot)];
                form.extend([holder(lot.holder), lot.seat, small(lot.first as usize)]);
                match lot.window {
                    Window::None => form.push(0),
                    Window::Alone => form.push(1),
                    Window::Spoilt => form.push(2),
                    Window::Shared(other) => {
                        let other = memory.lots[usize::from(other)];
                        form.extend([3, holder(other.holder), other.seat]);
                    }
                }
            }
        }
    }
    let mut lives: Vec<(u8, u8, u8)> = (0_u8..)
        .zip(&memory.suboses)
        .map(|(index, entry)| {
            let life = match entry.life {
                Life::Absent => 0,
                Life::Alive => 1,
                Life::Dying => 2,
            };
            (name(SubOsId { index, generation: 0 }), life, entry.silent.min(1))
        })
        .collect();
    lives.sort_unstable();
    form.extend(lives.into_iter().flat_map(|(name, life, silent)| [name, life, silent]));
    form
}

impl LedgerModel {
    /// What a state of the real code says in the words of the specification.
    #[must_use]
    pub fn of(memory: &LedgerMemory) -> Self {
        let (cores, chunks) = (u8::try_from(memory.cores.len()), u32::try_from(memory.chunks.len()));
        let (lots, suboses) = (memory.lots.len(), memory.suboses.len());
        let mut model = Self::new(cores.unwrap_or(u8::MAX), chunks.unwrap_or(u32::MAX), lots, suboses);
        model.cores = (0..).zip(memory.cores.iter().copied()).collect();
        model.reserved.clear();
        for (number, chunk) in (0..).zip(&memory.chunks) {
            match chunk {
                ChunkEntry::Reserved => drop(model.reserved.insert(number)),
                ChunkEntry::Pool => drop(model.pool.insert(number)),
                ChunkEntry::Quarantined => drop(model.quarantined.insert(number)),
                ChunkEntry::Lot(_) => {}
            }
        }
        for (index, lot) in (0..).zip(&memory.lots) {
            model.spent.0[usize::from(index)] = lot.generation;
            if lot.count > 0 {
                let chunks = lot.chunks().map(|chunk| chunk.0).collect();
                let id = LotId { index, generation: lot.generation };
                let (window, spoilt) = (lot.window != Window::None, lot.window == Window::Spoilt);
                let lot = super::Lot { chunks, seat: lot.seat, holder: lot.holder, window, spoilt };
                model.lots.insert(id, lot);
            }
        }
        for (index, entry) in (0..).zip(&memory.suboses) {
            model.spent.1[usize::from(index)] = entry.generation;
            let subos = SubOsId { index, generation: entry.generation };
            if entry.life != Life::Absent {
                model.suboses.insert(subos, entry.life);
            }
            if entry.silent > 0 {
                model.silent.insert(subos);
            }
        }
        model
    }
}
