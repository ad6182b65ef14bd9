//! Turmoil: subOSes are made, resized, given windows, killed and ended, in an order that a seed decides, while all of them work
//! with all that they have, some honestly and some not. The answers must agree with what the ledger says, nobody may be
//! condemned, a witness that nothing is done to goes on, and in the end everything is back where it was.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use idl::event::Event;
use idl::kernel::subos::SharedLots;
use idl::types::{Chunks, CoreNumber, LedgerState, LotNumber, MachineQuestion, Progress, SubOsState, Ticks};
use userlib::cap::complete;
use userlib::{Error, check, check_eq, environment, println, slots, time};

use crate::abroad::epitaph;
use crate::adversaries::Witness;
use crate::steward::{Child, audit, compare, ledger, state_of};
use crate::suboses::Random;
use crate::wards::LOT;
use crate::{Outcome, PATIENCE, said};

/// The first word of the arguments of a program that is to do this.
pub const NAME: &str = "turmoil";

/// What somebody is, how many chunks it needs at home, and whether a fault of its threads is a mistake of the kernel's: not
/// if they use lots or windows, which are taken from under them.
const KINDS: &[(&str, u32, Faults)] = &[
    ("moves/work", 16, Faults::Wrong),
    ("suboses/count", 8, Faults::Wrong),
    ("suboses/talk", 4, Faults::Expected),
    ("suboses/settle", 8, Faults::Expected),
    ("tenants/tenant", 4, Faults::Expected),
    ("hostiles/never_yields", 16, Faults::Expected),
    ("hostiles/tries_everything", 16, Faults::Expected),
    ("hostiles/floods", 16, Faults::Expected),
    ("hostiles/fills_every_table", 16, Faults::Expected),
    ("hostiles/forks_capabilities", 16, Faults::Expected),
    ("hostiles/keeps_its_lock_hot", 16, Faults::Expected),
    ("hostiles/maps_everything", 16, Faults::Expected),
    ("hostiles/removes_without_end", 16, Faults::Expected),
    ("hostiles/hides_in_messages", 16, Faults::Expected),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Faults {
    Wrong,
    Expected,
}

/// SubOSes at a time, besides the supervisor and the witness.
const CROWD: usize = 6;
/// Operations from one look at the whole machine to the next, and from one look at the witness to the next.
const AUDITED: u64 = 100;
const WITNESSED: u64 = 10;

/// Plays as many operations as the arguments say, from the seed that they say.
pub fn preside() -> Outcome {
    let number = |key: &str| {
        let value = environment().argument(key).unwrap_or("");
        value.parse::<u64>().map_err(|_| format!("no number {key} in {:?}", environment().arguments()))
    };
    let (seed, operations) = (number("seed")?, number("ops")?);
    let before = ledger()?;
    let mut world = World::new(seed)?;
    for done in 1..=operations {
        world.operation(done).map_err(|error| format!("operation {done} of seed {seed}: {error}"))?;
    }
    world.end()?;
    let end = time::after(PATIENCE);
    while compare(&before).is_err() && time::now().0 < end.0 {
        // Whose capability was deleted ends in passing.
        time::sleep(Duration::from_millis(1));
    }
    audit()?;
    compare(&before)
}

/// One of them, with what it should have.
struct Subject {
    child: Child,
    name: &'static str,
    faults: Faults,
    cores: u64,
    home: u32,
    lots: Vec<(LotNumber, u32)>,
}

/// Something that was begun and not ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Undone {
    Core(u32),
    Lot(LotNumber),
}

struct World {
    random: Random,
    cores: u32,
    witness: Witness,
    subjects: Vec<Subject>,
    /// Whose capability the operation is about, and what is not at its end.
    undone: Vec<(userlib::Handle, Undone)>,
    dying: Vec<Child>,
    done: [u64; OPERATIONS.len()],
}

/// The operations, with how often each is drawn, of all the weights together, and what it is called.
type Operation = fn(&mut World) -> Outcome;
const OPERATIONS: [(u32, &str, Operation); 14] = [
    (10, "create", World::create),
    (4, "destroy", World::destroy),
    (2, "begin_destroy", World::begin_destroy),
    (1, "orphan", World::orphan),
    (16, "grant_core", World::grant_core),
    (10, "take_core", World::take_core),
    (3, "ask_core", World::ask_core),
    (5, "grant_several", World::grant_several),
    (10, "grant_lot", World::grant_lot),
    (8, "take_lot", World::take_lot),
    (5, "begin_to_take", World::begin_to_take),
    (8, "share", World::share),
    (12, "go_on", World::go_on),
    (6, "say", World::say),
];

/// The places of two of them.
const CREATE: usize = 0;
const GO_ON: usize = 12;

impl World {
    fn new(seed: u64) -> Result<Self, String> {
        let totals = environment().machine().info(MachineQuestion::Totals).map_err(said("info"))?;
        Ok(Self {
            // A generator of this kind never leaves zero.
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            cores: u32::try_from(totals[0]).unwrap_or(1),
            witness: Witness::new()?,
            subjects: Vec::new(),
            undone: Vec::new(),
            dying: Vec::new(),
            done: [0; OPERATIONS.len()],
        })
    }

    /// One operation, drawn; and all that is looked at after some of them.
    fn operation(&mut self, number: u64) -> Outcome {
        let all = OPERATIONS.iter().map(|(weight, ..)| weight).sum();
        let mut drawn = self.random.below(all);
        let position = OPERATIONS.iter().position(|(weight, ..)| match drawn.checked_sub(*weight) {
            Some(left) => {
                drawn = left;
                false
            }
            None => true,
        });
        // Most are about somebody, and while as many as can be are on their way out nobody is made.
        let position = match (self.subjects.len(), self.dying.len()) {
            (0, CROWD..) => GO_ON,
            (0, _) => CREATE,
            _ => position.unwrap_or(CREATE),
        };
        let (_, name, perform) = OPERATIONS[position];
        perform(self).map_err(|error| format!("{name}: {error}{}", self.epitaphs()))?;
        self.done[position] += 1;
        self.subjects.iter().try_for_each(Subject::hear)?;
        if number.is_multiple_of(WITNESSED) {
            self.witness.goes_on()?;
        }
        if number.is_multiple_of(AUDITED) {
            self.subjects.iter().try_for_each(|subject| self.account(subject))?;
            audit()?;
            self.tell(number);
        }
        Ok(())
    }

    /// Says how far it is. On a machine whose clock counts instructions this is the same in every run of a seed.
    fn tell(&self, number: u64) {
        let done: Vec<String> =
            OPERATIONS.iter().zip(self.done).map(|((_, name, _), count)| format!("{name}={count}")).collect();
        println!("@turmoil operations={number} at={} {}", time::now().0, done.join(" "));
    }

    /// What the kernels of those said that died.
    fn epitaphs(&self) -> String {
        let subjects = self.subjects.iter().map(|subject| (subject.name, &subject.child));
        let all = subjects.chain(self.dying.iter().map(|child| ("one on its way out", child)));
        let last = all.filter_map(|(name, child)| Some(format!("; {name}: {}", epitaph(child.subos).ok()?)));
        last.collect()
    }

    /// Somebody has what was given to it and not taken.
    fn account(&self, subject: &Subject) -> Outcome {
        let handle = subject.child.subos.handle();
        if self.undone.iter().any(|(whose, _)| *whose == handle) {
            return Ok(());
        }
        let info = subject.child.subos.info().map_err(said("info"))?;
        let chunks = subject.home + subject.lots.iter().map(|(_, chunks)| chunks).sum::<u32>();
        let Subject { name, cores, .. } = subject;
        let had = (info.state, info.cores, info.chunks);
        check!(
            had == (SubOsState::Running, *cores, Chunks(chunks)),
            "{name} has {had:?}, not {cores:#b}, {chunks}"
        );
        Ok(())
    }

    fn one(&mut self) -> usize {
        self.random.index(self.subjects.len())
    }

    /// A core that is neither the supervisor's nor the witness's.
    fn core(&mut self) -> u32 {
        2 + self.random.below(self.cores - 2)
    }

    fn create(&mut self) -> Outcome {
        if self.subjects.len() + self.dying.len() >= CROWD {
            return Ok(());
        }
        let (name, home, faults) = KINDS[self.random.index(KINDS.len())];
        let child = Child::new(name, home)?;
        self.subjects.push(Subject { child, name, faults, cores: 0, home, lots: Vec::new() });
        let index = self.subjects.len() - 1;
        // Most have a core when they start, and some have to wait for it.
        for _ in 0..self.random.below(3) {
            let core = self.core();
            self.give_core(index, core)?;
        }
        self.subjects[index].child.subos.start().map_err(said("start"))
    }

    fn remove_one(&mut self) -> Child {
        let index = self.one();
        let child = self.subjects.swap_remove(index).child;
        self.undone.retain(|(whose, _)| *whose != child.subos.handle());
        child
    }

    fn destroy(&mut self) -> Outcome {
        self.remove_one().destroy()
    }

    /// One step, and no more for now.
    fn begin_destroy(&mut self) -> Outcome {
        let child = self.remove_one();
        match child.subos.destroy().map_err(said("destroy"))? {
            Progress::More => self.dying.push(child),
            Progress::Done => release(&child)?,
        }
        Ok(())
    }

    /// Nobody has its capability any more.
    fn orphan(&mut self) -> Outcome {
        let child = self.remove_one();
        slots::delete(child.subos.handle()).map_err(said("delete"))?;
        slots::delete(child.bell.handle()).map_err(said("delete"))
    }

    fn grant_core(&mut self) -> Outcome {
        let (index, core) = (self.one(), self.core());
        self.give_core(index, core)
    }

    /// A core is given exactly if the ledger says that it is free.
    fn give_core(&mut self, index: usize, core: u32) -> Outcome {
        let before = state_of(core)?;
        match self.subjects[index].child.subos.grant_core(CoreNumber(core)) {
            Ok(()) => {
                self.subjects[index].cores |= 1 << core;
                Ok(())
            }
            Err(Error::NoResource) if before != LedgerState::Free => Ok(()),
            Err(error) => Err(format!("core {core}, which was {before:?}: {error}")),
        }
    }

    /// Takes a core, of whoever has it or of somebody else.
    fn take_core(&mut self) -> Outcome {
        let (index, core) = (self.one(), self.core());
        let subject = &mut self.subjects[index];
        let took = complete(|| subject.child.subos.reclaim_core(CoreNumber(core), Ticks(0)));
        self.took_core(index, core, took.map(|()| Progress::Done))
    }

    fn took_core(&mut self, index: usize, core: u32, took: Result<Progress, Error>) -> Outcome {
        let handle = self.subjects[index].child.subos.handle();
        let known = (handle, Undone::Core(core));
        let (had, begun) = (self.subjects[index].cores & 1 << core != 0, self.undone.contains(&known));
        match took {
            Ok(progress) if had || begun => {
                self.subjects[index].cores &= !(1 << core);
                self.undone.retain(|undone| *undone != known);
                if progress == Progress::More {
                    self.undone.push(known);
                }
                Ok(())
            }
            Err(Error::NotOwner) if !had && !begun => Ok(()),
            other => Err(format!("core {core}, had {had}, begun {begun}: {other:?}")),
        }
    }

    /// Asks for a core first, until a time that comes soon.
    fn ask_core(&mut self) -> Outcome {
        let (index, core) = (self.one(), self.core());
        let at = Ticks(time::after(Duration::from_micros(u64::from(self.random.below(900)))).0);
        let subject = &mut self.subjects[index];
        let took = complete(|| subject.child.subos.reclaim_core(CoreNumber(core), at));
        self.took_core(index, core, took.map(|()| Progress::Done))
    }

    /// A core and two lots, or nothing.
    fn grant_several(&mut self) -> Outcome {
        let (index, core) = (self.one(), self.core());
        let chunks = [1 + self.random.below(2), 1 + self.random.below(3)];
        let before = state_of(core)?;
        let subject = &mut self.subjects[index];
        let granted = subject.child.subos.grant(1 << core, Chunks(chunks[0]), Chunks(chunks[1]), Chunks(0));
        let granted = granted.map_err(said("grant"))?;
        check_eq!(granted.refused == 1, before != LedgerState::Free);
        if granted.refused == 0 {
            subject.cores |= 1 << core;
            subject.lots.extend([(granted.first, chunks[0]), (granted.second, chunks[1])]);
        }
        Ok(())
    }

    fn grant_lot(&mut self) -> Outcome {
        let (index, chunks) = (self.one(), 1 + self.random.below(4));
        let subject = &mut self.subjects[index];
        match subject.child.subos.grant_lot(Chunks(chunks)) {
            Ok(lot) => subject.lots.push((lot, chunks)),
            // Its table of roots is full, or so is the machine.
            Err(Error::NoResource) => {}
            Err(error) => return Err(format!("{error}")),
        }
        Ok(())
    }

    /// Takes a lot, a side of a window perhaps; or tries to take the home lot.
    fn take_lot(&mut self) -> Outcome {
        let index = self.one();
        let lots = self.subjects[index].lots.len();
        let which = self.random.index(lots);
        let subject = &mut self.subjects[index];
        if lots == 0 {
            check_eq!(subject.child.subos.reclaim_lot(LotNumber(0)), Err(Error::HomeLot));
            return Ok(());
        }
        let (lot, _) = subject.lots.swap_remove(which);
        subject.child.take_lot(lot)
    }

    /// One step of taking a core or a lot, and no more for now.
    fn begin_to_take(&mut self) -> Outcome {
        let (index, core) = (self.one(), self.core());
        if self.random.below(2) == 0 {
            let took = self.subjects[index].child.subos.reclaim_core(CoreNumber(core), Ticks(0));
            return self.took_core(index, core, took);
        }
        let Some((lot, _)) = self.subjects[index].lots.pop() else { return Ok(()) };
        let subos = self.subjects[index].child.subos;
        if subos.reclaim_lot(lot).map_err(said("reclaim_lot"))? == Progress::More {
            self.undone.push((subos.handle(), Undone::Lot(lot)));
        }
        Ok(())
    }

    /// A window between two.
    fn share(&mut self) -> Outcome {
        let (one, other) = (self.one(), self.one());
        let chunks = 1 + self.random.below(3);
        let peer = self.subjects[other].child.subos.handle();
        match self.subjects[one].child.subos.share(peer, Chunks(chunks)) {
            Ok(SharedLots { lot, peer }) if one != other => {
                self.subjects[one].lots.push((lot, chunks));
                self.subjects[other].lots.push((peer, chunks));
                Ok(())
            }
            Err(Error::InvalidArgument) if one == other => Ok(()),
            Err(Error::NoResource) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }

    /// A step of what was begun, or to its end.
    fn go_on(&mut self) -> Outcome {
        if !self.dying.is_empty() && self.random.below(2) == 0 {
            let index = self.random.index(self.dying.len());
            if self.dying[index].subos.destroy().map_err(said("destroy"))? == Progress::Done {
                release(&self.dying.swap_remove(index))?;
            }
            return Ok(());
        }
        if self.undone.is_empty() {
            return Ok(());
        }
        let which = self.random.index(self.undone.len());
        let (whose, what) = self.undone[which];
        let subject = self.subjects.iter().find(|subject| subject.child.subos.handle() == whose);
        let subos = subject.ok_or("nobody's")?.child.subos;
        let step = || match what {
            Undone::Core(core) => subos.reclaim_core(CoreNumber(core), Ticks(0)),
            Undone::Lot(lot) => subos.reclaim_lot(lot),
        };
        let progress =
            if self.random.below(2) == 0 { step() } else { complete(step).map(|()| Progress::Done) };
        if progress.map_err(said("a step"))? == Progress::Done {
            self.undone.swap_remove(which);
        }
        Ok(())
    }

    /// Words that some understand, and time for everybody.
    fn say(&mut self) -> Outcome {
        let (index, word) = (self.one(), 30 + u64::from(self.random.below(12)));
        let _ = self.subjects[index].child.subos.send(word, 1, 1, 0, 0);
        time::sleep(Duration::from_micros(u64::from(self.random.below(1500))));
        Ok(())
    }

    /// Everything that was begun comes to its end, and so does everybody.
    fn end(mut self) -> Outcome {
        self.witness.goes_on()?;
        for (whose, what) in core::mem::take(&mut self.undone) {
            let subject = self.subjects.iter().find(|subject| subject.child.subos.handle() == whose);
            match (subject.ok_or("nobody's")?, what) {
                (subject, Undone::Core(core)) => subject.child.take_core(core)?,
                (subject, Undone::Lot(lot)) => subject.child.take_lot(lot)?,
            }
        }
        self.subjects.iter().try_for_each(|subject| self.account(subject))?;
        let children = self.subjects.drain(..).map(|subject| subject.child);
        children.chain(self.dying.drain(..)).try_for_each(Child::destroy)?;
        self.witness.goes_on()?;
        self.witness.child.destroy()
    }
}

/// What is left of one that was destroyed.
fn release(child: &Child) -> Outcome {
    slots::release(child.subos.handle().index());
    slots::delete(child.bell.handle()).map_err(said("delete"))
}

impl Subject {
    /// Takes in some of what it says: no kernel dies, and who looks finds new lots empty.
    fn hear(&self) -> Outcome {
        for _ in 0..32 {
            let Ok(words) = self.child.subos.receive() else { break };
            match Event::from_words(&words) {
                Ok(Event::Condemned { .. }) => {
                    return Err(format!("{} was condemned: {}", self.name, epitaph(self.child.subos)?));
                }
                Ok(event @ Event::Unhandled { .. }) if self.faults == Faults::Wrong => {
                    return Err(format!("{}: {event:?}", self.name));
                }
                _ => {}
            }
            let [what, lot, pages, used, _] = words;
            // It looks at none of a lot that goes at the same time.
            let looked = self.name == "suboses/talk" && what == LOT && pages > 0;
            check!(!looked || used == 0, "{used} pages of lot {lot} were not empty");
        }
        Ok(())
    }
}
