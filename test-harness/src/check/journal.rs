//! The journal as it lies in the machine's memory.

use std::fs;
use std::path::Path;

use idl::journal::{BYTES, CROWDED, END, Head, MAGIC, RECORDS, STATE};
use idl::record::Record;

use crate::failure::{Doing, Failure, Result};
use crate::machine::Outcome;

/// A journal, copied out of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    words: Vec<u64>,
}

impl Journal {
    /// The journal of a machine that has ended. Its transcript says where it is.
    ///
    /// # Errors
    /// When there is none, or something is missing in it.
    pub fn of(outcome: &Outcome) -> Result<Self> {
        let ram = outcome.ram.as_ref().ok_or_else(|| Failure::new("the machine's memory was not shared"))?;
        let record =
            outcome.transcript.iter().filter_map(|line| Record::parse(line)).find(|it| it.name == "journal");
        let start = record
            .and_then(|record| record.get("start"))
            .and_then(|start| start.number())
            .ok_or_else(|| outcome.failure("the kernel does not say where its journal is"))?;
        let head = ram.words(start, RECORDS)?;
        let count = usize::try_from(head[END])
            .ok()
            .filter(|count| (RECORDS as u64..=BYTES / 8).contains(&(*count as u64)));
        let (true, Some(count)) = (head[0] == MAGIC, count) else {
            return Err(Failure::new(format!("there is no journal at {start:#x}: {head:x?}")));
        };
        match head[STATE] {
            0 => Ok(Self { words: ram.words(start, count)? }),
            CROWDED => Err(Failure::new("an operation wrote more slots than the journal has room for")),
            _ => Err(Failure::new(format!("the journal of {} MiB ran full", BYTES >> 20))
                .next("idl::journal::BYTES says how much there is")),
        }
    }

    /// Keeps it in a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        fs::write(path, bytes).doing(|| format!("cannot write {}", path.display()))
    }

    /// Reads one that was kept.
    ///
    /// # Errors
    /// When the file cannot be read, or is none.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).doing(|| format!("cannot read {}", path.display()))?;
        let (words, rest) = bytes.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        if words.first() != Some(&MAGIC) || words.len() < RECORDS || !rest.is_empty() {
            return Err(Failure::new(format!("{} is no journal", path.display())));
        }
        Ok(Self { words })
    }

    /// The records, in order, each with its words behind the head.
    pub fn records(&self) -> impl Iterator<Item = Result<(Head, &[u64])>> {
        let mut rest = self.words.get(RECORDS..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (&first, _) = rest.split_first()?;
            let record = Head::from_word(first).and_then(|head| {
                let (words, after) = rest.split_at_checked(usize::try_from(head.words).ok()?)?;
                rest = after;
                Some((head, words.get(1..)?))
            });
            if record.is_none() {
                rest = &[];
            }
            Some(record.ok_or_else(|| Failure::new(format!("{first:#x} is no head of a record"))))
        })
    }
}
