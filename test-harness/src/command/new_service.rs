//! Writes a new service.

use crate::failure::Result;
use crate::place::{self, shown};
use crate::say::{say, show};
use crate::service;

/// Writes it, and says what to do with it.
pub(super) fn new_service(name: &str) -> Result<()> {
    let written = service::create(place::root(), name)?;
    say(format_args!("{}: the interface, the server, a client, and their tests", shown(&written.folder)));
    say(format_args!("{}: a subOS in which they run", shown(&written.manifest)));
    show(format_args!(
        "test it on this host:\n    cargo test -p subos-{name}\nrun it on the machine:\n    cargo run -- run {}\n\
         the same as a test:\n    cargo test -p test-harness --test target -- manifest::{name}\n\
         what to do next: docs/guide/README.md",
        shown(&written.manifest)
    ));
    Ok(())
}
