//! Arbitrary bytes: as operations on a forest and on a machine, and for every decoder.
//!
//! Under `cargo test` these are short runs of a random engine. Where cargo-bolero and a nightly compiler are present,
//! `cargo bolero test -p caps-spec --test fuzz NAME` is guided by coverage.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use bolero::check;
use caps::{Error, Generation, Handle, Kind, SlotIndex};
use caps_spec::game::Game;
use caps_spec::machine::Machine;
use caps_spec::play::Throw;
use caps_spec::record::{Method, Record, grouped};
use idl::abi::REGISTER_WORDS;
use idl::kernel::{
    Calls, address_space, console, cspace, endpoint, guest, machine, notification, region, reply, subos,
    thread, untyped, uplink,
};

const GAMES: usize = 300;
const BYTES: usize = 20_000;

/// I23 and all that is checked after every operation.
#[test]
fn operations_on_a_forest() {
    check!().with_iterations(GAMES).with_type::<(u8, Vec<Throw>)>().for_each(|(start, throws)| {
        let mut game = Game::variant(*start);
        let played = game.play(throws);
        let begin = || Game::variant(*start);
        played.unwrap_or_else(|why| {
            panic!("{}", game.failure(&why, &format!("Game::variant({start})"), begin))
        });
    });
    let scope = format!("{GAMES} games");
    Record::of_forest(Method::Fuzzed, "operations on a forest", &scope, &Kind::ALL)
        .write(env!("CARGO_TARGET_TMPDIR"));
}

#[test]
fn acts_on_a_machine() {
    check!().with_iterations(GAMES).with_type::<Vec<Throw>>().for_each(|throws| {
        let begin = || Machine::new(4, 8, 4);
        let played = begin().play(throws.iter().copied());
        played.unwrap_or_else(|(why, acts)| {
            panic!("{}", Machine::failure(&why, &acts, "Machine::new(4, 8, 4)", begin))
        });
    });
    let scope = format!("{GAMES} games");
    Record::new(Method::Fuzzed, "acts on a machine", &scope, &[7, 11, 12, 22, 23, 25, 26])
        .write(env!("CARGO_TARGET_TMPDIR"));
}

/// I27: a call of the kernel. There is a method exactly if there are rights that it needs; and decoding is a function.
#[test]
fn invocations() {
    check!().with_iterations(BYTES).with_type::<(u8, [u64; REGISTER_WORDS])>().for_each(|(method, words)| {
        for words in [*words, words.map(|word| word % 64), words.map(|word| word & 1)] {
            call::<untyped::Call>(method % 32, &words);
            call::<cspace::Call>(method % 32, &words);
            call::<thread::Call>(method % 32, &words);
            call::<address_space::Call>(method % 32, &words);
            call::<region::Call>(method % 32, &words);
            call::<endpoint::Call>(method % 32, &words);
            call::<notification::Call>(method % 32, &words);
            call::<reply::Call>(method % 32, &words);
            call::<guest::Call>(method % 32, &words);
            call::<idl::kernel::core::Call>(method % 32, &words);
            call::<subos::Call>(method % 32, &words);
            call::<uplink::Call>(method % 32, &words);
            call::<machine::Call>(method % 32, &words);
            call::<console::Call>(method % 32, &words);
        }
    });
    wire("invocations");
}

fn call<C: Calls + PartialEq + std::fmt::Debug>(method: u8, words: &[u64; REGISTER_WORDS]) {
    let decoded = C::from_words(method, words);
    assert_eq!(C::rights(method).is_err(), decoded == Err(Error::UnknownMethod), "{:?} {method}", C::KIND);
    assert_eq!(decoded, C::from_words(method, words));
}

/// I27: names and numbers are read as they were written.
#[test]
fn numbers_and_names() {
    check!().with_iterations(BYTES).with_type::<(u8, u16, u32, u32)>().for_each(
        |&(kind, error, index, age)| {
            assert!(Kind::from_number(kind).is_none_or(|known| known.number() == kind));
            assert!(Error::from_number(error).is_none_or(|known| known.number() == error));
            let handle = Handle::new(SlotIndex(index), Generation(age));
            assert_eq!((handle.index(), handle.generation()), (SlotIndex(index), Generation(age)));
        },
    );
    wire("numbers and names");
}

/// I27: what the harness and the machine exchange.
#[test]
fn plans_bundles_programs_records() {
    check!().with_iterations(BYTES).for_each(|bytes| {
        if let Ok(plan) = idl::plan::decode(bytes) {
            let mut buffer = vec![0; 64 << 10];
            let again = idl::plan::encode(&plan, &mut buffer).unwrap();
            assert_eq!(idl::plan::decode(again), Ok(plan));
        }
        if let Ok(bundle) = idl::bundle::Bundle::parse(bytes) {
            for entry in bundle.entries() {
                assert!(bytes.len() >= entry.data.len());
            }
        }
        let _ = idl::program::Program::parse(bytes, bytes.len() as u64);
        let _ = std::str::from_utf8(bytes).ok().and_then(idl::record::Record::parse);
    });
    wire("plans and bundles and programs and records");
}

/// I27: what subOS and supervisor say to each other.
#[test]
fn words_between_subos_and_supervisor() {
    check!().with_iterations(BYTES).with_type::<[u64; REGISTER_WORDS]>().for_each(|words| {
        for words in [*words, words.map(|word| word % 16)] {
            let _ = idl::dialogue::Heard::from_words(&words);
            let _ = idl::dialogue::Told::from_words(&words);
            let _ = idl::event::Event::from_words(&words);
        }
    });
    wire("words between a subOS and its supervisor");
}

fn wire(name: &str) {
    let scope = format!("{} inputs", grouped(BYTES));
    Record::new(Method::Fuzzed, name, &scope, &[27]).write(env!("CARGO_TARGET_TMPDIR"));
}
