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
    /// The window between the subOSes with these numbers, so many bytes in.
    Window(u64, u64, u64),
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
    windows: Vec<Window>,
}

/// A window that both sides have, as the supervisor told it: their names, and which lot of each it is.
type Window = [(String, u64); 2];

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
    fn new(said: Statement, begun: Begun, image: Image) -> Self {
        let Statement { places, holds } = said;
        let mut land = Self { holds, places, image, names: BTreeMap::new(), windows: begun.windows };
        for (core, name) in &begun.owners {
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
                let offset = address - first * CHUNK;
                match self.sides(*owner, *lot) {
                    Some([one, other]) => Place::Window(one, other, offset),
                    None => Place::Lot(*owner, *lot, offset),
                }
            }
            Some(hold) => Place::Other(hold.state),
            None => Place::Unknown,
        }
    }

    /// The two between which this lot of a subOS is a window, if it is one.
    fn sides(&self, owner: u64, lot: u64) -> Option<[u64; 2]> {
        let name = self.names.get(&owner)?;
        let window = self.windows.iter().find(|sides| sides.contains(&(name.clone(), lot)))?;
        let number =
            |name: &String| self.names.iter().find(|(_, known)| *known == name).map(|(number, _)| *number);
        let [(one, _), (other, _)] = window;
        Some([number(one)?, number(other)?])
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
            Place::Window(one, other, offset) => {
                let part = if offset < PAGE { "the doorbells" } else { "the memory" };
                format!("{part} of the window of {} and {}, +{offset:#x}", name(one), name(other))
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
    /// The windows that both sides have now.
    windows: Vec<Window>,
    /// Who had what when each watch began.
    begun: Vec<Begun>,
    ended: usize,
}

/// What the supervisor had told when a watch began.
#[derive(Clone, Default)]
struct Begun {
    /// Who has which core, by name.
    owners: BTreeMap<u64, String>,
    windows: Vec<Window>,
}

impl Reader {
    fn take(&mut self, record: &Record<'_>) -> Option<()> {
        match record.name {
            "own" => {
                self.owners.insert(record.number("core")?, text(record, "owner")?);
            }
            "window" => {
                let names = [text(record, "one")?, text(record, "other")?];
                self.windows.retain(|sides| sides.each_ref().map(|(name, _)| name) != names.each_ref());
                if let [Some(lot), Some(peer)] = ["lot", "peer"].map(|key| record.number(key)) {
                    let [one, other] = names;
                    self.windows.push([(one, lot), (other, peer)]);
                }
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
            "watch" if record.get("at")?.is("begin") => {
                self.begun.push(Begun { owners: self.owners.clone(), windows: self.windows.clone() });
            }
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
        let lands = pairs.iter().zip(self.begun).map(|([before, after], begun)| {
            if before != after {
                return Err(Failure::new("something changed hands while nothing should have"));
            }
            Ok(Territory::new(before.clone(), begun, *image))
        });
        lands.collect()
    }
}

fn text(record: &Record<'_>, key: &str) -> Option<String> {
    let bytes: Vec<u8> = record.get(key)?.bytes().collect();
    Some(String::from_utf8_lossy(&bytes).into_owned())
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
        @hold resource=Chunk first=63 count=2 state=Owned owner=1 lot=2\n\
        @hold resource=Chunk first=65 count=7 state=Free owner=0 lot=0\n";
    const IMAGE: Image = Image { start: 0x20_0000, end: 0x26_0000 };

    fn transcript(before: &str, after: &str) -> String {
        let owners = "@own t=1 core=0 owner=supervisor\n@own t=1 core=1 owner=batch\n@own t=1 core=3 owner=echo\n\
             @window t=1 state=open one=batch lot=1 other=echo peer=1\n@window t=2 state=half one=batch lot=1 other=echo peer=\n\
             @window t=3 state=open one=echo lot=1 other=batch peer=2\n";
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
            (64 * CHUNK, Place::Window(2, 1, CHUNK)),
            (65 * CHUNK, Place::Other(LedgerState::Free)),
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
