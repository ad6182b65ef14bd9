//! Going through all interleavings of a model, with or without something wrong in it.
//!
//! All of `loom`'s threads are coroutines of the test's own thread, so what is planted for a model is kept in variables of
//! that thread, and tests do not disturb each other.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::panic::{self, AssertUnwindSafe, Location};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use caps_spec::record::{Method, Record, grouped};
use loom::thread::ThreadId;

/// How a step is weaker than the source says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// It orders nothing; a fence is not there.
    Relaxed,
    /// It reads and writes in two steps.
    Torn,
    /// It is not made; what it would have found is 0.
    Omitted,
}

/// Something wrong with the sources: a step, found by its text, that is weaker than it says.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// The file in `microkernel/src/sync`, or one by its path from the repository's root.
    pub file: &'static str,
    /// A text that the file contains once and that begins in the line of the step.
    pub text: &'static str,
    /// How the step is weaker.
    pub weakness: Weakness,
}

/// A place in the kernel's sources.
struct Place {
    /// Below `microkernel`, or below the repository's root.
    file: PathBuf,
    line: u32,
}

/// What happens to a core between two of its steps.
type Blow = Rc<dyn Fn()>;

thread_local! {
    static PLANTED: RefCell<Option<(Place, Weakness)>> = const { RefCell::new(None) };
    static SEEN: RefCell<Option<BTreeSet<(PathBuf, u32)>>> = const { RefCell::new(None) };
    static BLOWS: RefCell<HashMap<ThreadId, Blow>> = RefCell::new(HashMap::new());
    static SPINS: RefCell<HashMap<ThreadId, u32>> = RefCell::new(HashMap::new());
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// How often a core goes round its waiting loops in one execution before the rest of that execution is run to its end in one
/// way only. Two cores that wait can take turns at looking without an end, so some number there must be.
const SPINS_EXPLORED: u32 = 3;

/// How many switches away from a core that could go on are tried in one execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preemptions {
    /// As many as there can be: every interleaving.
    Any,
    /// So many at most.
    AtMost(usize),
}

/// What is checked of a protocol, by models that are gone through.
#[derive(Debug)]
pub struct Check {
    name: &'static str,
    properties: &'static [u8],
    explored: Vec<String>,
}

impl Check {
    /// Under this name, and about these properties, it stands in `docs/assurance.md`.
    #[must_use]
    pub const fn of(name: &'static str, properties: &'static [u8]) -> Self {
        Self { name, properties, explored: Vec::new() }
    }

    /// Goes through all interleavings of a model.
    ///
    /// # Panics
    /// With what the model, or `loom`, found wrong.
    #[must_use]
    pub fn explore(mut self, model: &str, preemptions: Preemptions, body: fn()) -> Self {
        let executions = grouped(run(preemptions, body));
        self.explored.push(match preemptions {
            Preemptions::Any => format!("{model}: {executions}"),
            Preemptions::AtMost(1) => format!("{model}: {executions} with at most 1 preemption"),
            Preemptions::AtMost(most) => format!("{model}: {executions} with at most {most} preemptions"),
        });
        self
    }

    /// Writes down what was gone through.
    pub fn record(self, temporary: &str) {
        let scope = self.explored.join("; ");
        Record::new(Method::Interleaved, self.name, &scope, self.properties).write(temporary);
    }
}

/// Shows that a model finds a mutant.
///
/// # Panics
/// If it does not.
pub fn finds(name: &str, preemptions: Preemptions, mutant: Mutant, model: fn()) {
    let place = mutant.place();
    PLANTED.set(Some((place, mutant.weakness)));
    let found = fails(preemptions, model);
    PLANTED.set(None);
    assert!(found, "{name} does not find {mutant:?}");
}

/// Shows that a model finds what is wrong in itself.
///
/// # Panics
/// If it does not.
pub fn finds_fault(name: &str, preemptions: Preemptions, model: fn()) {
    assert!(fails(preemptions, model), "{name} does not find what is wrong with it");
}

/// Weakens every step of a file that the models take and that orders something, one after the other, and says which nobody
/// misses: the line of each. Steps of one line are weakened together.
#[must_use]
pub fn unmissed(file: &str, models: &[(Preemptions, fn())]) -> BTreeSet<String> {
    SEEN.set(Some(BTreeSet::new()));
    models.iter().for_each(|(preemptions, model)| {
        run(*preemptions, *model);
    });
    let seen = SEEN.take().unwrap_or_default();
    let missed = |(file, line): &(PathBuf, u32)| {
        PLANTED.set(Some((Place { file: file.clone(), line: *line }, Weakness::Relaxed)));
        let found = models.iter().any(|(preemptions, model)| fails(*preemptions, *model));
        PLANTED.set(None);
        found
    };
    seen.iter()
        .filter(|(place, _)| place.ends_with(file))
        .filter(|step| !missed(step))
        .map(|(place, line)| source_line(place, *line))
        .collect()
}

/// A line of the kernel's sources.
fn source_line(file: &Path, line: u32) -> String {
    let text = fs::read_to_string(kernel().join(file)).unwrap_or_default();
    text.lines().nth(line as usize - 1).unwrap_or_default().trim().to_owned()
}

/// The kernel's folder.
fn kernel() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn fails(preemptions: Preemptions, model: fn()) -> bool {
    hush();
    SILENT.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| run(preemptions, model)));
    SILENT.set(false);
    outcome.is_err()
}

fn run(preemptions: Preemptions, model: fn()) -> usize {
    let executions = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&executions);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = match preemptions {
        Preemptions::Any => None,
        Preemptions::AtMost(most) => Some(most),
    };
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        BLOWS.with_borrow_mut(HashMap::clear);
        SPINS.with_borrow_mut(HashMap::clear);
        model();
    });
    executions.load(Ordering::Relaxed)
}

/// Keeps quiet about failures that are looked for.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            if !SILENT.get() {
                loud(what);
            }
        }));
    });
}

/// What is wrong with the step at this place.
pub(crate) fn weakness(at: &Location<'_>, order: Ordering) -> Option<Weakness> {
    SEEN.with_borrow_mut(|seen| {
        let place = at.file().rfind("src/sync/").map(|start| PathBuf::from(&at.file()[start..]));
        if let (Some(seen), Some(place), true) = (seen, place, order != Ordering::Relaxed) {
            seen.insert((place, at.line()));
        }
    });
    PLANTED.with_borrow(|planted| {
        let (place, weakness) = planted.as_ref()?;
        (at.line() == place.line && Path::new(at.file()).ends_with(&place.file)).then_some(*weakness)
    })
}

/// The running core goes round a waiting loop once more.
pub(crate) fn count_spin() {
    let me = loom::thread::current().id();
    let spins = SPINS.with_borrow_mut(|spins| {
        let mine = spins.entry(me).or_default();
        *mine += 1;
        *mine
    });
    if spins > SPINS_EXPLORED {
        loom::skip_branch();
    }
}

/// What strikes the running core before this step.
pub(crate) fn before_step() {
    if BLOWS.with_borrow(HashMap::is_empty) {
        return;
    }
    let me = loom::thread::current().id();
    // Whoever is struck is not struck again meanwhile.
    let blow = BLOWS.with_borrow_mut(|blows| blows.remove(&me));
    if let Some(blow) = blow {
        blow();
        BLOWS.with_borrow_mut(|blows| blows.insert(me, blow));
    }
}

/// From now on this strikes the running core before each of its steps.
pub fn strike(blow: impl Fn() + 'static) {
    BLOWS.with_borrow_mut(|blows| blows.insert(loom::thread::current().id(), Rc::new(blow)));
}

/// A core's stack is abandoned.
struct Abandoned;

/// Abandons what runs on the running core, up to the next [`run_until_abandoned`].
pub fn abandon() -> ! {
    panic::resume_unwind(Box::new(Abandoned))
}

/// Runs this, which may be abandoned; nothing of it runs afterwards, destructors included. Says whether it ended by
/// itself.
pub fn run_until_abandoned(work: impl FnOnce()) -> bool {
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(()) => true,
        Err(what) if what.is::<Abandoned>() => false,
        Err(what) => panic::resume_unwind(what),
    }
}

impl Mutant {
    /// Where it is planted.
    ///
    /// # Panics
    /// If the text does not stand there once: the sources have changed.
    fn place(&self) -> Place {
        let (folder, file) = match self.file.contains('/') {
            true => (kernel().join(".."), PathBuf::from(self.file)),
            false => (kernel(), Path::new("src/sync").join(self.file)),
        };
        let text = fs::read_to_string(folder.join(&file)).expect("the sources are beside this crate");
        let before: Vec<&str> = text.split(self.text).collect();
        assert_eq!(before.len(), 2, "{}: {:?} stands there {} times", self.file, self.text, before.len() - 1);
        let line = before[0].matches('\n').count() + 1;
        Place { file, line: u32::try_from(line).expect("files are short") }
    }
}
