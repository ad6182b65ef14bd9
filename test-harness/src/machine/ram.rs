//! The guest's memory, for the harness to read while the machine runs and after it has ended.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Doing, Failure, Result};

/// Whose the guest's memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// QEMU's alone.
    #[default]
    Private,
    /// The harness can read it.
    Shared,
}

/// The guest's memory: a file without a name, which stays for as long as somebody has it open.
#[derive(Clone, Debug)]
pub struct Ram(Arc<File>);

/// What QEMU calls the file.
const NAME: &str = "/memfd:memory-backend-memfd";
/// How long QEMU may take to make it.
const PATIENCE: Duration = Duration::from_secs(20);

impl Ram {
    /// QEMU's arguments for memory of so many MiB that can be read. Guest addresses below 2 GiB are offsets.
    pub(super) fn arguments(mebibytes: u32) -> [String; 4] {
        let object = format!("memory-backend-memfd,id=ram,size={mebibytes}M,share=on");
        ["-object".to_owned(), object, "-machine".to_owned(), "memory-backend=ram".to_owned()]
    }

    /// Opens the memory of the QEMU with this process number, as soon as that has made it.
    pub(super) fn open(process: u32, mut lives: impl FnMut() -> Result<bool>) -> Result<Self> {
        let folder = format!("/proc/{process}/fd");
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE && lives()? {
            // A file that was closed meanwhile is not the one.
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let is_memory =
                    fs::read_link(entry.path()).is_ok_and(|link| link.to_string_lossy().starts_with(NAME));
                if is_memory {
                    let file =
                        File::open(entry.path()).doing(|| "cannot open the guest's memory".to_owned())?;
                    return Ok(Self(Arc::new(file)));
                }
            }
            thread::sleep(Duration::from_millis(1));
        }
        Err(Failure::new("QEMU ended, or was too slow, before it had made the guest's memory"))
    }

    /// The memory of a QEMU with this process number that has made it long ago.
    ///
    /// # Errors
    /// When that cannot be read, or there is none.
    pub fn of(process: u32) -> Result<Self> {
        let looked = std::cell::Cell::new(false);
        Self::open(process, || Ok(!looked.replace(true)))
    }

    /// Words from an address on.
    ///
    /// # Errors
    /// When the machine has no such memory.
    pub fn words(&self, address: u64, count: usize) -> Result<Vec<u64>> {
        let mut bytes = vec![0; count * 8];
        self.0
            .read_exact_at(&mut bytes, address)
            .doing(|| format!("cannot read the guest's memory at {address:#x}"))?;
        let (words, _) = bytes.as_chunks::<8>();
        Ok(words.iter().map(|word| u64::from_le_bytes(*word)).collect())
    }
}
