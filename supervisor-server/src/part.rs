//! How the director carries out the parts of an operation, and what it makes of the answers.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use idl::dialogue::Request;
use idl::plan::{Chunks, Holder, Holds, LotNumber, Manner, SubOsIndex};
use idl::types::Ticks;

use crate::activity::Sign;
use crate::beat::Turn;
use crate::director::Director;
use crate::member::Life;
use crate::news::{Names, News, Owner};
use crate::order::{Answer, Changes, Order};
use crate::resize::keep;
use crate::task::{Account, Place, Point, Sight, Task, Telling, ask_for, ask_for_core};
use crate::wait::after;

/// How long one part may take in all, in milliseconds: what goes on for longer has failed.
const PART: u64 = 60_000;
/// How long to try to say something to a subOS whose ring is full, in milliseconds.
const SAYING: u64 = 1_000;
/// How long a subOS may take to look at a new lot, or to begin work on a new core, in milliseconds.
const SHOWING: u64 = 60_000;
/// How long to rest between looks, in milliseconds.
const NAP: u64 = 2;

impl Director {
    /// The next order of the operation in hand; `None` when it is at its end.
    pub(crate) fn part(&mut self, now: Ticks) -> Option<Order> {
        loop {
            let task = *self.work.tasks.front()?;
            let since = *self.work.since.get_or_insert(now);
            match task {
                Task::Do(order) => return Some(order),
                Task::TakeCore(subos, core, manner) => {
                    let take = Task::Do(Order::ReclaimCore(subos, core));
                    match manner {
                        Manner::Force => self.work.replace(&[take]),
                        Manner::Ask(patience) => {
                            let until = after(now, u64::from(patience), self.rate);
                            if let Some(member) = self.member_mut(subos) {
                                member.ask_for_core(core, until);
                            }
                            let ask = Task::Do(ask_for_core(subos, core, until));
                            self.work.replace(&[ask, Task::HearOfCore(subos, core, until), take]);
                        }
                    }
                }
                Task::HearOfCore(subos, core, until) => {
                    let member = self.member(subos).filter(|member| member.life == Life::Alive);
                    if now < until && member.is_some_and(|member| !member.has_given(core)) {
                        return Some(Order::Rest(after(now, NAP, self.rate).min(until)));
                    }
                    self.work.pass();
                }
                Task::AskForAll(subos, resize, patience) => self.ask_for_all(now, subos, resize, patience),
                Task::AskForLot(subos, lot, patience, holds) => {
                    if let Some(member) = self.member_mut(subos) {
                        member.forget_report(lot);
                    }
                    let deadline = after(now, u64::from(patience), self.rate);
                    let ask = Task::Do(ask_for(subos, lot, deadline));
                    self.work.replace(&[ask, Task::HearOfLot(subos, lot, deadline, holds)]);
                }
                Task::HearOfLot(subos, lot, until, holds) => {
                    let gone = self.member(subos).is_none_or(|member| member.life != Life::Alive);
                    if now < until && !gone && self.lot_report(subos, lot).is_none() {
                        return Some(Order::Rest(after(now, NAP, self.rate).min(until)));
                    }
                    let used = self.lot_report(subos, lot).unwrap_or(0);
                    if holds == Holds::Data && used == 0 {
                        let name = self.plan.name(subos).to_string();
                        self.fail_part(&format!("{name} did not say that its lot {} holds data", lot.0));
                    } else {
                        self.work.pass();
                    }
                }
                Task::HearOfNewLot(subos) => {
                    let mut reports = self.work.granted.iter().map(|lot| self.lot_report(subos, *lot));
                    match reports.try_fold(0u32, |sum, used| Some(sum.saturating_add(used?))) {
                        Some(0) => self.work.pass(),
                        Some(used) => self.fail_part(&format!(
                            "{} found {used} pages of the lot that were not zero",
                            self.plan.name(subos)
                        )),
                        None if now < after(since, SHOWING, self.rate) => {
                            return Some(Order::Rest(after(now, NAP, self.rate)));
                        }
                        None => {
                            let name = self.plan.name(subos).to_string();
                            self.fail_part(&format!("{name} did not say what the lot holds"));
                        }
                    }
                }
                Task::SeeAsked(window) => match self.not_asked(window) {
                    None => self.work.pass(),
                    Some(_) if now < after(since, SHOWING, self.rate) => {
                        return Some(Order::Rest(after(now, NAP, self.rate)));
                    }
                    Some((late, peer)) => {
                        let (late, peer) = (self.plan.name(late), self.plan.name(peer));
                        self.fail_part(&format!("{late} did not ask for a window to {peer}"));
                    }
                },
                Task::SeeWork(sight) => {
                    let until = sight.until.unwrap_or_else(|| after(now, SHOWING, self.rate));
                    if let Some(front) = self.work.tasks.front_mut() {
                        *front = Task::SeeWork(Sight { until: Some(until), ..sight });
                    }
                    if now >= until {
                        let name = self.plan.name(sight.subos).to_string();
                        let what = match sight.sign {
                            Sign::Anything => "does not work on",
                            Sign::Guests => "runs no programs on",
                            Sign::Timer => "does not let the timer expire on",
                        };
                        self.fail_part(&format!("{name} {what} core {}", sight.core.0));
                        continue;
                    }
                    let mask = self.member(sight.subos).map_or(0, |member| member.ever);
                    return Some(Order::Measure(sight.subos, mask));
                }
                Task::Pause(until) if now < until => return Some(Order::Rest(until)),
                Task::Pause(_) => self.work.pass(),
                Task::Hold(point) => match self.hold(now, point) {
                    Some(order) => return Some(order),
                    None => continue,
                },
                Task::Account(_) => return Some(Order::Survey),
                Task::Rest(milliseconds) => {
                    self.work.replace(&[Task::Pause(after(now, u64::from(milliseconds), self.rate))]);
                }
            }
        }
    }

    /// Holds the operation open: the next order, or none if the hold has ended one way or the other.
    fn hold(&mut self, now: Ticks, point: Point) -> Option<Order> {
        // Who is losing something, in the middle of that, may have threads on a core that has left already.
        let exempt = match point {
            Point::Within(part) => match subos_of(part) {
                Holder::SubOs(subos) => Some(subos),
                Holder::Free => None,
            },
            Point::After(_) | Point::Between => None,
        };
        match self.beat.turn(now, self.rate, &self.members, exempt) {
            Turn::Again(order) => return Some(order),
            Turn::Kept => self.work.pass(),
            Turn::Missed(subos) => {
                let (name, place) = (self.plan.name(subos).to_string(), self.place(point));
                self.fail_part(&format!("{name} missed a beat: it did nothing {place}"));
            }
            Turn::Ended(subos) => {
                let (name, place) = (self.plan.name(subos).to_string(), self.place(point));
                self.fail_part(&format!(
                    "{name}, whose programs must be at work, ended and did nothing {place}"
                ));
            }
        }
        None
    }

    /// A point of the operation, for people.
    fn place(&self, point: Point) -> String {
        match point {
            Point::Within(part) => format!("in the middle of {}{}", describe(part), self.subject(part)),
            Point::After(part) => format!("after {}{}", describe(part), self.subject(part)),
            Point::Between => "while nothing was done".into(),
        }
    }

    /// What a subOS said of this lot.
    fn lot_report(&self, subos: SubOsIndex, lot: LotNumber) -> Option<u32> {
        self.member(subos)?.report(lot)
    }

    /// What came of the order that the part in hand gave.
    pub(crate) fn work_answered(&mut self, now: Ticks, order: Order, answer: Answer) {
        let Some(task) = self.work.tasks.front().copied() else { return };
        let since = self.work.since.unwrap_or(now);
        match task {
            Task::SeeWork(sight) => return self.saw(now, sight),
            Task::Account(account) => return self.accounted(account, answer),
            _ => {}
        }
        if task != Task::Do(order) {
            return;
        }
        match answer {
            Answer::More => {
                if now >= after(since, PART, self.rate) {
                    self.fail_part(&format!("{} does not come to an end", describe(order)));
                } else if self.work.is_open() && self.work.held != Some(order) {
                    self.work.held = Some(order);
                    self.work.interpose(Task::Hold(Point::Within(order)));
                }
            }
            Answer::Refused(caps::Error::Full) if matches!(order, Order::Tell(..)) => {
                if now >= after(since, SAYING, self.rate) || is_late(order, now) {
                    self.work.pass();
                }
            }
            // Who cannot be asked, or measured, is dealt with all the same.
            Answer::Refused(_)
                if matches!(order, Order::Tell(..) | Order::Measure(..) | Order::Epitaph(_)) =>
            {
                self.work.pass();
            }
            Answer::Refused(error) => {
                let who = self.subject(order);
                self.fail_part(&format!("{}{who}: {}", describe(order), error.name()));
            }
            answer => self.done(order, answer),
        }
    }

    /// A subOS was measured: has it done anything since the look before?
    fn saw(&mut self, now: Ticks, sight: Sight) {
        let Sight { subos, core, sign, before, .. } = sight;
        let work = self.member(subos).map_or(0, |member| member.work_on(core, sign));
        match before {
            Some(before) if work > before => {
                if sight.telling == Telling::Told {
                    let step = self.step;
                    self.news.push(News::Busy { subos, core, step, sign, before, after: work });
                }
                self.work.pass();
            }
            _ => {
                let again = Task::SeeWork(Sight { before: Some(work), ..sight });
                self.work.replace(&[Task::Pause(after(now, NAP, self.rate)), again]);
            }
        }
    }

    /// The ledger was looked at: has what the operation says changed hands, and nothing else?
    fn accounted(&mut self, account: Account, answer: Answer) {
        let Answer::Changed(changes) = answer else { return self.fail_part("the ledger cannot be read") };
        if changes.cores != account.cores || changes.chunks.len() as u64 != u64::from(account.chunks) {
            let Changes { cores, chunks } = changes;
            return self.fail_part(&format!(
                "the ledger shows cores {cores:#b} and {} chunks to have changed hands, not {:#b} and {}",
                chunks.len(),
                account.cores,
                account.chunks
            ));
        }
        let fits = match account.place {
            Place::Any => true,
            Place::Same => changes.chunks == self.work.changed,
            Place::LeftBy(killed) => self
                .left
                .get(&killed.0)
                .is_some_and(|left| changes.chunks.iter().all(|chunk| left.contains(chunk))),
        };
        if !fits {
            return self.fail_part("what was granted is not the memory that was taken");
        }
        self.work.changed = changes.chunks;
        self.work.pass();
    }

    /// An order was carried out: what follows from that.
    fn done(&mut self, order: Order, answer: Answer) {
        let mut failure = None;
        match (order, answer) {
            (Order::Create(subos, home), _) => {
                if let Some(member) = self.member_mut(subos) {
                    member.born(home);
                }
                self.tell_memory(subos);
                self.work.undo_with(Order::Destroy(subos));
            }
            (Order::GrantLot(subos, size), Answer::Lot(lot)) => {
                if let Some(member) = self.member_mut(subos) {
                    member.set_lot(lot, Some(size));
                    member.forget_report(lot);
                }
                self.work.granted = Vec::from([lot]);
                self.tell_memory(subos);
            }
            (Order::Start(subos), _) => {
                if let Some(member) = self.member_mut(subos) {
                    member.life = Life::Alive;
                }
            }
            (Order::GrantCore(subos, core), _) => {
                if let Some(member) = self.member_mut(subos) {
                    member.add_core(core);
                }
                self.news.push(News::Own { core, owner: Owner::SubOs(subos) });
            }
            (Order::Tell(subos, request), _) => {
                if let Some(keep) = keep(request) {
                    self.work.undo_with(Order::Tell(subos, keep));
                }
            }
            (Order::Grant(to, cores, sizes), Answer::Given(lots)) => self.all_given(to, cores, sizes, &lots),
            (Order::Grant(_, cores, sizes), Answer::NotGiven(position, error)) => {
                return self.none_given(cores, sizes, position, error);
            }
            (Order::Foresee(resize), Answer::Foreseen(obstacle)) => return self.foreseen(resize, obstacle),
            (Order::ReclaimCore(subos, core), answer) => {
                if let Some(member) = self.member_mut(subos) {
                    member.remove_core(core);
                }
                let lost = matches!(&answer, Answer::Lost(_));
                let owner = if lost { Owner::Lost } else { Owner::Free };
                self.news.push(News::Own { core, owner });
                if lost {
                    failure = Some(format!("core {} does not answer", core.0));
                } else {
                    self.work.undo_with(Order::GrantCore(subos, core));
                }
            }
            (Order::ReclaimLot(subos, lot), _) => {
                let size = self.member(subos).and_then(|member| member.lot(lot));
                if let Some(size) = size.filter(|_| self.work.whole) {
                    self.work.undo_with(Order::GrantLot(subos, size));
                }
                self.lot_taken(subos, lot);
            }
            (Order::Share(window), Answer::Shared(lots)) => {
                let between = self.plan.window(window).map(|planned| planned.between).into_iter().flatten();
                between.zip(lots).for_each(|(side, lot)| self.work.undo_with(Order::ReclaimLot(side, lot)));
                // Before whatever follows the part in hand.
                for tell in self.opened(window, lots) {
                    self.work.tasks.insert(1, Task::Do(tell));
                }
            }
            (Order::Destroy(subos), answer) => failure = self.destroyed(subos, &answer),
            (Order::Epitaph(subos), Answer::Text(text)) => self.news.push(News::Epitaph { subos, text }),
            (Order::Compare, Answer::Compared(difference)) => {
                failure = difference.as_ref().map(|difference| format!("the ledger differs: {difference}"));
                self.news.push(News::Ledger { difference });
            }
            (Order::Audit, Answer::Audited(entries, wrong)) => {
                failure = wrong.as_ref().map(|wrong| format!("the audit failed: {wrong}"));
                self.news.push(News::Audit { entries, wrong });
            }
            _ => {}
        }
        match failure {
            None => self.work.pass(),
            Some(reason) => self.fail_part(&reason),
        }
    }

    /// A lot of a subOS is gone: its own, or its side of a window.
    fn lot_taken(&mut self, subos: SubOsIndex, lot: LotNumber) {
        if self.side_taken(subos, lot) {
            return;
        }
        if let Some(member) = self.member_mut(subos) {
            member.set_lot(lot, None);
        }
        self.tell_memory(subos);
    }

    /// A subOS is gone. The answer is what is wrong with that.
    fn destroyed(&mut self, subos: SubOsIndex, answer: &Answer) -> Option<String> {
        let member = self.member_mut(subos)?;
        let (had, did, processes) = (member.cores, member.activity.clone(), member.processes);
        let work = member.work.clone();
        member.gone();
        self.sides_gone(subos);
        for (core, activity) in did {
            self.news.push(News::Stat { subos, core, activity });
        }
        for (core, processes, calls) in work {
            self.news.push(News::Work { subos, core, processes, calls });
        }
        if processes > 0 {
            self.news.push(News::Processes { subos, started: processes });
        }
        let lost = match answer {
            Answer::Lost(cores) => cores.as_slice(),
            _ => &[],
        };
        for core in crate::member::cores(had) {
            let owner = if lost.contains(&core) { Owner::Lost } else { Owner::Free };
            self.news.push(News::Own { core, owner });
        }
        self.tell_memory(subos);
        lost.first().map(|core| format!("core {} does not answer", core.0))
    }

    pub(crate) fn tell_memory(&mut self, subos: SubOsIndex) {
        let chunks = self.member(subos).map_or(Chunks(0), crate::member::Member::chunks);
        self.news.push(News::Mem { subos, chunks });
    }

    pub(crate) fn fail_part(&mut self, reason: &str) {
        self.work.fail(reason.into());
    }

    /// Whom an order is about, for people.
    fn subject(&self, order: Order) -> String {
        if let Order::Share(window) = order
            && let Some(planned) = self.plan.window(window)
        {
            let [one, other] = planned.between.map(|side| self.plan.name(side));
            return format!(" ({one}, {other})");
        }
        match subos_of(order) {
            Holder::Free => String::new(),
            Holder::SubOs(subos) => format!(" ({})", self.plan.name(subos)),
        }
    }
}

/// Whether an order asks for something by a time that has come: then it is too late to ask.
const fn is_late(order: Order, now: Ticks) -> bool {
    match order {
        Order::Tell(_, Request::GiveCore { deadline, .. } | Request::GiveLot { deadline, .. }) => {
            now.0 >= deadline.0
        }
        _ => false,
    }
}

pub(crate) const fn subos_of(order: Order) -> Holder {
    match order {
        Order::Create(subos, _)
        | Order::GrantLot(subos, _)
        | Order::Attach(subos)
        | Order::Load(subos)
        | Order::Start(subos)
        | Order::GrantCore(subos, _)
        | Order::ReclaimCore(subos, _)
        | Order::ReclaimLot(subos, _)
        | Order::Grant(subos, ..)
        | Order::Scrub(subos, _)
        | Order::Destroy(subos)
        | Order::Tell(subos, _)
        | Order::Measure(subos, _)
        | Order::Epitaph(subos) => Holder::SubOs(subos),
        Order::Share(_)
        | Order::Foresee(_)
        | Order::Survey
        | Order::Snapshot
        | Order::Compare
        | Order::Audit
        | Order::Holdings
        | Order::Mark(_)
        | Order::Rest(_)
        | Order::Finish(_) => Holder::Free,
    }
}

pub(crate) fn describe(order: Order) -> String {
    match order {
        Order::Create(_, home) => format!("making a subOS with a home lot of {} chunks", home.0),
        Order::GrantLot(_, size) => format!("granting a lot of {} chunks", size.0),
        Order::Attach(_) => "handing over the files".into(),
        Order::Load(_) => "loading the program".into(),
        Order::Start(_) => "starting".into(),
        Order::GrantCore(_, core) => format!("granting core {}", core.0),
        Order::ReclaimCore(_, core) => format!("taking core {}", core.0),
        Order::ReclaimLot(_, lot) => format!("taking lot {}", lot.0),
        Order::Foresee(_) => "looking whether it can be done".into(),
        Order::Grant(..) => "granting all of it".into(),
        Order::Scrub(..) => "saying when its memory is cleared".into(),
        Order::Share(_) => "opening a window".into(),
        Order::Destroy(_) => "destroying".into(),
        Order::Tell(..) => "telling".into(),
        Order::Measure(..) => "measuring".into(),
        Order::Epitaph(_) => "reading the epitaph".into(),
        Order::Survey => "looking who has what".into(),
        Order::Snapshot => "remembering the ledger".into(),
        Order::Compare => "comparing the ledger".into(),
        Order::Audit => "auditing".into(),
        Order::Holdings => "saying who has what".into(),
        Order::Mark(_) => "marking".into(),
        Order::Rest(_) | Order::Finish(_) => String::new(),
    }
}
