//! The frame pool: who holds which frame, by count.
//!
//! A frame is held once by each page record that shows it and once by the file that keeps it. Part
//! of the pool is the *page cache*: its frames hold clean copies of bundle files and nothing else,
//! so that the whole part can be given up at any moment ([`FramePool::retire`]).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::error::{Errno, Result};
use crate::platform::Frame;

/// What the frames of a range may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolUse {
    /// Programs' memory and files.
    General,
    /// Clean copies of bundle files, droppable on request.
    Cache,
}

/// Counts of the pool, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolCounts {
    /// Frames for programs, in use or not.
    pub general: u32,
    /// Of them, free.
    pub general_free: u32,
    /// Frames of the page cache, in use or not.
    pub cache: u32,
    /// Of them, free.
    pub cache_free: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not ours: never added, or given up.
    Absent,
    General(u32),
    Cache(u32),
}

/// The pool.
pub(crate) struct FramePool {
    states: Vec<State>,
    free: Vec<Frame>,
    cache_free: Vec<Frame>,
    counts: PoolCounts,
    /// Ranges that are being given up: what is freed there is gone, not free.
    leaving: Vec<Range<u32>>,
}

impl FramePool {
    pub(crate) const fn new() -> Self {
        let counts = PoolCounts { general: 0, general_free: 0, cache: 0, cache_free: 0 };
        Self { states: Vec::new(), free: Vec::new(), cache_free: Vec::new(), counts, leaving: Vec::new() }
    }

    /// Adds frames that the platform has from now on. Those already there are passed over.
    pub(crate) fn add(&mut self, range: Range<u32>, pool: PoolUse) {
        if self.states.len() < range.end as usize {
            self.states.resize(range.end as usize, State::Absent);
        }
        self.leaving.retain(|leaving| leaving.end <= range.start || range.end <= leaving.start);
        let mut fresh = Vec::new();
        // Backwards and below what is there: the lowest frames are taken first, so that the frames of
        // one lot are used up before the next lot's are touched.
        for number in range.rev() {
            if self.states[number as usize] != State::Absent {
                continue;
            }
            fresh.push(Frame(number));
            self.states[number as usize] = match pool {
                PoolUse::General => State::General(0),
                PoolUse::Cache => State::Cache(0),
            };
        }
        let count = u32::try_from(fresh.len()).unwrap_or(u32::MAX);
        let list = match pool {
            PoolUse::General => {
                self.counts.general += count;
                &mut self.free
            }
            PoolUse::Cache => {
                self.counts.cache += count;
                &mut self.cache_free
            }
        };
        fresh.append(list);
        *list = fresh;
    }

    pub(crate) fn counts(&self) -> PoolCounts {
        let free = |list: &Vec<Frame>| u32::try_from(list.len()).unwrap_or(u32::MAX);
        PoolCounts { general_free: free(&self.free), cache_free: free(&self.cache_free), ..self.counts }
    }

    /// Whether a file may take another frame. The last sixteenth is for programs: a file that fills
    /// everything must be refused, not end whoever next touches a page.
    pub(crate) fn has_room_for_files(&self) -> bool {
        let counts = self.counts();
        counts.general_free > counts.general / 16
    }

    /// A frame with undefined contents, held once.
    pub(crate) fn take(&mut self) -> Result<Frame> {
        let frame = self.free.pop().ok_or(Errno::ENOMEM)?;
        self.states[frame.0 as usize] = State::General(1);
        Ok(frame)
    }

    /// Forgets a frame that was just taken: the memory behind it is gone.
    pub(crate) fn discard(&mut self, frame: Frame) {
        match &mut self.states[frame.0 as usize] {
            State::General(_) => self.counts.general -= 1,
            State::Cache(_) => self.counts.cache -= 1,
            State::Absent => {}
        }
        self.states[frame.0 as usize] = State::Absent;
    }

    /// A frame of the page cache with undefined contents, held once.
    pub(crate) fn take_cache(&mut self) -> Option<Frame> {
        let frame = self.cache_free.pop()?;
        self.states[frame.0 as usize] = State::Cache(1);
        Some(frame)
    }

    /// Holders of a frame.
    pub(crate) fn holders(&self, frame: Frame) -> u32 {
        match self.states[frame.0 as usize] {
            State::Absent => 0,
            State::General(holders) | State::Cache(holders) => holders,
        }
    }

    /// Whether the frame belongs to the page cache, and so must never be written by a program.
    pub(crate) fn is_cache(&self, frame: Frame) -> bool {
        matches!(self.states[frame.0 as usize], State::Cache(_))
    }

    pub(crate) fn retain(&mut self, frame: Frame) {
        match &mut self.states[frame.0 as usize] {
            State::General(holders) | State::Cache(holders) => *holders += 1,
            State::Absent => unreachable!("a frame that was given up has no holders"),
        }
    }

    /// Drops a holder; with the last the frame is free, or gone if it is being given up.
    pub(crate) fn release(&mut self, frame: Frame) {
        let leaves = self.leaving.iter().any(|range| range.contains(&frame.0));
        let state = &mut self.states[frame.0 as usize];
        match state {
            State::General(holders) => {
                *holders -= 1;
                if *holders == 0 && leaves {
                    *state = State::Absent;
                    self.counts.general -= 1;
                } else if *holders == 0 {
                    self.free.push(frame);
                }
            }
            State::Cache(holders) => {
                *holders -= 1;
                if *holders == 0 && leaves {
                    *state = State::Absent;
                    self.counts.cache -= 1;
                } else if *holders == 0 {
                    self.cache_free.push(frame);
                }
            }
            State::Absent => unreachable!("a frame that was given up has no holders"),
        }
    }

    /// Compares the holders of every frame with what `counted` finds.
    ///
    /// # Errors
    /// The first frame whose count is wrong, or a free list that is.
    pub(crate) fn audit(&self, counted: impl Fn(Frame) -> u32) -> core::result::Result<(), String> {
        let (mut free, mut cache_free) = (0, 0);
        for (number, state) in (0u32..).zip(&self.states) {
            let (recorded, found) = (self.holders(Frame(number)), counted(Frame(number)));
            if recorded != found {
                return Err(format!("frame {number} has {found} holders and {recorded} are recorded"));
            }
            free += usize::from(*state == State::General(0));
            cache_free += usize::from(*state == State::Cache(0));
        }
        if (free, cache_free) != (self.free.len(), self.cache_free.len()) {
            return Err(format!("{free} and {cache_free} frames are free, and the lists say otherwise"));
        }
        Ok(())
    }

    /// Takes free frames of `range` out of the pool for good. The answer is how many of the range
    /// are still held; the caller drops or moves what they hold and asks again.
    pub(crate) fn retire(&mut self, range: &Range<u32>) -> u32 {
        if !self.leaving.contains(range) {
            self.leaving.push(range.clone());
        }
        let inside = |frame: &Frame| range.contains(&frame.0);
        self.free.retain(|frame| !inside(frame));
        self.cache_free.retain(|frame| !inside(frame));
        let mut held = 0;
        let end = (range.end as usize).min(self.states.len());
        for state in self.states.get_mut(range.start as usize..end).unwrap_or(&mut []) {
            match state {
                State::Absent => continue,
                State::General(0) => self.counts.general -= 1,
                State::Cache(0) => self.counts.cache -= 1,
                State::General(_) | State::Cache(_) => {
                    held += 1;
                    continue;
                }
            }
            *state = State::Absent;
        }
        held
    }
}
