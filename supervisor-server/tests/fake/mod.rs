//! A machine that is not there: cores, chunks and subOSes that behave, or misbehave as a test wants.
//!
//! Time passes a little with every call and up to the deadline with every rest. A subOS is simulated whenever
//! somebody looks at it: it works on the cores that it has, reports progress, writes to its console, and answers.

mod behaviour;
#[allow(dead_code, reason = "not every test has an operator")]
mod line;
mod port;

use std::collections::{BTreeMap, VecDeque};

pub(crate) use behaviour::Behaviour;
use idl::dialogue::Request;
use idl::event::Event;
use idl::kernel::machine::LedgerEntry;
use idl::plan::{Plan, Scrub};
use idl::types::{CoreNumber, LedgerState, LotNumber, SubOsNumber, Ticks};
#[allow(unused_imports, reason = "not every test has an operator")]
pub(crate) use line::{FakeLine, Far};
use supervisor_server::order::Moment;

/// Ticks of the fake clock in a millisecond.
pub(crate) const RATE: u64 = 1000;
/// Entries of a ring.
const RING: usize = 64;

/// What a test breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "not every test breaks everything")]
pub(crate) enum Fault {
    /// The n-th request for a resource, from 0, is refused.
    NoResource(u32),
    /// This core never answers: taking it ends in quarantine.
    SilentCore(u8),
    /// Taking this core never ends.
    EndlessCore(u8),
    /// This subOS does not read what it is told.
    FullRing(u8),
    /// The kernel of this subOS dies when such a call is first made.
    DiesAt(u8, Call),
    /// The ring towards this subOS is full from the beginning.
    NoRoom(u8),
    /// The kernel of this subOS dies at this time, in milliseconds.
    Dies(u8, u64),
    /// The first program of this subOS faults at this time, in milliseconds.
    Faults(u8, u64),
    /// This subOS stops working at this time, in milliseconds.
    Stalls(u8, u64),
    /// This subOS stops when such a call is first made, and makes up for it when the operation is over: from the next
    /// call that changes something else, starts somebody, or looks at all chunks, on.
    StallsAmid(u8, Call),
    /// This subOS does nothing from this time on for so long, in milliseconds, and makes up for it then.
    Pauses(u8, u64, u64),
    /// This subOS does no more than so much on this core.
    Leaves(u8, u8, u64),
    /// This subOS has no memory left for a program at this time, in milliseconds.
    Starves(u8, u64),
    /// This subOS answers in this way when it is asked for a core.
    Answers(u8, Manners),
    /// Lots are not cleared.
    DirtyLots,
    /// Lots but the home lot are granted of the last memory that is free, not of the first.
    LastFit,
    /// A chunk is forgotten when a subOS is destroyed.
    Leak,
    /// The audit finds something.
    BadAudit,
}

/// How a subOS answers when it is asked for a core. Nobody stops working there before it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "not every test breaks everything")]
pub(crate) enum Manners {
    /// It gives it.
    Gives,
    /// It says that it needs it.
    Needs,
    /// It says so, again and again, and gives it after so many milliseconds.
    ThinksBetter(u64),
    /// It gives it, and again, and then it says that it needs it.
    Twice,
    /// It gives another core.
    GivesAnother,
    /// It answers a request that nobody made: with another deadline.
    Stale,
    /// It says what is no answer, and answers about cores that cannot be.
    Rubbish,
    /// It says nothing.
    Silent,
}

/// A call that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    GrantCore,
    ReclaimCore,
    GrantLot,
    ReclaimLot,
    Grant,
    Share,
    Destroy,
}

/// One subOS.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeSubOs {
    pub(crate) behaviour: Behaviour,
    pub(crate) started: bool,
    pub(crate) condemned: bool,
    pub(crate) attached: bool,
    pub(crate) loaded: bool,
    pub(crate) dying: bool,
    pub(crate) lots: BTreeMap<u8, Vec<usize>>,
    pub(crate) reclaiming: u32,
    pub(crate) console: VecDeque<u8>,
    pub(crate) up: VecDeque<[u64; 5]>,
    pub(crate) down: VecDeque<[u64; 5]>,
    pub(crate) seen: u64,
    /// The longest time between two calls since it last said so, in ticks.
    pub(crate) longest: u64,
    pub(crate) work: BTreeMap<u8, u64>,
    pub(crate) born: u64,
    pub(crate) ended: bool,
    /// Whether it has asked for its windows.
    pub(crate) asked: bool,
    /// What it is asked for and has not answered to the end: the core, until when, and since when.
    pub(crate) wanted: Option<(CoreNumber, Ticks, u64)>,
    /// What it was told of windows.
    pub(crate) windows: Vec<Request>,
}

impl FakeSubOs {
    pub(crate) fn say(&mut self, words: [u64; 5]) {
        if self.up.len() < RING {
            self.up.push_back(words);
        }
    }

    pub(crate) fn tell(&mut self, words: [u64; 5]) -> Result<(), caps::Error> {
        if self.down.len() == RING {
            return Err(caps::Error::Full);
        }
        self.down.push_back(words);
        Ok(())
    }
}

/// What each subOS has: its cores, and the sizes of its lots by their numbers.
pub(crate) type Holdings = BTreeMap<u8, (Vec<u8>, BTreeMap<u8, usize>)>;

/// The machine.
#[derive(Debug)]
pub(crate) struct FakeMachine {
    pub(crate) now: u64,
    pub(crate) cores: Vec<LedgerEntry>,
    pub(crate) chunks: Vec<LedgerEntry>,
    pub(crate) suboses: BTreeMap<u8, FakeSubOs>,
    pub(crate) behaviours: Vec<Behaviour>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) requests: u32,
    pub(crate) transcript: String,
    pub(crate) status: Option<u8>,
    pub(crate) printed: BTreeMap<u8, Vec<u8>>,
    pub(crate) written: BTreeMap<u8, Vec<u8>>,
    pub(crate) rests: u64,
    /// The change that was begun last, while nobody has looked since.
    pub(crate) amid: Option<Call>,
    /// When the memory of each is to be cleared, of whom that was said.
    pub(crate) scrubbed: BTreeMap<u8, Scrub>,
    /// All changes that were begun.
    pub(crate) calls: Vec<Call>,
    /// What each had when the first of them was about to be destroyed.
    pub(crate) before_the_end: Option<Holdings>,
    /// How often the supervisor reached into another kernel, or asked the ledger.
    pub(crate) reached: u64,
    /// What each subOS that is gone was told of windows.
    pub(crate) told: BTreeMap<u8, Vec<Request>>,
    /// When it marked which moment, and how often it had reached out then.
    pub(crate) marks: Vec<(Moment, u64, u64)>,
    /// The line to an operator, if there is one.
    pub(crate) line: Option<FakeLine>,
    /// What the supervisor noted.
    pub(crate) notes: Vec<u8>,
}

impl FakeMachine {
    /// A machine of so many cores and chunks for this plan, whose subOSes behave like this.
    pub(crate) fn new(
        plan: &Plan,
        cores: usize,
        chunks: usize,
        behaviours: &[Behaviour],
        faults: &[Fault],
    ) -> Self {
        assert_eq!(plan.suboses.len(), behaviours.len());
        let free = entry(LedgerState::Free, 0, 0);
        let mut cores = vec![free; cores];
        let mut chunks = vec![free; chunks];
        cores[0] = entry(LedgerState::Owned, 0, 0);
        chunks[0] = entry(LedgerState::Reserved, 0, 0);
        chunks[1..9].fill(entry(LedgerState::Owned, 0, 0));
        Self {
            now: RATE,
            cores,
            chunks,
            suboses: BTreeMap::new(),
            behaviours: behaviours.to_vec(),
            faults: faults.to_vec(),
            requests: 0,
            transcript: String::new(),
            status: None,
            printed: BTreeMap::new(),
            written: BTreeMap::new(),
            rests: 0,
            amid: None,
            scrubbed: BTreeMap::new(),
            calls: Vec::new(),
            before_the_end: None,
            reached: 0,
            told: BTreeMap::new(),
            marks: Vec::new(),
            line: None,
            notes: vec![0; supervisor_server::notes::BYTES],
        }
    }

    /// A call that changes something begins; whatever was under way before is over.
    pub(crate) fn begins(&mut self, call: Call) {
        self.amid = Some(call);
        self.calls.push(call);
        if call == Call::Destroy && self.before_the_end.is_none() {
            self.before_the_end = Some(self.holdings());
        }
        let dies = |fault: &Fault| matches!(fault, Fault::DiesAt(_, when) if *when == call);
        if let Some(index) = self.faults.iter().position(dies)
            && let Fault::DiesAt(who, _) = self.faults.remove(index)
            && let Some(subos) = self.suboses.get_mut(&who)
        {
            subos.condemned = true;
            subos.up.push_back(Event::Condemned { core: CoreNumber(1) }.to_words());
        }
    }

    /// What each subOS has: its cores, and the sizes of its lots by their numbers.
    fn holdings(&self) -> Holdings {
        let has = |(number, subos): (&u8, &FakeSubOs)| {
            let lots = subos.lots.iter().map(|(lot, chunks)| (*lot, chunks.len())).collect();
            (*number, (self.cores_of(*number), lots))
        };
        self.suboses.iter().map(has).collect()
    }

    pub(crate) fn milliseconds(&self) -> u64 {
        self.now / RATE
    }

    pub(crate) fn has(&self, fault: &Fault) -> bool {
        self.faults.contains(fault)
    }

    /// The records of this name in the transcript.
    #[allow(dead_code, reason = "one of the tests reads them otherwise")]
    pub(crate) fn records(&self, name: &str) -> Vec<&str> {
        let begin = format!("@{name} ");
        self.transcript.lines().filter(|line| line.starts_with(&begin)).collect()
    }

    /// Whether a request for a resource is refused because the test says so.
    pub(crate) fn refuses(&mut self) -> bool {
        let number = self.requests;
        self.requests += 1;
        self.has(&Fault::NoResource(number))
    }

    /// Takes contiguous free chunks.
    pub(crate) fn take(&mut self, size: usize, subos: u8, lot: u8) -> Option<Vec<usize>> {
        let free = |at: usize| self.chunks[at].state == LedgerState::Free;
        let mut places = 0..self.chunks.len().saturating_sub(size) + 1;
        let fits = |first: &usize| (*first..first + size).all(free);
        let first =
            if lot != 0 && self.has(&Fault::LastFit) { places.rfind(fits) } else { places.find(fits) }?;
        let taken: Vec<usize> = (first..first + size).collect();
        for &chunk in &taken {
            self.chunks[chunk] = entry(LedgerState::Owned, subos, lot);
        }
        Some(taken)
    }

    pub(crate) fn free(&mut self, chunks: &[usize]) {
        for &chunk in chunks {
            assert_eq!(self.chunks[chunk].state, LedgerState::Owned, "a chunk is freed once");
            self.chunks[chunk].state = LedgerState::Free;
        }
    }

    /// Chunks of a lot that its subOS no more has go to who has the same, which makes them a window, or are free.
    pub(crate) fn leave(&mut self, chunks: Vec<usize>) {
        let same =
            |subos: &FakeSubOs| subos.lots.iter().find(|(_, lot)| **lot == chunks).map(|(lot, _)| *lot);
        let other = self.suboses.iter().find_map(|(number, subos)| Some((*number, same(subos)?)));
        match other {
            None => self.free(&chunks),
            Some((number, lot)) => {
                chunks
                    .iter()
                    .for_each(|chunk| self.chunks[*chunk] = entry(LedgerState::Owned, number + 1, lot));
                let gone = Event::PeerGone { lot: LotNumber(lot.into()) };
                // A ring that is full loses it, as the kernel's would.
                let _ = self.suboses.get_mut(&number).map(|survivor| survivor.tell(gone.to_words()));
            }
        }
    }

    /// How a subOS answers when it is asked for a core.
    pub(crate) fn manners(&self, subos: u8) -> Manners {
        let found = self.faults.iter().find_map(|fault| match fault {
            Fault::Answers(who, manners) if *who == subos => Some(*manners),
            _ => None,
        });
        let spins = self.suboses.get(&subos).is_some_and(|subos| subos.behaviour == Behaviour::Spins);
        found.unwrap_or(if spins { Manners::Silent } else { Manners::Gives })
    }

    /// The cores of a subOS.
    pub(crate) fn cores_of(&self, subos: u8) -> Vec<u8> {
        let owned = |entry: &LedgerEntry| {
            entry.state == LedgerState::Owned && entry.owner == SubOsNumber(u32::from(subos) + 1)
        };
        (0u8..).zip(&self.cores).filter(|(_, entry)| owned(entry)).map(|(core, _)| core).collect()
    }
}

/// An entry of the ledger; `subos` counts from 1, 0 is the supervisor.
pub(crate) fn entry(state: LedgerState, subos: u8, lot: u8) -> LedgerEntry {
    LedgerEntry { state, owner: SubOsNumber(u32::from(subos)), lot: LotNumber(u32::from(lot)) }
}
