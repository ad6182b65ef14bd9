//! What the capability model means, written naively, and the tests that hold `caps` to it.
//!
//! Design principles
//!
//! 1. *The specification shares nothing with the code* but the types that operations and answers are made of, so that
//!    one mistake cannot hide in both.
//! 2. *Every check after every operation.* A failure is shrunk to a short list of operations and printed as a story.
//! 3. *The tests can fail*: the same tests run against a copy of the code that has the bugs of `museum`, and each is found.
//!
//! Reading order: [`model`] and [`removal`] define the model, and can be read without the rest. [`operation`] lists
//! what can be asked. [`subject`] is the code under test, [`refine`] the comparison, [`invariant`] what must hold of
//! any state, [`transition`] one operation with all checks, [`game`] a course of them, [`play`] random play.
//! [`ledger`] is the same for the ledger. [`small`] goes through every state of small worlds, from which
//! [`abstraction`] reads the specification's state; [`inductive`] through states that are written down, by [`layout`] and
//! [`forge`].

pub mod abstraction;
pub mod forge;
pub mod game;
pub mod inductive;
pub mod invariant;
pub mod layout;
pub mod ledger;
pub mod machine;
pub mod model;
pub mod noninterference;
pub mod operation;
pub mod play;
pub mod record;
pub mod refine;
pub mod removal;
pub mod small;
pub mod story;
pub mod subject;
pub mod transition;
