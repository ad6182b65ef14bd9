//! What an operator orders.

use std::thread;
use std::time::Duration;

use idl::operator::{Change, Ordered, Outcome};
use idl::plan::Name;
use serde_json::json;

use super::arguments::{Piece, Verb};
use super::{Control, failed};
use crate::failure::{Failure, Result};
use crate::say::{say, show};

/// How long to rest between two questions whether an order is done.
const NAP: Duration = Duration::from_millis(10);

/// What a command orders, if it orders anything.
///
/// # Errors
/// A name that no subOS can have, or a piece of memory that is none.
pub(super) fn change(verb: &Verb) -> Result<Option<Change>> {
    Ok(Some(match verb {
        Verb::Create { name: subos } => Change::Create { name: name(subos)? },
        Verb::Destroy { name: subos } => Change::Destroy { name: name(subos)? },
        Verb::Restart { name: subos } => Change::Restart { name: name(subos)? },
        Verb::Grow { name: subos, core: Some(core), .. } => {
            Change::MoveCore { core: *core, from: None, to: Some(name(subos)?), ask: 0 }
        }
        Verb::Grow { name: subos, core: None, mib } => {
            Change::GrantLot { chunks: chunks(mib.unwrap_or(0))?, to: name(subos)? }
        }
        Verb::Shrink { name: subos, piece } => taken(piece, name(subos)?, None),
        Verb::Move { from, to, piece } => taken(piece, name(from)?, Some(name(to)?)),
        _ => return Ok(None),
    }))
}

fn taken(piece: &Piece, from: Name, to: Option<Name>) -> Change {
    let ask = piece.ask;
    match piece.core {
        Some(core) => Change::MoveCore { core, from: Some(from), to, ask },
        None => Change::MoveLot { lot: piece.lot.unwrap_or(0), from, to, ask },
    }
}

fn name(text: &str) -> Result<Name> {
    Name::try_from(text)
        .map_err(|_| Failure::new(format!("no subOS is called {text}: a name has at most 16 bytes")))
}

fn chunks(mib: u32) -> Result<u32> {
    if mib.is_multiple_of(2) {
        return Ok(mib / 2);
    }
    Err(Failure::new(format!("memory goes in pieces of 2 MiB, and {mib} MiB is none")))
}

/// Orders it, and waits until it is done.
///
/// # Errors
/// When the supervisor refuses, or it failed; with the reason.
pub(super) fn order(control: &Control, change: Change, as_json: bool) -> Result<()> {
    let result = carried_out(control, change)?;
    if as_json {
        show(format_args!("{:#}", json!({ "done": result.is_ok(), "reason": result.clone().err() })));
    }
    match result {
        Ok(()) if as_json => {}
        Ok(()) => say("done"),
        Err(reason) => return Err(Failure::new(reason)),
    }
    Ok(())
}

/// Orders it, and waits until it is done, or is not: then with the reason.
fn carried_out(control: &Control, change: Change) -> Result<std::result::Result<(), String>> {
    let client = control.client();
    let ticket = match client.order(change).map_err(|error| failed("order that", error))? {
        Ordered::Taken(ticket) => ticket,
        Ordered::Refused(reason) => return Ok(Err(format!("refused: {reason}"))),
    };
    // Whatever is ordered comes to an end: the supervisor waits for nothing without a deadline.
    loop {
        match client.outcome(ticket).map_err(|error| failed("learn what came of it", error))? {
            Outcome::Waiting => thread::sleep(NAP),
            Outcome::Done => return Ok(Ok(())),
            Outcome::Failed(reason) => return Ok(Err(format!("failed, and is undone: {reason}"))),
            Outcome::Unknown => return Ok(Err("the supervisor has forgotten what came of it".to_owned())),
        }
    }
}
