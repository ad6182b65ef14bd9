//! Who owns which core and which line of memory, as the ledger said around a watch.

use std::collections::BTreeMap;

use idl::record::Record;
use idl::types::{LedgerState, ResourceKind};

use crate::failure::{Failure, Result};

/// Bytes of a chunk.
const CHUNK: u64 = 2 << 20;
/// Bytes of a page.
const PAGE: u64 = 4096;
/// The supervisor's number.
pub const SUPERVISOR: u64 = 0;

/// Who has a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The subOS with this number.
    SubOs(u64),
    /// Nobody: this core is parked, or on its way.
    Nobody(usize),
}

/// What the ledger said of some cores or chunks with consecutive numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hold {
    resource: ResourceKind,
    first: u64,
    count: u64,
    state: LedgerState,
    owner: u64,
    lot: u64,
}

/// Where that lies which two kernels reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Places {
    areas: u64,
    area: u64,
    shares: u64,
    share: u64,
    books: u64,
}

/// Where the kernel's image lies, by physical addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Its first byte.
    pub start: u64,
    /// The first byte after it.
    pub end: u64,
}

/// What a line is, by the ledger and by what boot laid out in what the ledger says is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The kernel's image.
    Image,
    /// The area of this core, so many bytes in.
    Area(u64, u64),
    /// The share of the subOS with this number and the supervisor, so many bytes in.
    Share(u64, u64),
    /// The ledger and what the supervisor's operations remember, so many bytes in.
    Books(u64),
    /// A lot of a subOS: number of the subOS, number of the lot, so many bytes in.
    Lot(u64, u64, u64),
    /// Memory in another state.
    Other(LedgerState),
    /// No memory that the ledger knows.
    Unknown,
}

/// See the module's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Territory {
    holds: Vec<Hold>,
    places: Places,
    image: Image,
    names: BTreeMap<u64, String>,
}

impl Territory {
    /// The territories of all watches of a run, in their order.
    ///
    /// # Errors
    /// When a record lacks something, a watch does not end, or something changed hands during one.
    pub fn all<T: AsRef<str>>(transcript: &[T], image: &Image) -> Result<Vec<Self>> {
        let mut reader = Reader::default();
        for line in transcript {
            if let Some(record) = Record::parse(line.as_ref()) {
                let damaged = || Failure::new(format!("a record means nothing: {}", line.as_ref()));
                reader.take(&record).ok_or_else(damaged)?;
            }
        }
        reader.finish(image)
    }

    /// What was said, and which name the owner of each core goes by.
    fn new(said: Statement, owners: &BTreeMap<u64, String>, image: Image) -> Self {
        let Statement { places, holds } = said;
        let mut land = Self { holds, places, image, names: BTreeMap::new() };
        for (core, name) in owners {
            if let Owner::SubOs(number) = land.owner_of(usize::try_from(*core).unwrap_or(usize::MAX)) {
                land.names.insert(number, name.clone());
            }
        }
        land
    }

    /// Who has a core.
    #[must_use]
    pub fn owner_of(&self, core: usize) -> Owner {
        match self.hold(ResourceKind::Core, core as u64) {
            Some(Hold { state: LedgerState::Owned, owner, .. }) => Owner::SubOs(*owner),
            _ => Owner::Nobody(core),
        }
    }

    /// All cores, with who has them.
    #[must_use]
    pub fn cores(&self) -> Vec<(usize, Owner)> {
        let of = |hold: &&Hold| hold.resource == ResourceKind::Core;
        let count = self.holds.iter().filter(of).map(|hold| hold.first + hold.count).max().unwrap_or(0);
        (0..usize::try_from(count).unwrap_or(0)).map(|core| (core, self.owner_of(core))).collect()
    }

    /// What a line is.
    #[must_use]
    pub fn place(&self, address: u64) -> Place {
        let Places { areas, area, shares, share, books } = self.places;
        let within = |start: u64, each: u64, count: u64| {
            let offset = address.checked_sub(start).filter(|offset| each > 0 && *offset < each * count)?;
            Some((offset / each, offset % each))
        };
        if (self.image.start..self.image.end).contains(&address) {
            return Place::Image;
        }
        if let Some((core, offset)) = within(areas, area, self.cores().len() as u64) {
            return Place::Area(core, offset);
        }
        if let Some((subos, offset)) = within(shares, share, self.suboses()) {
            return Place::Share(subos, offset);
        }
        // Boot lays the shares behind them.
        if (books..shares).contains(&address) {
            return Place::Books(address - books);
        }
        match self.hold(ResourceKind::Chunk, address / CHUNK) {
            Some(Hold { state: LedgerState::Owned, owner, lot, first, .. }) => {
                Place::Lot(*owner, *lot, address - first * CHUNK)
            }
            Some(hold) => Place::Other(hold.state),
            None => Place::Unknown,
        }
    }

    /// How many numbers of subOSes there are up to the last that has something.
    fn suboses(&self) -> u64 {
        let owned = |hold: &&Hold| hold.state == LedgerState::Owned;
        self.holds.iter().filter(owned).map(|hold| hold.owner + 1).max().unwrap_or(0)
    }

    /// What an owner of cores is called.
    #[must_use]
    pub fn name(&self, owner: Owner) -> String {
        match owner {
            Owner::Nobody(core) => format!("nobody (core {core})"),
            Owner::SubOs(SUPERVISOR) => "supervisor".to_owned(),
            Owner::SubOs(number) => self.names.get(&number).cloned().unwrap_or(format!("subOS {number}")),
        }
    }

    /// What a line is, in words, with who owns it by the ledger.
    #[must_use]
    pub fn describe(&self, place: Place) -> String {
        let name = |subos: u64| self.name(Owner::SubOs(subos));
        let reserved = "reserved by the ledger";
        match place {
            Place::Image => format!("the kernel's image, {reserved}"),
            Place::Area(core, offset) => {
                let owner = self.name(self.owner_of(usize::try_from(core).unwrap_or(usize::MAX)));
                format!(
                    "page {} of the area of core {core}, a core of {owner}, +{:#x}",
                    offset / PAGE,
                    offset % PAGE
                )
            }
            Place::Share(subos, offset) => {
                format!(
                    "{} of the share of {} and the supervisor, +{:#x}",
                    side(offset),
                    name(subos),
                    offset % PAGE
                )
            }
            Place::Books(offset) => {
                format!("the books of the supervisor's operations, {reserved}, +{offset:#x}")
            }
            Place::Lot(owner, lot, offset) => {
                let owner = name(owner);
                format!("lot {lot} of {owner}, owned by {owner} by the ledger, +{offset:#x}")
            }
            Place::Other(LedgerState::Reserved) => format!("tables or firmware, {reserved}"),
            Place::Other(state) => format!("memory that is {} by the ledger", state.name().to_lowercase()),
            Place::Unknown => "no memory that the ledger knows".to_owned(),
        }
    }

    fn hold(&self, resource: ResourceKind, number: u64) -> Option<&Hold> {
        let has = |hold: &&Hold| {
            hold.resource == resource && (hold.first..hold.first + hold.count).contains(&number)
        };
        self.holds.iter().find(has)
    }
}

/// The page of a share that so many bytes in is.
fn side(offset: u64) -> &'static str {
    match offset / PAGE {
        0 => "the page down",
        1 => "the page up",
        2 => "the epitaph",
        _ => "the console",
    }
}

/// What the ledger said once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Statement {
    places: Places,
    holds: Vec<Hold>,
}

/// Reads a transcript: around each watch there are two statements of the ledger.
#[derive(Default)]
struct Reader {
    /// Who has which core now, by name.
    owners: BTreeMap<u64, String>,
    statements: Vec<Statement>,
    /// Who had which core when each watch began.
    begun: Vec<BTreeMap<u64, String>>,
    ended: usize,
}

impl Reader {
    fn take(&mut self, record: &Record<'_>) -> Option<()> {
        match record.name {
            "own" => {
                let name: Vec<u8> = record.get("owner")?.bytes().collect();
                self.owners.insert(record.number("core")?, String::from_utf8_lossy(&name).into_owned());
            }
            "places" => {
                let places = Places {
                    areas: record.number("areas")?,
                    area: record.number("area")?,
                    shares: record.number("shares")?,
                    share: record.number("share")?,
                    books: record.number("books")?,
                };
                self.statements.push(Statement { places, holds: Vec::new() });
            }
            "hold" => self.statements.last_mut()?.holds.push(hold(record)?),
            "watch" if record.get("at")?.is("begin") => self.begun.push(self.owners.clone()),
            "watch" => self.ended += 1,
            _ => {}
        }
        Some(())
    }

    fn finish(self, image: &Image) -> Result<Vec<Territory>> {
        let (pairs, rest) = self.statements.as_chunks::<2>();
        if pairs.len() != self.begun.len() || self.ended != self.begun.len() || !rest.is_empty() {
            return Err(Failure::new("the transcript does not say who had what before and after each watch"));
        }
        let lands = pairs.iter().zip(self.begun).map(|([before, after], owners)| {
            if before != after {
                return Err(Failure::new("something changed hands while nothing should have"));
            }
            Ok(Territory::new(before.clone(), &owners, *image))
        });
        lands.collect()
    }
}

fn hold(record: &Record<'_>) -> Option<Hold> {
    let (resource, state) = (record.get("resource")?, record.get("state")?);
    Some(Hold {
        resource: *ResourceKind::ALL.iter().find(|kind| resource.is(kind.name()))?,
        first: record.number("first")?,
        count: record.number("count")?,
        state: *LedgerState::ALL.iter().find(|known| state.is(known.name()))?,
        owner: record.number("owner")?,
        lot: record.number("lot")?,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const SAID: &str = "@places areas=4194304 area=262144 shares=6410240 share=77824 books=6377472\n\
        @hold resource=Core first=0 count=1 state=Owned owner=0 lot=0\n\
        @hold resource=Core first=1 count=2 state=Owned owner=1 lot=0\n\
        @hold resource=Core first=3 count=1 state=Owned owner=2 lot=0\n\
        @hold resource=Core first=4 count=1 state=Free owner=2 lot=0\n\
        @hold resource=Chunk first=0 count=7 state=Reserved owner=0 lot=0\n\
        @hold resource=Chunk first=7 count=32 state=Owned owner=0 lot=0\n\
        @hold resource=Chunk first=39 count=8 state=Owned owner=1 lot=0\n\
        @hold resource=Chunk first=47 count=8 state=Owned owner=1 lot=1\n\
        @hold resource=Chunk first=55 count=8 state=Owned owner=2 lot=0\n\
        @hold resource=Chunk first=63 count=9 state=Free owner=0 lot=0\n";
    const IMAGE: Image = Image { start: 0x20_0000, end: 0x26_0000 };

    fn transcript(before: &str, after: &str) -> String {
        let owners =
            "@own t=1 core=0 owner=supervisor\n@own t=1 core=1 owner=batch\n@own t=1 core=3 owner=echo\n";
        format!(
            "{owners}hello\n{before}@watch t=5 at=begin\n@watch t=9 at=end\n{after}@own t=10 core=1 owner=free\n"
        )
    }

    fn all(transcript: &str) -> Result<Vec<Territory>> {
        Territory::all(&transcript.lines().collect::<Vec<_>>(), &IMAGE)
    }

    /// Core 0 is the supervisor's, 1 and 2 are batch's, 3 is echo's, 4 is nobody's.
    pub(in super::super) fn land() -> Territory {
        let lands = all(&transcript(SAID, SAID)).expect("it is well formed");
        let [land] = lands.as_slice() else { panic!("one watch") };
        land.clone()
    }

    #[test]
    fn every_core_and_line_has_its_owner() {
        let land = land();
        let owners: Vec<_> = land.cores().into_iter().map(|(_, owner)| land.name(owner)).collect();
        assert_eq!(owners, ["supervisor", "batch", "batch", "echo", "nobody (core 4)"]);
        for (address, place) in [
            (0x20_1000, Place::Image),
            (0x40_0000 + 3 * 0x4_0000 + 0x1234, Place::Area(3, 0x1234)),
            (6_410_240 + 2 * 77_824 + 0x1040, Place::Share(2, 0x1040)),
            (6_377_472 + 64, Place::Books(64)),
            (47 * CHUNK + 8, Place::Lot(1, 1, 8)),
            (0x1000, Place::Other(LedgerState::Reserved)),
            (64 * CHUNK, Place::Other(LedgerState::Free)),
            (100 * CHUNK, Place::Unknown),
        ] {
            assert_eq!(land.place(address), place, "{address:#x}");
        }
        assert_eq!(
            land.describe(Place::Lot(2, 0, 0x40)),
            "lot 0 of echo, owned by echo by the ledger, +0x40"
        );
    }

    #[test]
    fn what_is_not_steady_or_not_whole_is_refused() {
        let moved =
            SAID.replace("first=3 count=1 state=Owned owner=2", "first=3 count=1 state=Owned owner=1");
        let failure = all(&transcript(SAID, &moved)).expect_err("a core went elsewhere");
        assert_eq!(failure.what(), "something changed hands while nothing should have");
        assert!(all(&transcript(SAID, "")).is_err(), "nobody said who had what at the end");
        assert!(all(&transcript(SAID, "@hold resource=Core first=0\n")).is_err(), "a damaged record");
        assert_eq!(all("nothing of interest").expect("there is none"), []);
    }
}
