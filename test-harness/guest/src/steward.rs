//! How a case makes subOSes and handles them, and how it looks at the machine's ledger.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use idl::bundle::{BOOT, Bundle};
use idl::event::Event;
use idl::kernel::machine::LedgerEntry;
use idl::types::{
    Bits, Chunks, CoreNumber, LedgerState, LotNumber, MachineQuestion, PageIndex, Pages, ResourceKind, Ticks,
};
use userlib::cap::{Notification, SubOs, complete};
use userlib::{Cap, Error, cap, check, check_eq, environment, memory, page, println, slots, time};

use crate::wards::HELLO;
use crate::{Outcome, PATIENCE, said};

/// A subOS that a case made.
pub(crate) struct Child {
    /// Its capability.
    pub(crate) subos: Cap<SubOs>,
    /// What it rings.
    pub(crate) bell: Cap<Notification>,
}

impl Child {
    /// Makes one with a home lot of so many chunks and loads it with what `CHILDREN` calls by this name.
    pub(crate) fn new(name: &str, home: u32) -> Result<Self, String> {
        let child = Self::empty(home)?;
        child.load(name)?;
        Ok(child)
    }

    /// The same, without a program.
    pub(crate) fn empty(home: u32) -> Result<Self, String> {
        let made = slots::fill(|slot| environment().machine().create(Chunks(home), slot));
        let subos: Cap<SubOs> = cap(made.map_err(said("create"))?);
        let bell: Cap<Notification> = memory::create(0).map_err(said("a notification"))?;
        subos.bind(bell.handle(), Bits(1)).map_err(said("bind"))?;
        Ok(Self { subos, bell })
    }

    pub(crate) fn load(&self, name: &str) -> Outcome {
        let files = environment().files().map_err(said("files"))?;
        let bundle = Bundle::parse(files).map_err(|error| format!("{error}"))?;
        let program = bundle.find(BOOT).ok_or("no program")?;
        let first = PageIndex(u32::try_from(program.offset / 4096).unwrap_or(0));
        let pages = Pages(u32::try_from(program.data.len().div_ceil(4096)).unwrap_or(0));
        let length = page::put_bytes(name.as_bytes()).map_err(said("arguments"))?;
        self.subos.load(environment().modules().handle(), first, pages, length).map_err(said("load"))
    }

    /// Gives it cores and starts it.
    pub(crate) fn start(&self, cores: &[u32]) -> Outcome {
        for core in cores {
            self.subos.grant_core(CoreNumber(*core)).map_err(said("grant_core"))?;
        }
        self.subos.start().map_err(said("start"))?;
        self.wait_for(HELLO).map(|_| ())
    }

    /// The next record with this first word; others are passed over.
    pub(crate) fn wait_for(&self, code: u64) -> Result<[u64; 5], String> {
        let end = time::after(PATIENCE);
        loop {
            match self.subos.receive() {
                Ok(words) if words[0] == code => return Ok(words),
                Ok(words) => {
                    if let Ok(event) = Event::from_words(&words) {
                        // Threads whose stack goes with a lot may fault before they go too.
                        let expected = matches!(event, Event::Console {} | Event::Unhandled { kind: 14, .. });
                        check!(expected, "an event: {event:?}");
                    }
                }
                Err(Error::Empty) => {
                    self.bell
                        .wait(end)
                        .map(|_| ())
                        .map_err(|error| format!("waiting for {code}: {error}"))?;
                }
                Err(error) => return Err(format!("receive: {error}")),
            }
        }
    }

    /// The next record, whatever it is.
    pub(crate) fn wait_for_any(&self) -> Result<[u64; 5], String> {
        let end = time::after(PATIENCE);
        loop {
            match self.subos.receive() {
                Ok(words) => return Ok(words),
                Err(_) => {
                    self.bell.wait(end).map_err(|error| format!("waiting for a record: {error}"))?;
                }
            }
        }
    }

    /// Takes a core by force.
    pub(crate) fn take_core(&self, core: u32) -> Outcome {
        let take = || self.subos.reclaim_core(CoreNumber(core), Ticks(0));
        complete(take).map_err(said("reclaim_core"))
    }

    /// Takes a lot by force.
    pub(crate) fn take_lot(&self, lot: LotNumber) -> Outcome {
        complete(|| self.subos.reclaim_lot(lot)).map_err(said("reclaim_lot"))
    }

    /// Ends it.
    pub(crate) fn destroy(self) -> Outcome {
        complete(|| self.subos.destroy()).map_err(said("destroy"))?;
        slots::release(self.subos.handle().index());
        check_eq!(self.subos.info(), Err(Error::EmptySlot));
        slots::delete(self.bell.handle()).map_err(said("delete"))
    }
}

/// Every entry of the ledger.
pub(crate) fn ledger() -> Result<Vec<LedgerEntry>, String> {
    let machine = environment().machine();
    let [cores, chunks, ..] = machine.info(MachineQuestion::Totals).map_err(said("info"))?;
    let mut entries = Vec::new();
    for (kind, count) in [(ResourceKind::Core, cores), (ResourceKind::Chunk, chunks)] {
        for index in 0..count {
            entries.push(machine.ledger(kind, index).map_err(said("ledger"))?);
        }
    }
    Ok(entries)
}

pub(crate) fn compare(before: &[LedgerEntry]) -> Outcome {
    let after = ledger()?;
    let differs = before.iter().zip(&after).position(|(before, after)| before != after);
    if let Some(index) = differs {
        return Err(format!("entry {index} was {:?} and is {:?}", before[index], after[index]));
    }
    Ok(())
}

pub(crate) fn audit() -> Outcome {
    let report = environment().machine().audit().map_err(said("audit"))?;
    check!(report.violations == 0, "the audit found {report:?}");
    check!(report.entries > 100, "the audit looked at {} entries", report.entries);
    println!("@audit result=ok entries={}", report.entries);
    Ok(())
}

pub(crate) fn state_of(core: u32) -> Result<LedgerState, String> {
    let entry = environment().machine().ledger(ResourceKind::Core, u64::from(core));
    entry.map(|entry| entry.state).map_err(said("ledger"))
}
