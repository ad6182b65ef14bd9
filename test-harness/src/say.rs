//! What the harness says while it works: one line each, to standard error, so that standard output carries only
//! results.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

/// Says what is being done.
pub fn say(text: impl Display) {
    line("\x1b[36m", "archipelago:", text);
}

/// Says something that deserves attention but is no failure.
pub fn warn(text: impl Display) {
    line("\x1b[33m", "archipelago: note:", text);
}

/// Says that something failed.
pub fn fail(text: impl Display) {
    line("\x1b[31m", "archipelago: error:", text);
}

/// Shows a result, to standard output.
pub fn show(text: impl Display) {
    // Whoever looked at it may have seen enough and be gone.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn line(colour: &str, who: &str, text: impl Display) {
    let mut out = std::io::stderr().lock();
    // A closed standard error is no reason to stop working.
    let _ = if colours(&out) {
        writeln!(out, "{colour}{who}\x1b[0m {text}")
    } else {
        writeln!(out, "{who} {text}")
    };
}

/// Whether a stream should get colours: it is a terminal, and nobody asked for none.
pub fn colours(stream: &impl IsTerminal) -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    stream.is_terminal() && !unwanted && !dumb
}
