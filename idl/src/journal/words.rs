//! How the values of the model become words, and words values again.

use core::num::NonZeroU64;

use super::Answer;
use caps::ledger::{
    ChunkId, CoreId, Holder, LedgerChange, Life, LotEntry, LotId, LotRole, Phase, Resource, SubOsId, Window,
};
use caps::{
    Capability, Change, Effect, Error, Found, Generation, Handle, InFlight, Kind, Reset, Rights, SlotRef,
    Step, Table, Used,
};

/// What can be written into a journal.
pub trait Journaled: Sized {
    /// Gives its words, in order.
    fn write(&self, to: &mut dyn FnMut(u64));

    /// Takes as many words as it gives; `None` if they are not its words.
    fn read(from: &mut Reader<'_>) -> Option<Self>;
}

/// Words that are read one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u64]);

impl<'a> Reader<'a> {
    /// The next word.
    pub fn word(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next value.
    pub fn value<T: Journaled>(&mut self) -> Option<T> {
        T::read(self)
    }

    /// How many things follow, and then that many.
    pub fn each<T: Journaled>(&mut self, mut take: impl FnMut(T)) -> Option<()> {
        for _ in 0..self.word()? {
            take(self.value()?);
        }
        Some(())
    }

    /// The next so many words.
    pub fn words(&mut self, count: usize) -> Option<&'a [u64]> {
        let (first, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(first)
    }
}

/// Any number of values: how many, and each. Written only; [`Reader::each`] reads.
#[derive(Clone, Copy, Debug)]
pub struct Tail<'a, T>(pub &'a [T]);

impl<T: Journaled> Tail<'_, T> {
    /// Gives its words, in order.
    pub fn write(&self, to: &mut dyn FnMut(u64)) {
        to(self.0.len() as u64);
        self.0.iter().for_each(|value| value.write(to));
    }
}

/// A value whose words are those of its fields.
macro_rules! fields {
    ($($name:ident { $($field:ident),+ })+) => { $(
        impl Journaled for $name {
            fn write(&self, to: &mut dyn FnMut(u64)) {
                $(self.$field.write(to);)+
            }
            fn read(from: &mut Reader<'_>) -> Option<Self> {
                $(let $field = from.value()?;)+
                Some(Self { $($field),+ })
            }
        }
    )+ };
}

/// A value that is one of several: a number, and the words of the fields that this one has.
macro_rules! choices {
    ($($name:ident { $($number:literal = $choice:ident $(( $($inner:ident),+ ))? $({ $($field:ident),+ })?),+ $(,)? })+) => { $(
        impl Journaled for $name {
            fn write(&self, to: &mut dyn FnMut(u64)) {
                match self { $(
                    Self::$choice $(($($inner),+))? $({ $($field),+ })? => {
                        to($number);
                        $($($inner.write(to);)+)? $($($field.write(to);)+)?
                    }
                )+ }
            }
            fn read(from: &mut Reader<'_>) -> Option<Self> {
                match from.word()? {
                    $($number => {
                        $($(let $inner = from.value()?;)+)? $($(let $field = from.value()?;)+)?
                        Some(Self::$choice $(($($inner),+))? $({ $($field),+ })?)
                    })+
                    _ => None,
                }
            }
        }
    )+ };
}

/// A value that is a number.
macro_rules! numbers {
    ($($name:ty: $to:expr, $from:expr;)+) => { $(
        impl Journaled for $name {
            fn write(&self, to: &mut dyn FnMut(u64)) {
                let number: fn(&Self) -> u64 = $to;
                to(number(self));
            }
            fn read(from: &mut Reader<'_>) -> Option<Self> {
                let value: fn(u64) -> Option<Self> = $from;
                value(from.word()?)
            }
        }
    )+ };
}

numbers! {
    u64: |it| *it, Some;
    u32: |it| u64::from(*it), |word| u32::try_from(word).ok();
    u16: |it| u64::from(*it), |word| u16::try_from(word).ok();
    u8: |it| u64::from(*it), |word| u8::try_from(word).ok();
    usize: |it| *it as u64, |word| usize::try_from(word).ok();
    NonZeroU64: |it| it.get(), NonZeroU64::new;
    Handle: |it| it.0, |word| Some(Handle(word));
    SlotRef: |it| u64::from(it.number()), |word| u32::try_from(word).ok().and_then(SlotRef::new);
    Generation: |it| u64::from(it.0), |word| u32::try_from(word).ok().map(Generation);
    Kind: |it| u64::from(it.number()), |word| u8::try_from(word).ok().and_then(Kind::from_number);
    Rights: |it| u64::from(it.bits()), |word| u16::try_from(word).ok().and_then(Rights::from_bits);
    Error: |it| u64::from(it.number()), |word| u16::try_from(word).ok().and_then(Error::from_number);
    CoreId: |it| u64::from(it.0), |word| u8::try_from(word).ok().map(CoreId);
    ChunkId: |it| u64::from(it.0), |word| u32::try_from(word).ok().map(ChunkId);
}

fields! {
    Table { first, count }
    Capability { kind, rights, badge, object, size, space, number }
    Found { slot, generation, capability }
    Change { rights, badge, part }
    InFlight { slot, generation }
    Used { start, bytes }
    SubOsId { index, generation }
    LotId { index, generation }
    LotEntry { generation, first, count, seat, holder, window }
    Answer { thread, op, result, first }
}

choices! {
    Step { 0 = More, 1 = Done }
    Reset { 0 = Removing, 1 = Clear(used), 2 = Done }
    Effect {
        0 = Destroy { kind, object, size, badge },
        1 = Unbadge { object, badge },
        2 = Unbind { space, number, object, size },
        3 = Lost { slot, capability },
    }
    Phase { 0 = Revoking, 1 = Quiescing, 2 = Scrubbing }
    Life { 0 = Absent, 1 = Alive, 2 = Dying }
    LotRole { 0 = Home, 1 = Extra, 2 = Window }
    Window { 0 = None, 1 = Alone, 2 = Shared(lot), 3 = Spoilt }
    Resource { 0 = Core(core), 1 = Lot(lot) }
    Holder { 0 = Reserved, 1 = Pool, 2 = SubOs(subos), 3 = Leaving(subos, phase), 4 = Quarantined }
    LedgerChange {
        0 = GrantCore { core, to },
        1 = GrantLot { chunks, to, role },
        2 = Reclaim { resource, from },
        3 = Share { lot, with },
    }
}

impl Journaled for () {
    fn write(&self, _: &mut dyn FnMut(u64)) {}
    fn read(_: &mut Reader<'_>) -> Option<Self> {
        Some(())
    }
}

impl<T: Journaled> Journaled for Option<T> {
    fn write(&self, to: &mut dyn FnMut(u64)) {
        to(u64::from(self.is_some()));
        if let Some(value) = self {
            value.write(to);
        }
    }
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        match from.word()? {
            0 => Some(None),
            1 => from.value().map(Some),
            _ => None,
        }
    }
}

impl<T: Journaled, E: Journaled> Journaled for Result<T, E> {
    fn write(&self, to: &mut dyn FnMut(u64)) {
        to(u64::from(self.is_err()));
        match self {
            Ok(value) => value.write(to),
            Err(error) => error.write(to),
        }
    }
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        match from.word()? {
            0 => from.value().map(Ok),
            1 => from.value().map(Err),
            _ => None,
        }
    }
}

macro_rules! tuples {
    ($(($($name:ident),+))+) => { $(
        #[allow(non_snake_case, reason = "a type's name is its value's")]
        impl<$($name: Journaled),+> Journaled for ($($name,)+) {
            fn write(&self, to: &mut dyn FnMut(u64)) {
                let ($($name,)+) = self;
                $($name.write(to);)+
            }
            fn read(from: &mut Reader<'_>) -> Option<Self> {
                Some(($(from.value::<$name>()?,)+))
            }
        }
    )+ };
}

tuples! { (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) }

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn same<T: Journaled + PartialEq + core::fmt::Debug>(value: T) {
        let mut words = Vec::new();
        value.write(&mut |word| words.push(word));
        let mut reader = Reader(&words);
        assert_eq!(reader.value::<T>().as_ref(), Some(&value));
        assert!(reader.0.is_empty(), "{value:?} left {:?}", reader.0);
        for short in 0..words.len() {
            assert_eq!(Reader(&words[..short]).value::<T>(), None, "{short} words are no {value:?}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let slot = SlotRef::new(9).expect("not 0");
        let capability = Capability {
            badge: 7,
            space: 64,
            number: 3,
            ..Capability::new(Kind::Binding, Rights::all(), 1 << 40, 4096)
        };
        let subos = SubOsId { index: 3, generation: 9 };
        same(Change { rights: Rights::READ, badge: NonZeroU64::new(5), part: Some((4096, 8192)) });
        same(Err::<Found, Error>(Error::BeingRevoked));
        same(Ok::<Found, Error>(Found { slot, generation: Generation(2), capability }));
        same((slot, Table { first: slot, count: 4 }, InFlight { slot, generation: Generation::LAST }));
        for effect in [
            Effect::Destroy { kind: Kind::Thread, object: 1, size: 2, badge: 3 },
            Effect::Unbadge { object: 1, badge: 2 },
            Effect::Unbind { space: 1, number: 2, object: 3, size: 4 },
            Effect::Lost { slot, capability },
        ] {
            same(effect);
        }
        same(Reset::Clear(Used { start: 4096, bytes: 64 }));
        same((Step::More, Step::Done, Reset::Removing, Reset::Done));
        for phase in [Phase::Revoking, Phase::Quiescing, Phase::Scrubbing] {
            same(Holder::Leaving(subos, phase));
        }
        same((Holder::Reserved, Holder::Pool, Holder::SubOs(subos), Holder::Quarantined));
        let resource = Resource::Lot(LotId { index: 4, generation: 1 });
        same(LedgerChange::Reclaim { resource, from: subos });
        same(LedgerChange::GrantLot { chunks: 3, to: subos, role: LotRole::Home });
        same(LedgerChange::GrantCore { core: CoreId(2), to: subos });
        same(Err::<(), (usize, Error)>((3, Error::NoResource)));
        same(Answer { thread: 1, op: 2, result: 3, first: 4 });
        let window = Window::Shared(5);
        same(LotEntry { generation: 1, first: 2, count: 3, seat: 4, holder: Holder::SubOs(subos), window });
        same(LedgerChange::Share { lot: LotId { index: 4, generation: 1 }, with: subos });
    }

    #[test]
    fn other_words_are_nothing() {
        assert_eq!(Reader(&[3]).value::<Reset>(), None);
        assert_eq!(Reader(&[99]).value::<Kind>(), None);
        assert_eq!(Reader(&[1 << 15]).value::<Rights>(), None);
        assert_eq!(Reader(&[2, 0]).value::<Option<u64>>(), None);
        assert_eq!(Reader(&[0]).value::<SlotRef>(), None);
    }
}
