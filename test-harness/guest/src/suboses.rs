//! SubOSes: made, loaded, resized while they run, killed, and everything back where it was.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use idl::event::Event;
use idl::types::{
    Bits, Chunks, CoreNumber, LedgerState, Length, LotNumber, PageIndex, Pages, Progress, ResourceKind,
    StatisticsQuestion, SubOsState, Ticks,
};
use userlib::cap::{SubOs, complete};
use userlib::{Cap, Error, cap, check, check_eq, environment, page, slots, time};

use crate::steward::{Child, audit, compare, ledger, state_of};
use crate::wards::{CHILDREN, COUNT, ECHO, LOT, NOWHERE, WANTED};
use crate::{Outcome, PATIENCE, said};

/// A subOS is made, loaded, started, talks, and is gone without a trace.
pub(crate) fn one_is_made_and_ends() -> Outcome {
    let before = ledger()?;
    audit()?;
    let child = Child::new("suboses/talk", 8)?;
    let info = child.subos.info().map_err(said("info"))?;
    check_eq!(info.state, SubOsState::Loaded);
    check_eq!(info.chunks, Chunks(8));
    child.start(&[1])?;
    audit()?;
    child.subos.send(40, 7, 0, 0, 0).map_err(said("send"))?;
    check_eq!(child.wait_for(ECHO)?, [ECHO, 41, 7, 0, 0]);
    let length = child.subos.read_console(Length(2048)).map_err(said("read_console"))?;
    let mut text = vec![0; length.0 as usize];
    page::get_bytes(&mut text).map_err(said("get_bytes"))?;
    check_eq!(core::str::from_utf8(&text), Ok("hello from subOS 1\n"));
    let info = child.subos.info().map_err(said("info"))?;
    check_eq!((info.state, info.cores), (SubOsState::Running, 0b10));
    let calls =
        child.subos.statistics(CoreNumber(1), StatisticsQuestion::Calls).map_err(said("statistics"))?;
    check!(calls[0] > 3, "it made {} calls", calls[0]);
    child.destroy()?;
    audit()?;
    compare(&before)
}

/// Nobody in a subOS looks after its first program. If that faults, its console says so, why, and with which registers, and
/// the supervisor is told.
pub(crate) fn a_first_program_that_faults_is_shown_in_full() -> Outcome {
    let child = Child::new("suboses/fault", 4)?;
    child.start(&[1])?;
    let told = loop {
        match Event::from_words(&child.wait_for_any()?) {
            Ok(Event::Console {}) => {}
            Ok(Event::Unhandled { core: CoreNumber(1), kind: 14, address: NOWHERE, rip }) => break rip,
            other => return Err(format!("it is told of {other:?}")),
        }
    };
    let length = child.subos.read_console(Length(2048)).map_err(said("read_console"))?;
    let mut bytes = vec![0; length.0 as usize];
    page::get_bytes(&mut bytes).map_err(said("get_bytes"))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    check_eq!(lines.next(), Some("hello, unfinished"));
    let who = "subOS 1: the first thread of its first program faulted and nobody handles it";
    let why = format!("it wrote where it may not: page fault at address {NOWHERE:#x} (error 0x6)");
    let first = lines.next().unwrap_or("");
    check!(first.starts_with(&format!("{who}: {why}")), "{text}");
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    let registers: Vec<(&str, u64)> = words
        .chunks(2)
        .filter_map(|pair| Some((*pair.first()?, u64::from_str_radix(pair.get(1)?, 16).ok()?)))
        .collect();
    check_eq!(registers.len(), 20, "{text}");
    let value = |wanted: &str| registers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    check_eq!(value("rip"), Some(told), "{text}");
    check!(registers.iter().any(|(_, value)| *value == NOWHERE), "no register has the address: {text}");
    // Interrupts are on, and the stack is where programs have it.
    check!(value("rflags").is_some_and(|flags| flags & 0x200 != 0), "{text}");
    check!(value("rsp").is_some_and(|rsp| rsp != 0 && rsp < idl::abi::USER_END), "{text}");
    child.destroy()
}

/// A core is taken from a subOS that spins on it, and given back; meanwhile it runs on the other.
pub(crate) fn a_core_moves() -> Outcome {
    let before = ledger()?;
    let child = Child::new("suboses/count", 8)?;
    child.start(&[1, 2])?;
    for _ in 0..4 {
        let first = child.wait_for(COUNT)?[1];
        child.take_core(2)?;
        check_eq!(state_of(2)?, LedgerState::Free);
        audit()?;
        check!(child.wait_for(COUNT)?[1] > first, "it no longer counts on one core");
        child.subos.grant_core(CoreNumber(2)).map_err(said("grant_core"))?;
        audit()?;
        child.wait_for(COUNT)?;
        child.take_core(1)?;
        check!(child.wait_for(COUNT)?[1] > first, "it no longer counts on the other core");
        child.subos.grant_core(CoreNumber(1)).map_err(said("grant_core"))?;
    }
    let moves = child.subos.statistics(CoreNumber(2), StatisticsQuestion::Interrupts);
    check!(moves.map_err(said("statistics"))?[0] > 0, "nothing ran on core 2");
    child.destroy()?;
    compare(&before)
}

/// A subOS without cores stands still and loses nothing.
pub(crate) fn one_is_suspended_and_resumed() -> Outcome {
    let child = Child::new("suboses/count", 8)?;
    child.start(&[1])?;
    child.wait_for(COUNT)?;
    child.take_core(1)?;
    while child.subos.receive().is_ok() {}
    time::sleep(Duration::from_millis(50));
    check_eq!(child.subos.receive().err(), Some(Error::Empty));
    child.subos.grant_core(CoreNumber(2)).map_err(said("grant_core"))?;
    child.wait_for(COUNT)?;
    audit()?;
    child.destroy()
}

/// A lot with data in it moves from one subOS to another, which finds zeros.
pub(crate) fn a_lot_moves() -> Outcome {
    let before = ledger()?;
    let (one, other) = (Child::new("suboses/talk", 8)?, Child::new("suboses/talk", 8)?);
    one.start(&[1])?;
    other.start(&[2])?;
    for round in 0..3 {
        for child in [&one, &other] {
            let lot = child.subos.grant_lot(Chunks(4)).map_err(said("grant_lot"))?;
            check_eq!(lot, LotNumber(1));
            let found = child.wait_for(LOT)?;
            check_eq!(found, [LOT, 1, 2048, 0, 0]);
            audit()?;
            child.take_lot(lot)?;
            audit()?;
            child.subos.send(50 + round, 0, 0, 0, 0).map_err(said("send"))?;
            check_eq!(child.wait_for(ECHO)?[1], 51 + round);
        }
    }
    check_eq!(one.subos.reclaim_lot(LotNumber(0)), Err(Error::HomeLot));
    check_eq!(one.subos.reclaim_lot(LotNumber(1)), Err(Error::NotOwner));
    one.destroy()?;
    other.destroy()?;
    compare(&before)
}

/// What the supervisor asks for wrongly is refused, each with its own error, and changes nothing.
pub(crate) fn wrong_requests_are_refused() -> Outcome {
    let before = ledger()?;
    let machine = environment().machine();
    let slot = slots::allocate().map_err(said("a slot"))?;
    check_eq!(machine.create(Chunks(0), slot).err(), Some(Error::BadSize));
    check_eq!(machine.create(Chunks(100_000), slot).err(), Some(Error::NoResource));
    check_eq!(machine.create(Chunks(4), idl::slots::OWN_SPACE).err(), Some(Error::SlotOccupied));
    check_eq!(machine.ledger(ResourceKind::Core, 99).err(), Some(Error::NoResource));
    compare(&before)?;

    let child = Child::new("suboses/talk", 4)?;
    let subos = child.subos;
    let modules = environment().modules().handle();
    check_eq!(subos.load(modules, PageIndex(0), Pages(1), Length(0)).err(), Some(Error::WrongState));
    check_eq!(subos.attach(modules, PageIndex(0), Pages(1)).err(), Some(Error::WrongState));
    check_eq!(subos.attach(modules, PageIndex(0), Pages(u32::MAX)).err(), Some(Error::BadRange));
    check_eq!(subos.load(modules, PageIndex(0), Pages(1), Length(2049)).err(), Some(Error::TooLong));
    check_eq!(subos.grant_core(CoreNumber(0)).err(), Some(Error::NoResource));
    check_eq!(subos.grant_core(CoreNumber(99)).err(), Some(Error::NoResource));
    check_eq!(subos.reclaim_core(CoreNumber(1), Ticks(0)).err(), Some(Error::NotOwner));
    check_eq!(subos.grant_lot(Chunks(0)).err(), Some(Error::BadSize));
    check_eq!(subos.grant_lot(Chunks(100_000)).err(), Some(Error::NoResource));
    check_eq!(subos.send(1 << 63, 0, 0, 0, 0).err(), Some(Error::InvalidArgument));
    check_eq!(subos.receive().err(), Some(Error::Empty));
    check_eq!(subos.bind(child.bell.handle(), Bits(1)).err(), Some(Error::AlreadyBound));
    check_eq!(subos.read_console(Length(4096)).err(), Some(Error::TooLong));
    check_eq!(subos.epitaph().err(), Some(Error::Empty));
    let asked = subos.statistics(CoreNumber(99), StatisticsQuestion::Calls);
    check_eq!(asked.err(), Some(Error::NoResource));
    let sent = (0..100).find_map(|_| subos.send(1, 0, 0, 0, 0).err());
    check_eq!(sent, Some(Error::Full));
    child.start(&[1])?;
    check_eq!(subos.start().err(), Some(Error::WrongState));
    child.destroy()?;

    let empty = slots::fill(|slot| machine.create(Chunks(2), slot)).map_err(said("create"))?;
    let empty: Cap<SubOs> = cap(empty);
    check_eq!(empty.start().err(), Some(Error::WrongState));
    check_eq!(empty.load(modules, PageIndex(0), Pages(1), Length(0)).err(), Some(Error::BadImage));
    check_eq!(empty.attach(modules, PageIndex(0), Pages(0)).err(), Some(Error::BadRange));
    check_eq!(empty.attach(modules, PageIndex(0), Pages(1)), Ok(Progress::Done));
    complete(|| empty.destroy()).map_err(said("destroy"))?;
    compare(&before)
}

/// A lot full of threads at work, spaces that they run in, page tables, a table of two thousand capabilities to anywhere,
/// callers that queue up here and elsewhere with capabilities in their messages, pages that many spaces map: it goes all the
/// same, and what is in the home lot stays.
pub(crate) fn a_lot_full_of_life_is_taken() -> Outcome {
    let before = ledger()?;
    let child = Child::new("suboses/settle", 8)?;
    child.start(&[1, 2])?;
    for round in 0..4 {
        let lot = child.subos.grant_lot(Chunks(2)).map_err(said("grant_lot"))?;
        let made = child.wait_for(LOT)?[2];
        check!(made > 2500, "it made {made} things only");
        audit()?;
        child.take_lot(lot)?;
        audit()?;
        child.subos.send(60 + round, 0, 0, 0, 0).map_err(said("send"))?;
        check_eq!(child.wait_for(ECHO)?[1], 61 + round);
    }
    child.destroy()?;
    compare(&before)
}

/// A core is asked for first, and taken when the time has come.
pub(crate) fn a_core_is_asked_for_first() -> Outcome {
    let child = Child::new("suboses/settle", 8)?;
    child.start(&[1, 2])?;
    let deadline = Ticks(time::after(Duration::from_millis(300)).0);
    let ask = || child.subos.reclaim_core(CoreNumber(2), deadline);
    check_eq!(ask(), Ok(Progress::More));
    check_eq!(child.wait_for(WANTED)?[1], 2);
    check_eq!(state_of(2)?, LedgerState::Owned);
    check_eq!(ask(), Ok(Progress::More));
    check!(time::now() < deadline, "the time is up too early");
    complete(ask).map_err(said("reclaim_core"))?;
    check!(time::now() >= deadline, "it was taken before its time");
    check_eq!(state_of(2)?, LedgerState::Free);
    child.destroy()
}

/// Anything in any order, from a seed: the ledger adds up at every step, the audit finds nothing, all comes back.
pub(crate) fn anything_in_any_order() -> Outcome {
    let before = ledger()?;
    let seed = crate::seed();
    let mut random = Random(seed);
    let mut children: Vec<(Child, Vec<LotNumber>)> = Vec::new();
    for step in 0..150 {
        random_step(&mut random, &mut children).map_err(|error| format!("step {step}: {error}"))?;
        if step % 10 == 9 {
            audit().map_err(|error| format!("step {step}: {error}"))?;
        }
    }
    for (child, _) in children {
        child.destroy()?;
    }
    audit()?;
    compare(&before)
}

fn random_step(random: &mut Random, children: &mut Vec<(Child, Vec<LotNumber>)>) -> Outcome {
    let index = random.index(children.len());
    let core = 1 + random.below(3);
    let room = children.len() < 4;
    match (random.below(10), children.get_mut(index)) {
        (0 | 1, _) | (_, None) if room => {
            let (name, _) = CHILDREN[random.index(CHILDREN.len())];
            let child = Child::new(name, 3 + random.below(4))?;
            child.subos.start().map_err(said("start"))?;
            children.push((child, Vec::new()));
        }
        (2, Some(_)) => children.swap_remove(index).0.destroy()?,
        (3..=5, Some((child, _))) => match child.subos.grant_core(CoreNumber(core)) {
            Ok(()) | Err(Error::NoResource) => {}
            Err(error) => return Err(format!("grant_core: {error}")),
        },
        (6, Some((child, _))) => match complete(|| child.subos.reclaim_core(CoreNumber(core), Ticks(0))) {
            Ok(()) | Err(Error::NotOwner) => {}
            Err(error) => return Err(format!("reclaim_core: {error}")),
        },
        (7, Some((child, lots))) => match child.subos.grant_lot(Chunks(1 + random.below(3))) {
            Ok(lot) => lots.push(lot),
            Err(Error::NoResource) => {}
            Err(error) => return Err(format!("grant_lot: {error}")),
        },
        (8, Some((child, lots))) => {
            if let Some(lot) = lots.pop() {
                child.take_lot(lot)?;
            }
        }
        (_, Some((child, _))) => {
            let _ = child.subos.send(u64::from(random.below(100)), 0, 0, 0, 0);
            while child.subos.receive().is_ok() {}
            time::sleep(Duration::from_millis(u64::from(random.below(3))));
        }
        _ => {}
    }
    Ok(())
}

/// Marsaglia's xorshift: the same from the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A place in a list of this length; 0 for an empty one.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        let bound = u32::try_from(length).unwrap_or(u32::MAX).max(1);
        self.below(bound) as usize
    }

    /// A number below the bound.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 11) % u64::from(bound)).unwrap_or(0)
    }
}

/// Deleting the capability of a subOS ends it, as it would any object.
pub(crate) fn one_without_a_master_ends() -> Outcome {
    let before = ledger()?;
    let child = Child::new("hostiles/never_yields", 4)?;
    child.start(&[1])?;
    slots::delete(child.subos.handle()).map_err(said("delete"))?;
    // It goes in passing, with the operations that follow.
    let end = time::now().0 + time::ticks(PATIENCE).0;
    while time::now().0 < end && compare(&before).is_err() {}
    compare(&before)
}
