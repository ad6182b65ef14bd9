//! The two rounds in which a subOS's cores let go of a lot before it is used again (docs/decisions/0062).
//!
//! When the first begins, nothing that the kernel can find leads to the lot any more. When it is over, every core has
//! entered the kernel since, having saved into whatever frame it had, and left for something that still exists. Now
//! the lot leaves the kernel half; when the second round is over, every core has forgotten that it was there.

use super::board::Epoch;

/// How far a lot has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rounds {
    is_second: bool,
    /// What every core must have acknowledged: then the round is over.
    pub awaited: Epoch,
}

impl Rounds {
    /// The first round begins: this epoch was raised after the last that led to the lot was gone.
    #[must_use]
    pub const fn begun(epoch: Epoch) -> Self {
        Self { is_second: false, awaited: epoch }
    }

    /// A round is over. Says whether it was the second, so that nobody reaches the lot any more; else the second begins:
    /// `unmap` takes the lot out of the kernel half, and then raises the epoch.
    ///
    /// # Errors
    /// Those of `unmap`.
    pub fn next<E>(&mut self, unmap: impl FnOnce() -> Result<Epoch, E>) -> Result<bool, E> {
        let over = self.is_second;
        if !over {
            *self = Self { is_second: true, awaited: unmap()? };
        }
        Ok(over)
    }
}
