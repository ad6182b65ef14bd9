//! Programs that the harness needs and how it gets them: found on PATH, or installed once from Debian packages.
//!
//! 1. What is on PATH is used as it is, on any system.
//! 2. What is missing is installed without a question, and the reader is told while it happens.
//! 3. Where that is impossible or unwanted, the failure carries the command that would do it.

mod busybox;
mod packages;

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Failure, Result};
use crate::place;
use crate::say::say;

pub use busybox::busybox;
pub use packages::package_file;

/// Whether missing packages may be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Install {
    /// They may.
    Allowed,
    /// They may not: say what is missing and how to install it.
    Refused,
}

impl Install {
    /// What the environment says: `ARCHIPELAGO_NO_INSTALL` set to anything but nothing refuses, for `cargo test`,
    /// which has no flag for it.
    #[must_use]
    pub fn from_environment() -> Self {
        let refused = env::var_os("ARCHIPELAGO_NO_INSTALL").is_some_and(|value| !value.is_empty());
        if refused { Self::Refused } else { Self::Allowed }
    }
}

const QEMU: &str = "qemu-system-x86_64";
const QEMU_PACKAGE: &str = "qemu-system-x86";

/// What a QEMU says that it is, on its first line.
#[must_use]
pub fn version(qemu: &Path) -> String {
    let output = Command::new(qemu).arg("--version").stdin(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("a QEMU that does not say what it is").to_owned()
}

/// QEMU, installed first if need be.
///
/// # Errors
/// When there is none and it cannot or may not be installed.
pub fn qemu(install: Install) -> Result<PathBuf> {
    if let Some(path) = find(QEMU)? {
        return Ok(path);
    }
    let _one_at_a_time = place::lock("install")?;
    if let Some(path) = find(QEMU)? {
        return Ok(path);
    }
    say(format_args!("{QEMU} is not on PATH; it comes with the package {QEMU_PACKAGE}"));
    packages::install(QEMU_PACKAGE, install)?;
    find(QEMU)?.ok_or_else(|| {
        Failure::new(format!("{QEMU_PACKAGE} is installed, but {QEMU} is still not on PATH"))
            .next("put the folder that holds it on PATH and run again")
    })
}

/// The cargo that builds the images: the one that runs us, or the one on PATH.
///
/// # Errors
/// When there is none.
pub fn cargo() -> Result<PathBuf> {
    if let Some(path) = env::var_os("CARGO").map(PathBuf::from).filter(|path| is_program(path)) {
        return Ok(path);
    }
    find("cargo")?.ok_or_else(|| {
        Failure::new("cargo is not on PATH, and the images are built with it")
            .next("install Rust (https://rustup.rs), or put cargo's folder on PATH, and run again")
    })
}

/// Fails early if there is no linker driver: rustc's own message for that is long.
///
/// # Errors
/// When `cc` is not on PATH.
pub fn linker() -> Result<PathBuf> {
    find("cc")?.ok_or_else(|| {
        Failure::new("cc is not on PATH, and rustc links with it")
            .next("install a C compiler (on Debian or Ubuntu: sudo apt-get install gcc) and run again")
    })
}

/// A program of this name on PATH.
///
/// # Errors
/// When PATH itself is empty: then nothing could be found, and the name of one program would mislead.
fn find(name: &str) -> Result<Option<PathBuf>> {
    let path = env::var_os("PATH").unwrap_or_default();
    if path.is_empty() {
        return Err(Failure::new(format!("PATH is empty, so {name} cannot be found")).next(
            "set PATH to the folders that hold your programs, for example /usr/bin:/bin, and run again",
        ));
    }
    Ok(env::split_paths(&path).map(|folder| folder.join(name)).find(|path| is_program(path)))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
