//! Everything that the other commands need, ahead of time.

use crate::cli::Options;
use crate::failure::Result;
use crate::image::{self, Class};
use crate::machine;
use crate::place::shown;
use crate::say::say;
use crate::tools;

/// Installs, fetches and builds.
pub(super) fn prepare(options: &Options) -> Result<()> {
    let qemu = tools::qemu(options.install())?;
    let accelerator = machine::choose_accelerator(options.accel, &qemu)?;
    say(format_args!("QEMU: {} with {}", qemu.display(), accelerator.name()));
    let busybox = tools::busybox(options.install())?;
    say(format_args!("busybox: {}", shown(&busybox)));
    for class in [Class::Kernel, Class::KernelHooks, Class::KernelJournal] {
        say(format_args!("kernel: {}", shown(&image::kernel(class)?)));
    }
    for program in image::programs() {
        let image = image::program_image(program)?;
        say(format_args!("program: {}, {} KiB", program.name, image.len().div_ceil(1024)));
    }
    Ok(())
}
