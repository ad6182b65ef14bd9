//! How often the supervisor is started again, and how soon.

use core::time::Duration;

/// How long to wait after the first crash in a row: twice as long after each further one.
const FIRST: Duration = Duration::from_millis(5);
/// How many crashes in a row are forgiven.
const FORGIVEN: u32 = 5;
/// A life that was longer than this does not belong in a row with the next.
const LONG: Duration = Duration::from_secs(10);

/// What is to be done after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Start it again after this time.
    Again(Duration),
    /// Do not.
    Enough,
}

/// What is known of crashes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy {
    in_a_row: u32,
    crashes: u32,
}

impl Policy {
    /// It crashed after a life of this length.
    pub fn crashed(&mut self, lived: Duration) -> Verdict {
        self.crashes = self.crashes.saturating_add(1);
        self.in_a_row = if lived > LONG { 1 } else { self.in_a_row.saturating_add(1) };
        if self.in_a_row > FORGIVEN {
            return Verdict::Enough;
        }
        Verdict::Again(FIRST.saturating_mul(1 << (self.in_a_row - 1)))
    }

    /// How often it has crashed.
    #[must_use]
    pub const fn crashes(&self) -> u32 {
        self.crashes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(1);

    #[test]
    fn each_wait_is_twice_the_one_before_and_then_it_is_enough() {
        let mut policy = Policy::default();
        for wait in [5, 10, 20, 40, 80] {
            assert_eq!(policy.crashed(SHORT), Verdict::Again(Duration::from_millis(wait)));
        }
        assert_eq!(policy.crashed(SHORT), Verdict::Enough);
        assert_eq!(policy.crashes(), 6);
    }

    #[test]
    fn a_long_life_is_the_end_of_a_row() {
        let mut policy = Policy::default();
        for _ in 0..100 {
            assert_eq!(policy.crashed(LONG + SHORT), Verdict::Again(FIRST));
        }
        assert_eq!(policy.crashed(LONG), Verdict::Again(2 * FIRST));
    }
}
