//! Which machines are kept up on this host: each has a socket in one folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Doing, Failure, Result};
use crate::place::{self, shown};

/// The longest path that a socket can have (`sockaddr_un`).
const LONGEST: usize = 107;
/// What sockets are called.
const EXTENSION: &str = "control";

/// Where a machine of this name that this process starts lets an operator in.
///
/// # Errors
/// When the folder cannot be made, or the path is too long for a socket.
pub fn socket_for(name: &str) -> Result<PathBuf> {
    let path = place::scratch("control")?.join(format!("{name}-{}.{EXTENSION}", std::process::id()));
    let length = path.as_os_str().len();
    if length > LONGEST {
        return Err(Failure::new(format!(
            "a socket's path has at most {LONGEST} bytes, and {} has {length}",
            path.display()
        ))
        .next("give the manifest a shorter name, or put the checkout where its path is shorter"));
    }
    Ok(path)
}

/// The socket of the machine that is meant: by its path, by its manifest's name, or, without a word, the only one.
///
/// # Errors
/// When there is none, or more than one; which there are is said.
pub fn socket_of(wanted: Option<&str>) -> Result<PathBuf> {
    if let Some(path) =
        wanted.map(Path::new).filter(|path| path.extension().is_some_and(|it| it == EXTENSION))
    {
        return Ok(path.to_owned());
    }
    let mut all = kept_up()?;
    all.retain(|path| wanted.is_none_or(|wanted| name_of(path) == wanted));
    let none = || match wanted {
        None => Failure::new("no machine is kept up"),
        Some(wanted) => Failure::new(format!("no machine called {wanted} is kept up")),
    };
    let next = "keep one up in another terminal: cargo run -- run --keep-running FILE.toml";
    match all.len() {
        0 => Err(none().next(next).status(super::NOBODY)),
        1 => all.pop().ok_or_else(none),
        count => {
            let list: Vec<String> = all.iter().map(|path| shown(path).to_string()).collect();
            Err(Failure::new(format!("{count} machines are kept up"))
                .detail(list.join("\n"))
                .next("say which: --machine PATH")
                .status(super::NOBODY))
        }
    }
}

/// The sockets of machines that are kept up. What those left behind who were killed is removed.
fn kept_up() -> Result<Vec<PathBuf>> {
    let folder = place::scratch("control")?;
    let entries = fs::read_dir(&folder).doing(|| format!("cannot read {}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let mut live = Vec::new();
    for path in paths.filter(|path| path.extension().is_some_and(|it| it == EXTENSION)) {
        if owner_lives(&path) {
            live.push(path);
        } else {
            // Somebody else may have removed it first.
            let _ = fs::remove_file(&path);
        }
    }
    live.sort();
    Ok(live)
}

/// The manifest's name in a socket's.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.rsplit_once('-').map_or_else(|| stem.to_string(), |(name, _)| name.to_owned())
}

/// Which process keeps the machine up, by the name of its socket.
pub(super) fn owner(path: &Path) -> Option<u32> {
    let stem = path.file_stem()?.to_string_lossy();
    stem.rsplit_once('-').and_then(|(_, id)| id.parse().ok())
}

/// Whether that process is there.
fn owner_lives(path: &Path) -> bool {
    owner(path).is_some_and(|id| Path::new(&format!("/proc/{id}")).exists())
}
