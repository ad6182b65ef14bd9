//! Measuring: counts of executed guest instructions, the same in every run.
//!
//! Reading order: [`rows`] (what is measured), [`mod@bench`] (how), [`log`] (what the plugin wrote), [`figures`] (what it
//! comes to), [`report`] (how it is shown), [`mod@profile`] (where it goes), [`masked`]
//! (how long interrupts are kept waiting), [`scale`] (what depends on how many subOSes there are), [`victim`] (whether somebody notices
//! what is done to others), [`source`] (how long the
//! kernel is), [`compare`] (what shows that it can be trusted). What figures mean is in `docs/measuring.md`.

pub mod bench;
pub mod compare;
pub mod figures;
pub mod kernel_image;
pub mod log;
pub mod masked;
pub mod profile;
pub mod report;
pub mod rows;
pub mod scale;
pub mod source;
pub mod victim;

use std::path::{Path, PathBuf};

use self::log::Log;
use crate::failure::{Doing, Failure, Result};
use crate::image;
use crate::place;

/// What the plugin is asked to do in a run.
#[derive(Clone, Debug)]
pub struct Counting {
    file: PathBuf,
    watched: Vec<u64>,
    apart: Vec<(u64, u64)>,
    memory: bool,
    profile: bool,
    instructions: bool,
    masked: Option<Masks>,
}

/// Where the kernel's entries of interrupts and exceptions begin, and where it looks whether an interrupt waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Masks {
    /// The first byte of the first entry.
    pub entries: u64,
    /// The first byte of the function that looks.
    pub look: u64,
}

impl Counting {
    /// Counts instructions and notes the counts at every marker. `name` tells runs of one process apart.
    ///
    /// # Errors
    /// When there is no place for the plugin's file.
    pub fn new(name: &str) -> Result<Self> {
        let file = place::scratch("counts")?.join(format!("{name}-{}.log", std::process::id()));
        Ok(Self {
            file,
            watched: Vec::new(),
            apart: Vec::new(),
            memory: false,
            profile: false,
            instructions: true,
            masked: None,
        })
    }

    /// Also notes the counts whenever the instruction at this virtual address is about to run.
    #[must_use]
    pub fn watch(mut self, address: u64) -> Self {
        self.watched.push(address);
        self
    }

    /// Also counts apart what lies at these virtual addresses.
    #[must_use]
    pub fn apart(mut self, addresses: std::ops::Range<u64>) -> Self {
        self.apart.push((addresses.start, addresses.end));
        self
    }

    /// Also tells which lines of memory cores share, between the markers that ask for it.
    #[must_use]
    pub fn memory(mut self) -> Self {
        self.memory = true;
        self
    }

    /// Counts no instructions, which makes the machine faster.
    #[must_use]
    pub fn without_instructions(mut self) -> Self {
        self.instructions = false;
        self
    }

    /// Also follows instructions one by one, between the markers that ask for it.
    #[must_use]
    pub fn profile(mut self) -> Self {
        self.profile = true;
        self
    }

    /// Also finds the longest stretches for which a core lets no interrupt in.
    #[must_use]
    pub fn masked(mut self, masks: Masks) -> Self {
        self.masked = Some(masks);
        self
    }

    /// QEMU's arguments; builds the plugin if need be.
    ///
    /// # Errors
    /// When the plugin does not build, or a path has a comma, which QEMU takes for its own.
    pub fn arguments(&self) -> Result<Vec<String>> {
        let mut value = format!("{},out={}", plain(&image::plugin()?)?, plain(&self.file)?);
        for address in &self.watched {
            value.push_str(&format!(",watch={address:#x}"));
        }
        for (first, end) in &self.apart {
            value.push_str(&format!(",apart={first:#x}-{end:#x}"));
        }
        if self.memory {
            value.push_str(",memory=on");
        }
        if !self.instructions {
            value.push_str(",counts=off");
        }
        if let Some(Masks { entries, look }) = self.masked {
            value.push_str(&format!(",masked=on,entries={entries:#x},look={look:#x}"));
        }
        if self.profile {
            value.push_str(",profile=on");
        }
        Ok(vec!["-plugin".to_owned(), value])
    }

    /// Reads what the plugin wrote, and removes the file.
    ///
    /// # Errors
    /// When the file is missing, damaged or ends early.
    pub fn take(self) -> Result<Log> {
        let log = Log::read(&self.file)?;
        std::fs::remove_file(&self.file).doing(|| format!("cannot remove {}", self.file.display()))?;
        Ok(log)
    }
}

fn plain(path: &Path) -> Result<&str> {
    let text = path.to_str().filter(|text| !text.contains(','));
    text.ok_or_else(|| {
        Failure::new(format!("QEMU cannot be given the path {}", path.display()))
            .next("put the checkout into a folder whose name has no comma and is UTF-8")
    })
}
