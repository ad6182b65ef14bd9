//! Guests: whatever they do that traps comes back to who entered, exactly as it was.

use alloc::format;
use alloc::string::String;
use core::sync::atomic::Ordering;
use core::time::Duration;

use idl::abi::page::{FRAME, FX};
use idl::abi::{FxArea, GuestFrame, Registers, Trap, TrapKind};
use idl::types::{Bits, Deadline, PageIndex, Pages, ThreadState};
use userlib::cap::{AddressSpace, Guest, Notification};
use userlib::memory::{self, Mapping};
use userlib::{Cap, Error, check, check_eq, environment, page, slots, thread, time};
use zerocopy::IntoBytes;

use crate::rig::{CODE, DATA, END, Rig, STACK, VECTORS, code, pattern};
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
/// The op word of Guest.enter.
const ENTER: u64 = 0x0a02;
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
    other.go(&Rig::registers(), &pattern(0xee))?;
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
    let fx = pattern(0x5a);
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
        same_vectors("what came back", &found_fx, &fx).map_err(|text| format!("round {round}: {text}"))?;
        registers = found;
    }
    other.stop()?;
    Ok(())
}

/// What a guest begins with is what its owner put into the page, what comes back is what the guest had at its end,
/// and the owner itself goes on with neither: however the guest ends, and whoever else runs meanwhile.
pub(crate) fn vector_registers_cross_at_the_page_only() -> Outcome {
    let other = Rig::new()?;
    other.load(&SPIN);
    other.go(&Rig::registers(), &pattern(0xee))?;
    let (den, owner) = (Den::new()?, Owner::new()?);
    let (begin, end) = (with_control(pattern(0xaa)), pattern(0x33));
    den.data.write(END_STATE, &end.0);
    let load_from_zero: [u8; 7] = [0x8b, 0x04, 0x25, 0, 0, 0, 0];
    for (kind, ending) in [
        (TrapKind::SystemCall, &SYSCALL[..]),
        (TrapKind::PageFault, &load_from_zero),
        (TrapKind::Exception, &[0xcc]),
        (TrapKind::Interrupted, &SPIN),
    ] {
        den.data.write(0, &[0; END_STATE]);
        // fxsave64 (%rbx); fxrstor64 END_STATE(%rbx); movb $1, DONE(%rbx)
        let store_and_load = [0x48, 0x0f, 0xae, 0x03, 0x48, 0x0f, 0xae, 0x8b, 0, 0x10, 0, 0];
        den.load(&code![store_and_load, [0xc6, 0x83, 0, 8, 0, 0, 1], ending]);
        owner.enter(&den, &begin, &pattern(0x55))?;
        while den.data.word(DONE / 8).is_none_or(|done| done.load(Ordering::Relaxed) == 0) {
            time::sleep(Duration::from_millis(1));
        }
        if kind == TrapKind::Interrupted {
            owner.bell.signal(Bits(1)).map_err(said("signal"))?;
        }
        let (trap, came_back, own) = owner.look()?;
        check_eq!(
            (trap.kind, owner.bell.wait(Deadline::POLL).is_ok()),
            (kind as u32, kind == TrapKind::Interrupted)
        );
        let mut begun_with = FxArea([0; 512]);
        den.data.read(0, &mut begun_with.0);
        for (what, found, expected) in [
            ("what the guest began with", begun_with, &begin),
            ("what came back", came_back, &end),
            ("what the owner goes on with", own, &FxArea::INITIAL),
        ] {
            same_vectors(what, &found, expected).map_err(|text| format!("after {kind:?}: {text}"))?;
        }
    }
    other.stop()
}

/// Where the guest of that case finds the state to end with, and where it says that it has it.
const END_STATE: usize = 0x1000;
const DONE: usize = 0x800;

/// A thread that does nothing but enter a guest, of its own message page: no compiled code is between its registers
/// and the kernel's.
struct Owner {
    rig: Rig,
    page: Mapping,
    /// Its signal ends the guest.
    bell: Cap<Notification>,
}

impl Owner {
    fn new() -> Result<Self, String> {
        let (rig, page) = (Rig::new()?, Mapping::new(Pages(1)).map_err(said("page"))?);
        let table = environment().cspace().handle();
        rig.thread
            .configure(table, rig.space.handle(), page.region().handle(), PageIndex(0))
            .map_err(said("configure"))?;
        let bell = memory::create::<Notification>(0).map_err(said("bell"))?;
        rig.thread.bind(bell.handle()).map_err(said("bind"))?;
        rig.load(&code![SYSCALL, END]);
        Ok(Self { rig, page, bell })
    }

    /// Enters the guest, which begins with one state while the owner has another.
    fn enter(&self, den: &Den, guests: &FxArea, own: &FxArea) -> Outcome {
        let registers = Registers { rbx: DATA, ..Rig::registers() };
        self.page.write(FRAME, GuestFrame { registers, ..GuestFrame::default() }.as_bytes());
        self.page.write(FX, &guests.0);
        self.rig.go(&Registers { rax: ENTER, rdi: den.guest.handle().0, ..Rig::registers() }, own)
    }

    /// Why the guest ended and with which state, and the state that the owner goes on with.
    fn look(&self) -> Result<(Trap, FxArea, FxArea), String> {
        self.rig.fault()?;
        let (found, own) = self.rig.look()?;
        // The low half of the word is the status.
        check_eq!((found.rip, found.rax & 0xffff), (CODE + 2, 0));
        let (mut frame, mut fx) = (GuestFrame::default(), FxArea([0; 512]));
        self.page.read(FRAME, frame.as_mut_bytes());
        self.page.read(FX, &mut fx.0);
        Ok((frame.trap, fx, own))
    }
}

/// The state with other control words than any thread begins with: rounding and precision.
fn with_control(mut fx: FxArea) -> FxArea {
    fx.0[0..2].copy_from_slice(&0x0e7f_u16.to_le_bytes());
    fx.0[24..28].copy_from_slice(&0x7f80_u32.to_le_bytes());
    fx
}

fn same_vectors(whose: &str, found: &FxArea, expected: &FxArea) -> Outcome {
    for (what, range) in VECTORS {
        let (found, expected) = (&found.0[range.clone()], &expected.0[range]);
        check!(found == expected, "{whose}: {what} registers are {found:x?}, not {expected:x?}");
    }
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
