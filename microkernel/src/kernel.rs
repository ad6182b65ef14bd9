//! One kernel: all state of one subOS, behind one lock, and the way in and out of it.
//!
//! [`entered`] is where every entry arrives, whatever its cause: it locks this core's kernel, treats the cause,
//! lets the scheduler decide and leaves by one way. Inside there is one `&mut Kernel`, which reaches everything
//! of this subOS and nothing of another's.

use core::cell::UnsafeCell;
use core::ptr::NonNull;

use caps::{Capability, Forest, Kind, Slots, Table};

use crate::arch::x86_64::core::Core;
use crate::arch::x86_64::frame::FramePtr;
use crate::arch::x86_64::interrupts::Vector;
use crate::arch::x86_64::mailbox::Mailbox;
use crate::arch::x86_64::{apic, clock, instructions, physmap, tlb};
use crate::entry::{Cause, Exit};
use crate::board::{Board, Epoch};
use crate::deadline::Deadlines;
use crate::limits::{EXPIRE_BUDGET, MAX_CORES};
use crate::machine::{self, Bindings, Visit};
use crate::memory::{Memory, Ref};
use crate::object::address_space::AddressSpace;
use crate::object::thread::{Own, State, Thread};
use crate::outcome::{NextThread, Outcome};
use crate::removal::Removal;
use crate::scheduler::{CoreState, RunQueue};
use crate::sync::{Guard, KernelLock};
use crate::types::{CoreId, PhysAddr, SubOsId, Ticks};

/// A kernel and its lock, at the start of the home lot.
#[repr(C)]
pub struct KernelCell {
    /// Who may have the kernel.
    pub lock: KernelLock,
    /// How cores learn that others have let go; used without the lock.
    pub board: Board,
    kernel: UnsafeCell<Kernel>,
}

// SAFETY: the kernel inside is reached through the lock alone.
unsafe impl Sync for KernelCell {}

/// All state of one subOS.
pub struct Kernel {
    /// Which subOS.
    pub id: SubOsId,
    /// The core that runs this code.
    pub me: CoreId,
    /// When the present entry began.
    pub now: Ticks,
    /// A thread's time slice.
    pub slice: Ticks,
    /// The subOS's memory.
    pub memory: Memory,
    /// The derivation forest.
    pub forest: Forest,
    /// The table of planted root capabilities.
    pub roots: Table,
    /// The page tables of a core that runs no thread.
    pub home_root: PhysAddr,
    /// The upper half of every root of this subOS; it never changes.
    pub upper: [u64; 256],
    /// What is known of each core.
    pub cores: [CoreState; MAX_CORES],
    /// The core that each seat points to.
    pub seats: [Option<CoreId>; MAX_CORES],
    /// Ready threads without a core.
    pub limbo: RunQueue,
    /// When blocked threads are to be woken.
    pub deadlines: Deadlines,
    /// The core that looks after the deadlines.
    pub timekeeper: Option<CoreId>,
    /// The first of all address spaces.
    pub spaces: Option<Ref<AddressSpace>>,
    /// What the removal of capabilities has left to do.
    pub removal: Removal,
    /// The flush board of this kernel.
    pub board: &'static Board,
    /// The ends of the shares with the supervisor that this kernel holds.
    pub shares: Bindings,
}

/// What a new kernel is told.
#[derive(Clone, Copy, Debug)]
pub struct NewKernel<'a> {
    /// Which subOS.
    pub id: SubOsId,
    /// A thread's time slice.
    pub slice: Ticks,
    /// The table of planted roots.
    pub roots: Table,
    /// The page tables of a core that runs no thread.
    pub home_root: PhysAddr,
    /// The upper half of every root of this subOS.
    pub upper: &'a [u64; 256],
}

/// How an entry goes on.
enum Step {
    /// Out to user space, or to idle.
    Leave(NextThread),
    /// Out of this kernel for an operation on another, and back.
    Visit(Visit),
}

/// How a kernel is left.
enum Leave {
    Run(Ref<Thread>),
    Idle,
    Park,
    /// The current thread may not go on before all cores have acknowledged.
    Wait(Ref<Thread>, Epoch),
}

impl KernelCell {
    /// Makes a kernel without cores and threads in zeroed memory of its home lot. It is written in place: it is
    /// larger than a core's stack would like.
    ///
    /// # Safety
    /// The memory is zero, is the new kernel's own, large enough, mapped, and nothing else refers to it.
    pub unsafe fn create(at: PhysAddr, new: &NewKernel<'_>) -> &'static Self {
        let cell: *mut Self = physmap::pointer(at);
        // SAFETY: by this function's contract the memory is ours to write, and all fields are written: those left
        // out are valid as zeroes (unlocked lock, empty board, empty queues).
        unsafe {
            (&raw mut (*cell).lock).write(KernelLock::new());
            (&raw mut (*cell).board).write(Board::new());
            let kernel = UnsafeCell::raw_get(&raw const (*cell).kernel);
            (&raw mut (*kernel).id).write(new.id);
            (&raw mut (*kernel).slice).write(new.slice);
            (&raw mut (*kernel).memory).write(Memory::new());
            (&raw mut (*kernel).forest).write(Forest::new());
            (&raw mut (*kernel).roots).write(new.roots);
            (&raw mut (*kernel).home_root).write(new.home_root);
            (&raw mut (*kernel).upper).write(*new.upper);
            for core in 0..MAX_CORES {
                (&raw mut (*kernel).cores).cast::<CoreState>().add(core).write(CoreState::ABSENT);
                (&raw mut (*kernel).seats).cast::<Option<CoreId>>().add(core).write(None);
            }
            (&raw mut (*kernel).limbo).write(RunQueue::EMPTY);
            (&raw mut (*kernel).deadlines).write(Deadlines::EMPTY);
            (&raw mut (*kernel).timekeeper).write(None);
            (&raw mut (*kernel).spaces).write(None);
            (&raw mut (*kernel).removal).write(Removal::NOTHING);
            (&raw mut (*kernel).board).write(&(*cell).board);
            (&raw mut (*kernel).shares).write(Bindings::NONE);
            &*cell
        }
    }

    /// Waits for the kernel on behalf of one of its own cores. `None`: the core is asked to park instead.
    fn enter(&'static self, core: CoreId) -> Option<(Guard<'static>, &'static mut Kernel)> {
        let guard = self.lock.acquire(core, || self.serve_while_waiting(core))?;
        // SAFETY: the guard is held for as long as the reference is used: both are dropped together by `entered`.
        let kernel = unsafe { &mut *self.kernel.get() };
        Some((guard, kernel))
    }

    /// The kernel, for a visitor who holds the lock.
    ///
    /// # Safety
    /// The caller holds this cell's lock, or is the only one who knows of the cell yet.
    #[allow(clippy::mut_from_ref, reason = "the lock, not the borrow, is what makes it exclusive")]
    pub unsafe fn visit(&self) -> &mut Kernel {
        // SAFETY: by this function's contract.
        unsafe { &mut *self.kernel.get() }
    }

    /// What a core does for others while it waits for the lock: nothing of this kernel's is in its hands, its
    /// frame was written before. Says whether to go on waiting.
    fn serve_while_waiting(&self, core: CoreId) -> bool {
        !Mailbox::of(core).park_requested()
    }

    /// Waits, without the lock and on the home root, until every core has acknowledged the epoch or this core is
    /// asked to park.
    fn wait_until_quiet(&self, core: &mut Core, home_root: PhysAddr, epoch: Epoch) {
        core.load_root(home_root);
        let core = core.id();
        while !self.board.is_quiet(epoch) && !Mailbox::of(core).park_requested() {
            if let Some(owed) = self.board.owes(core) {
                tlb::flush_all();
                self.board.acknowledge(core, owed);
            }
            instructions::pause();
        }
    }
}

/// Treats one entry into the kernel, from its cause to where the core goes next.
pub fn entered(core: &mut Core, cause: Cause) -> Exit {
    let Some(arrival) = core.arrival() else { return Exit::Park };
    // SAFETY: whoever let the core arrive made the cell there, and it stays until the core has parked.
    let cell: &'static KernelCell = unsafe { physmap::reference(arrival.kernel) };
    let id = core.id();
    let Some((mut guard, mut kernel)) = cell.enter(id) else {
        // Nothing was done for this entry. A system call is made again when the thread runs again; a fault comes
        // again by itself.
        if let (Cause::Syscall, Some(frame)) = (cause, core.frame()) {
            // SAFETY: this core saved the frame on this entry and nobody else touches it before the core has parked.
            unsafe { (*frame.as_ptr()).rewind_syscall() };
        }
        return Exit::Park;
    };
    let mut step = kernel.begin(id, cause);
    loop {
        match step {
            Step::Visit(visit) => {
                let caller = kernel.current();
                drop(guard);
                let result = machine::perform(visit);
                let Some(again) = cell.enter(id) else { return Exit::Park };
                (guard, kernel) = again;
                kernel.refresh(id);
                // The world has moved on: the answer is delivered only if the caller is still there for it.
                let there = caller.filter(|caller| kernel.current() == Some(*caller));
                if let Some(caller) = there.filter(|caller| caller.is_ready(&kernel.memory)) {
                    kernel.answer(caller, result);
                }
                step = Step::Leave(NextThread::Same);
            }
            Step::Leave(next) => match kernel.leave(next) {
                Leave::Run(thread) => {
                    let (frame, root) = kernel.frame_and_root(thread);
                    drop(guard);
                    return Exit::Run { frame, root };
                }
                Leave::Idle => {
                    drop(guard);
                    return Exit::Idle;
                }
                Leave::Park => {
                    drop(guard);
                    return Exit::Park;
                }
                Leave::Wait(thread, epoch) => {
                    let root = kernel.home_root;
                    drop(guard);
                    cell.wait_until_quiet(core, root, epoch);
                    let Some(again) = cell.enter(id) else { return Exit::Park };
                    (guard, kernel) = again;
                    kernel.refresh(id);
                    kernel.settled(thread, epoch);
                    step = Step::Leave(NextThread::Same);
                }
            },
        }
    }
}

impl Kernel {
    /// What this core must know and do before anything else on an entry.
    fn refresh(&mut self, core: CoreId) {
        self.me = core;
        self.now = clock::now();
        if let Some(owed) = self.board.owes(core) {
            tlb::flush_all();
            self.board.acknowledge(core, owed);
        }
    }

    fn begin(&mut self, core: CoreId, cause: Cause) -> Step {
        self.refresh(core);
        match cause {
            Cause::Syscall => self.syscall(),
            Cause::Interrupt(vector) => {
                self.here().counters.interrupts += 1;
                if vector == Vector::TIMER {
                    self.here().armed = Ticks::NEVER;
                    self.expire();
                }
                Step::Leave(machine::doorbell_interrupt(self))
            }
            Cause::Fault(fault) => {
                self.here().counters.faults += 1;
                let Some(thread) = self.runner() else { return Step::Leave(NextThread::Pick) };
                if self.memory[thread].guest.is_some() {
                    return Step::Leave(self.guest_fault(thread, fault));
                }
                Step::Leave(self.thread_fault(thread, fault))
            }
            Cause::Woken(pending) => {
                self.here().counters.interrupts += u64::from(pending.bits().count_ones());
                self.look_around()
            }
            Cause::Arrived | Cause::VisitFailed => self.look_around(),
        }
    }

    /// An idle core, or one that has just come, looks for work.
    fn look_around(&mut self) -> Step {
        self.here().armed = Ticks::NEVER;
        self.expire();
        let _ = machine::doorbell_interrupt(self);
        Step::Leave(NextThread::Pick)
    }

    /// The thread whose registers this entry saved, unless it was stopped or destroyed meanwhile.
    fn runner(&self) -> Option<Ref<Thread>> {
        self.current().filter(|thread| thread.is_ready(&self.memory))
    }

    fn syscall(&mut self) -> Step {
        self.here().counters.calls += 1;
        let Some(thread) = self.current() else { return Step::Leave(NextThread::Pick) };
        if !thread.is_ready(&self.memory) {
            // It was stopped by another core while this call was on its way: it will be made again.
            self.memory[thread].running_frame().rewind_syscall();
            return Step::Leave(NextThread::Pick);
        }
        if self.memory[thread].guest.is_some() {
            return Step::Leave(self.guest_syscall(thread));
        }
        match self.invoke(thread) {
            Ok(Outcome::Answered(answer, next)) => {
                self.memory[thread].frame.set_answer(answer.words);
                Step::Leave(next)
            }
            Ok(Outcome::Deferred(next)) => Step::Leave(next),
            Ok(Outcome::Visit(visit)) => Step::Visit(visit),
            Err(error) => {
                self.memory[thread].frame.set_error(error);
                Step::Leave(NextThread::Same)
            }
        }
    }

    fn answer(&mut self, thread: Ref<Thread>, result: Result<crate::outcome::Answer, caps::Error>) {
        match result {
            Ok(answer) => self.memory[thread].frame.set_answer(answer.words),
            Err(error) => self.memory[thread].frame.set_error(error),
        }
    }

    /// Wakes threads whose deadline has passed, a bounded number; the timer fires again at once for the rest.
    fn expire(&mut self) {
        if self.timekeeper != Some(self.me) {
            return;
        }
        for _ in 0..EXPIRE_BUDGET {
            let Some(thread) = self.deadlines.pop_expired(&mut self.memory, self.now) else { return };
            // What the timer interrupt means for this core is decided on the way out.
            let _ = self.cancel(thread, caps::Error::TimedOut);
        }
    }

    /// Decides who runs, and finishes what must be finished before.
    fn leave(&mut self, next: NextThread) -> Leave {
        if Mailbox::of(self.me).park_requested() {
            // Its thread stays current until the visitor who asked moves it to another core.
            return Leave::Park;
        }
        let mut next = next;
        loop {
            self.schedule(next);
            let Some(thread) = self.current() else {
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
                self.leave_guest(thread, idl::abi::Trap { kind: idl::abi::TrapKind::Interrupted as u32, ..Default::default() });
            }
            if self.root_of(thread).is_some() {
                self.set_timer();
                return Leave::Run(thread);
            }
            // Its address space has gone.
            self.memory[thread].state = State::Stopped;
            next = NextThread::Pick;
        }
    }

    fn settled(&mut self, thread: Ref<Thread>, epoch: Epoch) {
        if self.current() == Some(thread)
            && self.board.is_quiet(epoch)
            && thread.is_ready(&self.memory)
            && self.memory[thread].quiet == epoch.0
        {
            self.memory[thread].quiet = 0;
        }
    }

    /// Asks every core to let go of what was taken away, and holds `thread`, if given,
    /// until they have.
    pub fn hold_until_quiet(&mut self, thread: Option<Ref<Thread>>) -> Epoch {
        let epoch = self.board.raise();
        let others = self.board.members() & !self.me.bit();
        for index in 0..MAX_CORES as u8 {
            if others & CoreId(index).bit() != 0 {
                apic::send(CoreId(index), Vector::FLUSH);
            }
        }
        tlb::flush_all();
        self.board.acknowledge(self.me, epoch);
        if others != 0
            && let Some(thread) = thread
        {
            self.memory[thread].quiet = epoch.0;
        }
        epoch
    }

    /// The page tables that a thread runs on: its guest's while it is in one.
    fn root_of(&self, thread: Ref<Thread>) -> Option<PhysAddr> {
        let slot = match self.memory[thread].guest {
            Some(guest) => guest.space(),
            None => thread.own(Own::Space),
        };
        let capability = self.memory.slot(slot).capability()?;
        if self.forest.is_removing() && self.forest.is_doomed(&self.memory, slot) {
            return None;
        }
        Some(Ref::<AddressSpace>::at(PhysAddr(capability.object)).root())
    }

    fn frame_and_root(&mut self, thread: Ref<Thread>) -> (FramePtr, PhysAddr) {
        let root = self.root_of(thread).unwrap_or(self.home_root);
        let frame = NonNull::from(self.memory[thread].running_frame());
        // SAFETY: the frame lies in a thread that is current on this core: its memory is not reused before every
        // core has acknowledged leaving it, and nobody touches a current thread's frame.
        (unsafe { FramePtr::new(frame) }, root)
    }

    /// What one of a thread's own slots holds, if that is still to be used.
    #[must_use]
    pub fn own_capability(&self, thread: Ref<Thread>, which: Own, kind: Kind) -> Option<Capability> {
        let slot = thread.own(which);
        let capability = self.memory.slot(slot).capability()?;
        if self.forest.is_removing() && self.forest.is_doomed(&self.memory, slot) {
            return None;
        }
        (capability.kind == kind).then_some(capability)
    }
}
