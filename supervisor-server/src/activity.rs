//! What a subOS did on one core, as its kernel counts.

use idl::abi::REGISTER_WORDS;
use idl::types::StatisticsQuestion;
use serde::{Deserialize, Serialize};

/// What there is to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// System calls.
    pub calls: u64,
    /// Messages passed on.
    pub messages: u64,
    /// Notifications signalled.
    pub signals: u64,
    /// Faults.
    pub faults: u64,
    /// Times a guest was entered.
    pub guests: u64,
    /// Times the core went from one thread to another.
    pub switches: u64,
    /// Timer interrupts.
    pub timers: u64,
    /// Doorbell interrupts.
    pub doorbells: u64,
    /// Other interrupts.
    pub others: u64,
    /// Ticks without anything to do.
    pub idle: u64,
    /// Times the core arrived.
    pub arrivals: u64,
    /// Times the core left.
    pub departures: u64,
    /// Ticks for which the subOS had the core.
    pub owned: u64,
    /// Ticks for which a thread ran.
    pub busy: u64,
    /// Objects made.
    pub objects: u64,
    /// Ticks in its kernel.
    pub kernel: u64,
    /// How many objects there are now of each kind, in the order of the kinds' numbers, bindings left out.
    pub live: [u64; 14],
}

/// By what one sees that a subOS is at work on a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sign {
    /// Whatever only an idle core does not do: calls, faults, guests entered.
    Anything,
    /// Guests entered: foreign programs run.
    Guests,
    /// Its timer expires.
    Timer,
}

impl Sign {
    /// What to count, in a record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anything => "work",
            Self::Guests => "guests",
            Self::Timer => "timers",
        }
    }

    /// How much of it there is.
    #[must_use]
    pub const fn count(self, did: &Activity) -> u64 {
        match self {
            Self::Anything => did.calls.saturating_add(did.faults).saturating_add(did.guests),
            Self::Guests => did.guests,
            Self::Timer => did.timers,
        }
    }
}

impl Activity {
    /// Takes the answer to one question in.
    pub const fn take(&mut self, which: StatisticsQuestion, words: [u64; REGISTER_WORDS]) {
        let [a, b, c, d, e] = words;
        match which {
            StatisticsQuestion::Calls => {
                (self.calls, self.messages, self.signals, self.faults, self.guests) = (a, b, c, d, e);
            }
            StatisticsQuestion::Interrupts => {
                (self.switches, self.timers, self.doorbells, self.others, self.idle) = (a, b, c, d, e);
            }
            StatisticsQuestion::Moves => {
                (self.arrivals, self.departures, self.owned, self.busy, self.objects) = (a, b, c, d, e);
            }
            StatisticsQuestion::Kernel => self.kernel = a,
            StatisticsQuestion::Memories => {
                [self.live[0], self.live[1], self.live[2], self.live[3], self.live[4]] = words
            }
            StatisticsQuestion::Meetings => {
                [self.live[5], self.live[6], self.live[7], self.live[8]] = [a, b, c, d];
            }
            StatisticsQuestion::Planted => {
                [self.live[9], self.live[10], self.live[11], self.live[12], self.live[13]] = words;
            }
        }
    }
}
