//! What a supervisor writes down for the one that is started after it has crashed.
//!
//! The notes lie in memory of the keeper's, which outlives the supervisor:
//!
//! | at | what |
//! | --- | --- |
//! | 0 | two sheets of 24 KiB, written in turn, so that one is whole whenever the supervisor dies |
//! | 48 KiB | the slips: what subOSes said since the newer sheet was written, 64 bytes each |
//!
//! A sheet begins with a magic word, its number, the length of what follows the header and a sum over all that. A sheet
//! whose sum is wrong was being written when the supervisor died, or somebody wrote over it: the other one counts. A slip
//! names the sheet that it follows, so that slips which a later sheet contains are void.
//!
//! Whoever reads believes nothing: [`Book::open`] is total.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{Ordering, compiler_fence};

use idl::abi::REGISTER_WORDS;
use idl::plan::SubOsIndex;

use crate::port::MachinePort;

/// Bytes of a sheet.
pub const SHEET: usize = 24 << 10;
/// Bytes that a sheet has room for besides its header.
pub const ROOM: usize = SHEET - HEADER;
/// Bytes of everything.
pub const BYTES: usize = 2 * SHEET + SLIPS * SLIP;

const MAGIC: u64 = u64::from_le_bytes(*b"ARCHNOTE");
/// Magic, number, length, sum.
const HEADER: usize = 32;
/// Bytes of a slip: the sheet's number, the subOS's, the words, a sum.
const SLIP: usize = 64;
/// As many slips as can be heard between two sheets: of each subOS, 16 records.
const SLIPS: usize = 256;

/// What a subOS said.
pub type Said = (SubOsIndex, [u64; REGISTER_WORDS]);

/// What there is to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing was ever written.
    Nothing,
    /// The newer of the sheets that are whole, and what was heard since.
    Sheet(Vec<u8>, Vec<Said>),
    /// Something was written, and no sheet is whole.
    Damaged(String),
}

/// The notes, for writing.
#[derive(Debug, Default)]
pub struct Book {
    /// The number of the sheet that was written last, from 1.
    number: u64,
    /// Slips since then.
    slips: usize,
}

impl Book {
    /// Reads what is there, and goes on after it.
    pub fn open(port: &mut impl MachinePort) -> (Self, Found) {
        let (mut whole, mut blank) = (None, true);
        for place in 0..2 {
            let mut bytes = alloc::vec![0; SHEET];
            port.noted(place * SHEET, &mut bytes);
            blank &= bytes.iter().take(HEADER).all(|byte| *byte == 0);
            if let Some((number, body)) = whole_sheet(&bytes)
                && number % 2 == place as u64
                && whole.as_ref().is_none_or(|(known, _)| number > *known)
            {
                whole = Some((number, body.to_vec()));
            }
        }
        match whole {
            None if blank => (Self::default(), Found::Nothing),
            None => (Self::default(), Found::Damaged("neither of the two sheets is whole".into())),
            Some((number, body)) => {
                let said = slips(port, number);
                (Self { number, slips: said.len() }, Found::Sheet(body, said))
            }
        }
    }

    /// Writes a sheet, over the older one.
    ///
    /// # Errors
    /// When it is longer than [`ROOM`]; nothing is written then.
    pub fn write(&mut self, port: &mut impl MachinePort, body: &[u8]) -> Result<(), String> {
        if body.len() > ROOM {
            return Err(format!("{} bytes of notes, and a sheet has room for {ROOM}", body.len()));
        }
        let number = self.number.wrapping_add(1);
        let at = usize::from(!number.is_multiple_of(2)) * SHEET;
        port.note(at + HEADER, body);
        // The header last: of the first sheet of all, half of it is nothing rather than damage.
        compiler_fence(Ordering::SeqCst);
        let length = body.len() as u64;
        let words = [MAGIC, number, length, sum(&[number, length], body)];
        port.note(at, words.map(u64::to_le_bytes).as_flattened());
        compiler_fence(Ordering::SeqCst);
        (self.number, self.slips) = (number, 0);
        Ok(())
    }

    /// Writes down what was just heard.
    pub fn hear(&mut self, port: &mut impl MachinePort, (subos, words): Said) {
        if self.slips == SLIPS {
            return;
        }
        let [a, b, c, d, e] = words;
        let mut slip = [self.number, u64::from(subos.0), a, b, c, d, e, 0];
        slip[7] = sum(&slip[..7], &[]);
        port.note(2 * SHEET + self.slips * SLIP, slip.map(u64::to_le_bytes).as_flattened());
        self.slips += 1;
    }
}

/// The number and the body of a sheet, if it is whole.
fn whole_sheet(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let (words, _) = header.as_chunks::<8>();
    let [magic, number, length, seal] = words.first_chunk::<4>()?.map(u64::from_le_bytes);
    let body = rest.get(..usize::try_from(length).ok()?)?;
    (magic == MAGIC && number != 0 && seal == sum(&[number, length], body)).then_some((number, body))
}

/// What was heard after the sheet of this number: slips up to the first that does not follow it.
fn slips(port: &mut impl MachinePort, number: u64) -> Vec<Said> {
    let mut bytes = alloc::vec![0; SLIPS * SLIP];
    port.noted(2 * SHEET, &mut bytes);
    let (slips, _) = bytes.as_chunks::<SLIP>();
    let read = |slip: &[u8; SLIP]| {
        let (words, _) = slip.as_chunks::<8>();
        let [after, subos, a, b, c, d, e, seal] = words.first_chunk::<8>()?.map(u64::from_le_bytes);
        let right = after == number && seal == sum(&[after, subos, a, b, c, d, e], &[]);
        let subos = SubOsIndex(u8::try_from(subos).ok()?);
        right.then_some((subos, [a, b, c, d, e]))
    };
    slips.iter().map_while(read).collect()
}

/// FNV-1a over words and bytes: no seal against malice, which could as well be in what is sealed.
fn sum(words: &[u64], bytes: &[u8]) -> u64 {
    let words = words.iter().flat_map(|word| word.to_le_bytes());
    let all = words.chain(bytes.iter().copied());
    all.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
