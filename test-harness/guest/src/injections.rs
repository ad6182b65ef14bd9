//! Faults injected at the border of a subOS: bits of arguments flipped, interrupts between cores lost and doubled, cores that
//! stop answering. Whatever comes of them is the subOS's own affair: a witness beside it, who does nothing but look after his
//! memory, finds nothing changed and goes on, the audit finds nothing, and everything comes back.
//!
//! Everything is drawn from a seed, which is printed. `cargo test` injects a sample, the soak all of it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use idl::abi::{CHUNK_SIZE, OpWord, PAGE_SIZE, REGISTER_WORDS};
use idl::event::Event;
use idl::kernel::methods;
use idl::types::{Chunks, CoreNumber, Deadline, LedgerState, SubOsState, Ticks};
use userlib::cap::complete;
use userlib::{Error, Handle, Kind, check, check_eq, environment, println, time};

use crate::abroad::{Colony, free_chunks};
use crate::channels::SERVED;
use crate::moves::{DISTURB, END, goes_on, how_far};
use crate::shares::Neighbours;
use crate::steward::{Child, audit, compare, ledger, state_of};
use crate::tenants::{DONE, order};
use crate::walls::{HOOK, deafen};
use crate::wards::HELLO;
use crate::wild::{Dice, Stock, at_stage, call, is_deadly, plausible};
use crate::{Outcome, PATIENCE, said};

pub(crate) const CHILDREN: &[(&str, fn())] =
    &[("injections/flipper", flipper), ("injections/witness", witness)];

/// Asks the witness: how often he has looked, and how many words he found changed.
pub(crate) const LOOKED: u64 = 50;
/// Asks the flipper to flip bits of one argument of one method; answered with how many, and whether he can go on.
const FLIP: u64 = 51;
/// The number of the hook that loses and doubles interrupts.
const DISTURBING: u64 = 42;
/// This very core, for a hook that may be about another.
const HERE: u64 = 255;
/// Of the bits of an argument, one in so many in `cargo test`.
const SAMPLED: u64 = 8;
/// What an argument can be: a word, the op word, the handle, the second handle.
const PLACES: u64 = REGISTER_WORDS as u64 + 3;

/// Looks after his memory, which nobody else may change, and says so when asked.
fn witness() {
    let pattern = |index: usize| (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed;
    let mut memory: Vec<u64> = (0..1 << 16).map(pattern).collect();
    let (mut looked, mut changed) = (0_u64, 0_u64);
    let uplink = environment().uplink();
    let _ = uplink.send(HELLO, 0, 0, 0, 0);
    loop {
        changed += memory.iter().enumerate().filter(|(index, word)| **word != pattern(*index)).count() as u64;
        memory.iter_mut().enumerate().for_each(|(index, word)| *word = pattern(index));
        looked += 1;
        while let Ok([word, ..]) = uplink.receive() {
            if word == LOOKED {
                let _ = uplink.send(LOOKED, looked, changed, 0, 0);
            }
        }
    }
}

/// The witness, as the case sees him.
struct Witness {
    child: Child,
    looked: u64,
}

impl Witness {
    fn new() -> Result<Self, String> {
        let child = Child::new("injections/witness", 4)?;
        child.start(&[1])?;
        Ok(Self { child, looked: 0 })
    }

    /// He goes on, and nothing of his has changed.
    fn testify(&mut self) -> Outcome {
        let before = self.looked;
        while self.looked <= before {
            self.child.subos.send(LOOKED, 0, 0, 0, 0).map_err(said("the witness"))?;
            let [_, looked, changed, ..] = self.child.wait_for(LOOKED)?;
            check_eq!(changed, 0, "words of the witness's memory changed");
            self.looked = looked;
        }
        Ok(())
    }
}

/// Bits flipped in arguments: a sample of them.
pub(crate) fn bits_of_arguments_flip() -> Outcome {
    flip_arguments(SAMPLED, 1_000)
}

/// Every bit of every argument of every method.
pub(crate) fn every_bit_of_every_argument_flips() -> Outcome {
    flip_arguments(1, 10_000)
}

fn flip_arguments(step: u64, at_least: u64) -> Outcome {
    let (before, mut dice) = (ledger()?, Dice(crate::seed()));
    let mut witness = Witness::new()?;
    let mut flipped = 0;
    for method in 0..methods().count() as u64 {
        let mut child = flipping()?;
        for place in 0..PLACES {
            let first = dice.next() % step;
            let (done, goes_on) = order_flips(&child, [method, place, first, step])?;
            flipped += done;
            if !goes_on {
                child.destroy()?;
                child = flipping()?;
            }
        }
        child.destroy()?;
        witness.testify()?;
    }
    flipped += flip_from_above(&mut dice, step, &mut witness)?;
    audit()?;
    witness.child.destroy()?;
    compare(&before)?;
    println!("@injected arguments={flipped}");
    check!(flipped >= at_least, "only {flipped} bits");
    Ok(())
}

fn flipping() -> Result<Child, String> {
    let child = Child::new("injections/flipper", 4)?;
    child.start(&[2])?;
    Ok(child)
}

/// Has bits flipped; how many were, and whether the flipper can go on.
fn order_flips(child: &Child, [method, place, first, step]: [u64; 4]) -> Result<(u64, bool), String> {
    child.subos.send(FLIP, method, place, first, step).map_err(said("send"))?;
    loop {
        let words = child.wait_for_any()?;
        match Event::from_words(&words) {
            // The kernel must not fail, whatever it is asked; the program may.
            Ok(event @ Event::Condemned { .. }) => {
                return Err(format!("{event:?} by method {method} place {place}"));
            }
            Ok(Event::Unhandled { .. }) => return Ok((0, false)),
            Err(_) if words[0] == FLIP => match words[2] {
                0 => return Ok((words[1], words[3] == 0)),
                _ => {
                    return Err(format!(
                        "method {method}, place {place}: an undeclared error: {}",
                        crate::subos::console(child.subos)?
                    ));
                }
            },
            _ => {}
        }
    }
}

/// Flips as it is told. It looks for orders by itself: among what it does by mistake is to unbind its doorbell.
fn flipper() {
    let uplink = environment().uplink();
    let _ = uplink.send(HELLO, 0, 0, 0, 0);
    loop {
        let Ok([word, method, place, first, step]) = uplink.receive() else {
            time::sleep(Duration::from_micros(200));
            continue;
        };
        let method = usize::try_from(method).ok().and_then(|index| methods().nth(index));
        if let (FLIP, Some(method)) = (word, method) {
            let (count, undeclared, stuck) = match flip_place(method, place, first, step.max(1)) {
                Ok((count, undeclared)) => (count, undeclared, 0),
                Err(_) => (0, 0, 1),
            };
            while uplink.send(FLIP, count, undeclared, stuck, 0) == Err(Error::Full) {
                time::sleep(Duration::from_micros(200));
            }
        }
    }
}

/// Whether a word names a capability by which this program lives: to use that is its right, and no fault.
fn is_its_own(word: u64, stock: &Stock) -> bool {
    let known = stock.handles.iter().any(|(_, handle)| handle.0 == word);
    !known && environment().cspace().info(Handle(word)).is_ok()
}

/// Calls a method once for each bit of a place, with that bit wrong; how many calls that were, and how many were answered in a
/// way that is not declared.
fn flip_place(
    method: &'static idl::method::MethodInfo,
    place: u64,
    first: u64,
    step: u64,
) -> Result<(u64, u64), String> {
    if is_deadly(method) {
        return Ok((0, 0));
    }
    let mut stock = Stock::new().map_err(said("stock"))?;
    let (mut count, mut undeclared) = (0, 0);
    for bit in (first..64).step_by(usize::try_from(step).unwrap_or(1)) {
        let Some(target) = stock.of(method.kind) else { break };
        let (mut words, mut op, mut target, mut second) =
            (plausible(method, &stock)?, OpWord::new(method.kind, method.id), target, stock.handles[0].1);
        let word = match place {
            0..=4 => &mut words[usize::try_from(place).unwrap_or(0)],
            5 => &mut op.0,
            6 => &mut target.0,
            _ => &mut second.0,
        };
        *word ^= 1 << bit;
        if is_its_own(*word, &stock) {
            continue;
        }
        // Another op word may be another method, whose errors are others.
        let answered = call(method, op, target, words, second);
        if place != 5
            && let Err(error) = answered
        {
            userlib::print!("{error}\n");
            undeclared += 1;
        }
        count += 1;
        let target = stock.of(method.kind).unwrap_or(Handle::NONE);
        if environment().cspace().info(target).is_err() {
            stock.clear();
            stock = Stock::new().map_err(said("stock"))?;
        }
    }
    stock.clear();
    Ok((count, undeclared))
}

/// The same with what a supervisor can do to a subOS, while it is empty, loaded and running.
fn flip_from_above(dice: &mut Dice, step: u64, witness: &mut Witness) -> Result<u64, String> {
    let (free, mut flipped) = (free_chunks()?, 0);
    for method in methods().filter(|method| method.kind == Kind::SubOs) {
        let mut colony = at_flipped_stage(dice)?;
        for index in 0..method.arguments.len() {
            for bit in (dice.next() % step..64).step_by(usize::try_from(step).unwrap_or(1)) {
                let mut words = [0; REGISTER_WORDS];
                for (word, field) in words.iter_mut().zip(method.arguments) {
                    *word = match field.name {
                        "region" => environment().modules().handle().0,
                        "notification" => colony.bell.handle().0,
                        "core" => 3,
                        _ => 1,
                    };
                }
                words[index] ^= 1 << bit;
                if environment().cspace().info(Handle(words[index])).is_ok() {
                    continue;
                }
                let op = OpWord::new(method.kind, method.id);
                call(method, op, colony.subos.handle(), words, Handle::NONE)?;
                flipped += 1;
                if colony.subos.info().is_err() {
                    userlib::slots::release(colony.subos.handle().index());
                    colony = at_flipped_stage(dice)?;
                }
            }
        }
        colony.destroy()?;
        check_eq!(free_chunks()?, free, "after {}", method.name);
        witness.testify()?;
    }
    Ok(flipped)
}

/// A colony on core 2, if it is one that runs.
fn at_flipped_stage(dice: &mut Dice) -> Result<Colony, String> {
    let colony = at_stage(u32::try_from(dice.next() % 2).unwrap_or(0))?;
    if dice.next().is_multiple_of(2) {
        colony.subos.grant_core(CoreNumber(2)).map_err(said("grant_core"))?;
    }
    Ok(colony)
}

/// Of 256 interrupts that a core sends from now on so many are lost, and so many doubled. Says how many were before.
fn disturb(core: u64, losing: u64, doubling: u64, seed: u64) -> Result<u64, Error> {
    let words = [DISTURBING, losing, doubling, seed, core];
    idl::client::plain(&environment().console(), HOOK, words, Deadline::NEVER)
}

/// The same for all cores of this subOS.
pub(crate) fn disturb_cores(losing: u64, doubling: u64, seed: u64) -> u64 {
    let own = (0..64).filter(|core| environment().core(*core).is_ok());
    own.map(|core| disturb(core.into(), losing, doubling, seed ^ u64::from(core) << 9).unwrap_or(0)).sum()
}

/// The same for the cores of a subOS at work.
fn disturb_colony(colony: &Colony, losing: u64, doubling: u64, seed: u64) -> Result<u64, String> {
    colony.subos.send(DISTURB, losing, doubling, seed, 0).map_err(said("send"))?;
    let end = time::after(PATIENCE);
    loop {
        if let [DISTURB, disturbed, ..] = colony.event(end)? {
            return Ok(disturbed);
        }
    }
}

/// Interrupts are lost and doubled: a sample.
pub(crate) fn interrupts_are_lost_and_doubled() -> Outcome {
    disturb_interrupts(6, 200)
}

/// Interrupts are lost and doubled, thousands of them.
pub(crate) fn thousands_of_interrupts_are_lost_and_doubled() -> Outcome {
    disturb_interrupts(300, 5_000)
}

fn disturb_interrupts(rounds: u32, at_least: u64) -> Outcome {
    let (before, mut dice) = (ledger()?, Dice(crate::seed()));
    let mut witness = Witness::new()?;
    let doubled = doubled_harm_nobody(rounds, &mut dice, &mut witness)?;
    let above = lost_above_delay(rounds, &mut dice, &mut witness)?;
    let below = lost_below_stay_below(rounds / 3 + 1, &mut dice, &mut witness)?;
    audit()?;
    witness.child.destroy()?;
    compare(&before)?;
    println!("@injected doubled={doubled} lost_above={above} lost_below={below}");
    check!(doubled + above + below >= at_least, "only {doubled}, {above} and {below}");
    Ok(())
}

/// A subOS that works on cores 2 and 3 in every way there is.
fn busy() -> Result<Colony, String> {
    let colony = Colony::create(16)?;
    colony.load(idl::bundle::BOOT, "moves/work")?;
    for core in [2, 3] {
        colony.subos.grant_core(CoreNumber(core)).map_err(said("grant_core"))?;
    }
    colony.subos.start().map_err(said("start"))?;
    Ok(colony)
}

/// One core and one lot come and go.
fn resize(colony: &Colony) -> Result<(), Error> {
    complete(|| colony.subos.reclaim_core(CoreNumber(3), Ticks(0)))?;
    let lot = colony.subos.grant_lot(Chunks(1))?;
    colony.subos.grant_core(CoreNumber(3))?;
    complete(|| colony.subos.reclaim_lot(lot))
}

/// Everybody's interrupts come twice, every other time: all works as ever.
fn doubled_harm_nobody(rounds: u32, dice: &mut Dice, witness: &mut Witness) -> Result<u64, String> {
    let colony = busy()?;
    let mut far = how_far(&colony)?;
    disturb(HERE, 0, 128, dice.next()).map_err(said("hook"))?;
    let mut disturbed = disturb_colony(&colony, 0, 128, dice.next())?;
    for _ in 0..rounds {
        resize(&colony).map_err(said("resize"))?;
        disturbed += disturb_colony(&colony, 0, 128, dice.next())?;
        goes_on(&colony, &mut far)?;
        witness.testify()?;
    }
    disturbed += disturb_colony(&colony, 0, 0, 0)? + disturb(HERE, 0, 0, 0).map_err(said("hook"))?;
    finish(colony)?;
    Ok(disturbed)
}

/// It is told to end; then nobody may be missing.
fn finish(colony: Colony) -> Outcome {
    colony.subos.send(END, 0, 0, 0, 0).map_err(said("send"))?;
    let heard = colony.hear("@abroad result=")?;
    check!(heard.contains("result=ok"), "{heard}");
    colony.destroy()
}

/// A quarter of the supervisor's interrupts is lost: what it takes comes all the same, for it interrupts again who does not
/// answer; a core that it gives may not come, until it is given once more; and the subOS loses nothing.
fn lost_above_delay(rounds: u32, dice: &mut Dice, witness: &mut Witness) -> Result<u64, String> {
    let colony = busy()?;
    let (mut far, mut disturbed) = (how_far(&colony)?, 0);
    for _ in 0..rounds {
        disturb(HERE, 64, 0, dice.next()).map_err(said("hook"))?;
        resize(&colony).map_err(said("resize"))?;
        complete(|| colony.subos.reclaim_core(CoreNumber(3), Ticks(0))).map_err(said("reclaim"))?;
        disturbed += disturb(HERE, 0, 0, 0).map_err(said("hook"))?;
        colony.subos.grant_core(CoreNumber(3)).map_err(said("grant_core"))?;
        check_eq!(colony.state()?, SubOsState::Running);
        goes_on(&colony, &mut far)?;
        witness.testify()?;
    }
    finish(colony)?;
    Ok(disturbed)
}

/// A quarter of a subOS's own interrupts is lost: it may come to a stand, and that is all. It is resized and ended as ever.
fn lost_below_stay_below(rounds: u32, dice: &mut Dice, witness: &mut Witness) -> Result<u64, String> {
    let mut disturbed = 0;
    for _ in 0..rounds {
        let colony = busy()?;
        how_far(&colony)?;
        disturb_colony(&colony, 64, 0, dice.next())?;
        time::sleep(Duration::from_millis(20));
        resize(&colony).map_err(said("resize"))?;
        witness.testify()?;
        disturbed += disturb_colony(&colony, 0, 0, 0)?;
        colony.destroy()?;
    }
    Ok(disturbed)
}

/// Bytes of windows flip while messages cross: a sample.
pub(crate) fn bytes_of_windows_flip() -> Outcome {
    flip_windows(32, 32_768, 50)
}

/// Every byte that positions lie among flips, and thousands of the others.
pub(crate) fn every_byte_of_windows_flips() -> Outcome {
    flip_windows(1, 64, 10_000)
}

fn flip_windows(control: u64, data: u64, at_least: u64) -> Outcome {
    /// A window's bytes, and of each half those that are not messages.
    const WINDOW: u64 = CHUNK_SIZE - PAGE_SIZE;
    const CONTROL: u64 = userlib::channel::ring::CONTROL as u64 * 8;
    let (before, mut dice, mut flipped) = (ledger()?, Dice(crate::seed()), 0);
    for half in [0, WINDOW / 2] {
        flipped += flip_bytes(half, half + CONTROL, control, &mut dice)?;
        flipped += flip_bytes(half + CONTROL, half + WINDOW / 2, data, &mut dice)?;
    }
    audit()?;
    compare(&before)?;
    println!("@injected bytes={flipped}");
    check!(flipped >= at_least, "only {flipped} bytes");
    Ok(())
}

/// Flips a bit of every so many bytes; who reads may get rubbish, or find the channel broken, but must not fault.
fn flip_bytes(from: u64, to: u64, step: u64, dice: &mut Dice) -> Result<u64, String> {
    let (mut at, mut flipped) = (from, 0);
    while at < to {
        let Neighbours { one, other, .. } = Neighbours::new(1)?;
        // The positions that the other side writes, or those of this one.
        let (culprit, victim) = if dice.next().is_multiple_of(2) { (one, other) } else { (other, one) };
        victim.subos.send(order::SERVE, 0, 0, 0, 0).map_err(said("send"))?;
        check_eq!(unharmed(&victim, DONE)?[2], 0);
        let count = (to - at).div_ceil(step);
        culprit.subos.send(order::FLIP, at, count, step, dice.next()).map_err(said("send"))?;
        let [_, _, done, ..] = unharmed(&culprit, DONE)?;
        check!(done > 0 && done <= count, "flipping from {at} came to {done:#x}");
        flipped += done;
        at += done * step;
        // Its end is told by the doorbell, whatever the window says.
        unharmed(&victim, SERVED)?;
        culprit.destroy()?;
        victim.destroy()?;
    }
    Ok(flipped)
}

/// The next record with this first word, of a subOS whose threads do not fault and whose kernel does not fail.
fn unharmed(child: &Child, code: u64) -> Result<[u64; REGISTER_WORDS], String> {
    loop {
        let words = child.wait_for_any()?;
        match Event::from_words(&words) {
            Ok(event @ (Event::Unhandled { .. } | Event::Condemned { .. })) => {
                return Err(format!("it was harmed: {event:?}"));
            }
            Err(_) if words[0] == code => return Ok(words),
            _ => {}
        }
    }
}

/// Cores stop answering, one in the middle of its subOS's work and one that is idle there: each is given up with what it may
/// still reach, and nothing else.
pub(crate) fn cores_stop_answering() -> Outcome {
    let mut witness = Witness::new()?;
    for core in [3, 2] {
        let colony = busy_on(core)?;
        deafen(core.into())?;
        witness.testify()?;
        let taken = complete(|| colony.subos.reclaim_core(CoreNumber(core), Ticks(0)));
        check!(taken == Err(Error::Condemned), "a core that does not answer was taken: {taken:?}");
        witness.testify()?;
        colony.destroy()?;
        check_eq!(state_of(core)?, LedgerState::Quarantined);
        check_eq!(witness.child.subos.grant_core(CoreNumber(core)).err(), Some(Error::NoResource));
        audit()?;
    }
    witness.testify()?;
    println!("@injected silent_cores=2");
    witness.child.destroy()
}

/// A subOS that works on this core alone.
fn busy_on(core: u32) -> Result<Colony, String> {
    let colony = Colony::create(16)?;
    colony.load(idl::bundle::BOOT, "moves/work")?;
    colony.subos.grant_core(CoreNumber(core)).map_err(said("grant_core"))?;
    colony.subos.start().map_err(said("start"))?;
    how_far(&colony)?;
    Ok(colony)
}
