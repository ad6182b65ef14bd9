//! What goes up to the supervisor: nothing is lost because the ring is full for a while.

use alloc::collections::VecDeque;

use caps::Error;
use idl::dialogue::Report;
use idl::types::Ticks;

/// Reports that wait at most; beyond, the oldest goes: init must not grow because a supervisor sleeps.
const WAITING: usize = 64;

/// Reports on their way.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Report>,
    /// How far the servers are, when, and the longest time between two of their calls since that was last sent.
    progress: Option<(u64, Ticks, Ticks)>,
}

impl Outbox {
    /// Adds a report. Of progress only the newest counts, and the longest time of all that were not sent.
    pub fn add(&mut self, report: Report) {
        if let Report::Progress { count, at, longest } = report {
            let before = self.progress.map_or(0, |(.., longest)| longest.0);
            self.progress = Some((count, at, Ticks(longest.0.max(before))));
            return;
        }
        if self.waiting.len() == WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(report);
    }

    /// Sends what waits, as far as there is room.
    ///
    /// # Errors
    /// What sending fails with, but for `Full`.
    pub fn flush(&mut self, mut send: impl FnMut(Report) -> Result<(), Error>) -> Result<(), Error> {
        while let Some(report) = self.waiting.front().copied() {
            match send(report) {
                Ok(()) => self.waiting.pop_front(),
                Err(Error::Full) => return Ok(()),
                Err(error) => return Err(error),
            };
        }
        if let Some((count, at, longest)) = self.progress {
            match send(Report::Progress { count, at, longest }) {
                Ok(()) => self.progress = None,
                Err(Error::Full) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn a_full_ring_loses_no_report_and_only_stale_progress() {
        let mut outbox = Outbox::default();
        outbox.add(Report::Progress { count: 1, at: Ticks(1), longest: Ticks(7) });
        outbox.add(Report::Ended { status: 0 });
        assert_eq!(outbox.flush(|_| Err(Error::Full)), Ok(()));
        outbox.add(Report::Progress { count: 2, at: Ticks(2), longest: Ticks(5) });
        let mut sent = Vec::new();
        let send = |report| {
            sent.push(report);
            Ok(())
        };
        assert_eq!(outbox.flush(send), Ok(()));
        let progress = Report::Progress { count: 2, at: Ticks(2), longest: Ticks(7) };
        assert_eq!(sent, [Report::Ended { status: 0 }, progress]);
        assert_eq!(outbox.flush(|_| Err(Error::MissingRight)), Ok(()));
    }
}
