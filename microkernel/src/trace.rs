//! A small ring of typed events per core, for the epitaph and for debuggers. Each core writes only its own.

use core::fmt;

use static_assertions::const_assert;

use crate::arch::x86_64::area;
use crate::arch::x86_64::core::Core;
use crate::limits::{PAGE, TRACE_EVENTS};
use crate::types::{CoreId, Ticks};

/// What happened. The two arguments of [`record`] mean what is said here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u16)]
pub enum Event {
    /// The entry is unused.
    #[default]
    None = 0,
    /// The core joined a subOS: its number.
    Arrived = 1,
    /// A system call: the op word, the handle.
    Syscall = 2,
    /// An interrupt from user mode: the vector.
    Interrupt = 3,
    /// A user's exception: the vector, the address.
    Fault = 4,
    /// The core woke from idling: what was pending.
    Woken = 5,
    /// A visit began: the subOS.
    Visit = 6,
    /// A visit ended: the subOS.
    VisitEnd = 7,
}

/// One entry: 32 bytes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Entry {
    /// When, in TSC ticks.
    pub time: u64,
    /// What.
    pub event: Event,
    /// First argument.
    pub first: u64,
    /// Second argument.
    pub second: u64,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:#x} {:#x}", self.time, self.event, self.first, self.second)
    }
}

/// The ring; zeroes are an empty one.
#[derive(Debug)]
#[repr(C)]
pub struct Ring {
    /// How many events were ever recorded.
    count: usize,
    entries: [Entry; TRACE_EVENTS],
}

const_assert!(size_of::<Ring>() as u64 <= PAGE);

impl Ring {
    /// Adds an event over the oldest.
    #[inline(always)]
    pub fn push(&mut self, entry: Entry) {
        self.entries[self.count % TRACE_EVENTS] = entry;
        self.count = self.count.wrapping_add(1);
    }

    /// The last events, oldest first.
    pub fn last(&self, wanted: usize) -> impl Iterator<Item = &Entry> {
        let kept = self.count.min(TRACE_EVENTS);
        let first = self.count - kept.min(wanted);
        (first..self.count).filter_map(|at| self.entries.get(at % TRACE_EVENTS))
    }
}

/// Records an event of this core.
#[inline]
pub fn record(core: &mut Core, now: Ticks, event: Event, first: u64, second: u64) {
    with_ring(core, |ring| ring.push(Entry { time: now.0, event, first, second }));
}

/// Works with this core's ring; the exclusive core stands for the exclusive ring.
#[cfg(feature = "image")]
pub(crate) fn with_ring<R>(core: &mut Core, work: impl FnOnce(&mut Ring) -> R) -> R {
    work(crate::arch::x86_64::image::trace_ring(core))
}

/// On the host there are no core areas, so there is nothing to trace to.
#[cfg(not(feature = "image"))]
pub(crate) fn with_ring<R>(_core: &mut Core, work: impl FnOnce(&mut Ring) -> R) -> R {
    work(&mut Ring { count: 0, entries: [Entry::default(); TRACE_EVENTS] })
}

/// Where a core's ring is.
#[must_use]
pub const fn address(core: CoreId) -> u64 {
    area::base(core) + area::TRACE_PAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_is_as_others_read_it() {
        assert_eq!(area::TRACE_PAGE, idl::trace::PAGE * PAGE);
        assert_eq!(TRACE_EVENTS, idl::trace::EVENTS);
        assert_eq!(size_of::<Ring>(), idl::trace::RING_WORDS * 8);
        let mut ring = Ring { count: 0, entries: [Entry::default(); TRACE_EVENTS] };
        ring.push(Entry { time: 5, event: Event::Fault, first: 14, second: 0x1000 });
        let mut words = [0; idl::trace::RING_WORDS];
        words[0] = ring.count as u64;
        let entry = &ring.entries[0];
        words[1..5].copy_from_slice(&[entry.time, entry.event as u64, entry.first, entry.second]);
        let read = idl::trace::events(&words, words[0], 0).next().map(|event| event.happened);
        assert_eq!(read, Some(idl::trace::Happened::Fault(14, 0x1000)));
        let offsets = [
            core::mem::offset_of!(Entry, time),
            core::mem::offset_of!(Entry, event),
            core::mem::offset_of!(Entry, first),
            core::mem::offset_of!(Entry, second),
        ];
        assert_eq!(offsets, [0, 8, 16, 24]);
        assert_eq!(core::mem::offset_of!(Ring, entries), 8);
    }

    #[test]
    fn the_ring_keeps_the_last_events_in_order() {
        let mut ring = Ring { count: 0, entries: [Entry::default(); TRACE_EVENTS] };
        assert_eq!(ring.last(8).count(), 0);
        for time in 0..300 {
            ring.push(Entry { time, event: Event::Arrived, first: 0, second: 0 });
        }
        let times: std::vec::Vec<u64> = ring.last(3).map(|entry| entry.time).collect();
        assert_eq!(times, [297, 298, 299]);
        assert_eq!(ring.last(1000).count(), TRACE_EVENTS);
    }
}
