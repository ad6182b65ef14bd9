//! The supervisor's server for an operator on the host: what he asks is answered from what the director knows and the
//! machine says, what he orders the director takes. A turn of it does a bounded amount, whatever comes over the line.

use alloc::format;
use alloc::string::String;

use caps::Error;
use idl::interface::{Caller, Generation, Session};
use idl::kernel::machine::LedgerEntry;
use idl::operator::{
    ActivityView, Change, Hands, LedgerPart, Life, LogPart, LotView, MachineView, Operator, OperatorDispatch,
    OperatorError, OperatorServer, Ordered, Outcome, PlacesView, RUNS, Resource, Run, SubOsView, fitted,
};
use idl::plan::{CoreNumber, SubOsIndex};
use idl::serial::{Line, Served};
use idl::types::{LedgerState, ResourceKind, StatisticsQuestion};

use crate::activity::Activity;
use crate::director::Director;
use crate::log::Log;
use crate::member::{bit, cores};
use crate::port::MachinePort;

/// The number of the one session that there is.
const SESSION: u32 = 1;
/// Requests that are answered before others get their turn.
const REQUESTS: usize = 4;
/// Looks at the line in a turn while something comes.
const LOOKS: usize = 32;
/// Entries of the ledger that one answer looks at.
const ENTRIES: u64 = 1024;

/// What the supervisor keeps for an operator.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    served: Served,
    log: Log,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { served: Served::new(), log: Log::default() }
    }

    /// Remembers what was written.
    pub(crate) fn wrote(&mut self, text: &str) {
        self.log.push(text);
    }

    /// The server, for one who calls it in the same process.
    pub(crate) fn server<'a, P: MachinePort>(
        &'a self,
        director: &'a mut Director,
        port: &'a mut P,
    ) -> OperatorDispatch<Answers<'a, P>> {
        OperatorDispatch(Answers { director, port, log: &self.log, rubbish: self.served.rubbish() })
    }

    /// Answers what has come over the line, as far as one turn goes.
    pub(crate) fn attend(&mut self, director: &mut Director, port: &mut impl MachinePort) {
        let (mut answered, mut heard) = (0, false);
        for _ in 0..LOOKS {
            let (request, some) = self.served.next(&mut LineOf(port));
            heard |= some;
            if let Some(request) = request {
                let who =
                    (Generation::FIRST, Session::new(SESSION, Operator::SEE | Operator::CHANGE).badge());
                let answer = Served::ask(&request, who, &mut self.server(director, port));
                self.served.send(answer, &mut LineOf(port));
                answered += 1;
            }
            if answered == REQUESTS || !some {
                break;
            }
        }
        director.hurry(heard);
    }
}

/// The line of a machine.
struct LineOf<'a, P>(&'a mut P);

impl<P: MachinePort> Line for LineOf<'_, P> {
    fn receive(&mut self, room: &mut [u8]) -> usize {
        self.0.line_receive(room)
    }

    fn send(&mut self, bytes: &[u8]) -> usize {
        self.0.line_send(bytes)
    }
}

/// Who answers.
#[derive(Debug)]
pub struct Answers<'a, P> {
    director: &'a mut Director,
    port: &'a mut P,
    log: &'a Log,
    rubbish: u64,
}

impl<P: MachinePort> OperatorServer for Answers<'_, P> {
    fn machine(&mut self, _: Caller<Operator>) -> MachineView {
        let totals = self.port.totals().unwrap_or_default();
        let director = &self.director;
        let small = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
        MachineView {
            cores: totals.cores,
            chunks: totals.chunks,
            free: totals.free,
            hz: self.port.ticks_per_second(),
            now: self.port.now().0,
            suboses: small(director.members.len()),
            done: small(director.step),
            steps: small(director.plan.steps.len()),
            orders: small(director.orders.open()),
            rubbish: self.rubbish,
        }
    }

    fn subos(&mut self, _: Caller<Operator>, number: u8) -> Result<SubOsView, OperatorError> {
        let subos = SubOsIndex(number);
        let planned = self.director.plan.subos(subos).ok_or(OperatorError::NoSubOs)?;
        let member = self.director.member(subos).ok_or(OperatorError::NoSubOs)?;
        let own =
            member.numbered_lots().map(|(lot, size)| LotView { lot: lot.0, chunks: size.0, peer: None });
        let shared = self.director.window_lots(subos).into_iter().map(|(lot, size, peer)| LotView {
            lot: lot.0,
            chunks: size.0,
            peer: Some(peer.0),
        });
        let lots = own.chain(shared).take(idl::slots::ROOT_LOTS as usize).collect();
        let (mask, life) = (member.cores, member.life);
        let view = SubOsView {
            name: planned.name.clone(),
            program: planned.program.clone(),
            life: life_of(life),
            cores: mask,
            lots,
            progress: member.progress.map(|(count, _)| count),
            deaths: member.deaths,
            ended: member.ended,
            owner: None,
        };
        let entry = cores(mask).next().map(|core| self.port.ledger(ResourceKind::Core, u64::from(core.0)));
        let owner = entry.and_then(Result::ok).filter(|entry| entry.state == LedgerState::Owned);
        Ok(SubOsView { owner: owner.map(|entry| entry.owner.0), ..view })
    }

    fn activity(&mut self, _: Caller<Operator>, number: u8, core: u8) -> Result<ActivityView, OperatorError> {
        let (subos, core) = (SubOsIndex(number), CoreNumber(core));
        let member = self.director.member(subos).ok_or(OperatorError::NoSubOs)?;
        if !member.exists() || member.ever & bit(core) == 0 {
            return Err(OperatorError::NotThere);
        }
        let mut did = Activity::default();
        for which in StatisticsQuestion::ALL {
            let words = self.port.statistics(subos, core, *which).map_err(|_| OperatorError::Kernel)?;
            did.take(*which, words);
        }
        Ok(ActivityView {
            now: self.port.now().0,
            calls: did.calls,
            messages: did.messages,
            signals: did.signals,
            faults: did.faults,
            guests: did.guests,
            switches: did.switches,
            timers: did.timers,
            doorbells: did.doorbells,
            owned: did.owned,
            busy: did.busy,
            kernel: did.kernel,
            live: did.live.iter().fold(0, |sum, count| sum.saturating_add(*count)),
        })
    }

    fn ledger(
        &mut self,
        _: Caller<Operator>,
        kind: Resource,
        first: u64,
    ) -> Result<LedgerPart, OperatorError> {
        let totals = self.port.totals().map_err(|_| OperatorError::Kernel)?;
        let (kind, count) = match kind {
            Resource::Core => (ResourceKind::Core, totals.cores),
            Resource::Chunk => (ResourceKind::Chunk, totals.chunks),
        };
        let end = count.min(first.saturating_add(ENTRIES));
        let (mut runs, mut at) = (heapless::Vec::<Run, RUNS>::new(), first);
        while at < end {
            let hands = hands_of(&self.port.ledger(kind, at).map_err(|_| OperatorError::Kernel)?);
            let has_room = match runs.last_mut().filter(|run| run.hands == hands) {
                Some(run) => {
                    run.count += 1;
                    true
                }
                None => runs.push(Run { first: at, count: 1, hands }).is_ok(),
            };
            if !has_room {
                break;
            }
            at += 1;
        }
        Ok(LedgerPart { runs, next: (at < count).then_some(at) })
    }

    fn log(&mut self, _: Caller<Operator>, from: u64) -> LogPart {
        self.log.part(from)
    }

    fn order(&mut self, _: Caller<Operator>, change: Change) -> Ordered {
        let checked = self.check(&change).and_then(|()| self.director.order(change));
        match checked {
            Ok(ticket) => Ordered::Taken(ticket),
            Err(reason) => Ordered::Refused(fitted(&reason)),
        }
    }

    fn outcome(&mut self, _: Caller<Operator>, ticket: u32) -> Outcome {
        self.director.outcome(ticket)
    }

    fn end(&mut self, _: Caller<Operator>) {
        self.director.end_when_done();
    }

    fn places(&mut self, _: Caller<Operator>) -> Result<PlacesView, OperatorError> {
        let places = self.port.places().map_err(|_| OperatorError::Kernel)?;
        Ok(PlacesView { areas: places.areas, area: places.area })
    }
}

impl<P: MachinePort> Answers<'_, P> {
    /// What the machine itself says against an order; the director knows the rest.
    fn check(&mut self, change: &Change) -> Result<(), String> {
        let said = |error: Error| format!("the machine does not say what it has: {}", error.name());
        match change {
            Change::GrantLot { chunks, .. } => {
                let free = self.port.totals().map_err(said)?.free;
                let (wanted, has) = (u64::from(*chunks).saturating_mul(2), free.saturating_mul(2));
                if u64::from(*chunks) > free {
                    return Err(format!("{wanted} MiB of memory are asked for, and {has} MiB are free"));
                }
            }
            Change::MoveCore { core, from, .. } => {
                let count = self.port.totals().map_err(said)?.cores;
                if u64::from(*core) >= count {
                    return Err(format!("there is no core {core}: the machine has {count}"));
                }
                let entry = self.port.ledger(ResourceKind::Core, u64::from(*core)).map_err(said)?;
                if from.is_none() && hands_of(&entry) == Hands::Unusable {
                    return Err(format!("core {core} does not answer, and is given to nobody"));
                }
            }
            Change::Create { .. }
            | Change::Destroy { .. }
            | Change::Restart { .. }
            | Change::MoveLot { .. } => {}
        }
        Ok(())
    }
}

const fn life_of(life: crate::member::Life) -> Life {
    match life {
        crate::member::Life::Absent => Life::Absent,
        crate::member::Life::Building => Life::Building,
        crate::member::Life::Alive => Life::Alive,
        crate::member::Life::Dead => Life::Dead,
    }
}

const fn hands_of(entry: &LedgerEntry) -> Hands {
    match entry.state {
        LedgerState::Free => Hands::Free,
        LedgerState::Reserved | LedgerState::Quarantined => Hands::Unusable,
        LedgerState::Owned => Hands::Owned(entry.owner.0, entry.lot.0),
        LedgerState::Shared => Hands::Shared(entry.owner.0, entry.lot.0),
        LedgerState::Revoking | LedgerState::Quiescing | LedgerState::Scrubbing => Hands::Moving,
    }
}
