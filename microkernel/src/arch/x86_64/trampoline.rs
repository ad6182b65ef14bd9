//! How the other cores get from real mode to Rust (SDM vol 3, 9.4 and 10.8.5). The code is copied to a page below
//! 1 MiB, where a start-up interrupt can begin; it loads the boot page tables and jumps to [`core_main`].

use core::arch::global_asm;
use core::ptr;

use super::physmap;
use crate::boot::cores::core_main;
use crate::types::PhysAddr;

/// The page the trampoline runs at. Chunk 0 is reserved, so it never has another use.
pub(crate) const PAGE: u8 = 8;
const ADDRESS: u64 = (PAGE as u64) << 12;

unsafe extern "C" {
    static trampoline_start: u8;
    static trampoline_end: u8;
    static trampoline_stack: u8;
    static trampoline_argument: u8;
}

global_asm!(
    r#"
    .set OFFSET, 0xffffffff80000000
    .section .boot, "ax", @progbits
    .balign 16
    .global trampoline_start, trampoline_end, trampoline_stack, trampoline_argument
    .code16
trampoline_start:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl {base} + trampoline_gdt_pointer - trampoline_start
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x18, ${base} + trampoline_32 - trampoline_start

    .code32
trampoline_32:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %cr4, %eax
    orl $0x620, %eax                // PAE, OSFXSR, OSXMMEXCPT: compiled code uses SSE at once
    movl %eax, %cr4
    movl $(boot_pml4 - OFFSET), %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx          // EFER
    rdmsr
    orl $0x901, %eax                // SCE, LME, NXE, which the first core has
    wrmsr
    movl %cr0, %eax
    andl $0x9ffffff3, %eax          // CD, NW, EM, TS off
    orl $0x80010023, %eax           // PG, WP, NE, MP, PE
    movl %eax, %cr0
    ljmpl $0x08, ${base} + trampoline_64 - trampoline_start

    .code64
trampoline_64:
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movq trampoline_stack(%rip), %rsp
    movq trampoline_argument(%rip), %rdi
    xorl %ebp, %ebp
    movabsq ${main}, %rax
    call *%rax
    ud2

    .balign 8
trampoline_gdt:
    .quad 0
    .quad 0x00af9b000000ffff        // 0x08 code, 64-bit
    .quad 0x00cf93000000ffff        // 0x10 data
    .quad 0x00cf9b000000ffff        // 0x18 code, 32-bit
trampoline_gdt_pointer:
    .word . - trampoline_gdt - 1
    .long {base} + trampoline_gdt - trampoline_start
    .balign 8
trampoline_stack: .quad 0
trampoline_argument: .quad 0
trampoline_end:
    "#,
    base = const ADDRESS,
    main = sym core_main,
    options(att_syntax)
);

fn offset_of(symbol: *const u8) -> usize {
    symbol.addr() - (&raw const trampoline_start).addr()
}

/// Copies the code below 1 MiB.
///
/// # Safety
/// The boot page tables are loaded, and the page is memory nobody uses.
pub(crate) unsafe fn install() {
    let length = offset_of(&raw const trampoline_end);
    // The code is linked at its physical address, so it is read through the physical map.
    let source = physmap::pointer::<u8>(PhysAddr(&raw const trampoline_start as u64));
    let target = physmap::pointer::<u8>(PhysAddr(ADDRESS));
    // SAFETY: both lie in the first 4 GiB, which the boot tables map; they do not overlap.
    unsafe { ptr::copy_nonoverlapping(source, target, length) };
}

/// Sets what the next core to start gets: a stack and an argument for `core_main`.
///
/// # Safety
/// As for [`install`], and no core is starting now.
pub(crate) unsafe fn aim(stack: u64, argument: u64) {
    for (symbol, value) in [(&raw const trampoline_stack, stack), (&raw const trampoline_argument, argument)]
    {
        let target = physmap::pointer::<u64>(PhysAddr(ADDRESS + offset_of(symbol) as u64));
        // SAFETY: the words lie in the installed code, 8-aligned.
        unsafe { target.write_volatile(value) };
    }
}
