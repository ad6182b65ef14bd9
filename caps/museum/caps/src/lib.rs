//! `caps`, with every bug of the museum: the build script wrote it.
#![forbid(unsafe_code)]
#![allow(
    warnings,
    clippy::all,
    reason = "these are bugs, and the sources without them are looked at in `caps`"
)]

include!(concat!(env!("OUT_DIR"), "/lib.rs"));
