//! What the bench measures, from the guest's side.
//!
//! The harness boots the program `bench` twice on the deterministic machine, where one tick of the TSC is one
//! executed instruction (`docs/measuring.md`):
//!
//! - with the argument `one`, on one core: each operation is timed here, by the TSC, less what reading it costs, and
//!   comes out as a record `@bench`;
//! - with the argument `many`, on several cores, where the TSC counts what all of them execute: here are only
//!   markers, the plugin counts core by core, and the harness puts the figures together.
//!
//! - with the argument `crowd`, on many cores: the same operations over and over, while there are more and more other
//!   subOSes, counted as with `many`.
//!
//! - with the argument `victim`, on several cores: one subOS works steadily while others come and go.
//!
//! The program runs itself as its own peers: `peer::...` are processes in other address spaces, `cell` is the
//! program of the subOSes that are made, moved about and ended.

mod asked;
mod capabilities;
mod clock;
mod cores;
mod exchange;
mod extents;
mod faults;
mod footprint;
mod foreign;
mod memory;
mod scale;
mod signals;
mod states;
mod typed;
mod victim;
mod window;

use alloc::format;
use alloc::string::String;

use idl::bundle::{BOOT, Bundle};
use idl::types::Pages;
use userlib::process::{Builder, Process};
use userlib::{Handle, Rights, environment, testing};

use crate::{Outcome, said};
use clock::Clock;

/// A group of rows: its name, and what measures and reports them.
type Group = (&'static str, fn(&Clock) -> Outcome);

/// The rows that are measured on one core.
const GROUPS: &[Group] = &[
    ("calls", signals::null_call),
    ("exchange", exchange::measure),
    ("typed", typed::measure),
    ("signals", signals::measure),
    ("memory", memory::measure),
    ("capabilities", capabilities::measure),
    ("guest", foreign::measure),
    ("faults", faults::measure),
];

/// The program: what it does is in its arguments.
pub fn program() {
    match environment().arguments() {
        "one" => testing::finish(one()),
        "many" => testing::finish(cores::measure()),
        "crowd" => testing::finish(scale::measure()),
        "victim" => testing::finish(victim::measure()),
        cell if cell.starts_with("cell") => cores::cell(),
        peer => match exchange::PEERS.iter().find(|(name, _)| *name == peer) {
            Some((_, peer)) => peer(),
            None => testing::finish(Err(format!("the bench knows nothing of {peer:?}"))),
        },
    }
}

fn one() -> Outcome {
    let clock = Clock::new();
    for (name, group) in GROUPS {
        group(&clock).map_err(|what| format!("{name}: {what}"))?;
    }
    Ok(())
}

/// Starts this program in an address space of its own, with these arguments and this capability.
fn start_peer(arguments: &str, grant: Option<(Handle, Rights)>) -> Result<Process, String> {
    let files = environment().files().map_err(said("files"))?;
    let bundle = Bundle::parse(files).map_err(|error| format!("bundle: {error:?}"))?;
    let image = bundle.find(BOOT).ok_or("no boot program in the bundle")?;
    let mut peer = Builder::new(image.data).arguments(arguments).memory(Pages(64));
    if let Some((handle, rights)) = grant {
        peer = peer.grant(handle, rights);
    }
    peer.start().map_err(|error| format!("start: {error}"))
}
