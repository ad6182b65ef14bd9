//! The frame that a handler runs on: `struct rt_sigframe` of the x86_64 kernel
//! (arch/x86/include/asm/sigframe.h), with the FXSAVE area above it.

use linux_raw_sys::general as g;
use static_assertions::const_assert_eq;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use super::{Action, Detail, Disposition, Info, SigSet};
use crate::error::{Errno, Result};
use crate::linux::Linux;
use crate::memory::address::UserPtr;
use crate::platform::Platform;
use crate::process::{AltStack, Tid};

/// Bytes below the stack pointer that belong to the running function (System V ABI, red zone).
const RED_ZONE: u64 = 128;
/// Flags that handlers start without: direction, trap and resume.
const CLEARED_FLAGS: u64 = 0x400 | 0x100 | 0x1_0000;
/// Bytes of the FXSAVE area.
const FP_SIZE: u64 = 512;
/// What a program must reserve for a frame at least (`AT_MINSIGSTKSZ`).
pub(crate) const MIN_STACK: u64 = size_of::<Frame>() as u64 + FP_SIZE + RED_ZONE + 64;

/// `struct sigcontext`.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct MachineContext {
    r8: u64,
    r9: u64,
    r10: u64,
    r11: u64,
    r12: u64,
    r13: u64,
    r14: u64,
    r15: u64,
    rdi: u64,
    rsi: u64,
    rbp: u64,
    rbx: u64,
    rdx: u64,
    rax: u64,
    rcx: u64,
    rsp: u64,
    rip: u64,
    rflags: u64,
    /// CS, GS, FS, SS.
    segments: [u16; 4],
    error: u64,
    trap: u64,
    old_mask: u64,
    cr2: u64,
    fp: u64,
    reserved: [u64; 8],
}

/// `stack_t`.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct StackRecord {
    pub(crate) base: u64,
    pub(crate) flags: u32,
    pub(crate) padding: u32,
    pub(crate) size: u64,
}

/// `siginfo_t`; the fields after the third overlap by kind.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct InfoRecord {
    signal: i32,
    errno: i32,
    code: i32,
    padding: i32,
    first: u64,
    second: u64,
    rest: [u64; 12],
}

/// `struct rt_sigframe`.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Frame {
    return_address: u64,
    flags: u64,
    link: u64,
    stack: StackRecord,
    machine: MachineContext,
    mask: u64,
    info: InfoRecord,
}

const_assert_eq!(size_of::<MachineContext>(), 256);
const_assert_eq!(size_of::<InfoRecord>(), 128);
const_assert_eq!(size_of::<Frame>(), 440);
const_assert_eq!(size_of::<StackRecord>(), size_of::<g::stack_t>());

impl InfoRecord {
    pub(crate) fn new(info: &Info) -> Self {
        let mut record = Self::new_zeroed();
        record.signal = i32::from(info.signal.number());
        record.code = info.code;
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        match info.detail {
            Detail::None => {}
            Detail::Sender { pid, uid } => record.first = pair(pid, uid),
            Detail::Child { pid, uid, status } => {
                record.first = pair(pid, uid);
                record.second = pair(status.cast_unsigned(), 0);
            }
            Detail::Fault { address } => record.first = address,
        }
        record
    }
}

impl AltStack {
    /// Whether the stack pointer is on it.
    pub(crate) const fn holds(&self, rsp: u64) -> bool {
        self.size != 0 && rsp > self.base && rsp - self.base <= self.size
    }

    /// As sigaltstack(2) shows it.
    pub(crate) const fn record(&self, rsp: u64) -> StackRecord {
        let flags = if self.size == 0 {
            g::SS_DISABLE
        } else if self.holds(rsp) {
            g::SS_ONSTACK
        } else {
            0
        };
        StackRecord { base: self.base, flags: flags | self.flags, padding: 0, size: self.size }
    }
}

impl<P: Platform> Linux<P> {
    /// Puts a frame on the task's stack and points its registers at the handler.
    ///
    /// # Errors
    /// `EFAULT` when the stack cannot be written.
    pub(super) fn push_frame(&mut self, tid: Tid, info: Info, action: Action, mask: SigSet) -> Result<()> {
        let Disposition::Handler(handler) = action.disposition else { return Err(Errno::EINVAL) };
        let task = self.task(tid);
        let registers = task.context.registers;
        let fp = task.context.fp;
        let alt = task.alt_stack;
        let top = if action.has(g::SA_ONSTACK) && alt.size != 0 && !alt.holds(registers.rsp) {
            alt.base.saturating_add(alt.size)
        } else {
            registers.rsp.wrapping_sub(RED_ZONE)
        };
        let fp_at = top.wrapping_sub(FP_SIZE) & !63;
        // As after a call: the return address lies 8 below a multiple of 16.
        let frame_at = (fp_at.wrapping_sub(size_of::<Frame>() as u64) & !15).wrapping_sub(8);
        let frame = Frame {
            return_address: action.restorer,
            flags: 0,
            link: 0,
            stack: alt.record(registers.rsp),
            machine: MachineContext {
                r8: registers.r8,
                r9: registers.r9,
                r10: registers.r10,
                r11: registers.r11,
                r12: registers.r12,
                r13: registers.r13,
                r14: registers.r14,
                r15: registers.r15,
                rdi: registers.rdi,
                rsi: registers.rsi,
                rbp: registers.rbp,
                rbx: registers.rbx,
                rdx: registers.rdx,
                rax: registers.rax,
                rcx: registers.rcx,
                rsp: registers.rsp,
                rip: registers.rip,
                rflags: registers.rflags,
                // The selectors that 64-bit Linux programs see.
                segments: [0x33, 0, 0, 0x2b],
                old_mask: mask.0,
                cr2: if let Detail::Fault { address } = info.detail { address } else { 0 },
                fp: fp_at,
                ..MachineContext::default()
            },
            mask: mask.0,
            info: InfoRecord::new(&info),
        };
        self.copy_out(tid, UserPtr(fp_at), &fp.0)?;
        self.copy_out(tid, UserPtr(frame_at), frame.as_bytes())?;
        let registers = &mut self.task_mut(tid).context.registers;
        registers.rip = handler.0;
        registers.rsp = frame_at;
        registers.rdi = u64::from(info.signal.number());
        registers.rsi = frame_at + core::mem::offset_of!(Frame, info) as u64;
        registers.rdx = frame_at + core::mem::offset_of!(Frame, flags) as u64;
        registers.rax = 0;
        registers.rflags &= !CLEARED_FLAGS;
        Ok(())
    }

    /// `rt_sigreturn`: takes the registers and the mask from the frame that the stack pointer is at.
    ///
    /// # Errors
    /// `EFAULT` when the frame cannot be read; the caller ends the program then.
    pub(crate) fn pop_frame(&mut self, tid: Tid) -> Result<()> {
        let at = self.task(tid).context.registers.rsp.wrapping_sub(8);
        let frame: Frame = self.get(tid, UserPtr(at))?;
        let mut fp = crate::registers::FpState::initial();
        if frame.machine.fp != 0 {
            self.copy_in(tid, UserPtr(frame.machine.fp), &mut fp.0)?;
            fp.sanitise();
        }
        let task = self.task_mut(tid);
        task.context.fp = fp;
        task.blocked = SigSet(frame.mask).blockable();
        let machine = &frame.machine;
        let registers = &mut task.context.registers;
        registers.r8 = machine.r8;
        registers.r9 = machine.r9;
        registers.r10 = machine.r10;
        registers.r11 = machine.r11;
        registers.r12 = machine.r12;
        registers.r13 = machine.r13;
        registers.r14 = machine.r14;
        registers.r15 = machine.r15;
        registers.rdi = machine.rdi;
        registers.rsi = machine.rsi;
        registers.rbp = machine.rbp;
        registers.rbx = machine.rbx;
        registers.rdx = machine.rdx;
        registers.rax = machine.rax;
        registers.rcx = machine.rcx;
        registers.rsp = machine.rsp;
        registers.rip = machine.rip;
        registers.rflags = machine.rflags;
        registers.sanitise_flags();
        Ok(())
    }
}
