//! Every state of a small machine: the forests and the ledger together. There are many, so this is done on request.

use std::collections::{HashSet, VecDeque};

use caps::bounds::PAGE;
use caps::ledger::{Holder, LedgerChange, LotEntry, LotRole, Phase, Resource, SubOsEntry, SubOsId};
use caps::{Change, Kind, Rights, SlotRef};

use super::{Act, Machine, ROOT_SLOTS, SEATS, is_its_own};
use crate::game::FIRST;
use crate::ledger::LedgerOperation;
use crate::operation::Operation;
use crate::small::{Extent, Symmetry, World};

/// The size of a small machine.
#[derive(Clone, Copy, Debug)]
pub struct SmallMachine {
    /// Chunks.
    pub chunks: u32,
    /// SubOSes, the supervisor's included.
    pub suboses: usize,
    /// How many slots each has outside of those for roots.
    pub slots: u32,
    /// How many tables, of one slot each, can be made of a lot.
    pub tables: u64,
}

impl SmallMachine {
    /// Goes through all states, at most `limit`.
    pub fn explore(self, limit: usize) -> Result<Extent, String> {
        let mut extent = Extent { complete: true, ..Extent::default() };
        let begin = Machine::sized(0, self.chunks, self.suboses, 1);
        let mut seen = HashSet::from([key(&begin)]);
        let mut queue = VecDeque::from([begin]);
        while let Some(machine) = queue.pop_front() {
            for act in self.acts(&machine) {
                extent.transitions += 1;
                let mut after = machine.clone();
                let accepted =
                    after.apply(&act).map_err(|why| format!("{why}\nafter {act:?}\nin {machine:#?}"))?;
                if !accepted {
                    continue;
                }
                extent.accepted += 1;
                if seen.len() >= limit {
                    extent.complete = false;
                } else if seen.insert(key(&after)) {
                    after.forget_stories();
                    queue.push_back(after);
                }
            }
        }
        extent.states = seen.len();
        Ok(extent)
    }

    fn acts(self, machine: &Machine) -> Vec<Act> {
        let mut acts = vec![Act::Decide(LedgerOperation::Create)];
        for (&subos, game) in &machine.suboses {
            let grant = LedgerChange::GrantLot { chunks: 1, to: subos, role: LotRole::Extra };
            acts.push(Act::Decide(LedgerOperation::Apply(vec![grant])));
            acts.push(Act::Decide(LedgerOperation::Destroy(subos)));
            acts.push(Act::Decide(LedgerOperation::Destroyed(subos)));
            let own = self.own(game).into_iter().filter(is_its_own);
            acts.extend(own.map(|operation| Act::Own(subos, operation)));
        }
        for (&lot, entry) in &machine.ledger.model.lots {
            acts.push(match entry.holder {
                Holder::SubOs(from) => {
                    let change = LedgerChange::Reclaim { resource: Resource::Lot(lot), from };
                    Act::Decide(LedgerOperation::Apply(vec![change]))
                }
                Holder::Leaving(_, Phase::Revoking) => Act::Revoke(lot, 1),
                Holder::Leaving(_, Phase::Quiescing) => Act::Quiet(lot),
                _ => Act::Scrub(lot),
            });
        }
        acts
    }

    /// Tables of one slot; copies, moves and removals.
    fn own(self, game: &crate::game::Game) -> Vec<Operation> {
        let memory = &game.subject.memory;
        let mut free: Vec<SlotRef> = (SEATS + 1..=SEATS + self.slots.min(ROOT_SLOTS))
            .filter_map(|number| FIRST.offset(number))
            .collect();
        for (_, slot) in memory.occupied().filter(|(_, slot)| slot.is_first()) {
            let table = slot.capability().and_then(|says| says.table());
            free.extend(
                table.filter(|table| !table.is_dying(memory)).and_then(|table| table.first.offset(1)),
            );
        }
        free.retain(|&at| memory.peek(at).is_free());
        let mut all = vec![Operation::SweepStep { budget: 1 }];
        for (at, slot) in memory.occupied() {
            all.push(Operation::DeleteStep { at, budget: 1 });
            all.push(Operation::RevokeStep { root: at, budget: 1 });
            for &dest in &free {
                if slot.kind() == Kind::Untyped {
                    all.push(Operation::Retype {
                        untyped: at,
                        dest,
                        kind: Kind::CSpace,
                        bytes: 128,
                        align: PAGE / self.tables,
                    });
                } else {
                    all.push(Operation::Derive { parent: at, dest, change: Change::rights(Rights::all()) });
                    all.push(Operation::Move { source: at, dest });
                }
            }
        }
        all
    }
}

/// All that a machine consists of, but for how often numbers were used.
fn key(machine: &Machine) -> Vec<u8> {
    let plain = World { symmetry: Symmetry::Plain, ..World::tree(ROOT_SLOTS) };
    let mut key = Vec::new();
    let unnamed = |subos: SubOsId| SubOsId { generation: 0, ..subos };
    let holder = |holder: Holder| match holder {
        Holder::SubOs(subos) => Holder::SubOs(unnamed(subos)),
        Holder::Leaving(subos, phase) => Holder::Leaving(unnamed(subos), phase),
        other => other,
    };
    let lots: Vec<LotEntry> = (machine.ledger.memory.lots.iter())
        .map(|lot| LotEntry { generation: 0, holder: holder(lot.holder), ..*lot })
        .collect();
    let suboses: Vec<SubOsEntry> =
        machine.ledger.memory.suboses.iter().map(|entry| SubOsEntry { generation: 0, ..*entry }).collect();
    key.extend(format!("{lots:?} {:?} {suboses:?}", machine.ledger.memory.chunks).into_bytes());
    for (subos, game) in &machine.suboses {
        key.push(subos.index);
        key.extend(plain.key(&game.subject));
    }
    for (chunk, slots) in &machine.left {
        key.extend(format!("{chunk} {}", slots.len()).into_bytes());
    }
    key
}
