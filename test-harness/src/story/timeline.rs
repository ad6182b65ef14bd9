//! Who had which core and how much memory, over time.

use std::collections::BTreeMap;

/// The owner of what nobody owns.
pub const FREE: &str = "free";

/// A stretch of time during which one thing had one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span<T> {
    /// When it began, in ticks since the beginning of the story.
    pub from: u64,
    /// When it ended.
    pub to: u64,
    /// The value.
    pub value: T,
}

/// Changes of owners and sizes, by time.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    hz: u64,
    begin: Option<u64>,
    end: u64,
    cores: BTreeMap<u64, Vec<(u64, String)>>,
    memory: BTreeMap<String, Vec<(u64, u64)>>,
    marks: Vec<(u64, u64)>,
}

impl Timeline {
    /// The story begins at this time, on a clock with so many ticks in a second.
    pub(super) fn begins(&mut self, time: u64, hz: u64) {
        self.begin = Some(time);
        self.hz = hz;
        self.end = self.end.max(time);
    }

    /// It is this late.
    pub(super) fn passes(&mut self, time: u64) {
        self.begin.get_or_insert(time);
        self.end = self.end.max(time);
    }

    /// The core has this owner from now on; who had it before.
    pub(super) fn owns(&mut self, time: u64, core: u64, owner: &str) -> String {
        let changes = self.cores.entry(core).or_default();
        let before = changes.last().map_or(FREE, |(_, owner)| owner).to_owned();
        if before != owner || changes.is_empty() {
            changes.push((time, owner.to_owned()));
        }
        before
    }

    /// The subOS has this much memory from now on, in MiB; what it had before.
    pub(super) fn holds(&mut self, time: u64, subos: &str, memory: u64) -> u64 {
        let changes = self.memory.entry(subos.to_owned()).or_default();
        let before = changes.last().map_or(0, |(_, memory)| *memory);
        changes.push((time, memory));
        before
    }

    /// A step begins.
    pub(super) fn marks(&mut self, time: u64, step: u64) {
        self.marks.push((time, step));
    }

    /// How long ago this step began, at this time.
    pub(super) fn since_mark(&self, time: u64, step: u64) -> Option<u64> {
        let (begin, _) = self.marks.iter().find(|(_, marked)| *marked == step)?;
        Some(time.saturating_sub(*begin))
    }

    /// How long the story is, in ticks; never none, so that one can divide by it.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.end.saturating_sub(self.origin()).max(1)
    }

    /// Ticks as seconds; none if the machine did not say how fast its clock goes.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a picture needs no more than 52 bits")]
    pub fn seconds(&self, ticks: u64) -> Option<f64> {
        (self.hz > 0).then(|| ticks as f64 / self.hz as f64)
    }

    /// Each core with the spans of its owners, without gaps from its first owner on.
    #[must_use]
    pub fn cores(&self) -> Vec<(u64, Vec<Span<String>>)> {
        self.cores.iter().map(|(core, changes)| (*core, self.spans(changes))).collect()
    }

    /// Each subOS with the spans of its memory, in MiB.
    #[must_use]
    pub fn memory(&self) -> Vec<(String, Vec<Span<u64>>)> {
        self.memory.iter().map(|(subos, changes)| (subos.clone(), self.spans(changes))).collect()
    }

    /// When each step began.
    #[must_use]
    pub fn steps(&self) -> Vec<(u64, u64)> {
        self.marks.iter().map(|(time, step)| (time.saturating_sub(self.origin()), *step)).collect()
    }

    /// Everybody who ever owned a core or memory, in order of appearance on the cores, then by name.
    #[must_use]
    pub fn owners(&self) -> Vec<String> {
        let mut owners: Vec<String> = Vec::new();
        let of_cores = self.cores.values().flatten().map(|(_, owner)| owner);
        for owner in of_cores.chain(self.memory.keys()).filter(|owner| *owner != FREE) {
            if !owners.contains(owner) {
                owners.push(owner.clone());
            }
        }
        owners
    }

    fn origin(&self) -> u64 {
        self.begin.unwrap_or(0)
    }

    fn spans<T: Clone>(&self, changes: &[(u64, T)]) -> Vec<Span<T>> {
        let ends = changes.iter().skip(1).map(|(time, _)| *time).chain([self.end]);
        let relative = |time: u64| time.saturating_sub(self.origin());
        changes
            .iter()
            .zip(ends)
            .map(|((time, value), end)| Span {
                from: relative(*time),
                to: relative(end),
                value: value.clone(),
            })
            .filter(|span| span.to > span.from)
            .collect()
    }
}
