//! The ways in and out of a kernel.
//!
//! [`entered`] is where every entry arrives but system calls, whatever its cause: it locks this core's kernel, treats the
//! cause, lets the scheduler decide and leaves by one way. System calls come by `entry/call.rs`, and leave by the same way.

use crate::arch::{Cause, Core, Exit, FramePtr, flush_all, now, park_requested};
use crate::departure::{Leave, WayOut};
use crate::kernel::{Inside, Step};
use crate::machine;
use crate::outcome::NextThread;
use crate::sync::Wait;
use crate::types::{CoreId, PhysAddr};

/// Waits unless the core is wanted elsewhere, in which case it parks. Nothing of the kernel's is in the hands of a core that
/// waits: its frame was written before.
fn unless_wanted(core: CoreId) -> impl Fn() -> Wait {
    move || if park_requested(core) { Wait::Withdraw } else { Wait::On }
}

/// Waits in its turn, on behalf of a core that brings what would be lost if it left: the answer of a visit, a trap that
/// does not come again.
fn in_any_case() -> Wait {
    Wait::On
}

/// Enters this core's kernel for a system call.
///
/// # Errors
/// How the core is to be left instead: it belongs to nobody, or is wanted elsewhere. If nothing is done for this entry, the
/// call is made again when the thread runs again.
#[inline(always)]
pub fn enter_for_call(core: &mut Core) -> Result<Inside, Exit> {
    let cell = core.kernel().ok_or(Exit::Park)?;
    cell.enter(core, unless_wanted(core.id())).ok_or(Exit::ParkAndRedo)
}

/// Treats any other entry, from its cause to where the core goes next.
pub fn entered(core: &mut Core, cause: Cause) -> Exit {
    let Some(cell) = core.kernel() else { return Exit::Park };
    let id = core.id();
    let way_in =
        if cause.is_past() { cell.enter(core, in_any_case) } else { cell.enter(core, unless_wanted(id)) };
    // If nothing is done for this entry, a fault comes again by itself.
    let Some(inside) = way_in else { return Exit::Park };
    match inside.kernel.begin(core, cause) {
        // Only an interrupt of the timer has it set again.
        Step::Leave(next)
            if matches!(cause, Cause::Fault(_))
                && let Some(way) = inside.kernel.at_once(id, next) =>
        {
            run(core, inside, way)
        }
        step => finish(core, inside, step),
    }
}

/// Finishes an entry: carries out visits, waits for other cores, and leaves.
pub fn finish(core: &mut Core, first: Inside, step: Step) -> Exit {
    let Some(cell) = core.kernel() else { return Exit::Park };
    let (mut inside, mut step) = (first, step);
    loop {
        let kernel = &mut *inside.kernel;
        match step {
            Step::Visit(visit) => {
                let (caller, begun) = (kernel.current(), kernel.now);
                drop(inside);
                let result = machine::perform(core, visit);
                let Some(again) = cell.enter(core, in_any_case) else { return Exit::Park };
                inside = again;
                let kernel = &mut *inside.kernel;
                kernel.here().counters.kernel +=
                    (kernel.now.0 - begun.0).saturating_sub(core::mem::take(&mut core.visited));
                // The world has moved on: the answer is delivered only if the caller is still there for it.
                let there = caller.filter(|caller| kernel.current() == Some(*caller));
                if let Some(caller) = there.filter(|caller| caller.is_ready(&kernel.memory)) {
                    match result {
                        Some(result) => kernel.answer(caller, result),
                        None => kernel.memory[caller].frame.rewind_syscall(),
                    }
                }
                step = Step::Leave(NextThread::Same);
            }
            Step::Leave(next) => match kernel.leave(next) {
                Leave::Run(way) => return run(core, inside, way),
                Leave::Idle => {
                    leave_for_home(core, inside);
                    return Exit::Idle;
                }
                Leave::Park => {
                    leave_for_home(core, inside);
                    return Exit::Park;
                }
                Leave::Wait(asked) => {
                    let id = core.id();
                    leave_for_home(core, inside);
                    cell.board.wait(id, asked, flush_all, || park_requested(id) || cell.lock.is_poisoned());
                    let Some(again) = cell.enter(core, unless_wanted(id)) else { return Exit::Park };
                    inside = again;
                    step = Step::Leave(NextThread::Same);
                }
            },
        }
    }
}

/// Leaves for a thread.
#[inline(always)]
pub fn run(core: &mut Core, inside: Inside, way: WayOut) -> Exit {
    core.thread = way.thread.address().as_u64();
    leave_for(core, inside, way.root);
    // SAFETY: the frame lies in a thread that is current on this core: its memory is not reused before every core has
    // acknowledged leaving it, and nobody touches a current thread's frame.
    Exit::Run(unsafe { FramePtr::new(way.frame) })
}

/// Leaves a kernel whose lock this core does not hold, for good. From here on the core uses nothing but the home root, the
/// image and its own area, and nothing it has in its TLB, until it has flushed on the park root: nobody waits for it.
pub fn depart(core: &mut Core) {
    if let (Some(cell), Some(arrival)) = (core.kernel(), core.arrival()) {
        // SAFETY: the home root is this kernel's own, and goes only when this core has said that it has parked.
        unsafe { core.load_root(arrival.home_root) };
        cell.board.leave(core.id());
    }
}

/// Lets go of the kernel, to run nobody.
fn leave_for_home(core: &mut Core, inside: Inside) {
    let root = inside.kernel.home_root;
    leave_for(core, inside, root);
}

/// Lets go of the kernel, on the page tables that the core goes on with: those it came on may be of a space that was
/// taken away during this entry, and once the lock is free their memory may be used again. What it goes on with is noted
/// under the lock, so that whoever takes mappings away knows whom to ask.
#[inline(always)]
fn leave_for(core: &mut Core, Inside { guard, kernel }: Inside, root: PhysAddr) {
    crate::arch::x86_64::testing::passage();
    let here = &mut kernel.cores[core.id().index()];
    here.root = root;
    here.counters.kernel = here.counters.kernel.wrapping_add(now().0.wrapping_sub(kernel.now.0));
    // SAFETY: the root is a space's of this kernel, or its home root: both carry its kernel half.
    unsafe { core.load_root(root) };
    drop(guard);
}
