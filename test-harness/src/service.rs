//! New services: copies of one that works.
//!
//! 1. *The template is a service of this repository*, `subos-server/sample`, which is built, tested and run like every other
//!    one. It cannot rot, and there is no second language to write it in.
//! 2. *A name is all that changes*: `sample` and `Sample` become the new name, wherever they are words or parts of names. A
//!    name that the template uses already, or that Rust does, is refused.
//! 3. *All or nothing.* The files are written where nobody looks, and then moved. Nothing else needs to be changed: members
//!    of the workspace, programs and target cases are found by where they lie.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use idl::servers::NAME_BYTES;

use crate::failure::{Doing, Failure, Result};
use crate::image::SERVICES;
use crate::place;
use crate::say::warn;

/// The name of the template.
const TEMPLATE: &str = "sample";
/// The files of its crate.
const FILES: [&str; 5] = ["Cargo.toml", "sample.schema", "src/lib.rs", "src/server.rs", "src/client.rs"];
/// Where manifests are.
const MANIFESTS: &str = "test-harness/manifests";
/// What Rust keeps for itself, now or some day (The Rust Reference, "Keywords").
const KEYWORDS: &str = include_str!("keywords.txt");

/// A service that was written.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    /// The folder of its crate.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: PathBuf,
}

/// Writes a service of this name into the checkout at `root`.
///
/// # Errors
/// When the name will not do, when something of this name is there, or when a file cannot be read or written. Nothing is
/// left behind then.
pub fn create(root: &Path, name: &str) -> Result<Written> {
    let name = Name::new(name)?;
    let source = root.join(SERVICES).join(TEMPLATE);
    let files = FILES.map(|file| read(&source.join(file)).map(|text| (file, text)));
    let files = files.into_iter().collect::<Result<Vec<_>>>()?;
    let manifest = read(&root.join(MANIFESTS).join(format!("{TEMPLATE}.toml")))?;
    name.must_be_free_in(files.iter().map(|(_, text)| text).chain([&manifest]))?;
    let written = Written {
        folder: root.join(SERVICES).join(&name.kebab),
        manifest: root.join(MANIFESTS).join(format!("{}.toml", name.kebab)),
    };
    for path in [&written.folder, &written.manifest] {
        if path.exists() {
            let what = format!("{} exists already", place::shown(path));
            return Err(Failure::new(what).next("choose another name, or remove it first"));
        }
    }
    let stage = stage(root)?;
    let made = fill(&stage, &files, &name)
        .and_then(|()| format(root, &stage))
        .and_then(|()| publish(&stage, &written, &name.apply(&manifest)));
    // What was moved is not there any more; what was not is in nobody's way, but of no use either.
    let _ = fs::remove_dir_all(&stage);
    made.map(|()| written)
}

/// Writes the crate's files, under their new names.
fn fill(stage: &Path, files: &[(&str, String)], name: &Name) -> Result<()> {
    for (file, text) in files {
        let path = stage.join(name.apply(file));
        let folder = path.parent().unwrap_or(stage);
        fs::create_dir_all(folder).doing(|| format!("cannot create {}", folder.display()))?;
        fs::write(&path, name.apply(text)).doing(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Lays the crate's source out as the rest of the checkout: another name makes lines of another length. Without rustfmt it
/// stays as it is.
fn format(root: &Path, stage: &Path) -> Result<()> {
    let sources = FILES.iter().filter(|file| file.ends_with(".rs")).map(|file| stage.join(file));
    let mut command = Command::new("rustfmt");
    command.args(["--edition", "2024", "--config-path"]).arg(root.join("rustfmt.toml")).args(sources);
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("rustfmt does not take the new source ({status})"))),
        Err(error) => {
            warn(format_args!("the source is not laid out: rustfmt cannot be run: {error}"));
            Ok(())
        }
    }
}

/// Moves the crate to its place and writes the manifest; takes back what it did if it cannot do both.
fn publish(stage: &Path, written: &Written, manifest: &str) -> Result<()> {
    let Written { folder, manifest: path } = written;
    let staged = stage.join("manifest");
    fs::write(&staged, manifest).doing(|| format!("cannot write {}", staged.display()))?;
    // Unlike a move, a link does not replace what somebody else has made meanwhile.
    fs::hard_link(&staged, path).doing(|| format!("cannot write {}", path.display()))?;
    fs::remove_file(&staged).doing(|| format!("cannot remove {}", staged.display()))?;
    fs::rename(stage, folder).doing(|| format!("cannot write {}", folder.display())).inspect_err(|_| {
        // It is ours: it was not there before.
        let _ = fs::remove_file(path);
    })
}

/// A folder of this process's own beside the crates: to move from there is one step.
fn stage(root: &Path) -> Result<PathBuf> {
    let path = root.join("target").join(format!("new-service-{}", std::process::id()));
    fs::create_dir_all(&path).doing(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).doing(|| format!("cannot read {}", path.display()))
}

/// A service's name in the ways in which it is written.
struct Name {
    /// Of folders, programs and servers: `block-cache`.
    kebab: String,
    /// Of crates in Rust: `block_cache`.
    snake: String,
    /// Of types: `BlockCache`.
    camel: String,
}

impl Name {
    fn new(name: &str) -> Result<Self> {
        let refused = |why: String| {
            Failure::new(format!("{name:?} is no name for a service: {why}"))
                .next("a name is lower-case words, as in counter or block-cache")
        };
        if name.is_empty() || name.len() > NAME_BYTES {
            return Err(refused(format!("a server's name has 1 to {NAME_BYTES} characters")));
        }
        let word = |word: &str| {
            let begins = word.starts_with(|first: char| first.is_ascii_lowercase());
            begins && word.chars().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit())
        };
        if !name.split('-').all(word) {
            return Err(refused(
                "its words have the characters a to z and 0 to 9, begin with a letter, and have one - \
                                between them"
                    .to_owned(),
            ));
        }
        if KEYWORDS.lines().any(|keyword| keyword == name) {
            return Err(refused("it is a keyword of Rust".to_owned()));
        }
        let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
        Ok(Self {
            kebab: name.to_owned(),
            snake: name.replace('-', "_"),
            camel: name.split('-').map(capital).collect(),
        })
    }

    /// Refuses a name that would be a second one of something that the template has: its types and functions, and the names
    /// of what it uses.
    fn must_be_free_in<'a>(&self, texts: impl Iterator<Item = &'a String>) -> Result<()> {
        let part = |each: char| each.is_alphanumeric() || each == '_';
        let own = |word: &&str| !word.to_ascii_lowercase().contains(TEMPLATE);
        let used: BTreeSet<&str> = texts
            .flat_map(|text| code(text))
            .flat_map(|line| line.split(|each| !part(each)))
            .filter(own)
            .collect();
        let made = [&self.snake, &self.camel].into_iter().chain([&self.kebab]).cloned();
        let types = ["Server", "Client", "Dispatch", "Mock", "Error"].map(|end| self.camel.clone() + end);
        let mut taken = made.chain(types).filter(|name| used.contains(name.as_str()));
        taken.next().map_or(Ok(()), |name| {
            Err(Failure::new(format!(
                "{:?} is no name for a service: every service uses {name} already",
                self.kebab
            ))
            .next("choose another name"))
        })
    }

    /// The template's text, of this name.
    fn apply(&self, text: &str) -> String {
        // In Rust's names there is no `-`.
        let text = text.replace("subos_sample", &format!("subos_{}", self.snake));
        text.replace(TEMPLATE, &self.kebab).replace("Sample", &self.camel)
    }
}

/// A text's lines without their comments, in which any word may stand.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or(line))
}
