//! The host's side of a run: the files that go into it, and the same command run here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use idl::plan::Start;

use crate::failure::{Doing, Failure, Result};
use crate::image;
use crate::machine::die_with_parent;
use crate::manifest::{Manifest, Source};
use crate::place;
use crate::random::Random;
use crate::say::say;
use crate::tools::{self, Install};

/// What the kernel and the first program of a subOS take of its home lot, in MiB.
const HOME_OVERHEAD: usize = 3;
/// What the supervisor, its kernel and the firmware take of a machine, in MiB, besides a bundle of more than this.
const OVERHEAD: usize = 48;

/// The text that programs work on.
#[derive(Clone, Debug)]
pub struct Input(Vec<u8>);

impl Input {
    /// The text itself.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The longest text to work on: no machine that a manifest can ask for takes more, and some files never end.
const LONGEST_INPUT: u64 = 1 << 30;

/// A file that the user named, as it is.
///
/// # Errors
/// When it cannot be read, or does not end.
pub fn file(path: &Path) -> Result<Input> {
    let failing = || format!("cannot read the input {}", path.display());
    if path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
        say(format_args!("reading the input {} until it ends", path.display()));
    }
    let bytes = File::open(path).and_then(|file| read_to(LONGEST_INPUT, file)).doing(failing)?;
    let most = LONGEST_INPUT >> 20;
    bytes.map(Input).ok_or_else(|| Failure::new(format!("{}: it has more than {most} MiB", failing())))
}

/// Reads to the end; nothing if that is further than so many bytes away.
fn read_to(most: u64, from: impl Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let read = from.take(most + 1).read_to_end(&mut bytes)?;
    Ok((read as u64 <= most).then_some(bytes))
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
    /// The first that is not to be had; or who has too little room for them. What does not fit is told before anything is
    /// built, if it can be.
    pub fn gather(manifest: &Manifest, input: &Input, install: Install) -> Result<Self> {
        let mut files = Self(BTreeMap::new());
        for build in [false, true] {
            for (name, source) in &manifest.files {
                let read = |path: &Path| fs::read(path).doing(|| format!("cannot read {}", path.display()));
                let data = match source {
                    Source::Program(name) if build => program(name)?,
                    Source::Program(_) => continue,
                    _ if build => continue,
                    Source::Path(path) => read(&manifest.folder.join(path))?,
                    Source::Debian(_) => read(&tools::busybox(install)?)?,
                    Source::Input(_) => input.0.clone(),
                };
                files.0.insert(name.clone(), data);
            }
            files.check_room(manifest)?;
        }
        Ok(files)
    }

    /// The file with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> &[u8] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Checks that every subOS has room for its files as far as they are here, and the machine for all of them.
    fn check_room(&self, manifest: &Manifest) -> Result<()> {
        let mib = |bytes: usize| bytes.div_ceil(1 << 20);
        let mut bundle = 0;
        let mut lots = 0;
        for (subos, planned) in manifest.suboses.iter().zip(&manifest.plan.suboses) {
            let sizes = subos.files.iter().map(|name| (self.get(name).len(), name));
            let (files, largest) = (mib(sizes.clone().map(|(size, _)| size).sum()), sizes.max());
            let home = planned.lots.first().map_or(0, |lot| 2 * lot.0 as usize);
            if files + HOME_OVERHEAD > home {
                let name = largest.map_or("", |(_, name)| name);
                let what = format!("the files of {} do not fit into its home lot", subos.name);
                let why = format!(
                    "{what}: they have {files} MiB ({name} is the largest), and of the lot's {home} MiB \
                     {HOME_OVERHEAD} are for its first program"
                );
                return Err(manifest.about_memory_of(subos, why).next(
                    "make the first number of its memory larger in the manifest, or its files smaller",
                ));
            }
            bundle += files;
            if planned.start == Start::AtBoot {
                lots += 2 * planned.lots.iter().map(|lot| lot.0 as usize).sum::<usize>();
            }
        }
        let memory = manifest.memory as usize;
        if bundle > OVERHEAD && bundle + lots + OVERHEAD > memory {
            let why = format!(
                "the files, {bundle} MiB, do not fit into the machine beside its subOSes: of its {memory} MiB they \
                 have {lots} and the supervisor {OVERHEAD}"
            );
            return Err(manifest
                .about_memory(why)
                .next("give the machine more memory, for instance with --memory"));
        }
        Ok(())
    }
}

/// Runs a command on the host over copies of these files, with nothing in its environment, and says what it printed,
/// errors among it. The command's first word is one of the files.
///
/// # Errors
/// When it cannot be run, fails, or takes longer than `patience`: then there is nothing to compare with.
pub fn run(command: &str, names: &[String], files: &Files, patience: Duration) -> Result<Vec<u8>> {
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
    let result = run_in(&folder, command, &printed, patience);
    // What is left behind in the target folder does no harm.
    let _ = fs::remove_dir_all(&folder);
    let _ = fs::remove_file(&printed);
    result
}

fn run_in(folder: &Path, command: &str, printed: &Path, patience: Duration) -> Result<Vec<u8>> {
    let mut words = command.split_whitespace();
    let first =
        words.next().ok_or_else(|| Failure::new("there is no command to compare with on the host"))?;
    let out = File::create(printed).doing(|| format!("cannot create {}", printed.display()))?;
    let errors = out.try_clone().doing(|| format!("cannot write {}", printed.display()))?;
    let mut command = Command::new(folder.join(first));
    command.args(words).current_dir(folder).env_clear();
    command.stdin(Stdio::null()).stdout(out).stderr(errors);
    die_with_parent(&mut command);
    let cannot = || format!("cannot run {first} on the host");
    let mut child = command.spawn().doing(cannot)?;
    let begin = Instant::now();
    let status = loop {
        match child.try_wait().doing(cannot)? {
            Some(status) => break status,
            None if begin.elapsed() < patience => thread::sleep(Duration::from_millis(5)),
            None => {
                child
                    .kill()
                    .and_then(|()| child.wait())
                    .doing(|| format!("cannot end {first} on the host"))?;
                let limit = patience.as_secs_f64();
                return Err(Failure::new(format!(
                    "the command to compare with has not ended on the host after {limit} s"
                )));
            }
        }
    };
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
#[allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
machine = { cores = 2, memory = 512, seconds = 5 }
files = { input = { input = "documents" } }
[[subos]]
name = "a"
program = "spinner"
files = ["input"]
cores = [1]
memory = [HOME]
"#;

    fn room(home: u32, input: usize) -> Result<()> {
        let text = MANIFEST.replace("HOME", &home.to_string());
        let manifest = crate::manifest::parse("x", &text, Path::new("."), Default::default()).unwrap();
        let files = BTreeMap::from([("input".to_owned(), vec![0; input])]);
        Files(files).check_room(&manifest)
    }

    #[test]
    fn files_that_do_not_fit_are_told_before_the_machine_starts() {
        assert_eq!(room(64, 0), Ok(()));
        assert_eq!(room(64, 61 << 20), Ok(()));
        let said = room(64, (61 << 20) + 1).expect_err("it is too large").to_string();
        assert!(
            said.contains("the files of a do not fit") && said.contains("they have 62 MiB (input"),
            "{said}"
        );
        assert!(said.starts_with("x:9: ") && said.contains("memory = [64]"), "where it stands: {said}");
        let said = room(300, 200 << 20).expect_err("it is too large").to_string();
        assert!(said.starts_with("x:2: ") && said.contains('^'), "where it stands: {said}");
        assert!(said.contains("200 MiB, do not fit into the machine") && said.contains("--memory"), "{said}");
    }

    #[test]
    fn files_that_do_not_fit_are_told_before_anything_is_built() {
        let text = MANIFEST.replace("HOME", "4");
        let mut manifest = crate::manifest::parse("x", &text, Path::new("."), Default::default()).unwrap();
        // It cannot be built; whoever tries says so, and it is the first by name.
        manifest.files.insert("a".to_owned(), Source::Program("nothing".to_owned()));
        let gather = |size| Files::gather(&manifest, &Input(vec![0; size]), Install::Refused);
        let said = gather(2 << 20).expect_err("it is too large").to_string();
        assert!(said.starts_with("x:9: the files of a do not fit"), "{said}");
        let said = gather(1 << 20).expect_err("it is not built").to_string();
        assert!(said.contains("there is no program nothing"), "{said}");
    }

    #[test]
    fn an_input_is_read_to_its_end_if_it_has_one() {
        assert_eq!(read_to(4, &b"1234"[..]).unwrap(), Some(b"1234".to_vec()));
        assert_eq!(read_to(4, std::io::repeat(7)).unwrap(), None);
        for (path, reason) in [("/", "Is a directory"), ("/no/such", "No such file")] {
            let said = file(Path::new(path)).expect_err("it is no text").to_string();
            assert!(said.starts_with(&format!("cannot read the input {path}: {reason}")), "{said}");
        }
        let pipe = place::scratch("fake").unwrap().join(format!("fifo-{}", std::process::id()));
        let _ = fs::remove_file(&pipe);
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let path = pipe.clone();
        let writer = std::thread::spawn(move || fs::write(path, "from a pipe"));
        assert_eq!(file(&pipe).unwrap().0, b"from a pipe");
        writer.join().unwrap().unwrap();
        fs::remove_file(pipe).unwrap();
    }

    #[test]
    fn a_command_that_says_nothing_of_use_on_the_host_is_told() {
        let script = |text: &str| {
            let files = BTreeMap::from([("script".to_owned(), format!("#!/bin/sh\n{text}\n").into_bytes())]);
            let names = ["script".to_owned()];
            run("script", &names, &Files(files), Duration::from_millis(300)).map_err(|why| why.to_string())
        };
        assert_eq!(script("echo one; echo two >&2"), Ok(b"one\ntwo\n".to_vec()));
        let said = script("echo no such thing; exit 3").expect_err("it fails");
        assert!(said.contains("fails on the host itself (exit status: 3)"), "{said}");
        assert!(said.contains("no such thing"), "{said}");
        let said = script("while :; do :; done").expect_err("it does not end");
        assert!(said.contains("has not ended on the host"), "{said}");
        let nothing = run("absent", &[], &Files(BTreeMap::new()), Duration::from_secs(1));
        let said = nothing.expect_err("it is not there").to_string();
        assert!(said.contains("cannot run absent on the host"), "{said}");
    }

    #[test]
    fn a_difference_names_the_first_line_that_differs() {
        assert_eq!(difference("a", b"one\ntwo\n", b"one\ntwo\n"), None);
        let said = difference("a", b"one\ntwo\n", b"one\ntoo\n").expect("they differ");
        assert!(said.contains("line 2 is \"too\\n\" and should be \"two\\n\""), "{said}");
        let said = difference("a", b"one\ntwo\n", b"one\n").expect("they differ");
        assert!(said.contains("line 2 is nothing more"), "{said}");
    }
}
