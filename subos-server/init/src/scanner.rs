//! The thread that looks at lots. A lot can go by force while somebody reads it; who reads it then faults, and that
//! must not be init itself.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use caps::{Error, Rights};
use idl::abi::PAGE_SIZE;
use idl::types::{Badge, Bits, Deadline, LotNumber, PageIndex, Pages};
use userlib::cap::{Cap, Endpoint, Notification, Region, Thread, cap};
use userlib::memory::{self, Mapping};
use userlib::sync::Mutex;
use userlib::{slots, thread};

/// The badge of its faults; servers have small numbers.
pub const BADGE: Badge = Badge(1 << 32);
/// Pages that are mapped at a time: few enough for the page tables of this space, and as many as that allows, since
/// every unmapping waits for all cores.
const WINDOW: u32 = 4096;
/// Words of a page.
#[allow(clippy::cast_possible_truncation, reason = "512")]
const WORDS: usize = (PAGE_SIZE / 8) as usize;
/// What every page gets as its first word when it was looked at: so it is in use, and whoever has it next can tell
/// whether it was cleared.
const MARK: u64 = 0x6564_6f77_6f68_6365;

/// A lot to look at.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Which.
    pub lot: LotNumber,
    /// All of it.
    pub region: Cap<Region>,
    /// How large it is.
    pub pages: Pages,
}

/// What came of a job: how many of its pages held anything but zeros.
pub type Finding = (Job, Result<Pages, Error>);

/// What the two threads share.
#[derive(Debug, Default)]
struct Desk {
    job: Option<Job>,
    finding: Option<Finding>,
}

/// The thread, from outside. It does one job at a time.
#[derive(Debug)]
pub struct Scanner {
    desk: Arc<Mutex<Desk>>,
    wake: Cap<Notification>,
    thread: Cap<Thread>,
}

impl Scanner {
    /// Starts the thread. When it has found something it signals `done` with these bits; when it faults, `faults`
    /// hears of it with [`BADGE`], and it is of no more use.
    ///
    /// # Errors
    /// Those of starting a thread.
    pub fn start(faults: Cap<Endpoint>, done: Cap<Notification>, bits: Bits) -> Result<Self, Error> {
        let desk = Arc::new(Mutex::new(Desk::default()));
        let wake = memory::create::<Notification>(0)?;
        let theirs = Arc::clone(&desk);
        let builder = thread::Builder::new().faults(faults.handle(), BADGE);
        let thread = builder.spawn(move || work(&theirs, wake, done, bits))?.thread();
        Ok(Self { desk, wake, thread })
    }

    /// Ends the thread, wherever it is; nobody has to answer its fault then.
    ///
    /// # Errors
    /// Those of `CSpace.delete`.
    pub fn end(self) -> Result<(), Error> {
        slots::delete(self.thread.handle())?;
        slots::delete(self.wake.handle())
    }

    /// Its thread.
    #[must_use]
    pub const fn thread(&self) -> Cap<Thread> {
        self.thread
    }

    /// Gives it a job.
    ///
    /// # Errors
    /// Those of signalling.
    pub fn give(&self, job: Job) -> Result<(), Error> {
        self.desk.lock().job = Some(job);
        self.wake.signal(Bits(1))
    }

    /// Takes what it found, if it has.
    #[must_use]
    pub fn take(&self) -> Option<Finding> {
        self.desk.lock().finding.take()
    }
}

/// What the thread does.
fn work(desk: &Mutex<Desk>, wake: Cap<Notification>, done: Cap<Notification>, bits: Bits) {
    while wake.wait(Deadline::NEVER).is_ok() {
        let Some(job) = desk.lock().job.take() else { continue };
        let finding = look(&job);
        desk.lock().finding = Some((job, finding));
        if done.signal(bits).is_err() {
            return;
        }
    }
}

fn look(job: &Job) -> Result<Pages, Error> {
    let mut used = 0;
    let mut first = 0;
    while first < job.pages.0 {
        let pages = Pages(WINDOW.min(job.pages.0 - first));
        used += look_at(job.region, PageIndex(first), pages)?;
        first += pages.0;
    }
    Ok(Pages(used))
}

/// Counts the pages that hold anything, and marks all of them.
fn look_at(region: Cap<Region>, first: PageIndex, pages: Pages) -> Result<u32, Error> {
    let rights = Rights::READ | Rights::WRITE;
    let slice = slots::fill(|slot| region.slice(first, pages, rights | Rights::DERIVE, slot))?;
    let result = Mapping::of(cap(slice), rights).map(|window| {
        let mut used = 0;
        for page in 0..pages.0 as usize {
            let word = |index: usize| window.word(page * WORDS + index);
            let holds = |index| word(index).is_some_and(|word| word.load(Ordering::Relaxed) != 0);
            used += u32::from((0..WORDS).any(holds));
            if let Some(word) = word(0) {
                word.store(MARK, Ordering::Relaxed);
            }
        }
        (window, used)
    });
    // The mapping goes with what it was made of.
    slots::delete(slice)?;
    let (window, used) = result?;
    window.gone();
    Ok(used)
}
