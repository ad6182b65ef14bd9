//! Where the journal lies, and how a record is added to it.
//!
//! Boot sets its chunks aside behind the system pages. Every kernel half maps them, since every kernel writes there; so
//! in this build, and only in this one, the kernels have memory in common. A lock of its own keeps records whole and in
//! order; nothing else is taken while it is held.

use core::fmt::Write;
use core::sync::atomic::{AtomicU64, Ordering};

use idl::journal::{BYTES, CROWDED, Code, END, FULL, Head, KERNELS, LOCK, MAGIC, RECORDS, STATE};
use spin::Once;

use crate::arch::x86_64::half::{CommonParts, HalfError, KernelHalf};
use crate::arch::x86_64::pages::SystemPages;
use crate::arch::x86_64::serial::Com1;
use crate::arch::{Access, pause, physmap};
use crate::limits::CHUNK;
use crate::types::PhysAddr;

/// Chunks that boot sets aside for it.
pub const CHUNKS: u64 = BYTES / CHUNK;

/// What a record has behind its head: called with what takes its words, twice with the same words.
pub(super) type Body<'a> = &'a dyn Fn(&mut dyn FnMut(u64));

#[cfg_attr(feature = "image", unsafe(link_section = ".sealed"))]
static START: Once<PhysAddr> = Once::new();

/// Begins it in these chunks, which are zero, and says where it is. Called by boot, once.
pub fn begin(start: PhysAddr) {
    START.call_once(|| start);
    let journal = Journal { start };
    journal.word(END).store(RECORDS as u64, Ordering::Relaxed);
    journal.word(0).store(MAGIC, Ordering::Release);
    let _ = writeln!(Com1, "@journal start={} bytes={BYTES}", start.0);
}

/// Whether a chunk is part of it.
#[must_use]
pub fn covers(chunk: PhysAddr) -> bool {
    START.get().is_some_and(|start| (start.0..start.0 + BYTES).contains(&chunk.0))
}

/// A kernel half in which it is mapped.
///
/// # Errors
/// Those of [`KernelHalf::new`] and [`KernelHalf::map_chunks`].
pub fn half(common: CommonParts, pages: &mut SystemPages) -> Result<KernelHalf, HalfError> {
    let half = KernelHalf::new(common, pages)?;
    let Some(start) = START.get() else { return Ok(half) };
    for chunk in 0..CHUNKS {
        if let Err(error) = half.map_chunks(start.plus(chunk * CHUNK), 1, Access::Write, pages) {
            half.release(pages);
            return Err(error);
        }
    }
    Ok(half)
}

/// A number for a kernel that begins to write.
pub(super) fn next_kernel() -> u16 {
    let Some(journal) = Journal::get() else { return 0 };
    let before = journal.word(KERNELS).fetch_add(1, Ordering::Relaxed);
    u16::try_from(before + 1).unwrap_or(u16::MAX)
}

/// Says that an operation wrote more slots than a record can have.
pub(super) fn crowded() {
    if let Some(journal) = Journal::get() {
        journal.word(STATE).store(CROWDED, Ordering::Relaxed);
    }
}

/// Adds a record.
pub(super) fn append(code: Code, kernel: u16, body: Body<'_>) {
    let Some(journal) = Journal::get() else { return };
    let mut words = 1;
    body(&mut |_| words += 1);
    journal.lock();
    let mut at = usize::try_from(journal.word(END).load(Ordering::Relaxed)).unwrap_or(usize::MAX);
    let missing = journal.word(STATE).load(Ordering::Relaxed) != 0;
    if missing || at.saturating_add(words) as u64 > BYTES / 8 {
        journal.word(STATE).fetch_or(FULL, Ordering::Relaxed);
    } else {
        let head = Head { code, core: 0, kernel, words: u32::try_from(words).unwrap_or(u32::MAX) };
        let mut put = |word| {
            journal.word(at).store(word, Ordering::Relaxed);
            at += 1;
        };
        put(head.to_word());
        body(&mut put);
        journal.word(END).store(at as u64, Ordering::Release);
    }
    journal.unlock();
}

#[derive(Clone, Copy)]
struct Journal {
    start: PhysAddr,
}

impl Journal {
    /// The journal, if boot began one: on the host there is none.
    fn get() -> Option<Self> {
        START.get().map(|&start| Self { start })
    }

    fn word(self, index: usize) -> &'static AtomicU64 {
        assert!((index as u64) < BYTES / 8, "a word of the journal lies in it");
        // SAFETY: boot set this memory aside for the journal for ever, every kernel half maps it, and all of it is
        // reached as atomic words.
        unsafe { physmap::reference(self.start.plus(index as u64 * 8)) }
    }

    fn lock(self) {
        while self.word(LOCK).compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            pause();
        }
    }

    fn unlock(self) {
        self.word(LOCK).store(0, Ordering::Release);
    }
}
