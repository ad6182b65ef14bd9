//! What the bench measures, and how.
//!
//! On the deterministic machine one tick of the clock is one instruction, so on one core a figure is a difference of
//! two readings, less what reading costs. Across cores it is not: the clock counts all cores together. There the guest
//! marks points, and the harness takes each core's count at each point from QEMU's plugin.

mod calls;
mod cores;
mod ipc;
mod meter;
mod objects;

use crate::Outcome;

/// What a name among the arguments stands for.
#[derive(Clone, Copy, Debug)]
pub enum Experiment {
    /// Some figures, written as records.
    Whole(fn() -> Outcome),
    /// The other side of one, in a process of its own.
    Part(fn()),
}

/// The experiment with this name.
#[must_use]
pub fn experiment(name: &str) -> Option<Experiment> {
    match name {
        "one-core" => Some(Experiment::Whole(one_core)),
        "cores" => Some(Experiment::Whole(cores::figures)),
        "part-answer" => Some(Experiment::Part(ipc::answer)),
        _ => None,
    }
}

fn one_core() -> Outcome {
    calls::figures()?;
    objects::figures()?;
    ipc::figures()
}
