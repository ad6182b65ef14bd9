//! Images: the kernel and the programs, built at run time by a cargo of their own.
//!
//! 1. Built when first needed, never by a build script; each class of image has its own flags and its own target
//!    folder, so that no cargo waits for another's lock and no class rebuilds another's crates.
//! 2. Nothing of the caller's environment reaches the build but what finds the toolchain and the registry.
//! 3. A program becomes an image of [`idl::program`] here, so that nothing on the target reads ELF.

mod build;
mod bundle;
mod convert;
mod programs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use crate::calls::Functions;
use crate::failure::{Doing, Failure, Result};

pub use build::guest_cargo;
pub use bundle::{BundleFile, Content, write_bundle};
pub use programs::{ProgramSource, SERVICES, program_named, programs};

/// What an image is built as: one set of flags, one target folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// The kernel that ships.
    Kernel,
    /// The kernel with the hooks of the tests.
    KernelHooks,
    /// The same, which also writes every operation on the capability model into its journal.
    KernelJournal,
    /// The kernel that ships with a hundred instructions too many on some paths: what shows that the bench can tell.
    KernelPadded,
    /// The kernel that ships with memory that subOSes share by mistake: what shows that the sharing detector can tell.
    KernelSharing,
    /// Programs.
    User,
}

type Built = BTreeMap<(Class, String), std::result::Result<PathBuf, Failure>>;

/// What this process has built or tried to: nothing is tried twice.
fn built() -> &'static Mutex<Built> {
    static BUILT: OnceLock<Mutex<Built>> = OnceLock::new();
    BUILT.get_or_init(Mutex::default)
}

/// The kernel, built if need be: an ELF file that QEMU boots.
///
/// # Errors
/// When it does not build.
pub fn kernel(class: Class) -> Result<PathBuf> {
    get(class, "kernel", || build::elf(class, "microkernel", "kernel"))
}

/// QEMU's plugin, built if need be: a library that `-plugin` loads.
///
/// # Errors
/// When it does not build.
pub fn plugin() -> Result<PathBuf> {
    static PLUGIN: OnceLock<Result<PathBuf>> = OnceLock::new();
    PLUGIN.get_or_init(build::plugin).clone()
}

/// A program's image, built if need be.
///
/// # Errors
/// When it does not build, or is not fit for the target.
pub fn program_image(program: &ProgramSource) -> Result<Vec<u8>> {
    let path = get(Class::User, &program.name, || {
        let elf = build::elf(Class::User, &program.package, &program.name)?;
        let image = elf.with_extension("image");
        let converted = convert::convert(&read(&elf)?).map_err(|failure| {
            Failure::new(format!("{} is no program for the target: {}", elf.display(), failure.what()))
        })?;
        std::fs::write(&image, converted).doing(|| format!("cannot write {}", image.display()))?;
        Ok(image)
    })?;
    read(&path)
}

/// The functions of a program, built if need be.
///
/// # Errors
/// When it does not build, or has no symbols.
pub fn functions(program: &ProgramSource) -> Result<Functions> {
    program_image(program)?;
    let image = get(Class::User, &program.name, || Err(Failure::new("it was not built")))?;
    Functions::of(&read(&image.with_extension(""))?)
}

fn get(class: Class, name: &str, make: impl FnOnce() -> Result<PathBuf>) -> Result<PathBuf> {
    let mut built = built().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    built.entry((class, name.to_owned())).or_insert_with(make).clone()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).doing(|| format!("cannot read {}", path.display()))
}
