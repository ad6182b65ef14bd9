//! Messages between threads: short and long, with capabilities, with deadlines, and when something goes.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use idl::message::{Message, Received};
use idl::types::{Badge, Bits, Deadline, PageIndex, Priority, Progress, ThreadState};
use userlib::cap::{Endpoint, Notification, Region, Reply, Thread, complete};
use userlib::memory;
use userlib::thread::{Builder, Join};
use userlib::{
    Cap, Error, Handle, Rights, SlotIndex, cap, check, check_eq, environment, page, slots, thread, time,
};

use crate::library::line;
use crate::rig::{END, Rig, code};
use crate::{Outcome, PATIENCE, said};

const BRIEF: Duration = Duration::from_millis(2);

fn receive(endpoint: Cap<Endpoint>, reply: Cap<Reply>) -> Result<(Badge, Message), String> {
    match endpoint.receive(&reply, time::after(PATIENCE)).map_err(said("receive"))? {
        Received::Message { badge, message } => Ok((badge, message)),
        Received::Signal(_) => Err("a signal".into()),
    }
}

/// Threads that call the endpoint through this capability and give what came of it.
fn callers(number: u64, caller: Cap<Endpoint>) -> Result<Vec<Join<Result<Message, Error>>>, String> {
    (0..number)
        .map(|index| thread::spawn(move || caller.call(&Message::short(3, &[index]), Deadline::NEVER)))
        .map(|spawned| spawned.map_err(said("spawn")))
        .collect()
}

pub(crate) fn wait_until(thread: Cap<Thread>, state: ThreadState) -> Outcome {
    let end = time::after(PATIENCE);
    while thread.info().map_err(said("info"))?.state != state {
        check!(time::now().0 < end.0, "the thread does not come to {state:?}");
        thread::yield_now();
    }
    Ok(())
}

/// Labels, words, counts and badges arrive as they were sent, both ways.
pub(crate) fn messages_arrive_as_sent() -> Outcome {
    let (endpoint, reply) = line()?;
    let caller = memory::mint(endpoint, Rights::CALL, Badge(0xbad9e)).map_err(said("mint"))?;
    for count in 0..=5_u8 {
        let words: Vec<u64> = (0..u64::from(count)).map(|index| index << 60 | 0xf0f0).collect();
        let sent = Message::short(0xfffe_ffff - u32::from(count), &words);
        let client =
            thread::spawn(move || caller.call(&sent, time::after(PATIENCE))).map_err(said("spawn"))?;
        let (badge, message) = receive(endpoint, reply)?;
        check_eq!(
            (badge, message.label, message.count, message.caps),
            (Badge(0xbad9e), sent.label, count, 0)
        );
        check_eq!(message.register_words(), sent.register_words());
        let answer = Message::short(u32::from(count), &[1, 2, 3, 4, u64::MAX]);
        reply.reply(&answer).map_err(said("reply"))?;
        check_eq!(client.join(time::after(PATIENCE)), Ok(Ok(answer)));
    }
    check_eq!(reply.reply(&Message::default()), Err(Error::NotPending));
    for label in [0xffff_0000, 0xffff_0001, u32::MAX] {
        check_eq!(caller.call(&Message::short(label, &[]), Deadline::POLL), Err(Error::InvalidArgument));
    }
    check_eq!(caller.receive(&reply, Deadline::POLL), Err(Error::MissingRight));
    Ok(())
}

/// Messages of every length up to 255 words go through the pages whole, both ways, and no word more.
pub(crate) fn long_messages() -> Outcome {
    let (endpoint, reply) = line()?;
    let client = thread::spawn(move || -> Result<(), Error> {
        for count in [6_u8, 7, 64, 254, 255] {
            let words: Vec<u64> = (0..255).map(|index| index * 3 + u64::from(count)).collect();
            page::put_words(0, &words)?;
            let mut message = Message::short(1, &words[..5]);
            message.count = count;
            let answer = endpoint.call(&message, time::after(PATIENCE))?;
            let mut back = [0; 255];
            page::get_words(0, &mut back)?;
            let expected = (5..usize::from(count)).all(|index| back[index] == !words[index]);
            if answer.count != count || !expected || back[usize::from(count)..] != words[usize::from(count)..]
            {
                return Err(Error::InvalidArgument);
            }
        }
        Ok(())
    });
    let client = client.map_err(said("spawn"))?;
    page::put_words(0, &[0x7777; 256]).map_err(said("page"))?;
    for count in [6_u8, 7, 64, 254, 255] {
        page::put_words(0, &[0x7777; 256]).map_err(said("page"))?;
        let (_, mut message) = receive(endpoint, reply)?;
        check_eq!(message.count, count);
        let mut words = [0; 256];
        page::get_words(0, &mut words).map_err(said("page"))?;
        for (index, word) in (0..).zip(words).skip(5) {
            let expected = if index < u64::from(count) { index * 3 + u64::from(count) } else { 0x7777 };
            check_eq!((count, index, word), (count, index, expected));
        }
        let answers: Vec<u64> = words.iter().map(|word| !word).collect();
        page::put_words(5, &answers[5..usize::from(count)]).map_err(said("page"))?;
        message.label = 2;
        reply.reply(&message).map_err(said("reply"))?;
    }
    check_eq!(client.join(time::after(PATIENCE)), Ok(Ok(())));
    Ok(())
}

/// Capabilities go along as children of the sender's; what cannot be handed over arrives as nothing.
pub(crate) fn capabilities_go_along() -> Outcome {
    let (endpoint, reply) = line()?;
    let bell = memory::create::<Notification>(0).map_err(said("bell"))?;
    let last = memory::copy(bell, Rights::CALL).map_err(said("copy"))?;
    let client = thread::spawn(move || -> Result<(), Error> {
        let stale = Handle(bell.handle().0 + (9 << 32));
        page::set_send_caps(&[bell.handle(), last.handle(), stale, bell.handle()], [false; 4])?;
        let mut message = Message::short(1, &[]);
        message.caps = 4;
        endpoint.send(&message, time::after(PATIENCE))?;
        page::set_send_caps(&[bell.handle(); 4], [false; 4])?;
        endpoint.send(&message, time::after(PATIENCE))
    });
    let client = client.map_err(said("spawn"))?;
    let free =
        [slots::allocate(), slots::allocate(), slots::allocate()].map(|slot| slot.unwrap_or(SlotIndex(0)));
    page::set_receive_slots(&[free[0], free[1], free[2], SlotIndex(0)]).map_err(said("page"))?;
    let (_, message) = receive(endpoint, reply)?;
    check_eq!(message.caps, 4);
    let received = page::received_caps().map_err(said("caps"))?;
    check_eq!(received[1..], [Handle::NONE; 3]);
    let got: Cap<Notification> = cap(received[0]);
    check_eq!(got.handle().index(), free[0]);
    got.signal(Bits(4)).map_err(said("signal"))?;
    check_eq!(bell.wait(Deadline::POLL), Ok(Bits(4)));
    // An occupied slot, one beyond the table, the same slot twice.
    page::set_receive_slots(&[free[0], SlotIndex(u32::MAX), free[1], free[1]]).map_err(said("page"))?;
    receive(endpoint, reply)?;
    let received = page::received_caps().map_err(said("caps"))?;
    check_eq!((received[0], received[1], received[3]), (Handle::NONE, Handle::NONE, Handle::NONE));
    check_eq!(received[2].index(), free[1]);
    check_eq!(client.join(time::after(PATIENCE)), Ok(Ok(())));
    // They are children: what the sender deletes goes.
    slots::delete(bell.handle()).map_err(said("delete"))?;
    check_eq!(got.signal(Bits(1)), Err(Error::EmptySlot));
    Ok(())
}

/// Two threads have one message page between them: a long message between them is what lies there.
pub(crate) fn two_threads_share_a_page() -> Outcome {
    let (endpoint, reply) = line()?;
    let (rig, shared) = (Rig::new()?, memory::create::<Region>(1).map_err(said("region"))?);
    let mut pair = Vec::new();
    for _ in 0..2 {
        let thread = memory::create::<Thread>(0).map_err(said("thread"))?;
        let table = environment().cspace().handle();
        thread
            .configure(table, rig.space.handle(), shared.handle(), PageIndex(0))
            .map_err(said("configure"))?;
        thread.schedule(Priority::ORDINARY, Handle::NONE).map_err(said("schedule"))?;
        thread.fault_handler(rig.faults.handle(), crate::rig::BADGE).map_err(said("handler"))?;
        pair.push(thread);
    }
    rig.load(&code![[0x0f, 0x05], END]);
    let long = 255 << 16 | 4 << 24;
    for (thread, op) in pair.iter().zip([0x0703, 0x0701 | long]) {
        let registers = idl::abi::Registers {
            rax: op,
            rdi: endpoint.handle().0,
            r13: if op == 0x0703 { reply.handle().0 } else { 0 },
            ..Rig::registers()
        };
        page::set_frame(&idl::abi::GuestFrame { registers, ..Default::default() }).map_err(said("frame"))?;
        page::set_fx(&idl::abi::FxArea::default()).map_err(said("fx"))?;
        thread.write_registers().map_err(said("write"))?;
        thread.resume().map_err(said("resume"))?;
    }
    rig.fault()?;
    check_eq!(pair[1].info().map(|info| info.state), Ok(ThreadState::Calling));
    Ok(())
}

/// Each blocking call ends at its deadline, not before, and leaves nothing behind.
pub(crate) fn deadlines_end_every_wait() -> Outcome {
    let (endpoint, reply) = line()?;
    let bell = memory::create::<Notification>(0).map_err(said("bell"))?;
    let message = Message::default();
    type Wait<'a> = &'a dyn Fn(Deadline) -> Option<Error>;
    let waits: [(&str, Wait<'_>); 5] = [
        ("call", &|deadline| endpoint.call(&message, deadline).err()),
        ("send", &|deadline| endpoint.send(&message, deadline).err()),
        ("receive", &|deadline| endpoint.receive(&reply, deadline).err()),
        ("reply_receive", &|deadline| endpoint.reply_receive(&reply, &message, deadline).err()),
        ("wait", &|deadline| bell.wait(deadline).err()),
    ];
    for (name, wait) in waits {
        check_eq!((name, wait(Deadline::POLL)), (name, Some(Error::TimedOut)));
        check_eq!((name, wait(Deadline(time::now().0))), (name, Some(Error::TimedOut)));
        for _ in 0..3 {
            let begin = time::now().0;
            check_eq!((name, wait(time::after(BRIEF))), (name, Some(Error::TimedOut)));
            let took = time::now().0 - begin;
            check!(took >= time::ticks(BRIEF).0, "{name} ended after {took} ticks");
            check!(took < time::ticks(PATIENCE).0, "{name} ended after {took} ticks");
        }
    }
    // An answer that does not come in time: the server's answer goes nowhere.
    let client = thread::spawn(move || endpoint.call(&Message::default(), time::after(BRIEF)))
        .map_err(said("spawn"))?;
    receive(endpoint, reply)?;
    check_eq!(client.join(time::after(PATIENCE)), Ok(Err(Error::TimedOut)));
    check_eq!(reply.reply(&message), Err(Error::NotPending));
    check_eq!(endpoint.receive(&reply, Deadline::POLL), Err(Error::TimedOut));
    // A wait without a deadline is ended by what it waits for.
    let waiter = thread::spawn(move || bell.wait(Deadline::NEVER)).map_err(said("spawn"))?;
    time::sleep(BRIEF);
    bell.signal(Bits(6)).map_err(said("signal"))?;
    check_eq!(waiter.join(time::after(PATIENCE)), Ok(Ok(Bits(6))));
    Ok(())
}

/// An endpoint goes with many in its queue; a reply object with its caller: everyone is told.
pub(crate) fn what_goes_cancels_waits() -> Outcome {
    let (endpoint, reply) = line()?;
    let waiting = callers(40, endpoint)?;
    for client in &waiting {
        wait_until(client.thread(), ThreadState::Calling)?;
    }
    let first = usize::try_from(receive(endpoint, reply)?.1.words[0]).unwrap_or(99);
    slots::delete(endpoint.handle()).map_err(said("delete"))?;
    // The one who was received still gets an answer.
    reply.reply(&Message::short(8, &[])).map_err(said("reply"))?;
    for (index, client) in waiting.into_iter().enumerate() {
        let came = client.join(time::after(PATIENCE)).map_err(said("join"))?;
        let expected = if index == first { Ok(8) } else { Err(Error::Cancelled) };
        check_eq!((index, came.map(|message| message.label)), (index, expected));
    }
    let (endpoint, reply) = line()?;
    let client = callers(1, endpoint)?.remove(0);
    receive(endpoint, reply)?;
    slots::delete(reply.handle()).map_err(said("delete"))?;
    check_eq!(client.join(time::after(PATIENCE)), Ok(Err(Error::Cancelled)));
    // Receivers: by the endpoint, by the reply, by suspension.
    for way in 0..3 {
        let (endpoint, reply) = line()?;
        let server =
            thread::spawn(move || endpoint.receive(&reply, Deadline::NEVER)).map_err(said("spawn"))?;
        wait_until(server.thread(), ThreadState::Receiving)?;
        match way {
            0 => slots::delete(endpoint.handle()),
            1 => slots::delete(reply.handle()),
            _ => server.thread().suspend().and_then(|()| server.thread().resume()),
        }
        .map_err(said("end"))?;
        check_eq!((way, server.join(time::after(PATIENCE))), (way, Ok(Err(Error::Cancelled))));
    }
    let bell = memory::create::<Notification>(0).map_err(said("bell"))?;
    let mut waiters = Vec::new();
    for _ in 0..20 {
        waiters.push(thread::spawn(move || bell.wait(Deadline::NEVER)).map_err(said("spawn"))?);
    }
    for waiter in &waiters {
        wait_until(waiter.thread(), ThreadState::Waiting)?;
    }
    slots::delete(bell.handle()).map_err(said("delete"))?;
    for waiter in waiters {
        check_eq!(waiter.join(time::after(PATIENCE)), Ok(Err(Error::Cancelled)));
    }
    Ok(())
}

/// Deleting a badged capability wakes those who queue through it, and nobody else.
pub(crate) fn unbadging_wakes_its_callers_only() -> Outcome {
    let (endpoint, reply) = line()?;
    let mint = |badge| memory::mint(endpoint, Rights::CALL, Badge(badge)).map_err(said("mint"));
    let (one, two) = (mint(1)?, mint(2)?);
    let (mut ones, mut twos) = (Vec::new(), Vec::new());
    for _ in 0..25 {
        ones.extend(callers(1, one)?);
        twos.extend(callers(1, two)?);
    }
    for client in ones.iter().chain(&twos) {
        wait_until(client.thread(), ThreadState::Calling)?;
    }
    slots::delete(one.handle()).map_err(said("delete"))?;
    for client in ones {
        check_eq!(client.join(time::after(PATIENCE)), Ok(Err(Error::Cancelled)));
    }
    for _ in &twos {
        check_eq!(receive(endpoint, reply)?.0, Badge(2));
        reply.reply(&Message::short(5, &[])).map_err(said("reply"))?;
    }
    for client in twos {
        check_eq!(client.join(time::after(PATIENCE)).map(|came| came.map(|m| m.label)), Ok(Ok(5)));
    }
    Ok(())
}

/// However many badges go in one step, and however many queue, the step wakes a bounded number; in the end, all.
pub(crate) fn many_badges_go_at_once() -> Outcome {
    let (endpoint, _) = line()?;
    let above = memory::copy(endpoint, Rights::CALL | Rights::DERIVE).map_err(said("copy"))?;
    let (mut clients, mut minted) = (Vec::new(), Vec::new());
    for badge in 1..=8 {
        let caller = memory::mint(above, Rights::CALL, Badge(badge)).map_err(said("mint"))?;
        clients.extend(callers(12, caller)?);
        minted.push(caller);
    }
    for client in &clients {
        wait_until(client.thread(), ThreadState::Calling)?;
    }
    // Who is woken does not run before it was looked at.
    thread::current().schedule(Priority::HIGHEST, Handle::NONE).map_err(said("schedule"))?;
    let own = environment().cspace();
    let here = environment().core(environment().startup().core).map_err(said("core"))?;
    let interrupts = || here.info().map(|info| info.interrupts).map_err(said("interrupts"));
    let before = interrupts()?;
    check_eq!(own.revoke(above.handle()), Ok(Progress::More));
    let state = |client: &Join<_>| client.thread().info().map(|info| info.state);
    let woken = clients.iter().filter(|client| state(client) != Ok(ThreadState::Calling)).count();
    // The timer goes on with a removal that nobody asks for, by steps of its own.
    let steps = 3 + interrupts()? - before;
    check!(woken as u64 <= 16 * steps, "{steps} steps woke {woken} threads");
    complete(|| own.revoke(above.handle())).map_err(said("revoke"))?;
    let left = clients.iter().filter(|client| state(client) == Ok(ThreadState::Calling)).count();
    check_eq!(left, 0);
    for caller in minted {
        slots::release(caller.handle().index());
    }
    for client in clients {
        check_eq!(client.join(time::after(PATIENCE)), Ok(Err(Error::Cancelled)));
    }
    Ok(())
}

/// Several wait for one notification: a signal wakes one, who gets all bits; bits without a waiter gather.
pub(crate) fn several_wait_for_one_notification() -> Outcome {
    let bell = memory::create::<Notification>(0).map_err(said("bell"))?;
    let badged = memory::mint(bell, Rights::CALL, Badge(0x100)).map_err(said("mint"))?;
    for bits in [1, 4, 4, 0] {
        bell.signal(Bits(bits)).map_err(said("signal"))?;
    }
    badged.signal(Bits(0xff)).map_err(said("signal"))?;
    check_eq!(bell.wait(Deadline::POLL), Ok(Bits(0x105)));
    let (sum, mut waiters) = (Arc::new(AtomicU64::new(0)), Vec::new());
    for _ in 0..5 {
        let sum = Arc::clone(&sum);
        let wait = move || bell.wait(Deadline::NEVER).map(|bits| sum.fetch_add(bits.0, Ordering::Relaxed));
        waiters.push(thread::spawn(wait).map_err(said("spawn"))?);
        wait_until(waiters[waiters.len() - 1].thread(), ThreadState::Waiting)?;
    }
    for round in 0..5 {
        bell.signal(Bits(1 << (8 * round))).map_err(said("signal"))?;
    }
    for waiter in waiters {
        check!(matches!(waiter.join(time::after(PATIENCE)), Ok(Ok(_))), "a waiter failed");
    }
    check_eq!(sum.load(Ordering::Relaxed), 0x01_0101_0101);
    check_eq!(bell.wait(Deadline::POLL), Err(Error::TimedOut));
    Ok(())
}

/// A notification has one thread at a time; a bound one is told while it receives, and only then.
pub(crate) fn bound_notifications() -> Outcome {
    let (endpoint, reply) = line()?;
    let bell = memory::create::<Notification>(0).map_err(said("bell"))?;
    let me = thread::current();
    let rig = Rig::new()?;
    rig.thread.bind(bell.handle()).map_err(said("bind"))?;
    check_eq!(me.bind(bell.handle()), Err(Error::AlreadyBound));
    rig.thread.bind(Handle::NONE).map_err(said("unbind"))?;
    me.bind(bell.handle()).map_err(said("bind"))?;
    me.bind(bell.handle()).map_err(said("bind again"))?;
    bell.signal(Bits(3)).map_err(said("signal"))?;
    check_eq!(endpoint.receive(&reply, Deadline::POLL), Ok(Received::Signal(Bits(3))));
    bell.signal(Bits(8)).map_err(said("signal"))?;
    check_eq!(
        endpoint.reply_receive(&reply, &Message::default(), Deadline::POLL),
        Ok(Received::Signal(Bits(8)))
    );
    // A message that waits does not go lost when a signal is first.
    let client = callers(1, endpoint)?.remove(0);
    wait_until(client.thread(), ThreadState::Calling)?;
    bell.signal(Bits(1)).map_err(said("signal"))?;
    check_eq!(endpoint.receive(&reply, Deadline::POLL), Ok(Received::Signal(Bits(1))));
    receive(endpoint, reply)?;
    check_eq!(endpoint.receive(&reply, Deadline::POLL), Err(Error::Busy));
    reply.reply(&Message::default()).map_err(said("reply"))?;
    check!(matches!(client.join(time::after(PATIENCE)), Ok(Ok(_))), "the client failed");
    // The notification goes while it is bound.
    slots::delete(bell.handle()).map_err(said("delete"))?;
    check_eq!(endpoint.receive(&reply, Deadline::POLL), Err(Error::TimedOut));
    Ok(())
}

/// The more urgent thread runs first and at once; equals take turns; the least urgent gets what is left.
pub(crate) fn priorities_decide() -> Outcome {
    let order = Arc::new(AtomicU64::new(0));
    let spawn = |priority: u8| {
        let order = Arc::clone(&order);
        let note = move || {
            let _ = order.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seen| {
                Some(seen << 4 | u64::from(priority))
            });
        };
        Builder::new()
            .priority(Priority::new(priority).unwrap_or(Priority::LOWEST))
            .spawn(note)
            .map_err(said("spawn"))
    };
    let late = [spawn(1)?, spawn(5)?, spawn(3)?];
    let early = spawn(12)?;
    check_eq!(order.load(Ordering::Relaxed), 0xc);
    early.join(time::after(PATIENCE)).map_err(said("join"))?;
    for thread in late {
        thread.join(time::after(PATIENCE)).map_err(said("join"))?;
    }
    check_eq!(order.load(Ordering::Relaxed), 0xc531);
    // Three that never yield share the core; a fourth, less urgent, gets nothing.
    let rigs = [Rig::new()?, Rig::new()?, Rig::new()?, Rig::new()?];
    for (rig, priority) in rigs.iter().zip([6, 6, 6, 4]) {
        rig.thread
            .schedule(Priority::new(priority).ok_or("priority")?, Handle::NONE)
            .map_err(said("schedule"))?;
        rig.load(&[0x48, 0xff, 0x03, 0xeb, 0xfb]);
        let registers = idl::abi::Registers { rbx: crate::rig::DATA, ..Rig::registers() };
        rig.go(&registers, &idl::abi::FxArea::default())?;
    }
    // This thread, more urgent, looks again and again who has come further. Equals have turn after turn; how far one
    // comes in a turn, the host has a say in.
    let counts =
        || rigs.each_ref().map(|rig| rig.data.word(0).map_or(0, |word| word.load(Ordering::Relaxed)));
    let (mut before, mut turns, end) = (counts(), [0_u32; 3], time::after(PATIENCE));
    while turns.iter().any(|turns| *turns < 8) {
        check!(time::now().0 < end.0, "equals had {turns:?} turns");
        time::sleep(Duration::from_micros(500));
        let now = counts();
        for (index, turns) in turns.iter_mut().enumerate() {
            *turns += u32::from(now[index] != before[index]);
        }
        before = now;
    }
    for rig in &rigs {
        rig.stop()?;
    }
    check!(turns.iter().all(|turns| *turns < 6 * 8), "equals had {turns:?} turns");
    check_eq!(counts()[3], 0);
    Ok(())
}

/// What needs a message page does not do without one, on either side.
pub(crate) fn threads_without_a_page() -> Outcome {
    let (endpoint, reply) = line()?;
    let rig = Rig::new()?;
    // The rig's thread has no page: a long call of its own is refused, a long message to it as well.
    let op = |method: u64, words: u64| 0x0700 | method | words << 16;
    let call = |rax, second| idl::abi::Registers {
        rax,
        rdi: endpoint.handle().0,
        r12: 1,
        r13: second,
        ..Rig::registers()
    };
    let code = code![[0x0f, 0x05], END];
    for method in [1, 2, 4] {
        let found = rig.finish(&code, &call(op(method, 6), reply.handle().0))?;
        check_eq!((method, found.rax), (method, u64::from(Error::NotConfigured.number())));
    }
    rig.load(&code);
    let receive_for_ever = idl::abi::Registers { r12: 0, ..call(op(3, 0), reply.handle().0) };
    rig.go(&receive_for_ever, &idl::abi::FxArea::default())?;
    wait_until(rig.thread, ThreadState::Receiving)?;
    let long = Message { count: 6, ..Message::short(1, &[]) };
    check_eq!(endpoint.call(&long, Deadline::POLL), Err(Error::TooLong));
    check_eq!(endpoint.send(&long, Deadline::POLL), Err(Error::TooLong));
    check_eq!(rig.state()?, ThreadState::Receiving);
    // A long answer to it: refused, and it goes on waiting.
    rig.go(&idl::abi::Registers { r12: 0, ..call(op(1, 0), 0) }, &idl::abi::FxArea::default())?;
    receive(endpoint, reply)?;
    check_eq!(reply.reply(&long), Err(Error::TooLong));
    check_eq!(rig.state()?, ThreadState::Calling);
    check_eq!(endpoint.reply_receive(&reply, &long, Deadline::POLL), Err(Error::TimedOut));
    check_eq!(rig.fault()?.rip, crate::rig::CODE + 2);
    check_eq!(rig.look()?.0.rax, u64::from(Error::TooLong.number()));
    Ok(())
}
