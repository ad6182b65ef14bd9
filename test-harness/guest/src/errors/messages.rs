//! Endpoints, replies, notifications, the console.

use core::time::Duration;

use idl::message::{FIRST_KERNEL_LABEL, Message, Received};
use idl::types::{Bits, Deadline, Length};
use userlib::cap::{DebugConsole, Endpoint, Notification, Reply};
use userlib::{Cap, Error, Handle, check, check_eq, environment, memory, slots, thread, time};

use super::refused;
use crate::library::line;
use crate::puppet::{self, Call};
use crate::{Outcome, PATIENCE, said};

/// Long enough for another thread to begin to wait.
const WHILE: Duration = Duration::from_millis(10);

/// A message of so many words.
fn words(count: u8) -> Message {
    Message { count, ..Message::default() }
}

pub(crate) fn of_endpoints() -> Outcome {
    let (endpoint, reply) = line()?;
    let short = Message::default();
    refused("call nobody", endpoint.call(&short, Deadline::POLL), Error::TimedOut)?;
    refused("send to nobody", endpoint.send(&short, Deadline::POLL), Error::TimedOut)?;
    refused("receive nothing", endpoint.receive(&reply, Deadline::POLL), Error::TimedOut)?;
    refused("answer nobody", endpoint.reply_receive(&reply, &short, Deadline::POLL), Error::TimedOut)?;
    let forged = Message { label: FIRST_KERNEL_LABEL, ..short };
    refused("forge a fault", endpoint.send(&forged, Deadline::POLL), Error::InvalidArgument)?;
    without_page(endpoint, reply)?;
    too_long()?;
    busy_reply()?;
    cancelled(1)?;
    cancelled(2)?;
    cancelled(3)?;
    cancelled(4)
}

/// A long message needs a page.
fn without_page(endpoint: Cap<Endpoint>, reply: Cap<Reply>) -> Outcome {
    let caller = puppet::caller()?;
    for method in [1, 2, 4] {
        let op = Cap::<Endpoint>::op(method).with_message(0, 6, 0).0;
        let (handle, second) = (endpoint.handle(), if method == 4 { reply.handle() } else { Handle::NONE });
        let call = Call { op, handle, second, deadline: Deadline::POLL.0, ..Call::default() };
        refused("a long message", puppet::ask(&caller, &call)?.status().map(|_| ()), Error::NotConfigured)?;
    }
    Ok(())
}

/// A receiver without a page gets no long message, and its sender learns why.
fn too_long() -> Outcome {
    for calls in [true, false] {
        let (endpoint, reply) = line()?;
        let receiver = puppet::caller()?;
        let receive = Cap::<Endpoint>::op(3).0;
        let call = Call { op: receive, handle: endpoint.handle(), second: reply.handle(), ..Call::default() };
        receiver.go(&call.registers())?;
        time::sleep(WHILE);
        let deadline = time::after(PATIENCE);
        let result = match calls {
            true => endpoint.call(&words(6), deadline).map(|_| ()),
            false => endpoint.send(&words(6), deadline),
        };
        refused("a long message to who has no page", result, Error::TooLong)?;
        slots::delete(endpoint.handle()).map_err(said("delete"))?;
        refused("its receive", puppet::answer(&receiver, &call)?.status().map(|_| ()), Error::Cancelled)?;
    }
    Ok(())
}

/// A reply object has room for one caller.
fn busy_reply() -> Outcome {
    let (endpoint, reply) = line()?;
    let caller = thread::spawn(move || endpoint.call(&Message::default(), time::after(PATIENCE)));
    let caller = caller.map_err(said("spawn"))?;
    let received = endpoint.receive(&reply, time::after(PATIENCE)).map_err(said("receive"))?;
    check!(matches!(received, Received::Message { .. }), "{received:?}");
    refused("receive onto a caller", endpoint.receive(&reply, Deadline::POLL), Error::Busy)?;
    reply.reply(&Message::default()).map_err(said("reply"))?;
    caller.join(time::after(PATIENCE)).map_err(said("join"))?.map(|_| ()).map_err(said("call"))
}

/// What waits at an endpoint that goes is let go: a call, a send, a receive, an answer that then receives.
fn cancelled(method: u8) -> Outcome {
    let (endpoint, reply) = line()?;
    let waiting = thread::spawn(move || -> Result<(), Error> {
        let short = Message::default();
        match method {
            1 => endpoint.call(&short, Deadline::NEVER).map(|_| ()),
            2 => endpoint.send(&short, Deadline::NEVER),
            3 => endpoint.receive(&reply, Deadline::NEVER).map(|_| ()),
            _ => endpoint.reply_receive(&reply, &short, Deadline::NEVER).map(|_| ()),
        }
    });
    let waiting = waiting.map_err(said("spawn"))?;
    time::sleep(WHILE);
    slots::delete(endpoint.handle()).map_err(said("delete"))?;
    let left = waiting.join(time::after(PATIENCE)).map_err(said("join"))?;
    refused("a wait at what goes", left, Error::Cancelled)
}

pub(crate) fn of_replies() -> Outcome {
    let (endpoint, reply) = line()?;
    refused("answer nobody", reply.reply(&Message::default()), Error::NotPending)?;
    // A caller without a page cannot take a long answer, and goes on waiting.
    let caller = puppet::caller()?;
    let call = Call { op: Cap::<Endpoint>::op(1).0, handle: endpoint.handle(), ..Call::default() };
    caller.go(&call.registers())?;
    let received = endpoint.receive(&reply, time::after(PATIENCE)).map_err(said("receive"))?;
    check!(matches!(received, Received::Message { .. }), "{received:?}");
    refused("a long answer", reply.reply(&words(6)), Error::TooLong)?;
    // Nor can who has no page give one.
    let server = puppet::caller()?;
    let op = Cap::<Reply>::op(1).with_message(0, 6, 0).0;
    let answer = puppet::ask(&server, &Call { op, handle: reply.handle(), ..Call::default() })?;
    refused("a long answer without a page", answer.status().map(|_| ()), Error::NotConfigured)?;
    reply.reply(&Message::default()).map_err(said("a short answer"))?;
    puppet::answer(&caller, &call)?.status().map(|_| ()).map_err(said("the call"))
}

pub(crate) fn of_notifications() -> Outcome {
    let notification = memory::create::<Notification>(0).map_err(said("notification"))?;
    refused("wait for nothing", notification.wait(Deadline::POLL), Error::TimedOut)?;
    refused("wait for nothing a while", notification.wait(time::after(WHILE)), Error::TimedOut)?;
    let waiting = thread::spawn(move || notification.wait(Deadline::NEVER)).map_err(said("spawn"))?;
    time::sleep(WHILE);
    slots::delete(notification.handle()).map_err(said("delete"))?;
    let left = waiting.join(time::after(PATIENCE)).map_err(said("join"))?;
    refused("a wait at what goes", left, Error::Cancelled)?;
    let other = memory::create::<Notification>(0).map_err(said("notification"))?;
    other.signal(Bits(0)).map_err(said("a signal of no bit"))?;
    refused("a signal of no bit", other.wait(Deadline::POLL), Error::TimedOut)
}

pub(crate) fn of_consoles() -> Outcome {
    let console = environment().console();
    refused("more than the page holds", console.write(Length(4000)), Error::TooLong)?;
    refused("hear more than a call takes", console.receive(Length(257)), Error::TooLong)?;
    refused("say more than a call takes", console.send(Length(257)), Error::TooLong)?;
    // This machine has no second serial port.
    check_eq!(console.receive(Length(256)), Ok(Length(0)));
    check_eq!(console.send(Length(256)), Ok(Length(0)));
    let caller = puppet::caller()?;
    for (what, method) in [("write", 1), ("hear", 3), ("say", 4)] {
        let op = Cap::<DebugConsole>::op(method).0;
        let call = Call { op, handle: console.handle(), words: [4, 0, 0, 0, 0], ..Call::default() };
        refused(what, puppet::ask(&caller, &call)?.status().map(|_| ()), Error::NotConfigured)?;
    }
    Ok(())
}
