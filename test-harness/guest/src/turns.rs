//! A server of many calls at once: each waits for another service, and none for another call.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::time::Duration;

use idl::interface::{CallError, Caller, Generation, Session};
use idl::message::{Message, Received};
use userlib::cap::{Endpoint, Reply};
use userlib::server::{Connection, Service, Workers};
use userlib::thread::Join;
use userlib::{Cap, Rights, cap, check, check_eq, environment, memory, slots, thread, time};

use crate::library::line;
use crate::processes::Child;
use crate::{Outcome, PATIENCE, said};

/// How many calls can be under way.
const MOST: usize = 8;
/// How many of one session.
const EACH: usize = 4;

/// Why the front refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, idl::Word)]
pub(crate) enum FrontError {
    /// The service behind does not answer.
    Away = 1,
}

/// Stands in front of a service that may take long.
#[idl::interface(asynchronous)]
pub(crate) trait Front {
    /// What the service behind answers to this number.
    fn ask(&self, number: u64) -> Result<u64, FrontError>;
    /// How many calls wait for it.
    fn waiting(&self) -> u64;
}

struct Desk {
    workers: Workers,
    behind: Cap<Endpoint>,
    waiting: Cell<u64>,
}

impl FrontAsyncServer for Desk {
    async fn ask(&self, caller: Caller<Front>, number: u64) -> Result<u64, FrontError> {
        let (behind, until) = (self.behind, caller.until);
        self.waiting.set(self.waiting.get() + 1);
        let answer = self.workers.run(move || behind.call(&Message::short(1, &[number]), until)).await;
        self.waiting.set(self.waiting.get() - 1);
        match answer {
            Some(Ok(answer)) => Ok(answer.words[0]),
            _ => Err(FrontError::Away),
        }
    }

    async fn waiting(&self, _: Caller<Front>) -> u64 {
        self.waiting.get()
    }
}

/// A front, and where the service behind it receives: this case, when it likes.
fn front() -> Result<(Cap<Endpoint>, Cap<Endpoint>), String> {
    let service = Service::create().map_err(said("service"))?;
    let (behind, _) = line()?;
    let serve = move || {
        let workers = Workers::new(MOST).expect("there is memory for workers");
        let desk = FrontAsyncDispatch(Desk { workers, behind, waiting: Cell::new(0) });
        service.serve_concurrently(&desk, MOST, EACH)
    };
    thread::spawn(serve).map_err(said("spawn"))?;
    Ok((service.endpoint(), behind))
}

type Client = FrontClient<Connection>;
type Asked = Join<Result<u64, CallError<FrontError>>>;

fn session(front: Cap<Endpoint>, number: u32) -> Result<Cap<Endpoint>, String> {
    let badge = Session::<Front>::new(number, idl::interface::Access::NONE).badge();
    memory::mint(front, Rights::CALL | Rights::DERIVE, badge).map_err(said("mint"))
}

fn client(front: Cap<Endpoint>, number: u32, patience: Duration) -> Result<Client, String> {
    let way = Connection::new(session(front, number)?).patience(patience);
    FrontClient::connect(way).map_err(|error| format!("connect: {error}"))
}

/// Asks in a thread of its own. It opens no connection, which would wait here when there are as many calls as there can be.
fn ask(front: Cap<Endpoint>, number_of_session: u32, number: u64) -> Result<Asked, String> {
    let client = FrontClient::new(Connection::new(session(front, number_of_session)?).patience(PATIENCE));
    thread::spawn(move || client.ask(number)).map_err(said("spawn"))
}

fn join(asked: Asked) -> Result<Result<u64, CallError<FrontError>>, String> {
    asked.join(time::after(PATIENCE)).map_err(said("join"))
}

fn waiting(client: &Client) -> Result<u64, String> {
    client.waiting().map_err(|error| format!("waiting: {error}"))
}

/// Waits until so many calls wait.
fn until_wait(client: &Client, count: u64) -> Outcome {
    while waiting(client)? != count {
        time::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Takes a question of the front's; it waits until it is answered.
fn take(behind: Cap<Endpoint>) -> Result<(Cap<Reply>, u64), String> {
    let reply = memory::create::<Reply>(0).map_err(said("reply"))?;
    match behind.receive(&reply, time::after(PATIENCE)).map_err(said("receive"))? {
        Received::Message { message, .. } => Ok((reply, message.words[0])),
        Received::Signal(_) => Err("a signal".into()),
    }
}

fn answer((reply, number): (Cap<Reply>, u64)) -> Outcome {
    reply.reply(&Message::short(0, &[number * 2])).map_err(said("reply"))
}

/// While calls wait for a service that does not answer, others are answered; and each gets the answer to its own question,
/// whichever came first.
pub(crate) fn who_waits_keeps_nobody_waiting() -> Outcome {
    let (front, behind) = front()?;
    let other = client(front, 9, PATIENCE)?;
    for round in 0..3 {
        let asked = (1..=3).map(|number| ask(front, number, u64::from(number) + round * 10));
        let asked = asked.collect::<Result<Vec<_>, _>>()?;
        until_wait(&other, 3)?;
        for _ in 0..50 {
            check_eq!(waiting(&other), Ok(3), "they wait, and this is answered");
        }
        let taken = (0..3).map(|_| take(behind)).collect::<Result<Vec<_>, _>>()?;
        check!(asked.iter().all(|asked| !asked.is_done()), "somebody was answered by nobody");
        for question in taken.into_iter().rev() {
            answer(question)?;
        }
        for (asked, number) in asked.into_iter().zip(1..) {
            check_eq!(join(asked)?, Ok((number + round * 10) * 2));
        }
        check_eq!(waiting(&other), Ok(0));
    }
    Ok(())
}

/// A session that asks without an end has its part of the calls, and is told; others have theirs. When there are as many as there
/// can be, who comes waits, and is served in his turn.
pub(crate) fn a_session_has_its_part() -> Outcome {
    let (front, behind) = front()?;
    let other = client(front, 9, PATIENCE)?;
    let mut greedy = (0..EACH as u64).map(|number| ask(front, 1, number)).collect::<Result<Vec<_>, _>>()?;
    until_wait(&other, EACH as u64)?;
    for number in 0..20 {
        check_eq!(join(ask(front, 1, number)?)?, Err(CallError::NoRoom));
    }
    let honest = ask(front, 2, 100)?;
    until_wait(&other, EACH as u64 + 1)?;
    // Two more make as many as there can be besides one that is answered at once; and two more than that.
    for (session, number) in [(2, 101), (3, 102), (3, 103), (3, 104)] {
        greedy.push(ask(front, session, number)?);
    }
    let late = thread::spawn(move || waiting(&other)).map_err(said("spawn"))?;
    for _ in 0..EACH + 5 {
        answer(take(behind)?)?;
    }
    check_eq!(join(honest)?, Ok(200));
    for asked in greedy {
        check!(join(asked)?.is_ok(), "it was not answered");
    }
    check!(
        late.join(time::after(PATIENCE)).map_err(said("join"))?.is_ok(),
        "who was to wait was never served"
    );
    Ok(())
}

/// Callers that give up, and callers that die, leave room for others.
pub(crate) fn callers_that_give_up_or_die_leave_room() -> Outcome {
    let (front, behind) = front()?;
    let other = client(front, 9, PATIENCE)?;
    let hurried = client(front, 1, Duration::from_millis(5))?;
    for number in 0..10 {
        check_eq!(hurried.ask(number), Err(CallError::Kernel(userlib::Error::TimedOut)));
    }
    // The deadline went along: the service behind is waited for no longer than the caller waited.
    until_wait(&other, 0)?;
    let children = Child::new()?;
    let caller = session(front, 2)?;
    for _ in 0..2 * EACH as u64 {
        let child = children.start("child::waiter", Some(caller), Generation::FIRST)?;
        let question = take(behind)?;
        let budget = child.end().map_err(said("end"))?;
        slots::delete(budget.handle()).map_err(said("delete"))?;
        answer(question)?;
        until_wait(&other, 0)?;
    }
    let asked = ask(front, 2, 7)?;
    answer(take(behind)?)?;
    check_eq!(join(asked)?, Ok(14));
    Ok(())
}

/// Asks the front that it was granted.
pub(crate) fn wait_at_the_gate() {
    let client = FrontClient::new(Connection::new(cap(environment().granted(0))));
    let _ = client.ask(3);
}
