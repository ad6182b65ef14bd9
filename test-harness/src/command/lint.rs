//! Clippy over what is built for the target, with the flags and the target that it is built with.

use std::collections::BTreeSet;
use std::process::Stdio;

use crate::failure::{Doing, Failure, Result};
use crate::image::{Class, guest_cargo, programs};
use crate::machine::die_with_parent;
use crate::say::say;

/// Runs it; a warning is a failure.
pub(super) fn lint() -> Result<()> {
    let programs: BTreeSet<&str> = programs().iter().map(|program| program.package.as_str()).collect();
    let kernel = BTreeSet::from(["microkernel"]);
    for (class, packages) in [
        (Class::Kernel, &kernel),
        (Class::KernelHooks, &kernel),
        (Class::KernelJournal, &kernel),
        (Class::KernelPadded, &kernel),
        (Class::KernelSharing, &kernel),
        (Class::User, &programs),
    ] {
        let names: Vec<&str> = packages.iter().copied().collect();
        say(format_args!("clippy for {}", names.join(", ")));
        let mut command = guest_cargo("clippy", class)?;
        for package in packages {
            command.args(["-p", package]);
        }
        command.args(["--", "-D", "warnings"]).stdin(Stdio::null());
        die_with_parent(&mut command);
        let status = command.status().doing(|| "cannot run cargo".to_owned())?;
        if !status.success() {
            return Err(Failure::new("clippy finds something in what is built for the target"));
        }
    }
    Ok(())
}
