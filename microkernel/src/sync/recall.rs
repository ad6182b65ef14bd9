//! How the supervisor gets a core back that may not want to go: it orders, waits, insists, and in the end does without.
//!
//! Whatever the core does, this ends: it has parked, or it is given up, and with it everything that it may still reach.

use super::mailbox::{Command, Mailbox, Sequence};
use crate::types::Ticks;

/// An order to leave that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recall {
    /// To park, or condemned.
    pub order: Command,
    /// Its number.
    pub sequence: Sequence,
    /// When it was given.
    pub since: Ticks,
}

/// How it stands with a recall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The core has parked.
    Parked,
    /// It still has time.
    Patience,
    /// It was asked and did not answer: its subOS is lost, and the core is to be condemned.
    Deaf,
    /// It was condemned and did not answer: nobody knows what it does, now or ever.
    Silent,
}

impl Recall {
    /// Whether the core has parked: it reaches nothing of its owner's any more.
    #[must_use]
    pub fn is_answered(&self, mailbox: &Mailbox) -> bool {
        mailbox.acknowledged() >= self.sequence
    }

    /// How it stands, if a core has `patience` to answer each order.
    #[must_use]
    pub fn standing(&self, mailbox: &Mailbox, now: Ticks, patience: Ticks) -> Standing {
        match self.order {
            _ if self.is_answered(mailbox) => Standing::Parked,
            _ if now < self.since.after(patience) => Standing::Patience,
            Command::Condemn => Standing::Silent,
            _ => Standing::Deaf,
        }
    }
}
