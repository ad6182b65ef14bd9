//! Debian packages: installed, or unpacked into a folder of our own.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{Install, find};
use crate::failure::{Doing, Failure, Result};
use crate::place::{self, shown};
use crate::say::say;

/// How long to wait for another apt-get or dpkg to finish.
const LOCK_PATIENCE: Duration = Duration::from_secs(300);

/// Installs a package, without asking anything.
pub(super) fn install(package: &str, install: Install) -> Result<()> {
    let command = format!("apt-get install -y --no-install-recommends {package}");
    let as_user = format!("sudo apt-get update && sudo {command}\nthen run again");
    let apt = find("apt-get")?.ok_or_else(|| {
        Failure::new(format!("the package {package} is needed, and there is no apt-get to install it with"))
            .next("install QEMU for x86_64 with your system's own tools, so that qemu-system-x86_64 is on PATH, and run again")
    })?;
    if install == Install::Refused {
        return Err(Failure::new(format!("{package} is not installed, and installing is refused"))
            .next(format!("run: {as_user}")));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new(format!("{package} is not installed, and only root can install it"))
            .next(format!("run: {as_user}")));
    }
    say("apt-get update (the list of packages may be old or absent)");
    let updated = run(&apt, &["update", "-q"], None);
    say(format_args!("{command} (this is done once and takes a minute or two)"));
    run(&apt, &["install", "-y", "-q", "--no-install-recommends", package], None).map_err(|failure| {
        // An update that failed is the likelier reason, and the better message.
        updated.err().unwrap_or(failure).next(format!("see that the network works, then run: {as_user}"))
    })
}

/// A file of a Debian package that is downloaded and unpacked once into the target folder. Needs no root and installs
/// nothing.
///
/// # Errors
/// When it is not there and cannot or may not be fetched, or when the package holds no such file.
pub fn package_file(package: &str, file: &str, install: Install) -> Result<PathBuf> {
    let _one_at_a_time = place::lock(package)?;
    let wanted = |folder: &Path| Some(folder.join(file)).filter(|path| path.is_file());
    let folder = folder(package)?;
    if let Some(path) = wanted(&folder) {
        return Ok(path);
    }
    let otherwise = format!("put {file} of that package into {}", shown(&folder));
    fetch(package, install, file, &otherwise, wanted)
}

/// Where a package is unpacked.
pub(super) fn folder(package: &str) -> Result<PathBuf> {
    Ok(place::scratch("debian")?.join(package))
}

/// Downloads a package into its folder, in which `wanted` must find `what` then. `otherwise` is what people do where
/// there are no Debian packages. The caller holds the package's lock.
pub(super) fn fetch(
    package: &str,
    install: Install,
    what: &str,
    otherwise: &str,
    wanted: impl Fn(&Path) -> Option<PathBuf>,
) -> Result<PathBuf> {
    let folder = folder(package)?;
    // Looked for first: with an empty PATH no command would help.
    let apt = find("apt-get")?;
    if install == Install::Refused {
        let folder = shown(&folder);
        return Err(Failure::new(format!("{package} is not there, and installing and fetching are refused"))
            .next(format!(
                "run: apt-get download {package} && dpkg-deb -x {package}_*.deb {folder}\nthen run again"
            )));
    }
    let missing = |tool: &str| {
        Failure::new(format!("{package} comes from Debian, and {tool} is not on PATH"))
            .next(format!("on Debian or Ubuntu install {tool}; elsewhere {otherwise}; then run again"))
    };
    let apt = apt.ok_or_else(|| missing("apt-get"))?;
    let dpkg = find("dpkg-deb")?.ok_or_else(|| missing("dpkg-deb"))?;
    // Unpacked beside and renamed, so that an interrupted download leaves nothing that looks whole.
    let partial = folder.with_extension("partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial).doing(|| format!("cannot create {}", partial.display()))?;
    download(&apt, package, &partial)?;
    let archive = newest_archive(&partial)?;
    let text = |path: &Path| path.display().to_string();
    run(&dpkg, &["-x", &text(&archive), &text(&partial)], None)?;
    let _ = fs::remove_dir_all(&folder);
    fs::rename(&partial, &folder).doing(|| format!("cannot create {}", folder.display()))?;
    wanted(&folder).ok_or_else(|| {
        Failure::new(format!("the package {package} holds no {what}"))
            .next(format!("look into {}", folder.display()))
    })
}

/// Downloads a package into `folder`.
fn download(apt: &Path, package: &str, folder: &Path) -> Result<()> {
    say(format_args!("apt-get download {package} (into {}, nothing is installed)", shown(folder)));
    if let Err(first) = run(apt, &["download", "-q", package], Some(folder)) {
        let update = "sudo apt-get update";
        if !rustix::process::geteuid().is_root() {
            return Err(first.next(format!("see that the network works, then run: {update}\nthen run again")));
        }
        say("apt-get update (the list of packages may be old or absent)");
        run(apt, &["update", "-q"], None)
            .and_then(|()| run(apt, &["download", "-q", package], Some(folder)))
            .map_err(|failure| {
                failure.next(format!("see that the network works, then run: {update}\nthen run again"))
            })?;
    }
    Ok(())
}

fn newest_archive(folder: &Path) -> Result<PathBuf> {
    let entries = folder.read_dir().doing(|| format!("cannot read {}", folder.display()))?;
    let mut archives: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    archives.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let age = |path: &PathBuf| path.metadata().and_then(|meta| meta.modified()).ok();
    archives
        .into_iter()
        .max_by_key(age)
        .ok_or_else(|| Failure::new(format!("apt-get download left no package in {}", folder.display())))
}

/// Runs a package tool to its end, waiting while another holds the packaging system's lock. What it prints is
/// shown only if it fails.
fn run(tool: &Path, arguments: &[&str], folder: Option<&Path>) -> Result<()> {
    let begin = Instant::now();
    let mut told = false;
    loop {
        let failure = match run_once(tool, arguments, folder) {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        let text = failure.to_string();
        let locked =
            ["Could not get lock", "Unable to lock", "Unable to acquire", "is another process using it"];
        if !locked.iter().any(|sign| text.contains(sign)) || begin.elapsed() > LOCK_PATIENCE {
            return Err(failure);
        }
        if !told {
            say("another program is installing packages; waiting for it");
            told = true;
        }
        thread::sleep(Duration::from_secs(2));
    }
}

fn run_once(tool: &Path, arguments: &[&str], folder: Option<&Path>) -> Result<()> {
    let mut command = Command::new(tool);
    if tool.ends_with("apt-get") {
        // Asks nothing, waits for the lock, and gives up on a network that does not answer.
        command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8");
        command.args(["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=2"]);
        command.args(["-o", "Acquire::http::Timeout=30", "-o", "Acquire::https::Timeout=30"]);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let mut child = command.spawn().doing(|| format!("cannot run {}", tool.display()))?;
    let mut errors = Vec::new();
    if let Some(mut stream) = child.stderr.take() {
        stream.read_to_end(&mut errors).doing(|| format!("cannot read from {}", tool.display()))?;
    }
    let status = child.wait().doing(|| format!("cannot wait for {}", tool.display()))?;
    let errors = String::from_utf8_lossy(&errors).into_owned();
    // apt-get update ends with 0 when it could reach nothing, and only says so.
    let unreachable = arguments.contains(&"update") && errors.contains("Failed to fetch");
    if status.success() && !unreachable {
        return Ok(());
    }
    let name = tool.file_name().unwrap_or_default().to_string_lossy();
    Err(Failure::new(format!("{name} {} failed ({status})", arguments.join(" "))).detail(errors))
}
