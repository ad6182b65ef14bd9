//! How a supervisor goes on that was started after the one before had crashed.
//!
//! The notes say what that one was about to do, the ledger and its keeper's table what there is. Where the two differ, the
//! latter is true: [`Facts`]. An order that was in flight and is true already is taken as answered ([`already`]); one that is
//! half true is given once more, since the machine goes on with it. Without notes that can be believed, everything that is
//! found is taken back, and the run has failed.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use caps::Error;
use idl::dialogue::Heard;
use idl::kernel::subos::SubOsInfo;
use idl::plan::{Chunks, LotNumber, Plan, SubOsIndex, WindowIndex};
use idl::slots::ROOT_LOTS;
use idl::types::{Progress, SubOsState};
use serde::{Deserialize, Serialize};

use crate::director::Director;
use crate::ledger::Snapshot;
use crate::member::{Life, bit};
use crate::news::{Names, News};
use crate::notes::{Book, Found, Said};
use crate::order::{Answer, Order};
use crate::perform::Supervisor;
use crate::port::MachinePort;
use crate::task::changes;

/// A sheet of the notes, to write.
#[derive(Serialize)]
struct Sheet<'a> {
    in_flight: Order,
    before: &'a Option<Snapshot>,
    surveyed: &'a Snapshot,
    director: &'a Director,
}

/// A sheet of the notes, as it is read.
#[derive(Deserialize)]
struct Noted {
    in_flight: Order,
    before: Option<Snapshot>,
    surveyed: Snapshot,
    director: Director,
}

/// What there is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    ledger: Snapshot,
    /// Of each subOS of the plan.
    suboses: Vec<Option<SubOsInfo>>,
}

impl Facts {
    fn gather(port: &mut impl MachinePort, plan: &Plan) -> Result<Self, Error> {
        let suboses: Result<_, _> =
            (0u8..).take(plan.suboses.len()).map(|index| port.found(SubOsIndex(index))).collect();
        Ok(Self { suboses: suboses?, ledger: Snapshot::take(port)? })
    }

    fn of(&self, subos: SubOsIndex) -> Option<SubOsInfo> {
        self.suboses.get(usize::from(subos.0)).copied().flatten()
    }

    fn count(&self) -> usize {
        self.suboses.iter().flatten().count()
    }

    /// The lots that the ledger shows it to have: its own, and those sides of windows of which it shows it as the owner.
    fn lots(&self, subos: SubOsIndex) -> BTreeMap<u32, u32> {
        self.of(subos).map_or_else(BTreeMap::new, |info| self.ledger.lots_of(info.number))
    }
}

impl<P: MachinePort> Supervisor<P> {
    /// Finds out whether there was a supervisor before, and takes up its work. The answer is the order that was in flight,
    /// with what came of it.
    pub(crate) fn take_up(&mut self) -> Option<(Order, Answer)> {
        let (book, found) = Book::open(&mut self.port);
        self.book = book;
        let facts = match Facts::gather(&mut self.port, self.director.plan()) {
            Ok(facts) => facts,
            Err(error) => {
                self.fall_back(
                    Facts::default(),
                    &format!("what there is cannot be found out: {}", error.name()),
                );
                return None;
            }
        };
        let reason = match found {
            Found::Nothing if facts.count() == 0 => {
                self.introduce();
                return None;
            }
            Found::Nothing => "there are subOSes, and nobody has noted why".into(),
            Found::Damaged(reason) => reason,
            Found::Sheet(sheet, said) => {
                match self.read(&sheet).and_then(|noted| self.go_on(noted, &facts, said)) {
                    Ok(in_flight) => return in_flight,
                    Err(reason) => reason,
                }
            }
        };
        self.fall_back(facts, &format!("the notes of the supervisor before are damaged: {reason}"));
        None
    }

    /// Writes down what is about to be done.
    pub(crate) fn note(&mut self, in_flight: Order) {
        let Self { port, director, before, surveyed, book, sheet: body, .. } = self;
        body.resize(crate::notes::ROOM, 0);
        let whole = Sheet { in_flight, before, surveyed, director };
        if let Ok(written) = postcard::to_slice(&whole, body) {
            // It fits: it was written into as much room.
            let _ = book.write(port, written);
            return;
        }
        // Too much for a sheet. What was measured can do without.
        let director = &director.without_measurements();
        let short = Sheet { in_flight, before, surveyed, director };
        // An empty sheet cannot be read, and says so: better than an old one that could.
        let written = postcard::to_slice(&short, body).map_or(&[][..], |written| written);
        let _ = book.write(port, written);
    }

    fn read(&self, sheet: &[u8]) -> Result<Noted, String> {
        let plan = self.director.plan();
        let (noted, rest) = postcard::take_from_bytes::<Noted>(sheet).map_err(|error| error.to_string())?;
        let director = &noted.director;
        if !rest.is_empty() {
            return Err("something follows what is noted".into());
        }
        if director.members.len() != plan.suboses.len()
            || director.windows.len() != plan.windows.len()
            || director.step > plan.steps.len()
        {
            return Err("they are of another plan".into());
        }
        Ok(noted)
    }

    /// Takes the notes for what was meant, unless what there is cannot have come of it.
    fn go_on(
        &mut self,
        noted: Noted,
        facts: &Facts,
        said: Vec<Said>,
    ) -> Result<Option<(Order, Answer)>, String> {
        let Noted { in_flight, before, surveyed, director } = noted;
        let (plan, rate) = (core::mem::take(&mut self.director.plan), self.director.rate);
        self.director = director;
        (self.director.plan, self.director.rate) = (plan, rate);
        // As when the newer sheet was damaged after its order had been carried out.
        let mut all = (0u8..).map(SubOsIndex).take(self.director.members.len());
        if let Some(subos) = all.find(|subos| !self.director.fits(*subos, in_flight, facts)) {
            let name = self.director.plan().name(subos);
            return Err(format!("what there is of {name} cannot have come of them"));
        }
        (self.before, self.surveyed) = (before, surveyed);
        let already = already(in_flight, facts, &self.director);
        self.director.adopt(in_flight, facts);
        self.director.resume();
        for (subos, words) in said {
            if let Ok(heard) = Heard::from_words(&words) {
                self.director.heard(subos, heard);
            }
        }
        let state = match already {
            _ if !changes(in_flight) => "nothing was under way",
            Some(_) => "it is done",
            None => "it is gone on with",
        };
        let order = crate::part::describe(in_flight);
        let step = self.director.step;
        self.say(&News::Resumed { step, found: facts.count(), order, state });
        if !changes(in_flight) {
            return Ok(None);
        }
        let answer = match already {
            Some(Answer::Done) => self.or_lost(Progress::Done, self.director.cores_in(in_flight)),
            Some(answer) => answer,
            None => again(in_flight, self.perform(in_flight)),
        };
        Ok(Some((in_flight, answer)))
    }

    /// Without notes: takes back what there is. The ledger of the beginning is the one without it.
    fn fall_back(&mut self, facts: Facts, reason: &str) {
        let (plan, rate) = (core::mem::take(&mut self.director.plan), self.port.ticks_per_second());
        self.director = Director::new(plan, rate);
        self.director.adopt(Order::Survey, &facts);
        self.say(&News::Resumed {
            step: self.director.step,
            found: facts.count(),
            order: String::new(),
            state: "everything is taken back",
        });
        self.before = Some(facts.ledger.without_suboses());
        self.director.fail(reason.into());
        self.director.end_if_failed();
    }
}

/// What an order that was in flight is answered with if the ledger shows that it was carried out.
fn already(order: Order, facts: &Facts, director: &Director) -> Option<Answer> {
    let state = |subos| facts.of(subos).map(|info| info.state);
    let done = |is: bool| is.then_some(Answer::Done);
    match order {
        Order::Create(subos, _) => done(facts.of(subos).is_some()),
        Order::Destroy(subos) => done(facts.of(subos).is_none()),
        Order::Load(subos) => done(matches!(state(subos), Some(SubOsState::Loaded | SubOsState::Running))),
        Order::Start(subos) => done(state(subos) == Some(SubOsState::Running)),
        Order::GrantCore(subos, core) => done(facts.of(subos)?.cores & bit(core) != 0),
        Order::ReclaimCore(subos, core) => done(facts.of(subos)?.cores & bit(core) == 0),
        Order::GrantLot(subos, _) => director.new_lots(subos, facts).first().copied().map(Answer::Lot),
        Order::Grant(subos, cores, sizes) => {
            // All of it was granted or nothing: any part tells.
            let lots = director.new_lots(subos, facts);
            let wanted = sizes.iter().filter(|size| size.0 > 0).count();
            let granted = facts.of(subos)?.cores & cores == cores && lots.len() == wanted;
            granted.then_some(Answer::Given(lots))
        }
        Order::ReclaimLot(subos, lot) => {
            // Of the other's side of a window the ledger says nothing: whoever takes what is not there is told.
            let noted = director.member(subos)?.lot(lot).is_some();
            done(noted && !facts.lots(subos).contains_key(&u32::from(lot.0)))
        }
        Order::Share(window) => {
            let [one, other] = director.plan_of(window)?;
            let lot = director.new_lots(one, facts).first().copied()?;
            Some(Answer::Shared([lot, director.next_lot(other)?]))
        }
        // Whoever attaches what is attached is told, and what is said twice is the same. The others change nothing.
        Order::Attach(_)
        | Order::Tell(..)
        | Order::Foresee(_)
        | Order::Scrub(..)
        | Order::Measure(..)
        | Order::Epitaph(_)
        | Order::Survey
        | Order::Snapshot
        | Order::Compare
        | Order::Audit
        | Order::Holdings
        | Order::Mark(_)
        | Order::Rest(_)
        | Order::Finish(_) => None,
    }
}

/// What the answer to an order that is given once more means: a refusal may say that it was carried out before.
fn again(order: Order, answer: Answer) -> Answer {
    match (order, answer) {
        (Order::Attach(_), Answer::Refused(Error::WrongState))
        | (Order::ReclaimLot(..) | Order::ReclaimCore(..), Answer::Refused(Error::NotOwner)) => Answer::Done,
        (_, answer) => answer,
    }
}

impl Director {
    /// Whether what there is of a subOS is what was noted, but for what the order in flight changes.
    fn fits(&self, subos: SubOsIndex, in_flight: Order, facts: &Facts) -> bool {
        let Some(member) = self.member(subos) else { return false };
        let about = |other: SubOsIndex| other == subos;
        let info = match facts.of(subos) {
            None => return !member.exists() || matches!(in_flight, Order::Destroy(it) if about(it)),
            Some(_) if !member.exists() => return matches!(in_flight, Order::Create(it, _) if about(it)),
            Some(info) => info,
        };
        let starts = matches!(in_flight, Order::Start(it) if about(it));
        let life = match info.state {
            SubOsState::Created | SubOsState::Loaded => member.life == Life::Building,
            SubOsState::Running => member.life != Life::Building || starts,
            // It may have died, or begun to go, whatever is under way.
            SubOsState::Condemned | SubOsState::Dying => return true,
        };
        let (cores, lots) = match in_flight {
            Order::GrantCore(it, core) | Order::ReclaimCore(it, core) if about(it) => (bit(core), false),
            Order::GrantLot(it, _) | Order::ReclaimLot(it, _) if about(it) => (0, true),
            Order::Grant(it, cores, _) if about(it) => (cores, true),
            Order::Share(window) => (0, self.plan_of(window).is_some_and(|sides| sides.contains(&subos))),
            _ => (0, false),
        };
        let noted: Vec<u32> =
            numbers().filter(|lot| member.lot(*lot).is_some()).map(|lot| lot.0.into()).collect();
        let sides = self.lots_of_windows(subos);
        let own =
            facts.lots(subos).into_keys().filter(|lot| !sides.iter().any(|side| u32::from(side.0) == *lot));
        life && (info.cores ^ member.cores) & !cores == 0 && (lots || own.eq(noted))
    }

    /// Takes what there is for true. What the order in flight is about comes with its answer.
    fn adopt(&mut self, in_flight: Order, facts: &Facts) {
        for index in (0u8..).map(SubOsIndex).take(self.members.len()) {
            let comes = matches!(in_flight, Order::Create(subos, _) if subos == index);
            let goes = matches!(in_flight, Order::Destroy(subos) if subos == index);
            if let Some(info) = facts.of(index)
                && !comes
                && !goes
            {
                self.adopt_one(index, info, in_flight, facts);
            }
        }
    }

    fn adopt_one(&mut self, subos: SubOsIndex, info: SubOsInfo, in_flight: Order, facts: &Facts) {
        let sides = self.lots_of_windows(subos);
        let granted = match in_flight {
            Order::GrantLot(to, _) | Order::Grant(to, ..) => to == subos,
            Order::Share(window) => self.plan_of(window).is_some_and(|sides| sides.contains(&subos)),
            _ => false,
        };
        let Some(member) = self.member_mut(subos) else { return };
        if !member.exists() {
            member.life = if info.state == SubOsState::Running { Life::Alive } else { Life::Building };
        }
        if info.state == SubOsState::Condemned {
            (member.life, member.condemned) = (Life::Dead, true);
        }
        (member.cores, member.ever) = (info.cores, member.ever | info.cores);
        let lots = facts.lots(subos);
        for number in numbers() {
            let size = lots.get(&u32::from(number.0)).copied().map(Chunks);
            // What was granted by the order in flight is told of when that is answered.
            let awaited = granted && member.lot(number).is_none();
            if !sides.contains(&number) && !awaited {
                member.set_lot(number, size);
            }
        }
    }

    /// Between whom a window is.
    fn plan_of(&self, window: WindowIndex) -> Option<[SubOsIndex; 2]> {
        self.plan.window(window).map(|planned| planned.between)
    }

    /// The lots that the ledger shows a subOS to have and nobody has noted, in the order of their numbers, which is that in
    /// which they were granted.
    fn new_lots(&self, subos: SubOsIndex, facts: &Facts) -> Vec<LotNumber> {
        let Some(member) = self.member(subos) else { return Vec::new() };
        let sides = self.lots_of_windows(subos);
        let lots = facts.lots(subos).into_keys().filter_map(|lot| u8::try_from(lot).ok().map(LotNumber));
        lots.filter(|lot| member.lot(*lot).is_none() && !sides.contains(lot)).collect()
    }

    /// The number that the next lot of a subOS gets: the lowest that is free.
    fn next_lot(&self, subos: SubOsIndex) -> Option<LotNumber> {
        let (member, sides) = (self.member(subos)?, self.lots_of_windows(subos));
        numbers().find(|lot| member.lot(*lot).is_none() && !sides.contains(lot))
    }

    /// The cores that an order takes.
    fn cores_in(&self, order: Order) -> u64 {
        match order {
            Order::ReclaimCore(_, core) => bit(core),
            Order::Destroy(subos) => self.cores_of(subos),
            _ => 0,
        }
    }

    /// Begins anew what was only looked at.
    fn resume(&mut self) {
        self.work.since = None;
        self.beat.resume();
    }

    /// The same without what was measured of subOSes that are not about to go.
    fn without_measurements(&self) -> Box<Self> {
        let mut short = Box::new(self.clone());
        for member in &mut short.members {
            member.activity = Vec::new();
        }
        short
    }
}

/// Every number that a lot can have.
fn numbers() -> impl Iterator<Item = LotNumber> {
    (0..ROOT_LOTS).filter_map(|number| u8::try_from(number).ok()).map(LotNumber)
}
