//! What a program can do to break the kernel with one instruction, or by the registers it has at a bad moment. Each
//! must cost that program alone: its fault arrives, and the kernel goes on.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use idl::abi::{FxArea, Registers};
use idl::types::Pages;
use userlib::memory::Mapping;
use userlib::{Rights, check, check_eq, time};

use crate::rig::{
    CODE, DATA, END, GENERAL_PROTECTION, INVALID_OPCODE, PAGE_FAULT, Rig, STACK, VECTORS, code, pattern,
};
use crate::{Outcome, PATIENCE, said};

const SYSCALL: [u8; 2] = [0x0f, 0x05];
const LAST_PAGE: u64 = 0x7fff_ffff_f000;
const NON_CANONICAL: u64 = 0x8000_0000_0000;
/// Where the kernel is, or may be: physical map, core areas, the APIC, shares, the image.
const KERNEL: [u64; 9] = [
    0xffff_8000_0000_0000,
    0xffff_8000_0020_0000,
    0xffff_c000_0000_0000,
    0xffff_d000_0000_0000,
    0xffff_e000_0000_0000,
    0xffff_ffff_8000_0000,
    0xffff_ffff_8020_0000,
    0xffff_ffff_ffff_f000,
    0xffff_ffff_ffff_fff8,
];

/// A null call from the last bytes of user space returns to an address that is none.
pub(crate) fn a_non_canonical_return_address() -> Outcome {
    let rig = Rig::new()?;
    let page = Mapping::new(Pages(1)).map_err(said("page"))?;
    rig.map(page.region(), LAST_PAGE, Rights::READ | Rights::EXECUTE).map_err(said("map"))?;
    page.write(4094, &SYSCALL);
    for op in [0, 0x0103, 0xffff_ffff_ffff_ffff] {
        rig.go(&Registers { rip: LAST_PAGE + 4094, rax: op, ..Rig::registers() }, &FxArea::default())?;
        let fault = rig.fault()?;
        check!([GENERAL_PROTECTION, PAGE_FAULT].contains(&fault.trap.vector), "{fault}");
        check_eq!(fault.rip, NON_CANONICAL);
    }
    // Running off the end without a call is the same to the kernel.
    page.write(4094, &[0x90, 0x90]);
    rig.go(&Registers { rip: LAST_PAGE + 4094, ..Rig::registers() }, &FxArea::default())?;
    let fault = rig.fault()?;
    check!([GENERAL_PROTECTION, PAGE_FAULT].contains(&fault.trap.vector), "{fault}");
    alive(&rig)
}

/// Flags that user code may not have do not reach it, wherever they come from; those it may have are kept.
pub(crate) fn hostile_flags() -> Outcome {
    let rig = Rig::new()?;
    let read = code![[0x9c, 0x58], END];
    for bit in 0..64 {
        let found = rig.finish(&read, &Registers { rflags: 1 << bit, ..Rig::registers() })?.rax;
        check!(found & 0x200 != 0, "interrupts are off with flag {bit}");
        check!(found & !0x20_0ed7 == 0, "flag {bit} gives flags {found:#x}");
    }
    let found = rig.finish(&read, &Registers { rflags: u64::MAX, ..Rig::registers() })?.rax;
    check_eq!(found & !0x20_0000, 0xed7);
    alive(&rig)
}

/// Flags that user code sets itself do not trouble the kernel when it makes a system call or faults with them.
pub(crate) fn flags_at_a_system_call() -> Outcome {
    let rig = Rig::new()?;
    // push rbx; popfq; xor eax, eax (clears arithmetic flags only); syscall; pushfq; pop rcx; ud2
    let call = code![[0x53, 0x9d, 0xb8, 0, 0, 0, 0], SYSCALL, [0x9c, 0x59], END];
    for flag in
        [0x400, 0x3000, 0x4000, 0x1_0000, 0x2_0000, 0x4_0000, 0x8_0000, 0x10_0000, 0x20_0000, 0x24_74ff]
    {
        let found = rig.finish(&call, &Registers { rbx: flag, rax: 5, ..Rig::registers() })?;
        check_eq!(found.rax, 0);
        check!(found.rcx & 0x1_3100 == 0 && found.rcx & 0x200 != 0, "{flag:#x} gives {:#x}", found.rcx);
    }
    // Single step: it traps by itself, and the kernel's instructions are not stepped.
    let (fault, _) = rig.run(&call, &Registers { rbx: 0x102, ..Rig::registers() })?;
    check_eq!((fault.trap.vector, fault.rip), (1, CODE + 7));
    let (fault, _) =
        rig.run(&code![[0x53, 0x9d], SYSCALL, END], &Registers { rbx: 0x102, ..Rig::registers() })?;
    check!(fault.trap.vector == 1 || fault.trap.vector == INVALID_OPCODE, "{fault}");
    // The kernel must not go backwards for a program's DF: a call that copies memory in the kernel.
    let (fault, _) = rig.run(&code![[0xfd], [0x0f, 0x0b]], &Rig::registers())?;
    check_eq!(fault.trap.vector, INVALID_OPCODE);
    check!(rig.look()?.0.rflags & 0x400 != 0, "the direction flag was lost");
    alive(&rig)
}

/// Instructions that only a kernel may execute.
pub(crate) const PRIVILEGED: &[(&str, &[u8])] = &[
    ("hlt", &[0xf4]),
    ("cli", &[0xfa]),
    ("sti", &[0xfb]),
    ("in al, dx", &[0xec]),
    ("out dx, al", &[0xee]),
    ("out dx, eax", &[0xef]),
    ("in al, 0xf4", &[0xe4, 0xf4]),
    ("out 0xf4, al", &[0xe6, 0xf4]),
    ("insb", &[0x6c]),
    ("rep outsb", &[0xf3, 0x6e]),
    ("lgdt", &[0x0f, 0x01, 0x13]),
    ("lidt", &[0x0f, 0x01, 0x1b]),
    ("lldt", &[0x0f, 0x00, 0xd0]),
    ("ltr", &[0x0f, 0x00, 0xd8]),
    ("sgdt", &[0x0f, 0x01, 0x03]),
    ("sidt", &[0x0f, 0x01, 0x0b]),
    ("sldt", &[0x0f, 0x00, 0xc0]),
    ("str", &[0x0f, 0x00, 0xc8]),
    ("smsw", &[0x0f, 0x01, 0xe0]),
    ("lmsw", &[0x0f, 0x01, 0xf0]),
    ("clts", &[0x0f, 0x06]),
    ("invd", &[0x0f, 0x08]),
    ("wbinvd", &[0x0f, 0x09]),
    ("invlpg", &[0x0f, 0x01, 0x3b]),
    ("mov rax, cr0", &[0x0f, 0x20, 0xc0]),
    ("mov cr0, rax", &[0x0f, 0x22, 0xc0]),
    ("mov rax, cr3", &[0x0f, 0x20, 0xd8]),
    ("mov cr3, rax", &[0x0f, 0x22, 0xd8]),
    ("mov cr4, rax", &[0x0f, 0x22, 0xe0]),
    ("mov cr8, rax", &[0x44, 0x0f, 0x22, 0xc0]),
    ("mov dr7, rax", &[0x0f, 0x23, 0xf8]),
    ("mov rax, dr6", &[0x0f, 0x21, 0xf0]),
    ("swapgs", &[0x0f, 0x01, 0xf8]),
    ("sysretq", &[0x48, 0x0f, 0x07]),
    ("sysexit", &[0x0f, 0x35]),
    ("rdpmc", &[0x0f, 0x33]),
    ("xsetbv", &[0x0f, 0x01, 0xd1]),
    ("monitor", &[0x0f, 0x01, 0xc8]),
    ("mwait", &[0x0f, 0x01, 0xc9]),
    ("stac", &[0x0f, 0x01, 0xcb]),
    ("clac", &[0x0f, 0x01, 0xca]),
    ("vmcall", &[0x0f, 0x01, 0xc1]),
    ("vmmcall", &[0x0f, 0x01, 0xd9]),
    ("vmrun", &[0x0f, 0x01, 0xd8]),
    ("wrfsbase", &[0xf3, 0x48, 0x0f, 0xae, 0xd0]),
];

/// Every instruction that only a kernel may execute faults, and does nothing.
pub(crate) fn privileged_instructions() -> Outcome {
    let rig = Rig::new()?;
    for (name, bytes) in PRIVILEGED {
        let registers = Registers {
            rbx: DATA,
            rdx: 0xf4,
            rsi: DATA,
            rdi: DATA,
            rax: 0x21,
            rsp: DATA + 0x1000,
            ..Rig::registers()
        };
        let (fault, found) = rig.run(bytes, &registers)?;
        check!(
            [GENERAL_PROTECTION, INVALID_OPCODE].contains(&fault.trap.vector) && fault.rip == CODE,
            "{name}: {fault}"
        );
        check!(found.rax == 0x21 && found.rsp == registers.rsp, "{name} changed registers");
    }
    alive(&rig)
}

/// Model-specific registers are out of reach, those that exist and those that do not.
pub(crate) fn model_specific_registers() -> Outcome {
    let rig = Rig::new()?;
    let numbers = [
        0x10,
        0x1b,
        0x6e0,
        0x174,
        0x176,
        0x1d9,
        0x277,
        0x800,
        0x80b,
        0x830,
        0xc000_0080,
        0xc000_0081,
        0xc000_0082,
        0xc000_0084,
        0xc000_0100,
        0xc000_0101,
        0xc000_0102,
        0,
        0x1234_5678,
        0xffff_ffff,
    ];
    for number in numbers {
        for bytes in [[0x0f, 0x32], [0x0f, 0x30]] {
            let (fault, _) = rig.run(&bytes, &Registers { rcx: number, ..Rig::registers() })?;
            check!(fault.trap.vector == GENERAL_PROTECTION && fault.rip == CODE, "{number:#x}: {fault}");
        }
    }
    alive(&rig)
}

/// The kernel half can be neither read, written nor executed, and no address tells whether something is there.
pub(crate) fn a_jump_into_the_kernel() -> Outcome {
    let rig = Rig::new()?;
    let accesses: [&[u8]; 4] = [&[0xff, 0xe3], &[0x48, 0x8b, 0x03], &[0x48, 0x89, 0x03], &[0xff, 0x13]];
    for address in KERNEL {
        for bytes in accesses {
            let (fault, _) = rig.run(bytes, &Registers { rbx: address, ..Rig::registers() })?;
            check_eq!((fault.trap.vector, fault.trap.address), (PAGE_FAULT, address));
            check!(fault.trap.error_code & 4 != 0, "{fault}");
        }
    }
    for address in [NON_CANONICAL, 0x8000_0000_0000_0000, 0xffff_7fff_ffff_f000] {
        for bytes in accesses {
            let (fault, _) = rig.run(bytes, &Registers { rbx: address, ..Rig::registers() })?;
            check!([GENERAL_PROTECTION, 12].contains(&fault.trap.vector), "{address:#x}: {fault}");
        }
        // The stack there, with a push.
        let (fault, _) = rig.run(&[0x50], &Registers { rsp: address, ..Rig::registers() })?;
        check!(
            [GENERAL_PROTECTION, 12, PAGE_FAULT].contains(&fault.trap.vector),
            "rsp {address:#x}: {fault}"
        );
    }
    alive(&rig)
}

/// The kernel's segments are not for user code, by any instruction that loads one.
pub(crate) fn segments_of_the_kernel() -> Outcome {
    let rig = Rig::new()?;
    // Under SMAP the emulator's far calls and iretq use the stack as a kernel would, and make page faults for it.
    // Far pointers to kernel code: offset 32 bits, then the selector.
    for selector in [0x08_u16, 0x10, 0x0b, 0x1b, 0x20, 0x23, 0x28, 0x2b, 0x33, 0x38, 0xfff8] {
        // A null call and the end, should it get there.
        rig.data.write(0, &0x40_0040_u32.to_le_bytes());
        rig.data.write(4, &selector.to_le_bytes());
        for bytes in [&[0xff, 0x1b][..], &[0xff, 0x2b]] {
            rig.load(bytes);
            rig.code.write(64, &[0x31, 0xc0, 0x0f, 0x05, 0x0f, 0x0b]);
            rig.go(&Registers { rbx: DATA, ..Rig::registers() }, &FxArea::default())?;
            let fault = rig.fault()?;
            let expected = [GENERAL_PROTECTION, 11, PAGE_FAULT, INVALID_OPCODE];
            check!(expected.contains(&fault.trap.vector), "far {selector:#x}: {fault}");
        }
        // iretq to it: rip, cs, rflags, rsp, ss.
        let frame = [CODE + 64, u64::from(selector), 0x202, STACK, u64::from(selector) + 8];
        for (index, word) in (0..).zip(frame) {
            rig.data.write(256 + 8 * index, &word.to_le_bytes());
        }
        let (fault, _) = rig.run(&[0x48, 0xcf], &Registers { rsp: DATA + 256, ..Rig::registers() })?;
        check!(
            [GENERAL_PROTECTION, 10, 11, PAGE_FAULT, INVALID_OPCODE].contains(&fault.trap.vector),
            "iret {selector:#x}: {fault}"
        );
    }
    // Loading data segments: whatever happens, the kernel goes on, and a null selector costs only the program.
    for selector in [0_u64, 3, 8, 0x10, 0x13, 0x18, 0x1b, 0x20, 0x23, 0x28, 0x2b, 0x30, 0x33] {
        for modrm in [0xd8_u8, 0xc0, 0xe0, 0xe8, 0xd0] {
            let code = code![[0x8e, modrm, 0x31, 0xc0], SYSCALL, END];
            let (fault, _) = rig.run(&code, &Registers { rax: selector, ..Rig::registers() })?;
            check!(
                [GENERAL_PROTECTION, 11, 12, INVALID_OPCODE].contains(&fault.trap.vector),
                "{selector:#x}: {fault}"
            );
        }
    }
    alive(&rig)
}

/// Any stack pointer will do for a system call and for a fault: the kernel does not use it.
pub(crate) fn hostile_stack_pointers() -> Outcome {
    let rig = Rig::new()?;
    for rsp in KERNEL.into_iter().chain([0, 1, 8, NON_CANONICAL, u64::MAX, 0xffff_c000_0000_3ff0]) {
        for bytes in [code![END], code![[0x31, 0xc0], SYSCALL, END], code![[0xcc], END]] {
            let (_, found) = rig.run(&bytes, &Registers { rsp, ..Rig::registers() })?;
            check_eq!(found.rsp, rsp);
        }
    }
    alive(&rig)
}

/// A thread that never yields keeps nobody of its priority from running.
pub(crate) fn a_thread_that_never_yields() -> Outcome {
    let rig = Rig::new()?;
    rig.load(&[0xeb, 0xfe]);
    rig.go(&Rig::registers(), &FxArea::default())?;
    let begin = time::now();
    for _ in 0..5 {
        time::sleep(Duration::from_millis(2));
    }
    let took = time::duration(idl::types::Ticks(time::now().0 - begin.0));
    check!(took < PATIENCE, "five sleeps of 2 ms took {took:?}");
    rig.stop()?;
    alive(&rig)
}

/// Counts in the second word of the data until the first is not 0, then ends.
const COUNT: [&[u8]; 4] = [
    &[0x48, 0xff, 0x04, 0x25, 0x08, 0x00, 0x50, 0x00], // inc qword [DATA + 8]
    &[0x83, 0x3c, 0x25, 0x00, 0x00, 0x50, 0x00, 0x00], // cmp dword [DATA], 0
    &[0x74, 0xee],                                     // je to the first
    &END,
];
/// Where that ends.
const COUNTED: u64 = CODE + 18;
/// In so many looks at least each thread must have run, and another too, since the look before.
const TURNS: u32 = 4;

/// Waits until threads that count, and never let another run of their own will, have been preempted for each other: where two
/// of them have run, one was stopped where it stood, and goes on there when it is seen to run again.
fn await_preemptions(rigs: &[(Rig, FxArea)]) -> Outcome {
    let counts = || -> Result<Vec<u64>, String> {
        rigs.iter().map(|(rig, _)| word(rig, 1).map(|count| count.load(Ordering::Relaxed))).collect()
    };
    let (mut before, mut turns) = (counts()?, vec![0; rigs.len()]);
    let end = time::after(PATIENCE);
    while turns.iter().any(|turns| *turns < TURNS) {
        check!(time::now().0 < end.0, "too few preemptions: {turns:?}");
        time::sleep(Duration::from_millis(20));
        let now = counts()?;
        let ran: Vec<bool> = now.iter().zip(&before).map(|(now, before)| now > before).collect();
        if ran.iter().filter(|ran| **ran).count() > 1 {
            turns.iter_mut().zip(ran).for_each(|(turns, ran)| *turns += u32::from(ran));
        }
        before = now;
    }
    Ok(())
}

fn word(rig: &Rig, index: usize) -> Result<&AtomicU64, String> {
    rig.data.word(index).ok_or_else(|| "the rig has no data".into())
}

/// Vector and x87 state survives preemption by others that have their own, and none of it is seen elsewhere.
pub(crate) fn vector_registers_survive_preemption() -> Outcome {
    let mut rigs: Vec<(Rig, FxArea)> = Vec::new();
    for number in 1..=3_u8 {
        let rig = Rig::new()?;
        rig.load(&COUNT.concat());
        let fx = pattern(number);
        rig.go(&Rig::registers(), &fx)?;
        rigs.push((rig, fx));
    }
    await_preemptions(&rigs)?;
    for (rig, fx) in &rigs {
        word(rig, 0)?.store(1, Ordering::Relaxed);
        let fault = rig.fault()?;
        check_eq!((fault.trap.vector, fault.rip), (INVALID_OPCODE, COUNTED));
        let found = rig.look()?.1;
        check!(found.0[160..416] == fx.0[160..416], "vector registers changed");
        check!(found.0[32..160] == fx.0[32..160], "x87 registers changed");
        check_eq!(found.0[24..28], fx.0[24..28]);
    }
    Ok(())
}

/// After a system call vector and x87 registers hold nothing, neither the caller's own nor what somebody else left.
pub(crate) fn vector_registers_leak_nothing() -> Outcome {
    let secret = Rig::new()?;
    secret.load(&[0xeb, 0xfe]);
    let rig = Rig::new()?;
    // A null call, then one that lets the other run: Thread.yield of itself.
    for (op, handle) in [(0, 0), (0x030a, rig.thread.handle().0)] {
        secret.go(&Rig::registers(), &pattern(0xaa))?;
        rig.load(&code![SYSCALL, END]);
        rig.go(&Registers { rax: op, rdi: handle, ..Rig::registers() }, &pattern(0x55))?;
        rig.fault()?;
        let (found, fx) = rig.look()?;
        check_eq!(found.rax, 0);
        for (what, range) in VECTORS {
            check!(
                fx.0[range.clone()] == FxArea::INITIAL.0[range.clone()],
                "{what} registers after a call: {:x?}",
                &fx.0[range]
            );
        }
        check_eq!(found.rcx, CODE + 2);
        secret.stop()?;
    }
    Ok(())
}

/// A state in memory that the processor would refuse to load is made loadable, or refused.
pub(crate) fn hostile_vector_state() -> Outcome {
    let rig = Rig::new()?;
    rig.load(&END);
    for byte in [0xff_u8, 0x80, 0x7f, 1] {
        rig.go(&Rig::registers(), &FxArea([byte; 512]))?;
        rig.fault()?;
    }
    for offset in 0..512 {
        let mut fx = FxArea::default();
        fx.0[offset] = 0xff;
        rig.stop()?;
        rig.set(&Rig::registers(), &fx)?;
    }
    rig.thread.resume().map_err(said("resume"))?;
    rig.fault()?;
    alive(&rig)
}

/// Registers that must lie in user space are refused when they do not, and nothing changes.
pub(crate) fn registers_outside_user_space() -> Outcome {
    let rig = Rig::new()?;
    rig.load(&END);
    rig.set(&Rig::registers(), &FxArea::default())?;
    for address in KERNEL.into_iter().chain([NON_CANONICAL, u64::MAX]) {
        for registers in [
            Registers { rip: address, ..Rig::registers() },
            Registers { fs_base: address, ..Rig::registers() },
            Registers { gs_base: address, ..Rig::registers() },
        ] {
            let refused = rig.set(&registers, &FxArea::default());
            check_eq!(refused, Err(String::from("write_registers: BadRange")));
        }
    }
    check_eq!(rig.look()?.0.rip, CODE);
    alive(&rig)
}

/// The rig still works, and so do the kernel and its clock.
fn alive(rig: &Rig) -> Outcome {
    let found =
        rig.finish(&code![[0x48, 0x01, 0xd8], END], &Registers { rax: 40, rbx: 2, ..Rig::registers() })?;
    check_eq!(found.rax, 42);
    time::sleep(Duration::from_micros(100));
    Ok(())
}
