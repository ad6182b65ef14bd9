//! Leaving a kernel: who runs next on this core, and on which page tables. Step 9 of the path of a system call.

use core::ptr::NonNull;

use caps::{Kind, Slots};

use crate::arch::{Frame, park_requested};
use crate::kernel::Kernel;
use crate::memory::Ref;
use crate::object::address_space::AddressSpace;
use crate::object::thread::{Own, State, Thread};
use crate::outcome::NextThread;
use crate::sync::Asked;
use crate::types::{CoreId, PhysAddr};

/// The way out to a thread.
pub struct WayOut {
    /// The thread, which is current.
    pub thread: Ref<Thread>,
    /// Its registers, or those of the guest that it is in.
    pub frame: NonNull<Frame>,
    /// The page tables that it runs on.
    pub root: PhysAddr,
}

/// How a kernel is left.
pub enum Leave {
    /// The current thread goes on.
    Run(WayOut),
    /// Nobody runs.
    Idle,
    /// The core is wanted elsewhere.
    Park,
    /// The current thread may not go on before these cores have acknowledged.
    Wait(Asked),
}

impl Kernel {
    /// Decides who runs, and finishes what must be finished before.
    pub fn leave(&mut self, next: NextThread) -> Leave {
        if park_requested(self.me) {
            self.stand_aside(next);
            return Leave::Park;
        }
        let mut next = next;
        loop {
            self.schedule(next);
            let Some(thread) = self.current() else {
                self.sweep();
                self.set_timer();
                return Leave::Idle;
            };
            if let Some(asked) = self.memory[thread].quiet {
                if !self.board.is_answered(asked) {
                    return Leave::Wait(asked);
                }
                self.memory[thread].quiet = None;
            }
            if self.guest_must_end(thread) {
                self.leave_guest(
                    thread,
                    idl::abi::Trap { kind: idl::abi::TrapKind::Interrupted as u32, ..Default::default() },
                );
            }
            if let Some(root) = self.root_of(thread) {
                self.set_timer();
                let frame = NonNull::from(self.memory[thread].running_frame());
                return Leave::Run(WayOut { thread, frame, root });
            }
            if self.guest_lost_its_space(thread) {
                next = NextThread::Same;
                continue;
            }
            // Its address space has gone.
            self.memory[thread].state = State::Stopped;
            next = NextThread::Pick;
        }
    }

    /// Who runs at once: the whole of what [`Kernel::leave`] decides, for a thread that is alone on its core with
    /// nothing pending. Whatever is out of the ordinary takes the long way.
    #[inline(always)]
    pub fn at_once(&mut self, me: CoreId, next: NextThread) -> Option<WayOut> {
        let current = self.cores[me.index()].current?;
        match next {
            NextThread::Same => self.if_alone(me, current),
            // The current thread, which now waits, hands its time over.
            NextThread::Switch(to) if !current.is_ready(&self.memory) => {
                let way = self.if_alone(me, to)?;
                let slice_end = self.cores[me.index()].slice_end;
                self.become_current(Some(to), slice_end);
                Some(way)
            }
            NextThread::Switch(_) | NextThread::Pick => None,
        }
    }

    /// The way out to a thread that can run on this core without a question: no other thread is ready here, and nothing is
    /// being removed. Whether the core is wanted elsewhere need not be asked: an interrupt says so as
    /// soon as the thread runs.
    #[inline(always)]
    pub fn if_alone(&mut self, me: CoreId, who: Ref<Thread>) -> Option<WayOut> {
        if !self.is_alone(me) || self.forest.is_removing() || !who.is_ready(&self.memory) {
            return None;
        }
        let root = self.root_here(me, &self.memory[who])?;
        Some(WayOut { thread: who, frame: NonNull::from(&mut self.memory[who].frame), root })
    }

    /// Whether no other thread is ready on this core. Then it does not matter when the time of the one that runs is over:
    /// whoever becomes ready later finds that it is, and gets the core.
    #[inline(always)]
    pub fn is_alone(&self, me: CoreId) -> bool {
        self.cores[me.index()].run.is_empty()
    }

    /// The page tables of a thread that may run here, with nothing to be done about it before.
    #[inline(always)]
    pub fn root_here(&self, me: CoreId, thread: &Thread) -> Option<PhysAddr> {
        let ordinary =
            thread.guest.is_none() && thread.quiet.is_none() && self.seats[thread.seat.index()] == Some(me);
        thread.space().filter(|_| ordinary).map(AddressSpace::root_at)
    }

    /// The page tables that a thread runs on: its guest's while it is in one.
    pub fn root_of(&self, thread: Ref<Thread>) -> Option<PhysAddr> {
        let at = match self.memory[thread].guest {
            Some(guest) => guest.space(),
            None => thread.own(Own::Space),
        };
        let slot = self.memory.slot(at);
        if slot.kind() != Kind::AddressSpace
            || self.forest.is_removing() && self.forest.is_doomed(&self.memory, at)
        {
            return None;
        }
        Some(AddressSpace::root_at(PhysAddr(slot.object())))
    }
}
