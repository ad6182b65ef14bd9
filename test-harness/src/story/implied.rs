//! What a manifest's plan implies: who gets which core how often, who must be seen to go on when, and what the supervisor
//! itself must have done. Played on paper, without a look at what happened.

use std::collections::{BTreeMap, BTreeSet};

use idl::plan::{Action, Duty, Holder, Resize, Start, Step, SubOsIndex, When, WindowIndex};

use crate::manifest::Manifest;

/// How often a subOS gets a core and has it taken while it lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stays {
    pub(super) arrivals: u64,
    pub(super) departures: u64,
}

/// What the supervisor does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moves {
    /// Cores that come back to it, from whomever, in whatever way.
    pub(super) cores: u64,
    /// Lots that it takes from who lives on.
    pub(super) lots: u64,
    pub(super) audits: u64,
}

/// Somebody who must be seen to do something over a step, by its number from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) step: u64,
    pub(super) subos: String,
    pub(super) duty: Duty,
}

/// A core on which somebody must be seen at work immediately before a step takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Busy {
    pub(super) step: u64,
    pub(super) subos: String,
    pub(super) core: u64,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Implied {
    /// By subOS and core.
    pub(super) stays: BTreeMap<(String, u64), Stays>,
    pub(super) moves: Moves,
    pub(super) watched: Vec<Watched>,
    pub(super) busy: Vec<Busy>,
    /// Who is told of something while it lives: its doorbell rings.
    pub(super) told: BTreeSet<String>,
}

impl Implied {
    /// What this manifest implies.
    pub(super) fn by(manifest: &Manifest) -> Self {
        let mut paper =
            Paper { manifest, sides: BTreeMap::new(), cores: BTreeMap::new(), implied: Self::default() };
        let numbered = (0u8..).map(SubOsIndex).zip(&manifest.plan.suboses);
        for (subos, planned) in numbered.filter(|(_, planned)| planned.start == Start::AtBoot) {
            paper.born(subos, planned.cores);
        }
        for (number, step) in (0u64..).zip(&manifest.plan.steps) {
            paper.is_busy(number, step.when, step.action);
            let before = paper.cores.clone();
            paper.act(step.action);
            paper.watch(number, step.action, &before);
        }
        // The end: everybody who is left goes, and all is looked at once more.
        paper.implied.moves.cores += paper.cores.len() as u64;
        paper.implied.moves.audits += 1;
        paper.implied
    }
}

/// Who has which core after the steps so far.
struct Paper<'m> {
    manifest: &'m Manifest,
    /// Which sides of windows are there.
    sides: BTreeMap<u8, BTreeSet<u8>>,
    cores: BTreeMap<u64, SubOsIndex>,
    implied: Implied,
}

impl Paper<'_> {
    fn born(&mut self, subos: SubOsIndex, cores: u64) {
        (0..64).filter(|core| cores & 1 << core != 0).for_each(|core| self.arrives(subos, core));
    }

    fn arrives(&mut self, subos: SubOsIndex, core: u64) {
        self.cores.insert(core, subos);
        self.stays(subos, core).arrivals += 1;
    }

    fn stays(&mut self, subos: SubOsIndex, core: u64) -> &mut Stays {
        self.implied.stays.entry((self.name(subos), core)).or_default()
    }

    fn act(&mut self, action: Action) {
        self.tells(action);
        match action {
            Action::Create(subos) => {
                self.born(subos, self.manifest.plan.subos(subos).map_or(0, |planned| planned.cores));
            }
            Action::Kill(subos) => {
                let had = self.cores.len();
                self.cores.retain(|_, holder| *holder != subos);
                self.implied.moves.cores += (had - self.cores.len()) as u64;
                self.sides.values_mut().for_each(|sides| sides.retain(|side| *side != subos.0));
            }
            Action::MoveCore { core, from, to, .. } => {
                self.moves_core(u64::from(core.0), from, to);
            }
            Action::MoveLot { .. } => self.implied.moves.lots += 1,
            // What is refused touches nothing.
            Action::Resize(Resize { refused: Some(_), .. }) => {}
            Action::Resize(resize) => {
                for core in (0..64).filter(|core| resize.cores & 1 << core != 0) {
                    self.moves_core(core, resize.from, resize.to);
                }
                self.implied.moves.lots += u64::from(resize.lots.count_ones());
            }
            Action::OpenWindow(window) => {
                self.close(window);
                let planned = self.manifest.plan.window(window);
                let sides = planned.iter().flat_map(|planned| planned.between).map(|side| side.0).collect();
                self.sides.insert(window.0, sides);
            }
            Action::CloseWindow(window, _) => self.close(window),
            Action::Audit => self.implied.moves.audits += 1,
            Action::GrantLot { .. } | Action::CompareLedger | Action::Watch(_) | Action::Wait => {}
        }
    }

    fn moves_core(&mut self, core: u64, from: Holder, to: Holder) {
        if let Holder::SubOs(from) = from {
            self.cores.remove(&core);
            self.stays(from, core).departures += 1;
            self.implied.moves.cores += 1;
        }
        if let Holder::SubOs(to) = to {
            self.arrives(to, core);
        }
    }

    /// Each side that is there is a lot that is taken.
    fn close(&mut self, window: WindowIndex) {
        self.implied.moves.lots += self.sides.remove(&window.0).map_or(0, |sides| sides.len()) as u64;
    }

    fn tells(&mut self, action: Action) {
        let (one, other) = match action {
            Action::MoveCore { from, to, .. } => (from, to),
            Action::Resize(resize) if resize.refused.is_none() => (resize.from, resize.to),
            Action::MoveLot { from, to, .. } => (Holder::SubOs(from), to),
            Action::GrantLot { to, .. } => (Holder::SubOs(to), Holder::Free),
            Action::OpenWindow(window) => {
                let between = self.manifest.plan.window(window).map(|planned| planned.between);
                between.map_or((Holder::Free, Holder::Free), |[one, other]| {
                    (Holder::SubOs(one), Holder::SubOs(other))
                })
            }
            Action::Create(_)
            | Action::Kill(_)
            | Action::Resize(_)
            | Action::CloseWindow(..)
            | Action::CompareLedger
            | Action::Audit
            | Action::Watch(_)
            | Action::Wait => (Holder::Free, Holder::Free),
        };
        for holder in [one, other] {
            if let Holder::SubOs(subos) = holder {
                let name = self.name(subos);
                self.implied.told.insert(name);
            }
        }
    }

    /// Whoever has a duty, and a core from the beginning to the end, must go on; but not whom the step is about.
    fn watch(&mut self, step: u64, action: Action, before: &BTreeMap<u64, SubOsIndex>) {
        for (subos, planned) in (0u8..).map(SubOsIndex).zip(&self.manifest.plan.suboses) {
            let about = matches!(action, Action::Create(one) | Action::Kill(one) if one == subos);
            let works = |cores: &BTreeMap<u64, SubOsIndex>| cores.values().any(|holder| *holder == subos);
            if self.has_duty(step, subos) && !about && works(before) && works(&self.cores) {
                let watched = Watched { step, subos: self.name(subos), duty: planned.duty };
                self.implied.watched.push(watched);
            }
        }
    }

    /// Whether a subOS must be at work in a step: for its programs, until a step waits for their end or makes it.
    fn has_duty(&self, step: u64, subos: SubOsIndex) -> bool {
        let plan = &self.manifest.plan;
        match plan.subos(subos).map_or(Duty::None, |planned| planned.duty) {
            Duty::None => false,
            Duty::Progress => true,
            Duty::Programs => {
                let ends =
                    |step: &Step| step.when == When::Ended(subos) || step.action == Action::Kill(subos);
                let first = (0u64..).zip(&plan.steps).find(|(_, step)| ends(step));
                first.is_none_or(|(first, _)| step < first)
            }
        }
    }

    /// A step that waits for work and then takes the core, or ends the subOS, sees that work until then.
    fn is_busy(&mut self, step: u64, when: When, action: Action) {
        let (When::Working(subos, core) | When::Guests(subos, core, _) | When::Timer(subos, core, _)) = when
        else {
            return;
        };
        let takes = match action {
            Action::MoveCore { core: taken, from, .. } => taken == core && from == Holder::SubOs(subos),
            Action::Resize(resize) => {
                let its = resize.from == Holder::SubOs(subos) && resize.refused.is_none();
                its && resize.cores & 1 << core.0 != 0
            }
            Action::Kill(killed) => killed == subos,
            _ => false,
        };
        if takes {
            let busy = Busy { step, subos: self.name(subos), core: u64::from(core.0) };
            self.implied.busy.push(busy);
        }
    }

    fn name(&self, subos: SubOsIndex) -> String {
        self.manifest.plan.subos(subos).map_or_else(String::new, |planned| planned.name.as_str().to_owned())
    }
}
