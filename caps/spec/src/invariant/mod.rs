//! The invariants, each as one function over the real state, sharing nothing with the specification, and each stated in
//! both directions.
//!
//! Reading order: `structure` (I1 to I4), `authority` (I6, I10, I13), `revocation` (I15, I16), all of one state;
//! `integrity` (I5, I8, I9), `removal` (I15 to I18), `hardware` (I20 to I22), `refusal` (I23, I25), all of one operation;
//! `confinement` (I7) and `ledger` (I11, I12, I26) have their own games. [`PROPERTIES`](properties::PROPERTIES) lists
//! all 27, with what each assumes.

pub mod authority;
pub mod confinement;
pub mod hardware;
pub mod integrity;
pub mod ledger;
pub mod properties;
pub mod refusal;
pub mod removal;
pub mod revocation;
pub mod structure;

use caps::{Kind, Table};

use crate::subject::Subject;
use crate::transition::Transition;

/// An invariant on one state.
pub struct OnStates {
    /// Its number and name.
    pub name: &'static str,
    /// The kinds of capability that it says something of; if none, then of all.
    pub of: &'static [Kind],
    /// Holds it?
    pub check: fn(&Subject, &[Table]) -> Result<(), String>,
}

/// An invariant on one operation.
pub struct OnTransitions {
    /// Its number and name.
    pub name: &'static str,
    /// The kinds of capability that it says something of; if none, then of all.
    pub of: &'static [Kind],
    /// Holds it?
    pub check: fn(&Transition<'_>) -> Result<(), String>,
}

/// All invariants on one state of a forest. The tables are those that no capability of the forest stands for.
pub const STATES: &[OnStates] = &[
    OnStates { name: "I1 well-founded", of: &[], check: structure::well_founded },
    OnStates { name: "I2 links symmetric", of: &[], check: structure::links_symmetric },
    OnStates { name: "I2 bindings listed", of: &[Kind::Binding], check: structure::bindings_listed },
    OnStates { name: "I3 slots canonical", of: &[], check: structure::slots_canonical },
    OnStates { name: "I3 dying tables listed", of: &[Kind::CSpace], check: structure::dying_listed },
    OnStates { name: "I4 in slots of tables", of: &[], check: structure::housed },
    OnStates { name: "I6 monotonic", of: &[], check: authority::monotonic },
    OnStates { name: "I10 reply linear", of: &[Kind::Reply], check: authority::reply_linear },
    OnStates { name: "I13 typed memory", of: &[Kind::Untyped], check: authority::typed_memory },
    OnStates { name: "I15 immediate cut", of: &[], check: revocation::cut },
    OnStates { name: "I16 marks counted", of: &[], check: revocation::marks_counted },
    OnStates { name: "I16 swept is empty", of: &[Kind::CSpace], check: revocation::swept_is_empty },
    OnStates { name: "I22 unused is zero", of: &[Kind::Untyped], check: hardware::unused_is_zero },
];

/// All invariants on one operation on a forest.
pub const TRANSITIONS: &[OnTransitions] = &[
    OnTransitions { name: "I23 refusals change nothing", of: &[], check: refusal::changes_nothing },
    OnTransitions { name: "I25 total", of: &[], check: refusal::documented },
    OnTransitions { name: "I23 foretold", of: &[], check: refusal::foretold },
    OnTransitions { name: "I5 no resurrection", of: &[], check: integrity::no_resurrection },
    OnTransitions { name: "I8 integrity", of: &[], check: integrity::touches_what_it_names },
    OnTransitions { name: "I9 no confused deputy", of: &[], check: integrity::found_where_asked },
    OnTransitions { name: "I15 nothing new below", of: &[], check: removal::nothing_new_below },
    OnTransitions { name: "I16 complete", of: &[], check: removal::complete },
    OnTransitions { name: "I17 bounded", of: &[], check: removal::bounded },
    OnTransitions { name: "I18 framed", of: &[], check: removal::framed },
    OnTransitions {
        name: "I20 mapped only by authority",
        of: &[Kind::Binding],
        check: hardware::mapped_by_authority,
    },
    OnTransitions {
        name: "I21 quiet before reuse",
        of: &[Kind::Untyped],
        check: hardware::quiet_before_reuse,
    },
    OnTransitions { name: "I22 scrubbed", of: &[Kind::Untyped], check: hardware::scrubbed },
];

/// Checks all that are about one state.
pub fn check_state(subject: &Subject, fixed: &[Table]) -> Result<(), String> {
    for invariant in STATES {
        (invariant.check)(subject, fixed).map_err(|why| format!("{}: {why}", invariant.name))?;
    }
    Ok(())
}

/// Checks all that are about one operation.
pub fn check_transition(transition: &Transition<'_>) -> Result<(), String> {
    for invariant in TRANSITIONS {
        (invariant.check)(transition).map_err(|why| format!("{}: {why}", invariant.name))?;
    }
    Ok(())
}
