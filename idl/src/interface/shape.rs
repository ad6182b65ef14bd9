//! What values consist of: the most that each can take as bytes, and its shape, by which a client and a server that
//! were built from different versions find out, and from which schemas are written.

use caps::Kind;

use super::Passing;
use crate::method::Field;

/// What a value consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing at all.
    Nothing,
    /// A number or a word, by the name of its type.
    Word(&'static str),
    /// Several words, each with its name.
    Words(&'static [Field]),
    /// Text of at most so many bytes.
    Text(usize),
    /// Elements, at most so many.
    List(&'static Shape, usize),
    /// Exactly so many elements.
    Array(&'static Shape, usize),
    /// A value or none.
    Optional(&'static Shape),
    /// Several values: the name of the type and what is in it.
    Record(&'static str, &'static [Part]),
    /// One of several: the name of the type and its variants.
    Choice(&'static str, &'static [Variant]),
    /// A capability: how it is passed, its kind, and the rights it must have.
    Capability(Passing, Kind, u16),
}

/// A field of a record, or an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name; empty if it has none.
    pub name: &'static str,
    /// What it consists of.
    pub shape: Shape,
}

/// A variant of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Its name.
    pub name: &'static str,
    /// Its number, as it travels.
    pub number: u64,
    /// What goes with it.
    pub parts: &'static [Part],
}

/// A value that can travel as bytes. `#[derive(idl::Value)]` makes it of a type whose fields have it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no known maximum size, so it cannot travel in a message",
    label = "of unknown size",
    note = "text and slices take `#[max(N)]` before the argument; for a type of your own, `#[derive(idl::Value)]`; \
            `heapless::String<N>` and `heapless::Vec<T, N>` have a size"
)]
pub trait Value {
    /// The most bytes that it takes.
    const MOST: usize;
    /// What it consists of.
    const SHAPE: Shape;
}

/// A value of unknown length, which `#[max(N)]` bounds.
#[diagnostic::on_unimplemented(
    message = "`#[max(N)]` bounds text and slices, and `{Self}` is neither",
    label = "not text, not a slice"
)]
pub trait Elements {
    /// The most bytes that each element takes.
    const EACH: usize;
    /// An element; none for text.
    const OF: Option<&'static Shape>;

    /// How many elements there are.
    fn count(&self) -> usize;
}

/// A value with at most so many elements.
#[derive(Debug)]
pub struct Most<T, const N: usize>(core::marker::PhantomData<T>);

impl<T: Elements, const N: usize> Value for Most<T, N> {
    const MOST: usize = length_bytes(N) + N * T::EACH;
    const SHAPE: Shape = match T::OF {
        Some(element) => Shape::List(element, N),
        None => Shape::Text(N),
    };
}

impl Elements for &str {
    const EACH: usize = 1;
    const OF: Option<&'static Shape> = None;

    fn count(&self) -> usize {
        self.len()
    }
}

impl<T: Value> Elements for &[T] {
    const EACH: usize = T::MOST;
    const OF: Option<&'static Shape> = Some(&T::SHAPE);

    fn count(&self) -> usize {
        self.len()
    }
}

/// The most bytes of a number up to this one: seven bits to a byte, which is how `postcard` writes lengths.
#[must_use]
pub const fn length_bytes(most: usize) -> usize {
    let bits = usize::BITS - most.leading_zeros();
    if bits == 0 { 1 } else { bits.div_ceil(7) as usize }
}

/// All of these sizes together.
#[must_use]
pub const fn sum(sizes: &[usize]) -> usize {
    let (mut index, mut sum) = (0, 0);
    while index < sizes.len() {
        sum += sizes[index];
        index += 1;
    }
    sum
}

/// The larger of two sizes, for `derive`.
#[must_use]
pub const fn larger(left: usize, right: usize) -> usize {
    if left > right { left } else { right }
}

macro_rules! numbers {
    ($($ty:ident $most:literal)*) => { $(
        impl Value for $ty {
            const MOST: usize = $most;
            const SHAPE: Shape = Shape::Word(stringify!($ty));
        }
    )* };
}

numbers!(bool 1 u8 1 i8 1 u16 3 i16 3 u32 5 i32 5 u64 10 i64 10 u128 19 i128 19);

impl Value for () {
    const MOST: usize = 0;
    const SHAPE: Shape = Shape::Nothing;
}

impl<T: Value> Value for Option<T> {
    const MOST: usize = 1 + T::MOST;
    const SHAPE: Shape = Shape::Optional(&T::SHAPE);
}

impl<T: Value, const N: usize> Value for [T; N] {
    const MOST: usize = N * T::MOST;
    const SHAPE: Shape = Shape::Array(&T::SHAPE, N);
}

impl<const N: usize> Value for heapless::String<N> {
    const MOST: usize = length_bytes(N) + N;
    const SHAPE: Shape = Shape::Text(N);
}

impl<T: Value, const N: usize> Value for heapless::Vec<T, N> {
    const MOST: usize = length_bytes(N) + N * T::MOST;
    const SHAPE: Shape = Shape::List(&T::SHAPE, N);
}

macro_rules! tuples {
    ($(($($name:ident)+))*) => { $(
        impl<$($name: Value),+> Value for ($($name,)+) {
            const MOST: usize = 0 $(+ $name::MOST)+;
            const SHAPE: Shape = Shape::Record("", &[$(Part { name: "", shape: $name::SHAPE }),+]);
        }
    )* };
}

tuples!((A)(A B)(A B C)(A B C D));

/// FNV-1a, going on from a hash.
#[must_use]
pub const fn mix(mut hash: u64, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        hash = mix_byte(hash, bytes[index]);
        index += 1;
    }
    // A byte that no text has keeps apart what is mixed one after the other.
    mix_byte(hash, 0xff)
}

const fn mix_byte(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3)
}

const fn mix_number(mut hash: u64, number: u64) -> u64 {
    let bytes = number.to_le_bytes();
    let mut index = 0;
    while index < bytes.len() {
        hash = mix_byte(hash, bytes[index]);
        index += 1;
    }
    hash
}

/// Mixes a shape into a hash.
#[must_use]
pub(super) const fn mix_shape(hash: u64, shape: &Shape) -> u64 {
    match shape {
        Shape::Nothing => mix(hash, "()"),
        Shape::Word(name) => mix(mix(hash, "word"), name),
        Shape::Words(fields) => {
            let mut hash = mix(hash, "words");
            let mut index = 0;
            while index < fields.len() {
                hash = mix(mix(hash, fields[index].name), fields[index].ty);
                index += 1;
            }
            hash
        }
        Shape::Text(most) => mix_number(mix(hash, "text"), *most as u64),
        Shape::List(of, most) => mix_number(mix_shape(mix(hash, "list"), of), *most as u64),
        Shape::Array(of, count) => mix_number(mix_shape(mix(hash, "array"), of), *count as u64),
        Shape::Optional(of) => mix_shape(mix(hash, "optional"), of),
        Shape::Record(name, parts) => mix_parts(mix(mix(hash, "record"), name), parts),
        Shape::Choice(name, variants) => {
            let mut hash = mix(mix(hash, "choice"), name);
            let mut index = 0;
            while index < variants.len() {
                let variant = &variants[index];
                hash = mix_parts(mix_number(mix(hash, variant.name), variant.number), variant.parts);
                index += 1;
            }
            hash
        }
        Shape::Capability(how, kind, rights) => {
            let how = match how {
                Passing::Lent => "lent",
                Passing::Moved => "moved",
            };
            mix_number(mix_number(mix(hash, how), *kind as u64), *rights as u64)
        }
    }
}

/// Mixes parts into a hash.
#[must_use]
pub(super) const fn mix_parts(mut hash: u64, parts: &[Part]) -> u64 {
    hash = mix_number(hash, parts.len() as u64);
    let mut index = 0;
    while index < parts.len() {
        hash = mix_shape(mix(hash, parts[index].name), &parts[index].shape);
        index += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_counted_as_postcard_writes_them() {
        for length in [0_usize, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
            let mut room = [0; 10];
            let used = postcard::to_slice(&(length as u64), &mut room).unwrap().len();
            assert_eq!(length_bytes(length), used, "{length}");
        }
    }

    #[test]
    fn sizes_are_the_most_there_can_be() {
        let mut room = [0; 4096];
        let mut size = |value: &dyn Fn(&mut [u8]) -> usize| value(&mut room);
        let text = heapless::String::<200>::try_from("x".repeat(200).as_str()).unwrap();
        assert_eq!(
            size(&|room| postcard::to_slice(&text, room).unwrap().len()),
            heapless::String::<200>::MOST
        );
        let list = (u64::MAX, Some([u32::MAX; 3]), i16::MIN, true);
        let most = <(u64, Option<[u32; 3]>, i16, bool)>::MOST;
        assert_eq!(size(&|room| postcard::to_slice(&list, room).unwrap().len()), most);
    }

    #[test]
    fn shapes_that_differ_hash_otherwise() {
        let shapes = [
            Shape::Nothing,
            Shape::Text(3),
            Shape::Text(4),
            Shape::List(&Shape::Word("u8"), 3),
            Shape::Array(&Shape::Word("u8"), 3),
            Shape::Record("A", &[Part { name: "a", shape: Shape::Word("u8") }]),
            Shape::Record("A", &[Part { name: "b", shape: Shape::Word("u8") }]),
            Shape::Capability(Passing::Lent, Kind::Region, 1),
            Shape::Capability(Passing::Moved, Kind::Region, 1),
            Shape::Capability(Passing::Moved, Kind::Region, 3),
        ];
        let mut hashes: std::vec::Vec<u64> = shapes.iter().map(|shape| mix_shape(7, shape)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), shapes.len());
    }
}
