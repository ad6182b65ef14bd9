//! Calls between two address spaces on one core: there, back, and round; short and long.

use alloc::format;
use alloc::string::String;

use idl::message::{Message, Received};
use idl::types::Deadline;
use userlib::cap::{Endpoint, Reply};
use userlib::process::Process;
use userlib::{Cap, Error, Rights, cap, environment, memory, page, println, slots};

use super::clock::{Clock, ROUNDS, Row, now};
use super::start_peer;
use crate::{Outcome, said};

/// What the program does as a peer, by its arguments.
pub(super) const PEERS: &[(&str, fn())] = &[
    ("peer::echo", || serve(|message| Message::short(0, &message.words[..1]))),
    ("peer::stamp", stamp),
    ("peer::long", || serve(|message| long(message.words[0]))),
    ("peer::typed", super::typed::serve),
    ("peer::yield", super::signals::yield_for_ever),
];

/// Words of a long message.
const LONG: u8 = 10;

/// A message of ten words, of which the page holds five already.
fn long(word: u64) -> Message {
    let mut message = Message::short(0, &[word; 5]);
    message.count = LONG;
    message
}

/// Answers every call.
#[inline(always)]
fn serve(answer: impl Fn(&Message) -> Message) {
    if let Err(error) = attend(answer) {
        println!("the peer stops serving: {error}");
    }
}

#[inline(always)]
fn attend(answer: impl Fn(&Message) -> Message) -> Result<(), Error> {
    let (endpoint, reply) = ends()?;
    let mut received = endpoint.receive(&reply, Deadline::NEVER)?;
    loop {
        if let Received::Message { message, .. } = &received {
            received = endpoint.reply_receive(&reply, &answer(message), Deadline::NEVER)?;
        } else {
            received = endpoint.receive(&reply, Deadline::NEVER)?;
        }
    }
}

/// Answers every call with when it arrived and when the answer left.
fn stamp() {
    let serve = || -> Result<(), Error> {
        let (endpoint, reply) = ends()?;
        endpoint.receive(&reply, Deadline::NEVER)?;
        let mut arrived = now();
        loop {
            let answer = Message::short(0, &[arrived, now()]);
            let received = endpoint.reply_receive(&reply, &answer, Deadline::NEVER);
            arrived = now();
            received?;
        }
    };
    if let Err(error) = serve() {
        println!("the peer stops serving: {error}");
    }
}

/// The endpoint that this peer was granted, and a reply of its own.
fn ends() -> Result<(Cap<Endpoint>, Cap<Reply>), Error> {
    Ok((cap(environment().granted(0)), memory::create::<Reply>(0)?))
}

/// A peer and the way to it.
pub(super) struct Line {
    pub(super) endpoint: Cap<Endpoint>,
    peer: Process,
}

impl Line {
    pub(super) fn to(peer: &str) -> Result<Self, String> {
        let endpoint = memory::create::<Endpoint>(0).map_err(said("endpoint"))?;
        let grant = (endpoint.handle(), Rights::RECEIVE | Rights::DERIVE);
        Ok(Self { endpoint, peer: start_peer(peer, Some(grant))? })
    }

    pub(super) fn end(self) -> Outcome {
        let budget = self.peer.end().map_err(said("end"))?;
        slots::delete(budget.handle()).map_err(said("delete"))?;
        slots::delete(self.endpoint.handle()).map_err(said("delete"))
    }
}

pub(super) fn measure(clock: &Clock) -> Outcome {
    one_way(clock)?;
    round_trip(clock)?;
    long_round_trip(clock)
}

fn one_way(clock: &Clock) -> Outcome {
    let line = Line::to("peer::stamp")?;
    let (mut there, mut back) = (Row::new("call-one-way", ROUNDS), Row::new("reply-one-way", ROUNDS));
    let question = Message::short(0, &[7]);
    for _ in 0..=ROUNDS {
        let begin = now();
        let answer = line.endpoint.call(&question, Deadline::NEVER);
        let end = now();
        let [arrived, left, ..] = answer.map_err(said("call"))?.words;
        there.add(clock.between(begin, arrived));
        back.add(clock.between(left, end));
    }
    // The first call is the only one that finds the peer not waiting yet: that is another row, if any.
    there.forget_first();
    back.forget_first();
    there.report()?;
    back.report()?;
    line.end()
}

fn round_trip(clock: &Clock) -> Outcome {
    let line = Line::to("peer::echo")?;
    let question = Message::short(0, &[7]);
    line.endpoint.call(&question, Deadline::NEVER).map_err(said("first call"))?;
    let mut row = Row::new("round-trip", ROUNDS);
    for _ in 0..ROUNDS {
        let (time, answer) = clock.time(|| line.endpoint.call(&question, Deadline::NEVER));
        if answer.map_err(said("call"))?.words[0] != 7 {
            return Err(String::from("another answer than was sent"));
        }
        row.add(time);
    }
    row.report()?;
    line.end()
}

fn long_round_trip(clock: &Clock) -> Outcome {
    let line = Line::to("peer::long")?;
    let question = long(9);
    page::put_words(5, &[11, 12, 13, 14, 15]).map_err(said("page"))?;
    line.endpoint.call(&question, Deadline::NEVER).map_err(said("first call"))?;
    let mut row = Row::new("round-trip-long", ROUNDS);
    for _ in 0..ROUNDS {
        let (time, answer) = clock.time(|| line.endpoint.call(&question, Deadline::NEVER));
        let answer = answer.map_err(said("call"))?;
        let mut rest = [0; 5];
        page::get_words(5, &mut rest).map_err(said("page"))?;
        if answer.count != LONG || rest != [11, 12, 13, 14, 15] {
            return Err(format!("{} words came back, the last {rest:?}", answer.count));
        }
        row.add(time);
    }
    row.report()?;
    line.end()
}
