//! A run as one folder: all that it was made of and all that came of it, so that it can be looked at later and done again.
//!
//! | file | what |
//! | --- | --- |
//! | `run.json` | the commit, the command's options, QEMU, the accelerator, how it ended |
//! | `manifest.toml`, and the files that it names by path | as they were |
//! | `input` | the text that programs worked on, with the line that is another in every run |
//! | `transcript.txt` | every line that the machine wrote; the story, the verdict and the pictures are made of it |
//! | `figures.json` | what each subOS did on each core |
//! | `timeline.svg` | who had what |

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::failure::{Doing, Failure, Result};
use crate::host::Input;
use crate::manifest::{Compare, Manifest, Overrides, Source};
use crate::place;
use crate::play::Played;
use crate::story::{Stat, Story};
use crate::view;

const ABOUT: &str = "run.json";
const MANIFEST: &str = "manifest.toml";
const INPUT: &str = "input";
const TRANSCRIPT: &str = "transcript.txt";

/// What the run was, besides its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// What the manifest was called.
    pub manifest: String,
    /// The commit that was checked out; none outside of a repository.
    pub commit: Option<String>,
    /// Whether files were changed since that commit.
    pub changed: bool,
    /// What the command line said instead of the manifest.
    pub cores: Option<u32>,
    /// The same for the memory, in MiB.
    pub memory: Option<u32>,
    /// What ran the machine's instructions.
    pub accelerator: String,
    /// What QEMU says that it is.
    pub qemu: String,
    /// Everything that was wrong with the run.
    pub wrong: Vec<String>,
}

impl About {
    /// What the command line said instead of the manifest.
    #[must_use]
    pub const fn overrides(&self) -> Overrides {
        Overrides { cores: self.cores, memory: self.memory }
    }

    /// In which way this checkout is not the one that the run was made with, if it is not.
    #[must_use]
    pub fn other_checkout(&self, commit: Option<&str>, changed: bool) -> Option<String> {
        let name = |commit: Option<&str>| {
            commit.map_or("no commit", |commit| commit.get(..12).unwrap_or(commit)).to_owned()
        };
        let with =
            |commit, changed| if changed { format!("{} with changes", name(commit)) } else { name(commit) };
        let (then, now) = (with(self.commit.as_deref(), self.changed), with(commit, changed));
        // Changes are not recorded, so two changed checkouts may be two different ones.
        (then != now || changed).then(|| format!("it was recorded at {then}, and this is {now}"))
    }
}

/// The commit that is checked out, and whether files were changed since.
#[must_use]
pub fn commit() -> (Option<String>, bool) {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(place::root()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|list| !list.is_empty());
    (git(&["rev-parse", "HEAD"]), changed)
}

/// Writes all of it into a folder, which is made if need be.
///
/// # Errors
/// When the folder has a run in it already, a file of the manifest lies elsewhere than below it, or writing fails.
pub fn keep(folder: &Path, about: &About, manifest: &Manifest, input: &Input, played: &Played) -> Result<()> {
    check_empty(folder)?;
    fs::create_dir_all(folder).doing(|| format!("cannot create the folder {}", folder.display()))?;
    for source in manifest.files.values() {
        if let Source::Path(path) = source {
            copy(&manifest.folder, folder, path)?;
        }
    }
    let figures = figures(&played.story.stats);
    let json = |value: &Value| format!("{value:#}\n").into_bytes();
    let about = serde_json::to_value(about).doing(|| "cannot describe the run".to_owned())?;
    write(folder, MANIFEST, manifest.text().as_bytes())?;
    write(folder, INPUT, input.bytes())?;
    write(folder, TRANSCRIPT, (played.outcome.transcript.join("\n") + "\n").as_bytes())?;
    write(folder, "figures.json", &json(&figures))?;
    let title = format!("{}: who had which core and how much memory", played_name(folder));
    let drawn = view::picture(&played.story.timeline, &title, &manifest.steps);
    write(folder, "timeline.svg", drawn.as_bytes())?;
    // Last: a folder with this file is a whole one.
    write(folder, ABOUT, &json(&about))
}

/// Refuses a folder that has a run in it, before one is played for it.
///
/// # Errors
/// What is there already.
pub fn check_empty(folder: &Path) -> Result<()> {
    if folder.join(ABOUT).exists() {
        let what = format!("there is a run in {} already", folder.display());
        return Err(Failure::new(what).next("name another folder, or remove that one"));
    }
    Ok(())
}

/// A run that was kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What it was.
    pub about: About,
    /// Where its manifest is.
    pub manifest: PathBuf,
    /// Where its input is.
    pub input: PathBuf,
    /// What its transcript tells.
    pub story: Story,
}

/// Reads a run that was kept.
///
/// # Errors
/// What of it is not there, or is not what it should be.
pub fn read(folder: &Path) -> Result<Kept> {
    let path = folder.join(ABOUT);
    let text = fs::read_to_string(&path).doing(|| format!("there is no run in {}", folder.display()));
    let text = text.map_err(|failure| failure.next("`cargo run -- run FILE.toml --record DIR` makes one"))?;
    let about = serde_json::from_str(&text).doing(|| format!("{} is damaged", path.display()))?;
    let path = folder.join(TRANSCRIPT);
    let transcript = fs::read_to_string(&path).doing(|| format!("cannot read {}", path.display()))?;
    let mut story = Story::default();
    for line in transcript.lines() {
        story.tell(line);
    }
    Ok(Kept { about, manifest: folder.join(MANIFEST), input: folder.join(INPUT), story })
}

/// In what a run differs from the one that was kept, of what does not depend on how a host shares its cores: how each step
/// ended, what was found, who ended and who crashed, and what programs printed whose output is compared.
#[must_use]
pub fn differences(kept: &Story, now: &Story, manifest: &Manifest) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differ = |what: String, then: String, now: String| {
        if then != now {
            differences.push(format!("{what}: it was {then}, and is {now}"));
        }
    };
    let result = |story: &Story, step: u64| {
        story.steps.get(&step).cloned().unwrap_or_else(|| "never begun".to_owned())
    };
    for (step, words) in (0u64..).zip(&manifest.steps) {
        differ(format!("step {} ({words})", step + 1), result(kept, step), result(now, step));
    }
    let findings = |story: &Story| {
        let all = story
            .findings
            .iter()
            .map(|(what, good, _)| format!("{what} {}", if *good { "good" } else { "bad" }));
        all.collect::<Vec<_>>().join(", ")
    };
    differ("the findings".to_owned(), findings(kept), findings(now));
    for subos in &manifest.suboses {
        let name = &subos.name;
        let crashes = |story: &Story| story.crashes.contains_key(name).to_string();
        differ(format!("whether something of {name} crashed"), crashes(kept), crashes(now));
        let ended = |story: &Story| story.ended.contains_key(name).to_string();
        differ(format!("whether {name} ended of itself"), ended(kept), ended(now));
        if subos.compare == Compare::Host {
            let printed = |story: &Story| story.output.get(name).cloned().unwrap_or_default();
            let (then, now) = (printed(kept), printed(now));
            let at = then
                .iter()
                .zip(&now)
                .position(|(then, now)| then != now)
                .unwrap_or(then.len().min(now.len()));
            if then != now {
                differ(
                    format!("what {name} printed, from byte {at} on"),
                    then.len().to_string() + " bytes",
                    now.len().to_string() + " bytes, others",
                );
            }
        }
    }
    differences
}

fn figures(stats: &[Stat]) -> Value {
    let rows = stats.iter().map(|stat| {
        let mut row = Map::new();
        row.insert("subos".to_owned(), stat.subos.clone().into());
        row.insert("core".to_owned(), stat.core.into());
        row.extend(stat.counts.iter().map(|(name, count)| (name.clone(), (*count).into())));
        Value::Object(row)
    });
    Value::Array(rows.collect())
}

fn played_name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Copies a file that a manifest names by its path to the same place below the folder.
fn copy(from: &Path, to: &Path, path: &Path) -> Result<()> {
    let below = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !below {
        let what = format!(
            "the file {} does not lie below the manifest, so it cannot be kept with it",
            path.display()
        );
        return Err(Failure::new(what).next("put it beside the manifest, and name it from there"));
    }
    let target = to.join(path);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).doing(|| format!("cannot create the folder {}", parent.display()))?;
    }
    fs::copy(from.join(path), &target).doing(|| format!("cannot copy {}", path.display()))?;
    Ok(())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    fs::write(folder.join(name), bytes).doing(|| format!("cannot write {}", folder.join(name).display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::load;

    fn about() -> About {
        About {
            manifest: "demo.toml".to_owned(),
            commit: Some("0123456789abcdef".to_owned()),
            changed: false,
            cores: None,
            memory: Some(512),
            accelerator: "tcg".to_owned(),
            qemu: "QEMU 7.2".to_owned(),
            wrong: Vec::new(),
        }
    }

    #[test]
    fn another_checkout_is_told() {
        let about = about();
        let here = about.commit.as_deref();
        assert_eq!(about.other_checkout(here, false), None);
        let told = "it was recorded at 0123456789ab, and this is 0123456789ab with changes";
        assert_eq!(about.other_checkout(here, true).as_deref(), Some(told));
        let told = "it was recorded at 0123456789ab, and this is no commit";
        assert_eq!(about.other_checkout(None, false).as_deref(), Some(told));
    }

    #[test]
    fn stories_are_compared_by_what_hosts_do_not_decide() {
        let manifest = load(&crate::manifest::demo(), Overrides::default()).unwrap();
        let story = |lines: &[&str]| {
            let mut story = Story::default();
            lines.iter().for_each(|line| drop(story.tell(line)));
            story
        };
        let good = ["@step t=1 n=0 result=ok", "@ledger t=2 result=ok", "@out subos=batch data=ab"];
        let kept = story(&good);
        assert_eq!(differences(&kept, &story(&good), &manifest), Vec::<String>::new());
        let later = ["@step t=9 n=0 result=ok", "@ledger t=99 result=ok", "@out subos=batch data=ab"];
        assert_eq!(differences(&kept, &story(&later), &manifest), Vec::<String>::new());
        for (line, other, what) in [
            (0, "@step t=1 n=0 result=failed", "step 1 ("),
            (1, "@ledger t=2 result=failed", "the findings"),
            (2, "@out subos=batch data=ac", "what batch printed, from byte 1 on"),
        ] {
            let mut lines = good;
            lines[line] = other;
            let told = differences(&kept, &story(&lines), &manifest);
            assert!(told.len() == 1 && told[0].starts_with(what), "{told:?}");
        }
        let crash = "@crash t=3 subos=echo times=1 vector=14 address=0x8 rip=0x200000";
        let told = differences(&kept, &story(&[good[0], good[1], good[2], crash]), &manifest);
        assert_eq!(told, ["whether something of echo crashed: it was false, and is true"]);
    }

    #[test]
    fn what_lies_elsewhere_is_not_taken_along() {
        let folder = place::scratch("artefact-test").unwrap();
        for path in ["/etc/passwd", "../Cargo.toml", "a/../../b"] {
            let told = copy(&folder, &folder, Path::new(path)).unwrap_err().to_string();
            assert!(told.contains("does not lie below the manifest"), "{told}");
        }
        assert!(read(&folder).unwrap_err().to_string().contains("there is no run in"));
    }
}
