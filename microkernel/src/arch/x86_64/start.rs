//! From the PVH entry (32-bit protected mode, paging off) to Rust in long mode.
//!
//! The boot page tables map the first 4 GiB at their physical addresses and at the physical map's base, and the
//! first GiB at the image's. They are abandoned when the home root is loaded. References: the PVH boot ABI
//! (Xen `docs/misc/pvh.pandoc`), Intel SDM vol 3 section 10.8.5 (initialising IA-32e mode).

use core::arch::global_asm;

use crate::boot::boot_main;
use crate::limits::BOOT_STACK;

global_asm!(
    r#"
    .set OFFSET, 0xffffffff80000000

    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, 18                  // name size, descriptor size, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_start

    .section .boot_only, "aw", @nobits
    .balign 4096
    .global boot_pml4
boot_pml4:      .skip 4096
boot_pdpt_low:  .skip 4096
boot_pdpt_high: .skip 4096
boot_pd:        .skip 4 * 4096
    .balign 4096
boot_stack:     .skip {stack}
    .global boot_stack_top
boot_stack_top:

    .section .boot, "ax", @progbits
    .code32
    .global pvh_start
pvh_start:
    cli
    cld
    movl %ebx, %edi                 // hvm_start_info

    movl $(boot_pdpt_low - OFFSET + 3), %eax
    movl %eax, boot_pml4 - OFFSET           // physical = virtual, 0 to 512 GiB
    movl %eax, boot_pml4 - OFFSET + 256 * 8 // the physical map
    movl $(boot_pdpt_high - OFFSET + 3), %eax
    movl %eax, boot_pml4 - OFFSET + 511 * 8
    movl $(boot_pd - OFFSET + 3), %eax
    movl %eax, boot_pdpt_high - OFFSET + 510 * 8
    movl %eax, boot_pdpt_low - OFFSET
    addl $4096, %eax
    movl %eax, boot_pdpt_low - OFFSET + 8
    addl $4096, %eax
    movl %eax, boot_pdpt_low - OFFSET + 16
    addl $4096, %eax
    movl %eax, boot_pdpt_low - OFFSET + 24

    movl $(boot_pd - OFFSET), %ecx
    movl $0x83, %eax                // present, writable, 2 MiB
    movl $2048, %edx
1:  movl %eax, (%ecx)
    addl $0x200000, %eax
    addl $8, %ecx
    decl %edx
    jnz 1b

    lgdt boot_gdt_pointer
    movl $(boot_pml4 - OFFSET), %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x620, %eax                // PAE, OSFXSR, OSXMMEXCPT: compiled code uses SSE at once
    movl %eax, %cr4
    movl $0x80000001, %eax
    cpuid
    andl $0x100000, %edx            // NX is bit 20; a processor without it is refused once there are words
    shrl $9, %edx                   // NXE is bit 11
    leal 0x101(%edx), %esi          // SCE, LME
    movl $0xc0000080, %ecx          // EFER
    rdmsr
    orl %esi, %eax
    wrmsr
    movl %cr0, %eax
    andl $0x9ffffff3, %eax          // CD, NW, EM, TS off
    orl $0x80010023, %eax           // PG, WP, NE, MP, PE
    movl %eax, %cr0
    ljmp $0x08, $boot_long

    .code64
boot_long:
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl $0x10, %eax
    movl %eax, %ss
    movabsq $boot_stack_top, %rsp
    xorl %ebp, %ebp
    movl %edi, %edi
    movabsq ${main}, %rax
    call *%rax
    ud2

    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff        // 0x08 code, 64-bit
    .quad 0x00cf93000000ffff        // 0x10 data
boot_gdt_pointer:
    .word . - boot_gdt - 1
    .long boot_gdt
    "#,
    stack = const BOOT_STACK,
    main = sym boot_main,
    options(att_syntax)
);
