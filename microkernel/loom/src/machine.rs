//! The hardware around the protocols, as far as they depend on it.

use loom::cell::UnsafeCell;
use loom::sync::Notify;

use crate::atomic::{AtomicU64, Ordering, spin_loop};

/// Memory that is not atomic: `loom` finds every access that another one is not ordered with.
#[derive(Debug)]
pub struct Memory(UnsafeCell<u64>);

// SAFETY: nobody reaches the value; the cell is asked only whether access would be exclusive.
unsafe impl Sync for Memory {}

impl Memory {
    /// Some memory.
    #[must_use]
    pub fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    /// Somebody reads it.
    pub fn read(&self) {
        if !std::thread::panicking() {
            self.0.with(|_| ());
        }
    }

    /// Somebody writes it, and so is alone with it.
    pub fn write(&self) {
        if !std::thread::panicking() {
            self.0.with_mut(|_| ());
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// A core's interrupt line: what is sent stays until the core takes it. What the sender wrote before, the core sees: the
/// write to the APIC is ordered after all before it (or fenced, see `apic::send`).
#[derive(Debug, Default)]
pub struct Line(Notify);

impl Line {
    /// No interrupt waits.
    #[must_use]
    pub fn new() -> Self {
        Self(Notify::new())
    }

    /// Interrupts the core.
    pub fn send(&self) {
        self.0.notify();
    }

    /// The core does something else until it is interrupted, or for no reason sooner.
    pub fn wait(&self) {
        self.0.wait();
    }
}

/// What threads of a model tell each other besides; seeing it raised orders what came before.
#[derive(Debug, Default)]
pub struct Flag(AtomicU64);

impl Flag {
    /// Raises it once more.
    pub fn raise(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// How often it was raised, as far as can be seen.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Waits until it was raised.
    pub fn await_raised(&self) {
        while self.count() == 0 {
            spin_loop();
        }
    }
}

/// A page and the table entry that leads to it.
#[derive(Debug)]
pub struct Page {
    entry: AtomicU64,
    /// What is in it.
    pub memory: Memory,
}

impl Page {
    /// A mapped page.
    #[must_use]
    pub fn mapped() -> Self {
        Self { entry: AtomicU64::new(1), memory: Memory::new() }
    }

    /// Takes the entry away.
    pub fn unmap(&self) {
        self.entry.store(0, Ordering::Relaxed);
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::mapped()
    }
}

/// What a core remembers of one page's entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Translation(bool);

impl Translation {
    /// Nothing is remembered.
    pub const NONE: Self = Self(false);

    /// The core uses the page, if it remembers that it may, or if the entry says so, which it then remembers. Says
    /// whether it could.
    pub fn touch(&mut self, page: &Page) -> bool {
        if *self == Self::NONE {
            self.0 = page.entry.load(Ordering::Relaxed) != 0;
        }
        if self.0 {
            page.memory.read();
        }
        self.0
    }

    /// The core forgets.
    pub fn flush(&mut self) {
        *self = Self::NONE;
    }
}
