//! A checkout to add services to: the folders of this one, by links, and folders of its own where something is added.
//!
//! Cargo names what it builds by where a crate lies below the root, so nothing that this checkout has built is built again.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use test_harness::place;

/// Where services and manifests are added, from the root; with the folders above.
const OWN: [&str; 3] = ["subos-server", "test-harness", "test-harness/manifests"];
/// What cargo writes.
const COPIED: [&str; 2] = ["Cargo.toml", "Cargo.lock"];

/// The checkout, as long as this lives: there is one, and one test at a time has it.
pub(crate) struct Tree {
    root: PathBuf,
    _turn: place::Lock,
}

impl Tree {
    /// As this checkout is.
    pub(crate) fn new() -> Self {
        let turn = place::lock("newcomer").unwrap();
        let root = place::scratch("newcomer").unwrap().join("tree");
        let _ = fs::remove_dir_all(&root);
        let tree = Self { root, _turn: turn };
        tree.link(Path::new(""));
        tree
    }

    /// Links what is in a folder, and makes the folders in which something is added.
    fn link(&self, folder: &Path) {
        fs::create_dir_all(self.root.join(folder)).unwrap();
        for entry in place::root().join(folder).read_dir().unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if OWN.iter().any(|own| path == Path::new(own)) {
                self.link(&path);
            } else if COPIED.iter().any(|copied| path == Path::new(copied)) {
                fs::copy(entry.path(), self.root.join(&path)).unwrap();
            } else if path != Path::new(".git") {
                symlink(entry.path(), self.root.join(&path)).unwrap();
            }
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What a command says that is typed at the root: `cargo run -- ...` is the harness that this test was built with, since to
    /// build another would take minutes.
    pub(crate) fn run(&self, line: &str) -> Output {
        let mut words = line.split_whitespace().peekable();
        let mut settings = Vec::new();
        while let Some((name, value)) = words.peek().and_then(|word| word.split_once('=')) {
            settings.push((name, value));
            words.next();
        }
        let words: Vec<&str> = words.collect();
        let mut command = match words.as_slice() {
            ["cargo", "run", "--", rest @ ..] => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_archipelago"));
                command.args(rest);
                command
            }
            ["cargo", "test", rest @ ..] => {
                let mut command = Command::new(env!("CARGO"));
                command.arg("test").args(rest);
                command
            }
            _ => panic!("nobody runs {line:?} here"),
        };
        command.current_dir(&self.root).env(place::ROOT, &self.root).envs(settings).stdin(Stdio::null());
        command.output().unwrap()
    }
}

/// All that a command said.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
