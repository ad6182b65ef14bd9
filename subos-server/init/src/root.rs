//! The wait, and what ends it.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use caps::{Error, Handle};
use idl::bundle::Bundle;
use idl::dialogue::{CoreAnswer, Report, Request, Told};
use idl::event::Event;
use idl::message::{Fault, Message, Received};
use idl::slots::ROOT_CORES;
use idl::types::{Badge, Bits, CoreNumber, Deadline, Priority, Ticks};
use userlib::cap::{Cap, Core, Endpoint, Notification, Reply, Uplink};
use userlib::log::{info, warn};
use userlib::process::ProcessError;
use userlib::{environment, memory, println, slots, thread, time};

use crate::config::Config;
use crate::crash::Crash;
use crate::crew::Crew;
use crate::lots::Lots;
use crate::scanner;
use crate::table::{self, Servers};
use crate::uplink::Outbox;

/// How often the supervisor hears of progress.
const REPORT_EVERY: Duration = Duration::from_millis(20);
/// The bit with which the doorbell of the uplink wakes init.
const DOORBELL: Bits = Bits(1);
/// The bit with which the thread that looks at lots does.
const LOOKED: Bits = Bits(2);

/// Init's own state.
struct Init<'a> {
    crew: Crew<'a>,
    /// The servers of the table, if there is one.
    servers: Option<Servers<'a>>,
    lots: Lots,
    /// Cores that were given, until they go.
    given: BTreeSet<CoreNumber>,
    outbox: Outbox,
    uplink: Cap<Uplink>,
    reported: Deadline,
}

/// Starts the servers and looks after them. Comes back only when init cannot do its work.
///
/// # Errors
/// A text that says why.
pub fn run() -> Result<(), String> {
    let environment = environment();
    let config = Config::parse(environment.arguments()).map_err(|error| error.to_string())?;
    let bytes = environment.files().map_err(|error| format!("no programs: {}", error.name()))?;
    let files = Bundle::parse(bytes).map_err(|error| format!("the programs: {error}"))?;
    let kernel = |error: Error| format!("the kernel refused: {}", error.name());
    let faults = memory::create::<Endpoint>(0).map_err(kernel)?;
    let reply = memory::create::<Reply>(0).map_err(kernel)?;
    let doorbell = memory::create::<Notification>(0).map_err(kernel)?;
    thread::current().bind(doorbell.handle()).map_err(kernel)?;
    let uplink = environment.uplink();
    uplink.bind(doorbell.handle(), DOORBELL).map_err(kernel)?;
    let mut init = Init {
        crew: Crew::new(config, files, faults),
        servers: build(files, faults)?,
        lots: Lots::new(faults, doorbell, LOOKED),
        given: BTreeSet::new(),
        outbox: Outbox::default(),
        uplink,
        reported: time::after(REPORT_EVERY),
    };
    init.start();
    loop {
        let due = init.servers.as_ref().map_or(Ticks(u64::MAX), Servers::due);
        match faults.receive(&reply, Deadline(init.reported.0.min(due.0))) {
            Ok(Received::Message { badge: scanner::BADGE, .. }) => {
                init.lots.blinded().map_err(kernel)?;
            }
            Ok(Received::Message { badge, message }) => {
                if init.message(badge, Fault::from_message(&message)) {
                    reply.reply(&Message::default()).map_err(kernel)?;
                }
            }
            Ok(Received::Signal(_)) | Err(Error::TimedOut) => {}
            Err(error) => return Err(kernel(error)),
        }
        init.listen();
        init.look();
        init.start_again();
        init.report().map_err(kernel)?;
    }
}

/// Whether this subOS has a core.
fn has_core(core: CoreNumber) -> bool {
    let slot = idl::slots::root_core(core.0).map(idl::slots::fresh).unwrap_or(Handle::NONE);
    environment().roots().info(slot).is_ok()
}

/// Builds the servers of the table that lies among the files, if one does.
fn build(files: Bundle<'_>, faults: Cap<Endpoint>) -> Result<Option<Servers<'_>>, String> {
    let Some(file) = files.find(idl::servers::TABLE) else { return Ok(None) };
    let table = idl::servers::decode(file.data).map_err(|error| format!("the table of servers: {error}"))?;
    match Servers::build(table, files, faults) {
        Ok(servers) => Ok(Some(servers)),
        Err((name, error)) => Err(format!("the server {name} cannot be started: {error}")),
    }
}

impl Init<'_> {
    /// Begins with the cores that are there already.
    fn start(&mut self) {
        (0..ROOT_CORES)
            .map(CoreNumber)
            .filter(|core| has_core(*core))
            .for_each(|core| self.core_granted(core));
    }

    /// Somebody called the endpoint of faults: only the kernel can, on behalf of a server. Says whether the server is to
    /// go on where it is.
    fn message(&mut self, badge: Badge, fault: Option<Fault>) -> bool {
        let Some(fault) = fault else { return false };
        match self.crashed(badge, fault) {
            Ok(None) => return true,
            Ok(Some(times)) => {
                let Fault { trap, rip } = fault;
                self.outbox.add(Report::Crashed { vector: trap.vector, address: trap.address, rip, times });
            }
            Err(error) => warn!("a server that crashed does not start again: {error}"),
        }
        false
    }

    /// A server has faulted: it is mended, or has crashed. The answer is how often servers have crashed, if one has now.
    fn crashed(&mut self, badge: Badge, fault: Fault) -> Result<Option<u32>, ProcessError> {
        let show = |crash: &Crash<'_>| println!("init: {crash}");
        match &mut self.servers {
            Some(servers) if badge.0 >= table::FIRST_BADGE => {
                if servers.mend(badge, &fault) {
                    return Ok(None);
                }
                servers.crashed(badge, fault, show)?;
            }
            _ => {
                if self.crew.mend(badge, &fault) {
                    return Ok(None);
                }
                self.crew.crashed(badge, fault, show)?;
            }
        }
        let others = self.servers.as_ref().map_or(0, Servers::crashes);
        Ok(Some(self.crew.crashes().saturating_add(others)))
    }

    /// Starts servers again whose time has come.
    fn start_again(&mut self) {
        let failed = self.servers.as_mut().map(Servers::start_due).unwrap_or_default();
        for (name, error) in failed {
            warn!("{name} does not start again: {error}");
        }
    }

    /// Takes in what the kernel and the supervisor say.
    fn listen(&mut self) {
        while let Ok(words) = self.uplink.receive() {
            match Told::from_words(&words) {
                Ok(Told::Kernel(event)) => self.event(event),
                Ok(Told::Supervisor(Request::SayProgress {})) => self.progress(),
                Ok(Told::Supervisor(Request::GiveLot { lot, .. })) => self.lots.wanted(lot),
                Ok(Told::Supervisor(Request::GiveCore { core, deadline })) => self.give_core(core, deadline),
                Ok(Told::Supervisor(Request::KeepCore { core })) => self.keep_core(core),
                // It has not let go of the lot, and asks for no windows.
                Ok(Told::Supervisor(
                    Request::KeepLot { .. } | Request::WindowTo { .. } | Request::NoWindow { .. },
                )) => {}
                Err(_) => warn!("the supervisor says what nobody understands: {words:x?}"),
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::CoreGranted { core } => self.core_granted(core),
            Event::CoreLost { core } => {
                info!("core {} went", core.0);
                self.given.remove(&core);
                self.crew.core_lost(core);
            }
            Event::LotGranted { lot, chunks } => match self.lots.granted(lot, chunks) {
                Ok(()) => info!("lot {} of {} MiB came", lot.0, chunks.0 * 2),
                Err(error) => warn!("lot {} is of no use: {}", lot.0, error.name()),
            },
            Event::LotLost { lot } => {
                info!("lot {} went", lot.0);
                self.lots.lost(lot);
            }
            Event::LotWanted { lot, .. } => self.lots.wanted(lot),
            // A core that the kernel announces goes without preparation: its threads run on elsewhere.
            _ => {}
        }
    }

    /// Takes everything off a core, if there is another for it, and says whether that is done.
    fn give_core(&mut self, core: CoreNumber, deadline: Ticks) {
        let answer = match self.leave(core) {
            Ok(()) => CoreAnswer::Given,
            Err(error) => {
                info!("core {} is needed: {}", core.0, error.name());
                CoreAnswer::Needed
            }
        };
        self.outbox.add(Report::Core { core, deadline, answer });
    }

    /// Moves all that runs on a core, and all that may, to the first of the others that is not given itself.
    fn leave(&mut self, core: CoreNumber) -> Result<(), Error> {
        let other = self.another(core)?;
        let moved = self
            .crew
            .leave(core, other)
            .and_then(|()| self.servers.as_ref().map_or(Ok(()), |servers| servers.leave(core, other)))
            .and_then(|()| self.lots.go_to(other))
            .and_then(|()| thread::current().schedule(Priority::ORDINARY, other.handle()));
        // The threads have their place.
        let _ = slots::delete(other.handle());
        moved?;
        self.given.insert(core);
        Ok(())
    }

    /// A core besides this one that is there and was not given. `NotOwner`, `NoResource`.
    fn another(&self, core: CoreNumber) -> Result<Cap<Core>, Error> {
        if !has_core(core) {
            return Err(Error::NotOwner);
        }
        let others = (0..ROOT_CORES).map(CoreNumber).filter(|other| *other != core);
        let mut free = others.filter(|other| !self.given.contains(other));
        free.find_map(|other| environment().core(other.0).ok()).ok_or(Error::NoResource)
    }

    /// A core that was given stays after all.
    fn keep_core(&mut self, core: CoreNumber) {
        if !self.given.remove(&core) {
            return;
        }
        let back = self.crew.return_to(core).and_then(|()| self.servers_go_back(core));
        if let Err(error) = back {
            // If it went meanwhile, that is announced as well.
            info!("nothing goes back to core {}: {}", core.0, error.name());
        }
    }

    /// The servers of the table that belong on a core go back to it.
    fn servers_go_back(&self, number: CoreNumber) -> Result<(), Error> {
        let Some(servers) = &self.servers else { return Ok(()) };
        let core = environment().core(number.0)?;
        let back = servers.go_back(number, core);
        // The threads have their place.
        let _ = slots::delete(core.handle());
        back
    }

    fn core_granted(&mut self, core: CoreNumber) {
        // What was there from the start is announced as well.
        if self.crew.works_on(core) {
            return;
        }
        match self.crew.core_granted(core) {
            Ok(()) => info!("at work on core {}", core.0),
            Err(error) => warn!("cannot work on core {}: {error}", core.0),
        }
    }

    /// Has lots looked at, and reports what was found.
    fn look(&mut self) {
        match self.lots.look() {
            Ok(Some(report)) => self.outbox.add(report),
            Ok(None) => {}
            Err(error) => warn!("a lot cannot be looked at: {}", error.name()),
        }
    }

    /// Says how far the servers are.
    fn progress(&mut self) {
        // The clock is read first, so the count is of that moment or later: what it shows to have grown since an
        // earlier moment has grown.
        let at = time::now();
        let (mut count, mut longest) = (self.crew.progress(), self.crew.longest(at));
        if let Some(servers) = &self.servers {
            count = count.saturating_add(servers.progress());
            longest = longest.max(servers.longest(at));
        }
        self.outbox.add(Report::Progress { count, at, longest });
    }

    fn report(&mut self) -> Result<(), Error> {
        if time::now().0 >= self.reported.0 {
            self.reported = time::after(REPORT_EVERY);
            self.progress();
        }
        let uplink = self.uplink;
        self.outbox.flush(|report| {
            let [a, b, c, d, e] = report.to_words();
            uplink.send(a, b, c, d, e)
        })
    }
}
