//! Who asks for windows, and looks after the talks.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use caps::Error;
use idl::crew::{Role, peers};
use idl::dialogue::{Report, Request, Told, name_from_words, name_to_words};
use idl::event::Event;
use idl::message::{Fault, Received};
use idl::types::{Badge, Bits, Deadline, LotNumber, Pages, SubOsNumber, Ticks};
use userlib::cap::{Cap, Endpoint, Notification, Reply, Uplink};
use userlib::{environment, memory, println, thread, time};

use crate::talk::Talk;

/// How often the supervisor hears of progress.
const REPORT_EVERY: Duration = Duration::from_millis(20);
/// The bit with which the doorbell of the uplink wakes the first thread.
const DOORBELL: Bits = Bits(1);
/// The bit with which a talk that is over does.
const OVER: Bits = Bits(2);

/// Somebody to talk to.
struct Peer {
    name: &'static str,
    role: Role,
    /// The lot of the window to it, if there is one, and the talk over it.
    lot: Option<LotNumber>,
    talk: Option<Talk>,
    /// Whether the supervisor waits to hear that the lot can be taken.
    wanted: bool,
}

struct Neighbour {
    peers: Vec<Peer>,
    /// Windows that the kernel says are open, and to which subOS each is, by number.
    opened: Vec<(LotNumber, SubOsNumber)>,
    /// Messages of talks that are over.
    messages: u64,
    /// What is still to be said to the supervisor.
    reports: VecDeque<Report>,
    uplink: Cap<Uplink>,
    faults: Cap<Endpoint>,
    doorbell: Cap<Notification>,
    reported: Deadline,
}

/// Asks for the windows that the arguments name, and talks. Comes back only when it cannot do its work.
///
/// # Errors
/// A text that says why.
pub fn run() -> Result<(), String> {
    let peer = |(role, name)| Peer { name, role, lot: None, talk: None, wanted: false };
    let peers: Result<Vec<_>, _> = peers(environment().arguments()).map(|word| word.map(peer)).collect();
    let peers = peers.map_err(|bad| bad.to_string())?;
    let kernel = |error: Error| format!("the kernel refused: {}", error.name());
    let mut neighbour = Neighbour::new(peers).map_err(kernel)?;
    let reply = memory::create::<Reply>(0).map_err(kernel)?;
    for index in 0..neighbour.peers.len() {
        neighbour.ask(index);
    }
    loop {
        match neighbour.faults.receive(&reply, neighbour.reported) {
            Ok(Received::Message { badge, message }) => {
                neighbour.faulted(badge, Fault::from_message(&message));
            }
            Ok(Received::Signal(_)) | Err(Error::TimedOut) => {}
            Err(error) => return Err(kernel(error)),
        }
        neighbour.listen();
        neighbour.look();
        neighbour.report().map_err(kernel)?;
    }
}

impl Neighbour {
    fn new(peers: Vec<Peer>) -> Result<Self, Error> {
        let (uplink, doorbell) = (environment().uplink(), memory::create::<Notification>(0)?);
        thread::current().bind(doorbell.handle())?;
        uplink.bind(doorbell.handle(), DOORBELL)?;
        Ok(Self {
            peers,
            opened: Vec::new(),
            messages: 0,
            reports: VecDeque::new(),
            uplink,
            faults: memory::create(0)?,
            doorbell,
            reported: time::after(REPORT_EVERY),
        })
    }

    /// Asks for the window to a peer.
    fn ask(&mut self, index: usize) {
        let Some(peer) = self.peers.get(index) else { return };
        match name_to_words(peer.name) {
            Some([peer_0, peer_1]) => self.reports.push_back(Report::WantWindow { peer_0, peer_1 }),
            None => println!("nobody is called {}: the name is too long", peer.name),
        }
    }

    /// Takes in what the kernel and the supervisor say.
    fn listen(&mut self) {
        while let Ok(words) = self.uplink.receive() {
            match Told::from_words(&words) {
                Ok(Told::Kernel(Event::WindowOpened { lot, peer, .. })) => self.opened.push((lot, peer)),
                Ok(Told::Kernel(Event::PeerGone { lot })) => self.alone(lot),
                Ok(Told::Kernel(Event::WindowLost { lot })) => self.lost(lot),
                Ok(Told::Supervisor(Request::WindowTo { lot, peer_0, peer_1 })) => {
                    self.begin(lot, [peer_0, peer_1]);
                }
                Ok(Told::Supervisor(Request::NoWindow { peer_0, peer_1, reason })) => {
                    let peer = name_from_words([peer_0, peer_1]).unwrap_or_default();
                    println!("there is no window to {peer}: {reason:?}");
                }
                Ok(Told::Supervisor(Request::GiveLot { lot, .. })) => self.give(lot),
                Ok(Told::Supervisor(Request::SayProgress {})) => self.progress(),
                _ => {}
            }
        }
    }

    /// The supervisor says to whom the window of a lot is.
    fn begin(&mut self, lot: LotNumber, name: [u64; 2]) {
        let name = name_from_words(name).unwrap_or_default();
        let number = self.opened.iter().position(|(opened, _)| *opened == lot);
        let Some((_, number)) = number.map(|index| self.opened.swap_remove(index)) else { return };
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.name == name.as_str()) else { return };
        match Talk::begin((lot, number), peer.role, self.faults, (self.doorbell, OVER)) {
            Ok(talk) => {
                println!("talking to {name}");
                (peer.lot, peer.talk, peer.wanted) = (Some(lot), Some(talk), false);
            }
            Err(error) => println!("cannot talk to {name}: {}", error.name()),
        }
    }

    fn with(&self, lot: LotNumber) -> Option<usize> {
        self.peers.iter().position(|peer| peer.lot == Some(lot))
    }

    /// The peer's side of a window is gone: what has come is still read.
    fn alone(&mut self, lot: LotNumber) {
        let Some(index) = self.with(lot) else { return };
        self.peers[index].talk.iter().for_each(Talk::cut);
        self.ask(index);
    }

    /// This side is gone. A thread that used it has faulted, or will.
    fn lost(&mut self, lot: LotNumber) {
        self.opened.retain(|(opened, _)| *opened != lot);
        let Some(index) = self.with(lot) else { return };
        self.peers[index].talk.iter().for_each(Talk::cut);
        self.peers[index].lot = None;
        self.ask(index);
    }

    /// The supervisor will take a lot: it is given as soon as nobody uses it.
    fn give(&mut self, lot: LotNumber) {
        match self.with(lot).map(|index| &mut self.peers[index]) {
            Some(Peer { talk: Some(talk), wanted, .. }) => {
                talk.cut();
                *wanted = true;
            }
            _ => self.reports.push_back(free(lot)),
        }
    }

    /// A thread has faulted: its window was taken under its eyes, or there is a mistake in it.
    fn faulted(&mut self, Badge(badge): Badge, fault: Option<Fault>) {
        let Some(lot) = u32::try_from(badge).ok().map(LotNumber) else { return };
        let taken = environment().window(lot.0).is_err();
        let its = |peer: &&mut Peer| peer.talk.as_ref().is_some_and(|talk| talk.lot() == lot);
        let Some(peer) = self.peers.iter_mut().find(its) else { return };
        let Some(talk) = peer.talk.take() else { return };
        let messages = talk.messages();
        self.messages += messages;
        match (taken, fault) {
            (false, Some(Fault { trap, rip })) => {
                println!(
                    "the talk with {} went wrong after {messages} messages: {trap:?} at {rip:#x}",
                    peer.name
                );
                let (vector, address) = (trap.vector, trap.address);
                self.reports.push_back(Report::Crashed { vector, address, rip, times: 1 });
            }
            _ => println!("the window to {} was taken after {messages} messages", peer.name),
        }
        // Where it stands it does no harm.
        let _ = talk.abandon();
    }

    /// Looks which talks are over.
    fn look(&mut self) {
        for peer in &mut self.peers {
            let Some((messages, end)) =
                peer.talk.as_ref().and_then(|talk| Some((talk.messages(), talk.end()?)))
            else {
                continue;
            };
            println!("the talk with {} is over after {messages} messages: {end}", peer.name);
            self.messages += messages;
            peer.talk = None;
            if core::mem::take(&mut peer.wanted)
                && let Some(lot) = peer.lot
            {
                self.reports.push_back(free(lot));
            }
        }
    }

    fn progress(&mut self) {
        // The clock is read first: the count is of that moment or later.
        let at = time::now();
        let talks = self.peers.iter().filter_map(|peer| peer.talk.as_ref());
        let count = talks.fold(self.messages, |sum, talk| sum.saturating_add(talk.messages()));
        self.reports.retain(|report| !matches!(report, Report::Progress { .. }));
        self.reports.push_back(Report::Progress { count, at, longest: Ticks(0) });
    }

    /// Says what is to be said, as far as there is room.
    fn report(&mut self) -> Result<(), Error> {
        if time::now().0 >= self.reported.0 {
            self.reported = time::after(REPORT_EVERY);
            self.progress();
        }
        while let Some(report) = self.reports.front() {
            let [a, b, c, d, e] = report.to_words();
            match self.uplink.send(a, b, c, d, e) {
                Ok(()) => self.reports.pop_front(),
                Err(Error::Full) => return Ok(()),
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }
}

/// Nobody uses this lot, and there is nothing in it to keep.
fn free(lot: LotNumber) -> Report {
    Report::Lot { lot, looked: Pages(0), used: Pages(0) }
}
