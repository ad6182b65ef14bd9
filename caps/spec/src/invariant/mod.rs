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

use caps::Table;

use crate::subject::Subject;
use crate::transition::Transition;

/// An invariant on one state.
pub struct OnStates {
    /// Its number and name.
    pub name: &'static str,
    /// Holds it?
    pub check: fn(&Subject, &[Table]) -> Result<(), String>,
}

/// An invariant on one operation.
pub struct OnTransitions {
    /// Its number and name.
    pub name: &'static str,
    /// Holds it?
    pub check: fn(&Transition<'_>) -> Result<(), String>,
}

/// All invariants on one state of a forest. The tables are those that no capability of the forest stands for.
pub const STATES: &[OnStates] = &[
    OnStates { name: "I1 well-founded", check: structure::well_founded },
    OnStates { name: "I2 links symmetric", check: structure::links_symmetric },
    OnStates { name: "I2 bindings listed", check: structure::bindings_listed },
    OnStates { name: "I3 slots canonical", check: structure::slots_canonical },
    OnStates { name: "I3 dying tables listed", check: structure::dying_listed },
    OnStates { name: "I4 in slots of tables", check: structure::housed },
    OnStates { name: "I6 monotonic", check: authority::monotonic },
    OnStates { name: "I10 reply linear", check: authority::reply_linear },
    OnStates { name: "I13 typed memory", check: authority::typed_memory },
    OnStates { name: "I15 immediate cut", check: revocation::cut },
    OnStates { name: "I15 peek agrees", check: revocation::peek_agrees },
    OnStates { name: "I16 marks counted", check: revocation::marks_counted },
    OnStates { name: "I22 unused is zero", check: hardware::unused_is_zero },
];

/// All invariants on one operation on a forest.
pub const TRANSITIONS: &[OnTransitions] = &[
    OnTransitions { name: "I23 refusals change nothing", check: refusal::changes_nothing },
    OnTransitions { name: "I25 total", check: refusal::documented },
    OnTransitions { name: "I23 foretold", check: refusal::foretold },
    OnTransitions { name: "I5 no resurrection", check: integrity::no_resurrection },
    OnTransitions { name: "I8 integrity", check: integrity::touches_what_it_names },
    OnTransitions { name: "I9 no confused deputy", check: integrity::found_where_asked },
    OnTransitions { name: "I15 nothing new below", check: removal::nothing_new_below },
    OnTransitions { name: "I16 complete", check: removal::complete },
    OnTransitions { name: "I17 bounded", check: removal::bounded },
    OnTransitions { name: "I18 framed", check: removal::framed },
    OnTransitions { name: "I20 mapped only by authority", check: hardware::mapped_by_authority },
    OnTransitions { name: "I21 quiet before reuse", check: hardware::quiet_before_reuse },
    OnTransitions { name: "I22 scrubbed", check: hardware::scrubbed },
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
