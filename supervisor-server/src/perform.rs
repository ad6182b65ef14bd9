//! Carries out what the director orders, and listens to everybody between any two orders.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use caps::Error;
use idl::dialogue::Heard;
use idl::operator::OperatorDispatch;
use idl::plan::{CoreNumber, Holder, Part, Plan, Resize, SubOsIndex};
use idl::types::{LedgerState, Progress, ResourceKind, StatisticsQuestion};

use crate::activity::Activity;
use crate::director::Director;
use crate::ledger::Snapshot;
use crate::member::cores;
use crate::news::{self, News, Owner};
use crate::notes::Book;
use crate::operator::{Answers, Desk};
use crate::order::{Answer, Moment, Obstacle, Order, Verdict};
use crate::port::{Given, MachinePort};
use crate::resize::obstacle;

/// The machine's exit status when everything went as the plan says.
pub const SUCCESS: u8 = 0x10;
/// The machine's exit status when something did not.
pub const FAILURE: u8 = 0x11;

/// Bytes of console that are taken at once; the record of them is at most three times as long.
const CONSOLE_BYTES: usize = 1024;
/// How often a subOS's console is read before others get their turn.
const CONSOLE_READS: usize = 8;
/// How often before the subOS is destroyed: more than a ring holds.
const LAST_READS: usize = 1024;
/// How many records of a subOS are taken before others get their turn.
const RECORDS: usize = 16;
/// Bytes of an epitaph.
const EPITAPH_BYTES: usize = 2048;

/// The supervisor: a machine and who decides for it.
#[derive(Debug)]
pub struct Supervisor<P> {
    pub(crate) port: P,
    pub(crate) director: Director,
    pub(crate) before: Option<Snapshot>,
    pub(crate) surveyed: Snapshot,
    pub(crate) book: Book,
    /// Room for a sheet of it.
    pub(crate) sheet: Vec<u8>,
    /// What there is for an operator, if there is one.
    desk: Option<Box<Desk>>,
}

impl<P: MachinePort> Supervisor<P> {
    /// A supervisor that is to carry out this plan.
    pub fn new(port: P, plan: Box<Plan>) -> Self {
        let director = Director::new(plan, port.ticks_per_second());
        Self {
            port,
            director,
            before: None,
            surveyed: Snapshot::default(),
            book: Book::default(),
            sheet: Vec::new(),
            desk: None,
        }
    }

    /// From now on an operator is served, and the run ends when he says so.
    pub fn serve_operator(&mut self) {
        self.director.keep_up();
        self.desk = Some(Box::new(Desk::new()));
    }

    /// Carries the plan out, or the rest of it if a supervisor before this one has begun, and ends the machine. Comes back
    /// only where a machine's end is not the supervisor's, with the status.
    pub fn run(&mut self) -> u8 {
        if let Some((order, answer)) = self.take_up() {
            self.answered(order, answer);
        }
        loop {
            let now = self.port.now();
            let order = self.director.next(now);
            // What is told twice does less harm than what is never told.
            self.tell();
            self.note(order);
            if let Order::Finish(verdict) = order {
                self.sum_up();
                let status = match verdict {
                    Verdict::Success => SUCCESS,
                    Verdict::Failure => FAILURE,
                };
                self.port.exit(status);
                return status;
            }
            let answer = self.perform(order);
            self.answered(order, answer);
        }
    }

    fn answered(&mut self, order: Order, answer: Answer) {
        self.director.answered(self.port.now(), order, answer);
        self.tell();
        self.listen();
        self.attend();
    }

    /// The machine, for those who look at it afterwards.
    pub const fn port(&self) -> &P {
        &self.port
    }

    /// The machine, when there is nothing more to do with it.
    pub fn into_port(self) -> P {
        self.port
    }

    /// Says what machine this is.
    pub(crate) fn introduce(&mut self) {
        let totals = self.port.totals().unwrap_or_default();
        let (hz, memory) = (self.port.ticks_per_second(), totals.chunks.saturating_mul(2));
        self.say(&News::Boot { hz, cores: totals.cores, memory });
        for core in 0..u8::try_from(totals.cores).unwrap_or(u8::MAX) {
            let owner = match self.port.ledger(ResourceKind::Core, u64::from(core)).map(|entry| entry.state) {
                Ok(LedgerState::Owned) => Owner::Supervisor,
                Ok(LedgerState::Free) => Owner::Free,
                _ => Owner::Lost,
            };
            self.say(&News::Own { core: CoreNumber(core), owner });
        }
    }

    /// Says what the supervisor itself did; the director cannot know.
    fn sum_up(&mut self) {
        if let Ok(own) = self.port.own() {
            self.say(&News::Supervisor { core: CoreNumber(0), own });
        }
        let failure = self.director.failure().map(String::from);
        self.say(&News::Test { failure });
    }

    pub(crate) fn perform(&mut self, order: Order) -> Answer {
        let port = &mut self.port;
        let result = match order {
            Order::Create(subos, home) => port.create(subos, home).map(|()| Answer::Done),
            Order::GrantLot(subos, size) => port.grant_lot(subos, size).map(Answer::Lot),
            Order::Attach(subos) => {
                let entry = self.director.plan().subos(subos).map_or("", |planned| planned.files.as_str());
                port.attach(subos, entry).map(progress)
            }
            Order::Load(subos) => match self.director.plan().subos(subos) {
                None => Err(Error::EmptySlot),
                Some(planned) => {
                    port.load(subos, &planned.program, &planned.arguments).map(|()| Answer::Done)
                }
            },
            Order::Scrub(subos, when) => port.scrub(subos, when).map(|()| Answer::Done),
            Order::Start(subos) => port.start(subos).map(|()| Answer::Done),
            Order::GrantCore(subos, core) => port.grant_core(subos, core).map(|()| Answer::Done),
            Order::ReclaimCore(subos, core) => {
                let mask = crate::member::bit(core);
                port.reclaim_core(subos, core).map(|done| self.or_lost(done, mask))
            }
            Order::Grant(subos, cores, lots) => port.grant(subos, cores, lots).map(|given| match given {
                Given::All(lots) => Answer::Given(lots),
                Given::Nothing(position, error) => Answer::NotGiven(position, error),
            }),
            Order::Foresee(resize) => self.foresee(&resize).map(Answer::Foreseen),
            Order::ReclaimLot(subos, lot) => port.reclaim_lot(subos, lot).map(progress),
            Order::Share(window) => match self.director.plan().window(window) {
                None => Err(Error::EmptySlot),
                Some(planned) => port.share(planned.between, planned.size).map(Answer::Shared),
            },
            Order::Destroy(subos) => self.destroy(subos),
            Order::Tell(subos, request) => port.tell(subos, request.to_words()).map(|()| Answer::Done),
            Order::Measure(subos, mask) => self.measure(subos, mask),
            Order::Epitaph(subos) => self.epitaph(subos),
            Order::Survey => Snapshot::take(port).map(|now| {
                let changes = self.surveyed.changes(&now);
                self.surveyed = now;
                Answer::Changed(changes)
            }),
            Order::Snapshot => Snapshot::take(port).map(|snapshot| {
                self.before = Some(snapshot);
                Answer::Done
            }),
            Order::Compare => Snapshot::take(port).map(|now| {
                let before = self.before.as_ref();
                let never = || Some("it was never remembered".into());
                Answer::Compared(before.map_or_else(never, |before| before.difference(&now)))
            }),
            Order::Audit => port.audit().map(|report| {
                let wrong = (report.violations > 0).then(|| {
                    format!(
                        "{} violations, the first of kind {} at {:#x}",
                        report.violations, report.first, report.place
                    )
                });
                Answer::Audited(report.entries, wrong)
            }),
            Order::Holdings => self.holdings(),
            Order::Mark(Moment::Begin) => {
                self.say(&News::Watch { at: Moment::Begin });
                self.port.mark(Moment::Begin);
                Ok(Answer::Done)
            }
            Order::Mark(Moment::End) => {
                port.mark(Moment::End);
                self.say(&News::Watch { at: Moment::End });
                Ok(Answer::Done)
            }
            Order::Rest(until) => {
                port.rest(until);
                Ok(Answer::Done)
            }
            Order::Finish(_) => Ok(Answer::Done),
        };
        result.unwrap_or_else(Answer::Refused)
    }

    /// What stands in the way of a resize.
    fn foresee(&mut self, resize: &Resize) -> Result<Option<Obstacle>, Error> {
        let mut infos = [None, None];
        for (info, (holder, part)) in
            infos.iter_mut().zip([(resize.from, Part::Giver), (resize.to, Part::Receiver)])
        {
            let Holder::SubOs(subos) = holder else { continue };
            match self.port.info(subos) {
                Ok(found) => *info = Some(found),
                Err(error) => return Ok(Some(Obstacle { part, why: error.name().into() })),
            }
        }
        let ledger = Snapshot::take(&mut self.port)?;
        let [giver, receiver] = &infos;
        Ok(obstacle(resize, giver.as_ref(), receiver.as_ref(), &ledger))
    }

    /// Says who has what, and where it lies.
    fn holdings(&mut self) -> Result<Answer, Error> {
        let places = self.port.places()?;
        let holdings = Snapshot::take(&mut self.port)?.holdings();
        self.say(&News::Places(places));
        holdings.into_iter().for_each(|(resource, holding)| self.say(&News::Hold { resource, holding }));
        Ok(Answer::Done)
    }

    /// A finished reclaim leaves a core free, or quarantined if it did not answer.
    pub(crate) fn or_lost(&mut self, done: Progress, mask: u64) -> Answer {
        if done == Progress::More {
            return Answer::More;
        }
        let mut lost = Vec::new();
        for core in cores(mask) {
            let entry = self.port.ledger(ResourceKind::Core, u64::from(core.0));
            if entry.is_ok_and(|entry| entry.state == LedgerState::Quarantined) {
                lost.push(core);
            }
        }
        if lost.is_empty() { Answer::Done } else { Answer::Lost(lost) }
    }

    fn destroy(&mut self, subos: SubOsIndex) -> Result<Answer, Error> {
        // What it wrote last is in the ring until the ring goes.
        self.read_console(subos, LAST_READS);
        let mask = self.director.cores_of(subos);
        let done = self.port.destroy(subos)?;
        Ok(self.or_lost(done, mask))
    }

    fn measure(&mut self, subos: SubOsIndex, mask: u64) -> Result<Answer, Error> {
        let mut all = Vec::new();
        for core in cores(mask) {
            let mut activity = Activity::default();
            for which in StatisticsQuestion::ALL {
                activity.take(*which, self.port.statistics(subos, core, *which)?);
            }
            all.push((core, activity));
        }
        Ok(Answer::Activity(all))
    }

    fn epitaph(&mut self, subos: SubOsIndex) -> Result<Answer, Error> {
        let mut bytes = [0; EPITAPH_BYTES];
        let length = self.port.epitaph(subos, &mut bytes)?;
        let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or(&bytes)).into_owned();
        Ok(Answer::Text(text))
    }

    /// Takes in what all subOSes say, a bounded amount of each.
    fn listen(&mut self) {
        for subos in self.director.existing() {
            self.read_console(subos, CONSOLE_READS);
            for _ in 0..RECORDS {
                let Ok(words) = self.port.hear(subos) else { break };
                self.book.hear(&mut self.port, (subos, words));
                if let Ok(heard) = Heard::from_words(&words) {
                    self.director.heard(subos, heard);
                }
            }
        }
        self.tell();
    }

    fn read_console(&mut self, subos: SubOsIndex, reads: usize) {
        let mut bytes = [0; CONSOLE_BYTES];
        for _ in 0..reads {
            let length = self.port.console(subos, &mut bytes).unwrap_or(0);
            let Some(read @ [_, ..]) = bytes.get(..length) else { break };
            let mut line = String::new();
            let name = news::Names::name(self.director.plan(), subos);
            // Writing to a String does not fail.
            let _ = news::write_output(&mut line, name, read);
            self.write(&line);
        }
    }

    /// Tells what the director has to tell.
    fn tell(&mut self) {
        for news in self.director.news() {
            self.say(&news);
        }
    }

    pub(crate) fn say(&mut self, news: &News) {
        let mut line = String::new();
        // Writing to a String does not fail.
        let _ = news::write(&mut line, self.director.plan(), self.port.now(), news);
        self.write(&line);
    }

    fn write(&mut self, line: &str) {
        self.port.write(line);
        if let Some(desk) = &mut self.desk {
            desk.wrote(line);
        }
    }

    /// The operator's server, if there is an operator, for one who calls it in the same process.
    pub fn operator(&mut self) -> Option<OperatorDispatch<Answers<'_, P>>> {
        let desk = self.desk.as_deref()?;
        Some(desk.server(&mut self.director, &mut self.port))
    }

    /// Answers an operator, if there is one.
    fn attend(&mut self) {
        if let Some(desk) = &mut self.desk {
            desk.attend(&mut self.director, &mut self.port);
        }
    }
}

const fn progress(progress: Progress) -> Answer {
    match progress {
        Progress::More => Answer::More,
        Progress::Done => Answer::Done,
    }
}
