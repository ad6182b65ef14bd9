//! The fake machine as a supervisor sees it.

use caps::Error;
use idl::event::Event;
use idl::kernel::machine::{AuditReport, LedgerEntry};
use idl::kernel::subos::SubOsInfo;
use idl::plan::{Chunks, CoreNumber, LotNumber, MAX_GIVEN, Scrub, SubOsIndex};
use idl::types::{LedgerState, Progress, ResourceKind, StatisticsQuestion, SubOsNumber, SubOsState, Ticks};
use supervisor_server::order::Moment;
use supervisor_server::port::{Given, MachinePort, Own, Places, Totals};

use super::{Behaviour, Call, FakeMachine, FakeSubOs, Fault, RATE, entry};

/// How often a long operation wants to be called.
const STEPS: u32 = 4;
/// Ticks that every call takes.
const CALL: u64 = 3;
/// More rests than any run needs.
const TOO_MANY_RESTS: u64 = 1_000_000;

impl FakeMachine {
    fn tick(&mut self) {
        self.now += CALL;
        self.catch_up();
    }

    fn subos(&mut self, subos: SubOsIndex) -> Result<&mut FakeSubOs, Error> {
        self.suboses.get_mut(&subos.0).ok_or(Error::EmptySlot)
    }

    /// A subOS whose kernel still works.
    fn living(&mut self, subos: SubOsIndex) -> Result<&mut FakeSubOs, Error> {
        let subos = self.subos(subos)?;
        if subos.condemned { Err(Error::Condemned) } else { Ok(subos) }
    }

    /// One step of a long operation.
    fn step(&mut self, subos: SubOsIndex) -> Result<Progress, Error> {
        let subos = self.subos(subos)?;
        subos.reclaiming += 1;
        if subos.reclaiming < STEPS {
            return Ok(Progress::More);
        }
        subos.reclaiming = 0;
        Ok(Progress::Done)
    }

    fn release_core(&mut self, core: u8) {
        let silent = self.has(&Fault::SilentCore(core));
        let state = if silent { LedgerState::Quarantined } else { LedgerState::Free };
        self.cores[usize::from(core)].state = state;
    }
}

impl MachinePort for FakeMachine {
    fn now(&self) -> Ticks {
        Ticks(self.now)
    }

    fn ticks_per_second(&self) -> u64 {
        RATE * 1000
    }

    fn totals(&mut self) -> Result<Totals, Error> {
        let free = self.chunks.iter().filter(|entry| entry.state == LedgerState::Free).count();
        Ok(Totals { cores: self.cores.len() as u64, chunks: self.chunks.len() as u64, free: free as u64 })
    }

    fn own(&mut self) -> Result<Own, Error> {
        Ok(Own { switches: 1, interrupts: 1, ..Own::default() })
    }

    fn places(&mut self) -> Result<Places, Error> {
        Ok(Places { areas: 0x20_0000, area: 0x4_0000, shares: 0x40_0000, share: 0x1_3000, books: 0x60_0000 })
    }

    fn ledger(&mut self, kind: ResourceKind, index: u64) -> Result<LedgerEntry, Error> {
        self.reached += 1;
        if (kind, index) == (ResourceKind::Chunk, 0) {
            self.amid = None;
        }
        let entries = match kind {
            ResourceKind::Core => &self.cores,
            ResourceKind::Chunk => &self.chunks,
        };
        entries.get(usize::try_from(index).expect("a small number")).copied().ok_or(Error::NoResource)
    }

    fn audit(&mut self) -> Result<AuditReport, Error> {
        let violations = u64::from(self.has(&Fault::BadAudit));
        Ok(AuditReport { entries: 1000, violations, first: violations * 2, place: 0x1000 })
    }

    fn note(&mut self, at: usize, bytes: &[u8]) {
        self.notes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn noted(&mut self, at: usize, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.notes[at..at + bytes.len()]);
    }

    fn found(&mut self, subos: SubOsIndex) -> Result<Option<SubOsInfo>, Error> {
        let cores = self.cores_of(subos.0).into_iter().fold(0, |mask, core| mask | 1 << core);
        Ok(self.suboses.get(&subos.0).map(|found| {
            let state = match found {
                found if found.condemned => SubOsState::Condemned,
                found if found.dying => SubOsState::Dying,
                found if found.started => SubOsState::Running,
                found if found.loaded => SubOsState::Loaded,
                _ => SubOsState::Created,
            };
            let chunks = found.lots.values().fold(0, |sum, lot| sum + u32::try_from(lot.len()).expect("few"));
            let number = SubOsNumber(u32::from(subos.0) + 1);
            SubOsInfo { state, cores, chunks: idl::types::Chunks(chunks), number }
        }))
    }

    fn create(&mut self, subos: SubOsIndex, home: Chunks) -> Result<(), Error> {
        self.begins(Call::Create);
        self.tick();
        assert!(!self.suboses.contains_key(&subos.0), "a subOS is created once at a time");
        if self.refuses() {
            return Err(Error::NoResource);
        }
        let chunks = self.take(home.0 as usize, subos.0 + 1, 0).ok_or(Error::NoResource)?;
        let behaviour = self.behaviours[usize::from(subos.0)].clone();
        let mut new = FakeSubOs { behaviour, ..FakeSubOs::default() };
        new.lots.insert(0, chunks);
        self.suboses.insert(subos.0, new);
        Ok(())
    }

    fn attach(&mut self, subos: SubOsIndex, entry: &str) -> Result<Progress, Error> {
        self.tick();
        assert!(!entry.is_empty());
        assert!(!self.living(subos)?.started, "files come before the start");
        if self.living(subos)?.attached {
            return Err(Error::WrongState);
        }
        let progress = self.step(subos)?;
        self.living(subos)?.attached = progress == Progress::Done;
        Ok(progress)
    }

    fn load(&mut self, subos: SubOsIndex, entry: &str, _: &str) -> Result<(), Error> {
        self.tick();
        assert!(!entry.is_empty());
        let subos = self.living(subos)?;
        if subos.loaded {
            return Err(Error::WrongState);
        }
        subos.loaded = true;
        Ok(())
    }

    fn start(&mut self, subos: SubOsIndex) -> Result<(), Error> {
        self.amid = None;
        self.tick();
        let now = self.now;
        let subos = self.living(subos)?;
        if subos.started || !subos.loaded {
            return Err(Error::WrongState);
        }
        (subos.started, subos.born, subos.seen) = (true, now, now);
        Ok(())
    }

    fn grant_core(&mut self, subos: SubOsIndex, core: CoreNumber) -> Result<(), Error> {
        self.begins(Call::GrantCore);
        self.tick();
        self.living(subos)?;
        let refused = self.refuses();
        let seat = self.cores.get_mut(usize::from(core.0)).ok_or(Error::NoResource)?;
        if refused || seat.state != LedgerState::Free {
            return Err(Error::NoResource);
        }
        *seat = entry(LedgerState::Owned, subos.0 + 1, 0);
        let event = Event::CoreGranted { core: idl::types::CoreNumber(u32::from(core.0)) };
        let _ = self.living(subos)?.tell(event.to_words());
        Ok(())
    }

    fn reclaim_core(&mut self, subos: SubOsIndex, core: CoreNumber) -> Result<Progress, Error> {
        self.begins(Call::ReclaimCore);
        self.tick();
        self.living(subos)?;
        if !self.cores_of(subos.0).contains(&core.0) {
            return Err(Error::NotOwner);
        }
        if self.has(&Fault::EndlessCore(core.0)) {
            self.now += RATE;
            return Ok(Progress::More);
        }
        if self.step(subos)? == Progress::More {
            return Ok(Progress::More);
        }
        self.release_core(core.0);
        Ok(Progress::Done)
    }

    fn grant_lot(&mut self, subos: SubOsIndex, size: Chunks) -> Result<LotNumber, Error> {
        self.begins(Call::GrantLot);
        self.tick();
        let lots = &self.living(subos)?.lots;
        let lot = (0u8..32).find(|lot| !lots.contains_key(lot)).ok_or(Error::NoResource)?;
        if self.refuses() {
            return Err(Error::NoResource);
        }
        let chunks = self.take(size.0 as usize, subos.0 + 1, lot).ok_or(Error::NoResource)?;
        let granted = self.living(subos)?;
        granted.lots.insert(lot, chunks);
        let event = Event::LotGranted {
            lot: idl::types::LotNumber(u32::from(lot)),
            chunks: idl::types::Chunks(size.0),
        };
        let _ = granted.tell(event.to_words());
        Ok(LotNumber(lot))
    }

    fn grant(&mut self, subos: SubOsIndex, cores: u64, lots: [Chunks; MAX_GIVEN]) -> Result<Given, Error> {
        self.begins(Call::Grant);
        self.tick();
        self.living(subos)?;
        let mut position = 0;
        let cores: Vec<u8> = (0u8..64).filter(|core| cores >> core & 1 != 0).collect();
        for core in &cores {
            let free = self.cores.get(usize::from(*core)).is_some_and(|core| core.state == LedgerState::Free);
            if self.refuses() || !free {
                return Ok(Given::Nothing(position, Error::NoResource));
            }
            position += 1;
        }
        let mut made: Vec<(u8, Vec<usize>)> = Vec::new();
        for size in lots.into_iter().filter(|size| size.0 > 0) {
            let taken = &self.living(subos)?.lots;
            let number = (0u8..32).find(|lot| !taken.contains_key(lot) && made.iter().all(|(n, _)| n != lot));
            let number = number.ok_or(Error::NoResource)?;
            let refused = self.refuses();
            let taken = (!refused).then(|| self.take(size.0 as usize, subos.0 + 1, number)).flatten();
            let Some(chunks) = taken else {
                made.iter().for_each(|(_, chunks)| self.free(chunks));
                return Ok(Given::Nothing(position, Error::NoResource));
            };
            made.push((number, chunks));
            position += 1;
        }
        for core in cores {
            self.cores[usize::from(core)] = entry(LedgerState::Owned, subos.0 + 1, 0);
            let event = Event::CoreGranted { core: idl::types::CoreNumber(u32::from(core)) };
            let _ = self.living(subos)?.tell(event.to_words());
        }
        let numbers = made.iter().map(|(number, _)| LotNumber(*number)).collect();
        for (number, chunks) in made {
            let event = Event::LotGranted {
                lot: idl::types::LotNumber(u32::from(number)),
                chunks: idl::types::Chunks(u32::try_from(chunks.len()).expect("a small number")),
            };
            let granted = self.living(subos)?;
            granted.lots.insert(number, chunks);
            let _ = granted.tell(event.to_words());
        }
        Ok(Given::All(numbers))
    }

    fn scrub(&mut self, subos: SubOsIndex, when: Scrub) -> Result<(), Error> {
        self.tick();
        assert!(!self.living(subos)?.started, "it is said before there is anything to clear");
        self.scrubbed.insert(subos.0, when);
        Ok(())
    }

    fn info(&mut self, subos: SubOsIndex) -> Result<SubOsInfo, Error> {
        self.tick();
        let cores = self.cores_of(subos.0).iter().fold(0, |mask, core| mask | 1 << core);
        let living = self.subos(subos)?;
        let state = if living.condemned { SubOsState::Condemned } else { SubOsState::Running };
        let chunks = living.lots.values().map(Vec::len).sum::<usize>();
        let chunks = idl::types::Chunks(u32::try_from(chunks).expect("a small number"));
        Ok(SubOsInfo { state, cores, chunks, number: SubOsNumber(u32::from(subos.0) + 1) })
    }

    fn reclaim_lot(&mut self, subos: SubOsIndex, lot: LotNumber) -> Result<Progress, Error> {
        self.begins(Call::ReclaimLot);
        self.tick();
        if lot.0 == 0 {
            return Err(Error::HomeLot);
        }
        if !self.living(subos)?.lots.contains_key(&lot.0) {
            return Err(Error::NotOwner);
        }
        if self.step(subos)? == Progress::More {
            return Ok(Progress::More);
        }
        let chunks = self.living(subos)?.lots.remove(&lot.0).unwrap_or_default();
        self.leave(chunks);
        Ok(Progress::Done)
    }

    fn share(&mut self, [one, other]: [SubOsIndex; 2], size: Chunks) -> Result<[LotNumber; 2], Error> {
        self.begins(Call::Share);
        self.tick();
        let mut lots = [LotNumber(0); 2];
        for (side, lot) in [one, other].into_iter().zip(&mut lots) {
            let taken = &self.living(side)?.lots;
            lot.0 = (0u8..32).find(|lot| !taken.contains_key(lot)).ok_or(Error::NoResource)?;
        }
        if self.refuses() {
            return Err(Error::NoResource);
        }
        let chunks = self.take(size.0 as usize, one.0 + 1, lots[0].0).ok_or(Error::NoResource)?;
        for (side, lot) in [one, other].into_iter().zip(lots) {
            self.living(side)?.lots.insert(lot.0, chunks.clone());
        }
        Ok(lots)
    }

    fn destroy(&mut self, subos: SubOsIndex) -> Result<Progress, Error> {
        // From the first call on it does nothing any more; until then its console was read.
        let going = self.subos(subos)?;
        (going.started, going.dying) = (false, true);
        self.begins(Call::Destroy);
        self.tick();
        if self.step(subos)? == Progress::More {
            return Ok(Progress::More);
        }
        for core in self.cores_of(subos.0) {
            self.release_core(core);
        }
        let gone = self.suboses.remove(&subos.0).ok_or(Error::EmptySlot)?;
        assert!(gone.console.is_empty(), "the console is read to its end before it goes");
        self.told.entry(subos.0).or_default().extend(&gone.windows);
        for (lot, mut chunks) in gone.lots {
            if lot == 0 && self.has(&Fault::Leak) {
                chunks.pop();
            }
            self.leave(chunks);
        }
        Ok(Progress::Done)
    }

    fn tell(&mut self, subos: SubOsIndex, words: [u64; 5]) -> Result<(), Error> {
        self.tick();
        if self.has(&Fault::NoRoom(subos.0)) {
            return Err(Error::Full);
        }
        self.living(subos)?.tell(words)
    }

    fn hear(&mut self, subos: SubOsIndex) -> Result<[u64; 5], Error> {
        self.tick();
        self.subos(subos)?.up.pop_front().ok_or(Error::Empty)
    }

    fn console(&mut self, subos: SubOsIndex, bytes: &mut [u8]) -> Result<usize, Error> {
        self.tick();
        let console = &mut self.subos(subos)?.console;
        let count = console.len().min(bytes.len());
        for (to, from) in bytes.iter_mut().zip(console.drain(..count)) {
            *to = from;
        }
        self.printed.entry(subos.0).or_default().extend(&bytes[..count]);
        Ok(count)
    }

    fn statistics(
        &mut self,
        subos: SubOsIndex,
        core: CoreNumber,
        which: StatisticsQuestion,
    ) -> Result<[u64; 5], Error> {
        self.tick();
        self.reached += 1;
        let subos = self.living(subos)?;
        let work = subos.work.get(&core.0).copied().unwrap_or(0);
        let guests = if matches!(subos.behaviour, Behaviour::Prints(..)) { work } else { 0 };
        let timers = if subos.behaviour == Behaviour::Spins { work } else { 0 };
        Ok(match which {
            StatisticsQuestion::Calls => [work, work, 0, 0, guests],
            StatisticsQuestion::Interrupts => [work, timers, 0, 0, 0],
            StatisticsQuestion::Moves => [1, 0, 0, 0, 0],
            StatisticsQuestion::Kernel => [work, 0, 0, 0, 0],
            StatisticsQuestion::Memories | StatisticsQuestion::Meetings | StatisticsQuestion::Planted => {
                [0; 5]
            }
        })
    }

    fn epitaph(&mut self, subos: SubOsIndex, bytes: &mut [u8]) -> Result<usize, Error> {
        self.tick();
        let text = b"it died as the test wants it";
        self.subos(subos)?;
        bytes[..text.len()].copy_from_slice(text);
        Ok(text.len())
    }

    fn mark(&mut self, moment: Moment) {
        self.marks.push((moment, self.milliseconds(), self.reached));
    }

    fn rest(&mut self, until: Ticks) {
        match &mut self.line {
            // It is the operator who ends such a run.
            Some(line) => line.wait(),
            None => self.rests += 1,
        }
        assert!(self.rests < TOO_MANY_RESTS, "the run does not end");
        self.now = self.now.max(until.0) + CALL;
        self.catch_up();
    }

    fn line_receive(&mut self, room: &mut [u8]) -> usize {
        self.line.as_mut().map_or(0, |line| line.receive(room))
    }

    fn line_send(&mut self, bytes: &[u8]) -> usize {
        self.line.as_mut().map_or(bytes.len(), |line| line.send(bytes))
    }

    fn write(&mut self, text: &str) {
        self.transcript.push_str(text);
    }

    fn exit(&mut self, status: u8) {
        self.status = Some(status);
    }
}
