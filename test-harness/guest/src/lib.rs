//! The guest's side of the target cases: what runs as subOS 0 when the harness tests the machine.
//!
//! A case is a function that returns nothing or what went wrong; its name is that of its module and its own, and it
//! is listed twice: in `cases!` below, and in `test-harness/src/cases/table.rs`, which says on what machine it runs
//! and what must come of it. A host test compares the two lists.
//!
//! It is a library so that the host can compile and list it; nothing of it works there.
#![no_std]

extern crate alloc;

pub mod bench;
mod boot;
mod errors;
mod library;
mod parlour;
mod processes;
mod puppet;
mod steward;
mod subos;
mod suboses;
mod walls;
mod wards;

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
    library {
        heap_grows threads_return_values a_lock_excludes a_stack_overflow_faults mappings_come_and_go
        an_interface_is_served waits_end signals_end_a_receive
    }
    suboses {
        one_is_made_and_ends a_core_moves one_is_suspended_and_resumed a_lot_moves one_is_killed_by_force
        wrong_requests_are_refused one_without_a_master_ends
        a_lot_full_of_life_is_taken a_core_is_asked_for_first anything_in_any_order
    }
    walls {
        another_kernel_is_out_of_reach free_memory_is_out_of_reach the_ledger_is_out_of_reach
        other_cores_areas_are_out_of_reach others_shares_are_out_of_reach the_image_cannot_be_written
        a_stack_overflow_is_contained a_double_fault_is_contained a_panic_is_contained
        a_lock_that_is_held_for_ever_costs_its_holder a_lying_kernel_is_found_out_by_a_visit
        a_core_that_never_answers_is_quarantined a_panic_of_the_supervisors_kernel_ends_the_machine
    }
    errors {
        of_untyped of_regions of_spaces of_lookup of_tables of_threads of_guests of_endpoints of_replies
        of_notifications of_consoles of_machine of_suboses of_condemned_suboses of_uplinks
    }
    processes { a_process_serves a_stray_write_is_reported a_panic_is_reported a_process_stays_in_its_budget }
}

/// The case with this name.
#[must_use]
pub fn find(name: &str) -> Option<Case> {
    CASES.iter().copied().find(|(known, _)| *known == name)
}

/// What a case started as a process of its own runs, if this is such a name.
#[must_use]
pub fn child(name: &str) -> Option<fn()> {
    processes::CHILDREN
        .iter()
        .chain(wards::CHILDREN)
        .chain(walls::CHILDREN)
        .chain(SUBOSES)
        .find(|(known, _)| *known == name)
        .map(|(_, child)| *child)
}

/// What this program does in subOSes of cases.
const SUBOSES: &[(&str, fn())] =
    &[("subos::uplink", || subos::inside(errors::uplink_subos)), ("subos::idle", || subos::inside(|| ()))];

/// What to say of an error: `.map_err(said("what was tried"))`.
pub(crate) fn said(what: &str) -> impl Fn(Error) -> String + '_ {
    move |error| format!("{what}: {error}")
}
