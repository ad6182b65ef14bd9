//! Memory that comes and goes: what a lot holds is looked at, every word of it, by a thread of its own.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use caps::Error;
use idl::abi::PAGE_SIZE;
use idl::dialogue::Report;
use idl::types::{Bits, Chunks, LotNumber, Pages, Priority};
use userlib::cap::{Cap, Core, Endpoint, Notification, Region, Untyped};
use userlib::{environment, memory, slots};

use crate::scanner::{Job, Scanner};

/// One lot, with a region over all of it.
#[derive(Debug)]
struct Lot {
    number: LotNumber,
    untyped: Cap<Untyped>,
    region: Cap<Region>,
    pages: Pages,
}

/// All lots but the home lot.
#[derive(Debug)]
pub struct Lots {
    lots: Vec<Lot>,
    /// Lots that wait to be looked at; the first is being looked at while `busy`.
    waiting: VecDeque<LotNumber>,
    busy: bool,
    scanner: Option<Scanner>,
    faults: Cap<Endpoint>,
    done: Cap<Notification>,
    bits: Bits,
}

impl Lots {
    /// No lots. Faults of the thread that looks at them come to `faults`; `done` is signalled with these bits when
    /// [`Lots::look`] has something to do.
    #[must_use]
    pub const fn new(faults: Cap<Endpoint>, done: Cap<Notification>, bits: Bits) -> Self {
        Self { lots: Vec::new(), waiting: VecDeque::new(), busy: false, scanner: None, faults, done, bits }
    }

    /// A lot is there: it is to be looked at.
    ///
    /// # Errors
    /// When its memory cannot be made into a region.
    pub fn granted(&mut self, number: LotNumber, size: Chunks) -> Result<(), Error> {
        if number.0 == 0 || self.lots.iter().any(|lot| lot.number == number) {
            return Ok(());
        }
        let untyped = environment().lot(number.0)?;
        let pages = memory::pages_for(size.bytes())?;
        debug_assert!(pages.bytes().is_multiple_of(PAGE_SIZE));
        let region = memory::create_from::<Region>(untyped, u64::from(pages.0))?;
        self.lots.push(Lot { number, untyped, region, pages });
        self.wanted(number);
        Ok(())
    }

    /// A lot went, and all that was made of it: the slots are empty already.
    pub fn lost(&mut self, number: LotNumber) {
        if let Some(index) = self.lots.iter().position(|lot| lot.number == number) {
            let lot = self.lots.swap_remove(index);
            slots::release(lot.region.handle().index());
            slots::release(lot.untyped.handle().index());
        }
    }

    /// A lot is to be looked at, to say what it holds.
    pub fn wanted(&mut self, number: LotNumber) {
        if self.lots.iter().any(|lot| lot.number == number) {
            self.waiting.push_back(number);
        }
    }

    /// The thread that looks has faulted: the lot went under its eyes. Another takes its place.
    ///
    /// # Errors
    /// Those of ending a thread.
    pub fn blinded(&mut self) -> Result<(), Error> {
        self.busy = false;
        self.waiting.pop_front();
        self.scanner.take().map_or(Ok(()), Scanner::end)
    }

    /// Takes in what was found, and has the next lot looked at. The answer is what to report.
    ///
    /// # Errors
    /// What looking at a lot failed with; the next one is looked at all the same.
    pub fn look(&mut self) -> Result<Option<Report>, Error> {
        let finding = self.scanner.as_ref().and_then(Scanner::take);
        if finding.is_some() {
            self.busy = false;
            self.waiting.pop_front();
        }
        self.give_next()?;
        match finding {
            None => Ok(None),
            Some((job, Ok(used))) => Ok(Some(Report::Lot { lot: job.lot, looked: job.pages, used })),
            // A lot that went meanwhile is no failure.
            Some((job, Err(_))) if !self.lots.iter().any(|lot| lot.number == job.lot) => Ok(None),
            Some((_, Err(error))) => Err(error),
        }
    }

    /// Has the thread that looks at lots run on this core, if there is such a thread.
    ///
    /// # Errors
    /// Those of `Thread.schedule`.
    pub fn go_to(&self, core: Cap<Core>) -> Result<(), Error> {
        let scanner = self.scanner.as_ref().map(Scanner::thread);
        scanner.map_or(Ok(()), |thread| thread.schedule(Priority::ORDINARY, core.handle()))
    }

    fn give_next(&mut self) -> Result<(), Error> {
        while !self.busy
            && let Some(number) = self.waiting.front().copied()
        {
            let Some(lot) = self.lots.iter().find(|lot| lot.number == number) else {
                self.waiting.pop_front();
                continue;
            };
            let job = Job { lot: number, region: lot.region, pages: lot.pages };
            let scanner = match self.scanner.take() {
                Some(scanner) => scanner,
                None => Scanner::start(self.faults, self.done, self.bits)?,
            };
            scanner.give(job)?;
            self.scanner = Some(scanner);
            self.busy = true;
        }
        Ok(())
    }
}
