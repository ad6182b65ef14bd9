//! What the command says when something that it needs is not there.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use test_harness::place;
use test_harness::tools::{self, Install};

/// A folder with these shell scripts as programs.
fn programs(name: &str, scripts: &[(&str, &str)]) -> PathBuf {
    let folder = place::scratch("fake").unwrap().join(format!("path-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for (program, script) in scripts {
        let path = folder.join(program);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// What `archipelago prepare` says with this PATH; it must fail.
fn prepare(path: &str, flags: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_archipelago"));
    command.arg("prepare").args(flags).env("PATH", path).env_remove("ARCHIPELAGO_NO_INSTALL");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

fn contains(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} expected in: {said}");
    }
}

#[test]
fn an_empty_path_is_told() {
    contains(&prepare("", &[]), &["PATH is empty", "next: set PATH"]);
}

#[test]
fn without_qemu_and_apt_get_the_user_learns_what_to_install() {
    contains(&prepare("/nonexistent", &[]), &["no apt-get", "qemu-system-x86_64 is on PATH"]);
}

#[test]
fn no_install_refuses_and_says_the_command() {
    let folder = programs("refuse", &[("apt-get", "touch $0.called; exit 1")]);
    let said = prepare(folder.to_str().unwrap(), &["--no-install"]);
    contains(
        &said,
        &["installing is refused", "sudo apt-get install -y --no-install-recommends qemu-system-x86"],
    );
    assert!(!folder.join("apt-get.called").exists(), "nothing was tried");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn without_a_network_the_reason_and_the_command_are_told() {
    let script = "echo \"E: Failed to fetch something, Temporary failure resolving\" >&2; exit 100";
    let folder = programs("network", &[("apt-get", script)]);
    let said = prepare(folder.to_str().unwrap(), &[]);
    let command = "sudo apt-get install -y --no-install-recommends qemu-system-x86";
    if rustix::process::geteuid().is_root() {
        contains(&said, &["Temporary failure resolving", "see that the network works", command]);
    } else {
        contains(&said, &["only root can install it", command]);
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn without_a_linker_the_user_learns_what_to_install() {
    let folder = programs("linker", &[("qemu-system-x86_64", "exit 1"), ("apt-get", "exit 1")]);
    let cargo = programs("linker", &[("cargo", "exit 1"), ("dpkg-deb", "exit 1")]);
    assert_eq!(folder, cargo);
    let said = prepare(folder.to_str().unwrap(), &["--accel", "tcg"]);
    // Either busybox was fetched before, and the linker is what is missing, or it was not and cannot be.
    assert!(said.contains("cc is not on PATH") || said.contains("apt-get"), "{said}");
    fs::remove_dir_all(folder).unwrap();
}

/// Set in the process that fetches for [`a_package_that_cannot_be_had_is_told`].
const FETCHER: &str = "ARCHIPELAGO_TEST_FETCHER";

/// What is said when a package is wanted with this PATH. In a process of its own, because PATH is the process's.
fn fetch(path: &str, refused: &str) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_package_that_cannot_be_had_is_told", "--nocapture"]);
    command.env(FETCHER, "1").env("PATH", path).env("ARCHIPELAGO_NO_INSTALL", refused);
    let output = command.output().unwrap();
    assert!(!output.status.success(), "there is no such package");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_package_that_cannot_be_had_is_told() {
    const PACKAGE: &str = "archipelago-no-such-package";
    if std::env::var_os(FETCHER).is_some() {
        let found = tools::package_file(PACKAGE, "usr/lib/libc.a", Install::from_environment());
        panic!("{}", found.unwrap_err());
    }
    for refused in ["", "1"] {
        contains(&fetch("", refused), &["PATH is empty", "next: set PATH"]);
    }
    contains(&fetch("/nonexistent", ""), &[PACKAGE, "apt-get is not on PATH", "put usr/lib/libc.a of that"]);
    let script = ": > $0.called
        echo \"E: Failed to fetch it, Temporary failure resolving\" >&2; exit 100";
    let folder = programs("package", &[("apt-get", script), ("dpkg-deb", "exit 1")]);
    let path = folder.to_str().unwrap();
    contains(&fetch(path, "1"), &["fetching are refused", &format!("apt-get download {PACKAGE}")]);
    assert!(!folder.join("apt-get.called").exists(), "nothing was tried");
    let said = fetch(path, "");
    contains(&said, &["Temporary failure resolving", "see that the network works", "sudo apt-get update"]);
    assert!(folder.join("apt-get.called").exists());
    fs::remove_dir_all(folder).unwrap();
    fs::remove_dir_all(place::scratch("debian").unwrap().join(format!("{PACKAGE}.partial"))).unwrap();
}
