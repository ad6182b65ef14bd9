//! Wrongs that a test asks this kernel to do, to see that the comparison with the specification finds them; and, last, two
//! bugs of the museum that have nothing to do with the model.

use caps::Error;

/// What is done wrong from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutant {
    /// A lookup does not look at rights.
    BlindToRights,
    /// A copy has all rights of what it is copied from.
    GreedyCopy,
    /// A revoke says that it is done before it began.
    EarlyDone,
    /// The last effect of a step is lost.
    LostEffect,
    /// After a copy, something else writes into its slot.
    StrayWrite,
    /// The journal says something else than what a system call is answered.
    FalseAnswer,
    /// Whoever queues at an endpoint is woken in one go, however many they are.
    EndlessDrain,
    /// A signal that is there already does not reach a thread that receives.
    DroppedSignal,
}

impl Mutant {
    /// The mutant with this number.
    pub(super) const fn numbered(number: u64) -> Result<Self, Error> {
        Ok(match number {
            1 => Self::BlindToRights,
            2 => Self::GreedyCopy,
            3 => Self::EarlyDone,
            4 => Self::LostEffect,
            5 => Self::StrayWrite,
            6 => Self::FalseAnswer,
            7 => Self::EndlessDrain,
            8 => Self::DroppedSignal,
            _ => return Err(Error::InvalidArgument),
        })
    }
}
