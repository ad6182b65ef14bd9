//! A machine whose every call somebody hears of, before it and after it: for tests that have a supervisor crash at each.

use caps::Error;
use idl::abi::REGISTER_WORDS;
use idl::kernel::machine::{AuditReport, LedgerEntry};
use idl::kernel::subos::SubOsInfo;
use idl::plan::{Chunks, CoreNumber, LotNumber, MAX_GIVEN, Scrub, SubOsIndex};
use idl::types::{Progress, ResourceKind, StatisticsQuestion, Ticks};

use crate::order::Moment;
use crate::port::{Given, MachinePort, Own, Places, Totals};

/// The calls that change something.
pub const CHANGES: &[&str] = &[
    "create",
    "attach",
    "load",
    "start",
    "grant_core",
    "reclaim_core",
    "grant_lot",
    "grant",
    "reclaim_lot",
    "share",
    "destroy",
    "tell",
];

/// Who hears of calls, by their names.
pub trait Watch {
    /// This is about to be called.
    fn before(&mut self, call: &'static str);
    /// It has come back.
    fn after(&mut self, call: &'static str);
}

/// The machine, and who hears of it.
#[derive(Debug)]
pub struct Watched<P, W> {
    /// The machine.
    pub port: P,
    /// Who hears.
    pub watch: W,
}

macro_rules! pass_on {
    ($($name:ident($($argument:ident: $ty:ty),*) $(-> $answer:ty)?;)+) => {
        impl<P: MachinePort, W: Watch> MachinePort for Watched<P, W> {
            fn now(&self) -> Ticks {
                self.port.now()
            }

            fn ticks_per_second(&self) -> u64 {
                self.port.ticks_per_second()
            }

            $(fn $name(&mut self, $($argument: $ty),*) $(-> $answer)? {
                self.watch.before(stringify!($name));
                let answer = self.port.$name($($argument),*);
                self.watch.after(stringify!($name));
                answer
            })+
        }
    };
}

pass_on! {
    totals() -> Result<Totals, Error>;
    own() -> Result<Own, Error>;
    places() -> Result<Places, Error>;
    ledger(kind: ResourceKind, index: u64) -> Result<LedgerEntry, Error>;
    audit() -> Result<AuditReport, Error>;
    note(at: usize, bytes: &[u8]);
    noted(at: usize, bytes: &mut [u8]);
    found(subos: SubOsIndex) -> Result<Option<SubOsInfo>, Error>;
    create(subos: SubOsIndex, home: Chunks) -> Result<(), Error>;
    attach(subos: SubOsIndex, entry: &str) -> Result<Progress, Error>;
    load(subos: SubOsIndex, entry: &str, arguments: &str) -> Result<(), Error>;
    start(subos: SubOsIndex) -> Result<(), Error>;
    grant_core(subos: SubOsIndex, core: CoreNumber) -> Result<(), Error>;
    reclaim_core(subos: SubOsIndex, core: CoreNumber) -> Result<Progress, Error>;
    grant_lot(subos: SubOsIndex, size: Chunks) -> Result<LotNumber, Error>;
    grant(subos: SubOsIndex, cores: u64, lots: [Chunks; MAX_GIVEN]) -> Result<Given, Error>;
    scrub(subos: SubOsIndex, when: Scrub) -> Result<(), Error>;
    info(subos: SubOsIndex) -> Result<SubOsInfo, Error>;
    reclaim_lot(subos: SubOsIndex, lot: LotNumber) -> Result<Progress, Error>;
    share(between: [SubOsIndex; 2], size: Chunks) -> Result<[LotNumber; 2], Error>;
    destroy(subos: SubOsIndex) -> Result<Progress, Error>;
    tell(subos: SubOsIndex, words: [u64; REGISTER_WORDS]) -> Result<(), Error>;
    hear(subos: SubOsIndex) -> Result<[u64; REGISTER_WORDS], Error>;
    console(subos: SubOsIndex, bytes: &mut [u8]) -> Result<usize, Error>;
    statistics(subos: SubOsIndex, core: CoreNumber, which: StatisticsQuestion) -> Result<[u64; REGISTER_WORDS], Error>;
    epitaph(subos: SubOsIndex, bytes: &mut [u8]) -> Result<usize, Error>;
    mark(moment: Moment);
    rest(until: Ticks);
    write(text: &str);
    exit(status: u8);
}
