//! Images: the kernel and the programs, built at run time by a cargo of their own.
//!
//! 1. Built when first needed, never by a build script; each class of image has its own flags and its own target
//!    folder, so that no cargo waits for another's lock and no class rebuilds another's crates.
//! 2. Nothing of the caller's environment reaches the build but what finds the toolchain and the registry.
//! 3. A program becomes an image of [`idl::program`] here, so that nothing on the target reads ELF.

mod build;
mod bundle;
mod convert;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use crate::failure::{Doing, Failure, Result};

pub use build::guest_cargo;
pub use bundle::{BundleFile, Content, write_bundle};

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

/// A program that can be built for the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramSource {
    /// Its name, in manifests and bundles: that of the binary.
    pub name: &'static str,
    /// The package that has it.
    pub package: &'static str,
    /// The committed schema of the interface that it serves, from the root of the checkout, if it serves one.
    pub schema: Option<&'static str>,
}

const fn program(name: &'static str, package: &'static str) -> ProgramSource {
    ProgramSource { name, package, schema: None }
}

const fn server(name: &'static str, package: &'static str, schema: &'static str) -> ProgramSource {
    ProgramSource { name, package, schema: Some(schema) }
}

/// Every program that can be built for the target.
pub const PROGRAMS: &[ProgramSource] = &[
    program("supervisor", "supervisor-server"),
    program("init", "subos-init"),
    server("echo-server", "subos-echo", "subos-server/echo/echo.schema"),
    program("echo-client", "subos-echo"),
    program("spinner", "subos-spinner"),
    program("neighbour", "subos-neighbour"),
    server("store-server", "subos-store", "subos-server/store/store.schema"),
    program("store-client", "subos-store"),
    program("linux-server", "linux"),
    program("target-tests", "guest-tests"),
    program("player", "guest-tests"),
    program("mortal", "guest-tests"),
    program("bench", "guest-tests"),
];

/// The program with this name.
#[must_use]
pub fn program_named(name: &str) -> Option<&'static ProgramSource> {
    PROGRAMS.iter().find(|program| program.name == name)
}

type Built = BTreeMap<(Class, &'static str), std::result::Result<PathBuf, Failure>>;

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
    get(class, &program("kernel", "microkernel"), build::elf)
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
pub fn program_image(program: &'static ProgramSource) -> Result<Vec<u8>> {
    let path = get(Class::User, program, |class, program| {
        let elf = build::elf(class, program)?;
        let image = elf.with_extension("image");
        let converted = convert::convert(&read(&elf)?).map_err(|failure| {
            Failure::new(format!("{} is no program for the target: {}", elf.display(), failure.what()))
        })?;
        std::fs::write(&image, converted).doing(|| format!("cannot write {}", image.display()))?;
        Ok(image)
    })?;
    read(&path)
}

fn get(
    class: Class,
    program: &ProgramSource,
    make: impl FnOnce(Class, &ProgramSource) -> Result<PathBuf>,
) -> Result<PathBuf> {
    let mut built = built().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let known = PROGRAMS.iter().map(|p| p.name).find(|name| *name == program.name).unwrap_or("kernel");
    built.entry((class, known)).or_insert_with(|| make(class, program)).clone()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).doing(|| format!("cannot read {}", path.display()))
}
