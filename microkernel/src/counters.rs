//! What a core did for a kernel: numbers for people and for the supervisor's policy. Nothing depends on them.

use idl::types::StatisticsQuestion;

use zerocopy::{FromBytes, transmute};

use crate::arch::Vector;

/// What happened on a core while it worked for this kernel, over all its stays.
#[derive(Clone, Copy, Debug, Default, FromBytes)]
pub struct Counters {
    /// System calls, all kinds.
    pub calls: u64,
    /// Messages delivered to a receiver, calls and answers both.
    pub messages: u64,
    /// Signals of notifications.
    pub signals: u64,
    /// Faults of threads.
    pub faults: u64,
    /// Guests entered.
    pub guests: u64,
    /// Times that another thread got the core.
    pub switches: u64,
    /// Interrupts of its timer.
    pub timers: u64,
    /// Doorbells that rang.
    pub doorbells: u64,
    /// Other interrupts: other cores asked it to flush, or to look at its queue.
    pub others: u64,
    /// Threads started.
    pub starts: u64,
    /// Objects made.
    pub objects: u64,
    /// Ticks from entries to exits; of a core that is not this kernel's, those of its visits.
    pub kernel: u64,
    /// Times that the core came.
    pub arrivals: u64,
    /// Times that it went.
    pub departures: u64,
    /// Ticks that it was here, without the present stay.
    pub owned: u64,
    /// Ticks during which a thread ran.
    pub busy: u64,
}

/// Counts one more. It would take centuries until a count was full, so nobody pays for looking whether it is.
#[inline(always)]
pub const fn count(counter: &mut u64) {
    *counter = counter.wrapping_add(1);
}

impl Counters {
    /// Nothing happened.
    pub const ZERO: Self = transmute!([0_u8; size_of::<Self>()]);

    /// Counts an interrupt.
    pub fn interrupt(&mut self, vector: Vector) {
        match vector {
            Vector::TIMER => self.timers += 1,
            Vector::DOORBELL => self.doorbells += 1,
            _ => self.others += 1,
        }
    }

    /// The answer to a question, the present stay being `staying` ticks long.
    #[must_use]
    pub const fn answer(&self, question: StatisticsQuestion, staying: u64) -> [u64; 5] {
        let owned = self.owned.saturating_add(staying);
        let idle = owned.saturating_sub(self.busy);
        match question {
            StatisticsQuestion::Calls => [self.calls, self.messages, self.signals, self.faults, self.guests],
            StatisticsQuestion::Interrupts => [self.switches, self.timers, self.doorbells, self.others, idle],
            StatisticsQuestion::Moves => [self.arrivals, self.departures, owned, self.busy, self.objects],
            StatisticsQuestion::Kernel => [self.kernel, self.starts, 0, 0, 0],
            StatisticsQuestion::Memories | StatisticsQuestion::Meetings | StatisticsQuestion::Planted => {
                [0; 5]
            }
        }
    }
}
