//! The invariants, each as one function over the real state, sharing nothing with the specification.
//!
//! Reading order: `structure` (I1 to I4), `authority` (I5, I6, I13), `confinement` (I7), `revocation` (I15 to I19),
//! `ledger` (I11, I12).
//! Each is stated in both directions.

pub mod authority;
pub mod confinement;
pub mod ledger;
pub mod revocation;
pub mod structure;

use caps::Table;

use crate::subject::Subject;

/// An invariant on one state.
pub struct Invariant {
    /// Its number and name.
    pub name: &'static str,
    /// Holds it?
    pub check: fn(&Subject, &[Table]) -> Result<(), String>,
}

/// All invariants on one state of a forest. The tables are those that no capability of the forest stands for.
pub const ALL: &[Invariant] = &[
    Invariant { name: "I1 well-founded", check: structure::well_founded },
    Invariant { name: "I2 links symmetric", check: structure::links_symmetric },
    Invariant { name: "I2 bindings listed", check: structure::bindings_listed },
    Invariant { name: "I3 slots canonical", check: structure::slots_canonical },
    Invariant { name: "I4 in slots of tables", check: structure::housed },
    Invariant { name: "I6 monotonic", check: authority::monotonic },
    Invariant { name: "I13 typed memory", check: authority::typed_memory },
    Invariant { name: "I15 immediate cut", check: revocation::cut },
    Invariant { name: "I15 peek agrees", check: revocation::peek_agrees },
    Invariant { name: "I16 marks counted", check: revocation::marks_counted },
];

/// Checks them all.
pub fn check_all(subject: &Subject, fixed: &[Table]) -> Result<(), String> {
    for invariant in ALL {
        (invariant.check)(subject, fixed).map_err(|why| format!("{}: {why}", invariant.name))?;
    }
    Ok(())
}
