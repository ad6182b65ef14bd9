//! The forest of a kernel that keeps the journal.

use core::num::NonZeroU64;
use core::ops::Deref;

use caps::{
    Capability, Change, Child, Effect, Effects, Error, Found, Handle, InFlight, Kind, Origin, Passage, Reset,
    Rights, Slot, SlotRef, Slots, Step, Table,
};
use idl::abi::{OpWord, ResultWord};
use idl::journal::{Answer, Code, Journaled, SLOT_WORDS, Tail};

use super::log;
use super::mutant::Mutant;
use crate::limits::PAGE;
use crate::memory::{Memory, Ref};
use crate::object::thread::Thread;
use crate::outcome::Outcome;
use crate::types::PhysAddr;

/// How many slots one operation may write: some eight for each of the sixteen capabilities that a step removes.
const MOST_SLOTS: usize = 256;

/// The slots that an operation wrote, or could have.
type Written = heapless::Vec<SlotRef, MOST_SLOTS>;

/// A forest that writes down what is done to it. To look at it, use it as the forest of the model.
#[derive(Default)]
pub struct Forest {
    forest: caps::Forest,
    /// Which of all kernels since boot; 0 before the first operation.
    kernel: u16,
    mutant: Option<Mutant>,
}

/// From now on the forest does this wrong.
///
/// # Errors
/// `InvalidArgument`.
pub fn mutate(forest: &mut Forest, number: u64) -> Result<(), Error> {
    forest.mutant = Some(Mutant::numbered(number)?);
    Ok(())
}

/// So many are woken at most in one go.
pub fn bound(forest: &Forest, budget: u32) -> u32 {
    if forest.mutant == Some(Mutant::EndlessDrain) { u32::MAX } else { budget }
}

/// Whether signals arrive at a thread that receives.
pub fn arrive(forest: &Forest) -> bool {
    forest.mutant != Some(Mutant::DroppedSignal)
}

/// Writes down what a system call was answered, if it was at once.
pub fn answered(forest: &Forest, thread: Ref<Thread>, op: OpWord, result: &Result<Outcome, Error>) {
    let (result, first) = match result {
        Ok(Outcome::Answered(answer, _)) => {
            let wrong = u64::from(forest.mutant == Some(Mutant::FalseAnswer));
            (ResultWord::OK, answer.words[0] ^ wrong)
        }
        Ok(Outcome::Ended(Ok(()))) => (ResultWord::OK, 0),
        Ok(Outcome::Deferred(_) | Outcome::Visit(_)) => return,
        Ok(Outcome::Ended(Err(error))) | Err(error) => (ResultWord::error(*error), 0),
    };
    let answer = Answer { thread: thread.number(), op: op.0, result: result.0, first };
    log::append(Code::Answer, forest.kernel, &|to| answer.write(to));
}

impl Deref for Forest {
    type Target = caps::Forest;

    fn deref(&self) -> &caps::Forest {
        &self.forest
    }
}

/// The memory during one operation.
struct Watched<'a> {
    memory: &'a mut Memory,
    written: &'a mut Written,
}

impl Slots for Watched<'_> {
    fn slot(&self, at: SlotRef) -> &Slot {
        self.memory.slot(at)
    }

    fn slot_mut(&mut self, at: SlotRef) -> &mut Slot {
        if !self.written.contains(&at) && self.written.push(at).is_err() {
            log::crowded();
        }
        self.memory.slot_mut(at)
    }
}

/// The operations that change something and answer at once.
macro_rules! operations {
    ($($(#[doc = $doc:literal])+ $code:ident $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => { $(
        $(#[doc = $doc])+
        pub fn $name(&mut self, memory: &mut Memory, $($argument: $type),*) -> $answer {
            self.change(Code::$code, &($($argument,)*), memory, |forest, slots| {
                forest.$name(slots, $($argument),*)
            })
        }
    )+ };
}

/// The operations that go by steps and have effects.
macro_rules! steps {
    ($($(#[doc = $doc:literal])+ $code:ident $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => { $(
        $(#[doc = $doc])+
        pub fn $name(
            &mut self,
            memory: &mut Memory,
            $($argument: $type,)*
            effects: &mut Effects,
        ) -> $answer {
            self.step(Code::$code, &($($argument,)*), memory, effects, |forest, slots, effects| {
                forest.$name(slots, $($argument,)* effects)
            })
        }
    )+ };
}

/// The checks of what is then carried out by [`Forest::grow`], [`Forest::pass`] or a step: a refusal is written down as the
/// operation that was asked for; what may be done is written down when it is done.
macro_rules! checks {
    ($($(#[doc = $doc:literal])+ $code:ident $name:ident($($argument:ident: $type:ty),*) -> $plan:ty;)+) => { $(
        $(#[doc = $doc])+
        pub fn $name(&self, memory: &Memory, $($argument: $type),*) -> Result<$plan, Error> {
            let plan = self.forest.$name(memory, $($argument),*);
            if let Err(error) = &plan {
                self.note(Code::$code, &($($argument,)*), &Err::<(), Error>(*error));
            }
            plan
        }
    )+ };
}

impl Forest {
    checks! {
        /// As in the model; errors too.
        Derive check_derive(parent: SlotRef, dest: SlotRef, change: Change) -> Child;
        /// As in the model; errors too.
        Replace check_replace(parent: SlotRef, dest: SlotRef) -> Child;
        /// As in the model; errors too.
        Retype check_retype(untyped: SlotRef, dest: SlotRef, kind: Kind, bytes: u64, align: u64) -> Child;
        /// As in the model; errors too.
        Bind check_bind(region: SlotRef, space: SlotRef, dest: SlotRef, number: u16) -> Child;
        /// As in the model; errors too.
        Move check_move(source: SlotRef, dest: SlotRef) -> Passage;
        /// As in the model; errors too.
        ResetBegin check_reset(untyped: SlotRef) -> SlotRef;
    }

    operations! {
        /// As in the model; errors too.
        Plant plant(dest: SlotRef, capability: Capability) -> Result<(), Error>;
        /// As in the model; errors too.
        Lock lock(source: SlotRef) -> Result<InFlight, Error>;
        /// As in the model.
        Unlock unlock(ticket: InFlight) -> ();
        /// As in the model; errors too.
        Land land(ticket: InFlight, dest: SlotRef) -> Result<Capability, Error>;
        /// As in the model; errors too.
        Watch watch(at: SlotRef) -> Result<(), Error>;
        /// As in the model; errors too.
        MarkRevoking mark_revoking(root: SlotRef) -> Result<(), Error>;
        /// As in the model; errors too.
        ResetBegin reset_begin(untyped: SlotRef) -> Result<(), Error>;
        /// As in the model; errors too.
        ResetCleared reset_cleared(untyped: SlotRef, bytes: u64) -> Result<Reset, Error>;
    }

    steps! {
        /// As in the model; errors too.
        DeleteStep delete_step(at: SlotRef, budget: u32) -> Result<Step, Error>;
        /// As in the model.
        SweepStep sweep_step(budget: u32) -> Step;
        /// As in the model; errors too.
        ResetStep reset_step(untyped: SlotRef, budget: u32) -> Result<Reset, Error>;
    }

    /// An empty forest.
    #[must_use]
    pub const fn new() -> Self {
        Self { forest: caps::Forest::new(), kernel: 0, mutant: None }
    }

    /// As in the model; errors too.
    pub fn lookup(
        &self,
        memory: &Memory,
        table: Table,
        handle: Handle,
        kind: Kind,
        rights: Rights,
    ) -> Result<Found, Error> {
        let looked_for = if self.mutant == Some(Mutant::BlindToRights) { Rights::empty() } else { rights };
        let found = self.forest.lookup(memory, table, handle, kind, looked_for);
        self.note(Code::Lookup, &(table, handle, kind, rights), &found);
        found
    }

    /// As in the model; errors too.
    pub fn lookup_any(&self, memory: &Memory, table: Table, handle: Handle) -> Result<Found, Error> {
        let found = self.forest.lookup_any(memory, table, handle);
        self.note(Code::LookupAny, &(table, handle), &found);
        found
    }

    /// As in the model; errors too.
    pub fn locate(&self, memory: &Memory, table: Table, handle: Handle) -> Result<Found, Error> {
        let found = self.forest.locate(memory, table, handle);
        self.note(Code::Locate, &(table, handle), &found);
        found
    }

    /// As in the model. It is written down as what was asked for, checked and done in one.
    pub fn grow(&mut self, memory: &mut Memory, child: Child) -> Capability {
        let (dest, (parent, says, origin)) = (child.dest(), child.says());
        let answer: Result<Capability, Error> = match origin {
            Origin::Copy => return self.copy(memory, child),
            Origin::Made { .. } => {
                // The memory begins at the first place of this alignment.
                let align = 1_u64 << says.object.trailing_zeros();
                let asked = (parent, dest, says.kind, says.bytes(), align);
                self.change(Code::Retype, &asked, memory, |forest, slots| Ok(forest.grow(slots, child)))
            }
            Origin::Bound { space } => {
                let asked = (parent, space, dest, says.number);
                self.change(Code::Bind, &asked, memory, |forest, slots| Ok(forest.grow(slots, child)))
            }
        };
        answer.unwrap_or(says)
    }

    fn copy(&mut self, memory: &mut Memory, child: Child) -> Capability {
        let (dest, (parent, says, _)) = (child.dest(), child.says());
        let above = memory.slot(parent).capability().unwrap_or(says);
        let badge =
            NonZeroU64::new(says.badge).filter(|badge| badge.get() != above.badge && says.kind.is_mintable());
        let part = (says.object, says.size) != (above.object, above.size);
        let part = part.then(|| (says.object - above.object, says.size));
        let change = Change { rights: says.rights, badge, part };
        let greedy = Change { rights: above.rights, ..change };
        let made = match self.forest.check_derive(memory, parent, dest, greedy) {
            Ok(greedy) if self.mutant == Some(Mutant::GreedyCopy) => greedy,
            _ => child,
        };
        let answer: Result<Capability, Error> =
            self.change(Code::Derive, &(parent, dest, change), memory, |forest, slots| {
                Ok(forest.grow(slots, made))
            });
        if self.mutant == Some(Mutant::StrayWrite) {
            memory.write_words(page_of(dest), word_of(dest) + SLOT_WORDS - 2, &[0x0bad]);
        }
        answer.unwrap_or(says)
    }

    /// As in the model. It is written down as a move that was asked for, checked and done in one.
    pub fn pass(&mut self, memory: &mut Memory, passage: Passage) -> Capability {
        let says = memory.slot(passage.ends().0).capability();
        let ends = passage.ends();
        let answer: Result<Capability, Error> =
            self.change(Code::Move, &ends, memory, |forest, slots| Ok(forest.pass(slots, passage)));
        answer.ok().or(says).unwrap_or(Capability::new(Kind::Empty, Rights::empty(), 0, 0))
    }

    /// As in the model; errors too.
    pub fn revoke_step(
        &mut self,
        memory: &mut Memory,
        root: SlotRef,
        budget: u32,
        effects: &mut Effects,
    ) -> Result<Step, Error> {
        let at_once = self.mutant == Some(Mutant::EarlyDone);
        self.step(Code::RevokeStep, &(root, budget), memory, effects, |forest, slots, effects| {
            if at_once { Ok(Step::Done) } else { forest.revoke_step(slots, root, budget, effects) }
        })
    }

    /// Writes down a question.
    fn note(&self, code: Code, asked: &impl Journaled, answer: &impl Journaled) {
        log::append(code, self.kernel, &|to| {
            asked.write(to);
            answer.write(to);
            // No effects, no slots.
            to(0);
            to(0);
        });
    }

    /// Carries out a change and writes it down.
    fn change<R: Journaled>(
        &mut self,
        code: Code,
        asked: &impl Journaled,
        memory: &mut Memory,
        carry_out: impl FnOnce(&mut caps::Forest, &mut Watched<'_>) -> R,
    ) -> R {
        self.step(code, asked, memory, &mut Effects::new(), |forest, slots, _| carry_out(forest, slots))
    }

    /// Carries out a step and writes it down, with the effects that it added.
    fn step<R: Journaled>(
        &mut self,
        code: Code,
        asked: &impl Journaled,
        memory: &mut Memory,
        effects: &mut Effects,
        carry_out: impl FnOnce(&mut caps::Forest, &mut Watched<'_>, &mut Effects) -> R,
    ) -> R {
        if self.kernel == 0 {
            self.kernel = log::next_kernel();
        }
        let before = effects.len();
        let mut written = Written::new();
        let answer = carry_out(&mut self.forest, &mut Watched { memory, written: &mut written }, effects);
        if self.mutant == Some(Mutant::LostEffect) && effects.len() > before {
            let _ = effects.pop();
        }
        let added: &[Effect] = effects.get(before..).unwrap_or_default();
        log::append(code, self.kernel, &|to| {
            asked.write(to);
            answer.write(to);
            Tail(added).write(to);
            to(written.len() as u64);
            for &slot in &written {
                slot.write(to);
                words_of(memory, slot).into_iter().for_each(&mut *to);
            }
        });
        answer
    }
}

/// The bytes of a slot.
fn words_of(memory: &Memory, slot: SlotRef) -> [u64; SLOT_WORDS] {
    let mut words = [0; SLOT_WORDS];
    memory.read_words(page_of(slot), word_of(slot), &mut words);
    words
}

/// The page in which a slot lies.
const fn page_of(slot: SlotRef) -> PhysAddr {
    PhysAddr(slot.address() & !(PAGE - 1))
}

/// The word of that page at which it begins.
fn word_of(slot: SlotRef) -> usize {
    usize::try_from(slot.address() % PAGE / 8).unwrap_or(0)
}
