//! What a slot's bytes say: the layout that `caps::Slot` declares, read without trusting it.

use caps::{Capability, Kind, Rights, SlotRef, State};
use idl::journal::SLOT_WORDS;

/// A slot as it lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// How often it was emptied.
    pub generation: u32,
    /// What goes on with it.
    pub state: State,
    /// The capability in it.
    pub capability: Option<Capability>,
    /// What it was derived from.
    pub parent: Option<SlotRef>,
    /// The youngest of what was derived from it.
    pub first_child: Option<SlotRef>,
    /// The next older child of the same parent.
    pub next: Option<SlotRef>,
    /// The next younger child of the same parent.
    pub previous: Option<SlotRef>,
    /// AddressSpace: its first binding. Binding: the next one.
    pub bound_next: Option<SlotRef>,
    /// Binding: the one before, or the space's first capability.
    pub bound_previous: Option<SlotRef>,
    /// Untyped: bytes used. Header: how far it is swept.
    pub word: u64,
    /// How many capabilities it derives from.
    pub depth: u8,
}

impl View {
    /// A slot never used.
    pub const FREE: Self = Self {
        generation: 0,
        state: State::empty(),
        capability: None,
        parent: None,
        first_child: None,
        next: None,
        previous: None,
        bound_next: None,
        bound_previous: None,
        word: 0,
        depth: 0,
    };

    /// What these words say; `None` if they are no slot.
    #[must_use]
    pub fn of(words: &[u64; SLOT_WORDS]) -> Option<Self> {
        let [first, family, siblings, bound, object, size, word, last] = *words;
        let halves = |word: u64| {
            let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
            (u32::from_le_bytes([a, b, c, d]), [e, f, g, h])
        };
        let pair = |word: u64| {
            let (low, high) = halves(word);
            (SlotRef::new(low), SlotRef::new(u32::from_le_bytes(high)))
        };
        let (generation, [kind, state, rights_low, rights_high]) = halves(first);
        let kind = Kind::from_number(kind)?;
        let rights = Rights::from_bits(u16::from_le_bytes([rights_low, rights_high]))?;
        let [number_low, number_high, depth, ..] = last.to_le_bytes();
        let (badge, space) = match kind {
            Kind::Untyped => (0, 0),
            Kind::Binding => (0, word),
            _ => (word, 0),
        };
        let number = u16::from_le_bytes([number_low, number_high]);
        let capability = Capability { kind, rights, badge, object, size, space, number };
        let ((parent, first_child), (next, previous)) = (pair(family), pair(siblings));
        let (bound_next, bound_previous) = pair(bound);
        Some(Self {
            generation,
            state: State::from_bits(state)?,
            capability: (kind != Kind::Empty).then_some(capability),
            parent,
            first_child,
            next,
            previous,
            bound_next,
            bound_previous,
            word,
            depth,
        })
    }

    /// Whether it holds the first capability of its object.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.capability.is_some() && !self.state.contains(State::COPY)
    }

    /// Bytes used of an Untyped, if this is its first capability.
    #[must_use]
    pub fn watermark(&self) -> Option<u64> {
        (self.is_first() && self.capability.is_some_and(|says| says.kind == Kind::Untyped))
            .then_some(self.word)
    }
}
