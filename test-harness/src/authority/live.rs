//! Whether a system that runs is as its manifest has it: who holds which core and which memory, by the manifest and the
//! steps that are done, by the supervisor, and by the kernel's ledger.

use std::collections::BTreeMap;

use idl::operator::{Hands, Run, SubOsView};
use idl::plan::{Action, Holder, Plan, Start, SubOsIndex, WindowIndex};

use crate::manifest::Manifest;

/// Who is meant by no name.
const NOBODY: &str = "nobody";
/// Who has core 0, and what the kernel itself needs.
const SUPERVISOR: &str = "supervisor";

/// Who holds what, by the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Whose each core is that somebody of the manifest has.
    cores: BTreeMap<u8, usize>,
    /// The lots of each subOS that exists: how many MiB, and whose the other side is, if it is one of a window.
    lots: BTreeMap<usize, Vec<Lot>>,
}

/// A lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Lot {
    mib: u64,
    peer: Option<usize>,
}

/// What a running system says of itself.
#[derive(Clone, Debug, Default)]
pub struct Running {
    /// Cores that there are.
    pub cores: u64,
    /// What the supervisor knows of each subOS.
    pub suboses: Vec<SubOsView>,
    /// What the ledger says of cores.
    pub core_runs: Vec<Run>,
    /// What it says of memory, in chunks.
    pub chunk_runs: Vec<Run>,
}

impl Holdings {
    /// Those of a manifest when so many of its steps are done.
    #[must_use]
    pub fn after(plan: &Plan, done: usize) -> Self {
        let mut holdings = Self::default();
        for (index, subos) in plan.suboses.iter().enumerate() {
            if subos.start == Start::AtBoot {
                holdings.born(plan, index);
            }
        }
        for step in plan.steps.iter().take(done) {
            holdings.apply(plan, step.action);
        }
        holdings
    }

    fn apply(&mut self, plan: &Plan, action: Action) {
        match action {
            Action::Create(subos) => self.born(plan, place(subos)),
            Action::Kill(subos) => {
                self.cores.retain(|_, owner| *owner != place(subos));
                self.lots.remove(&place(subos));
            }
            Action::MoveCore { core, to, .. } => self.give_core(core.0, to),
            Action::MoveLot { lot, from, to, .. } => {
                let lots = self.lots.entry(place(from)).or_default();
                if let Some(slot) = lots.get_mut(usize::from(lot.0)) {
                    let moved = std::mem::replace(slot, Lot::NONE);
                    self.gets(to, moved);
                }
            }
            Action::GrantLot { size, to, .. } => self.gets(Holder::SubOs(to), Lot::of(size.0)),
            Action::Resize(resize) if resize.refused.is_some() => {}
            Action::Resize(resize) => {
                (0..64)
                    .filter(|core| resize.cores >> core & 1 != 0)
                    .for_each(|core| self.give_core(core, resize.to));
                if let Holder::SubOs(from) = resize.from {
                    let lots = self.lots.entry(place(from)).or_default();
                    let chosen = lots.iter_mut().enumerate().filter(|(lot, _)| resize.lots >> lot & 1 != 0);
                    let moved: Vec<Lot> = chosen.map(|(_, lot)| std::mem::replace(lot, Lot::NONE)).collect();
                    moved.into_iter().for_each(|lot| self.gets(resize.to, lot));
                }
                let new = resize.memory.iter().filter(|size| size.0 > 0);
                new.for_each(|size| self.gets(resize.to, Lot::of(size.0)));
            }
            Action::OpenWindow(window) => {
                self.close(plan, window);
                if let Some(planned) = plan.window(window) {
                    let [one, other] = planned.between;
                    let mib = u64::from(planned.size.0) * 2;
                    self.gets(Holder::SubOs(one), Lot { mib, peer: Some(place(other)) });
                    self.gets(Holder::SubOs(other), Lot { mib, peer: Some(place(one)) });
                }
            }
            Action::CloseWindow(window, _) => self.close(plan, window),
            Action::CompareLedger | Action::Audit | Action::Watch(_) | Action::Wait => {}
        }
    }

    fn born(&mut self, plan: &Plan, index: usize) {
        let Some(planned) = plan.suboses.get(index) else { return };
        let own = (0..64).filter(|core| planned.cores >> core & 1 != 0);
        self.cores.extend(own.map(|core| (core, index)));
        self.lots.insert(index, planned.lots.iter().map(|lot| Lot::of(lot.0)).collect());
    }

    fn give_core(&mut self, core: u8, to: Holder) {
        match to {
            Holder::Free => self.cores.remove(&core),
            Holder::SubOs(to) => self.cores.insert(core, place(to)),
        };
    }

    /// A lot gets the lowest number that is free.
    fn gets(&mut self, to: Holder, lot: Lot) {
        let Holder::SubOs(to) = to else { return };
        let lots = self.lots.entry(place(to)).or_default();
        match lots.iter_mut().find(|lot| **lot == Lot::NONE) {
            Some(free) => *free = lot,
            None => lots.push(lot),
        }
    }

    fn close(&mut self, plan: &Plan, window: WindowIndex) {
        let Some(planned) = plan.window(window) else { return };
        let [one, other] = planned.between.map(place);
        for (owner, peer) in [(one, other), (other, one)] {
            let lots = self.lots.get_mut(&owner).into_iter().flatten();
            lots.filter(|lot| lot.peer == Some(peer)).for_each(|lot| *lot = Lot::NONE);
        }
    }

    /// The lots of a subOS, in the order of their sizes.
    fn lots_of(&self, index: usize) -> Vec<Lot> {
        let mut lots: Vec<Lot> =
            self.lots.get(&index).into_iter().flatten().copied().filter(|lot| *lot != Lot::NONE).collect();
        lots.sort();
        lots
    }
}

impl Lot {
    /// A number that is free.
    const NONE: Self = Self { mib: 0, peer: None };

    fn of(chunks: u32) -> Self {
        Self { mib: u64::from(chunks) * 2, peer: None }
    }
}

fn place(subos: SubOsIndex) -> usize {
    usize::from(subos.0)
}

/// Each difference, in words; none if manifest, supervisor and ledger say the same.
#[must_use]
pub fn differences(manifest: &Manifest, done: usize, running: &Running) -> Vec<String> {
    let plan = &manifest.plan;
    let names = |index: usize| plan.suboses.get(index).map_or("?", |subos| subos.name.as_str());
    let known: Vec<&str> = running.suboses.iter().map(|subos| subos.name.as_str()).collect();
    let planned: Vec<&str> = plan.suboses.iter().map(|subos| subos.name.as_str()).collect();
    if known != planned {
        let [known, planned] = [known, planned].map(|names| names.join(", "));
        return vec![format!("it is another manifest's: that has {planned}, the system {known}")];
    }
    let expected = Holdings::after(plan, done);
    let mut all = core_differences(&expected, running, &names);
    for (index, subos) in running.suboses.iter().enumerate() {
        all.extend(lot_difference(&expected.lots_of(index), &lots(subos), &names, subos));
    }
    all.extend(ledger_differences(plan, running));
    all
}

/// A core must be in the same hands by the manifest, by the supervisor, and by the ledger.
fn core_differences<'a>(
    expected: &Holdings,
    running: &Running,
    names: &impl Fn(usize) -> &'a str,
) -> Vec<String> {
    let mut all = Vec::new();
    for core in 0..u8::try_from(running.cores.min(64)).unwrap_or(64) {
        let by_manifest = match expected.cores.get(&core) {
            Some(owner) => names(*owner).to_owned(),
            None if core == 0 => SUPERVISOR.to_owned(),
            None => NOBODY.to_owned(),
        };
        let has = |subos: &&SubOsView| subos.cores >> core & 1 != 0;
        let by_supervisor = match running.suboses.iter().find(has) {
            Some(owner) => owner.name.to_string(),
            None if core == 0 => SUPERVISOR.to_owned(),
            None => NOBODY.to_owned(),
        };
        let by_ledger = hands_of(&running.core_runs, u64::from(core), running);
        if by_manifest != by_supervisor || by_supervisor != by_ledger {
            all.push(format!(
                "core {core}: by the manifest {by_manifest} has it, by the supervisor {by_supervisor}, by the ledger {by_ledger}"
            ));
        }
    }
    all
}

fn lots(subos: &SubOsView) -> Vec<Lot> {
    let lot = |lot: &idl::operator::LotView| Lot {
        mib: u64::from(lot.chunks) * 2,
        peer: lot.peer.map(usize::from),
    };
    let mut lots: Vec<Lot> = subos.lots.iter().map(lot).collect();
    lots.sort();
    lots
}

fn lot_difference<'a>(
    expected: &[Lot],
    found: &[Lot],
    names: &impl Fn(usize) -> &'a str,
    subos: &SubOsView,
) -> Option<String> {
    let words = |lots: &[Lot]| -> String {
        let one = |lot: &Lot| match lot.peer {
            None => format!("{} MiB", lot.mib),
            Some(peer) => format!("{} MiB shared with {}", lot.mib, names(peer)),
        };
        let all: Vec<String> = lots.iter().map(one).collect();
        if all.is_empty() { "nothing".to_owned() } else { all.join(" and ") }
    };
    (expected != found).then(|| {
        let (expected, found) = (words(expected), words(found));
        format!("memory of {}: by the manifest {expected}, by the supervisor {found}", subos.name)
    })
}

/// What the supervisor says that a subOS has, the ledger must show as its, and nothing else as anybody's.
fn ledger_differences(plan: &Plan, running: &Running) -> Vec<String> {
    let mut by_ledger: BTreeMap<u32, u64> = BTreeMap::new();
    for run in &running.chunk_runs {
        if let Hands::Owned(owner, _) | Hands::Shared(owner, _) = run.hands {
            *by_ledger.entry(owner).or_default() += run.count * 2;
        }
    }
    by_ledger.remove(&0);
    let (mut all, mut hidden) = (Vec::new(), 0);
    for (index, subos) in running.suboses.iter().enumerate() {
        let mib: u64 =
            lots(subos).iter().filter(|lot| shown_as_own(plan, running, index, lot)).map(|lot| lot.mib).sum();
        match subos.owner {
            Some(owner) => {
                let ledger = by_ledger.remove(&owner).unwrap_or(0);
                if ledger != mib {
                    let name = &subos.name;
                    all.push(format!(
                        "memory of {name}: by the supervisor {mib} MiB, by the ledger {ledger} MiB"
                    ));
                }
            }
            // Who has no core cannot be told from others in the ledger.
            None => hidden += mib,
        }
    }
    let rest: u64 = by_ledger.values().sum();
    if rest != hidden {
        all.push(format!(
            "memory of those without a core: by the supervisor {hidden} MiB, by the ledger {rest} MiB"
        ));
    }
    all
}

/// Whether the ledger shows a lot as its holder's: of a window that is open, only the first side's.
fn shown_as_own(plan: &Plan, running: &Running, index: usize, lot: &Lot) -> bool {
    let Some(peer) = lot.peer else { return true };
    let has_side =
        |subos: &SubOsView| subos.lots.iter().any(|side| side.peer.map(usize::from) == Some(index));
    let other_has = running.suboses.get(peer).is_some_and(has_side);
    let first = plan.windows.iter().any(|window| window.between.map(place) == [index, peer]);
    first || !other_has
}

/// In whose hands a resource is, by the ledger.
fn hands_of(runs: &[Run], index: u64, running: &Running) -> String {
    let found = runs.iter().find(|run| (run.first..run.first.saturating_add(run.count)).contains(&index));
    match found.map(|run| run.hands) {
        Some(Hands::Owned(0, _) | Hands::Shared(0, _)) => SUPERVISOR.to_owned(),
        Some(Hands::Owned(owner, _) | Hands::Shared(owner, _)) => {
            let same = |subos: &&SubOsView| subos.owner == Some(owner);
            let name = running.suboses.iter().find(same).map(|subos| subos.name.to_string());
            name.unwrap_or_else(|| format!("number {owner}"))
        }
        Some(Hands::Free) => NOBODY.to_owned(),
        Some(Hands::Unusable) => "nobody, for good".to_owned(),
        Some(Hands::Moving) => "nobody, for now".to_owned(),
        Some(Hands::System) => "the machine".to_owned(),
        None => "not known".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use idl::operator::{Life, LotView};

    use super::*;
    use crate::manifest::{Overrides, load};
    use crate::place;

    fn read(name: &str) -> Manifest {
        load(&place::harness().join(format!("manifests/{name}.toml")), Overrides::default()).unwrap()
    }

    /// A system that is as the manifest has it.
    fn running(manifest: &Manifest, done: usize) -> Running {
        let plan = &manifest.plan;
        let holdings = Holdings::after(plan, done);
        let mut running = Running { cores: u64::from(manifest.cores), ..Running::default() };
        let mut chunks = 100;
        for (index, planned) in plan.suboses.iter().enumerate() {
            let mine = holdings.cores.iter().filter(|(_, owner)| **owner == index);
            let cores = mine.fold(0, |mask, (core, _)| mask | 1 << core);
            let owner = u32::try_from(index).unwrap() + 1;
            let lots = holdings.lots_of(index);
            let view = |(lot, it): (u8, &Lot)| LotView {
                lot,
                chunks: u32::try_from(it.mib / 2).unwrap(),
                peer: it.peer.map(|peer| u8::try_from(peer).unwrap()),
            };
            running.suboses.push(SubOsView {
                name: planned.name.clone(),
                program: planned.program.clone(),
                life: if lots.is_empty() { Life::Absent } else { Life::Alive },
                cores,
                lots: (0u8..).zip(&lots).map(view).collect(),
                progress: None,
                deaths: 0,
                ended: None,
                owner: (cores != 0).then_some(owner),
            });
        }
        let mut runs = Vec::new();
        for (index, subos) in running.suboses.iter().enumerate() {
            for lot in lots(subos).iter().filter(|lot| shown_as_own(plan, &running, index, lot)) {
                let (count, owner) = (lot.mib / 2, u32::try_from(index).unwrap() + 1);
                let hands = if lot.peer.is_some() { Hands::Shared(owner, 0) } else { Hands::Owned(owner, 0) };
                runs.push(Run { first: chunks, count, hands });
                chunks += count;
            }
        }
        running.chunk_runs = runs;
        for core in 0..running.cores {
            let owner = holdings
                .cores
                .get(&u8::try_from(core).unwrap())
                .map(|owner| u32::try_from(*owner).unwrap() + 1);
            let hands = match owner {
                Some(owner) => Hands::Owned(owner, 0),
                None if core == 0 => Hands::Owned(0, 0),
                None => Hands::Free,
            };
            running.core_runs.push(Run { first: core, count: 1, hands });
        }
        running
    }

    #[test]
    fn what_every_example_says_agrees_with_itself_after_each_step() {
        for name in ["demo", "store", "windows", "crash", "force", "echo"] {
            let manifest = read(name);
            for done in 0..=manifest.plan.steps.len() {
                let found = differences(&manifest, done, &running(&manifest, done));
                assert_eq!(found, Vec::<String>::new(), "{name} after {done} steps");
            }
        }
        let demo = read("demo");
        let whole = Holdings::after(&demo.plan, demo.plan.steps.len());
        assert!(
            whole.cores.is_empty() && whole.lots.is_empty(),
            "the demonstration gives all back: {whole:?}"
        );
    }

    #[test]
    fn a_difference_is_named() {
        let demo = read("demo");
        let sound = running(&demo, 0);
        let told = |running: &Running| differences(&demo, 0, running).join("\n");
        assert_eq!(told(&sound), "");

        let mut taken = sound.clone();
        taken.suboses[0].cores &= !(1 << 2);
        let text = told(&taken);
        assert!(
            text.contains(
                "core 2: by the manifest batch has it, by the supervisor nobody, by the ledger batch"
            ),
            "{text}"
        );

        let mut stolen = sound.clone();
        stolen.core_runs[3].hands = Hands::Owned(9, 0);
        let text = told(&stolen);
        assert!(
            text.contains(
                "core 3: by the manifest echo has it, by the supervisor echo, by the ledger number 9"
            ),
            "{text}"
        );

        let mut more = sound.clone();
        more.suboses[1].lots.push(LotView { lot: 7, chunks: 5, peer: None }).unwrap();
        let text = told(&more);
        assert!(text.contains("memory of echo: by the manifest ") && text.contains("10 MiB and"), "{text}");
        assert!(text.contains("MiB, by the ledger "), "{text}");

        let mut alien = sound;
        alien.chunk_runs.push(Run { first: 9000, count: 3, hands: Hands::Owned(77, 0) });
        let text = told(&alien);
        assert!(
            text.contains("memory of those without a core: by the supervisor 0 MiB, by the ledger 6 MiB"),
            "{text}"
        );

        let text = differences(&read("store"), 0, &running(&demo, 0)).join("\n");
        assert!(text.starts_with("it is another manifest's: that has shop"), "{text}");
    }
}
