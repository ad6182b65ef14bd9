//! Segments: one descriptor table for the machine, one task-state segment per core, all in sealed memory (SDM vol 3,
//! 3.4.5 and 8.7). Loading TR sets a busy bit, so it happens before the seal; accessed bits are set in advance.

use core::arch::asm;

use spin::Once;
use static_assertions::const_assert_eq;

use super::area::{self, IST_TOPS};
use crate::limits::MAX_CORES;
use crate::types::CoreId;

/// Kernel code; STAR makes SYSCALL load it.
pub const KERNEL_CODE: u16 = 0x08;
/// Kernel data, one after the code as SYSCALL demands.
pub const KERNEL_DATA: u16 = 0x10;
/// What STAR gives SYSRET: data is this + 8, 64-bit code this + 16 (SDM vol 2, SYSRET).
pub const SYSRET_BASE: u16 = 0x18;
/// User data, with privilege 3.
pub const USER_DATA: u16 = 0x20 | 3;
/// User code, with privilege 3.
pub const USER_CODE: u16 = 0x28 | 3;
const FIRST_TSS: u16 = 0x30;

const ENTRIES: usize = FIRST_TSS as usize / 8 + 2 * MAX_CORES;

/// Interrupt stacks by number in the gate (1 to 4); the order is that of [`IST_TOPS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum InterruptStack {
    /// The stack in use, or the kernel stack when coming from user mode.
    None = 0,
    /// Non-maskable interrupt.
    Nmi = 1,
    /// Double fault.
    DoubleFault = 2,
    /// Machine check.
    MachineCheck = 3,
    /// Page fault.
    PageFault = 4,
}

/// The 64-bit task-state segment: stack pointers only (SDM vol 3, figure 8-11).
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
struct TaskState {
    reserved0: u32,
    rsp: [u64; 3],
    reserved1: u64,
    ist: [u64; 7],
    reserved2: u64,
    reserved3: u16,
    io_map: u16,
}

/// Bytes of a task-state segment.
const TASK_STATE: u16 = 104;
/// The descriptor table's last byte.
const LIMIT: u16 = FIRST_TSS + 16 * CORES - 1;
const CORES: u16 = 64;
const_assert_eq!(size_of::<TaskState>(), TASK_STATE as usize);
const_assert_eq!(CORES as usize, MAX_CORES);
const_assert_eq!(LIMIT as usize, ENTRIES * 8 - 1);

impl TaskState {
    const fn new(core: CoreId) -> TaskState {
        let base = area::base(core);
        let mut ist = [0; 7];
        ist[0] = base + IST_TOPS[0];
        ist[1] = base + IST_TOPS[1];
        ist[2] = base + IST_TOPS[2];
        ist[3] = base + IST_TOPS[3];
        TaskState {
            reserved0: 0,
            rsp: [base + area::STACK_TOP, 0, 0],
            reserved1: 0,
            ist,
            reserved2: 0,
            reserved3: 0,
            // Beyond the limit: no port is open to user mode.
            io_map: TASK_STATE,
        }
    }
}

#[cfg_attr(feature = "image", unsafe(link_section = ".sealed"))]
static STATES: Once<[TaskState; MAX_CORES]> = Once::new();

#[cfg_attr(feature = "image", unsafe(link_section = ".sealed"))]
static DESCRIPTORS: Once<[u64; ENTRIES]> = Once::new();

/// The operand of LGDT and LIDT.
#[repr(C, packed(2))]
pub(crate) struct TablePointer {
    pub(crate) limit: u16,
    pub(crate) base: u64,
}

/// Builds the tables; once, on the first core.
pub fn build() {
    let states = STATES.call_once(|| {
        let mut states = [TaskState::new(CoreId(0)); MAX_CORES];
        for (number, state) in (0..).zip(states.iter_mut()) {
            *state = TaskState::new(CoreId(number));
        }
        states
    });
    DESCRIPTORS.call_once(|| {
        let mut descriptors = [0; ENTRIES];
        descriptors[usize::from(KERNEL_CODE / 8)] = 0x00af_9b00_0000_ffff;
        descriptors[usize::from(KERNEL_DATA / 8)] = 0x00cf_9300_0000_ffff;
        descriptors[usize::from(USER_DATA / 8)] = 0x00cf_f300_0000_ffff;
        descriptors[usize::from(USER_CODE / 8)] = 0x00af_fb00_0000_ffff;
        let tasks = &mut descriptors[usize::from(FIRST_TSS / 8)..];
        for (state, pair) in states.iter().zip(tasks.chunks_exact_mut(2)) {
            pair.copy_from_slice(&task_descriptor(&raw const *state as u64));
        }
        descriptors
    });
}

/// An available 64-bit TSS descriptor (SDM vol 3, figure 8-4).
const fn task_descriptor(base: u64) -> [u64; 2] {
    let limit = size_of::<TaskState>() as u64 - 1;
    let low = limit & 0xffff | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
    [low, base >> 32]
}

/// Loads descriptor table, segments and task register of this core. Before the seal.
///
/// # Safety
/// [`build`] has run; called once per core, by that core.
pub unsafe fn load(core: CoreId) {
    let Some(descriptors) = DESCRIPTORS.get() else { return };
    let pointer = TablePointer { limit: LIMIT, base: descriptors.as_ptr() as u64 };
    let task = FIRST_TSS + 16 * u16::from(core.0);
    // SAFETY: the table has the selectors used here; the far return reloads CS and comes back to the next
    // instruction; FS and GS bases are set later by MSR.
    unsafe {
        asm!(
            "lgdt [{pointer}]",
            "push {code}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "retfq",
            "2:",
            "mov ss, {data:x}",
            "mov ds, {null:x}",
            "mov es, {null:x}",
            "mov fs, {null:x}",
            "mov gs, {null:x}",
            "lldt {null:x}",
            "ltr {task:x}",
            pointer = in(reg) &raw const pointer,
            code = in(reg) u64::from(KERNEL_CODE),
            data = in(reg) u64::from(KERNEL_DATA),
            null = in(reg) 0_u64,
            task = in(reg) u64::from(task),
            scratch = out(reg) _,
        );
    }
}
