//! The guest's side of the target cases: what runs as subOS 0 when the harness tests the machine.
//!
//! A case is a function that returns nothing or what went wrong; its name is that of its module and its own, and it
//! is listed twice: in `cases!` below, and in `test-harness/src/cases/table.rs`, which says on what machine it runs
//! and what must come of it. A host test compares the two lists.
//!
//! It is a library so that the host can compile and list it; nothing of it works there.
#![no_std]

extern crate alloc;

mod boot;

use alloc::format;
use alloc::string::String;

use userlib::Error;

/// What comes of a case: nothing, or what went wrong.
pub type Outcome = Result<(), String>;

/// A case: its name and what it does.
pub type Case = (&'static str, fn() -> Outcome);

macro_rules! cases {
    ($($module:ident { $($case:ident)* })*) => {
        /// Every case there is.
        pub const CASES: &[Case] = &[
            $($((concat!(stringify!($module), "::", stringify!($case)), $module::$case),)*)*
        ];
    };
}

cases! {
    boot { one_core two_cores four_cores sixteen_cores }
}

/// The case with this name.
#[must_use]
pub fn find(name: &str) -> Option<Case> {
    CASES.iter().copied().find(|(known, _)| *known == name)
}

/// What to say of an error: `.map_err(said("what was tried"))`.
pub(crate) fn said(what: &str) -> impl Fn(Error) -> String + '_ {
    move |error| format!("{what}: {error}")
}
