//! The host's side of a run: the files that go into it, and the same command run here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::failure::{Doing, Failure, Result};
use crate::image;
use crate::machine::die_with_parent;
use crate::manifest::{Manifest, Source};
use crate::place;
use crate::random::Random;
use crate::tools::{self, Install};

/// The text that programs work on.
#[derive(Clone, Debug)]
pub struct Input(Vec<u8>);

/// A file that the user named, as it is.
///
/// # Errors
/// When it cannot be read.
pub fn file(path: &Path) -> Result<Input> {
    fs::read(path).map(Input).doing(|| format!("cannot read the input {}", path.display()))
}

/// The repository's own documents, and a line that is new in every run: nobody can know the answer beforehand.
///
/// # Errors
/// When there are none.
pub fn documents() -> Result<Input> {
    let docs = place::root().join("docs");
    let mut paths: Vec<PathBuf> = vec![place::root().join("README.md")];
    let entries = docs.read_dir().doing(|| format!("cannot read {}", docs.display()))?;
    paths.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md") && path.is_file());
    paths.sort();
    let mut text = Vec::new();
    for path in &paths {
        text.extend(fs::read(path).doing(|| format!("cannot read {}", path.display()))?);
    }
    if text.is_empty() {
        return Err(Failure::new(format!("there are no documents in {}", docs.display()))
            .next("name a text with --input FILE"));
    }
    text.extend(format!("This run: {:016x}\n", Random::seed()).into_bytes());
    Ok(Input(text))
}

/// The image of a program that the target runs.
///
/// # Errors
/// When nobody builds it, or it does not build.
pub fn program(name: &str) -> Result<Vec<u8>> {
    let source =
        image::program_named(name).ok_or_else(|| Failure::new(format!("there is no program {name}")))?;
    image::program_image(source)
}

/// The files of a manifest, by name.
#[derive(Clone, Debug)]
pub struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    /// Reads, fetches or builds every file that the manifest names.
    ///
    /// # Errors
    /// The first that is not to be had.
    pub fn gather(manifest: &Manifest, input: &Input, install: Install) -> Result<Self> {
        let mut files = BTreeMap::new();
        for (name, source) in &manifest.files {
            let read = |path: &Path| fs::read(path).doing(|| format!("cannot read {}", path.display()));
            let data = match source {
                Source::Path(path) => read(&manifest.folder.join(path))?,
                Source::Program(name) => program(name)?,
                Source::Debian(_) => read(&tools::busybox(install)?)?,
                Source::Input(_) => input.0.clone(),
            };
            files.insert(name.clone(), data);
        }
        Ok(Self(files))
    }

    /// The file with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> &[u8] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

/// Runs a command on the host over copies of these files, with nothing in its environment, and says what it printed,
/// errors among it. The command's first word is one of the files.
///
/// # Errors
/// When it cannot be run, or fails: then there is nothing to compare with.
pub fn run(command: &str, names: &[String], files: &Files) -> Result<Vec<u8>> {
    /// Runs of one process each have their own folder.
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let number = RUNS.fetch_add(1, Ordering::Relaxed);
    let folder = place::scratch("host")?.join(format!("{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).doing(|| format!("cannot create {}", folder.display()))?;
    for name in names {
        let path = folder.join(name);
        fs::write(&path, files.get(name)).doing(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .doing(|| format!("cannot make {} executable", path.display()))?;
    }
    let printed = folder.with_extension("out");
    let result = run_in(&folder, command, &printed);
    // What is left behind in the target folder does no harm.
    let _ = fs::remove_dir_all(&folder);
    let _ = fs::remove_file(&printed);
    result
}

fn run_in(folder: &Path, command: &str, printed: &Path) -> Result<Vec<u8>> {
    let mut words = command.split_whitespace();
    let first =
        words.next().ok_or_else(|| Failure::new("there is no command to compare with on the host"))?;
    let out = File::create(printed).doing(|| format!("cannot create {}", printed.display()))?;
    let errors = out.try_clone().doing(|| format!("cannot write {}", printed.display()))?;
    let mut command = Command::new(folder.join(first));
    command.args(words).current_dir(folder).env_clear();
    command.stdin(Stdio::null()).stdout(out).stderr(errors);
    die_with_parent(&mut command);
    let status = command.status().doing(|| format!("cannot run {first} on the host"))?;
    let output = fs::read(printed).doing(|| format!("cannot read {}", printed.display()))?;
    if !status.success() {
        let what = format!("the command to compare with fails on the host itself ({status})");
        return Err(Failure::new(what).detail(String::from_utf8_lossy(&output)));
    }
    Ok(output)
}

/// Where two outputs part, in words; nothing if they are the same.
#[must_use]
pub fn difference(subos: &str, expected: &[u8], printed: &[u8]) -> Option<String> {
    if expected == printed {
        return None;
    }
    let expected_lines: Vec<&[u8]> = expected.split_inclusive(|&byte| byte == b'\n').collect();
    let printed_lines: Vec<&[u8]> = printed.split_inclusive(|&byte| byte == b'\n').collect();
    let same = expected_lines.iter().zip(&printed_lines).take_while(|(a, b)| a == b).count();
    let show = |lines: &[&[u8]]| match lines.get(same) {
        Some(line) => format!("{:?}", String::from_utf8_lossy(line).chars().take(120).collect::<String>()),
        None => "nothing more".to_owned(),
    };
    Some(format!(
        "{subos}'s output is not the host's: it printed {} bytes, the host {}; line {} is {} and should be {}",
        printed.len(),
        expected.len(),
        same + 1,
        show(&printed_lines),
        show(&expected_lines)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_first_line_that_differs() {
        assert_eq!(difference("a", b"one\ntwo\n", b"one\ntwo\n"), None);
        let said = difference("a", b"one\ntwo\n", b"one\ntoo\n").expect("they differ");
        assert!(said.contains("line 2 is \"too\\n\" and should be \"two\\n\""), "{said}");
        let said = difference("a", b"one\ntwo\n", b"one\n").expect("they differ");
        assert!(said.contains("line 2 is nothing more"), "{said}");
    }
}
