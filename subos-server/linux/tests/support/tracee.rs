//! One address space for guests: a process that owns nothing but what is mapped into it, held by
//! ptrace. Its system calls are caught (`PTRACE_SYSEMU`), never made; the tracer makes its own
//! through a page with one SYSCALL instruction.

use std::io;

use linux::platform::{Frame, Prot, VirtualPage};
use linux::registers::{Access, Context, Trap};

/// The page with the SYSCALL instruction: the last one of user space, above every stack.
const STUB: u64 = 0x7fff_ffff_e000;
/// Offset in it of an `itimerval`.
const TIMER: u64 = 64;
/// Length of a turn, in microseconds of the tracee's own time.
const TURN_MICROS: u64 = 4000;
const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;
const PTRACE_GET_RSEQ_CONFIGURATION: u32 = 0x420f;

/// `struct ptrace_rseq_configuration`.
#[repr(C)]
#[derive(Default)]
struct RseqConfiguration {
    pointer: u64,
    size: u32,
    signature: u32,
    flags: u32,
    padding: u32,
}

/// A held process.
pub(crate) struct Tracee {
    pid: libc::pid_t,
    base: libc::user_regs_struct,
}

impl Tracee {
    /// Starts one. It must be used by this thread alone, as ptrace demands.
    pub(crate) fn start() -> Self {
        // SAFETY: the child only makes system calls that are safe after fork in a threaded process.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", io::Error::last_os_error());
        if pid == 0 {
            child();
        }
        let mut tracee = Self { pid, base: Self::empty_registers() };
        assert_eq!(tracee.wait(), libc::SIGSTOP, "a fresh tracee stops itself");
        tracee.base = tracee.registers();
        tracee.option();
        tracee.prepare();
        tracee
    }

    fn empty_registers() -> libc::user_regs_struct {
        // SAFETY: the structure is plain integers, for which zero is a value.
        unsafe { std::mem::zeroed() }
    }

    /// Empties the address space but for the stub page, and starts the timer that ends turns.
    fn prepare(&mut self) {
        let here = self.base.rip;
        self.poke(here, 0x9090_9090_9090_050f);
        let rwx = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as u64;
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED) as u64;
        let mapped = self.inject_at(here, libc::SYS_mmap, [STUB, 4096, rwx, flags, u64::MAX, 0]);
        assert_eq!(mapped.cast_unsigned(), STUB, "the stub page");
        self.poke(STUB, 0x9090_9090_9090_050f);
        self.forget_rseq();
        assert_eq!(self.inject(libc::SYS_munmap, [0, STUB, 0, 0, 0, 0]), 0, "an empty space");
        for (word, value) in [0, TURN_MICROS, 0, TURN_MICROS].into_iter().enumerate() {
            self.poke(STUB + TIMER + 8 * word as u64, value);
        }
        let timer = [libc::ITIMER_VIRTUAL as u64, STUB + TIMER, 0, 0, 0, 0];
        assert_eq!(self.inject(libc::SYS_setitimer, timer), 0, "a timer");
    }

    /// The C library registered a structure for restartable sequences, which is about to vanish.
    fn forget_rseq(&mut self) {
        let mut configuration = RseqConfiguration::default();
        let size = size_of::<RseqConfiguration>();
        // SAFETY: the kernel writes at most `size` bytes to a structure of that size.
        let known =
            unsafe { libc::ptrace(PTRACE_GET_RSEQ_CONFIGURATION, self.pid, size, &raw mut configuration) };
        if known > 0 && configuration.pointer != 0 {
            const UNREGISTER: u64 = 1;
            let arguments = [
                configuration.pointer,
                configuration.size.into(),
                UNREGISTER,
                configuration.signature.into(),
                0,
                0,
            ];
            assert_eq!(self.inject(libc::SYS_rseq, arguments), 0, "rseq lets go");
        }
    }

    fn option(&self) {
        let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
        // SAFETY: sets options of our own tracee; no memory is involved.
        let set = unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, self.pid, 0, options) };
        assert_eq!(set, 0, "options: {}", io::Error::last_os_error());
    }

    fn poke(&self, address: u64, word: u64) {
        // SAFETY: writes a word of the tracee's memory, not of ours.
        let done = unsafe { libc::ptrace(libc::PTRACE_POKEDATA, self.pid, address, word) };
        assert_eq!(done, 0, "poke: {}", io::Error::last_os_error());
    }

    fn registers(&self) -> libc::user_regs_struct {
        let mut registers = Self::empty_registers();
        // SAFETY: the kernel fills a structure of the type that the request names.
        let done = unsafe { libc::ptrace(libc::PTRACE_GETREGS, self.pid, 0, &raw mut registers) };
        assert_eq!(done, 0, "registers: {}", io::Error::last_os_error());
        registers
    }

    fn set_registers(&self, registers: &libc::user_regs_struct) {
        // SAFETY: the kernel reads a structure of the type that the request names.
        let done = unsafe { libc::ptrace(libc::PTRACE_SETREGS, self.pid, 0, &raw const *registers) };
        assert_eq!(done, 0, "registers: {}", io::Error::last_os_error());
    }

    fn resume(&self, request: u32) {
        // SAFETY: lets our own tracee go on, without a signal.
        let done = unsafe { libc::ptrace(request, self.pid, 0, 0) };
        assert_eq!(done, 0, "resume: {}", io::Error::last_os_error());
    }

    /// Waits for the tracee to stop; the answer is the signal.
    fn wait(&self) -> i32 {
        let mut status = 0;
        loop {
            // SAFETY: the status is ours.
            let waited = unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL) };
            if waited == self.pid {
                break;
            }
            let error = io::Error::last_os_error();
            assert_eq!(error.kind(), io::ErrorKind::Interrupted, "wait: {error}");
        }
        assert!(libc::WIFSTOPPED(status), "the tracee ended: {status:#x}");
        libc::WSTOPSIG(status)
    }

    fn inject(&mut self, number: libc::c_long, arguments: [u64; 6]) -> i64 {
        self.inject_at(STUB, number, arguments)
    }

    /// Has the tracee make a system call of ours.
    fn inject_at(&mut self, rip: u64, number: libc::c_long, arguments: [u64; 6]) -> i64 {
        let mut registers = self.base;
        registers.rip = rip;
        registers.rax = number.cast_unsigned();
        registers.orig_rax = u64::MAX;
        [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9] = arguments;
        self.set_registers(&registers);
        loop {
            self.resume(libc::PTRACE_SINGLESTEP);
            self.wait();
            let after = self.registers();
            // The timer's signal may come first; then the step is still to be made.
            if after.rip != rip {
                return after.rax.cast_signed();
            }
        }
    }

    pub(crate) fn map(&mut self, page: VirtualPage, fd: i32, frame: Frame, prot: Prot) {
        let flags = (libc::MAP_SHARED | libc::MAP_FIXED) as u64;
        let arguments = [page.address(), 4096, bits(prot), flags, fd as u64, u64::from(frame.0) * 4096];
        let mapped = self.inject(libc::SYS_mmap, arguments);
        assert_eq!(mapped.cast_unsigned(), page.address(), "map {page:?}");
    }

    pub(crate) fn unmap(&mut self, page: VirtualPage, count: u64) {
        let done = self.inject(libc::SYS_munmap, [page.address(), count * 4096, 0, 0, 0, 0]);
        assert_eq!(done, 0, "unmap {page:?}");
    }

    pub(crate) fn protect(&mut self, page: VirtualPage, count: u64, prot: Prot) {
        let done = self.inject(libc::SYS_mprotect, [page.address(), count * 4096, bits(prot), 0, 0, 0]);
        assert_eq!(done, 0, "protect {page:?}");
    }

    /// Runs a guest until it traps. `installed` tells the rights of a page, because a tracer does
    /// not learn what kind of access faulted.
    pub(crate) fn run(&mut self, context: &mut Context, installed: impl Fn(VirtualPage) -> Prot) -> Trap {
        self.load(context);
        self.resume(libc::PTRACE_SYSEMU);
        let signal = self.wait();
        let trap = match signal {
            SYSCALL_STOP => Trap::Syscall,
            libc::SIGSEGV | libc::SIGBUS => self.fault(installed),
            libc::SIGVTALRM => Trap::Slice,
            libc::SIGILL => Trap::Exception { vector: 6 },
            libc::SIGFPE => Trap::Exception { vector: 0 },
            libc::SIGTRAP => Trap::Exception { vector: 3 },
            other => panic!("signal {other} for a guest"),
        };
        self.store(context, trap);
        trap
    }

    fn fault(&self, installed: impl Fn(VirtualPage) -> Prot) -> Trap {
        // SAFETY: the structure is plain data, for which zero is a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel fills a structure of the type that the request names.
        let done = unsafe { libc::ptrace(libc::PTRACE_GETSIGINFO, self.pid, 0, &raw mut info) };
        assert_eq!(done, 0, "information: {}", io::Error::last_os_error());
        const SI_KERNEL: i32 = 0x80;
        if info.si_code == SI_KERNEL {
            return Trap::Exception { vector: 13 };
        }
        // SAFETY: this signal has an address.
        let address = unsafe { info.si_addr() } as u64;
        let page = VirtualPage(address / 4096);
        let rights = installed(page);
        let executing = self.registers().rip / 4096 == page.0;
        let access = if executing && !rights.contains(Prot::EXECUTE) {
            Access::Execute
        } else if rights.is_empty() {
            Access::Read
        } else {
            Access::Write
        };
        Trap::PageFault { address, access }
    }

    fn load(&self, context: &Context) {
        let from = &context.registers;
        let mut to = self.base;
        to.r15 = from.r15;
        to.r14 = from.r14;
        to.r13 = from.r13;
        to.r12 = from.r12;
        to.rbp = from.rbp;
        to.rbx = from.rbx;
        to.r11 = from.r11;
        to.r10 = from.r10;
        to.r9 = from.r9;
        to.r8 = from.r8;
        to.rax = from.rax;
        to.rcx = from.rcx;
        to.rdx = from.rdx;
        to.rsi = from.rsi;
        to.rdi = from.rdi;
        to.rip = from.rip;
        to.eflags = from.rflags;
        to.rsp = from.rsp;
        to.fs_base = from.fs_base;
        to.gs_base = from.gs_base;
        to.orig_rax = u64::MAX;
        self.set_registers(&to);
        // SAFETY: the kernel reads 512 bytes, which is what the state has.
        let done = unsafe { libc::ptrace(libc::PTRACE_SETFPREGS, self.pid, 0, &raw const context.fp) };
        assert_eq!(done, 0, "vector registers: {}", io::Error::last_os_error());
    }

    fn store(&self, context: &mut Context, trap: Trap) {
        let from = self.registers();
        let to = &mut context.registers;
        to.r15 = from.r15;
        to.r14 = from.r14;
        to.r13 = from.r13;
        to.r12 = from.r12;
        to.rbp = from.rbp;
        to.rbx = from.rbx;
        to.r11 = from.r11;
        to.r10 = from.r10;
        to.r9 = from.r9;
        to.r8 = from.r8;
        to.rax = if trap == Trap::Syscall { from.orig_rax } else { from.rax };
        to.rcx = from.rcx;
        to.rdx = from.rdx;
        to.rsi = from.rsi;
        to.rdi = from.rdi;
        to.rip = from.rip;
        to.rflags = from.eflags;
        to.rsp = from.rsp;
        to.fs_base = from.fs_base;
        to.gs_base = from.gs_base;
        // SAFETY: the kernel writes 512 bytes, which is what the state has.
        let done = unsafe { libc::ptrace(libc::PTRACE_GETFPREGS, self.pid, 0, &raw mut context.fp) };
        assert_eq!(done, 0, "vector registers: {}", io::Error::last_os_error());
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        // SAFETY: ends and reaps our own child.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        // SAFETY: as above; nobody asks for the status.
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), libc::__WALL) };
    }
}

/// The child's side: be traced, and stop.
fn child() -> ! {
    // SAFETY: system calls without memory, in a process that does nothing else.
    unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
    // SAFETY: as above.
    let own = unsafe { libc::syscall(libc::SYS_getpid) };
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_kill, own, libc::SIGSTOP) };
    // SAFETY: as above; reached only if nobody traces us.
    unsafe { libc::_exit(127) }
}

fn bits(prot: Prot) -> u64 {
    // The rights have the values of PROT_READ, PROT_WRITE and PROT_EXEC.
    u64::from(prot.bits())
}
