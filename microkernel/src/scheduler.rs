//! Who runs: per core, fixed priorities, round robin within one.
//!
//! A thread is placed on a *seat*, the core that it was given; seats point to cores, and losing a core re-points
//! its seats in a number of steps that depends on priorities alone. Threads without a core wait in limbo.

use crate::arch::Vector;
use crate::arch::{mask_timer, send_ipi, set_timer};
use crate::counters::{Counters, count};
use crate::kernel::Kernel;
use crate::limits::{MAX_CORES, PRIORITIES};
use crate::memory::{Memory, Ref};
use crate::object::thread::{State, Thread};
use crate::outcome::NextThread;
use crate::queue::Queue;
use crate::types::{CoreId, PhysAddr, Priority, Ticks};

/// The ready threads of one core that are not running.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunQueue {
    occupied: u16,
    lists: [Queue; PRIORITIES],
}

impl RunQueue {
    /// No ready threads.
    pub const EMPTY: Self = Self { occupied: 0, lists: [Queue::EMPTY; PRIORITIES] };

    /// The most urgent priority that has a thread here.
    #[must_use]
    pub fn highest(&self) -> Option<Priority> {
        let top = 15_u32.checked_sub(self.occupied.leading_zeros())?;
        u8::try_from(top).ok().map(Priority)
    }

    /// Whether no thread is here.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    fn list(&mut self, priority: Priority) -> &mut Queue {
        &mut self.lists[priority.index()]
    }

    fn push(&mut self, memory: &mut Memory, thread: Ref<Thread>, end: End) {
        let priority = memory[thread].priority;
        self.occupied |= 1 << priority.0;
        match end {
            End::Front => self.list(priority).push_front(memory, thread),
            End::Back => self.list(priority).push_back(memory, thread),
        }
    }

    fn remove(&mut self, memory: &mut Memory, thread: Ref<Thread>) {
        let priority = memory[thread].priority;
        self.list(priority).remove(memory, thread);
        self.tidy(priority);
    }

    fn pop(&mut self, memory: &mut Memory) -> Option<Ref<Thread>> {
        let priority = self.highest()?;
        let thread = self.list(priority).pop_front(memory);
        self.tidy(priority);
        thread
    }

    fn tidy(&mut self, priority: Priority) {
        if self.list(priority).is_empty() {
            self.occupied &= !(1 << priority.0);
        }
    }

    /// Takes over all threads of another queue, keeping their order within each priority.
    pub fn append(&mut self, memory: &mut Memory, other: &mut Self) {
        for (mine, theirs) in self.lists.iter_mut().zip(&mut other.lists) {
            mine.append(memory, theirs);
        }
        self.occupied |= other.occupied;
        other.occupied = 0;
    }
}

/// Where a thread is put among those of its priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was interrupted and has time left.
    Front,
    /// It starts, or has used its time.
    Back,
}

/// What a kernel knows about a core.
#[derive(Clone, Copy, Debug)]
pub struct CoreState {
    /// The core belongs to this kernel and works for it.
    pub active: bool,
    /// The thread whose frame the core's entry code writes.
    pub current: Option<Ref<Thread>>,
    /// The page root that it runs on while it is not in the kernel.
    pub root: PhysAddr,
    /// Its ready threads.
    pub run: RunQueue,
    /// When the core came.
    pub arrived: Ticks,
    /// When the current thread got the core.
    pub since: Ticks,
    /// When the current thread's time slice ends.
    pub slice_end: Ticks,
    /// What the core's timer is set to.
    pub armed: Ticks,
    /// What happened on this core whenever it was here.
    pub counters: Counters,
}

impl CoreState {
    /// A core that this kernel does not have.
    pub const ABSENT: Self = Self {
        active: false,
        current: None,
        root: PhysAddr(0),
        run: RunQueue::EMPTY,
        arrived: Ticks(0),
        since: Ticks(0),
        slice_end: Ticks::NEVER,
        armed: Ticks::NEVER,
        counters: Counters::ZERO,
    };
}

impl CoreState {
    /// The current thread, which has run so long altogether, hands the core and what is left of its time to another.
    #[inline(always)]
    pub fn hand_over(&mut self, now: Ticks, ran: &mut Ticks, to: Ref<Thread>) {
        let span = now.0.wrapping_sub(self.since.0);
        ran.0 = ran.0.wrapping_add(span);
        self.counters.busy = self.counters.busy.wrapping_add(span);
        self.since = now;
        count(&mut self.counters.switches);
        self.current = Some(to);
    }
}

impl Kernel {
    /// What this kernel knows about the core that it runs on.
    pub fn here(&mut self) -> &mut CoreState {
        &mut self.cores[self.me.index()]
    }

    /// The thread that runs on this core.
    #[must_use]
    pub fn current(&self) -> Option<Ref<Thread>> {
        self.cores[self.me.index()].current
    }

    /// The core to which a thread's seat points.
    #[must_use]
    pub fn core_of(&self, thread: Ref<Thread>) -> Option<CoreId> {
        self.seats[self.memory[thread].seat.index()]
    }

    /// Lets a thread run again. Its registers are as they should be.
    pub fn make_ready(&mut self, thread: Ref<Thread>) -> NextThread {
        self.deadlines.remove(&mut self.memory, thread);
        self.memory[thread].state = State::Ready;
        let urgency = self.memory[thread].priority;
        let core = self.core_of(thread);
        self.enqueue(thread, End::Back);
        let Some(core) = core else { return NextThread::Same };
        let running = self.cores[core.index()].current.map(|current| self.memory[current].priority);
        let preempts = running.is_none_or(|running| urgency > running);
        match (core == self.me, preempts) {
            (true, true) => NextThread::Pick,
            (true, false) => NextThread::Same,
            (false, true) => {
                send_ipi(core, Vector::RESCHEDULE);
                NextThread::Same
            }
            // A running thread of the same urgency must now share: its core sets its timer when it is told.
            (false, false) => {
                if running == Some(urgency) {
                    send_ipi(core, Vector::RESCHEDULE);
                }
                NextThread::Same
            }
        }
    }

    /// Wakes a thread that the current one hands its time to.
    #[inline(always)]
    pub fn hand_over(&mut self, thread: Ref<Thread>) -> NextThread {
        let woken = &mut self.memory[thread];
        if self.seats[woken.seat.index()] != Some(self.me) {
            return self.make_ready(thread);
        }
        woken.state = State::Ready;
        if woken.deadline.is_present() {
            self.deadlines.remove(&mut self.memory, thread);
        }
        NextThread::Switch(thread)
    }

    /// Puts a ready thread that does not run into the run queue of its core.
    pub fn enqueue(&mut self, thread: Ref<Thread>, end: End) {
        let run = match self.core_of(thread) {
            Some(core) => &mut self.cores[core.index()].run,
            None => &mut self.limbo,
        };
        run.push(&mut self.memory, thread, end);
    }

    /// Takes a ready thread out of its run queue, for example to stop it or to change its priority.
    pub fn dequeue(&mut self, thread: Ref<Thread>) {
        if !self.memory[thread].link.is_queued() {
            return;
        }
        let run = match self.core_of(thread) {
            Some(core) => &mut self.cores[core.index()].run,
            None => &mut self.limbo,
        };
        run.remove(&mut self.memory, thread);
    }

    /// The core on which a thread is current, if it is.
    #[must_use]
    pub fn running_on(&self, thread: Ref<Thread>) -> Option<CoreId> {
        let index = self.cores.iter().position(|core| core.active && core.current == Some(thread))?;
        u8::try_from(index).ok().map(CoreId)
    }

    /// Decides who has this core from now on.
    pub fn schedule(&mut self, next: NextThread) {
        let now = self.now;
        self.send_home();
        let current = self.current();
        let alive = current.filter(|thread| thread.is_ready(&self.memory));
        let slice_end = self.here().slice_end;
        if let (NextThread::Same, Some(thread)) = (next, alive)
            && self.here().run.highest() <= Some(self.memory[thread].priority)
            && now < slice_end
        {
            return;
        }
        // One that has time left goes on with that before the others of its urgency; else they come first.
        if let Some(thread) = alive {
            let left = slice_end.0.saturating_sub(now.0);
            self.memory[thread].slice = Ticks(left);
            let end = if left > 0 || matches!(next, NextThread::Switch(_)) { End::Front } else { End::Back };
            self.cores[self.me.index()].run.push(&mut self.memory, thread, end);
        }
        if let NextThread::Switch(to) = next {
            if self.here().run.highest() <= Some(self.memory[to].priority) {
                return self.become_current(Some(to), slice_end);
            }
            self.cores[self.me.index()].run.push(&mut self.memory, to, End::Front);
        }
        let chosen = self.cores[self.me.index()].run.pop(&mut self.memory);
        let left = chosen.map_or(Ticks(0), |thread| core::mem::take(&mut self.memory[thread].slice));
        self.become_current(chosen, now.after(if left == Ticks(0) { self.slice } else { left }));
    }

    /// The current thread leaves this core if its seat has come to point elsewhere.
    fn send_home(&mut self) {
        let Some(thread) = self.current().filter(|thread| thread.is_ready(&self.memory)) else { return };
        if let Some(home) = self.core_of(thread).filter(|home| *home != self.me) {
            let slice_end = self.here().slice_end;
            self.become_current(None, slice_end);
            self.enqueue(thread, End::Back);
            send_ipi(home, Vector::RESCHEDULE);
        }
    }

    /// The core is about to park: who would have run next queues, and the current thread stays current, for the
    /// visitor who asked to move it to another core, unless it waits for something.
    pub fn stand_aside(&mut self, next: NextThread) {
        if let NextThread::Switch(to) = next {
            self.enqueue(to, End::Front);
        }
        if let Some(thread) = self.current()
            && !thread.is_ready(&self.memory)
        {
            self.become_current(None, Ticks::NEVER);
        }
    }

    /// Lets a stopped thread go on. Another core may not have noticed yet that it was stopped: then it just stays.
    pub fn let_go_on(&mut self, thread: Ref<Thread>) -> NextThread {
        if self.running_on(thread).is_some() {
            self.memory[thread].state = State::Ready;
            return NextThread::Same;
        }
        self.make_ready(thread)
    }

    /// This thread runs here from now on, until then at the longest if others are ready.
    #[inline(always)]
    pub fn become_current(&mut self, thread: Option<Ref<Thread>>, slice_end: Ticks) {
        let now = self.now;
        let here = &mut self.cores[self.me.index()];
        if here.current != thread {
            let ran = now.0.saturating_sub(here.since.0);
            if let Some(before) = here.current {
                here.counters.busy = here.counters.busy.wrapping_add(ran);
                let before = &mut self.memory[before];
                before.ran = Ticks(before.ran.0.wrapping_add(ran));
            }
            here.since = now;
            count(&mut here.counters.switches);
            here.current = thread;
        }
        here.slice_end = slice_end;
    }

    /// Sets this core's timer to what comes first: the end of a contended time slice, the end of a guest's time,
    /// the earliest deadline if this core keeps the time.
    pub fn set_timer(&mut self) {
        let me = self.me;
        let mut at = Ticks::NEVER;
        if let Some(thread) = self.current() {
            let here = &self.cores[me.index()];
            if here.run.highest() >= Some(self.memory[thread].priority) {
                at = here.slice_end;
            }
            if self.memory[thread].guest.is_some() {
                at = at.min(self.memory[thread].guest_deadline);
            }
        }
        if self.timekeeper == Some(me) {
            at = at.min(self.deadlines.earliest());
        }
        if !self.is_swept() {
            // What the timer is set to already stands: else whoever calls again and again would put it off for ever.
            let soon = self.here().armed.min(self.now.after(self.slice));
            at = at.min(if self.current().is_some() { soon } else { self.now });
        }
        let here = self.here();
        if here.armed != at {
            here.armed = at;
            if at == Ticks::NEVER { mask_timer() } else { set_timer(at) }
        }
    }

    /// Has the timekeeper's timer set to a deadline that was added, if that is earlier than what it is set to. One that it is
    /// set to needlessly early, because a deadline has gone, it looks at when it comes.
    pub fn tell_timekeeper(&mut self, at: Ticks) {
        let Some(keeper) = self.timekeeper.filter(|keeper| at < self.cores[keeper.index()].armed) else {
            return;
        };
        if keeper == self.me {
            self.here().armed = at;
            set_timer(at);
        } else {
            send_ipi(keeper, Vector::RESCHEDULE);
        }
    }

    /// The core has left this kernel: its seats and its ready threads go to another core, or to limbo.
    pub fn forsake(&mut self, core: CoreId) {
        let successor = CoreId::all_in(!core.bit()).find(|other| self.cores[other.index()].active);
        for seat in self.seats.iter_mut().filter(|seat| **seat == Some(core)) {
            *seat = successor;
        }
        self.board.leave(core);
        let left = &mut self.cores[core.index()];
        left.active = false;
        left.counters.departures += 1;
        left.counters.owned += self.now.0.saturating_sub(left.arrived.0);
        let mut run = core::mem::take(&mut left.run);
        let current = left.current.take();
        let target = match successor {
            Some(successor) => &mut self.cores[successor.index()].run,
            None => &mut self.limbo,
        };
        target.append(&mut self.memory, &mut run);
        // The thread that ran there comes first among its equals, wherever its seat points to by now.
        if let Some(thread) = current.filter(|thread| thread.is_ready(&self.memory)) {
            self.enqueue(thread, End::Front);
            if let Some(home) = self.core_of(thread).filter(|home| Some(*home) != successor) {
                send_ipi(home, Vector::RESCHEDULE);
            }
        }
        if self.timekeeper == Some(core) {
            self.timekeeper = successor;
        }
        if let Some(successor) = successor {
            send_ipi(successor, Vector::RESCHEDULE);
        }
    }

    /// The core joins this kernel. Its own seat points to it again, and the ready threads of that seat come
    /// back from wherever they were; all seats do if it is the only core.
    pub fn welcome(&mut self, core: CoreId) {
        let first = self.cores.iter().all(|other| !other.active);
        let mut counters = self.cores[core.index()].counters;
        counters.arrivals += 1;
        self.cores[core.index()] =
            CoreState { active: true, counters, arrived: self.now, ..CoreState::ABSENT };
        if first {
            self.seats = [Some(core); MAX_CORES];
            self.timekeeper = Some(core);
            let mut limbo = core::mem::take(&mut self.limbo);
            self.cores[core.index()].run.append(&mut self.memory, &mut limbo);
        } else if let Some(host) = self.seats[core.index()].replace(core) {
            let mut run = core::mem::take(&mut self.cores[host.index()].run);
            while let Some(thread) = run.pop(&mut self.memory) {
                let home = if self.memory[thread].seat == core { core } else { host };
                self.cores[home.index()].run.push(&mut self.memory, thread, End::Back);
            }
        }
    }

    /// The current thread goes on although another was about to take over: that one queues, and gets the core
    /// only if it is more urgent.
    pub fn yield_to(&mut self, next: NextThread) -> NextThread {
        match next {
            NextThread::Switch(thread) => self.make_ready(thread),
            other => other,
        }
    }
}
