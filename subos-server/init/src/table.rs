//! The servers of the table: built as it says, watched, and started again after a while when they crash.

use alloc::sync::Arc;
use alloc::vec::Vec;

use caps::{Error, Rights};
use idl::bundle::Bundle;
use idl::interface::Generation;
use idl::message::Fault;
use idl::servers::{Server as Line, Servers as Table};
use idl::types::{Badge, CoreNumber, Pages, Priority, Ticks};
use userlib::cap::{Cap, Core, Endpoint, Thread, Untyped};
use userlib::memory::{self, Mapping};
use userlib::process::{Builder, Process, ProcessError};
use userlib::tally::Tally;
use userlib::{environment, slots, time};

use crate::crash::{Crash, registers_of};
use crate::desk;

/// The badges of faults of these servers begin here; below are those of the pairs.
pub const FIRST_BADGE: u64 = 1 << 16;

/// All servers of the table.
#[derive(Debug)]
pub struct Servers<'a> {
    table: Arc<Table>,
    files: Bundle<'a>,
    faults: Cap<Endpoint>,
    directory: Cap<Endpoint>,
    /// The thread that hands out connections, once it is there.
    desk: Option<Cap<Thread>>,
    running: Vec<Running>,
}

/// One server.
#[derive(Debug)]
struct Running {
    /// Where it receives. It stays when the server goes, so its clients find the next one there.
    endpoint: Cap<Endpoint>,
    tally: Tally,
    crashes: u32,
    state: State,
}

/// What a server is doing.
#[derive(Debug)]
enum State {
    /// It runs.
    Alive(Process),
    /// It is started again in this memory when the time comes.
    Resting(Cap<Untyped>, Ticks),
    /// It stays dead. Its memory is kept, empty.
    Dead,
}

impl<'a> Servers<'a> {
    /// Builds all that the table says, in its order, and begins to hand out connections.
    ///
    /// # Errors
    /// The first thing that fails, with the name of the server that it was about.
    pub fn build(
        table: Table,
        files: Bundle<'a>,
        faults: Cap<Endpoint>,
    ) -> Result<Self, (idl::servers::Name, ProcessError)> {
        let table = Arc::new(table);
        let nobody = |error: Error| (idl::servers::Name::new(), ProcessError::from(error));
        let directory = memory::create::<Endpoint>(0).map_err(nobody)?;
        let mut servers = Self { table, files, faults, directory, desk: None, running: Vec::new() };
        let endpoints = servers.table.servers.iter().map(|_| memory::create::<Endpoint>(0));
        let endpoints = endpoints.collect::<Result<Vec<_>, _>>().map_err(nobody)?;
        let desk = desk::open(directory, Arc::clone(&servers.table), endpoints.clone());
        servers.desk = Some(desk.map_err(nobody)?);
        for (index, endpoint) in endpoints.into_iter().enumerate() {
            let name = servers.line(index).map(|line| line.name.clone()).unwrap_or_default();
            servers.begin(index, endpoint).map_err(|error| (name, error))?;
        }
        Ok(servers)
    }

    /// A core is given: what runs there, or where init does, goes to another.
    ///
    /// # Errors
    /// Those of `Thread.schedule`.
    pub fn leave(&self, number: CoreNumber, other: Cap<Core>) -> Result<(), Error> {
        let lines = self.table.servers.iter().zip(&self.running);
        let there = lines.filter(|(line, _)| line.core.is_none_or(|core| u32::from(core) == number.0));
        let threads = there.filter_map(|(_, server)| match &server.state {
            State::Alive(process) => Some(process.thread()),
            _ => None,
        });
        threads.chain(self.desk).try_for_each(|thread| thread.schedule(Priority::ORDINARY, other.handle()))
    }

    /// A core is there again: those that the table puts there go back to it.
    ///
    /// # Errors
    /// Those of `Thread.schedule`.
    pub fn go_back(&self, number: CoreNumber, core: Cap<Core>) -> Result<(), Error> {
        for (line, server) in self.table.servers.iter().zip(&self.running) {
            if let (Some(place), State::Alive(process)) = (line.core, &server.state)
                && u32::from(place) == number.0
            {
                process.thread().schedule(Priority::ORDINARY, core.handle())?;
            }
        }
        Ok(())
    }

    /// What all servers have done, as they count it.
    #[must_use]
    pub fn progress(&self) -> u64 {
        self.running.iter().map(|server| server.tally.count()).fold(0, u64::saturating_add)
    }

    /// The longest time between two things that one of them has done, as in [`Tally::longest`].
    #[must_use]
    pub fn longest(&self, now: Ticks) -> Ticks {
        self.running.iter().map(|server| server.tally.longest(now)).max().unwrap_or(Ticks(0))
    }

    /// When the next server is to be started again.
    #[must_use]
    pub fn due(&self) -> Ticks {
        let dates = self.running.iter().filter_map(|server| match server.state {
            State::Resting(_, due) => Some(due),
            _ => None,
        });
        dates.min().unwrap_or(Ticks(u64::MAX))
    }

    /// Starts those again whose time has come. The answer is what to say of each that could not be.
    pub fn start_due(&mut self) -> Vec<(idl::servers::Name, ProcessError)> {
        let now = time::now();
        let mut failed = Vec::new();
        for index in 0..self.running.len() {
            let Some(server) = self.running.get_mut(index) else { continue };
            let State::Resting(budget, due) = server.state else { continue };
            if due <= now {
                server.state = State::Dead;
                if let (Err(error), Some(line)) = (self.start(index, budget), self.line(index)) {
                    failed.push((line.name.clone(), error));
                }
            }
        }
        failed
    }

    /// Mends a server's fault if it is one that its clients made; see [`Process::mend`].
    pub fn mend(&mut self, badge: Badge, fault: &Fault) -> bool {
        match self.of(badge).map(|server| &mut server.state) {
            // What cannot be mended is a crash.
            Some(State::Alive(process)) => process.mend(fault).unwrap_or(false),
            _ => false,
        }
    }

    /// A server crashed: shows the crash, ends what is left of it, and has it started again when the table says.
    ///
    /// # Errors
    /// When its memory does not come back.
    pub fn crashed(
        &mut self,
        badge: Badge,
        fault: Fault,
        show: impl FnOnce(&Crash<'_>),
    ) -> Result<(), ProcessError> {
        let Some(index) = index_of(badge) else { return Ok(()) };
        let Some(line) = self.line(index).cloned() else { return Ok(()) };
        let Some(server) = self.of(badge) else { return Ok(()) };
        let State::Alive(process) = core::mem::replace(&mut server.state, State::Dead) else { return Ok(()) };
        server.crashes = server.crashes.saturating_add(1);
        let registers = registers_of(&process);
        let core = u32::from(line.core.unwrap_or(0));
        show(&Crash { name: &line.name, core, times: server.crashes, fault, registers });
        let budget = process.end()?;
        if let Some(delay) = line.restart.delay(server.crashes) {
            let due = time::after(core::time::Duration::from_millis(delay));
            server.state = State::Resting(budget, Ticks(due.0));
        }
        Ok(())
    }

    /// How often servers have crashed.
    #[must_use]
    pub fn crashes(&self) -> u32 {
        self.running.iter().fold(0, |sum, server| sum.saturating_add(server.crashes))
    }

    fn line(&self, index: usize) -> Option<&Line> {
        self.table.servers.get(index)
    }

    fn of(&mut self, badge: Badge) -> Option<&mut Running> {
        self.running.get_mut(index_of(badge)?)
    }

    fn begin(&mut self, index: usize, endpoint: Cap<Endpoint>) -> Result<(), ProcessError> {
        let tally = Tally::of(Mapping::new(Pages(1))?);
        self.running.push(Running { endpoint, tally, crashes: 0, state: State::Dead });
        let pages = self.builder(index)?.budget()?;
        let budget = memory::create::<Untyped>(u64::from(pages.0))?;
        self.start(index, budget)
    }

    fn start(&mut self, index: usize, budget: Cap<Untyped>) -> Result<(), ProcessError> {
        // A core that is not there is no reason not to start: the server runs where init does.
        let core = self.line(index).and_then(|line| environment().core(line.core?.into()).ok());
        let builder = self.builder(index)?;
        let builder = core.map_or(builder.clone(), |core| builder.core(core));
        let process = builder.start_in(budget);
        if let Some(core) = core {
            // The thread has its place; what named it may have gone with the core by now.
            let _ = slots::delete(core.handle());
        }
        let process = process?;
        if let Some(server) = self.running.get_mut(index) {
            server.state = State::Alive(process);
        }
        Ok(())
    }

    /// What a server is to be. The order of what is granted is that of `userlib::directory`.
    fn builder(&self, index: usize) -> Result<Builder<'_>, Error> {
        let line = self.line(index).ok_or(Error::OutOfRange)?;
        let server = self.running.get(index).ok_or(Error::OutOfRange)?;
        let program = self.files.find(&line.program).ok_or(Error::NoResource)?;
        Ok(Builder::new(program.data)
            .arguments(&line.arguments)
            .memory(Pages(line.pages))
            .generation(Generation::after(server.crashes))
            .faults(self.faults.handle(), Badge(FIRST_BADGE + index as u64))
            .grant_badged(self.directory.handle(), Rights::CALL, desk::badge(index))
            .grant(server.endpoint.handle(), Rights::RECEIVE)
            .grant(server.tally.page().region().handle(), Rights::READ | Rights::WRITE | Rights::DERIVE))
    }
}

fn index_of(badge: Badge) -> Option<usize> {
    badge.0.checked_sub(FIRST_BADGE).and_then(|index| usize::try_from(index).ok())
}
