//! The functions that compilers call without being asked: `memcpy`, `memmove`, `memset`, `memcmp`, `bcmp`.
//!
//! In assembly, because a compiler may turn a loop in Rust into a call of the very function it is in. Wide moves and no
//! `rep`: a `rep` counts once per element under the deterministic measure.

use core::arch::global_asm;

global_asm!(
    r#"
    .text
    // memmove(rdi target, rsi source, rdx length) -> target
    .global memmove
    .balign 32
memmove:
    movq %rdi, %rcx
    subq %rsi, %rcx                 // target - source, as an unsigned number: below the length means overlap
    cmpq %rdx, %rcx
    jb move_backwards
    .global memcpy
memcpy:
    movq %rdi, %rax
    cmpq $16, %rdx
    jb move_few
    movups -16(%rsi, %rdx), %xmm4   // the tail, before anything is stored over it
    leaq -16(%rdi, %rdx), %r8       // where it goes
    cmpq $64, %rdx
    jb 2f
1:  movups (%rsi), %xmm0
    movups 16(%rsi), %xmm1
    movups 32(%rsi), %xmm2
    movups 48(%rsi), %xmm3
    movups %xmm0, (%rdi)
    movups %xmm1, 16(%rdi)
    movups %xmm2, 32(%rdi)
    movups %xmm3, 48(%rdi)
    addq $64, %rsi
    addq $64, %rdi
    subq $64, %rdx
    cmpq $64, %rdx
    jae 1b
2:  cmpq $16, %rdx
    jb 3f
    movups (%rsi), %xmm0
    movups %xmm0, (%rdi)
    addq $16, %rsi
    addq $16, %rdi
    subq $16, %rdx
    jmp 2b
3:  movups %xmm4, (%r8)
    ret

move_few:                           // fewer than 16 bytes: everything is loaded before anything is stored
    testb $8, %dl
    jnz 1f
    testb $4, %dl
    jnz 2f
    testq %rdx, %rdx
    jz 3f
    movzbl (%rsi), %ecx             // one to three bytes: first, middle, last, which may be the same
    movzbl -1(%rsi, %rdx), %r8d
    movq %rdx, %r10
    shrq $1, %r10
    movzbl (%rsi, %r10), %r9d
    movb %cl, (%rdi)
    movb %r9b, (%rdi, %r10)
    movb %r8b, -1(%rdi, %rdx)
3:  ret
1:  movq (%rsi), %rcx
    movq -8(%rsi, %rdx), %r8
    movq %rcx, (%rdi)
    movq %r8, -8(%rdi, %rdx)
    ret
2:  movl (%rsi), %ecx
    movl -4(%rsi, %rdx), %r8d
    movl %ecx, (%rdi)
    movl %r8d, -4(%rdi, %rdx)
    ret

move_backwards:
    movq %rdi, %rax
    cmpq $16, %rdx
    jb move_few
    movups (%rsi), %xmm4            // the head, before anything is stored over it
1:  cmpq $16, %rdx
    jb 2f
    movups -16(%rsi, %rdx), %xmm0
    movups %xmm0, -16(%rdi, %rdx)
    subq $16, %rdx
    jmp 1b
2:  movups %xmm4, (%rax)
    ret

    // memset(rdi target, esi byte, rdx length) -> target
    .global memset
    .balign 32
memset:
    movq %rdi, %rax
    movzbl %sil, %esi
    movabsq $0x0101010101010101, %rcx
    imulq %rcx, %rsi
    cmpq $16, %rdx
    jb 3f
    movq %rsi, %xmm0
    punpcklqdq %xmm0, %xmm0
    movups %xmm0, -16(%rdi, %rdx)
    cmpq $64, %rdx
    jb 2f
1:  movups %xmm0, (%rdi)
    movups %xmm0, 16(%rdi)
    movups %xmm0, 32(%rdi)
    movups %xmm0, 48(%rdi)
    addq $64, %rdi
    subq $64, %rdx
    cmpq $64, %rdx
    jae 1b
2:  cmpq $16, %rdx
    jb 4f
    movups %xmm0, (%rdi)
    addq $16, %rdi
    subq $16, %rdx
    jmp 2b
3:  testq %rdx, %rdx
    jz 4f
    movb %sil, -1(%rdi, %rdx)
    decq %rdx
    jmp 3b
4:  ret

    // memcmp(rdi, rsi, rdx) -> difference of the first bytes that differ
    .global memcmp, bcmp
    .balign 32
memcmp:
bcmp:
    xorl %eax, %eax
1:  cmpq $8, %rdx
    jb 2f
    movq (%rdi), %rcx
    cmpq (%rsi), %rcx
    jne 2f
    addq $8, %rdi
    addq $8, %rsi
    subq $8, %rdx
    jmp 1b
2:  testq %rdx, %rdx
    jz 3f
    movzbl (%rdi), %eax
    movzbl (%rsi), %ecx
    subl %ecx, %eax
    jnz 3f
    incq %rdi
    incq %rsi
    decq %rdx
    jmp 2b
3:  ret
    "#,
    options(att_syntax)
);
