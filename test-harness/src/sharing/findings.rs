//! What was seen between two markers, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use super::territory::{Owner, Place, SUPERVISOR, Territory};
use crate::measure::log::{Sharing, Touched, Touches};

/// A subOS whose kernel accessed memory less often than that was not at work: nothing is known of it.
const LEAST_WORK: u64 = 1_000;

/// What one core did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreRow {
    /// Whose it is.
    pub owner: Owner,
    /// All that it touched.
    pub touched: Touched,
    /// Lines that it has together with other cores of its owner, one of which writes.
    pub inside: u64,
    /// Lines of declared shares that it has together with the other side.
    pub declared: u64,
    /// Lines that cross.
    pub crossing: u64,
}

/// Between whom something is declared to be shared: their numbers, the lower first. It is a window, or with the supervisor
/// the share that a subOS is born with.
pub type Between = [u64; 2];

/// What happened in a declared share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Lines that both sides touched.
    pub lines: u64,
    /// Accesses of each side to them, in the order of their numbers.
    pub accesses: [u64; 2],
}

/// A line that one owner's cores wrote and another's touched, outside the share that is declared between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Its physical address.
    pub address: u64,
    /// What it is.
    pub place: Place,
    /// What each core did.
    pub touches: Vec<(Owner, Touches)>,
}

/// Everything that was seen in a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// Who owned what.
    pub land: Territory,
    /// What each core did.
    pub cores: Vec<CoreRow>,
    /// What happened in shares and windows that are declared, by their sides.
    pub declared: BTreeMap<Between, Declared>,
    /// What should not be. None is right.
    pub crossing: Vec<Crossing>,
    /// How many lines were touched in all.
    pub lines: u64,
}

/// How a shared line stands.
enum Standing {
    /// Its owner's own affair.
    Inside,
    /// In what is declared to be shared between exactly these.
    Declared(Between),
    /// Neither.
    Crossing,
}

impl Findings {
    /// What the plugin saw, judged by who owned what.
    #[must_use]
    pub fn new(land: Territory, seen: &Sharing) -> Self {
        let none = |touched: &Touched| CoreRow {
            owner: land.owner_of(touched.core),
            touched: *touched,
            inside: 0,
            declared: 0,
            crossing: 0,
        };
        let mut cores: Vec<CoreRow> = seen.touched.iter().map(none).collect();
        let mut declared: BTreeMap<Between, Declared> = BTreeMap::new();
        let mut crossing = Vec::new();
        for (address, touches) in &seen.shared {
            let touches: Vec<_> = touches.iter().map(|by| (land.owner_of(by.core), *by)).collect();
            let place = land.place(*address);
            let standing = standing(place, &touches);
            for (_, by) in &touches {
                if let Some(row) = cores.iter_mut().find(|row| row.touched.core == by.core) {
                    *match standing {
                        Standing::Inside => &mut row.inside,
                        Standing::Declared(_) => &mut row.declared,
                        Standing::Crossing => &mut row.crossing,
                    } += 1;
                }
            }
            match standing {
                Standing::Inside => {}
                Standing::Declared(between) => declared.entry(between).or_default().add(between, &touches),
                Standing::Crossing => crossing.push(Crossing { address: *address, place, touches }),
            }
        }
        Self { land, cores, declared, crossing, lines: seen.lines }
    }

    /// The owners of cores whose kernels hardly did anything: what was seen says nothing about them.
    #[must_use]
    pub fn idle(&self) -> Vec<Owner> {
        let mut work: BTreeMap<Owner, u64> = BTreeMap::new();
        for row in self.cores.iter().filter(|row| matches!(row.owner, Owner::SubOs(_))) {
            *work.entry(row.owner).or_default() += row.touched.upper;
        }
        work.into_iter().filter(|(_, accesses)| *accesses < LEAST_WORK).map(|(owner, _)| owner).collect()
    }
}

fn standing(place: Place, touches: &[(Owner, Touches)]) -> Standing {
    let owners: BTreeSet<Owner> = touches.iter().map(|(owner, _)| *owner).collect();
    if owners.len() < 2 {
        return Standing::Inside;
    }
    let between = match place {
        Place::Share(subos, _) => [SUPERVISOR, subos],
        Place::Window(one, other, _) => [one.min(other), one.max(other)],
        _ => return Standing::Crossing,
    };
    if owners == between.map(Owner::SubOs).into() { Standing::Declared(between) } else { Standing::Crossing }
}

impl Declared {
    fn add(&mut self, [first, _]: Between, touches: &[(Owner, Touches)]) {
        self.lines += 1;
        for (owner, by) in touches {
            self.accesses[usize::from(*owner != Owner::SubOs(first))] += by.reads + by.writes;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::sharing::territory::tests::land;

    const SHARES: u64 = 6_410_240;
    const SHARE: u64 = 77_824;

    fn by(core: usize, reads: u64, writes: u64) -> Touches {
        Touches { core, reads, writes, read_at: 0x1000, written_at: 0x2000 }
    }

    pub(in super::super) fn seen(shared: &[(u64, [Touches; 2])]) -> Findings {
        let touched = |core| Touched { core, lines: 50, accesses: 9_000, upper: 5_000 };
        let sharing = Sharing {
            shared: shared.iter().map(|(address, touches)| (*address, touches.to_vec())).collect(),
            touched: (0..4).map(touched).collect(),
            lines: 200,
        };
        Findings::new(land(), &sharing)
    }

    #[test]
    fn only_what_crosses_outside_the_declared_share_is_wrong() {
        let echos = SHARES + 2 * SHARE;
        let own = 0x800_0000;
        let findings = seen(&[
            (own, [by(1, 3, 0), by(2, 0, 1)]),
            (echos, [by(0, 2, 1), by(3, 4, 0)]),
            (echos + 0x40, [by(0, 1, 0), by(3, 0, 1)]),
        ]);
        assert_eq!(findings.crossing, []);
        assert_eq!(findings.declared, BTreeMap::from([([0, 2], Declared { lines: 2, accesses: [4, 5] })]));
        let counts: Vec<_> =
            findings.cores.iter().map(|row| (row.inside, row.declared, row.crossing)).collect();
        assert_eq!(counts, [(0, 2, 0), (1, 0, 0), (1, 0, 0), (0, 2, 0)]);
    }

    #[test]
    fn a_third_party_in_a_share_crosses_and_so_do_two_without_one() {
        let echos = SHARES + 2 * SHARE;
        let findings = seen(&[
            (echos, [by(1, 1, 0), by(3, 0, 1)]),
            (echos + 0x40, [by(0, 0, 1), by(1, 1, 0)]),
            (0x20_0000, [by(1, 0, 7), by(3, 5, 0)]),
        ]);
        let places: Vec<_> = findings.crossing.iter().map(|line| line.place).collect();
        assert_eq!(places, [Place::Image, Place::Share(2, 0), Place::Share(2, 0x40)]);
        assert!(findings.declared.is_empty());
    }

    #[test]
    fn a_window_is_declared_between_its_sides_and_nobody_else() {
        let window = 63 * (2 << 20);
        let findings = seen(&[
            (window + 0x40, [by(1, 0, 2), by(3, 1, 0)]),
            (window + 0x2000, [by(2, 7, 0), by(3, 4, 1)]),
            (window + 0x2040, [by(0, 1, 0), by(3, 0, 1)]),
            (window + 0x2080, [by(0, 0, 1), by(1, 1, 0)]),
        ]);
        let declared = Declared { lines: 2, accesses: [9, 6] };
        assert_eq!(findings.declared, BTreeMap::from([([1, 2], declared)]));
        let places: Vec<_> = findings.crossing.iter().map(|line| line.place).collect();
        assert_eq!(places, [Place::Window(2, 1, 0x2040), Place::Window(2, 1, 0x2080)]);
        let text = findings.land.describe(places[0]);
        assert_eq!(text, "the memory of the window of echo and batch, +0x2040");
    }

    #[test]
    fn who_does_nothing_is_not_seen() {
        let mut findings = seen(&[]);
        assert_eq!(findings.idle(), []);
        findings.cores[3].touched.upper = LEAST_WORK - 1;
        assert_eq!(findings.idle(), [Owner::SubOs(2)]);
    }
}
