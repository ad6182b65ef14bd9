//! The port to the real machine: the kernel's invocations, and the entries of the boot bundle. The supervisor is a process;
//! what it is not to lose when it crashes lies with its keeper ([`charge`]).

use alloc::vec::Vec;

use caps::{Error, Handle, Rights};
use idl::abi::{PAGE_SIZE, REGISTER_WORDS};
use idl::bundle::Bundle;
use idl::kernel::console::LINE_BYTES;
use idl::kernel::machine::{AuditReport, LedgerEntry};
use idl::kernel::subos::SubOsInfo;
use idl::message::Message;
use idl::plan::{Chunks, CoreNumber, LotNumber, MAX_GIVEN, Scrub, SubOsIndex};
use idl::types::{
    Bits, Deadline, Length, MachineQuestion, PageIndex, Pages, Progress, ResourceKind, Scrubbing,
    StatisticsQuestion, Ticks,
};
use userlib::cap::{CSpace, Cap, Core, Endpoint, Machine, Notification, Region, SubOs, cap, complete};
use userlib::memory::Mapping;
use userlib::{Environment, console, environment, memory, page, slots, testing, time};

use crate::charge;
use crate::order::Moment;
use crate::port::{Given, MachinePort, Own, Places, Totals};

/// The bit that every subOS's doorbell sets.
const RING: Bits = Bits(1);

/// The machine that this program runs on.
#[derive(Debug)]
pub struct ThisMachine {
    machine: Cap<Machine>,
    modules: Handle,
    bundle: Bundle<'static>,
    doorbell: Cap<Notification>,
    core: Cap<Core>,
    vault: Cap<CSpace>,
    notes: Mapping,
    line: Cap<Endpoint>,
    own: Cap<CSpace>,
    suboses: Vec<Option<Cap<SubOs>>>,
}

impl ThisMachine {
    /// The machine, with the boot bundle.
    ///
    /// # Errors
    /// Those of making a notification, and of mapping the memory for notes.
    pub fn new(environment: &Environment, bundle: Bundle<'static>) -> Result<Self, Error> {
        Ok(Self {
            machine: cap(environment.granted(charge::MACHINE)),
            modules: environment.modules().handle(),
            bundle,
            doorbell: memory::create::<Notification>(0)?,
            core: cap(environment.granted(charge::CORE)),
            vault: cap(environment.granted(charge::VAULT)),
            notes: Mapping::of(
                cap::<Region>(environment.granted(charge::NOTES)),
                Rights::READ | Rights::WRITE,
            )?,
            line: cap(environment.granted(charge::LINE)),
            own: environment.cspace(),
            suboses: Vec::new(),
        })
    }

    fn subos(&self, subos: SubOsIndex) -> Result<Cap<SubOs>, Error> {
        self.suboses.get(usize::from(subos.0)).copied().flatten().ok_or(Error::EmptySlot)
    }

    /// Works with a copy of what lies in the vault for a subOS, and has its doorbell ring here.
    fn take_copy(&mut self, subos: SubOsIndex) -> Result<Cap<SubOs>, Error> {
        let kept = self.vault.at(charge::place(subos))?;
        let rights = self.vault.info(kept)?.rights;
        let copy = cap(slots::fill(|slot| self.vault.copy(kept, Handle::NONE, slot, rights))?);
        let index = usize::from(subos.0);
        if self.suboses.len() <= index {
            self.suboses.resize(index + 1, None);
        }
        if let Some(seat) = self.suboses.get_mut(index) {
            *seat = Some(copy);
        }
        Ok(copy)
    }

    /// Forgets a subOS that is gone: its capability names nothing any more.
    fn forget(&mut self, subos: SubOsIndex) -> Result<(), Error> {
        if let Some(seat) = self.suboses.get_mut(usize::from(subos.0))
            && let Some(copy) = seat.take()
        {
            slots::release(copy.handle().index());
        }
        match self.vault.at(charge::place(subos)) {
            Err(Error::EmptySlot) => Ok(()),
            kept => {
                let kept = kept?;
                complete(|| self.vault.delete(kept))
            }
        }
    }

    /// The pages of an entry of the boot bundle.
    fn pages(&self, entry: &str) -> Result<(PageIndex, Pages), Error> {
        let entry = self.bundle.find(entry).ok_or(Error::NoResource)?;
        let first = u32::try_from(entry.offset as u64 / PAGE_SIZE).map_err(|_| Error::BadRange)?;
        Ok((PageIndex(first), memory::pages_for(entry.data.len() as u64)?))
    }
}

impl MachinePort for ThisMachine {
    fn now(&self) -> Ticks {
        time::now()
    }

    fn ticks_per_second(&self) -> u64 {
        time::ticks_per_second()
    }

    fn totals(&mut self) -> Result<Totals, Error> {
        let [cores, chunks, free, _, _] = self.machine.info(MachineQuestion::Totals)?;
        Ok(Totals { cores, chunks, free })
    }

    fn own(&mut self) -> Result<Own, Error> {
        let core = self.core.info()?;
        let [_, _, audits, core_moves, lot_moves] = self.machine.info(MachineQuestion::Clock)?;
        Ok(Own { switches: core.switches, interrupts: core.interrupts, core_moves, lot_moves, audits })
    }

    fn places(&mut self) -> Result<Places, Error> {
        let [areas, area, shares, share, books] = self.machine.info(MachineQuestion::Places)?;
        Ok(Places { areas, area, shares, share, books })
    }

    fn ledger(&mut self, kind: ResourceKind, index: u64) -> Result<LedgerEntry, Error> {
        self.machine.ledger(kind, index)
    }

    fn audit(&mut self) -> Result<AuditReport, Error> {
        self.machine.audit()
    }

    fn create(&mut self, subos: SubOsIndex, home: Chunks) -> Result<(), Error> {
        let home = idl::types::Chunks(home.0);
        let made = slots::fill(|slot| self.machine.create(home, slot))?;
        // The capability itself and no copy: it ends what it names when it goes, as what is in this table does when this
        // program crashes. Nobody relies on a subOS yet that goes between these two calls.
        self.own.move_(made, self.vault.handle(), charge::place(subos))?;
        slots::release(made.index());
        self.take_copy(subos)?.bind(self.doorbell.handle(), RING)
    }

    fn note(&mut self, at: usize, bytes: &[u8]) {
        self.notes.write(at, bytes);
    }

    fn noted(&mut self, at: usize, bytes: &mut [u8]) {
        self.notes.read(at, bytes);
    }

    fn found(&mut self, subos: SubOsIndex) -> Result<Option<SubOsInfo>, Error> {
        let found = match self.take_copy(subos) {
            Err(Error::EmptySlot) => return Ok(None),
            found => found?,
        };
        match found.info() {
            // It was gone when the supervisor before crashed, and nobody had time to forget it.
            Err(Error::StaleHandle) => {
                slots::delete(found.handle())?;
                self.suboses.get_mut(usize::from(subos.0)).map(Option::take);
                self.forget(subos)?;
                Ok(None)
            }
            info => {
                let info = info?;
                found.bind(self.doorbell.handle(), RING)?;
                Ok(Some(info))
            }
        }
    }

    fn attach(&mut self, subos: SubOsIndex, entry: &str) -> Result<Progress, Error> {
        let (page, pages) = self.pages(entry)?;
        self.subos(subos)?.attach(self.modules, page, pages)
    }

    fn load(&mut self, subos: SubOsIndex, entry: &str, arguments: &str) -> Result<(), Error> {
        let (first, pages) = self.pages(entry)?;
        let subos = self.subos(subos)?;
        let length = page::put_bytes(arguments.as_bytes())?;
        subos.load(self.modules, first, pages, length)
    }

    fn start(&mut self, subos: SubOsIndex) -> Result<(), Error> {
        self.subos(subos)?.start()
    }

    fn grant_core(&mut self, subos: SubOsIndex, core: CoreNumber) -> Result<(), Error> {
        self.subos(subos)?.grant_core(number(core))
    }

    fn reclaim_core(&mut self, subos: SubOsIndex, core: CoreNumber) -> Result<Progress, Error> {
        self.subos(subos)?.reclaim_core(number(core), Ticks(0))
    }

    fn grant_lot(&mut self, subos: SubOsIndex, size: Chunks) -> Result<LotNumber, Error> {
        self.subos(subos)?.grant_lot(idl::types::Chunks(size.0)).and_then(lot_number)
    }

    fn grant(&mut self, subos: SubOsIndex, cores: u64, lots: [Chunks; MAX_GIVEN]) -> Result<Given, Error> {
        let [first, second, third] = lots.map(|size| idl::types::Chunks(size.0));
        let granted = self.subos(subos)?.grant(cores, first, second, third)?;
        if let Some(position) = granted.refused.checked_sub(1) {
            let error = u16::try_from(granted.error).ok().and_then(Error::from_number);
            return Ok(Given::Nothing(
                usize::try_from(position).unwrap_or(usize::MAX),
                error.unwrap_or(Error::NoResource),
            ));
        }
        let numbers = [granted.first, granted.second, granted.third].into_iter();
        let wanted = lots.iter().filter(|size| size.0 > 0).count();
        numbers.take(wanted).map(lot_number).collect::<Result<_, _>>().map(Given::All)
    }

    fn scrub(&mut self, subos: SubOsIndex, when: Scrub) -> Result<(), Error> {
        self.subos(subos)?.set_scrubbing(match when {
            Scrub::AtOnce => Scrubbing::AtOnce,
            Scrub::AtGrant => Scrubbing::AtGrant,
        })
    }

    fn info(&mut self, subos: SubOsIndex) -> Result<SubOsInfo, Error> {
        self.subos(subos)?.info()
    }

    fn share(&mut self, [one, other]: [SubOsIndex; 2], size: Chunks) -> Result<[LotNumber; 2], Error> {
        let peer = self.subos(other)?.handle();
        let lots = self.subos(one)?.share(peer, idl::types::Chunks(size.0))?;
        Ok([lot_number(lots.lot)?, lot_number(lots.peer)?])
    }

    fn reclaim_lot(&mut self, subos: SubOsIndex, lot: LotNumber) -> Result<Progress, Error> {
        self.subos(subos)?.reclaim_lot(idl::types::LotNumber(u32::from(lot.0)))
    }

    fn destroy(&mut self, subos: SubOsIndex) -> Result<Progress, Error> {
        let target = self.subos(subos)?;
        let done = target.destroy()?;
        if done == Progress::Done {
            // The last call deleted the capability that was named: its slot is free.
            self.forget(subos)?;
        }
        Ok(done)
    }

    fn tell(&mut self, subos: SubOsIndex, words: [u64; REGISTER_WORDS]) -> Result<(), Error> {
        let [a, b, c, d, e] = words;
        self.subos(subos)?.send(a, b, c, d, e)
    }

    fn hear(&mut self, subos: SubOsIndex) -> Result<[u64; REGISTER_WORDS], Error> {
        self.subos(subos)?.receive()
    }

    fn console(&mut self, subos: SubOsIndex, bytes: &mut [u8]) -> Result<usize, Error> {
        let most = u32::try_from(bytes.len()).map_err(|_| Error::TooLong)?;
        let length = self.subos(subos)?.read_console(Length(most))?;
        take_bytes(bytes, length)
    }

    fn statistics(
        &mut self,
        subos: SubOsIndex,
        core: CoreNumber,
        which: StatisticsQuestion,
    ) -> Result<[u64; REGISTER_WORDS], Error> {
        self.subos(subos)?.statistics(number(core), which)
    }

    fn epitaph(&mut self, subos: SubOsIndex, bytes: &mut [u8]) -> Result<usize, Error> {
        let length = self.subos(subos)?.epitaph()?;
        take_bytes(bytes, length)
    }

    fn mark(&mut self, moment: Moment) {
        match moment {
            Moment::Begin => testing::mark::<{ testing::SHARING_BEGIN }>(),
            Moment::End => testing::mark::<{ testing::SHARING_END }>(),
        }
    }

    fn rest(&mut self, until: Ticks) {
        // Woken, late, or refused: the director looks at the clock in any case.
        let _ = self.doorbell.wait(Deadline(until.0.max(Deadline::POLL.0)));
    }

    fn write(&mut self, text: &str) {
        // Where the machine's console refuses there is nowhere else to say so.
        let _ = console::write(text.as_bytes());
    }

    fn line_receive(&mut self, room: &mut [u8]) -> usize {
        // A line that refuses has nothing to say.
        let most = u32::try_from(room.len().min(LINE_BYTES)).unwrap_or(0);
        let came = environment().console().receive(Length(most));
        came.and_then(|length| take_bytes(room, length)).unwrap_or(0)
    }

    fn line_send(&mut self, bytes: &[u8]) -> usize {
        let part = bytes.get(..bytes.len().min(LINE_BYTES)).unwrap_or(bytes);
        let sent = page::put_bytes(part).and_then(|length| environment().console().send(length));
        sent.map_or(0, |length| usize::try_from(length.0).unwrap_or(0))
    }

    fn exit(&mut self, status: u8) {
        // Only the keeper may end the machine. If it does not hear there is nobody to say so to.
        let _ = self.line.send(&Message::short(charge::OVER, &[u64::from(status)]), Deadline::NEVER);
    }
}

const fn number(core: CoreNumber) -> idl::types::CoreNumber {
    idl::types::CoreNumber(core.0 as u32)
}

fn lot_number(lot: idl::types::LotNumber) -> Result<LotNumber, Error> {
    u8::try_from(lot.0).map(LotNumber).map_err(|_| Error::OutOfRange)
}

/// Takes what an invocation left in the message page.
fn take_bytes(bytes: &mut [u8], length: Length) -> Result<usize, Error> {
    let length = usize::try_from(length.0).unwrap_or(usize::MAX).min(bytes.len());
    page::get_bytes(bytes.get_mut(..length).ok_or(Error::TooLong)?)
}
