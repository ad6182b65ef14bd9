//! Runs tests while a bug is shown: a test program runs itself, once for each bug.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

pub use crate::page::{Row, is_to_be_measured, is_to_be_written, put, row};
use crate::{EXHIBITS, Exhibit, Sources, VARIABLE};

/// The test program that this process is.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The sources of which it has the copy with bugs.
    pub sources: Sources,
    /// The test that runs this, which must not run it again.
    pub driver: &'static str,
    /// What is in the names of the tests that compare with the specification, if there are such.
    pub comparison: Option<&'static str>,
}

/// What a run of the program showed.
struct Run {
    /// Tests that failed.
    failed: BTreeSet<String>,
    /// How many passed.
    passed: usize,
    /// How long it took.
    seconds: f64,
    /// All that it said.
    said: String,
}

impl Program {
    /// Holds the page to what the program does: with a bug its killer fails, and without any it passes. Or brings the page
    /// up to date, if the environment says so: `UPDATE_MUSEUM=1` of every bug, `UPDATE_MUSEUM=missing` of those of which it
    /// says nothing.
    ///
    /// # Errors
    /// Each bug that is not found, and what is wrong with the tests.
    pub fn hold(self) -> Result<(), String> {
        if is_to_be_written() { self.measure() } else { self.demand() }
    }

    fn exhibits(self) -> Vec<&'static Exhibit> {
        EXHIBITS.iter().filter(|exhibit| exhibit.is_of(self.sources)).collect()
    }

    fn demand(self) -> Result<(), String> {
        let exhibits = self.exhibits();
        let rows = exhibits.iter().map(|exhibit| row(exhibit)).collect::<Result<Vec<_>, _>>()?;
        let killers: BTreeSet<&str> = rows.iter().map(|row| &row.killer[..]).collect();
        let killers: Vec<&str> = killers.into_iter().collect();
        // The run without any bug is one of the jobs.
        let wrong = in_parallel(exhibits.len() + 1, |job| match exhibits.get(job) {
            Some(exhibit) => self.is_killed(exhibit, &rows[job].killer),
            None => self.all_pass(&killers),
        });
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    fn is_killed(self, exhibit: &Exhibit, killer: &str) -> Result<(), String> {
        let run = self.run(Some(exhibit), &["--exact", killer])?;
        if run.failed.contains(killer) {
            return Ok(());
        }
        Err(format!(
            "{:?} is not found by {killer} (UPDATE_MUSEUM=1 looks for another): {}",
            exhibit.name, run.said
        ))
    }

    fn all_pass(self, tests: &[&str]) -> Result<(), String> {
        let run = self.run(None, &[&["--exact"], tests].concat())?;
        if run.failed.is_empty() && run.passed == tests.len() {
            return Ok(());
        }
        Err(format!("without any bug, of {tests:?} not all are there and pass: {}", run.said))
    }

    /// Tries every test against every bug, and writes down the quickest of those that find it.
    fn measure(self) -> Result<(), String> {
        let sound = self.run(None, &self.all())?;
        if !sound.failed.is_empty() || sound.passed == 0 {
            return Err(format!("without any bug: {}", sound.said));
        }
        let wanted: Vec<_> =
            self.exhibits().into_iter().filter(|exhibit| is_to_be_measured(exhibit)).collect();
        let page = Mutex::new(());
        let wrong = in_parallel(wanted.len(), |job| {
            let row = self.row_of(wanted[job])?;
            println!("{row}");
            let _one_at_a_time = page.lock();
            put(vec![row])
        });
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    fn row_of(self, exhibit: &Exhibit) -> Result<Row, String> {
        let mut found = Vec::new();
        for test in self.run(Some(exhibit), &self.all())?.failed {
            let alone = self.run(Some(exhibit), &["--exact", &test])?;
            // To the hundredth: which of two that are as quick comes first is for their names to say, not for chance.
            let hundredths = (alone.seconds * 100.0).ceil();
            found.extend(alone.failed.contains(&test).then_some((hundredths, test)));
        }
        found.sort_by(|one, other| one.0.total_cmp(&other.0).then_with(|| one.1.cmp(&other.1)));
        let Some((hundredths, killer)) = found.first() else {
            return Err(format!("{:?} is not found", exhibit.name));
        };
        let alone = match self.comparison.map(|tests| self.differs(exhibit, tests)).transpose()? {
            Some(true) => "yes",
            Some(false) => "no",
            None => NOT_IN_CAPS,
        };
        Ok(Row {
            name: exhibit.name.into(),
            killer: killer.clone(),
            others: found.len() - 1,
            seconds: format!("{:.2}", hundredths / 100.0),
            alone: alone.into(),
        })
    }

    /// What runs every test but the one that runs this.
    fn all(self) -> [&'static str; 2] {
        ["--skip", self.driver]
    }

    /// Whether these tests find a bug without looking at any invariant.
    fn differs(self, exhibit: &Exhibit, tests: &str) -> Result<bool, String> {
        let mut command = self.command(Some(exhibit), &[tests]);
        Ok(!outcome(command.env("COMPARISON_ALONE", "1"))?.failed.is_empty())
    }

    fn run(self, exhibit: Option<&Exhibit>, arguments: &[&str]) -> Result<Run, String> {
        outcome(&mut self.command(exhibit, arguments))
    }

    fn command(self, exhibit: Option<&Exhibit>, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap_or_default());
        command.args(["--test-threads", "1"]).args(arguments);
        // A variable that is empty chooses nothing.
        command.env(VARIABLE, exhibit.map_or("", |exhibit| exhibit.name)).env("RUST_BACKTRACE", "0");
        // What would change what the tests do, or how they say what came of them.
        command.env_remove("COMPARISON_ALONE").env_remove("RUST_TEST_NOCAPTURE");
        command
    }
}

/// What the table says of bugs that the specification says nothing of.
pub const NOT_IN_CAPS: &str = "it is not in `caps`";

/// What the tests that a command runs show. That they fail says nothing if the program did not get as far as to say so.
fn outcome(command: &mut Command) -> Result<Run, String> {
    let begin = Instant::now();
    let output = command.output().map_err(|why| format!("{command:?}: {why}"))?;
    let seconds = begin.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = |end: &str| -> BTreeSet<String> {
        let test = |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(end)?.to_owned());
        said.lines().filter_map(test).collect()
    };
    let (failed, passed) = (names(" ... FAILED"), names(" ... ok").len());
    if output.status.success() != failed.is_empty() {
        let told = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?} came to no good end, {}: {told}{said}", output.status));
    }
    Ok(Run { failed, passed, seconds, said })
}

/// Does jobs by their numbers, as many at once as there are processors. What went wrong with any.
fn in_parallel(jobs: usize, job: impl Fn(usize) -> Result<(), String> + Sync) -> Vec<String> {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        let mine = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|mine| *mine < jobs);
        while let Some(mine) = mine() {
            if let (Err(why), Ok(mut wrong)) = (job(mine), wrong.lock()) {
                wrong.push(why);
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    wrong.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}
