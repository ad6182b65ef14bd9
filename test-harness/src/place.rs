//! Where things are: the checkout, and the folders under `target/` that belong to the harness.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::failure::{Doing, Result};

/// The environment variable that names another checkout: that of a test, which adds a service to it.
pub const ROOT: &str = "ARCHIPELAGO_ROOT";

/// The root of the checkout.
#[must_use]
pub fn root() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        // The manifest directory is that of this crate, one below the root, in every cargo command.
        let own = || Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."));
        std::env::var_os(ROOT).map_or_else(|| own().to_owned(), PathBuf::from)
    })
}

/// This crate's own folder.
#[must_use]
pub fn harness() -> PathBuf {
    root().join("test-harness")
}

/// A folder for what the harness makes, created if need be. Never the folder of the cargo command that runs the
/// harness, whose lock that command may hold.
///
/// # Errors
/// When it cannot be created.
pub fn scratch(name: &str) -> Result<PathBuf> {
    let folder = root().join("target/archipelago").join(name);
    fs::create_dir_all(&folder).doing(|| format!("cannot create the folder {}", folder.display()))?;
    Ok(folder)
}

/// A path as people should see it: from the root of the checkout where it lies below.
pub fn shown(path: &Path) -> std::path::Display<'_> {
    path.strip_prefix(root()).unwrap_or(path).display()
}

/// A lock that holds between processes, until it is dropped or its process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the lock of this name, waiting as long as another holds it.
///
/// # Errors
/// When the lock file cannot be made.
pub fn lock(name: &str) -> Result<Lock> {
    let path = scratch("locks")?.join(name);
    let file = File::create(&path).doing(|| format!("cannot create {}", path.display()))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
        .doing(|| format!("cannot lock {}", path.display()))?;
    Ok(Lock { _file: file })
}
