//! The program image: an executable reduced to what a loader needs.
//!
//! The harness makes it from an ELF file, so that neither the kernel nor a server reads ELF:
//!
//! | at | what |
//! | --- | --- |
//! | 0 | magic `ARCHPROG`, entry address (u64), number of segments (u32), zero (u32) |
//! | 24 | eight segments of 40 bytes: address, offset, bytes in the file, bytes in memory (u64), flags, zero (u32) |
//! | 4096 | the segments' data, each at a page boundary |
//!
//! All numbers are little endian. A loader maps each segment at its address, copies its bytes from the file, and
//! leaves the rest zero.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What an image begins with.
pub const MAGIC: [u8; 8] = *b"ARCHPROG";
/// Segments begin at multiples of this many bytes, in the image and in memory.
pub const PAGE: u64 = 4096;
/// Most segments of an image.
pub const MAX_SEGMENTS: usize = 8;
/// The lowest address a segment may have. Below it lie the startup page, the message page and the stack.
pub const LOWEST: u64 = 0x20_0000;
/// The first address above what a segment may use.
pub const HIGHEST: u64 = 0x7fff_0000_0000;

bitflags::bitflags! {
    /// What a segment's pages allow. Never both WRITE and EXECUTE.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct SegmentFlags: u32 {
        /// Can be read.
        const READ = 1;
        /// Can be written.
        const WRITE = 2;
        /// Can be executed.
        const EXECUTE = 4;
    }
}

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawSegment {
    address: U64,
    offset: U64,
    file_len: U64,
    mem_len: U64,
    flags: U32,
    zero: U32,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawHeader {
    magic: [u8; 8],
    entry: U64,
    count: U32,
    zero: U32,
    segments: [RawSegment; MAX_SEGMENTS],
}

/// How many bytes the header has. The page that it begins is otherwise zero.
pub const HEADER_LEN: usize = size_of::<RawHeader>();

/// Why bytes are not a program image. The number is that of the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramError {
    /// Shorter than the header.
    TooShort,
    /// Does not begin with [`MAGIC`].
    BadMagic,
    /// No segment, or more than [`MAX_SEGMENTS`].
    BadCount,
    /// The entry lies in no executable segment.
    BadEntry,
    /// The address is not at a page boundary, or the memory lies outside what programs may use.
    BadAddress(usize),
    /// The data is not at a page boundary after the header, or reaches beyond the end of the image.
    BadRange(usize),
    /// No memory, or less memory than data.
    BadLength(usize),
    /// Unknown flags, none, or both WRITE and EXECUTE.
    BadFlags(usize),
    /// The segment does not lie above the one before.
    BadOrder(usize),
    /// The padding is not zero.
    BadPadding,
}

impl core::fmt::Display for ProgramError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooShort => f.write_str("shorter than the header"),
            Self::BadMagic => f.write_str("does not begin with the magic of a program image"),
            Self::BadCount => write!(f, "the number of segments is not in 1..={MAX_SEGMENTS}"),
            Self::BadEntry => f.write_str("the entry lies in no executable segment"),
            Self::BadAddress(n) => {
                write!(f, "segment {n}: the address is off a page boundary or not for programs")
            }
            Self::BadRange(n) => {
                write!(f, "segment {n}: the data lies outside the image or off a page boundary")
            }
            Self::BadLength(n) => write!(f, "segment {n}: no memory, or less than data"),
            Self::BadFlags(n) => write!(f, "segment {n}: the flags are unknown, none, or writable code"),
            Self::BadOrder(n) => write!(f, "segment {n}: does not lie above the one before"),
            Self::BadPadding => f.write_str("the padding is not zero"),
        }
    }
}

impl core::error::Error for ProgramError {}

/// One segment, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins in memory: a multiple of [`PAGE`].
    pub address: u64,
    /// Where its data begins, in bytes from the start of the image: a multiple of [`PAGE`].
    pub offset: u64,
    /// How many bytes of data it has.
    pub file_len: u64,
    /// How many bytes of memory it has: at least `file_len`, the rest is zero.
    pub mem_len: u64,
    /// What its pages allow.
    pub flags: SegmentFlags,
}

impl Segment {
    /// The end of its last page. Cannot overflow in a checked segment.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.address.saturating_add(self.pages().saturating_mul(PAGE))
    }

    /// How many pages it takes.
    #[must_use]
    pub const fn pages(&self) -> u64 {
        self.mem_len.div_ceil(PAGE)
    }
}

/// The header of an image, checked.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    entry: u64,
    count: usize,
    segments: [Segment; MAX_SEGMENTS],
}

impl Program {
    /// Checks the header that the first bytes of an image are, `image_len` being the length of the whole: a
    /// loader need not have all of it at hand.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(header: &[u8], image_len: u64) -> Result<Self, ProgramError> {
        let (raw, _) = RawHeader::ref_from_prefix(header).map_err(|_| ProgramError::TooShort)?;
        if raw.magic != MAGIC {
            return Err(ProgramError::BadMagic);
        }
        let count = usize::try_from(raw.count.get()).map_err(|_| ProgramError::BadCount)?;
        if count == 0 || count > MAX_SEGMENTS {
            return Err(ProgramError::BadCount);
        }
        if raw.zero.get() != 0 {
            return Err(ProgramError::BadPadding);
        }
        let nothing =
            Segment { address: 0, offset: 0, file_len: 0, mem_len: 0, flags: SegmentFlags::empty() };
        let mut program = Self { entry: raw.entry.get(), count, segments: [nothing; MAX_SEGMENTS] };
        let mut floor = LOWEST;
        let pairs = raw.segments.iter().zip(program.segments.iter_mut());
        for (index, (raw, segment)) in pairs.take(count).enumerate() {
            *segment = check_segment(index, raw, floor, image_len)?;
            floor = segment.end();
        }
        let inside = |s: &Segment| s.address <= program.entry && program.entry - s.address < s.mem_len;
        let mut code = program.segments().iter().filter(|s| s.flags.contains(SegmentFlags::EXECUTE));
        if code.any(inside) { Ok(program) } else { Err(ProgramError::BadEntry) }
    }

    /// The address at which the program begins to run.
    #[must_use]
    pub const fn entry(&self) -> u64 {
        self.entry
    }

    /// The segments, from low addresses to high; they share no page.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        self.segments.get(..self.count).unwrap_or_default()
    }

    /// How many bytes of memory all segments take, in whole pages.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.segments()
            .iter()
            .fold(0, |sum, segment| sum.saturating_add(segment.pages().saturating_mul(PAGE)))
    }
}

fn check_segment(
    index: usize,
    raw: &RawSegment,
    floor: u64,
    image_len: u64,
) -> Result<Segment, ProgramError> {
    let flags = SegmentFlags::from_bits(raw.flags.get()).ok_or(ProgramError::BadFlags(index))?;
    let segment = Segment {
        address: raw.address.get(),
        offset: raw.offset.get(),
        file_len: raw.file_len.get(),
        mem_len: raw.mem_len.get(),
        flags,
    };
    if raw.zero.get() != 0 {
        return Err(ProgramError::BadPadding);
    }
    if flags.is_empty() || flags.contains(SegmentFlags::WRITE | SegmentFlags::EXECUTE) {
        return Err(ProgramError::BadFlags(index));
    }
    if segment.mem_len == 0 || segment.file_len > segment.mem_len {
        return Err(ProgramError::BadLength(index));
    }
    let aligned = segment.address.is_multiple_of(PAGE) && segment.address >= LOWEST;
    if !aligned || segment.mem_len > HIGHEST || segment.end() > HIGHEST {
        return Err(ProgramError::BadAddress(index));
    }
    if segment.address < floor {
        return Err(ProgramError::BadOrder(index));
    }
    let end = segment.offset.checked_add(segment.file_len);
    let in_image = end.is_some_and(|end| end <= image_len);
    if segment.offset < PAGE || !segment.offset.is_multiple_of(PAGE) || !in_image {
        return Err(ProgramError::BadRange(index));
    }
    Ok(segment)
}

/// The header of an image with this entry and these segments.
///
/// # Errors
/// Whatever [`Program::parse`] would find wrong with it, `image_len` being the length of the whole image.
pub fn header(entry: u64, segments: &[Segment], image_len: u64) -> Result<[u8; HEADER_LEN], ProgramError> {
    let mut raw = RawHeader::read_from_bytes(&[0; HEADER_LEN]).map_err(|_| ProgramError::TooShort)?;
    raw.magic = MAGIC;
    raw.entry = U64::new(entry);
    raw.count = U32::new(u32::try_from(segments.len()).map_err(|_| ProgramError::BadCount)?);
    if segments.len() > MAX_SEGMENTS {
        return Err(ProgramError::BadCount);
    }
    for (raw, segment) in raw.segments.iter_mut().zip(segments) {
        *raw = RawSegment {
            address: U64::new(segment.address),
            offset: U64::new(segment.offset),
            file_len: U64::new(segment.file_len),
            mem_len: U64::new(segment.mem_len),
            flags: U32::new(segment.flags.bits()),
            zero: U32::ZERO,
        };
    }
    let mut bytes = [0; HEADER_LEN];
    bytes.copy_from_slice(raw.as_bytes());
    Program::parse(&bytes, image_len)?;
    Ok(bytes)
}
