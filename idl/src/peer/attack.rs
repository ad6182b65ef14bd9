//! Arbitrary calls and bytes against a server.

use std::collections::BTreeMap;
use std::vec::Vec;

use super::arbitrary::{Dice, bits_of, capabilities, framed, words};
use crate::abi::{MESSAGE_CAPS, MESSAGE_WORDS};
use crate::interface::{
    Access, Answer, Delivery, Dispatch, Form, Generation, Interface, LOST, Label, Long, Method, NEXT,
    NOTHING, Parcel, Passed, Request, SUBSCRIBE, Session, Shape, UNSUBSCRIBE, Verdict, status,
};
use crate::types::Badge;

/// Requests for each method, in one attack.
const ROUNDS: usize = 200;
/// The life in which the server is attacked.
const LIFE: Generation = Generation(7);

/// How often each method of the server was reached.
pub type Reached = BTreeMap<&'static str, u32>;

/// Throws calls at a server: sound ones, damaged ones, and words that mean nothing, from sessions with any rights. The
/// seed decides everything, so that what fails fails again.
///
/// # Panics
/// When the server panics; when it was reached by a caller without the rights, or with a capability that is not what
/// the method asks for; when an answer is none; when a sound call is refused; and when a method was never reached.
pub fn attack<D: Dispatch>(server: &mut D, seed: u64) -> Reached {
    let mut dice = Dice::new(seed);
    let methods = <D::Interface as Interface>::METHODS;
    let mut reached = Reached::new();
    for _ in 0..ROUNDS {
        for method in methods {
            let throw = Throw::new(&mut dice, method);
            let (verdict, answer) = throw.at(server);
            throw.judge(method, verdict, &answer);
            if verdict == Verdict::Taken && throw.sound {
                *reached.entry(method.name).or_default() += 1;
            }
            Throw::wild(&mut dice).at(server);
        }
        if !<D::Interface as Interface>::EVENTS.is_empty() {
            throw_about_events(server, &mut dice);
        }
    }
    for method in methods {
        assert!(reached.contains_key(method.name), "no call reached {}", method.name);
    }
    reached
}

/// Throws a request about events at a server, sound or damaged. More sessions subscribe than it can have, and most never
/// fetch; nobody may be told what his session has not the rights for.
fn throw_about_events<D: Dispatch>(server: &mut D, dice: &mut Dice) {
    let method = [&SUBSCRIBE, &UNSUBSCRIBE, &NEXT, &NEXT][dice.below(4)];
    let mut throw = Throw::new(dice, method);
    if dice.one_in(4) {
        throw.badge.0 ^= dice.word() & u64::from(u32::MAX);
    }
    let (verdict, answer) = throw.at(server);
    if verdict == Verdict::Refused {
        return;
    }
    assert!(throw.fits(method), "{} was reached with wrong capabilities by {throw:?}", method.name);
    assert_eq!(answer.label, status::OK, "{} is answered", method.name);
    if method.number != NEXT.number {
        return;
    }
    let [number, ..] = answer.words() else { panic!("{} gives words", method.name) };
    let access = Session::<()>::of(throw.badge).access.bits();
    match <D::Interface as Interface>::EVENTS.iter().find(|event| u64::from(event.number) == *number) {
        Some(event) => assert_eq!(event.requires & !access, 0, "{} was told without its rights", event.name),
        None => assert!([NOTHING, LOST].contains(number), "there is no event {number}"),
    }
}

/// One request.
#[derive(Debug)]
struct Throw {
    label: u32,
    badge: Badge,
    words: Vec<u64>,
    capabilities: Vec<Passed>,
    /// Whether nothing is wrong with the request itself.
    sound: bool,
}

impl Throw {
    /// A call of this method, sound or damaged in one place.
    fn new(dice: &mut Dice, method: &Method) -> Self {
        let access = if dice.one_in(2) { u16::MAX } else { u16::try_from(dice.below(1 << 16)).unwrap_or(0) };
        let generation = if dice.one_in(2) { Generation::ANY } else { LIFE };
        let mut label = Label::new(method.number, generation);
        let mut words = words(dice, method);
        let mut capabilities = capabilities(dice, method);
        let damage = if dice.one_in(2) { None } else { Some(dice.below(5)) };
        match damage {
            Some(0) => spoil_a_word(dice, &mut words),
            Some(1) => words = framed(&spoiled_bytes(dice)),
            Some(2) => spoil_a_capability(dice, &mut capabilities),
            Some(3) => words.push(dice.word()),
            Some(4) => label.generation = Generation(LIFE.0 + 1),
            _ => {}
        }
        if damage.is_none() && dice.one_in(2) {
            label.has_deadline = true;
            words.push(dice.word());
        }
        words.truncate(MESSAGE_WORDS);
        let number = u32::try_from(dice.below(4)).unwrap_or(0);
        let badge = Session::<()>::new(number, Access::from_bits(access)).badge();
        Self { label: label.pack(), badge, words, capabilities, sound: damage.is_none() }
    }

    /// Words that mean nothing.
    fn wild(dice: &mut Dice) -> Self {
        let count = dice.length(MESSAGE_WORDS);
        let label = u32::try_from(dice.word() >> 32).unwrap_or(0);
        Self {
            label: if dice.one_in(2) { label } else { label & 0x0100_000f },
            badge: Badge(dice.word()),
            words: (0..count).map(|_| dice.word() >> (dice.below(64))).collect(),
            capabilities: Vec::new(),
            sound: false,
        }
    }

    fn at<D: Dispatch>(&self, server: &mut D) -> (Verdict, Long) {
        let mut answer = Answer::new();
        let parcel = Parcel::of(&self.capabilities);
        let request = Request { label: self.label, words: &self.words, parcel: &parcel };
        let verdict = server.answer(LIFE, self.badge, &request, &mut answer);
        let answer = answer.message;
        assert!(answer.label <= status::LAST, "{self:?} is answered with {}", answer.label);
        assert!(usize::from(answer.count) <= MESSAGE_WORDS, "{self:?} is answered with too much");
        (verdict, answer)
    }

    fn judge(&self, method: &Method, verdict: Verdict, answer: &Long) {
        let access = Session::<()>::of(self.badge).access;
        let allowed = method.requires & !access.bits() == 0;
        if verdict == Verdict::Taken {
            assert!(allowed, "{} was reached without its rights by {self:?}", method.name);
            assert!(!self.is_to_another_life(), "{} was reached by a call to another life", method.name);
            assert!(self.fits(method), "{} was reached with wrong capabilities by {self:?}", method.name);
            if method.delivery != Delivery::OneWay {
                check_answer(method, answer);
            }
        } else if self.sound && allowed && !is_opaque(method) {
            panic!("{} refused a sound call, with status {}: {self:?}", method.name, answer.label);
        }
    }

    fn is_to_another_life(&self) -> bool {
        Label::unpack(self.label)
            .is_some_and(|label| label.generation != Generation::ANY && label.generation != LIFE)
    }

    /// Whether each capability is what the method asks for.
    fn fits(&self, method: &Method) -> bool {
        let mut passed = self.capabilities.iter();
        method.arguments.iter().all(|part| match part.shape {
            Shape::Capability(_, kind, rights) => {
                passed.next().is_some_and(|it| it.kind == kind && it.rights.bits() & rights == rights)
            }
            _ => true,
        })
    }
}

/// An answer has what the method says.
fn check_answer(method: &Method, answer: &Long) {
    let capability = matches!(method.result, Shape::Capability(..));
    match answer.label {
        status::REFUSED => {
            assert!(method.error.is_some() && answer.count == 1, "{} cannot refuse so", method.name);
        }
        status::OK if capability => {
            assert!(answer.parcel.get(0).is_some(), "{} gives a capability", method.name);
        }
        status::OK if method.form == Form::Words => {
            let count = match method.result {
                Shape::Nothing => 0,
                Shape::Words(fields) => fields.len(),
                _ => 1,
            };
            assert_eq!(usize::from(answer.count), count, "the answer of {}", method.name);
        }
        label => {
            assert!(matches!(label, status::OK | status::TOO_LONG), "{} answers {label}", method.name);
        }
    }
}

/// Whether an argument is of a type that says nothing about itself, and may refuse what is tried.
fn is_opaque(method: &Method) -> bool {
    let opaque = |shape: Shape| matches!(shape, Shape::Word(name) if bits_of(name).is_none());
    method.arguments.iter().any(|part| opaque(part.shape))
}

fn spoil_a_word(dice: &mut Dice, words: &mut Vec<u64>) {
    let index = dice.below(words.len());
    match words.get_mut(index) {
        Some(word) if dice.one_in(2) => *word ^= 1 << dice.below(64),
        Some(_) => words.truncate(index),
        None => words.push(dice.word()),
    }
}

fn spoiled_bytes(dice: &mut Dice) -> Vec<u8> {
    let count = dice.below(300);
    (0..count).map(|_| dice.word().to_le_bytes()[3]).collect()
}

fn spoil_a_capability(dice: &mut Dice, capabilities: &mut Vec<Passed>) {
    let index = dice.below(capabilities.len());
    let Some(passed) = capabilities.get_mut(index) else { return };
    match dice.below(3) {
        0 => passed.kind = caps::Kind::Notification,
        1 => passed.rights = caps::Rights::empty(),
        _ => capabilities.truncate(index),
    }
    capabilities.truncate(MESSAGE_CAPS);
}
