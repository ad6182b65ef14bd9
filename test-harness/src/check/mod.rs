//! What the real kernel did to capabilities, held against the specification.
//!
//! A kernel with the [journal](idl::journal) writes down every operation on its forest and on the ledger. Here the
//! journal is read out of the machine's memory and replayed: the specification judges each operation by what was asked,
//! answered and reported and by every slot that was written, from the empty forest of each kernel on. The first
//! difference ends it, and both states are shown.
//!
//! Reading order: [`journal`] (records as they lie in memory), [`entry`] (what a record says), [`forest`] and [`ledger`]
//! (the comparison), [`mod@replay`] (all kernels of a machine), [`show`] (states as text), [`game`] (journals that are made
//! for this), [`assured`] (what all that adds to `docs/assurance.md`).

pub mod assured;
pub mod entry;
pub mod forest;
pub mod game;
pub mod journal;
pub mod ledger;
pub mod replay;
pub mod show;

pub use replay::{Replay, Tally, replay};
