//! The code under test: a forest of `caps` over slots in a vector, which also count how often they are touched.

use std::cell::Cell;

use caps::bounds::CHUNK;
use caps::{Effect, Effects, Forest, Reset, Slot, SlotIndex, SlotRef, Slots};

use crate::operation::{Answer, Operation, Outcome};

/// Memory as slots: the slot with number `n` is the 64 bytes at address `64 n`. It is an array, and behind that there may
/// be a few slots at the beginning of each chunk of 2 MiB.
#[derive(Clone, Debug)]
pub struct Memory {
    slots: Vec<Slot>,
    /// How many slots there are from number 0, and then at the beginning of each chunk.
    low: u32,
    each: u32,
    /// One bit for each slot that was ever written to: most of a large memory never is, and need not be looked at.
    written: Vec<u64>,
    /// The slots written to since somebody asked, perhaps more than once.
    journal: Vec<SlotRef>,
    touched: Cell<u64>,
}

impl Memory {
    /// This many cleared slots.
    #[must_use]
    pub fn new(slots: u32) -> Self {
        Self::spread(slots, 0, 0)
    }

    /// This many cleared slots from address 0, and so many at the beginning of each of so many chunks but the first.
    #[must_use]
    pub fn spread(low: u32, chunks: u32, each: u32) -> Self {
        let count = (low + chunks * each) as usize;
        Self {
            slots: vec![Slot::FREE; count],
            low,
            each,
            written: vec![0; count.div_ceil(64)],
            journal: Vec::new(),
            touched: Cell::new(0),
        }
    }

    /// Puts a slot there as it is.
    pub fn set(&mut self, at: SlotRef, slot: Slot) {
        *self.write(at) = slot;
    }

    /// How many slots there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How often slots were touched so far.
    #[must_use]
    pub fn touched(&self) -> u64 {
        self.touched.get()
    }

    /// All slots that were ever written to: any other is [`Slot::FREE`].
    pub fn written(&self) -> impl Iterator<Item = (SlotRef, &Slot)> {
        (0_u32..).step_by(64).zip(&self.written).flat_map(|(first, &word)| {
            std::iter::successors(Some(word), |word| Some(word & word.wrapping_sub(1)))
                .take_while(|&word| word != 0)
                .map(move |word| first + word.trailing_zeros())
                .filter_map(|index| Some((SlotRef::new(self.number(index))?, &self.slots[index as usize])))
        })
    }

    /// All slots that hold a capability.
    pub fn occupied(&self) -> impl Iterator<Item = (SlotRef, &Slot)> {
        self.written().filter(|(_, slot)| !slot.is_free())
    }

    /// The slots that were written to since the journal was last emptied.
    #[must_use]
    pub fn journal(&self) -> &[SlotRef] {
        &self.journal
    }

    /// Empties the journal.
    pub fn forget_journal(&mut self) {
        self.journal.clear();
    }

    /// The slot there, without counting it as touched.
    #[must_use]
    pub fn peek(&self, at: SlotRef) -> &Slot {
        &self.slots[self.index(at)]
    }

    fn index(&self, at: SlotRef) -> usize {
        let (chunk, inside) = (at.number() / CHUNK_SLOTS, at.number() % CHUNK_SLOTS);
        if at.number() < self.low {
            return at.number() as usize;
        }
        assert!(inside < self.each, "there is no memory for {at:?}");
        (self.low + (chunk - 1) * self.each + inside) as usize
    }

    fn number(&self, index: u32) -> u32 {
        match index.checked_sub(self.low) {
            None => index,
            Some(behind) => (1 + behind / self.each) * CHUNK_SLOTS + behind % self.each,
        }
    }

    fn write(&mut self, at: SlotRef) -> &mut Slot {
        let index = self.index(at);
        self.written[index / 64] |= 1 << (index % 64);
        self.journal.push(at);
        &mut self.slots[index]
    }
}

impl Slots for Memory {
    fn slot(&self, at: SlotRef) -> &Slot {
        self.touched.set(self.touched.get() + 1);
        self.peek(at)
    }

    fn slot_mut(&mut self, at: SlotRef) -> &mut Slot {
        self.touched.set(self.touched.get() + 1);
        self.write(at)
    }
}

/// How many slots a chunk has.
#[allow(clippy::cast_possible_truncation, reason = "it is 32768")]
const CHUNK_SLOTS: u32 = (CHUNK / Slot::SIZE) as u32;

/// A forest with its memory.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The state that is not in slots.
    pub forest: Forest,
    /// The slots.
    pub memory: Memory,
}

impl Subject {
    /// An empty forest over cleared memory.
    #[must_use]
    pub fn new(slots: u32) -> Self {
        Self { forest: Forest::new(), memory: Memory::new(slots) }
    }

    /// Makes this what `other` is, given that it was what `other` was when its journal was last emptied.
    pub fn follow(&mut self, other: &mut Self) {
        self.forest = other.forest.clone();
        for &at in other.memory.journal() {
            self.memory.set(at, other.memory.peek(at).clone());
        }
        self.memory.forget_journal();
        other.memory.forget_journal();
    }

    /// Carries an operation out; what is to be done in consequence is appended to `effects`.
    pub fn perform(&mut self, operation: &Operation, effects: &mut Vec<Effect>) -> Outcome {
        let mut batch = Effects::new();
        let outcome = self.dispatch(operation, &mut batch);
        effects.extend(batch.iter().copied());
        outcome
    }

    fn dispatch(&mut self, operation: &Operation, effects: &mut Effects) -> Outcome {
        let Self { forest, memory } = self;
        match *operation {
            Operation::Plant { dest, capability } => {
                forest.plant(memory, dest, capability).map(|()| Answer::Unit)
            }
            Operation::Lookup { table, handle, kind, rights } => forest
                .lookup(memory, table, handle, kind, rights)
                .map(|found| Answer::Found(found.slot, found.capability)),
            Operation::Locate { table, handle } => {
                forest.locate(memory, table, handle).map(|found| Answer::Found(found.slot, found.capability))
            }
            Operation::Vacant { table, index } => table.vacant(memory, SlotIndex(index)).map(Answer::Slot),
            Operation::Derive { parent, dest, change } => forest
                .check_derive(memory, parent, dest, change)
                .map(|child| Answer::Capability(forest.grow(memory, child))),
            Operation::Replace { parent, dest } => {
                forest.check_replace(memory, parent, dest).map(|_| Answer::Unit)
            }
            Operation::Retype { untyped, dest, kind, bytes, align } => {
                let child = forest.check_retype(memory, untyped, dest, kind, bytes, align);
                child.map(|child| Answer::Capability(forest.grow(memory, child)))
            }
            Operation::Bind { region, space, dest, number } => {
                let child = forest.check_bind(memory, region, space, dest, number);
                child.map(|child| Answer::Capability(forest.grow(memory, child)))
            }
            Operation::Move { source, dest } => forest
                .check_move(memory, source, dest)
                .map(|passage| Answer::Capability(forest.pass(memory, passage))),
            Operation::Lock { source } => forest.lock(memory, source).map(Answer::Ticket),
            Operation::Unlock { ticket } => {
                forest.unlock(memory, ticket);
                Ok(Answer::Unit)
            }
            Operation::Land { ticket, dest } => forest.land(memory, ticket, dest).map(Answer::Capability),
            Operation::Watch { at } => forest.watch(memory, at).map(|()| Answer::Unit),
            Operation::MarkRevoking { root } => forest.mark_revoking(memory, root).map(|()| Answer::Unit),
            Operation::RevokeStep { root, budget } => {
                forest.revoke_step(memory, root, budget, effects).map(Answer::Step)
            }
            Operation::DeleteStep { at, budget } => {
                forest.delete_step(memory, at, budget, effects).map(Answer::Step)
            }
            Operation::SweepStep { budget } => Ok(Answer::Step(forest.sweep_step(memory, budget, effects))),
            Operation::ResetBegin { untyped } => forest.reset_begin(memory, untyped).map(|()| Answer::Unit),
            Operation::ResetStep { untyped, budget } => {
                forest.reset_step(memory, untyped, budget, effects).map(Answer::Reset)
            }
            Operation::ResetCleared { untyped, bytes } => {
                self.clear(untyped, bytes);
                self.forest.reset_cleared(&mut self.memory, untyped, bytes).map(Answer::Reset)
            }
        }
    }

    /// What the kernel does before it says that memory was cleared: it clears the last bytes of the range that
    /// it was told, if it was told one.
    fn clear(&mut self, untyped: SlotRef, bytes: u64) {
        let mut effects = Effects::new();
        let asked = self.forest.clone().reset_step(&mut self.memory.clone(), untyped, 0, &mut effects);
        let Ok(Reset::Clear(used)) = asked else { return };
        if bytes > used.bytes {
            return;
        }
        let end = used.start + used.bytes;
        let cleared = |(at, _): &(SlotRef, &Slot)| (end - bytes..end).contains(&at.address());
        let dirty: Vec<SlotRef> = self.memory.written().filter(cleared).map(|(at, _)| at).collect();
        for at in dirty {
            self.memory.set(at, Slot::FREE);
        }
    }
}
