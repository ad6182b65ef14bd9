//! Random acts: numbers become acts that make sense in the state at hand, most of the time.

use caps::ledger::{Holder, LedgerChange, LotId, LotRole, Phase, Resource, SubOsId};

use super::{Act, Machine, SEATS, is_its_own};
use crate::ledger::LedgerOperation;
use crate::play::Throw;

impl Machine {
    /// Plays throws until something is wrong; then the error says what, and what was done until then.
    pub fn play(&mut self, throws: impl Iterator<Item = Throw>) -> Result<(), (String, Vec<Act>)> {
        let mut acts = Vec::new();
        for throw in throws {
            let act = self.choose(throw);
            acts.push(act.clone());
            self.apply(&act).map_err(|why| (why, acts.clone()))?;
        }
        Ok(())
    }

    /// The act that a throw means in this state: mostly some subOS's own.
    #[must_use]
    pub fn choose(&self, throw: Throw) -> Act {
        let [what, a, b, c, d] = throw;
        let suboses: Vec<SubOsId> = self.suboses.keys().copied().collect();
        let subos = suboses[usize::from(a) % suboses.len()];
        let lot = self.some_lot(b);
        let decide = Act::Decide;
        match what % 256 {
            0..=3 => decide(LedgerOperation::Create),
            4..=11 => self.grant(subos, c),
            12..=15 => decide(self.change(LedgerChange::GrantCore { core: core(c), to: subos })),
            16..=19 => {
                decide(self.change(LedgerChange::Reclaim { resource: Resource::Core(core(c)), from: subos }))
            }
            61..=64 => match lot {
                Some((lot, _)) if self.has_seat(subos) => {
                    decide(self.change(LedgerChange::Share { lot, with: subos }))
                }
                _ => decide(LedgerOperation::Create),
            },
            20 => match lot {
                Some((lot, holder)) => {
                    let from = holder.subos().unwrap_or(subos);
                    decide(self.change(LedgerChange::Reclaim { resource: Resource::Lot(lot), from }))
                }
                None => decide(LedgerOperation::Create),
            },
            21..=55 => match lot {
                Some((lot, Holder::Leaving(_, Phase::Revoking))) => Act::Revoke(lot, u32::from(d % 5)),
                Some((lot, Holder::Leaving(_, Phase::Quiescing))) => Act::Quiet(lot),
                Some((lot, Holder::Leaving(_, Phase::Scrubbing))) => Act::Scrub(lot),
                _ => self.core_step(c),
            },
            56 if d.is_multiple_of(8) => match lot {
                Some((lot, _)) => decide(LedgerOperation::Quarantine(Resource::Lot(lot))),
                None => decide(LedgerOperation::Create),
            },
            57 if d.is_multiple_of(4) => decide(LedgerOperation::Destroy(subos)),
            58..=60 => decide(LedgerOperation::Destroyed(subos)),
            _ => {
                let Some(game) = self.suboses.get(&subos) else { return decide(LedgerOperation::Create) };
                let operation = game.choose([b, c, d, what, a]);
                if is_its_own(&operation) { Act::Own(subos, operation) } else { self.core_step(c) }
            }
        }
    }

    fn change(&self, change: LedgerChange) -> LedgerOperation {
        LedgerOperation::Apply(vec![change])
    }

    /// A lot, unless the subOS has as many as it has seats for.
    fn grant(&self, to: SubOsId, c: u16) -> Act {
        let role = match c % 5 {
            0 => LotRole::Home,
            1 => LotRole::Window,
            _ => LotRole::Extra,
        };
        let chunks = 1 + u32::from(c % 2);
        if self.has_seat(to) {
            Act::Decide(self.change(LedgerChange::GrantLot { chunks, to, role }))
        } else {
            Act::Decide(LedgerOperation::Create)
        }
    }

    /// Whether there is a seat for one more lot.
    fn has_seat(&self, of: SubOsId) -> bool {
        let has = self.ledger.model.lots.values().filter(|lot| lot.holder.subos() == Some(of)).count();
        has + 1 < SEATS as usize
    }

    fn some_lot(&self, b: u16) -> Option<(LotId, Holder)> {
        let lots = &self.ledger.model.lots;
        lots.iter().nth(usize::from(b) % lots.len().max(1)).map(|(&lot, entry)| (lot, entry.holder))
    }

    /// The next step of a core that is on its way.
    fn core_step(&self, c: u16) -> Act {
        let core = core(c);
        let resource = Resource::Core(core);
        Act::Decide(match self.ledger.model.cores.get(&core.0) {
            Some(Holder::Leaving(_, Phase::Revoking)) => LedgerOperation::Revoked(resource),
            Some(Holder::Leaving(_, Phase::Quiescing)) if c.is_multiple_of(61) => {
                LedgerOperation::Quarantine(resource)
            }
            Some(Holder::Leaving(_, Phase::Quiescing)) => LedgerOperation::Quiesced(resource),
            _ => LedgerOperation::Scrubbed(resource),
        })
    }
}

fn core(c: u16) -> caps::ledger::CoreId {
    caps::ledger::CoreId(u8::try_from(c / 7 % 4).unwrap_or(0))
}
