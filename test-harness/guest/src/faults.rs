//! Faults of threads, as their handlers see them.

use alloc::format;

use idl::abi::{FxArea, Registers, TrapKind};
use idl::types::{Badge, Pages, ThreadState};
use userlib::cap::Endpoint;
use userlib::memory::{self, Mapping};
use userlib::{Handle, Rights, check, check_eq, slots};

use crate::rig::{CODE, DATA, END, INVALID_OPCODE, PAGE_FAULT, Rig, code};
use crate::{Outcome, said};

const NOWHERE: u64 = 0x12_3456_7000;
const READ_RBX: [u8; 3] = [0x48, 0x8b, 0x03];
const WRITE_RBX: [u8; 3] = [0x48, 0x89, 0x03];
const JUMP_RBX: [u8; 2] = [0xff, 0xe3];

/// A page fault says where, what was tried and whether a page was there.
pub(crate) fn page_faults_say_what_was_tried() -> Outcome {
    let rig = Rig::new()?;
    let cases: &[(&str, &[u8], u64, u64)] = &[
        ("read nowhere", &READ_RBX, NOWHERE + 5, 4),
        ("write nowhere", &WRITE_RBX, NOWHERE, 6),
        ("write code", &WRITE_RBX, CODE + 64, 7),
        ("read address 0", &READ_RBX, 0, 4),
        ("execute nowhere", &JUMP_RBX, NOWHERE, 0x14),
        ("execute data", &JUMP_RBX, DATA, 0x15),
    ];
    for (what, code, address, error) in cases {
        let (fault, registers) = rig.run(code, &Registers { rbx: *address, ..Rig::registers() })?;
        check_eq!(
            (*what, fault.trap.kind, fault.trap.vector),
            (*what, TrapKind::PageFault as u32, PAGE_FAULT)
        );
        check_eq!((*what, fault.trap.address), (*what, *address));
        check_eq!((*what, fault.trap.error_code), (*what, *error));
        let rip = if code.len() == JUMP_RBX.len() { *address } else { CODE };
        check_eq!((*what, fault.rip, registers.rip), (*what, rip, rip));
    }
    Ok(())
}

/// Every exception that user code can raise arrives with its vector and error code, where it stands.
pub(crate) fn exceptions_arrive_as_they_are() -> Outcome {
    let rig = Rig::new()?;
    // Code, vector, error code, bytes that it goes before it stands.
    let cases: &[(&str, &[u8], u32, u64, u64)] = &[
        ("ud2", &[0x0f, 0x0b], 6, 0, 0),
        ("int3", &[0xcc], 3, 0, 1),
        ("divide by zero", &[0x31, 0xc9, 0xf7, 0xf1], 0, 0, 2),
        ("int 0x80", &[0xcd, 0x80], 13, 0x402, 0),
        ("int 14", &[0xcd, 0x0e], 13, 0x72, 0),
        ("int 2", &[0xcd, 0x02], 13, 0x12, 0),
        ("int 8", &[0xcd, 0x08], 13, 0x42, 0),
        ("hlt", &[0xf4], 13, 0, 0),
    ];
    for (what, code, vector, error, forward) in cases {
        let (fault, _) = rig.run(code, &Rig::registers())?;
        check_eq!((*what, fault.trap.vector), (*what, *vector));
        // Where a processor counts eight bytes for a gate, the emulator counts sixteen.
        let emulated = if *error == 0 { 0 } else { (*error - 2) * 2 + 2 };
        check!([*error, emulated].contains(&fault.trap.error_code), "{what}: {fault}");
        check_eq!((*what, fault.trap.kind), (*what, TrapKind::Exception as u32));
        check_eq!((*what, fault.trap.address), (*what, 0));
        check_eq!((*what, fault.rip), (*what, CODE + forward));
    }
    Ok(())
}

/// Unmasked floating-point exceptions of both kinds arrive, and the kernel's own use of the processor stays clean.
pub(crate) fn floating_point_exceptions_arrive() -> Outcome {
    let rig = Rig::new()?;
    let mut unmasked = FxArea::default();
    unmasked.0[0] = 0x40;
    unmasked.0[24..28].copy_from_slice(&0_u32.to_le_bytes());
    // fld1; fldz; fdivp; fwait
    rig.load(&[0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, 0x9b]);
    rig.go(&Rig::registers(), &unmasked)?;
    check_eq!(rig.fault()?.trap.vector, 16);
    // divps xmm0, xmm1 with both zero; the emulator computes on where a processor would raise 19.
    rig.load(&code![[0x0f, 0x5e, 0xc1], END]);
    rig.go(&Rig::registers(), &unmasked)?;
    let fault = rig.fault()?;
    check!([19, INVALID_OPCODE].contains(&fault.trap.vector), "{fault}");
    rig.finish(&code![[0x90], END], &Rig::registers())?;
    Ok(())
}

/// A misaligned access with AC set is the program's own business: the kernel neither forbids nor dies of it.
pub(crate) fn alignment_checks_harm_nobody() -> Outcome {
    let rig = Rig::new()?;
    let code = code![[0x53, 0x9d], READ_RBX, END];
    let (fault, _) = rig.run(&code, &Registers { rbx: 0x4_0202, ..Rig::registers() })?;
    let expected = [17, INVALID_OPCODE, PAGE_FAULT];
    check!(expected.contains(&fault.trap.vector), "{fault}");
    rig.finish(&code![[0x90], END], &Rig::registers())?;
    Ok(())
}

/// An answer lets the thread go on where it stands, its registers as they were; what the handler changes, changes.
pub(crate) fn an_answer_lets_it_go_on() -> Outcome {
    let rig = Rig::new()?;
    let before =
        Registers { rax: 1, rbx: 2, rcx: 3, rdx: 4, rsi: 5, rdi: 6, rbp: 7, r8: 8, ..Rig::registers() };
    let before = Registers { r9: 9, r10: 10, r11: 11, r12: 12, r13: 13, r14: 14, r15: 15, ..before };
    let (fault, _) = rig.run(&code![[0xcc], END], &before)?;
    check_eq!(fault.trap.vector, 3);
    rig.answer()?;
    check_eq!(rig.fault()?.rip, CODE + 1);
    let (found, _) = rig.look()?;
    check_eq!(found, Registers { rip: CODE + 1, rflags: found.rflags, ..before });
    // The handler moves it on, and gives it another value.
    rig.set(&Registers { rip: CODE + 16, rax: 99, ..found }, &FxArea::default())?;
    rig.code.write(16, &[0x48, 0xff, 0xc0, 0x0f, 0x0b]);
    rig.answer()?;
    check_eq!(rig.fault()?.rip, CODE + 19);
    check_eq!(rig.look()?.0.rax, 100);
    check_eq!(rig.state()?, ThreadState::Faulted);
    Ok(())
}

/// A handler that maps what was missing makes the access succeed.
pub(crate) fn a_handler_can_map() -> Outcome {
    let rig = Rig::new()?;
    let fault = rig
        .run(&code![WRITE_RBX, READ_RBX, END], &Registers { rbx: NOWHERE, rax: 77, ..Rig::registers() })?
        .0;
    check_eq!(fault.trap.address, NOWHERE);
    let page = Mapping::new(Pages(1)).map_err(said("page"))?;
    rig.map(page.region(), NOWHERE, Rights::READ | Rights::WRITE).map_err(said("map"))?;
    rig.answer()?;
    check_eq!(rig.fault()?.rip, CODE + 6);
    check_eq!(rig.look()?.0.rax, 77);
    Ok(())
}

/// Without an answer the thread stays; it can be suspended there, and resumed makes the same fault again.
pub(crate) fn an_unanswered_fault_stays() -> Outcome {
    let rig = Rig::new()?;
    rig.run(&READ_RBX, &Registers { rbx: NOWHERE, ..Rig::registers() })?;
    check_eq!(rig.state()?, ThreadState::Faulted);
    rig.thread.suspend().map_err(said("suspend"))?;
    check_eq!(rig.state()?, ThreadState::Suspended);
    check!(rig.answer().is_err(), "an answer to nobody");
    rig.thread.resume().map_err(said("resume"))?;
    check_eq!(rig.fault()?.trap.address, NOWHERE);
    Ok(())
}

/// The handler's endpoint goes while the thread waits there, received or not: the thread stays, and is reported.
pub(crate) fn a_handler_that_goes_leaves_it_standing() -> Outcome {
    let rig = Rig::new()?;
    let other = memory::create::<Endpoint>(0).map_err(said("endpoint"))?;
    rig.thread.fault_handler(other.handle(), Badge(1)).map_err(said("handler"))?;
    rig.load(&END);
    rig.go(&Rig::registers(), &FxArea::default())?;
    while rig.state()? != ThreadState::Faulted {
        userlib::thread::yield_now();
    }
    slots::delete(other.handle()).map_err(said("delete"))?;
    check_eq!(rig.state()?, ThreadState::Faulted);
    // A new handler hears of it as soon as it goes on.
    rig.thread.fault_handler(rig.faults.handle(), crate::rig::BADGE).map_err(said("handler"))?;
    rig.thread.resume().map_err(said("resume"))?;
    check_eq!(rig.fault()?.rip, CODE);
    // The reply object goes while the fault is being treated.
    slots::delete(rig.reply.handle()).map_err(said("delete"))?;
    check_eq!(rig.state()?, ThreadState::Faulted);
    rig.thread.resume().map_err(said("resume"))?;
    Ok(())
}

/// Without a handler the kernel says which thread, why and where.
pub(crate) fn nobody_handles_it() -> Outcome {
    let rig = Rig::new()?;
    rig.thread.fault_handler(Handle::NONE, Badge(0)).map_err(said("handler"))?;
    rig.load(&READ_RBX);
    rig.go(&Registers { rbx: NOWHERE, ..Rig::registers() }, &FxArea::default())?;
    for _ in 0..1000 {
        if rig.state()? == ThreadState::Faulted {
            break;
        }
        userlib::thread::yield_now();
    }
    check_eq!(rig.state()?, ThreadState::Faulted);
    let registers = rig.look()?.0;
    check!(registers.rip == CODE && registers.rbx == NOWHERE, "{}", format!("{registers:?}"));
    Ok(())
}
