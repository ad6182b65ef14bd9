//! One kernel: all state of one subOS, behind one lock. Inside there is one `&mut Kernel`, which reaches everything of this
//! subOS and nothing of another's.

use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::ops::Deref;

use caps::{Capability, Kind, Slots, Table};
use idl::abi::OpWord;

use crate::arch::{Cause, Core, Pending, Vector, flush_all, now, physmap, send_ipi};
use crate::counters::count;
use crate::deadline::Deadlines;
use crate::limits::{EXPIRE_BUDGET, MAX_CORES};
use crate::machine::{self, Bindings, Visit};
use crate::memory::{Memory, Ref};
use crate::object::address_space::AddressSpace;
use crate::object::thread::{Own, Thread};
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

/// What a core has in its hands while it is in its kernel.
pub struct Inside {
    /// Gives it back.
    pub guard: Guard<'static>,
    /// The kernel.
    pub kernel: &'static mut Kernel,
}

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

    /// Enters the kernel with one of its own cores, having waited for it for as long as `service` says. `None`: it does not
    /// say so any more, or the kernel has failed.
    #[inline(always)]
    pub fn enter(&'static self, core: &mut Core, service: impl FnMut() -> Wait) -> Option<Inside> {
        let guard = self.lock.acquire(core.id(), service).ok()?;
        // SAFETY: the guard is held for as long as the reference is used: both end together, where the kernel is left.
        let kernel = unsafe { &mut *self.kernel.get() };
        kernel.refresh(core, &self.board);
        Some(Inside { guard, kernel })
    }

    /// Enters the kernel if nobody else is inside, and nobody waits for this core to let go of something. Who asks for that
    /// now has sent an interrupt, which comes when the core leaves.
    #[inline(always)]
    pub fn enter_at_once(&'static self, core: &mut Core) -> Option<Inside> {
        if self.board.is_asked(core.id()) {
            return None;
        }
        let guard = self.lock.try_acquire(core.id())?;
        // SAFETY: as in `enter`.
        let kernel = unsafe { &mut *self.kernel.get() };
        kernel.begin_entry(core);
        Some(Inside { guard, kernel })
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

impl Kernel {
    /// What this core must know and do before anything else on an entry.
    ///
    /// Acknowledging says that this core uses nothing any more that was taken away before, the page tables that it
    /// runs on included: they may be those of a space that is gone. So it changes to the home root first.
    fn refresh(&mut self, core: &mut Core, board: &Board) {
        self.begin_entry(core);
        let home_root = self.home_root;
        board.answer(core.id(), || {
            // SAFETY: the home root is this kernel's own.
            unsafe { core.load_root(home_root) };
            flush_all();
        });
    }

    /// Notes whose entry this is, and when it began.
    #[inline(always)]
    fn begin_entry(&mut self, core: &Core) {
        crate::arch::x86_64::testing::passage();
        self.me = core.id();
        self.now = now();
    }

    /// Treats any entry but a system call.
    pub fn begin(&mut self, core: &mut Core, cause: Cause) -> Step {
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

    /// Who makes the system call of this entry, and what it asks, if it is a thread and goes on.
    #[inline(always)]
    pub fn caller(&mut self, core: &mut Core) -> Option<(Ref<Thread>, OpWord)> {
        if self.memory.is_fenced() {
            return None;
        }
        let me = core.id().index();
        let current = self.cores[me].current?;
        let thread = &self.memory[current];
        let frame = &thread.frame;
        if core.frame_address().cast_const() != core::ptr::from_ref(frame) || !thread.is_ready() {
            return None;
        }
        let (op, handle) = (frame.registers.rax, frame.registers.rdi);
        count(&mut self.cores[me].counters.calls);
        trace::record(core, self.now, trace::Event::Syscall, op, handle);
        Some((current, OpWord(op)))
    }

    /// What the current thread asks, whose registers this entry saved.
    pub fn asked(&self) -> Option<(Ref<Thread>, OpWord)> {
        let current = self.current()?;
        Some((current, OpWord(self.memory[current].frame.registers.rax)))
    }

    /// What comes of a call of a guest; or of one whose maker was stopped, or taken out of its guest, while it was on its
    /// way here.
    pub fn called_late(&mut self, core: &mut Core) -> NextThread {
        count(&mut self.here().counters.calls);
        let Some(thread) = self.current() else { return NextThread::Pick };
        if self.is_outdated(core.frame()) {
            return NextThread::Same;
        }
        let frame = self.memory[thread].running_frame();
        trace::record(core, self.now, trace::Event::Syscall, frame.registers.rax, frame.registers.rdi);
        if !thread.is_ready(&self.memory) {
            // It will be made again.
            self.memory[thread].running_frame().rewind_syscall();
            return NextThread::Pick;
        }
        self.guest_syscall(thread)
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
