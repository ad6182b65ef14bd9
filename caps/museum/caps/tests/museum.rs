//! The unit tests of `caps` and the soon done ones of its specification, against a copy that has every bug of the museum.
//!
//! With no bug selected they pass; with `ARCHIPELAGO_MUSEUM` naming one, some fail, and the table of `docs/mutants.md`
//! says which. `every_bug_is_found_by_its_killer` goes through all.
#![allow(
    warnings,
    clippy::all,
    reason = "these are bugs, and the sources without them are looked at in `caps`"
)]

extern crate museum_caps as caps;
extern crate museum_spec as caps_spec;

// The unit tests are of a crate that they are in: so this program is such a copy too.
include!(concat!(env!("OUT_DIR"), "/lib.rs"));

#[path = "../../../spec/tests/machine.rs"]
mod machine;
#[path = "../../../spec/tests/reached.rs"]
mod reached;
#[path = "../../../spec/tests/swift.rs"]
mod swift;

#[test]
fn every_bug_is_found_by_its_killer() {
    let program = museum::trial::Program {
        sources: museum::Sources::Caps,
        driver: "every_bug_is_found_by_its_killer",
        comparison: Some("reached::"),
    };
    program.hold().unwrap_or_else(|why| panic!("{why}"));
}
