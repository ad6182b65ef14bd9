//! What the 64 bytes of a slot say, as `caps::Slot` declares them: read without trusting them, and written.
//!
//! `caps` keeps the fields of a slot to itself. Here is the one place outside of it that knows where they are: for slots that
//! lie in the memory of a machine, and for states that no operation leads to ([`forge`](crate::forge), which sees that a slot
//! that was written so says what was meant).

use caps::{Capability, Kind, Links, Rights, SlotRef, State};

/// How many words a slot has.
pub const WORDS: usize = 8;

/// All that a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// How often it was emptied.
    pub generation: u32,
    /// What it says; `None` if it is free.
    pub says: Option<Capability>,
    /// Its marks.
    pub state: State,
    /// Its place in the forest.
    pub links: Links,
    /// Untyped: bytes used. Header of a dying table: how far it was swept.
    pub word: u64,
    /// Header of a dying table: how many slots it has.
    pub count: u64,
}

impl Fields {
    /// A slot never used.
    pub const FREE: Self = Self::free(0);

    /// A slot that is in use and is tied to no other.
    #[must_use]
    pub fn new(says: Capability, state: State) -> Self {
        Self { says: Some(says), state, ..Self::FREE }
    }

    /// A free slot.
    #[must_use]
    pub const fn free(generation: u32) -> Self {
        let links = Links {
            parent: None,
            first_child: None,
            next: None,
            previous: None,
            bound_next: None,
            bound_previous: None,
            depth: 0,
        };
        Self { generation, says: None, state: State::empty(), links, word: 0, count: 0 }
    }

    /// What these words say; `None` if they are no slot.
    #[must_use]
    pub fn read(words: &[u64; WORDS]) -> Option<Self> {
        let [first, family, siblings, bound, object, size, word, last] = *words;
        let pair = |word: u64| {
            let (low, high) = halves(word);
            (SlotRef::new(low), SlotRef::new(u32::from_le_bytes(high)))
        };
        let (generation, [kind, state, rights_low, rights_high]) = halves(first);
        let (kind, state) = (Kind::from_number(kind)?, State::from_bits(state)?);
        let rights = Rights::from_bits(u16::from_le_bytes([rights_low, rights_high]))?;
        let [number_low, number_high, depth, ..] = last.to_le_bytes();
        let number = u16::from_le_bytes([number_low, number_high]);
        let (badge, space, word) = match kind {
            Kind::Untyped | Kind::Empty => (0, 0, word),
            Kind::Binding => (0, word, 0),
            _ => (word, 0, 0),
        };
        let capability = Capability { kind, rights, badge, object, size, space, number };
        let ((parent, first_child), (next, previous)) = (pair(family), pair(siblings));
        let (bound_next, bound_previous) = pair(bound);
        let links = Links { parent, first_child, next, previous, bound_next, bound_previous, depth };
        let (says, count) = if kind == Kind::Empty { (None, size) } else { (Some(capability), 0) };
        Some(Self { generation, says, state, links, word, count })
    }

    /// The words that say this.
    #[must_use]
    pub fn words(&self) -> [u64; WORDS] {
        let says = self.says.unwrap_or(Capability::new(Kind::Empty, Rights::empty(), 0, self.count));
        let word = match says.kind {
            Kind::Untyped | Kind::Empty => self.word,
            Kind::Binding => says.space,
            _ => says.badge,
        };
        let Links { parent, first_child, next, previous, bound_next, bound_previous, depth } = self.links;
        let pair = |low: Option<SlotRef>, high: Option<SlotRef>| {
            let [low, high] = [low, high].map(|at| u64::from(at.map_or(0, SlotRef::number)));
            low | high << 32
        };
        let marks = u64::from(says.kind.number()) << 32 | u64::from(self.state.bits()) << 40;
        let first = u64::from(self.generation) | marks | u64::from(says.rights.bits()) << 48;
        let last = u64::from(says.number) | u64::from(depth) << 16;
        [
            first,
            pair(parent, first_child),
            pair(next, previous),
            pair(bound_next, bound_previous),
            says.object,
            says.size,
            word,
            last,
        ]
    }

    /// Whether it holds the first capability of its object.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.says.is_some() && !self.state.contains(State::COPY)
    }

    /// Bytes used of an Untyped, if this is its first capability.
    #[must_use]
    pub fn watermark(&self) -> Option<u64> {
        (self.is_first() && self.says.is_some_and(|says| says.kind == Kind::Untyped)).then_some(self.word)
    }
}

fn halves(word: u64) -> (u32, [u8; 4]) {
    let [a, b, c, d, high @ ..] = word.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), high)
}

#[cfg(test)]
mod tests {
    use caps::{Capability, Kind, Links, Rights, SlotRef, State};

    use super::Fields;

    #[test]
    fn what_is_written_is_read() {
        let at = |number| SlotRef::new(number);
        let links = Links {
            parent: at(1),
            first_child: at(2),
            next: at(3),
            previous: at(4),
            bound_next: at(5),
            bound_previous: at(u32::MAX),
            depth: 7,
        };
        let plain = Capability::new(Kind::Endpoint, Rights::all(), 1 << 40, 64);
        for says in [
            Capability { badge: u64::MAX, ..plain },
            Capability { kind: Kind::Binding, space: 1 << 39, number: 0x1234, ..plain },
            Capability { kind: Kind::Untyped, ..plain },
        ] {
            let word = if says.kind == Kind::Untyped { 4096 } else { 0 };
            let fields = Fields { generation: 9, links, word, ..Fields::new(says, State::COPY) };
            assert_eq!(Fields::read(&fields.words()), Some(fields));
        }
        let header = Fields { state: State::DYING, links, word: 3, count: 8, ..Fields::FREE };
        assert_eq!(Fields::read(&header.words()), Some(header));
        assert_eq!(Fields::read(&[0; 8]), Some(Fields::FREE));
    }

    #[test]
    fn what_no_slot_says_is_none() {
        let (kind, rights) = (0xff_u64 << 32, 0xffff_u64 << 48);
        for first in [kind, rights] {
            assert_eq!(Fields::read(&[first, 0, 0, 0, 0, 0, 0, 0]), None);
        }
    }
}
