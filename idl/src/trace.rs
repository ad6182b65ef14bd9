//! The ring of events that each core keeps, as one finds it in memory: what the kernel's `trace` writes.
//!
//! A ring is a page of the core's area: how many events there ever were, then the last [`EVENTS`] of them, each in its place
//! by its number. Nobody stops for who reads it: what was overwritten meanwhile is told apart by the count.

/// Which page of a core's area it is.
pub const PAGE: u64 = 22;
/// How many events it has.
pub const EVENTS: usize = 64;
/// Words of an event: when, what, and two arguments.
pub const EVENT_WORDS: usize = 4;
/// Words of a ring.
pub const RING_WORDS: usize = 1 + EVENTS * EVENT_WORDS;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// The core joined a subOS with this number.
    Arrived(u64),
    /// A system call: the op word, the handle.
    Syscall(u64, u64),
    /// An interrupt from user mode, with this vector.
    Interrupt(u64),
    /// An exception of a program: the vector, the address.
    Fault(u64, u64),
    /// The core woke from idling: what was pending.
    Woken(u64),
    /// A visit of the supervisor's to this subOS began.
    Visit(u64),
    /// And ended.
    VisitEnd(u64),
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The how manieth of its core.
    pub number: u64,
    /// When, in ticks.
    pub time: u64,
    /// What.
    pub happened: Happened,
}

impl Event {
    /// Reads an event's words; nothing if they are none.
    fn from_words(number: u64, [time, kind, first, second]: [u64; EVENT_WORDS]) -> Option<Self> {
        // Two bytes are the kind; what is beside them means nothing.
        let happened = match kind & 0xffff {
            1 => Happened::Arrived(first),
            2 => Happened::Syscall(first, second),
            3 => Happened::Interrupt(first),
            4 => Happened::Fault(first, second),
            5 => Happened::Woken(first),
            6 => Happened::Visit(first),
            7 => Happened::VisitEnd(first),
            _ => return None,
        };
        Some(Self { number, time, happened })
    }
}

/// The events of a ring from this number on, oldest first. `later` is the count, read again after the ring: what may have been
/// overwritten in between is left out.
pub fn events(ring: &[u64; RING_WORDS], later: u64, from: u64) -> impl Iterator<Item = Event> {
    let [count, entries @ ..] = ring;
    let (entries, _) = entries.as_chunks::<EVENT_WORDS>();
    let kept = EVENTS as u64;
    // The place of the event that comes next may be half written, too.
    let first = from.max(count.saturating_sub(kept)).max(later.saturating_sub(kept - 1));
    (first..*count).filter_map(move |number| {
        let entry = entries.get(usize::try_from(number % kept).ok()?)?;
        Event::from_words(number, *entry)
    })
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn ring(count: u64) -> [u64; RING_WORDS] {
        let mut ring = [0; RING_WORDS];
        ring[0] = count;
        for number in count.saturating_sub(EVENTS as u64)..count {
            let at = 1 + usize::try_from(number).unwrap() % EVENTS * EVENT_WORDS;
            // Rubbish beside the kind.
            ring[at..at + EVENT_WORDS].copy_from_slice(&[number.wrapping_mul(10), 0xabcd_0002, number, 7]);
        }
        ring
    }

    fn numbers(count: u64, later: u64, from: u64) -> Vec<u64> {
        events(&ring(count), later, from).map(|event| event.number).collect()
    }

    #[test]
    fn events_are_found_by_their_numbers() {
        let first = events(&ring(3), 3, 0).next().unwrap();
        assert_eq!(first, Event { number: 0, time: 0, happened: Happened::Syscall(0, 7) });
        assert_eq!(numbers(3, 3, 0), [0, 1, 2]);
        assert_eq!(numbers(3, 3, 2), [2]);
        assert_eq!(numbers(1000, 1000, 0), (937..1000).collect::<Vec<_>>());
        assert_eq!(numbers(1000, 1000, 990), (990..1000).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_overwritten_meanwhile_is_left_out() {
        assert_eq!(numbers(1000, 1030, 0), (967..1000).collect::<Vec<_>>());
        assert_eq!(numbers(1000, 5000, 0), Vec::<u64>::new());
        assert_eq!(numbers(0, 0, 0), Vec::<u64>::new());
        assert_eq!(numbers(u64::MAX, u64::MAX, u64::MAX), Vec::<u64>::new());
    }

    #[test]
    fn any_words_are_read() {
        let ring = core::array::from_fn(|at| (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        assert!(events(&ring, 3, 0).count() <= EVENTS);
    }
}
