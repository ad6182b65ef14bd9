//! States that no operation leads to: slots written field by field.
//!
//! `caps` keeps the fields of a slot to itself, and has no need of a way to write them. But whether what must hold is
//! *inductive* can only be asked of every state in which it holds, however it came about; so this writes the 64 bytes that
//! a slot is, and then looks through the public accessors whether it says what was meant. It is the one place outside of
//! the kernel that uses `unsafe`.

use caps::{Capability, Forest, Generation, Kind, Links, Slot, SlotRef, State};

/// All that a slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// A slot that is in use and is tied to no other.
    #[must_use]
    pub fn new(says: Capability, state: State) -> Self {
        Self { says: Some(says), state, ..Self::free(0) }
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

    /// The slot that holds this.
    ///
    /// # Panics
    ///
    /// If the slot does not say what was meant: then the layout of [`Slot`] has changed, and is to be changed here too.
    #[must_use]
    pub fn forge(&self) -> Slot {
        let says = self.says.unwrap_or(Capability::new(Kind::Empty, caps::Rights::empty(), 0, self.count));
        let word = match says.kind {
            Kind::Untyped | Kind::Empty => self.word,
            Kind::Binding => says.space,
            _ => says.badge,
        };
        let link = |at: Option<SlotRef>| at.map_or(0, SlotRef::number).to_le_bytes();
        let Links { parent, first_child, next, previous, bound_next, bound_previous, depth } = self.links;
        let mut bytes = [0; 64];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &self.generation.to_le_bytes());
        put(4, &[says.kind.number(), self.state.bits()]);
        put(6, &says.rights.bits().to_le_bytes());
        for (at, other) in
            (8..).step_by(4).zip([parent, first_child, next, previous, bound_next, bound_previous])
        {
            put(at, &link(other));
        }
        for (at, field) in (32..).step_by(8).zip([says.object, says.size, word]) {
            put(at, &field.to_le_bytes());
        }
        put(56, &says.number.to_le_bytes());
        put(58, &[depth]);
        // SAFETY: `Slot` is `repr(C)`, has 64 bytes, and every field accepts what was put there: numbers, bits, a kind by
        // its own number, and slot numbers of which 0 means none. What is in the wrong place is found right below.
        let slot = unsafe { core::mem::transmute::<Aligned, Slot>(Aligned(bytes)) };
        let free = self.says.is_none();
        let same = slot.generation() == Generation(self.generation)
            && slot.is_free() == free
            && slot.capability() == self.says
            && slot.state() == self.state
            && slot.links() == self.links
            && (free || slot.watermark().is_none_or(|used| used == self.word))
            && (!free || slot.swept() == swept(self.word, self.count));
        assert!(same, "{self:?} was forged as {slot:?}");
        slot
    }
}

#[repr(C, align(64))]
struct Aligned([u8; 64]);

fn swept(word: u64, count: u64) -> (u32, u32) {
    let small = |word| u32::try_from(word).unwrap_or(u32::MAX);
    (small(word), small(count))
}

/// A forest that counts so many marks and whose dying tables begin there.
///
/// # Panics
///
/// As [`Fields::forge`].
#[must_use]
pub fn forest(marks: u32, dying: Option<SlotRef>) -> Forest {
    let words = [marks, dying.map_or(0, SlotRef::number)];
    // SAFETY: `Forest` is a count and an optional slot, eight bytes of which all are accepted; that they are in this order
    // is found right below.
    let forest = unsafe { core::mem::transmute::<[u32; 2], Forest>(words) };
    if (forest.marks(), forest.dying()) == (marks, dying) {
        return forest;
    }
    // SAFETY: the same the other way round.
    let forest = unsafe { core::mem::transmute::<[u32; 2], Forest>([words[1], words[0]]) };
    assert_eq!((forest.marks(), forest.dying()), (marks, dying));
    forest
}
