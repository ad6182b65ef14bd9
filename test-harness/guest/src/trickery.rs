//! What must not be possible with messages and signals: forging the kernel's own, using what was revoked, hiding
//! behind absurd deadlines.

use alloc::string::String;
use core::time::Duration;

use idl::abi::{FxArea, GuestFrame, OpWord, Registers};
use idl::message::{FAULT_LABEL, Message, Received};
use idl::types::{Badge, Bits, Deadline, Progress, ThreadState};
use userlib::cap::{Notification, Untyped, complete};
use userlib::{
    Cap, Error, Handle, Kind, Rights, SlotIndex, cap, check, check_eq, environment, memory, page, slots,
    thread, time,
};

use crate::library::line;
use crate::rig::{DATA, END, Rig, code};
use crate::{Outcome, PATIENCE, said};

/// Who manages a thread cannot change what it says while its message waits: so nobody forges a fault, which only
/// the kernel may send.
pub(crate) fn a_waiting_message_cannot_be_changed() -> Outcome {
    let (endpoint, reply) = line()?;
    let rig = Rig::new()?;
    rig.load(&code![[0x0f, 0x05], END]);
    let call = Registers { rax: 0x0701, rdi: endpoint.handle().0, ..Rig::registers() };
    rig.go(&call, &FxArea::default())?;
    while rig.state()? != ThreadState::Calling {
        thread::yield_now();
    }
    let forged = Registers { rax: u64::from(FAULT_LABEL) << 32 | 0x0705_0701, rsi: 2, ..call };
    page::set_frame(&GuestFrame { registers: forged, ..GuestFrame::default() }).map_err(said("frame"))?;
    check_eq!(rig.thread.write_registers(), Err(Error::WrongState));
    let received = endpoint.receive(&reply, time::after(PATIENCE)).map_err(said("receive"))?;
    let Received::Message { message, .. } = received else { return Err("a signal".into()) };
    check_eq!((message.label, message.count, message.caps), (0, 0, 0));
    // Nor while it waits for the answer.
    check_eq!(rig.thread.write_registers(), Err(Error::WrongState));
    reply.reply(&Message::short(4, &[])).map_err(said("reply"))?;
    rig.fault()?;
    check_eq!(rig.look()?.0.rax >> 32, 4);
    Ok(())
}

/// A notification that was bound through a capability which is gone is not bound any more.
pub(crate) fn a_revoked_binding_of_a_notification_ends() -> Outcome {
    let (endpoint, reply) = line()?;
    let bell = memory::create::<Notification>(0).map_err(said("bell"))?;
    let copy = memory::copy(bell, Rights::RECEIVE | Rights::DERIVE).map_err(said("copy"))?;
    thread::current().bind(copy.handle()).map_err(said("bind"))?;
    bell.signal(Bits(1)).map_err(said("signal"))?;
    check_eq!(endpoint.receive(&reply, Deadline::POLL), Ok(Received::Signal(Bits(1))));
    bell.signal(Bits(2)).map_err(said("signal"))?;
    slots::delete(copy.handle()).map_err(said("delete"))?;
    check_eq!(endpoint.receive(&reply, Deadline::POLL), Err(Error::TimedOut));
    check_eq!(bell.wait(Deadline::POLL), Ok(Bits(2)));
    // It does not wake a receive that is under way either, and another thread can have it.
    let copy = memory::copy(bell, Rights::RECEIVE | Rights::DERIVE).map_err(said("copy"))?;
    let server = thread::spawn(move || {
        thread::current().bind(copy.handle())?;
        endpoint.receive(&reply, Deadline::NEVER).map(|_| ())
    });
    let server = server.map_err(said("spawn"))?;
    while server.thread().info().map_err(said("info"))?.state != ThreadState::Receiving {
        thread::yield_now();
    }
    slots::delete(copy.handle()).map_err(said("delete"))?;
    bell.signal(Bits(4)).map_err(said("signal"))?;
    time::sleep(Duration::from_millis(1));
    check!(!server.is_done(), "a signal of what was revoked came through");
    check_eq!(thread::current().bind(bell.handle()), Ok(()));
    check_eq!(bell.wait(Deadline::POLL), Ok(Bits(4)));
    endpoint.send(&Message::default(), time::after(PATIENCE)).map_err(said("send"))?;
    check_eq!(server.join(time::after(PATIENCE)), Ok(Ok(())));
    Ok(())
}

/// Deadlines that no clock reaches are no deadlines, and leave the timer to others.
pub(crate) fn deadlines_beyond_all_time() -> Outcome {
    let (endpoint, _) = line()?;
    for deadline in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 1 << 62, time::now().0 + (1 << 40)] {
        let bell = memory::create::<Notification>(0).map_err(said("bell"))?;
        let waiter = thread::spawn(move || bell.wait(Deadline(deadline))).map_err(said("spawn"))?;
        let caller = thread::spawn(move || endpoint.send(&Message::default(), Deadline(deadline)));
        let caller = caller.map_err(said("spawn"))?;
        for _ in 0..3 {
            let begin = time::now().0;
            time::sleep(Duration::from_millis(1));
            check!(time::now().0 - begin >= time::ticks(Duration::from_millis(1)).0, "a short sleep");
        }
        check!(!waiter.is_done() && !caller.is_done(), "{deadline:#x} has passed");
        bell.signal(Bits(1)).map_err(said("signal"))?;
        check_eq!(waiter.join(time::after(PATIENCE)), Ok(Ok(Bits(1))));
        caller.thread().suspend().map_err(said("suspend"))?;
        caller.thread().resume().map_err(said("resume"))?;
        check_eq!(caller.join(time::after(PATIENCE)), Ok(Err(Error::Cancelled)));
    }
    let den = crate::guests::Den::new()?;
    den.load(&[0x0f, 0x05]);
    for deadline in [u64::MAX, 1 << 63] {
        let entered = den.enter(&Rig::registers(), &FxArea::default(), Deadline(deadline));
        check!(entered.is_ok_and(|(trap, ..)| trap.kind == 1), "the guest was stopped for {deadline:#x}");
    }
    Ok(())
}

/// What is refused changes nothing: a thread keeps its handler, its notification and its space when it is to get
/// what cannot be derived any more.
pub(crate) fn a_refused_configuration_changes_nothing() -> Outcome {
    let rig = Rig::new()?;
    let own = environment().cspace();
    let deepest = |handle| -> Result<_, alloc::string::String> {
        let rights = own.info(handle).map_err(said("info"))?.rights;
        let mut last = handle;
        loop {
            let copied = slots::fill(|slot| own.copy(last, userlib::Handle::NONE, slot, rights));
            match copied {
                Ok(next) => last = next,
                Err(Error::DepthExceeded) => return Ok(last),
                Err(error) => return Err(alloc::format!("copy: {error}")),
            }
        }
    };
    let (endpoint, _) = line()?;
    let bell = memory::create::<Notification>(0).map_err(said("bell"))?;
    let space = deepest(rig.space.handle())?;
    check_eq!(rig.thread.fault_handler(deepest(endpoint.handle())?, Badge(9)), Err(Error::DepthExceeded));
    check_eq!(rig.thread.bind(deepest(bell.handle())?), Err(Error::DepthExceeded));
    let table = own.handle();
    let configured = rig.thread.configure(table, space, userlib::Handle::NONE, idl::types::PageIndex(0));
    check_eq!(configured, Err(Error::DepthExceeded));
    let den = crate::guests::Den::new()?;
    den.load(&[0x0f, 0x05]);
    check_eq!(den.guest.configure(deepest(den.space.handle())?), Err(Error::DepthExceeded));
    let entered = den.enter(&Rig::registers(), &FxArea::default(), Deadline::NEVER);
    check!(entered.is_ok_and(|(trap, ..)| trap.kind == 1), "the guest lost its space");
    // The thread runs, and its fault comes where it always came.
    rig.finish(&code![[0x90], END], &Rig::registers())?;
    Ok(())
}

/// A revoke that was begun goes over into a reset; and a reset can be asked for by who revoked.
pub(crate) fn a_revoke_becomes_a_reset() -> Outcome {
    let own = environment().cspace();
    let budget = memory::create::<Untyped>(8).map_err(said("budget"))?;
    for _ in 0..2 {
        let mut made = alloc::vec::Vec::new();
        for _ in 0..50 {
            made.push(memory::create_from::<Notification>(budget, 0).map_err(said("make"))?);
        }
        check_eq!(own.revoke(budget.handle()), Ok(Progress::More));
        complete(|| budget.reset()).map_err(said("reset"))?;
        check_eq!(budget.info().map(|info| info.used), Ok(0));
        check!(made.iter().all(|bell| bell.signal(Bits(1)) == Err(Error::EmptySlot)), "some are left");
        for bell in made {
            slots::release(bell.handle().index());
        }
    }
    Ok(())
}

/// A thread removes the memory that it is made of itself, and so much else that no more removals can wait: while it helps
/// with the first, in order to begin one more, it goes in the middle of its call. That is its end, and nobody else's.
pub(crate) fn who_helps_removes_itself() -> Outcome {
    /// What there is to remove before the thread, from whichever end: more than goes until the line of removals is full.
    const MUCH: usize = 60;
    /// More removals than can wait.
    const MANY: usize = 20;
    let own = environment().cspace();
    let budget = memory::create::<Untyped>(64).map_err(said("budget"))?;
    let fill = || -> Result<(), Error> {
        (0..MUCH).try_for_each(|_| memory::create_from::<Notification>(budget, 0).map(|_| ()))
    };
    fill().map_err(said("fill"))?;
    let thread = memory::create_from(budget, 0).map_err(said("thread"))?;
    fill().map_err(said("fill"))?;
    let rig = Rig::of(thread).map_err(said("rig"))?;
    // Of each call its word, and what it removes.
    let mut calls = alloc::vec![(OpWord::new(Kind::CSpace, 5), budget.handle())];
    for _ in 0..MANY {
        let bell = memory::create::<Notification>(0).map_err(said("bell"))?;
        calls.push((OpWord::new(Kind::CSpace, 4), bell.handle()));
    }
    for (place, (op, handle)) in calls.iter().enumerate() {
        rig.data.write(16 * place, &op.0.to_le_bytes());
        rig.data.write(16 * place + 8, &handle.0.to_le_bytes());
    }
    rig.load(&code![
        [0x48, 0x8b, 0x03],       // mov rax, [rbx]
        [0x48, 0x8b, 0x73, 0x08], // mov rsi, [rbx + 8]
        [0x48, 0x83, 0xc3, 0x10], // add rbx, 16
        [0x4c, 0x89, 0xef],       // mov rdi, r13
        [0x0f, 0x05],             // syscall
        [0xeb, 0xee],             // jmp to the first
    ]);
    let registers = Registers { rbx: DATA, r13: own.handle().0, ..Rig::registers() };
    rig.go(&registers, &FxArea::default())?;
    let end = time::after(PATIENCE);
    let gone = |handle| own.info(handle).map(|_| ()) == Err(Error::EmptySlot);
    while !gone(rig.thread.handle()) {
        check!(time::now().0 < end.0, "the thread lives: {:?}", rig.thread.info());
        time::sleep(Duration::from_millis(1));
    }
    check_eq!(rig.faults.receive(&rig.reply, Deadline::POLL), Err(Error::TimedOut));
    // It did not come to its last calls; what it began ends, and everything can be removed again.
    check_eq!(own.info(calls[MANY].1).map(|info| info.kind), Ok(Kind::Notification));
    complete(|| own.revoke(budget.handle())).map_err(said("revoke"))?;
    while !gone(calls[1].1) {
        check!(time::now().0 < end.0, "what it began does not end");
        time::sleep(Duration::from_millis(1));
    }
    complete(|| own.delete(calls[MANY].1)).map_err(said("delete"))?;
    Rig::new()?.finish(&code![[0x90], END], &Rig::registers())?;
    Ok(())
}

/// What is to be moved in a message arrives whole, keeps its place in the tree, and is its sender's no more; what cannot
/// be moved stays as it is.
pub(crate) fn what_is_moved_is_moved_whole() -> Outcome {
    let (endpoint, reply) = line()?;
    let bell = memory::create::<Notification>(0).map_err(said("bell"))?;
    let moved = memory::copy(bell, rights_of(bell)?).map_err(said("copy"))?;
    let parent = memory::copy(bell, rights_of(bell)?).map_err(said("copy"))?;
    let child = memory::copy(parent, Rights::CALL).map_err(said("copy"))?;
    let without = memory::copy(bell, Rights::CALL).map_err(said("copy"))?;
    let sent = [moved.handle(), parent.handle(), without.handle(), moved.handle()];
    let client = thread::spawn(move || -> Result<(), Error> {
        page::set_send_caps(&sent, [true, true, true, false])?;
        let message = Message { caps: 4, ..Message::short(1, &[]) };
        endpoint.send(&message, time::after(PATIENCE))
    });
    let client = client.map_err(said("spawn"))?;
    let mut free = [SlotIndex(0); 4];
    for slot in &mut free {
        *slot = slots::allocate().map_err(said("slot"))?;
    }
    page::set_receive_slots(&free).map_err(said("page"))?;
    endpoint.receive(&reply, time::after(PATIENCE)).map_err(said("receive"))?;
    check_eq!(client.join(time::after(PATIENCE)), Ok(Ok(())));
    let [arrived, others @ ..] = page::received_caps().map_err(said("caps"))?;
    // The second has a child, the third lacks DERIVE, the fourth went with the first.
    check_eq!(others, [Handle::NONE; 3]);
    check_eq!(arrived.index(), free[0]);
    check_eq!(environment().cspace().info(moved.handle()).map(|_| ()), Err(Error::EmptySlot));
    let arrived: Cap<Notification> = cap(arrived);
    check_eq!((parent.signal(Bits(1)), child.signal(Bits(2))), (Ok(()), Ok(())));
    check_eq!((without.signal(Bits(4)), arrived.signal(Bits(8))), (Ok(()), Ok(())));
    check_eq!(bell.wait(Deadline::POLL), Ok(Bits(15)));
    slots::delete(bell.handle()).map_err(said("delete"))?;
    check_eq!(arrived.signal(Bits(1)), Err(Error::EmptySlot), "it keeps its place below the first");
    Ok(())
}

/// The rights of a capability.
fn rights_of(bell: Cap<Notification>) -> Result<Rights, String> {
    environment().cspace().info(bell.handle()).map(|info| info.rights).map_err(said("info"))
}
