//! Random play: numbers become operations that make sense in the state at hand, most of the time.

use std::num::NonZeroU64;

use caps::bounds::PAGE;
use caps::{Capability, Change, Generation, Handle, InFlight, Kind, Rights, SlotIndex, SlotRef, Table};

use crate::game::Game;
use crate::model::{Id, covers};
use crate::operation::Operation;

/// A move of the game before it meets a state: plain numbers, so that a test can make them smaller.
pub type Throw = [u16; 5];

impl Game {
    /// Plays throws until something is wrong.
    pub fn play(&mut self, throws: &[Throw]) -> Result<(), String> {
        for &throw in throws {
            let operation = self.choose(throw);
            let _ = self.apply(&operation)?;
        }
        Ok(())
    }

    /// The operation that a throw means in this state.
    #[must_use]
    pub fn choose(&self, throw: Throw) -> Operation {
        let [what, a, b, c, d] = throw;
        let budget = u32::from(d % 5);
        match what % 64 {
            0..=11 => self.choose_derive(a, b, c, d),
            12..=25 => self.choose_retype(a, b, c, d),
            26..=29 => Operation::Bind {
                region: self.of_kind(Kind::Region, a),
                space: self.of_kind(Kind::AddressSpace, c),
                dest: self.dest(b),
                number: if one_in(16, d) { d } else { d % 64 + 1 },
            },
            30..=33 => Operation::Move { source: self.any(a), dest: self.dest(b) },
            34..=35 => Operation::Lock { source: self.any(a) },
            36 => Operation::Unlock { ticket: self.flight(a) },
            37..=38 => Operation::Land { ticket: self.flight(a), dest: self.dest(b) },
            39 => Operation::Watch { at: self.any(a) },
            40 => self.choose_replace(a, b, d),
            41..=42 => self.choose_lookup(a, b, c, d),
            43 => Operation::Locate { table: self.table(a), handle: self.handle(self.table(a), b, c) },
            44 => {
                let table = self.table(a);
                Operation::Vacant { table, index: u32::from(b) % (table.count + 2) }
            }
            45 => Operation::MarkRevoking { root: self.victim(a, d) },
            46..=47 => Operation::RevokeStep { root: self.victim(a, d), budget },
            48..=50 => Operation::DeleteStep { at: self.victim(a, d), budget },
            51 => Operation::SweepStep { budget },
            52 => Operation::ResetBegin { untyped: self.of_kind(Kind::Untyped, a | (16 * (d % 8).min(1))) },
            53 => Operation::ResetStep { untyped: self.of_kind(Kind::Untyped, a), budget },
            54..=56 => self.choose_clear(a, b, c),
            57 => self.choose_plant(a, b, c),
            _ => {
                let nothing = Operation::SweepStep { budget };
                self.pending(u32::from(d % 9)).unwrap_or(nothing)
            }
        }
    }

    fn choose_derive(&self, a: u16, b: u16, c: u16, d: u16) -> Operation {
        let parent = if one_in(3, d) { self.deepest() } else { self.any(a) };
        let all = Rights::all();
        let rights = if one_in(4, c) { Rights::from_bits_truncate(c >> 2) } else { all };
        let above = self.model.at(parent).map(|id| self.model.caps[&id].says);
        let rights = above.filter(|_| !one_in(8, d)).map_or(rights, |above| rights & above.rights);
        let is_region = above.is_some_and(|above| above.kind == Kind::Region);
        let part = (is_region && one_in(2, c) || one_in(31, d))
            .then_some((u64::from(c % 3) * PAGE, u64::from(c / 3 % 3) * PAGE + u64::from(one_in(23, d))));
        let mintable = above.is_some_and(|above| above.kind.is_mintable());
        let badge =
            if mintable && one_in(2, d) || one_in(29, d) { NonZeroU64::new(u64::from(c % 7)) } else { None };
        Operation::Derive { parent, dest: self.dest(b), change: Change { rights, badge, part } }
    }

    /// What is there may be replaced, mostly.
    fn choose_replace(&self, a: u16, b: u16, d: u16) -> Operation {
        let parent = if one_in(3, d) { self.deepest() } else { self.any(a) };
        let dest = if one_in(2, d / 3) { self.dest(b) } else { self.any(b) };
        Operation::Replace { parent, dest }
    }

    fn choose_retype(&self, a: u16, b: u16, c: u16, d: u16) -> Operation {
        let kinds = [
            Kind::Untyped,
            Kind::CSpace,
            Kind::Region,
            Kind::AddressSpace,
            Kind::Endpoint,
            Kind::CSpace,
            Kind::Notification,
            Kind::Thread,
            Kind::Reply,
            Kind::Guest,
            Kind::Endpoint,
            Kind::CSpace,
        ];
        let kind = if d % 64 == 1 { Kind::Core } else { kinds[usize::from(c) % kinds.len()] };
        let bytes = match kind {
            Kind::Untyped => u64::from(d % 4) * PAGE,
            Kind::Region | Kind::AddressSpace => u64::from(d % 3) * PAGE,
            Kind::CSpace => u64::from(d % 8) * 64,
            Kind::Thread => 1024 - u64::from(one_in(11, d)) * 64,
            Kind::Guest => 256 - u64::from(one_in(11, d)) * 64,
            _ => 64 + u64::from(one_in(17, d)),
        };
        let align = match d % 32 {
            0 => 0,
            1 => 3,
            2 => 128,
            3 => 2 * PAGE,
            4 => 1 << 63,
            _ => 1,
        };
        let bytes = if one_in(37, d) { u64::MAX - 4095 } else { bytes };
        Operation::Retype { untyped: self.of_kind(Kind::Untyped, a), dest: self.dest(b), kind, bytes, align }
    }

    fn choose_lookup(&self, a: u16, b: u16, c: u16, d: u16) -> Operation {
        let table = self.table(a);
        let handle = self.handle(table, b, c);
        let place = table.first.offset(handle.index().0);
        let says = place.and_then(|at| self.model.at(at)).map(|id| self.model.caps[&id].says);
        let kind = says.filter(|_| !one_in(4, d)).map_or(Kind::Endpoint, |says| says.kind);
        Operation::Lookup { table, handle, kind, rights: Rights::from_bits_truncate(1 << (d % 7)) }
    }

    fn choose_clear(&self, a: u16, b: u16, c: u16) -> Operation {
        let resetting = |id: &&Id| self.model.resetting.contains(&self.model.first_of(**id));
        let all: Vec<SlotRef> =
            self.model.revoking.iter().filter(resetting).map(|id| self.model.caps[id].place).collect();
        let untyped = match all.get(usize::from(a) % all.len().max(1)) {
            Some(&place) if !one_in(8, b) => place,
            _ => self.of_kind(Kind::Untyped, a),
        };
        let used = self.model.at(untyped).and_then(|id| self.model.used.get(&self.model.first_of(id)));
        let used = used.copied().unwrap_or(64);
        let bytes = match c % 8 {
            0 => used + 1,
            1 => used / 2,
            2 => u64::from(c) % (used + 1),
            _ => used,
        };
        Operation::ResetCleared { untyped, bytes }
    }

    fn choose_plant(&self, a: u16, b: u16, c: u16) -> Operation {
        let capability = match c % 8 {
            0 => Capability::new(Kind::Empty, Rights::all(), 0, 0),
            1 => Capability::new(Kind::CSpace, Rights::all(), PAGE, 1),
            2 => Capability::new(Kind::Untyped, Rights::all(), 0, PAGE),
            3 => Capability::new(Kind::Thread, Rights::all(), 1, 4096),
            4 => Capability { badge: 3, ..Capability::new(Kind::SubOs, Rights::all(), u64::from(a), 0) },
            _ => Capability::new(Kind::Core, Rights::READ | Rights::DERIVE, u64::from(a % 4), 0),
        };
        Operation::Plant { dest: self.dest(b), capability }
    }

    /// All tables that stand.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        let firsts = self.model.caps.values().filter(|cap| cap.first);
        self.fixed.iter().copied().chain(firsts.filter_map(|cap| cap.says.table())).collect()
    }

    fn table(&self, a: u16) -> Table {
        let tables = self.tables();
        tables[usize::from(a) % tables.len()]
    }

    /// A handle of the table: mostly right.
    fn handle(&self, table: Table, b: u16, c: u16) -> Handle {
        let used: Vec<u32> = self
            .model
            .caps
            .values()
            .filter(|cap| covers(Some(table), cap.place))
            .map(|cap| cap.place.number() - table.first.number())
            .collect();
        let index = match used.get(usize::from(b) % used.len().max(1)) {
            Some(&index) if !one_in(4, c) => index,
            _ => u32::from(b) % (table.count + 2),
        };
        let place = table.first.offset(index);
        let emptied = place.and_then(|at| self.model.emptied.get(&at)).copied().unwrap_or(0);
        let generation = if c % 8 == 1 { emptied.wrapping_sub(1) } else { emptied };
        Handle::new(SlotIndex(index), Generation(generation))
    }

    /// A slot to put something in: mostly vacant, never in a dying table unless occupied.
    fn dest(&self, b: u16) -> SlotRef {
        let is_dying = |table: &Table| self.model.fallen.contains(&(table.first, table.count));
        let mut places = Vec::new();
        for table in self.tables().into_iter().filter(|table| !is_dying(table)) {
            places.extend((1..table.count).filter_map(|index| table.first.offset(index)));
        }
        let occupied = |place: &SlotRef| self.model.at(*place).is_some();
        let vacant: Vec<SlotRef> = places.iter().copied().filter(|place| !occupied(place)).collect();
        let choice = if one_in(16, b) || vacant.is_empty() { &places } else { &vacant };
        choice[usize::from(b / 16) % choice.len()]
    }

    /// A slot to take something from: mostly occupied.
    fn any(&self, a: u16) -> SlotRef {
        let occupied: Vec<SlotRef> = self.model.caps.values().map(|cap| cap.place).collect();
        match occupied.get(usize::from(a / 16) % occupied.len().max(1)) {
            Some(&place) if !one_in(16, a) => place,
            _ => self.dest(a),
        }
    }

    /// A capability of this kind, if there is one and mostly.
    fn of_kind(&self, kind: Kind, a: u16) -> SlotRef {
        let right = self.model.caps.values().filter(|cap| cap.says.kind == kind);
        let all: Vec<SlotRef> = right.map(|cap| cap.place).collect();
        match all.get(usize::from(a / 16) % all.len().max(1)) {
            Some(&place) if !one_in(16, a) => place,
            _ => self.any(a),
        }
    }

    /// Something to remove: seldom what everything derives from, so that the world does not stay empty.
    fn victim(&self, a: u16, d: u16) -> SlotRef {
        let chosen = self.any(a);
        let is_root = self.model.at(chosen).is_some_and(|id| self.model.caps[&id].parent.is_none());
        if is_root && !one_in(8, d) { self.any(a.wrapping_add(d.wrapping_mul(16) | 16)) } else { chosen }
    }

    fn deepest(&self) -> SlotRef {
        let depth = |id: &Id| self.model.ancestors(*id).len();
        let id = self.model.caps.keys().copied().max_by_key(depth);
        id.map_or(self.any(1), |id| self.model.caps[&id].place)
    }

    fn flight(&self, a: u16) -> InFlight {
        let nowhere = InFlight { slot: self.any(a), generation: Generation(0) };
        let count = self.flights.len().min(4);
        let recent = &self.flights[self.flights.len() - count..];
        recent.get(usize::from(a / 16) % count.max(1)).copied().unwrap_or(nowhere)
    }
}

/// Whether this number of a throw is of the one in so many that make something unlikely.
const fn one_in(many: u16, number: u16) -> bool {
    number.is_multiple_of(many)
}

/// Numbers from a seed, for runs that are to be repeated exactly: the generator is SplitMix64 (Steele, Lea and Flood,
/// 2014).
pub fn numbers(seed: u64) -> impl Iterator<Item = u64> + use<> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// Throws from a seed.
pub fn throws(seed: u64) -> impl Iterator<Item = Throw> + use<> {
    let mut numbers = numbers(seed);
    std::iter::repeat_with(move || {
        let mut word = || numbers.next().unwrap_or(0).to_le_bytes();
        let (low, high) = (word(), word());
        let pair = |bytes: &[u8; 8], at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        [pair(&low, 0), pair(&low, 2), pair(&low, 4), pair(&low, 6), pair(&high, 0)]
    })
}
