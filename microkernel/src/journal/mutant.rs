//! Wrongs that a test asks this kernel to do, to see that the comparison with the specification finds them.

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
            _ => return Err(Error::InvalidArgument),
        })
    }
}
