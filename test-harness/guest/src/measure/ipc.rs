//! Messages between two address spaces on one core.

use alloc::format;
use alloc::string::String;

use idl::bundle::{BOOT, Bundle};
use idl::message::{Message, Received};
use idl::types::{Badge, Deadline, Pages};
use userlib::cap::{Endpoint, Reply};
use userlib::process::{Builder, Process};
use userlib::{Cap, Error, Rights, cap, environment, memory, page, time};

use super::meter::{report, timed};
use crate::{Outcome, said};

/// Words of the longer message.
const LONG: usize = 10;

/// The other side: answers every message with the ticks that it took to arrive, its first word being when it was
/// sent, and with as many words as came.
pub(super) fn answer() {
    let endpoint = cap::cap::<Endpoint>(environment().granted(0));
    if let Ok(reply) = memory::create::<Reply>(0) {
        let mut received = endpoint.receive(&reply, Deadline::NEVER);
        while let Ok(Received::Message { message, .. }) = received {
            let took = time::now().0.wrapping_sub(message.words[0]);
            let mut words = message.words;
            words[0] = took;
            let answer = Message { words, ..message };
            received = endpoint.reply_receive(&reply, &answer, Deadline::NEVER);
        }
    }
}

pub(super) fn figures() -> Outcome {
    let endpoint = memory::create::<Endpoint>(0).map_err(said("endpoint"))?;
    let other = start(endpoint)?;
    let short = |now| Message::short(1, &[now, 2]);
    report("ipc_one_way", |_| {
        let answer = endpoint.call(&short(time::now().0), Deadline::NEVER)?;
        Ok::<u64, Error>(answer.words[0])
    })
    .map_err(said("call"))?;
    report("ipc_round_trip", |_| {
        let message = short(0);
        let (ticks, answer) = timed(|| endpoint.call(&message, Deadline::NEVER));
        answer.map(|_| ticks)
    })
    .map_err(said("call"))?;
    page::put_words(0, &[7; LONG]).map_err(said("words"))?;
    let long = Message { count: 10, words: [7; 5], ..Message::short(1, &[]) };
    report("ipc_round_trip_10_words", |_| {
        let (ticks, answer) = timed(|| endpoint.call(&long, Deadline::NEVER));
        answer.map(|_| ticks)
    })
    .map_err(said("call"))?;
    other.end().map_err(said("end")).map(|_| ())
}

fn start(endpoint: Cap<Endpoint>) -> Result<Process, String> {
    let files = environment().files().map_err(said("files"))?;
    let bundle = Bundle::parse(files).map_err(|error| format!("bundle: {error:?}"))?;
    let image = bundle.find(BOOT).ok_or("no boot program in the bundle")?;
    let faults = memory::create::<Endpoint>(0).map_err(said("endpoint"))?;
    Builder::new(image.data)
        .arguments("part-answer")
        .memory(Pages(64))
        .faults(faults.handle(), Badge(1))
        .grant(endpoint.handle(), Rights::RECEIVE)
        .start()
        .map_err(|error| format!("start: {error}"))
}
