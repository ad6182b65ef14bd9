//! One cargo command for one image.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Class;
use crate::failure::{Doing, Failure, Result};
use crate::machine::die_with_parent;
use crate::place;
use crate::say::say;
use crate::tools;

/// The only target there is. Naming it keeps the flags off build scripts and procedural macros.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds one program or kernel and says where the ELF file is. Cargo shows its own progress and errors.
pub(super) fn elf(class: Class, package: &str, name: &str) -> Result<PathBuf> {
    let folder = target_folder(class);
    let _one_at_a_time = place::lock(&format!("build-{}", class_name(class)))?;
    say(format_args!("building {name} ({})", class_name(class)));
    let mut command = guest_cargo("build", class)?;
    command.args(["-p", package, "--bin", name]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    succeed(command, name)?;
    Ok(folder.join(TARGET).join("guest").join(name))
}

/// Builds QEMU's plugin, for the host, and says where the library is.
pub(super) fn plugin() -> Result<PathBuf> {
    let folder = place::root().join("target/host-plugin");
    let _one_at_a_time = place::lock("build-plugin")?;
    say("building qemu-plugin (host)");
    let mut command = clean_cargo()?;
    command.args(["build", "--release", "--target", TARGET, "-p", "qemu-plugin", "--lib", "--target-dir"]);
    command.arg(&folder).stdin(Stdio::null()).stdout(Stdio::null());
    succeed(command, "qemu-plugin")?;
    Ok(folder.join(TARGET).join("release/libqemu_plugin.so"))
}

fn succeed(mut command: Command, name: &str) -> Result<()> {
    die_with_parent(&mut command);
    let status = command.status().doing(|| "cannot run cargo".to_owned())?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("{name} does not build ({status})"))
        .next("cargo's own errors are above; without any, see that the registry can be reached"))
}

/// A cargo command (`build`, `clippy`...) with the flags, target, profile and features of a class, and an
/// environment without anything of the caller's that would change what is built.
///
/// # Errors
/// When cargo or the linker is missing.
pub fn guest_cargo(verb: &str, class: Class) -> Result<Command> {
    let mut command = clean_cargo()?;
    command.env("CARGO_ENCODED_RUSTFLAGS", flags(class).join("\x1f"));
    let features = match class {
        Class::Kernel | Class::User => "image",
        Class::KernelHooks => "image,hooks",
        Class::KernelJournal => "image,journal",
        Class::KernelPadded => "image,bench-padding",
        Class::KernelSharing => "image,shared-counter",
    };
    command.arg(verb).args(["--profile", "guest", "--target", TARGET]);
    command.arg("--target-dir").arg(target_folder(class)).args(["--features", features]);
    Ok(command)
}

/// A cargo command that runs at the root of the checkout, without anything of the caller's that would change what is
/// built.
fn clean_cargo() -> Result<Command> {
    tools::linker()?;
    let mut command = Command::new(tools::cargo()?);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(changes_builds) {
            command.env_remove(&name);
        }
    }
    // Empty beats what a configuration file may say.
    command.env("CARGO_ENCODED_RUSTFLAGS", "").env("RUSTC_WRAPPER", "").env("RUSTC_WORKSPACE_WRAPPER", "");
    command.current_dir(place::root());
    Ok(command)
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Kernel => "kernel",
        Class::KernelHooks => "kernel-hooks",
        Class::KernelJournal => "kernel-journal",
        Class::KernelPadded => "kernel-padded",
        Class::KernelSharing => "kernel-sharing",
        Class::User => "user",
    }
}

fn target_folder(class: Class) -> PathBuf {
    place::root().join("target").join(format!("guest-{}", class_name(class)))
}

/// Whether an environment variable changes what cargo builds or where. What finds the toolchain, the registry and
/// the network stays, and how cargo writes.
fn changes_builds(name: &str) -> bool {
    let stays = ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_TERM_", "CARGO_SOURCE_"];
    let cargos = name.starts_with("CARGO") && !stays.iter().any(|prefix| name.starts_with(prefix));
    let others = ["RUSTFLAGS", "RUSTDOCFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTC_BOOTSTRAP"];
    let makes = ["MAKEFLAGS", "MFLAGS", "OUT_DIR", "TARGET", "HOST", "PROFILE"];
    cargos || others.contains(&name) || makes.contains(&name)
}

/// The compiler's flags for a class of images.
fn flags(class: Class) -> Vec<String> {
    let root = place::root();
    let script = match class {
        Class::User => root.join("userlib/user.ld"),
        _ => root.join("microkernel/kernel.ld"),
    };
    let mut flags: Vec<String> =
        ["-Crelocation-model=static", "-Cforce-frame-pointers=yes", "-Clinker=cc"].map(str::to_owned).into();
    if class != Class::User {
        flags.push("-Ccode-model=kernel".to_owned());
    }
    let link =
        ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none,-z,max-page-size=4096"];
    flags.extend(link.map(|argument| format!("-Clink-arg={argument}")));
    // Where it really lies: the same flags, however the checkout was reached, build nothing anew.
    let script = script.canonicalize().unwrap_or(script);
    flags.push(format!("-Clink-arg=-Wl,-T{}", script.display()));
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_builds_is_cleared_and_what_finds_things_stays() {
        for name in
            ["CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTFLAGS", "CARGO"]
        {
            assert!(changes_builds(name), "{name}");
        }
        for name in ["CARGO_PROFILE_RELEASE_LTO", "CARGO_MAKEFLAGS", "CARGO_PKG_NAME", "CARGO_MANIFEST_DIR"] {
            assert!(changes_builds(name), "{name}");
        }
        for name in
            ["PATH", "HOME", "CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_TERM_COLOR", "RUSTUP_TOOLCHAIN"]
        {
            assert!(!changes_builds(name), "{name}");
        }
    }
}
