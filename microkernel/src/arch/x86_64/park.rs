//! Where cores are between owners: the park root, owned by nobody. Section 3 of the design.
//!
//! [`leave`] drops everything of the old owner (on the park root, where nothing of his is mapped), acknowledges, and
//! waits for the command to enter. The assembly does what must not use a stack that is being cleared; the rest is
//! Rust whose stack then holds nothing but its own.

use core::arch::{asm, global_asm};

use spin::Once;

use super::core::{Arrival, Core};
use super::features::{Features, features};
use super::instructions::{self, write_msr};
use super::mailbox::Next;
use super::{apic, area, clock, entry, tlb, traps};
use crate::limits::{KERNEL_STACK, PAGE};
use crate::types::CoreId;
use crate::types::PhysAddr;

#[unsafe(link_section = ".sealed")]
static PARK_ROOT: Once<PhysAddr> = Once::new();

/// Times that pending interrupts are let in before the core gives up waiting for silence. Siblings stop interrupting
/// a core once it is taken from them; a device's route is moved before.
const DRAIN_ROUNDS: u32 = 1024;

/// Bytes at the end of the kernel stack that are cleared word by word, to stand on while the rest is cleared.
const NOOK: u64 = 256;

unsafe extern "C" {
    /// Switches to the park root and a cleared stack, and calls `parked`. Does not use the stack it comes from.
    fn park_from(root: u64, area: u64) -> !;
}

global_asm!(
    r#"
    .text
    // rdi = park root, rsi = area
    .global park_from
park_from:
    cli
    movq %rdi, %cr3
    // First the end of the kernel stack, which is then used to clear the rest: all stacks (a fault may have left an old
    // owner's registers on any), the core's own page, the trace ring; everything mapped but mailbox and epitaph.
    movq %rsi, %rbx
    leaq {stack_top}(%rsi), %rsp
    xorl %eax, %eax
    leaq -{nook}(%rsp), %rdx
    movl ${nook} / 8, %ecx
1:  movq %rax, (%rdx)
    addq $8, %rdx
    decl %ecx
    jnz 1b
    .macro clear_area from, bytes
    leaq \from(%rbx), %rdi
    xorl %esi, %esi
    movl $\bytes, %edx
    call memset
    .endm
    clear_area {stack_start}, {stack_rest}
    clear_area {core_page}, {page}
    clear_area {trace_page}, {page}
    // On a stack that was used the processor pushed flags at this place, which are never zero.
    .macro clear_stack top
    cmpq $0, \top - 24(%rbx)
    je 1f
    clear_area \top - {ist_size}, {ist_size}
1:
    .endm
    clear_stack {ist0}
    clear_stack {ist1}
    clear_stack {ist2}
    clear_stack {ist3}
    .purgem clear_stack
    .purgem clear_area
    // leave NMI context, if in one: IRETQ ends the blocking of further NMIs
    movq %rsp, %rdx
    pushq ${data}
    pushq %rdx
    pushq $2
    pushq ${code}
    leaq 2f(%rip), %rdx
    pushq %rdx
    iretq
2:  movq %rbx, %rdi
    xorl %eax, %eax
    xorl %ebx, %ebx
    xorl %ecx, %ecx
    xorl %edx, %edx
    xorl %esi, %esi
    xorl %ebp, %ebp
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    xorl %r10d, %r10d
    xorl %r11d, %r11d
    xorl %r12d, %r12d
    xorl %r13d, %r13d
    xorl %r14d, %r14d
    xorl %r15d, %r15d
    fninit
    fxrstor64 {initial_fx}(%rip)
    movq %rax, %cr2
    movq %rax, %dr0
    movq %rax, %dr1
    movq %rax, %dr2
    movq %rax, %dr3
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    call {parked}
    ud2
    "#,
    stack_start = const area::STACK_TOP - KERNEL_STACK,
    stack_top = const area::STACK_TOP,
    stack_rest = const KERNEL_STACK - NOOK,
    nook = const NOOK,
    core_page = const area::CORE_PAGE,
    trace_page = const area::TRACE_PAGE,
    page = const PAGE,
    ist0 = const area::IST_TOPS[0],
    ist1 = const area::IST_TOPS[1],
    ist2 = const area::IST_TOPS[2],
    ist3 = const area::IST_TOPS[3],
    ist_size = const crate::limits::INTERRUPT_STACK,
    data = const super::segments::KERNEL_DATA,
    code = const super::segments::KERNEL_CODE,
    initial_fx = sym entry::INITIAL_FX,
    parked = sym parked,
    options(att_syntax)
);

/// Names the park root; once, at boot.
pub(crate) fn set_root(root: PhysAddr) {
    PARK_ROOT.call_once(|| root);
}

/// The park root.
#[must_use]
pub fn root() -> PhysAddr {
    PARK_ROOT.get().copied().unwrap_or(PhysAddr(0))
}

/// Leaves the current owner. Everything on the kernel stack and in the [`Core`] is gone after.
///
/// # Safety
/// Runs on the core given, in kernel mode, on any stack; no lock of the old owner's kernel is held, or that kernel
/// is condemned.
pub(crate) unsafe fn leave(core: CoreId) -> ! {
    // SAFETY: the park root maps image, APIC and all areas, which is all that the code uses from here on.
    unsafe { park_from(root().0, area::base(core)) }
}

/// Runs on the park root with a clean stack, registers and area; interrupts off.
unsafe extern "C" fn parked(area_base: u64) -> ! {
    let id = area::owner(area_base);
    let place = (area_base + area::CORE_PAGE) as *mut Core;
    // SAFETY: the page belongs to this core alone and holds no value since it was cleared.
    unsafe { place.write(Core::parked(id, root().0)) };
    // SAFETY: loads of null selectors cleared the bases; these are the kernel's own values. The tables are loaded.
    unsafe { traps::reset_bases(id) };
    // SAFETY: boot has built the table. It is loaded already, unless the old owner's kernel went mad.
    unsafe { super::interrupts::load() };
    tlb::flush_all();
    clock::disarm();
    // SAFETY: just written; from here on the only reference to it.
    let core = unsafe { &mut *place };
    silence();
    forget();
    let mailbox = core.mailbox();
    let _ = mailbox.take_pending();
    wait(core)
}

/// Ends and drains every interrupt, so that none of the old owner's arrives at the new one.
fn silence() {
    for _ in 0..256 {
        if !apic::any_in_service() {
            break;
        }
        apic::end_of_interrupt();
    }
    for _ in 0..DRAIN_ROUNDS {
        if !apic::any_requested() {
            break;
        }
        // SAFETY: the interrupt table is loaded; in kernel mode its handler notes a bit and ends the interrupt.
        unsafe { instructions::take_pending() };
    }
}

/// Makes the processor forget what it learned from the old owner, as far as CPUID offers it. Measured apart, since
/// none of it changes what programs compute.
fn forget() {
    const PREDICTION_COMMAND: u32 = 0x49;
    const FLUSH_COMMAND: u32 = 0x10b;
    if features().contains(Features::IBPB) {
        // SAFETY: CPUID offers the register; bit 0 is the barrier.
        unsafe { write_msr(PREDICTION_COMMAND, 1) };
    }
    if features().contains(Features::L1D_FLUSH) {
        // SAFETY: CPUID offers the register; bit 0 flushes.
        unsafe { write_msr(FLUSH_COMMAND, 1) };
    }
    if features().contains(Features::MD_CLEAR) {
        let selector = super::segments::KERNEL_DATA;
        // SAFETY: VERW with a valid selector only sets ZF, and clears buffers where offered.
        unsafe { asm!("verw word ptr [{}]", in(reg) &raw const selector, options(readonly, nostack)) };
    }
}

/// Acknowledges and waits for the next owner.
fn wait(core: &mut Core) -> ! {
    let mailbox = core.mailbox();
    loop {
        match mailbox.attend() {
            Next::Enter(destination, sequence) => {
                let arrival = Arrival::from_words(destination);
                crate::panic::clear_epitaph(core.id());
                core.set_arrival(arrival);
                core.loaded_root = arrival.home_root.0;
                let _ = mailbox.take_pending();
                // Before the root changes: the supervisor may act on it at once, but all it can do is command again.
                mailbox.acknowledge(sequence);
                // SAFETY: the supervisor gives a home root that maps image, APIC and this core's area; nothing on
                // this stack is needed any more.
                unsafe { traps::restart(core.id(), entry::ARRIVED, arrival.home_root) };
            }
            Next::Look => {}
            Next::Sleep => {
                let _ = mailbox.take_pending();
                // SAFETY: the interrupt table is loaded; a command that comes after the look above interrupts.
                unsafe { instructions::sleep() };
            }
        }
    }
}
