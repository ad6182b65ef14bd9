//! A fault that a thread in another address space handles, and the way back.

use userlib::check_eq;
use userlib::idl::abi::FxArea;
use userlib::idl::message::{Fault, Message, Received};
use userlib::idl::types::Deadline;

use idl::abi::Registers;

use super::clock::{Clock, ROUNDS, Row};
use crate::rig::{DATA, END, Rig, code};
use crate::{Outcome, said};

/// Reads the clock twice and stores the low half of the difference: what reading it costs.
const READ: [u8; 12] = [
    0x0f, 0x31, // rdtsc
    0x89, 0xc6, // mov esi, eax
    0x0f, 0x31, // rdtsc
    0x29, 0xf0, // sub eax, esi
    0x89, 0x03, // mov [rbx], eax
    0x90, 0x90, // nop; nop
];
/// The same with a breakpoint in between, at the next place, over and over.
const FAULT: [u8; 17] = [
    0x48, 0x83, 0xc3, 0x04, // add rbx, 4
    0x0f, 0x31, // rdtsc
    0x89, 0xc6, // mov esi, eax
    0xcc, // int3
    0x0f, 0x31, // rdtsc
    0x29, 0xf0, // sub eax, esi
    0x89, 0x03, // mov [rbx], eax
    0xeb, 0xef, // jmp to the beginning
];
/// The vector of a breakpoint, after which a thread goes on behind the instruction.
const BREAKPOINT: u32 = 3;

/// From the instruction that faults to the next one: the fault, the handler's receive, its answer.
pub(super) fn measure(_: &Clock) -> Outcome {
    let rig = Rig::new()?;
    rig.load(&code![READ, FAULT, END]);
    rig.go(&Registers { rbx: DATA, ..Rig::registers() }, &FxArea::default())?;
    check_eq!(rig.fault()?.trap.vector, BREAKPOINT);
    for _ in 0..=ROUNDS {
        let received = rig.faults.reply_receive(&rig.reply, &Message::default(), Deadline::NEVER);
        let Received::Message { message, .. } = received.map_err(said("reply_receive"))? else {
            return Err("a signal instead of a fault".into());
        };
        check_eq!(Fault::from_message(&message).map(|fault| fault.trap.vector), Some(BREAKPOINT));
    }
    rig.stop()?;
    let mut words = rig.data.words().iter().flat_map(|word| {
        let both = word.load(core::sync::atomic::Ordering::Relaxed);
        [both & 0xffff_ffff, both >> 32]
    });
    let reading = words.next().unwrap_or(0);
    let mut row = Row::new("fault", ROUNDS);
    // The first fault is the only one that finds no handler waiting.
    for time in words.skip(1).take(ROUNDS) {
        row.add(time.saturating_sub(reading));
    }
    row.report()
}
