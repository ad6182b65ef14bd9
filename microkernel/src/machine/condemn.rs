//! The end of a kernel: what becomes of a subOS whose kernel failed, or did not answer.
//!
//! A failure in a subOS's kernel writes the epitaph into its share, spoils the lock so that its other cores park when
//! they next come by, and tells the supervisor. From then on nobody takes that lock again; the supervisor destroys the
//! subOS when it likes. A thread's fault that nobody handles is not the kernel's end: the supervisor is told, and the
//! thread stays where it is.

use core::fmt::Write;

use caps::ledger;
use idl::event::Event;
use idl::message::Fault;
use idl::types::CoreNumber;

use super::books::Books;
use super::share::{Author, Share};
use super::{doorbell, number_of, places, raw};
use crate::arch::x86_64::serial::{self, Com1, ExitCode};
use crate::arch::{Core, Vector, now, send_ipi};
use crate::kernel::{Kernel, KernelCell};
use crate::memory::Ref;
use crate::object::thread::Thread;
use crate::types::{CoreId, SubOsId};

/// The kernel that this core works for failed, or the one that it visits. The lock is spoilt, whoever has it; the
/// supervisor is told. Called once for each failure, on whatever stack is left.
pub fn kernel_failed(core: &mut Core, words: &dyn core::fmt::Display) {
    let (me, visited) = (core.id(), core.visiting());
    let (share, cell) = match (visited, core.arrival()) {
        (Some(visited), _) => (places().share(visited), places().shelf().visited()),
        (None, Some(arrival)) => (Share::own(arrival.subos), arrival.kernel),
        (None, None) => return,
    };
    let cell = raw::cell(cell);
    cell.lock.poison();
    let first = share.bury(u64::from(me.0) + 1, format_args!("{words}"));
    rouse(cell, me);
    if first {
        tell(share, Event::Condemned { core: CoreNumber(u32::from(me.0)) });
    }
    if visited.is_some() {
        places().shelf().close_abandoned(me);
    }
}

/// The other cores of the subOS come by the lock, find it spoilt and park.
fn rouse(cell: &KernelCell, me: CoreId) {
    for core in CoreId::all_in(cell.board.members() & !me.bit()) {
        send_ipi(core, Vector::RESCHEDULE);
    }
}

/// Sends an event to the supervisor. A full ring loses it, but not the doorbell, and what matters can be asked.
fn tell(share: Share, event: Event) {
    let _ = share.up().ring.push(event.to_words(), now(), Author::Kernel);
    doorbell::ring_up(share);
}

/// The supervisor gives up on a subOS's kernel: it did not part with its lock or with a core.
pub fn by_visitor(books: &mut Books, id: ledger::SubOsId, why: &str) {
    let number = number_of(id);
    if number == SubOsId::SUPERVISOR {
        // Nobody is left who could go on.
        panic!("the supervisor's own kernel does not answer: {why}");
    }
    let record = books.record(id);
    if core::mem::replace(&mut record.condemned, true) {
        return;
    }
    let share = places().share(number);
    if let Some(cell) = record.cell.map(raw::cell) {
        cell.lock.poison();
        rouse(cell, CoreId(u8::MAX));
    }
    share.bury(u64::from(u8::MAX), format_args!("{why}"));
    tell(share, Event::Condemned { core: CoreNumber(0) });
}

/// A thread made a fault that nobody handles: people read of it on the console, and the supervisor is told.
pub fn report_unhandled(kernel: &mut Kernel, thread: Ref<Thread>) {
    let Some(fault) = kernel.memory[thread].fault else { return };
    let registers = kernel.memory[thread].frame.registers;
    let fault = Fault { trap: fault.trap(), rip: registers.rip };
    let first = super::load::first_thread(kernel) == Some(thread);
    let who = if first { "the first thread of its first program" } else { "a thread" };
    let (number, why) = (kernel.id.0, fault.reason());
    let words =
        format_args!("\nsubOS {number}: {who} faulted and nobody handles it: {why}: {fault}\n{registers}\n");
    if kernel.id == SubOsId::SUPERVISOR {
        let _ = Com1.write_fmt(words);
        if first {
            // What all others hang on.
            serial::exit(ExitCode::Failed);
        }
        return;
    }
    let mut share = Share::own(kernel.id);
    let _ = share.write_fmt(words);
    let Fault { trap, rip } = fault;
    let core = CoreNumber(u32::from(kernel.me.0));
    tell(share, Event::Unhandled { core, kind: trap.vector, address: trap.address, rip });
}
