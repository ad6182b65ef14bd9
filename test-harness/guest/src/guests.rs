//! Guests: whatever they do that traps comes back to who entered, exactly as it was.

use alloc::string::String;
use core::time::Duration;

use idl::abi::{FxArea, GuestFrame, Registers, Trap, TrapKind};
use idl::types::{Bits, Deadline, ThreadState};
use userlib::cap::{AddressSpace, Guest, Notification};
use userlib::memory::{self, Mapping};
use userlib::{Cap, Error, check, check_eq, page, slots, thread, time};

use crate::rig::{CODE, DATA, END, Rig, STACK, code};
use crate::{Outcome, PATIENCE, said};

/// A guest and its memory.
pub(crate) struct Den {
    pub(crate) space: Cap<AddressSpace>,
    pub(crate) guest: Cap<Guest>,
    pub(crate) code: Mapping,
    pub(crate) data: Mapping,
}

impl Den {
    /// A guest with a space in which code and data lie where a rig has them.
    pub(crate) fn new() -> Result<Self, String> {
        let Rig { space, code, data, thread, .. } = Rig::new()?;
        slots::delete(thread.handle()).map_err(said("thread"))?;
        let guest = memory::create::<Guest>(0).map_err(said("guest"))?;
        guest.configure(space.handle()).map_err(said("configure"))?;
        Ok(Self { space, guest, code, data })
    }

    /// Writes the code, followed by invalid instructions.
    pub(crate) fn load(&self, code: &[u8]) {
        self.code.write(0, &END.repeat(2048));
        self.code.write(0, code);
    }

    /// Runs it from these registers until it stops.
    pub(crate) fn enter(
        &self,
        registers: &Registers,
        fx: &FxArea,
        deadline: Deadline,
    ) -> Result<(Trap, Registers, FxArea), Error> {
        page::set_frame(&GuestFrame { registers: *registers, ..GuestFrame::default() })?;
        page::set_fx(fx)?;
        let kind = self.guest.enter(deadline)?;
        let frame = page::frame()?;
        if frame.trap.kind != kind as u32 {
            return Err(Error::WrongState);
        }
        Ok((frame.trap, frame.registers, page::fx()?))
    }
}

const SYSCALL: [u8; 2] = [0x0f, 0x05];
const SPIN: [u8; 2] = [0xeb, 0xfe];

/// System call, page fault and exception, each with what it needs to be treated.
pub(crate) fn traps_return_what_happened() -> Outcome {
    let den = Den::new()?;
    den.load(&code![SYSCALL, [0x48, 0x8b, 0x03], [0xcc], END]);
    let begin = Registers { rax: 60, rdi: 1, rbx: 0x1234_5000, ..Rig::registers() };
    let enter = |registers: &Registers| {
        den.enter(registers, &FxArea::default(), Deadline::NEVER).map_err(said("enter"))
    };
    let (trap, found, _) = enter(&begin)?;
    check_eq!(trap, Trap { kind: TrapKind::SystemCall as u32, ..Trap::default() });
    check_eq!((found.rip, found.rcx, found.rax, found.rdi), (CODE + 2, CODE + 2, 60, 1));
    let (trap, found, _) = enter(&found)?;
    check_eq!((trap.kind, trap.vector), (TrapKind::PageFault as u32, 14));
    check_eq!((trap.address, trap.error_code, found.rip), (0x1234_5000, 4, CODE + 2));
    let (trap, found, _) = enter(&Registers { rbx: DATA, ..found })?;
    check_eq!((trap.kind, trap.vector, found.rip, found.rax), (TrapKind::Exception as u32, 3, CODE + 6, 0));
    let (trap, found, _) = enter(&found)?;
    check_eq!((trap.kind, trap.vector, found.rip), (TrapKind::Exception as u32, 6, CODE + 6));
    // A system call of the guest's is none of the kernel's, whatever it says.
    for op in [0, 0x0101, 0x0f02, u64::MAX] {
        let (trap, found, _) = enter(&Registers { rax: op, rdi: 6, ..Rig::registers() })?;
        check_eq!((trap.kind, found.rax, found.rdi), (TrapKind::SystemCall as u32, op, 6));
    }
    Ok(())
}

/// All registers, and the vector state, come back as they went in, thousands of times, in spite of preemption.
pub(crate) fn registers_survive_thousands_of_exits() -> Outcome {
    let other = Rig::new()?;
    other.load(&SPIN);
    let mut foreign = FxArea::default();
    foreign.0[160..416].fill(0xee);
    other.go(&Rig::registers(), &foreign)?;
    let den = Den::new()?;
    // The guest counts in rax, then calls.
    den.load(&code![[0x48, 0xff, 0xc0], SYSCALL, [0xeb, 0xf9]]);
    let mut registers =
        Registers { rbx: 2, rdx: 4, rsi: 5, rdi: 6, rbp: 7, r8: 8, r9: 9, r10: 10, ..Rig::registers() };
    registers = Registers {
        r12: 12,
        r13: 13,
        r14: 14,
        r15: 15,
        fs_base: 0x1111_0000,
        gs_base: 0x2222_0000,
        ..registers
    };
    let mut fx = FxArea::default();
    for (index, byte) in (0..=u8::MAX).zip(&mut fx.0[160..416]) {
        *byte = index ^ 0x5a;
    }
    for round in 1..=4000_u64 {
        let (trap, found, found_fx) = den.enter(&registers, &fx, Deadline::NEVER).map_err(said("enter"))?;
        check_eq!(trap.kind, TrapKind::SystemCall as u32);
        let expected = Registers {
            rax: round,
            rip: CODE + 5,
            rcx: CODE + 5,
            r11: found.r11,
            rflags: found.rflags,
            ..registers
        };
        check_eq!(found, expected);
        check!(found_fx.0[160..416] == fx.0[160..416], "vector registers changed in round {round}");
        check_eq!(found_fx.0[24..28], fx.0[24..28]);
        registers = found;
    }
    other.stop()?;
    Ok(())
}

/// A guest that only spins stops at the deadline, each time; one in the past stops it at once.
pub(crate) fn deadlines_end_a_spinning_guest() -> Outcome {
    let den = Den::new()?;
    den.load(&SPIN);
    for milliseconds in [1, 3, 5] {
        let wait = Duration::from_millis(milliseconds);
        let begin = time::now();
        let (trap, found, _) =
            den.enter(&Rig::registers(), &FxArea::default(), time::after(wait)).map_err(said("enter"))?;
        check_eq!((trap.kind, found.rip), (TrapKind::Interrupted as u32, CODE));
        check!(time::now().0 - begin.0 >= time::ticks(wait).0, "too early");
    }
    let (trap, _, _) =
        den.enter(&Rig::registers(), &FxArea::default(), Deadline::POLL).map_err(said("enter"))?;
    check_eq!(trap.kind, TrapKind::Interrupted as u32);
    Ok(())
}

/// A signal of the notification that is bound to the thread in the guest stops it, sent before or meanwhile.
pub(crate) fn a_signal_ends_a_guest() -> Outcome {
    let den = Den::new()?;
    den.load(&SPIN);
    let notification = memory::create::<Notification>(0).map_err(said("notification"))?;
    thread::current().bind(notification.handle()).map_err(said("bind"))?;
    notification.signal(Bits(1)).map_err(said("signal"))?;
    let enter =
        || den.enter(&Rig::registers(), &FxArea::default(), time::after(PATIENCE)).map_err(said("enter"));
    check_eq!(enter()?.0.kind, TrapKind::Interrupted as u32);
    check_eq!(notification.wait(Deadline::POLL), Ok(Bits(1)));
    for _ in 0..5 {
        let signaller = thread::spawn(move || {
            time::sleep(Duration::from_millis(1));
            notification.signal(Bits(2))
        });
        let signaller = signaller.map_err(said("spawn"))?;
        let begin = time::now();
        check_eq!(enter()?.0.kind, TrapKind::Interrupted as u32);
        check!(time::now().0 - begin.0 < time::ticks(PATIENCE).0 / 2, "the deadline ended it");
        check_eq!(notification.wait(Deadline::POLL), Ok(Bits(2)));
        check_eq!(signaller.join(time::after(PATIENCE)), Ok(Ok(())));
    }
    Ok(())
}

/// Wrong places are refused before anything runs; a guest without a space, too.
pub(crate) fn what_cannot_be_entered() -> Outcome {
    let den = Den::new()?;
    den.load(&END);
    for address in [0x8000_0000_0000, 0xffff_8000_0000_0000, u64::MAX] {
        for registers in [
            Registers { rip: address, ..Rig::registers() },
            Registers { fs_base: address, ..Rig::registers() },
            Registers { gs_base: address, ..Rig::registers() },
        ] {
            check_eq!(
                den.enter(&registers, &FxArea::default(), Deadline::NEVER).map(|_| ()),
                Err(Error::BadRange)
            );
        }
    }
    // The last address of user space runs, and faults there.
    let last = Registers { rip: 0x7fff_ffff_ffff, ..Rig::registers() };
    let (trap, _, _) = den.enter(&last, &FxArea::default(), Deadline::NEVER).map_err(said("enter"))?;
    check_eq!((trap.kind, trap.address), (TrapKind::PageFault as u32, 0x7fff_ffff_ffff));
    // A stack pointer may be anything.
    let stray = Registers { rsp: u64::MAX, ..Rig::registers() };
    let (trap, found, _) = den.enter(&stray, &FxArea::default(), Deadline::NEVER).map_err(said("enter"))?;
    check_eq!((trap.vector, found.rsp), (6, u64::MAX));
    let bare = memory::create::<Guest>(0).map_err(said("guest"))?;
    page::set_frame(&GuestFrame { registers: Rig::registers(), ..GuestFrame::default() })
        .map_err(said("frame"))?;
    check_eq!(bare.enter(Deadline::NEVER), Err(Error::NotConfigured));
    // Its space goes while nobody is in it.
    slots::delete(den.space.handle()).map_err(said("delete"))?;
    check_eq!(den.guest.enter(Deadline::NEVER), Err(Error::NotConfigured));
    Ok(())
}

/// While one thread is in a guest, no other can enter or configure it.
pub(crate) fn two_threads_want_one_guest() -> Outcome {
    let den = Den::new()?;
    den.load(&SPIN);
    let guest = den.guest;
    let first = thread::spawn(move || {
        let frame = GuestFrame { registers: Rig::registers(), ..GuestFrame::default() };
        page::set_frame(&frame)?;
        page::set_fx(&FxArea::default())?;
        guest.enter(time::after(Duration::from_millis(500)))
    });
    let first = first.map_err(said("spawn"))?;
    while first.thread().info().map_err(said("info"))?.state != ThreadState::InGuest {
        thread::yield_now();
    }
    let second = den.enter(&Rig::registers(), &FxArea::default(), time::after(PATIENCE));
    check_eq!(second.map(|_| ()), Err(Error::Busy));
    check_eq!(guest.configure(den.space.handle()), Err(Error::Busy));
    check_eq!(first.join(time::after(PATIENCE)), Ok(Ok(TrapKind::Interrupted)));
    check_eq!(guest.configure(den.space.handle()), Ok(()));
    Ok(())
}

/// Guest, space and message page go while a thread is in the guest: the thread hears of it, or goes on.
pub(crate) fn a_guest_of_ones_own_goes() -> Outcome {
    for which in 0..3 {
        let den = Den::new()?;
        den.load(&SPIN);
        let (guest, space, code) = (den.guest, den.space, den.code.region());
        let inside = thread::spawn(move || {
            let frame = GuestFrame { registers: Rig::registers(), ..GuestFrame::default() };
            page::set_frame(&frame)?;
            page::set_fx(&FxArea::default())?;
            guest.enter(time::after(PATIENCE)).map(|kind| (kind, page::frame().map(|frame| frame.trap.kind)))
        });
        let inside = inside.map_err(said("spawn"))?;
        time::sleep(Duration::from_millis(3));
        let (victim, expected) = match which {
            0 => (guest.handle(), TrapKind::Cancelled),
            1 => (space.handle(), TrapKind::Cancelled),
            _ => (code.handle(), TrapKind::PageFault),
        };
        slots::delete(victim).map_err(said("delete"))?;
        let came = inside.join(time::after(PATIENCE)).map_err(said("join"))?;
        check_eq!((which, came), (which, Ok((expected, Ok(expected as u32)))));
    }
    Ok(())
}

/// A thread that is stopped in a guest goes on there; one that is started anew is out of it.
pub(crate) fn a_suspended_guest_goes_on() -> Outcome {
    let den = Den::new()?;
    // The guest counts in memory.
    den.load(&[0x48, 0xff, 0x03, 0xeb, 0xfb]);
    let guest = den.guest;
    let inside = thread::spawn(move || {
        let registers = Registers { rbx: DATA, rsp: STACK, rip: CODE, ..Registers::default() };
        page::set_frame(&GuestFrame { registers, ..GuestFrame::default() })?;
        page::set_fx(&FxArea::default())?;
        guest.enter(time::after(PATIENCE * 2))
    });
    let inside = inside.map_err(said("spawn"))?;
    let counted = || den.data.word(0).map(|word| word.load(core::sync::atomic::Ordering::Relaxed));
    time::sleep(Duration::from_millis(4));
    let thread = inside.thread();
    thread.suspend().map_err(said("suspend"))?;
    let before = counted();
    check!(before > Some(0), "the guest did not run");
    time::sleep(Duration::from_millis(4));
    check_eq!(counted(), before);
    check_eq!(guest.configure(den.space.handle()), Err(Error::Busy));
    thread.resume().map_err(said("resume"))?;
    time::sleep(Duration::from_millis(6));
    check!(counted() > before, "the guest does not go on");
    slots::delete(thread.handle()).map_err(said("delete"))?;
    // The guest is free again.
    check_eq!(guest.configure(den.space.handle()), Ok(()));
    Ok(())
}

/// Flags that would hurt the kernel do not reach the processor with a guest either.
pub(crate) fn hostile_flags_in_a_guest() -> Outcome {
    let den = Den::new()?;
    // pushfq; pop rax; syscall
    den.load(&code![[0x9c, 0x58], SYSCALL, END]);
    for bit in 0..64 {
        let registers = Registers { rflags: 1 << bit, ..Rig::registers() };
        let (trap, found, _) =
            den.enter(&registers, &FxArea::default(), Deadline::NEVER).map_err(said("enter"))?;
        check_eq!(trap.kind, TrapKind::SystemCall as u32);
        check!(found.rax & 0x200 != 0 && found.rax & !0x20_0ed7 == 0, "flag {bit} gives {:#x}", found.rax);
    }
    Ok(())
}
