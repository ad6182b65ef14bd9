//! One that dies at a step of what it says to its supervisor and to its neighbour: before it says anything, when it is asked for
//! a lot, in the middle of opening a window. Nobody waits for it in vain, and all that it had comes back.

use alloc::format;
use core::time::Duration;

use idl::dialogue::{Report, Request};
use idl::event::Event;
use idl::types::{Bits, Chunks, CoreNumber, LotNumber, Pages, Ticks};
use userlib::cap::{Endpoint, Notification};
use userlib::memory::{self, Mapping};
use userlib::{Cap, Error, Rights, check_eq, environment, testing, thread, time};

use crate::adversaries::Witness;
use crate::residents::settle_in;
use crate::steward::{Child, audit, compare, ledger};
use crate::tenants::{LOST, OPEN};
use crate::wards::NOWHERE;
use crate::{Outcome, said};

pub(crate) const CHILDREN: &[(&str, fn())] = &[("mortals/mortal", mortal)];

/// What it says last.
const DYING: u64 = 0x6479;
/// The steps at which it may die of itself, and those at which it is being taken from.
const STEPS: core::ops::RangeInclusive<u64> = 0..=12;
const WHEN_TAKEN: u64 = 10;
/// How it dies: its first thread faults, or ends.
const WAYS: [&str; 2] = ["fault", "end"];

struct Mortal {
    step: u64,
    way: &'static str,
    endpoint: Cap<Endpoint>,
    bell: Cap<Notification>,
}

/// Takes part in all that its supervisor does with it, up to the step that its arguments name.
fn mortal() {
    let mut words = environment().arguments().split(' ').skip(1);
    let step = words.next().and_then(|word| word.parse().ok()).expect("a step");
    let way = words.next().expect("a way");
    let (endpoint, bell) = (memory::create(0).expect("an endpoint"), memory::create(0).expect("a bell"));
    let mortal = Mortal { step, way, endpoint, bell };
    mortal.at(0);
    let _ = environment().uplink().send(crate::wards::HELLO, 0, 0, 0, 0);
    mortal.at(1);
    loop {
        let done = match environment().uplink().receive() {
            Ok(words) => match (Event::from_words(&words), Request::from_words(&words)) {
                (Ok(event), _) => mortal.event(event),
                (_, Ok(Request::GiveLot { lot, .. })) => mortal.give(lot),
                _ => Ok(()),
            },
            Err(_) => {
                time::sleep(Duration::from_micros(200));
                Ok(())
            }
        };
        // It may be taken from meanwhile.
        let _ = done;
    }
}

impl Mortal {
    /// Dies, if this is its step.
    fn at(&self, step: u64) {
        if step != self.step {
            return;
        }
        while environment().uplink().send(DYING, step, 0, 0, 0).is_err() {}
        if self.way == "fault" {
            testing::stray_write(core::hint::black_box(NOWHERE));
        }
        thread::exit()
    }

    fn event(&self, event: Event) -> Result<(), Error> {
        match event {
            Event::LotGranted { lot, .. } => {
                self.at(2);
                settle_in(lot, self.endpoint)?;
                self.at(3);
            }
            Event::WindowOpened { lot, .. } => self.open(lot)?,
            Event::PeerGone { .. } => self.at(WHEN_TAKEN),
            Event::WindowLost { .. } => self.at(WHEN_TAKEN + 1),
            Event::LotLost { .. } => self.at(WHEN_TAKEN + 2),
            _ => {}
        }
        Ok(())
    }

    fn give(&self, lot: LotNumber) -> Result<(), Error> {
        self.at(4);
        let [a, b, c, d, e] = Report::Lot { lot, looked: Pages(0), used: Pages(0) }.to_words();
        environment().uplink().send(a, b, c, d, e)?;
        self.at(5);
        Ok(())
    }

    fn open(&self, lot: LotNumber) -> Result<(), Error> {
        self.at(6);
        let window = environment().window(lot.0)?;
        let _mapping = Mapping::of(window, Rights::READ | Rights::WRITE)?;
        self.at(7);
        window.listen(self.bell.handle(), Bits(1))?;
        self.at(8);
        core::mem::forget(thread::spawn(move || while window.ring().is_ok() {})?);
        time::sleep(Duration::from_micros(300));
        self.at(9);
        Ok(())
    }
}

/// At each step, in each way: what was begun with it comes to its end, and its neighbour goes on.
pub(crate) fn dies_at_every_step() -> Outcome {
    let before = ledger()?;
    let witness = Witness::new()?;
    for step in STEPS {
        for way in WAYS {
            let between = ledger()?;
            let name = format!("mortals/mortal {step} {way}");
            one_dies(&name, step, &witness).map_err(|error| format!("{name}: {error}"))?;
            witness.goes_on().map_err(|error| format!("{name}: {error}"))?;
            compare(&between).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    audit()?;
    witness.child.destroy()?;
    compare(&before)
}

fn one_dies(name: &str, step: u64, witness: &Witness) -> Outcome {
    let child = Child::new(name, 8)?;
    for core in [2, 3] {
        child.subos.grant_core(CoreNumber(core)).map_err(said("grant_core"))?;
    }
    child.subos.start().map_err(said("start"))?;
    let lot = child.subos.grant_lot(Chunks(1)).map_err(said("grant_lot"))?;
    let [a, b, c, d, e] = Request::GiveLot { lot, deadline: Ticks(u64::MAX) }.to_words();
    child.subos.send(a, b, c, d, e).map_err(said("send"))?;
    let window = child.subos.share(witness.child.subos.handle(), Chunks(1)).map_err(said("share"))?;
    check_eq!(witness.child.wait_for(OPEN)?[1], u64::from(window.peer.0));
    if step < WHEN_TAKEN {
        check_eq!(child.wait_for(DYING)?[1], step);
    }
    child.take_core(2)?;
    witness.child.take_lot(window.peer)?;
    check_eq!(witness.child.wait_for(LOST)?[1], u64::from(window.peer.0));
    child.take_lot(window.lot)?;
    child.take_lot(lot)?;
    if step >= WHEN_TAKEN {
        check_eq!(child.wait_for(DYING)?[1], step);
    }
    audit()?;
    child.destroy()
}
