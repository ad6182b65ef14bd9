//! Leaving a kernel: who runs next on this core, and on which page tables. Step 9 of the path of a system call.

use caps::{Kind, Slots};

use crate::arch::park_requested;
use crate::kernel::Kernel;
use crate::memory::Ref;
use crate::object::address_space::AddressSpace;
use crate::object::thread::{Own, State, Thread};
use crate::outcome::NextThread;
use crate::sync::Epoch;
use crate::types::{PhysAddr, Ticks};

/// How a kernel is left.
pub enum Leave {
    /// The current thread goes on, on this page root.
    Run(Ref<Thread>, PhysAddr),
    /// Nobody runs.
    Idle,
    /// The core is wanted elsewhere.
    Park,
    /// The current thread may not go on before all cores have acknowledged.
    Wait(Ref<Thread>, Epoch),
}

impl Kernel {
    /// Decides who runs, and finishes what must be finished before.
    pub fn leave(&mut self, next: NextThread) -> Leave {
        if park_requested(self.me) {
            self.stand_aside(next);
            return Leave::Park;
        }
        let at_once = match next {
            NextThread::Same => self.goes_on(),
            NextThread::Switch(to) => self.takes_over(to),
            NextThread::Pick => None,
        };
        if let Some((thread, root)) = at_once {
            return Leave::Run(thread, root);
        }
        let mut next = next;
        loop {
            self.schedule(next);
            let Some(thread) = self.current() else {
                self.sweep();
                self.set_timer();
                return Leave::Idle;
            };
            let quiet = Epoch(self.memory[thread].quiet);
            if quiet != Epoch(0) {
                if !self.board.is_quiet(quiet) {
                    return Leave::Wait(thread, quiet);
                }
                self.memory[thread].quiet = 0;
            }
            if self.guest_must_end(thread) {
                self.leave_guest(
                    thread,
                    idl::abi::Trap { kind: idl::abi::TrapKind::Interrupted as u32, ..Default::default() },
                );
            }
            if let Some(root) = self.root_of(thread) {
                self.set_timer();
                return Leave::Run(thread, root);
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

    /// The current thread and its page root, if it goes on at once: the whole of what [`Kernel::leave`] decides, for
    /// a thread that is alone on its core with nothing pending. Whatever is out of the ordinary takes the long way.
    #[inline]
    fn goes_on(&self) -> Option<(Ref<Thread>, PhysAddr)> {
        let current = self.cores[self.me.index()].current?;
        Some((current, self.root_if_alone(current)?))
    }

    /// The same for a thread to which the current one, which now waits, hands its time.
    #[inline]
    fn takes_over(&mut self, to: Ref<Thread>) -> Option<(Ref<Thread>, PhysAddr)> {
        let current =
            self.cores[self.me.index()].current.filter(|current| !current.is_ready(&self.memory))?;
        let root = self.root_if_alone(to)?;
        let here = &mut self.cores[self.me.index()];
        let ran = self.now.0.saturating_sub(here.since.0);
        here.counters.busy += ran;
        here.counters.switches += 1;
        here.since = self.now;
        here.current = Some(to);
        self.memory[current].ran.0 += ran;
        Some((to, root))
    }

    /// The page root of a thread that can run on this core without a question: no other thread is ready here, its
    /// time is not over, the timer stands where it should, and nothing is being removed.
    #[inline]
    fn root_if_alone(&self, who: Ref<Thread>) -> Option<PhysAddr> {
        let here = &self.cores[self.me.index()];
        let thread = &self.memory[who];
        let timer = if self.timekeeper == Some(self.me) {
            self.deadlines.earliest(&self.memory)
        } else {
            Ticks::NEVER
        };
        let free = thread.state == State::Ready
            && thread.guest.is_none()
            && thread.quiet == 0
            && here.run.is_empty()
            && self.now < here.slice_end
            && here.armed == timer
            && self.seats[thread.seat.index()] == Some(self.me)
            && !self.forest.is_removing();
        thread.space().filter(|_| free).map(AddressSpace::root_at)
    }

    /// A thread that was held may go on, now that every core has acknowledged.
    pub fn settled(&mut self, thread: Ref<Thread>, epoch: Epoch) {
        if self.current() == Some(thread)
            && self.board.is_quiet(epoch)
            && thread.is_ready(&self.memory)
            && self.memory[thread].quiet == epoch.0
        {
            self.memory[thread].quiet = 0;
        }
    }

    /// The page tables that a thread runs on: its guest's while it is in one.
    fn root_of(&self, thread: Ref<Thread>) -> Option<PhysAddr> {
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
