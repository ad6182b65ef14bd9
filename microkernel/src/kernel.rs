//! One kernel: all state of one subOS, behind one lock, and the way in and out of it.
//!
//! [`entered`] is where every entry arrives, whatever its cause: it locks this core's kernel, treats the cause,
//! lets the scheduler decide and leaves by one way. Inside there is one `&mut Kernel`, which reaches everything
//! of this subOS and nothing of another's.

use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::ops::Deref;

use caps::{Capability, Kind, Slots, Table};
use idl::abi::OpWord;

use crate::arch::{
    Cause, Core, Exit, FramePtr, Pending, Vector, flush_all, now, park_requested, physmap, send_ipi,
};
use crate::counters::count;
use crate::deadline::Deadlines;
use crate::departure::{Leave, WayOut};
use crate::limits::{EXPIRE_BUDGET, MAX_CORES};
use crate::machine::{self, Bindings, Visit};
use crate::memory::{Memory, Ref};
use crate::object::address_space::AddressSpace;
use crate::object::thread::{Own, State, Thread};
use crate::outcome::{Answer, NextThread};
use crate::removal::Removal;
use crate::scheduler::{CoreState, RunQueue};
use crate::sync::{Asked, Board, Epoch, Guard, KernelLock, Wait};
use crate::trace;
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
    /// How many objects there are of each kind.
    pub live: [u32; Kind::ALL.len()],
    /// The subOS's memory.
    pub memory: Memory,
    /// The derivation forest.
    pub forest: crate::journal::Forest,
    /// The table of planted root capabilities; set from the start.
    pub roots: Option<Table>,
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
    pub board: BoardOf,
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

/// A kernel's own board, set when the kernel is created.
#[derive(Clone, Copy, Debug)]
pub struct BoardOf(Option<&'static Board>);

impl Deref for BoardOf {
    type Target = Board;

    fn deref(&self) -> &Board {
        self.0.expect("a kernel knows its board from its creation on")
    }
}

/// What every kernel begins as.
static NEW: Kernel = Kernel {
    id: SubOsId::SUPERVISOR,
    me: CoreId::BOOT,
    now: Ticks(0),
    slice: Ticks(0),
    live: [0; Kind::ALL.len()],
    memory: Memory::new(),
    forest: crate::journal::Forest::new(),
    roots: None,
    home_root: PhysAddr(0),
    upper: [0; 256],
    cores: [CoreState::ABSENT; MAX_CORES],
    seats: [None; MAX_CORES],
    limbo: RunQueue::EMPTY,
    deadlines: Deadlines::EMPTY,
    timekeeper: None,
    spaces: None,
    removal: Removal::NOTHING,
    board: BoardOf(None),
    shares: Bindings::NONE,
};

/// How an entry goes on.
pub enum Step {
    /// Out to user space, or to idle.
    Leave(NextThread),
    /// Out of this kernel for an operation on another, and back.
    Visit(Visit),
}

impl KernelCell {
    /// Makes a kernel without cores and threads in memory of its home lot. It is copied into place: it is larger
    /// than a core's stack would like.
    ///
    /// # Safety
    /// The memory is the new kernel's own, large enough, aligned, mapped, and nothing else refers to it.
    pub unsafe fn create(at: PhysAddr, new: &NewKernel<'_>) -> &'static Self {
        let cell: *mut Self = physmap::pointer(at);
        let lock = cell.wrapping_byte_add(offset_of!(Self, lock)).cast::<KernelLock>();
        let board = cell.wrapping_byte_add(offset_of!(Self, board)).cast::<Board>();
        let kernel = cell.wrapping_byte_add(offset_of!(Self, kernel)).cast::<Kernel>();
        // SAFETY: by this function's contract the memory is ours to write.
        unsafe { lock.write(KernelLock::default()) };
        // SAFETY: as above.
        unsafe { board.write(Board::default()) };
        // SAFETY: as above; the field is a plain Kernel inside its cell.
        unsafe { kernel.copy_from_nonoverlapping(&raw const NEW, 1) };
        // SAFETY: all fields have been written, and the cell stays for as long as the subOS does.
        let cell: &'static Self = unsafe { &*cell };
        // SAFETY: nobody else knows of the cell yet.
        let kernel = unsafe { &mut *cell.kernel.get() };
        kernel.id = new.id;
        kernel.slice = new.slice;
        kernel.roots = Some(new.roots);
        kernel.home_root = new.home_root;
        kernel.upper = *new.upper;
        kernel.board = BoardOf(Some(&cell.board));
        cell
    }

    /// Waits for the kernel on behalf of one of its own cores, for as long as `service` says. `None`: it does not say so
    /// any more, or the kernel has failed.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "the lock, not the borrow, is what makes it exclusive")]
    fn enter(
        &'static self,
        core: CoreId,
        service: impl FnMut() -> Wait,
    ) -> Option<(Guard<'static>, &'static mut Kernel)> {
        let guard = self.lock.acquire(core, service).ok()?;
        // SAFETY: the guard is held for as long as the reference is used: both end together, where the kernel is left.
        let kernel = unsafe { &mut *self.kernel.get() };
        Some((guard, kernel))
    }

    /// The kernel, for a visitor who holds the lock.
    ///
    /// # Safety
    /// The caller holds this cell's lock, or is the only one who knows of the cell yet.
    #[allow(clippy::mut_from_ref, reason = "the lock, not the borrow, is what makes it exclusive")]
    pub unsafe fn visit(&'static self) -> &'static mut Kernel {
        // SAFETY: by this function's contract.
        unsafe { &mut *self.kernel.get() }
    }
}

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

/// Treats a system call, from the registers in the core's frame to where the core goes next.
#[inline]
pub fn called(core: &mut Core) -> Exit {
    let Some(cell) = core.kernel() else { return Exit::Park };
    // If nothing is done for this entry, the call is made again when the thread runs again.
    let Some((guard, kernel)) = cell.enter(core.id(), unless_wanted(core.id())) else {
        return Exit::ParkAndRedo;
    };
    kernel.refresh(core, &cell.board);
    let step = kernel.called(core);
    if let Step::Leave(next) = step
        && let Some(way) = kernel.at_once(core.id(), next)
    {
        return run(core, kernel, guard, way);
    }
    finish(core, cell, guard, kernel, step)
}

/// Treats any other entry, from its cause to where the core goes next.
pub fn entered(core: &mut Core, cause: Cause) -> Exit {
    let Some(cell) = core.kernel() else { return Exit::Park };
    let id = core.id();
    let way_in =
        if cause.is_past() { cell.enter(id, in_any_case) } else { cell.enter(id, unless_wanted(id)) };
    // If nothing is done for this entry, a fault comes again by itself.
    let Some((guard, kernel)) = way_in else { return Exit::Park };
    kernel.refresh(core, &cell.board);
    let step = kernel.begin(core, cause);
    finish(core, cell, guard, kernel, step)
}

/// Finishes an entry: carries out visits, waits for other cores, and leaves.
fn finish(
    core: &mut Core,
    cell: &'static KernelCell,
    guard: Guard<'static>,
    kernel: &'static mut Kernel,
    first: Step,
) -> Exit {
    let (mut guard, mut kernel, mut step) = (guard, kernel, first);
    loop {
        match step {
            Step::Visit(visit) => {
                let (caller, begun) = (kernel.current(), kernel.now);
                drop(guard);
                let result = machine::perform(core, visit);
                let Some(again) = cell.enter(core.id(), in_any_case) else { return Exit::Park };
                (guard, kernel) = again;
                kernel.refresh(core, &cell.board);
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
                Leave::Run(way) => return run(core, kernel, guard, way),
                Leave::Idle => {
                    leave_for(core, kernel, kernel.home_root, guard);
                    return Exit::Idle;
                }
                Leave::Park => {
                    leave_for(core, kernel, kernel.home_root, guard);
                    return Exit::Park;
                }
                Leave::Wait(asked) => {
                    let id = core.id();
                    leave_for(core, kernel, kernel.home_root, guard);
                    cell.board.wait(id, asked, flush_all, || park_requested(id) || cell.lock.is_poisoned());
                    let Some(again) = cell.enter(id, unless_wanted(id)) else { return Exit::Park };
                    (guard, kernel) = again;
                    kernel.refresh(core, &cell.board);
                    step = Step::Leave(NextThread::Same);
                }
            },
        }
    }
}

/// Leaves for a thread.
#[inline]
fn run(core: &mut Core, kernel: &mut Kernel, guard: Guard<'_>, way: WayOut) -> Exit {
    core.thread = way.thread.address().as_u64();
    leave_for(core, kernel, way.root, guard);
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

/// Lets go of the kernel, on the page tables that the core goes on with: those it came on may be of a space that was
/// taken away during this entry, and once the lock is free their memory may be used again. What it goes on with is noted
/// under the lock, so that whoever takes mappings away knows whom to ask.
fn leave_for(core: &mut Core, kernel: &mut Kernel, root: PhysAddr, guard: Guard<'_>) {
    crate::arch::x86_64::testing::passage();
    let here = &mut kernel.cores[core.id().index()];
    here.root = root;
    here.counters.kernel += now().0.saturating_sub(kernel.now.0);
    // SAFETY: the root is a space's of this kernel, or its home root: both carry its kernel half.
    unsafe { core.load_root(root) };
    drop(guard);
}

impl Kernel {
    /// What this core must know and do before anything else on an entry.
    ///
    /// Acknowledging says that this core uses nothing any more that was taken away before, the page tables that it
    /// runs on included: they may be those of a space that is gone. So it changes to the home root first.
    #[inline]
    fn refresh(&mut self, core: &mut Core, board: &Board) {
        crate::arch::x86_64::testing::passage();
        let me = core.id();
        self.me = me;
        self.now = now();
        let home_root = self.home_root;
        board.answer(me, || {
            // SAFETY: the home root is this kernel's own.
            unsafe { core.load_root(home_root) };
            flush_all();
        });
    }

    fn begin(&mut self, core: &mut Core, cause: Cause) -> Step {
        match cause {
            // What made this entry is not there any more: the guest was taken away while it was on its way here.
            Cause::Fault(_) if self.is_outdated(core.frame()) => Step::Leave(NextThread::Same),
            Cause::Interrupt(vector) => {
                self.here().counters.interrupt(vector);
                if vector == Vector::TIMER {
                    self.here().armed = Ticks::NEVER;
                    self.expire();
                    self.sweep();
                }
                Step::Leave(machine::doorbell_interrupt(self))
            }
            Cause::Fault(fault) => {
                self.here().counters.faults += 1;
                let Some(thread) = self.runner() else { return Step::Leave(NextThread::Pick) };
                if self.is_outgrown(thread, fault) {
                    return Step::Leave(NextThread::Same);
                }
                if self.memory[thread].guest.is_some() {
                    return Step::Leave(self.guest_fault(thread, fault));
                }
                Step::Leave(self.thread_fault(thread, fault))
            }
            Cause::Woken(pending) => {
                for (bit, vector) in [(Pending::TIMER, Vector::TIMER), (Pending::DOORBELL, Vector::DOORBELL)]
                {
                    if pending.contains(bit) {
                        self.here().counters.interrupt(vector);
                    }
                }
                if pending.intersects(Pending::FLUSH | Pending::RESCHEDULE | Pending::OTHER) {
                    self.here().counters.interrupt(Vector::RESCHEDULE);
                }
                self.look_around()
            }
            Cause::Arrived => {
                self.board.join(self.me, flush_all);
                self.look_around()
            }
            Cause::VisitFailed => {
                // What the caller of the visit asked for died under the visitor's hands.
                if let Some(caller) = self.runner() {
                    self.answer(caller, Err(caps::Error::Condemned));
                }
                Step::Leave(NextThread::Same)
            }
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

    #[inline]
    fn called(&mut self, core: &mut Core) -> Step {
        let now = self.now;
        let here = &mut self.cores[core.id().index()];
        count(&mut here.counters.calls);
        let Some(current) = here.current else { return Step::Leave(NextThread::Pick) };
        let thread = &mut self.memory[current];
        let frame = &mut thread.frame;
        let expected = core.frame().is_some_and(|saved| saved.as_ptr() == core::ptr::from_mut(frame));
        if !expected || thread.state != State::Ready {
            return self.called_otherwise(core, current);
        }
        let (op, handle) = (frame.registers.rax, frame.registers.rdi);
        trace::record(core, now, trace::Event::Syscall, op, handle);
        if op == idl::abi::NULL_CALL {
            crate::arch::x86_64::testing::bench_padding();
            frame.set_answer(Answer::NOTHING.words);
            return Step::Leave(NextThread::Same);
        }
        self.invoke(current, OpWord(op))
    }

    /// A system call of a guest; or one whose maker was stopped, or taken out of its guest, while it was on its way here.
    #[inline(never)]
    fn called_otherwise(&mut self, core: &mut Core, thread: Ref<Thread>) -> Step {
        if self.is_outdated(core.frame()) {
            return Step::Leave(NextThread::Same);
        }
        let frame = self.memory[thread].running_frame();
        trace::record(core, self.now, trace::Event::Syscall, frame.registers.rax, frame.registers.rdi);
        if !thread.is_ready(&self.memory) {
            // It will be made again.
            self.memory[thread].running_frame().rewind_syscall();
            return Step::Leave(NextThread::Pick);
        }
        Step::Leave(self.guest_syscall(thread))
    }

    /// Puts what came of a call into its caller's registers.
    pub fn answer(&mut self, thread: Ref<Thread>, result: Result<Answer, caps::Error>) {
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

    /// Asks every core to let go of what was taken away, and holds `thread`, if given, until they have.
    pub fn hold_until_quiet(&mut self, thread: Option<Ref<Thread>>) -> Epoch {
        let epoch = self.board.raise();
        self.board.answer(self.me, flush_all);
        self.hold(thread, Asked { epoch, cores: self.board.members() & !self.me.bit() });
        epoch
    }

    /// Interrupts those who were asked, and holds `thread`, if given, until they have answered.
    pub fn hold(&mut self, thread: Option<Ref<Thread>>, asked: Asked) {
        for core in CoreId::all_in(asked.cores) {
            send_ipi(core, Vector::FLUSH);
        }
        if let Some(thread) = thread.filter(|_| asked.cores != 0) {
            self.memory[thread].quiet = Some(asked);
        }
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
