//! The servers: a pair of each kind for every core.

use alloc::vec::Vec;

use caps::{Error, Rights};
use idl::bundle::Bundle;
use idl::interface::Generation;
use idl::message::Fault;
use idl::types::{Badge, CoreNumber, Pages, Priority, Ticks};
use userlib::cap::{Cap, Core, Endpoint, Thread, Untyped};
use userlib::memory::{self, Mapping};
use userlib::process::{Builder, Process, ProcessError};
use userlib::tally::Tally;
use userlib::{environment, slots};

use crate::config::{Config, PairNames};
use crate::crash::{Crash, registers_of};

/// Memory of its own that each server gets.
const MEMORY: Pages = Pages(64);

/// One server.
#[derive(Debug)]
struct Server<'a> {
    name: &'a str,
    /// Which pair it belongs to, and on which side.
    pair: usize,
    side: Side,
    process: Option<Process>,
    crashes: u32,
}

/// Which end of an endpoint a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// It receives.
    Server,
    /// It calls.
    Client,
}

/// Two servers with an endpoint between them, and a page on which the client counts.
#[derive(Debug)]
struct Pair {
    /// The core for which it was started; it stays when the core goes, and runs elsewhere.
    number: CoreNumber,
    /// The core itself, while it is there.
    core: Option<Cap<Core>>,
    endpoint: Cap<Endpoint>,
    tally: Tally,
}

/// All servers.
#[derive(Debug)]
pub struct Crew<'a> {
    config: Config<'a>,
    files: Bundle<'a>,
    faults: Cap<Endpoint>,
    servers: Vec<Server<'a>>,
    pairs: Vec<Pair>,
}

impl<'a> Crew<'a> {
    /// No servers yet. Their crashes will come to this endpoint, with the number of the server as the badge.
    #[must_use]
    pub const fn new(config: Config<'a>, files: Bundle<'a>, faults: Cap<Endpoint>) -> Self {
        Self { config, files, faults, servers: Vec::new(), pairs: Vec::new() }
    }

    /// Whether the pairs of a core are at work on it.
    #[must_use]
    pub fn works_on(&self, number: CoreNumber) -> bool {
        self.pairs.iter().any(|pair| pair.number == number && pair.core.is_some())
    }

    /// A core is there: its pairs are started on it, or go back to it.
    ///
    /// # Errors
    /// The first thing that fails; what was started by then stays.
    pub fn core_granted(&mut self, number: CoreNumber) -> Result<(), ProcessError> {
        let known = self.pairs.iter().any(|pair| pair.number == number);
        if known {
            return Ok(self.go_back(number)?);
        }
        for names in self.config.pairs.clone() {
            self.start_pair(number, names)?;
        }
        Ok(())
    }

    /// A core went: the kernel has moved its threads, and its capability is gone.
    pub fn core_lost(&mut self, number: CoreNumber) {
        for pair in self.pairs.iter_mut().filter(|pair| pair.number == number) {
            if let Some(core) = pair.core.take() {
                slots::release(core.handle().index());
            }
        }
    }

    /// Calls that came back right, over all clients.
    #[must_use]
    pub fn progress(&self) -> u64 {
        self.pairs.iter().map(|pair| pair.tally.count()).fold(0, u64::saturating_add)
    }

    /// The longest time between two calls of one client, as in [`Tally::longest`].
    #[must_use]
    pub fn longest(&self, now: Ticks) -> Ticks {
        self.pairs.iter().map(|pair| pair.tally.longest(now)).max().unwrap_or(Ticks(0))
    }

    /// Mends a server's fault if it is one that its clients made, by taking back what they lent; says whether it was.
    pub fn mend(&mut self, badge: Badge, fault: &Fault) -> bool {
        let index = usize::try_from(badge.0).unwrap_or(usize::MAX);
        let process = self.servers.get_mut(index).and_then(|server| server.process.as_mut());
        // What cannot be mended is a crash.
        process.is_some_and(|process| process.mend(fault).unwrap_or(false))
    }

    /// A server crashed: shows the crash, ends what is left of it, and starts it again if it may. The answer is how
    /// often servers have crashed by now.
    ///
    /// # Errors
    /// When it cannot be started again.
    pub fn crashed(
        &mut self,
        badge: Badge,
        fault: Fault,
        show: impl FnOnce(&Crash<'_>),
    ) -> Result<u32, ProcessError> {
        let index = usize::try_from(badge.0).map_err(|_| Error::OutOfRange)?;
        let Some(server) = self.servers.get_mut(index) else { return Ok(self.crashes()) };
        let Some(process) = server.process.take() else { return Ok(self.crashes()) };
        server.crashes += 1;
        let core = self.pairs.get(server.pair).map_or(0, |pair| pair.number.0);
        let registers = registers_of(&process);
        show(&Crash { name: server.name, core, times: server.crashes, fault, registers });
        let again = server.crashes <= self.config.crashes;
        let budget = process.end()?;
        if again {
            self.start(index, budget)?;
        }
        Ok(self.crashes())
    }

    /// How often servers have crashed.
    #[must_use]
    pub fn crashes(&self) -> u32 {
        self.servers.iter().fold(0, |sum, server| sum.saturating_add(server.crashes))
    }

    fn start_pair(&mut self, number: CoreNumber, names: PairNames<'a>) -> Result<(), ProcessError> {
        let core = environment().core(number.0)?;
        let endpoint = memory::create::<Endpoint>(0)?;
        let tally = Tally::of(Mapping::new(Pages(1))?);
        let pair = Pair { number, core: Some(core), endpoint, tally };
        let index = self.pairs.len();
        self.pairs.push(pair);
        for (name, side) in [(names.server, Side::Server), (names.client, Side::Client)] {
            self.servers.push(Server { name, pair: index, side, process: None, crashes: 0 });
            let index = self.servers.len() - 1;
            let budget = memory::create::<Untyped>(u64::from(self.builder(index)?.budget()?.0))?;
            self.start(index, budget)?;
        }
        Ok(())
    }

    /// Starts a server in this memory.
    fn start(&mut self, index: usize, budget: Cap<Untyped>) -> Result<(), ProcessError> {
        let process = self.builder(index)?.start_in(budget)?;
        if let Some(server) = self.servers.get_mut(index) {
            server.process = Some(process);
        }
        Ok(())
    }

    /// What a server is to be.
    fn builder(&self, index: usize) -> Result<Builder<'a>, Error> {
        let server = self.servers.get(index).ok_or(Error::OutOfRange)?;
        let pair = self.pairs.get(server.pair).ok_or(Error::OutOfRange)?;
        let program = self.files.find(server.name).ok_or(Error::NoResource)?;
        let mut builder = Builder::new(program.data)
            .memory(MEMORY)
            .generation(Generation::after(server.crashes))
            .faults(self.faults.handle(), Badge(index as u64));
        if let Some(core) = pair.core {
            builder = builder.core(core);
        }
        Ok(match server.side {
            Side::Server => builder.grant(pair.endpoint.handle(), Rights::RECEIVE),
            Side::Client => builder
                .grant(pair.endpoint.handle(), Rights::CALL)
                .grant(pair.tally.page().region().handle(), Rights::READ | Rights::WRITE | Rights::DERIVE),
        })
    }

    /// A core is back: the pairs that were started for it run on it again.
    fn go_back(&mut self, number: CoreNumber) -> Result<(), Error> {
        for pair in self.pairs.iter_mut().filter(|pair| pair.number == number) {
            pair.core = Some(environment().core(number.0)?);
        }
        self.return_to(number)
    }

    /// A core is given: its pairs go to another. The kernel may already have left some where that is.
    ///
    /// # Errors
    /// Those of `Thread.schedule`.
    pub fn leave(&self, number: CoreNumber, other: Cap<Core>) -> Result<(), Error> {
        let (there, other) = (|pair: &Pair| pair.number == number || pair.core.is_none(), other.handle());
        self.threads(there).try_for_each(|(_, thread)| thread.schedule(Priority::ORDINARY, other))
    }

    /// A core that was given stays, or one is back: its pairs run on it again.
    ///
    /// # Errors
    /// Those of `Thread.schedule`.
    pub fn return_to(&self, number: CoreNumber) -> Result<(), Error> {
        for (pair, thread) in self.threads(|pair| pair.number == number) {
            if let Some(core) = pair.core {
                thread.schedule(Priority::ORDINARY, core.handle())?;
            }
        }
        Ok(())
    }

    /// The threads of the servers of some pairs, each with its pair.
    fn threads(&self, of: impl Fn(&Pair) -> bool) -> impl Iterator<Item = (&Pair, Cap<Thread>)> {
        self.servers.iter().filter_map(move |server| {
            let pair = self.pairs.get(server.pair).filter(|pair| of(pair))?;
            Some((pair, server.process.as_ref()?.thread()))
        })
    }
}
