//! Hostile subOSes beside one that works: whatever they do, the supervisor takes cores, lots and windows from them and ends
//! them, and the other one notices nothing.
//!
//! Each case is an adversary of `hostiles.rs`, and [`against`] is what is done to it. That all comes to an end within the
//! kernel's own bounds is seen by nobody's being condemned: a core that does not answer in time, a lock that is held for too
//! long, would be.

use alloc::format;
use alloc::string::String;

use idl::event::Event;
use idl::kernel::machine::LedgerEntry;
use idl::kernel::subos::SharedLots;
use idl::message::{Message, Received};
use idl::types::{Chunks, CoreNumber, Deadline, LotNumber, StatisticsQuestion, SubOsState};
use userlib::cap::{Endpoint, Reply};
use userlib::{Error, check, check_eq, memory, thread, time};

use crate::hostiles::{HOW_FAR, take_turns};
use crate::steward::{Child, audit, compare, ledger};
use crate::tenants::{ALONE, DONE, LOST, OPEN, order};
use crate::{Outcome, PATIENCE, said};

pub(crate) const CHILDREN: &[(&str, fn())] = &[("adversaries/witness", witness)];

pub(crate) fn never_yields() -> Outcome {
    against("hostiles/never_yields")
}

pub(crate) fn tries_everything() -> Outcome {
    against("hostiles/tries_everything")
}

pub(crate) fn floods() -> Outcome {
    against("hostiles/floods")
}

pub(crate) fn fills_every_table() -> Outcome {
    against("hostiles/fills_every_table")
}

pub(crate) fn forks_capabilities() -> Outcome {
    against("hostiles/forks_capabilities")
}

pub(crate) fn keeps_its_lock_hot() -> Outcome {
    against("hostiles/keeps_its_lock_hot")
}

pub(crate) fn maps_everything() -> Outcome {
    against("hostiles/maps_everything")
}

pub(crate) fn removes_without_end() -> Outcome {
    against("hostiles/removes_without_end")
}

pub(crate) fn hides_in_messages() -> Outcome {
    against("hostiles/hides_in_messages")
}

/// One that works, on core 1: its servers call each other all the time, it obeys, and whatever is wrong ends it.
pub(crate) struct Witness {
    pub(crate) child: Child,
    chunks: Chunks,
}

/// What a witness's servers call each other with.
const WORK: u64 = 0x7765_6c6c;

fn witness() {
    let (endpoint, reply) = (memory::create::<Endpoint>(0), memory::create::<Reply>(0));
    let (endpoint, reply) = (endpoint.expect("an endpoint"), reply.expect("a reply"));
    let server = thread::spawn(move || {
        let mut received = endpoint.receive(&reply, Deadline::NEVER);
        while let Ok(Received::Message { message, .. }) = received {
            let answer = Message::short(0, &[message.words[0] ^ WORK]);
            received = endpoint.reply_receive(&reply, &answer, Deadline::NEVER);
        }
        panic!("a message was lost: {received:?}");
    });
    let client = thread::spawn(move || {
        for round in 0.. {
            let answer = endpoint.call(&Message::short(0, &[round]), Deadline::NEVER);
            assert_eq!(answer.map(|answer| answer.words[0]), Ok(round ^ WORK), "the answer is wrong");
            take_turns();
            thread::yield_now();
        }
    });
    core::mem::forget((server.expect("a server"), client.expect("a client")));
    crate::tenants::tenant();
}

impl Witness {
    pub(crate) fn new() -> Result<Self, String> {
        let child = Child::new("adversaries/witness", 4)?;
        child.start(&[1])?;
        Ok(Self { child, chunks: Chunks(4) })
    }

    fn messages(&self) -> Result<u64, String> {
        let calls = self.child.subos.statistics(CoreNumber(1), StatisticsQuestion::Calls);
        Ok(calls.map_err(said("the witness's messages"))?[1])
    }

    /// It has what it had, and its servers go on; everything that it says is passed over but that it ends.
    pub(crate) fn goes_on(&self) -> Outcome {
        let (begin, end) = (self.messages()?, time::after(PATIENCE));
        while let Ok(words) = self.child.subos.receive() {
            no_misfortune("the witness", &words)?;
        }
        let info = self.child.subos.info().map_err(said("the witness"))?;
        check_eq!((info.state, info.cores, info.chunks), (SubOsState::Running, 0b10, self.chunks));
        while self.messages()? < begin + 4 {
            check!(time::now().0 < end.0, "the witness stands still");
            take_turns();
        }
        Ok(())
    }

    /// Has an order carried out; what came of it.
    fn obey(&self, what: u64, a: u64) -> Result<u64, String> {
        self.child.subos.send(what, a, 0, 0, 0).map_err(said("send"))?;
        let [_, done, result, ..] = self.child.wait_for(DONE)?;
        check_eq!(done, what);
        Ok(result)
    }
}

fn no_misfortune(who: &str, words: &[u64; 5]) -> Outcome {
    match Event::from_words(words) {
        Ok(event @ (Event::Condemned { .. } | Event::Unhandled { .. })) => Err(format!("{who}: {event:?}")),
        _ => Ok(()),
    }
}

/// A hostile subOS.
pub(crate) struct Hostile {
    pub(crate) child: Child,
    /// Whether it must settle and harass: one that calls everything may have used up what that takes.
    harasses: bool,
}

/// How far a hostile subOS has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Far {
    laps: u64,
    /// Lots that it got, and those of them in which it settled.
    lots: u64,
    settled: u64,
}

impl Hostile {
    /// One that is at it, on cores 2 and 3.
    fn new(name: &str) -> Result<Self, String> {
        let child = Child::new(name, 16)?;
        for core in [2, 3] {
            child.subos.grant_core(CoreNumber(core)).map_err(said("grant_core"))?;
        }
        child.subos.start().map_err(said("start"))?;
        let hostile = Self { child, harasses: name != "hostiles/tries_everything" };
        hostile.at_it(|far| far.laps > 0)?;
        Ok(hostile)
    }

    /// Waits until it has come so far.
    fn at_it(&self, enough: impl Fn(Far) -> bool) -> Result<Far, String> {
        let end = time::after(PATIENCE);
        let mut far = None;
        for word in 0.. {
            // Its ring may be full, and its own threads may take the question away.
            let _ = self.child.subos.send(HOW_FAR, word, 0, 0, 0);
            for _ in 0..64 {
                let Ok(words) = self.child.subos.receive() else { break };
                match words {
                    [HOW_FAR, answer, laps, lots, settled] if answer <= word => {
                        far = Some(Far { laps, lots, settled });
                    }
                    words => self.not_condemned(&words)?,
                }
            }
            if let Some(far) = far.filter(|far| enough(*far)) {
                return Ok(far);
            }
            check!(time::now().0 < end.0, "it stands still: {far:?}");
            let _ = self.child.bell.wait(time::after(core::time::Duration::from_millis(1)));
        }
        Err("it is not at it".into())
    }

    /// It has come further than it is now.
    fn goes_on(&self) -> Outcome {
        let Far { laps, .. } = self.at_it(|_| true)?;
        self.at_it(|far| far.laps > laps).map(|_| ())
    }

    fn not_condemned(&self, words: &[u64; 5]) -> Outcome {
        if let Ok(Event::Condemned { .. }) = Event::from_words(words) {
            return Err(format!("it was condemned: {}", crate::abroad::epitaph(self.child.subos)?));
        }
        Ok(())
    }

    /// Grants a lot and waits until it has settled there, or tried to.
    fn settled_lot(&self, chunks: u32) -> Result<LotNumber, String> {
        let Far { lots, .. } = self.at_it(|_| true)?;
        let lot = self.child.subos.grant_lot(Chunks(chunks)).map_err(said("grant_lot"))?;
        self.at_it(|far| far.lots > lots).map_err(|error| format!("lot {lot:?}: {error}"))?;
        Ok(lot)
    }

    /// Opens a window to the witness and waits until rubbish comes through it.
    fn window(&self, witness: &Witness) -> Result<SharedLots, String> {
        const RUBBISH: u64 = 16 + 512;
        let opened = self.child.subos.share(witness.child.subos.handle(), Chunks(1));
        let lots = opened.map_err(said("share"))?;
        check_eq!(witness.child.wait_for(OPEN)?[1], u64::from(lots.peer.0));
        let end = time::after(PATIENCE);
        while self.harasses && witness.obey(order::READ, RUBBISH)? == 0 {
            check!(time::now().0 < end.0, "no rubbish comes through the window");
        }
        Ok(lots)
    }
}

/// What is done to an adversary: everything is taken from it while it is at it, and at last it is ended with all that it has.
fn against(name: &str) -> Outcome {
    let before = ledger()?;
    let witness = Witness::new()?;
    let between = ledger()?;
    let hostile = Hostile::new(name)?;
    take_cores(&hostile, &witness).map_err(|error| format!("cores: {error}"))?;
    take_lots(&hostile, &witness).map_err(|error| format!("lots: {error}"))?;
    take_windows(&hostile, &witness).map_err(|error| format!("windows: {error}"))?;
    end(hostile, &witness, &between).map_err(|error| format!("end: {error}"))?;
    witness.goes_on()?;
    witness.child.destroy()?;
    audit()?;
    compare(&before)
}

/// One core, both, in either order: it goes on with what is left, and with what it gets back.
fn take_cores(hostile: &Hostile, witness: &Witness) -> Outcome {
    let grant = |core| hostile.child.subos.grant_core(CoreNumber(core)).map_err(said("grant_core"));
    for [first, second] in [[2, 3], [3, 2]] {
        hostile.child.take_core(first)?;
        witness.goes_on()?;
        hostile.goes_on()?;
        hostile.child.take_core(second)?;
        witness.goes_on()?;
        grant(first)?;
        hostile.goes_on()?;
        grant(second)?;
    }
    hostile.goes_on()?;
    audit()
}

/// A lot in which it has settled, one in which it is about to, and one while it has no core.
fn take_lots(hostile: &Hostile, witness: &Witness) -> Outcome {
    let subos = hostile.child.subos;
    let lot = hostile.settled_lot(2)?;
    audit()?;
    hostile.child.take_lot(lot)?;
    witness.goes_on()?;
    hostile.goes_on()?;
    let lot = subos.grant_lot(Chunks(1)).map_err(said("grant_lot"))?;
    hostile.child.take_lot(lot)?;
    hostile.goes_on()?;
    let lot = hostile.settled_lot(1)?;
    [2, 3].into_iter().try_for_each(|core| hostile.child.take_core(core))?;
    hostile.child.take_lot(lot)?;
    witness.goes_on()?;
    for core in [3, 2] {
        subos.grant_core(CoreNumber(core)).map_err(said("grant_core"))?;
    }
    check_eq!(subos.reclaim_lot(LotNumber(0)).map(|_| ()), Err(Error::HomeLot));
    hostile.goes_on()?;
    audit()
}

/// Its side of a window that it harasses the witness through, then the witness's own.
fn take_windows(hostile: &Hostile, witness: &Witness) -> Outcome {
    let lots = hostile.window(witness)?;
    audit()?;
    hostile.child.take_lot(lots.lot)?;
    check_eq!(witness.child.wait_for(ALONE)?[1], u64::from(lots.peer.0));
    witness.child.take_lot(lots.peer)?;
    check_eq!(witness.child.wait_for(LOST)?[1], u64::from(lots.peer.0));
    let lots = hostile.window(witness)?;
    witness.child.take_lot(lots.peer)?;
    check_eq!(witness.child.wait_for(LOST)?[1], u64::from(lots.peer.0));
    hostile.goes_on()?;
    hostile.child.take_lot(lots.lot)?;
    hostile.goes_on()?;
    witness.goes_on()?;
    audit()
}

/// The end, with a lot and a window; nothing of it is left.
fn end(hostile: Hostile, witness: &Witness, before: &[LedgerEntry]) -> Outcome {
    hostile.settled_lot(2)?;
    let Far { lots, settled, .. } = hostile.at_it(|_| true)?;
    check!(settled > 1 || !hostile.harasses, "it settled in {settled} of {lots} lots");
    let lots = hostile.window(witness)?;
    check_eq!(hostile.child.subos.info().map_err(said("info"))?.state, SubOsState::Running);
    hostile.child.destroy()?;
    check_eq!(witness.child.wait_for(ALONE)?[1], u64::from(lots.peer.0));
    witness.child.take_lot(lots.peer)?;
    check_eq!(witness.child.wait_for(LOST)?[1], u64::from(lots.peer.0));
    witness.goes_on()?;
    audit()?;
    compare(before)
}
