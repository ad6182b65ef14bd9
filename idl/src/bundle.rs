//! The bundle: what the harness hands to the machine, and what the supervisor hands to a subOS.
//!
//! A bundle is one header page and then the entries' data, each at a page boundary, so that a program or a file
//! can be mapped or loaded by its offset alone:
//!
//! | at | what |
//! | --- | --- |
//! | 0 | magic `ARCHBNDL`, version (u32), number of entries (u32) |
//! | 16 | that many entries of 72 bytes: name (48, padded with NUL), offset, length (u64), kind (u32), zero (u32) |
//! | 4096 | the data |
//!
//! All numbers are little endian. A bundle may hold bundles: a subOS's files arrive as one.
//!
//! [`Bundle::parse`] checks everything once; what it returns cannot be out of range. [`write()`] is its inverse
//! and needs no allocator either: ask [`size`], bring a buffer.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What a bundle begins with.
pub const MAGIC: [u8; 8] = *b"ARCHBNDL";
/// The only version there is.
pub const VERSION: u32 = 1;
/// Entries begin at multiples of this many bytes.
pub const PAGE: usize = 4096;
/// Longest name, in bytes.
pub const NAME_LEN: usize = 48;
/// Most entries that one bundle holds: what fits into the header page.
pub const MAX_ENTRIES: usize = (PAGE - size_of::<RawHeader>()) / size_of::<RawEntry>();

/// The entry that is subOS 0's program.
pub const BOOT: &str = "boot";
/// The entry that is the supervisor, which the keeper starts.
pub const SUPERVISOR: &str = "supervisor";
/// The entry that holds subOS 0's arguments.
pub const ARGUMENTS: &str = "args";
/// The entry that holds the plan ([`crate::plan::Plan`]).
pub const PLAN: &str = "plan";

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawHeader {
    magic: [u8; 8],
    version: U32,
    count: U32,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawEntry {
    name: [u8; NAME_LEN],
    offset: U64,
    length: U64,
    kind: U32,
    zero: U32,
}

/// What an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EntryKind {
    /// A program image ([`crate::program`]).
    Program = 1,
    /// Plain bytes.
    File = 2,
    /// UTF-8 text for the program that this bundle is given to.
    Arguments = 3,
    /// Another bundle.
    Bundle = 4,
}

impl EntryKind {
    const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Program),
            2 => Some(Self::File),
            3 => Some(Self::Arguments),
            4 => Some(Self::Bundle),
            _ => None,
        }
    }
}

/// Why bytes are not a bundle, or why entries do not make one. The number is that of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleError {
    /// Shorter than a header page.
    TooShort,
    /// Does not begin with [`MAGIC`].
    BadMagic,
    /// Has another version than [`VERSION`].
    BadVersion,
    /// More entries than [`MAX_ENTRIES`].
    TooManyEntries,
    /// The name is empty, too long, not printable ASCII, or has something after its first NUL.
    BadName(usize),
    /// Another entry has the same name.
    DuplicateName(usize),
    /// There is no such kind.
    BadKind(usize),
    /// The data is not at a page boundary after the header, or reaches beyond the end.
    BadRange(usize),
    /// The data overlaps another entry's.
    Overlap(usize),
    /// The padding is not zero.
    BadPadding(usize),
    /// The buffer is smaller than [`size`] says.
    BufferTooSmall,
}

impl core::fmt::Display for BundleError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooShort => f.write_str("shorter than a header page"),
            Self::BadMagic => f.write_str("does not begin with the magic of a bundle"),
            Self::BadVersion => f.write_str("unknown version"),
            Self::TooManyEntries => write!(f, "more than {MAX_ENTRIES} entries"),
            Self::BadName(n) => write!(f, "entry {n}: the name is empty, too long or not printable ASCII"),
            Self::DuplicateName(n) => write!(f, "entry {n}: the name is taken"),
            Self::BadKind(n) => write!(f, "entry {n}: unknown kind"),
            Self::BadRange(n) => {
                write!(f, "entry {n}: the data lies outside the bundle or off a page boundary")
            }
            Self::Overlap(n) => write!(f, "entry {n}: the data overlaps another entry's"),
            Self::BadPadding(n) => write!(f, "entry {n}: the padding is not zero"),
            Self::BufferTooSmall => f.write_str("the buffer is too small"),
        }
    }
}

impl core::error::Error for BundleError {}

/// One entry of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name, unique in its bundle.
    pub name: &'a str,
    /// What the data is.
    pub kind: EntryKind,
    /// Where the data begins, in bytes from the start of the bundle: a multiple of [`PAGE`].
    pub offset: usize,
    /// The data.
    pub data: &'a [u8],
}

/// Bytes that were found to be a bundle.
#[derive(Clone, Copy, Debug)]
pub struct Bundle<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Bundle<'a> {
    /// Checks the bytes. Any bytes may follow the last entry: a boot loader rounds up.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BundleError> {
        if bytes.len() < PAGE {
            return Err(BundleError::TooShort);
        }
        let (header, _) = RawHeader::ref_from_prefix(bytes).map_err(|_| BundleError::TooShort)?;
        if header.magic != MAGIC {
            return Err(BundleError::BadMagic);
        }
        if header.version.get() != VERSION {
            return Err(BundleError::BadVersion);
        }
        let count = usize::try_from(header.count.get()).map_err(|_| BundleError::TooManyEntries)?;
        if count > MAX_ENTRIES {
            return Err(BundleError::TooManyEntries);
        }
        let bundle = Self { bytes, count };
        for index in 0..count {
            let entry = bundle.decode(index)?;
            bundle.check_against_earlier(index, &entry)?;
        }
        Ok(bundle)
    }

    /// The entries, in their order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let bundle = *self;
        (0..bundle.count).filter_map(move |index| bundle.decode(index).ok())
    }

    /// The entry with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Entry<'a>> {
        self.entries().find(|entry| entry.name == name)
    }

    /// One entry as it is written in the header, checked by itself.
    fn decode(&self, index: usize) -> Result<Entry<'a>, BundleError> {
        let at = size_of::<RawHeader>().saturating_add(index.saturating_mul(size_of::<RawEntry>()));
        let raw = self.bytes.get(at..).and_then(|rest| RawEntry::ref_from_prefix(rest).ok());
        let (raw, _) = raw.ok_or(BundleError::TooManyEntries)?;
        let name = decode_name(&raw.name).ok_or(BundleError::BadName(index))?;
        let kind = EntryKind::from_number(raw.kind.get()).ok_or(BundleError::BadKind(index))?;
        if raw.zero.get() != 0 {
            return Err(BundleError::BadPadding(index));
        }
        let bad_range = BundleError::BadRange(index);
        let offset = usize::try_from(raw.offset.get()).map_err(|_| bad_range)?;
        let length = usize::try_from(raw.length.get()).map_err(|_| bad_range)?;
        if offset < PAGE || !offset.is_multiple_of(PAGE) {
            return Err(bad_range);
        }
        let end = offset.checked_add(length).ok_or(bad_range)?;
        let data = self.bytes.get(offset..end).ok_or(bad_range)?;
        Ok(Entry { name, kind, offset, data })
    }

    fn check_against_earlier(&self, index: usize, entry: &Entry<'a>) -> Result<(), BundleError> {
        let end = |e: &Entry<'_>| e.offset.saturating_add(e.data.len());
        for earlier in (0..index).filter_map(|i| self.decode(i).ok()) {
            if earlier.name == entry.name {
                return Err(BundleError::DuplicateName(index));
            }
            if earlier.offset < end(entry) && entry.offset < end(&earlier) {
                return Err(BundleError::Overlap(index));
            }
        }
        Ok(())
    }
}

/// The name in a padded field: printable ASCII without spaces, then only NUL.
fn decode_name(field: &[u8; NAME_LEN]) -> Option<&str> {
    let length = field.iter().position(|&byte| byte == 0).unwrap_or(NAME_LEN);
    let (name, padding) = field.split_at_checked(length)?;
    let good = !name.is_empty() && name.iter().all(u8::is_ascii_graphic) && padding.iter().all(|&b| b == 0);
    if good { core::str::from_utf8(name).ok() } else { None }
}

/// An entry to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewEntry<'a> {
    /// Its name: at most [`NAME_LEN`] printable ASCII characters.
    pub name: &'a str,
    /// What the data is.
    pub kind: EntryKind,
    /// The data.
    pub data: &'a [u8],
}

/// How many bytes a bundle of these entries has.
#[must_use]
pub fn size(entries: &[NewEntry<'_>]) -> usize {
    entries.iter().fold(PAGE, |at, entry| at.saturating_add(entry.data.len().next_multiple_of(PAGE)))
}

/// Writes the bundle of these entries to the beginning of `buffer`, and says how long it is.
///
/// # Errors
/// A name that is not fit, taken twice, or too many entries; a buffer shorter than [`size`].
pub fn write(entries: &[NewEntry<'_>], buffer: &mut [u8]) -> Result<usize, BundleError> {
    if entries.len() > MAX_ENTRIES {
        return Err(BundleError::TooManyEntries);
    }
    let total = size(entries);
    let out = buffer.get_mut(..total).ok_or(BundleError::BufferTooSmall)?;
    out.fill(0);
    let count = u32::try_from(entries.len()).map_err(|_| BundleError::TooManyEntries)?;
    put(out, 0, RawHeader { magic: MAGIC, version: U32::new(VERSION), count: U32::new(count) }.as_bytes())?;
    let mut offset = PAGE;
    for (index, entry) in entries.iter().enumerate() {
        if entries.iter().take(index).any(|earlier| earlier.name == entry.name) {
            return Err(BundleError::DuplicateName(index));
        }
        let mut name = [0; NAME_LEN];
        let field = name.get_mut(..entry.name.len()).ok_or(BundleError::BadName(index))?;
        field.copy_from_slice(entry.name.as_bytes());
        decode_name(&name).ok_or(BundleError::BadName(index))?;
        let raw = RawEntry {
            name,
            offset: U64::new(offset as u64),
            length: U64::new(entry.data.len() as u64),
            kind: U32::new(entry.kind as u32),
            zero: U32::ZERO,
        };
        put(out, size_of::<RawHeader>() + index * size_of::<RawEntry>(), raw.as_bytes())?;
        put(out, offset, entry.data)?;
        offset += entry.data.len().next_multiple_of(PAGE);
    }
    Ok(total)
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> Result<(), BundleError> {
    let target = out.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len()));
    target.ok_or(BundleError::BufferTooSmall)?.copy_from_slice(bytes);
    Ok(())
}
