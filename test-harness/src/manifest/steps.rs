//! The steps: translated for the supervisor, and played on paper, so that a step that cannot be done is found before
//! anything is built.

use std::collections::{BTreeMap, BTreeSet};

use idl::plan::{
    self, Action, CoreNumber, Holder, LotNumber, MAX_STEPS, Manner, Start, Step, SubOsIndex, SubOsPlan, When,
    WindowIndex, WindowPlan,
};
use toml::Spanned;

use super::SubOs;
use super::check::{Machine, chunks};
use super::complaint::{Complaint, Result};
use super::resize;
use super::text::{self, Check, Close, GrantLot, Holds, Manifest, MoveCore, MoveLot};

/// How long a step waits for its condition, in seconds, if the manifest does not say.
const PATIENCE: u32 = 30;

/// Translates the steps, each with its text for people.
pub(super) fn steps(
    raw: &Manifest,
    machine: &Machine,
    suboses: &[(SubOsPlan, SubOs)],
    windows: &[WindowPlan],
) -> Result<Vec<(Step, String)>> {
    let names = raw.window.iter().map(|window| window.name.get_ref().as_str());
    let mut paper = Paper::new(machine, suboses, names.zip(windows).collect());
    let mut steps = Vec::new();
    for part in &raw.step {
        if steps.len() == MAX_STEPS {
            return Err(Complaint::about(part, format!("there can be at most {MAX_STEPS} steps")));
        }
        let step = part.get_ref();
        let when = paper.when(step.when.as_ref())?;
        let (action, words) = paper.action(part)?;
        let patience = step.patience.as_ref().map_or(PATIENCE, |patience| *patience.get_ref());
        let patience_ms = patience.saturating_mul(1000);
        let waits = if when == When::Now { 0 } else { patience_ms };
        steps.push((Step { when, patience_ms: waits, action }, step.say.clone().unwrap_or(words)));
    }
    Ok(steps)
}

/// The longest watch, in milliseconds: it is watched instruction by instruction, which takes its time.
const LONGEST_WATCH: u32 = 1_000;

fn watch(milliseconds: &Spanned<u32>) -> Result<Action> {
    let length = *milliseconds.get_ref();
    if !(1..=LONGEST_WATCH).contains(&length) {
        return Err(Complaint::about(
            milliseconds,
            format!("a watch takes 1 to {LONGEST_WATCH} milliseconds"),
        ));
    }
    Ok(Action::Watch(length))
}

/// Who would have what after the steps so far.
pub(super) struct Paper<'m> {
    pub(super) machine: &'m Machine,
    suboses: &'m [(SubOsPlan, SubOs)],
    pub(super) cores: BTreeMap<u8, Option<SubOsIndex>>,
    /// The lots that each subOS that exists has, by number, in MiB.
    pub(super) lots: BTreeMap<u8, BTreeMap<u8, u32>>,
    /// Those that were once created; nobody is created twice.
    created: BTreeSet<u8>,
    /// How much memory those had who were killed, in MiB.
    killed: BTreeMap<u8, u32>,
    /// The windows, with their names.
    windows: Vec<(&'m str, &'m WindowPlan)>,
    /// The lots that are their sides, if they are there.
    sides: BTreeMap<u8, [Option<u8>; 2]>,
}

impl<'m> Paper<'m> {
    fn new(
        machine: &'m Machine,
        suboses: &'m [(SubOsPlan, SubOs)],
        windows: Vec<(&'m str, &'m WindowPlan)>,
    ) -> Self {
        let cores = (1..machine.cores).filter_map(|core| Some((u8::try_from(core).ok()?, None))).collect();
        let mut paper = Self {
            machine,
            suboses,
            cores,
            lots: BTreeMap::new(),
            created: BTreeSet::new(),
            killed: BTreeMap::new(),
            windows,
            sides: BTreeMap::new(),
        };
        for (number, (subos, _)) in (0u8..).zip(suboses) {
            if subos.start == Start::AtBoot {
                paper.born(SubOsIndex(number), subos);
            }
        }
        paper
    }

    fn born(&mut self, index: SubOsIndex, subos: &SubOsPlan) {
        for (core, holder) in &mut self.cores {
            if subos.cores & 1 << core != 0 {
                *holder = Some(index);
            }
        }
        self.lots.insert(index.0, (0u8..).zip(subos.lots.iter().map(|lot| lot.0 * 2)).collect());
        self.created.insert(index.0);
    }

    pub(super) fn free_memory(&self) -> u32 {
        let lots: u32 = self.lots.values().flat_map(BTreeMap::values).sum();
        let there = self.sides.iter().filter(|(_, sides)| sides.iter().any(Option::is_some));
        let windows: u32 = there.map(|(window, _)| self.windows[usize::from(*window)].1.size.0 * 2).sum();
        self.machine.free().saturating_sub(lots).saturating_sub(windows)
    }

    fn when(&self, when: Option<&text::When>) -> Result<When> {
        Ok(match when {
            None => When::Now,
            Some(text::When::After(milliseconds)) => When::After(*milliseconds),
            Some(text::When::Progress(part)) => When::Progress(self.living(&part.subos)?, part.reaches),
            Some(text::When::Ended(name)) => When::Ended(self.living(name)?),
            Some(text::When::Guests(part)) => {
                let (subos, core) = self.holding(part)?;
                When::Guests(subos, core, part.reaches)
            }
            Some(text::When::Timer(part)) => {
                let (subos, core) = self.holding(part)?;
                When::Timer(subos, core, part.reaches)
            }
            Some(text::When::Working(part)) => {
                let subos = self.living(&part.subos)?;
                self.held(&part.core, Some(subos))?;
                When::Working(subos, CoreNumber(*part.core.get_ref()))
            }
        })
    }

    /// A subOS and a core that it has now.
    fn holding(&self, part: &text::Count) -> Result<(SubOsIndex, CoreNumber)> {
        let subos = self.living(&part.subos)?;
        self.held(&part.core, Some(subos))?;
        Ok((subos, CoreNumber(*part.core.get_ref())))
    }

    /// The one action of a step, carried out on paper, and what it is in words.
    fn action(&mut self, part: &Spanned<text::Step>) -> Result<(Action, String)> {
        let step = part.get_ref();
        let mut actions = Vec::new();
        if let Some(name) = &step.create {
            actions.push((self.create(name)?, format!("create {}", name.get_ref())));
        }
        if let Some(name) = &step.kill {
            actions.push((self.kill(name)?, format!("kill {} by force", name.get_ref())));
        }
        if let Some(step) = &step.move_core {
            let words = format!("move core {}", step.core.get_ref());
            actions.push((self.move_core(step)?, words + &ends(step.from.as_ref(), step.to.as_ref())));
        }
        if let Some(step) = &step.move_lot {
            let words = format!("move lot {}", step.lot.get_ref());
            actions.push((self.move_lot(step)?, words + &ends(Some(&step.from), step.to.as_ref())));
        }
        if let Some(resize) = &step.resize {
            let action = resize::resize(self, resize)?;
            let resize = resize.get_ref();
            let words = if resize.refused.is_some() { "try to resize" } else { "resize at once" };
            actions.push((action, words.to_owned() + &ends(resize.from.as_ref(), resize.to.as_ref())));
        }
        if let Some(step) = &step.grant_lot {
            let words = format!("grant {} MiB to {}", step.memory.get_ref(), step.to.get_ref());
            actions.push((self.grant_lot(step)?, words));
        }
        if let Some(name) = &step.open {
            actions.push((self.open(name)?, format!("open the window {}", name.get_ref())));
        }
        if let Some(step) = &step.close {
            let words = format!("close the window {}", step.window.get_ref());
            actions.push((self.close(step)?, words));
        }
        if let Some(milliseconds) = &step.watch {
            let words = format!("watch for {} ms", milliseconds.get_ref());
            actions.push((watch(milliseconds)?, words));
        }
        match step.check {
            None => {}
            Some(Check::Ledger) => {
                actions.push((Action::CompareLedger, "compare the ledger with the start".into()))
            }
            Some(Check::Audit) => {
                actions.push((Action::Audit, "audit every page table, core and interrupt route".into()));
            }
            Some(Check::Nothing) => actions.push((Action::Wait, "wait".into())),
        }
        let count = actions.len();
        match (actions.pop(), count) {
            (Some(action), 1) => Ok(action),
            _ => {
                let all = "create, kill, move-core, move-lot, resize, grant-lot, open, close, watch, check";
                Err(Complaint::about(
                    part,
                    format!("a step does one thing ({all}), and this one does {count}"),
                ))
            }
        }
    }

    fn create(&mut self, name: &Spanned<String>) -> Result<Action> {
        let index = self.known(name)?;
        let Some((subos, _)) = self.suboses.get(usize::from(index.0)) else {
            return Ok(Action::Create(index));
        };
        if self.created.contains(&index.0) {
            let reason =
                format!("{} was created before; start = \"step\" leaves that to a step", name.get_ref());
            return Err(Complaint::about(name, reason));
        }
        let busy =
            self.cores.iter().find(|(core, holder)| subos.cores & 1 << **core != 0 && holder.is_some());
        if let Some((core, Some(holder))) = busy {
            let reason =
                format!("{} wants core {core}, which {} has now", name.get_ref(), self.name(*holder));
            return Err(Complaint::about(name, reason));
        }
        let wanted: u32 = subos.lots.iter().map(|lot| lot.0 * 2).sum();
        if wanted > self.free_memory() {
            let free = self.free_memory();
            let reason = format!("{} wants {wanted} MiB, and {free} are free now", name.get_ref());
            return Err(Complaint::about(name, reason));
        }
        self.born(index, subos);
        Ok(Action::Create(index))
    }

    fn kill(&mut self, name: &Spanned<String>) -> Result<Action> {
        let index = self.living(name)?;
        let had = self.lots.remove(&index.0).map_or(0, |lots| lots.values().sum());
        self.killed.insert(index.0, had);
        for (window, sides) in &mut self.sides {
            let between = self.windows[usize::from(*window)].1.between;
            between.iter().zip(sides).filter(|(side, _)| **side == index).for_each(|(_, lot)| *lot = None);
        }
        self.cores.values_mut().filter(|holder| **holder == Some(index)).for_each(|holder| *holder = None);
        Ok(Action::Kill(index))
    }

    fn move_core(&mut self, step: &MoveCore) -> Result<Action> {
        let from = step.from.as_ref().map(|name| self.living(name)).transpose()?;
        let to = step.to.as_ref().map(|name| self.living(name)).transpose()?;
        if from == to {
            return Err(Complaint::about(
                &step.core,
                "a core moves from one to another: say from, to or both",
            ));
        }
        self.held(&step.core, from)?;
        self.cores.insert(*step.core.get_ref(), to);
        let core = CoreNumber(*step.core.get_ref());
        Ok(Action::MoveCore { core, from: holder(from), to: holder(to), manner: manner(step.ask) })
    }

    fn move_lot(&mut self, step: &MoveLot) -> Result<Action> {
        let from = self.living(&step.from)?;
        let to = step.to.as_ref().map(|name| self.living(name)).transpose()?;
        let number = *step.lot.get_ref();
        if Some(from) == to || number == 0 {
            let reason =
                if number == 0 { "the home lot goes only with its subOS" } else { "it would go nowhere" };
            return Err(Complaint::about(&step.lot, reason));
        }
        let Some(size) = self.lots.get_mut(&from.0).and_then(|lots| lots.remove(&number)) else {
            let side = if self.has_side(from, number) {
                ", but a side of a window, which a step closes"
            } else {
                ""
            };
            let reason = format!("{} has no lot {number} then{side}", step.from.get_ref());
            return Err(Complaint::about(&step.lot, reason));
        };
        if let Some(to) = to {
            self.gets(to, size);
        }
        let holds = match step.holds {
            Holds::Anything => plan::Holds::Anything,
            Holds::Data if step.ask.is_none() => {
                let reason = "whether it holds data only its owner can say: holds = \"data\" needs ask";
                return Err(Complaint::about(&step.lot, reason));
            }
            Holds::Data => plan::Holds::Data,
        };
        let (lot, manner) = (LotNumber(number), manner(step.ask));
        Ok(Action::MoveLot { lot, from, to: holder(to), manner, holds })
    }

    fn grant_lot(&mut self, step: &GrantLot) -> Result<Action> {
        let to = self.living(&step.to)?;
        let size = chunks(&step.memory, self.machine)?;
        if *step.memory.get_ref() > self.free_memory() {
            return Err(Complaint::about(
                &step.memory,
                format!("only {} MiB are free then", self.free_memory()),
            ));
        }
        let reuses =
            step.reuses.as_ref().map(|name| self.left_by(name, *step.memory.get_ref())).transpose()?;
        self.gets(to, *step.memory.get_ref());
        Ok(Action::GrantLot { size, to, reuses })
    }

    /// Who was killed before and had at least so much memory, in MiB.
    fn left_by(&self, name: &Spanned<String>, memory: u32) -> Result<SubOsIndex> {
        let index = self.known(name)?;
        match self.killed.get(&index.0) {
            None => {
                let reason = format!("no step before this one kills {}", name.get_ref());
                Err(Complaint::about(name, reason))
            }
            Some(had) if *had < memory => {
                let reason = format!("{} had only {had} MiB when it was killed", name.get_ref());
                Err(Complaint::about(name, reason))
            }
            Some(_) => Ok(index),
        }
    }

    /// A lot that is granted gets the lowest number that is free.
    pub(super) fn gets(&mut self, to: SubOsIndex, size: u32) {
        let number = self.free_number(to);
        self.lots.entry(to.0).or_default().insert(number, size);
    }

    fn free_number(&self, of: SubOsIndex) -> u8 {
        let taken = |number: u8| self.lots.get(&of.0).is_some_and(|lots| lots.contains_key(&number));
        (1..u8::MAX).find(|number| !taken(*number) && !self.has_side(of, *number)).unwrap_or(u8::MAX)
    }

    /// Whether this lot of a subOS is a side of a window.
    pub(super) fn has_side(&self, of: SubOsIndex, number: u8) -> bool {
        self.sides.iter().any(|(window, sides)| {
            let between = self.windows[usize::from(*window)].1.between;
            between.iter().zip(sides).any(|(side, lot)| *side == of && *lot == Some(number))
        })
    }

    fn open(&mut self, name: &Spanned<String>) -> Result<Action> {
        let (index, window) = self.window(name)?;
        if let Some(absent) = window.between.iter().find(|side| !self.lots.contains_key(&side.0)) {
            let reason = format!("there is no {} at this point", self.name(*absent));
            return Err(Complaint::about(name, reason));
        }
        if let Some([Some(_), Some(_)]) = self.sides.get(&index) {
            return Err(Complaint::about(name, format!("{} is open already", name.get_ref())));
        }
        // What is left of it goes first.
        self.sides.remove(&index);
        if window.size.0 * 2 > self.free_memory() {
            let reason = format!(
                "{} wants {} MiB, and {} are free then",
                name.get_ref(),
                window.size.0 * 2,
                self.free_memory()
            );
            return Err(Complaint::about(name, reason));
        }
        let lots = window.between.map(|side| Some(self.free_number(side)));
        self.sides.insert(index, lots);
        Ok(Action::OpenWindow(WindowIndex(index)))
    }

    fn close(&mut self, step: &Close) -> Result<Action> {
        let (index, _) = self.window(&step.window)?;
        match self.sides.remove(&index) {
            Some(sides) if sides.iter().any(Option::is_some) => {
                Ok(Action::CloseWindow(WindowIndex(index), manner(step.ask)))
            }
            _ => {
                let reason = format!("{} is not open at this point", step.window.get_ref());
                Err(Complaint::about(&step.window, reason))
            }
        }
    }

    /// The window with this name.
    fn window(&self, name: &Spanned<String>) -> Result<(u8, &'m WindowPlan)> {
        let found = (0u8..).zip(&self.windows).find(|(_, (known, _))| *known == name.get_ref().as_str());
        let unknown = || Complaint::about(name, format!("no [[window]] has the name {}", name.get_ref()));
        found.map(|(index, (_, window))| (index, *window)).ok_or_else(unknown)
    }

    /// Checks that `holder` has this core now.
    pub(super) fn held(&self, core: &Spanned<u8>, holder: Option<SubOsIndex>) -> Result<()> {
        let number = *core.get_ref();
        let reason = match self.cores.get(&number) {
            _ if number == 0 => "core 0 is the supervisor's".to_owned(),
            None => format!("there is no core {number}: the machine has {} cores", self.machine.cores),
            Some(has) if *has == holder => return Ok(()),
            Some(Some(has)) => format!("core {number} is {}'s then", self.name(*has)),
            Some(None) => format!("core {number} is nobody's then"),
        };
        Err(Complaint::about(core, reason))
    }

    /// The subOS with this name, which exists at this point.
    pub(super) fn living(&self, name: &Spanned<String>) -> Result<SubOsIndex> {
        let index = self.known(name)?;
        if self.lots.contains_key(&index.0) {
            return Ok(index);
        }
        Err(Complaint::about(name, format!("there is no {} at this point", name.get_ref())))
    }

    fn known(&self, name: &Spanned<String>) -> Result<SubOsIndex> {
        let found = (0u8..).zip(self.suboses).find(|(_, (subos, _))| subos.name == name.get_ref().as_str());
        let unknown = || Complaint::about(name, format!("no [[subos]] has the name {}", name.get_ref()));
        found.map(|(number, _)| SubOsIndex(number)).ok_or_else(unknown)
    }

    pub(super) fn name(&self, index: SubOsIndex) -> &str {
        self.suboses.get(usize::from(index.0)).map_or("?", |(subos, _)| subos.name.as_str())
    }
}

pub(super) fn holder(subos: Option<SubOsIndex>) -> Holder {
    subos.map_or(Holder::Free, Holder::SubOs)
}

pub(super) fn manner(ask: Option<u32>) -> Manner {
    ask.map_or(Manner::Force, Manner::Ask)
}

fn ends(from: Option<&Spanned<String>>, to: Option<&Spanned<String>>) -> String {
    let from = from.map(|name| format!(" from {}", name.get_ref())).unwrap_or_default();
    let to = to.map(|name| format!(" to {}", name.get_ref())).unwrap_or_default();
    from + &to
}
