//! States that no operation leads to: slots written field by field.
//!
//! `caps` keeps the fields of a slot to itself, and has no need of a way to write them. But whether what must hold is
//! *inductive* can only be asked of every state in which it holds, however it came about; so this makes a slot of
//! the bytes that say it ([`layout`](crate::layout)), and then looks through the public accessors whether it says what was meant. It is the one place outside of
//! the kernel that uses `unsafe`.

use caps::{Forest, Generation, Slot, SlotRef};

use crate::layout::{Fields, WORDS};

impl Fields {
    /// The slot that holds this.
    ///
    /// # Panics
    ///
    /// If the slot does not say what was meant: then the layout of [`Slot`] has changed, and [`layout`](crate::layout) is to
    /// be changed too.
    #[must_use]
    pub fn forge(&self) -> Slot {
        // SAFETY: `Slot` is `repr(C)`, has 64 bytes, and every field accepts what was put there: numbers, bits, a kind by
        // its own number, and slot numbers of which 0 means none. What is in the wrong place is found right below.
        let slot = unsafe { core::mem::transmute::<Aligned, Slot>(Aligned(self.words())) };
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
struct Aligned([u64; WORDS]);

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
