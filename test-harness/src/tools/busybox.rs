//! The unmodified Linux program of the demo: Debian's static busybox.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Install, find, packages};
use crate::failure::Result;
use crate::place;
use crate::say::say;

const PACKAGE: &str = "busybox-static";

/// A statically linked busybox for x86_64: Debian's, fetched once into the target folder.
///
/// # Errors
/// When it cannot or may not be fetched and none is on PATH.
pub fn busybox(install: Install) -> Result<PathBuf> {
    let _one_at_a_time = place::lock(PACKAGE)?;
    if let Some(path) = unpacked(&packages::folder(PACKAGE)?) {
        return Ok(path);
    }
    if find("apt-get")?.is_none()
        && let Some(path) = find("busybox")?.filter(|path| is_static_program(path))
    {
        say(format_args!("there is no apt-get here; using the static busybox on PATH, {}", path.display()));
        return Ok(path);
    }
    let otherwise = "put a static busybox on PATH";
    packages::fetch(PACKAGE, install, "static busybox for x86_64", otherwise, unpacked)
}

fn unpacked(folder: &Path) -> Option<PathBuf> {
    let places = ["bin/busybox", "usr/bin/busybox"];
    places.iter().map(|place| folder.join(place)).find(|path| is_static_program(path))
}

/// Whether the file is an x86_64 ELF program that asks for no interpreter.
fn is_static_program(path: &Path) -> bool {
    let Ok(bytes) = fs::read(path) else { return false };
    let Ok(file) = elf::ElfBytes::<elf::endian::AnyEndian>::minimal_parse(&bytes) else { return false };
    let interpreter = |segments: elf::segment::SegmentTable<'_, _>| {
        segments.iter().any(|segment| segment.p_type == elf::abi::PT_INTERP)
    };
    file.ehdr.e_machine == elf::abi::EM_X86_64 && file.segments().is_some_and(|table| !interpreter(table))
}
