//! System calls: which way each takes through the kernel. Every way ends by leaving it.

use caps::{Error, Kind};
use idl::abi::{NULL_CALL, OpWord};
use idl::kernel::{
    address_space, console, core as core_object, cspace, endpoint, guest, machine, notification, region,
    reply, subos, thread, untyped, uplink,
};

use super::enter::leave;
use crate::arch::{Core, FramePtr};
use crate::inside::{enter_for_call, finish, run};
use crate::kernel::{Inside, Step};
use crate::memory::Ref;
use crate::object::Methods;
use crate::object::thread::Thread;
use crate::outcome::{Answer, NextThread};
use crate::shortcut::is_short;

/// The low half of an op word: kind and method.
const METHOD: u64 = 0xffff;
const CALL: u64 = OpWord::new(Kind::Endpoint, endpoint::CALL).0;
const REPLY_RECEIVE: u64 = OpWord::new(Kind::Endpoint, endpoint::REPLY_RECEIVE).0;

/// Treats a system call, from the registers in the core's frame to where the core goes next.
#[inline(always)]
pub(super) fn called(core: &mut Core) -> FramePtr {
    match core.kernel().and_then(|cell| cell.enter_at_once(core)) {
        Some(inside) => treat(core, inside),
        None => called_later(core),
    }
}

/// The same, for a core that must wait for its kernel, flush, or leave its subOS first.
#[cold]
#[inline(never)]
fn called_later(core: &mut Core) -> FramePtr {
    match enter_for_call(core) {
        Ok(inside) => treat(core, inside),
        Err(exit) => leave(core, exit),
    }
}

/// Sends a call on its way.
#[inline(always)]
fn treat(core: &mut Core, inside: Inside) -> FramePtr {
    let Some((thread, op)) = inside.kernel.caller(core) else { return call_of_another(core, inside) };
    match op.0 & METHOD {
        CALL if is_short(op) => short_call(core, inside, thread, op),
        REPLY_RECEIVE if is_short(op) => short_answer(core, inside, thread, op),
        _ if op.0 == NULL_CALL => null_call(core, inside, thread),
        _ => any_call(core, inside, thread, op),
    }
}

/// A call, if all is as it mostly is.
#[inline(never)]
fn short_call(core: &mut Core, inside: Inside, thread: Ref<Thread>, op: OpWord) -> FramePtr {
    match inside.kernel.call_shortly(core.id(), thread, op) {
        Some(way) => {
            let exit = run(core, inside, way);
            leave(core, exit)
        }
        None => call_after_all(core, inside),
    }
}

/// An answer, if all is as it mostly is.
#[inline(never)]
fn short_answer(core: &mut Core, inside: Inside, thread: Ref<Thread>, op: OpWord) -> FramePtr {
    match inside.kernel.answer_shortly(core.id(), thread, op) {
        Some(way) => {
            let exit = run(core, inside, way);
            leave(core, exit)
        }
        None => call_after_all(core, inside),
    }
}

/// Enters, leaves, and does nothing between.
#[inline(never)]
fn null_call(core: &mut Core, inside: Inside, thread: Ref<Thread>) -> FramePtr {
    crate::arch::x86_64::testing::bench_padding();
    inside.kernel.memory[thread].frame.set_answer(Answer::NOTHING.words);
    let exit = match inside.kernel.if_alone(core.id(), thread) {
        Some(way) => run(core, inside, way),
        None => finish(core, inside, Step::Leave(NextThread::Same)),
    };
    leave(core, exit)
}

/// What every call can take: the long way.
#[inline(never)]
fn any_call(core: &mut Core, inside: Inside, thread: Ref<Thread>, op: OpWord) -> FramePtr {
    #[cfg(feature = "hooks")]
    if let Some(result) = crate::machine::hooks::invoked(inside.kernel, op) {
        inside.kernel.answer(thread, result);
        return go_on(core, inside, Step::Leave(NextThread::Same));
    }
    let kind = op.check().and_then(|()| op.kind().ok_or(Error::UnknownMethod));
    let way = match kind.unwrap_or_default() {
        Kind::Empty | Kind::Binding => {
            inside.kernel.memory[thread].frame.set_error(kind.err().unwrap_or(Error::UnknownMethod));
            return go_on(core, inside, Step::Leave(NextThread::Same));
        }
        Kind::Untyped => call_of::<untyped::Call>,
        Kind::CSpace => call_of::<cspace::Call>,
        Kind::Thread => call_of::<thread::Call>,
        Kind::AddressSpace => call_of::<address_space::Call>,
        Kind::Region => call_of::<region::Call>,
        // What servers do all day: a copy of the path for each of these methods, in which the compiler knows which it is.
        Kind::Endpoint => match op.method() {
            endpoint::CALL => call_of_method::<endpoint::Call, { endpoint::CALL }>,
            endpoint::REPLY_RECEIVE => call_of_method::<endpoint::Call, { endpoint::REPLY_RECEIVE }>,
            _ => call_of::<endpoint::Call>,
        },
        Kind::Notification => match op.method() {
            notification::SIGNAL => call_of_method::<notification::Call, { notification::SIGNAL }>,
            _ => call_of::<notification::Call>,
        },
        Kind::Reply => call_of::<reply::Call>,
        Kind::Guest => call_of::<guest::Call>,
        Kind::Core => call_of::<core_object::Call>,
        Kind::SubOs => call_of::<subos::Call>,
        Kind::Uplink => call_of::<uplink::Call>,
        Kind::Machine => call_of::<machine::Call>,
        Kind::DebugConsole => call_of::<console::Call>,
    };
    way(core, inside, thread, op)
}

/// A call of one kind of object.
#[inline(never)]
fn call_of<C: Methods>(core: &mut Core, inside: Inside, thread: Ref<Thread>, op: OpWord) -> FramePtr {
    let step = inside.kernel.carry_out::<C>(thread, op, op.method());
    go_on(core, inside, step)
}

/// A call of one method of one kind of object.
#[inline(never)]
fn call_of_method<C: Methods, const METHOD: u8>(
    core: &mut Core,
    inside: Inside,
    thread: Ref<Thread>,
    op: OpWord,
) -> FramePtr {
    let step = inside.kernel.carry_out::<C>(thread, op, METHOD);
    go_on(core, inside, step)
}

/// A call that could not take a short way.
#[cold]
#[inline(never)]
fn call_after_all(core: &mut Core, inside: Inside) -> FramePtr {
    // The thread is current, as it was when the short way was tried.
    match inside.kernel.asked() {
        Some((thread, op)) => any_call(core, inside, thread, op),
        None => call_of_another(core, inside),
    }
}

/// A system call of a guest; or one whose maker was stopped, or taken out of its guest, while it was on its way here.
#[cold]
#[inline(never)]
fn call_of_another(core: &mut Core, inside: Inside) -> FramePtr {
    let step = Step::Leave(inside.kernel.called_late(core));
    let exit = finish(core, inside, step);
    leave(core, exit)
}

/// Leaves, by the short way out if that will do.
#[inline(always)]
fn go_on(core: &mut Core, inside: Inside, step: Step) -> FramePtr {
    match step {
        Step::Leave(next) if let Some(way) = inside.kernel.at_once(core.id(), next) => {
            let exit = run(core, inside, way);
            leave(core, exit)
        }
        step => go_on_later(core, inside, step),
    }
}

/// The same, when there is more to do.
#[inline(never)]
fn go_on_later(core: &mut Core, inside: Inside, step: Step) -> FramePtr {
    let exit = finish(core, inside, step);
    leave(core, exit)
}
