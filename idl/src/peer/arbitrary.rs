//! Values of any shape, from a seed.

use std::vec::Vec;

use caps::{Handle, Rights};

use crate::interface::{Method, Part, Passed, Passing, Shape, Variant};

/// Numbers from a seed: xorshift64*, which is short and good enough to try things.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Self(seed ^ 0x9e37_79b9_7f4a_7c15 | 1)
    }

    pub(super) const fn word(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Less than `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.word() % bound.max(1) as u64).unwrap_or(0)
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// A number up to `most`, and often one at an edge.
    pub(super) fn length(&mut self, most: usize) -> usize {
        match self.below(4) {
            0 => 0,
            1 => most,
            _ => self.below(most + 1),
        }
    }

    /// A word of at most so many bits, and often one at an edge.
    fn number(&mut self, bits: u32) -> u64 {
        let most = u64::MAX >> (64 - bits.clamp(1, 64));
        match self.below(5) {
            0 => 0,
            1 => most,
            2 => self.word() & most & 0xff,
            _ => self.word() & most,
        }
    }
}

/// The words of a well-formed request, without a deadline.
pub(super) fn words(dice: &mut Dice, method: &Method) -> Vec<u64> {
    let values = method.arguments.iter().filter(|part| !matches!(part.shape, Shape::Capability(..)));
    if method.form == crate::interface::Form::Words {
        return values.map(|part| word(dice, &part.shape)).collect();
    }
    let mut bytes = Vec::new();
    let mut any = false;
    for part in values {
        encode(dice, &part.shape, &mut bytes);
        any = true;
    }
    if any { framed(&bytes) } else { Vec::new() }
}

/// The capabilities that a method asks for.
pub(super) fn capabilities(dice: &mut Dice, method: &Method) -> Vec<Passed> {
    let mut passed = Vec::new();
    for Part { shape, .. } in method.arguments {
        if let Shape::Capability(_, kind, rights) = *shape {
            let handle = Handle(1 + dice.word() % 1000);
            let rights = Rights::from_bits_truncate(rights);
            passed.push(Passed { handle, passing: Passing::Moved, kind, rights });
        }
    }
    passed
}

/// Bytes as they travel: their number, then eight to a word.
pub(super) fn framed(bytes: &[u8]) -> Vec<u64> {
    let mut words = std::vec![bytes.len() as u64];
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        words.push(u64::from_le_bytes(word));
    }
    words
}

/// How many bits a number of this type has; nothing if its name does not say.
pub(super) fn bits_of(name: &str) -> Option<u32> {
    match name {
        "bool" => Some(1),
        "u8" | "i8" => Some(8),
        "u16" | "i16" => Some(16),
        "u32" | "i32" => Some(32),
        "u64" | "i64" | "u128" | "i128" => Some(64),
        _ => None,
    }
}

/// A word in a register. Of a type that says nothing about itself, a small one.
fn word(dice: &mut Dice, shape: &Shape) -> u64 {
    match shape {
        Shape::Word(name) => dice.number(bits_of(name).unwrap_or(4)),
        Shape::Choice(_, variants) => choose(dice, variants).map_or(0, |variant| variant.number),
        _ => 0,
    }
}

fn choose<'a>(dice: &mut Dice, variants: &'a [Variant]) -> Option<&'a Variant> {
    variants.get(dice.below(variants.len()))
}

/// A value as `postcard` writes it.
fn encode(dice: &mut Dice, shape: &Shape, bytes: &mut Vec<u8>) {
    match *shape {
        Shape::Nothing | Shape::Words(_) | Shape::Capability(..) => {}
        Shape::Word(name) => {
            let number = dice.number(bits_of(name).unwrap_or(8));
            match name {
                "bool" | "u8" | "i8" => bytes.extend(number.to_le_bytes().first()),
                _ => varint(number, bytes),
            }
        }
        Shape::Text(most) => {
            let length = dice.length(most);
            varint(length as u64, bytes);
            bytes.extend((0..length).map(|_| b' ' + u8::try_from(dice.below(95)).unwrap_or(0)));
        }
        Shape::List(of, most) => {
            let length = dice.length(most);
            varint(length as u64, bytes);
            (0..length).for_each(|_| encode(dice, of, bytes));
        }
        Shape::Array(of, count) => (0..count).for_each(|_| encode(dice, of, bytes)),
        Shape::Optional(of) => {
            let some = dice.one_in(2);
            bytes.push(some.into());
            if some {
                encode(dice, of, bytes);
            }
        }
        Shape::Record(_, parts) => parts.iter().for_each(|part| encode(dice, &part.shape, bytes)),
        Shape::Choice(_, variants) => {
            if let Some(variant) = choose(dice, variants) {
                varint(variant.number, bytes);
                variant.parts.iter().for_each(|part| encode(dice, &part.shape, bytes));
            }
        }
    }
}

fn varint(mut number: u64, bytes: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}
