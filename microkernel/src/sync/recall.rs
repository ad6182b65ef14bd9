//! How the supervisor gets a core back that may not want to go: it orders, waits, insists, and in the end does without.
//!
//! Whatever the core does, this ends: it has parked, or it is given up, and with it everything that it may still reach.

use super::mailbox::{Command, Mailbox, Sequence};
use crate::types::Ticks;

/// A clock for whoever waits, which goes only while he looks at it. A host that is busy, or that stops the whole machine for a
/// while, stops the waiter as well as whom he waits for: what passes meanwhile is nobody's delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    shown: Ticks,
    looked: Ticks,
}

impl Watch {
    /// What it shows now. Since the last look it went on by no more than `most`.
    pub fn look(&mut self, now: Ticks, most: Ticks) -> Ticks {
        let passed = now.0.saturating_sub(self.looked.0).min(most.0);
        *self = Self { shown: self.shown.after(Ticks(passed)), looked: now };
        self.shown
    }
}

/// An order to leave that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recall {
    /// To park, or condemned.
    pub order: Command,
    /// Its number.
    pub sequence: Sequence,
    /// When it was given, by the [`Watch`] of who waits.
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

    /// How it stands when that watch shows `now`, if a core has `patience` to answer each order.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// In microseconds: so long a core has, and so much counts between two looks.
    const PATIENCE: Ticks = Ticks(1_000_000);
    const MOST: Ticks = Ticks(1_000);

    #[test]
    fn who_looks_all_the_time_waits_as_long_as_he_means_to() {
        for step in [1, 7, 1_000] {
            let (mut watch, begin) = (Watch::default(), 5_000_000);
            let since = watch.look(Ticks(begin), MOST);
            let mut now = begin;
            while watch.look(Ticks(now), MOST) < since.after(PATIENCE) {
                now += step;
            }
            assert_eq!(now - begin, PATIENCE.0.next_multiple_of(step));
        }
    }

    #[test]
    fn time_that_the_waiter_did_not_run_does_not_count() {
        let mut watch = Watch::default();
        let since = watch.look(Ticks(0), MOST);
        // Stopped for a minute, ten times; an hour; for ever.
        let gaps = [60_000_000; 10].into_iter().chain([3_600_000_000, u64::MAX / 2]);
        let mut now = 0;
        for gap in gaps {
            now += gap;
            assert!(watch.look(Ticks(now), MOST) < since.after(PATIENCE), "after {now}");
        }
        // A clock that goes back is no reason to lose patience either.
        assert_eq!(watch.look(Ticks(5), MOST), watch.look(Ticks(5), MOST));
    }

    #[test]
    fn a_deaf_core_is_found_out_after_as_many_looks_as_it_takes() {
        let mut watch = Watch::default();
        let since = watch.look(Ticks(0), MOST);
        let looks = (1..).find(|look| watch.look(Ticks(look * 1_000_000), MOST) >= since.after(PATIENCE));
        assert_eq!(looks, Some(PATIENCE.0 / MOST.0));
    }
}
