//! What loads programs, with its bug of the museum, and its unit tests.
#![forbid(unsafe_code)]
#![allow(
    warnings,
    clippy::all,
    reason = "this has a bug, and the sources without it are looked at in `userlib`"
)]

extern crate alloc;

// What it has around it is the library's.
pub use userlib::{cap, environment, last_words, memory, slots};

/// As the build script wrote it.
pub mod process {
    include!(concat!(env!("OUT_DIR"), "/process.rs"));
}

#[cfg(test)]
#[test]
fn the_bug_is_found_by_its_killer() {
    let program = museum::trial::Program {
        sources: museum::Sources::Userlib,
        driver: "the_bug_is_found_by_its_killer",
        comparison: None,
    };
    program.hold().unwrap_or_else(|why| panic!("{why}"));
}
