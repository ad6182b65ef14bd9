//! What the supervisor wrote last, for an operator who comes later.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use idl::operator::{LOG_BYTES, LogPart};

/// How much is remembered.
const KEPT: usize = 128 * 1024;

/// The end of what was written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    bytes: VecDeque<u8>,
    /// How many bytes there were before these.
    first: u64,
}

impl Log {
    /// Takes more in, and forgets the oldest.
    pub(crate) fn push(&mut self, text: &str) {
        self.bytes.extend(text.as_bytes());
        let over = self.bytes.len().saturating_sub(KEPT);
        self.bytes.drain(..over);
        self.first = self.first.saturating_add(over as u64);
    }

    /// What there is from this place on, or from the oldest that is remembered.
    pub(crate) fn part(&self, from: u64) -> LogPart {
        let end = self.first.saturating_add(self.bytes.len() as u64);
        let first = from.clamp(self.first, end);
        let skipped = usize::try_from(first - self.first).unwrap_or(usize::MAX);
        let bytes: Vec<u8> = self.bytes.iter().skip(skipped).take(LOG_BYTES).copied().collect();
        LogPart { first, bytes: heapless::Vec::from_slice(&bytes).unwrap_or_default(), end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_and_places_stay() {
        let mut log = Log::default();
        assert_eq!(log.part(7), LogPart { first: 0, bytes: heapless::Vec::new(), end: 0 });
        for line in 0..20_000 {
            log.push(&alloc::format!("line {line:05}\n"));
        }
        let end = 20_000 * 11;
        let oldest = log.part(0);
        assert_eq!((oldest.first, oldest.end), (end - KEPT as u64, end));
        let (mut at, mut all) = (0, Vec::new());
        while at < end {
            let part = log.part(at);
            assert!(!part.bytes.is_empty() && (at == 0 || part.first == at));
            at = part.first + part.bytes.len() as u64;
            all.extend(part.bytes);
        }
        assert_eq!(all.len(), KEPT);
        assert!(all.ends_with(b"line 19999\n"));
        assert_eq!(log.part(u64::MAX).first, end);
    }
}
