//! What is printed of a failure is the shortest sequence, and is a test that runs: `replayed.rs` is one, as it was printed.
#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use caps::Error;
use caps_spec::game::Game;
use caps_spec::operation::Operation;
use caps_spec::play::throws;
use caps_spec::story::{minimal, test};

#[test]
fn only_what_is_needed_is_kept() {
    let items: Vec<u32> = (0..1000).collect();
    let fails = |items: &[u32]| items.contains(&17) && items.contains(&801) && items.len() > 2;
    assert_eq!(minimal(&items, fails).len(), 3);
    let fails = |items: &[u32]| items.iter().sum::<u32>() >= 999;
    assert_eq!(minimal(&items, fails), [999]);
}

/// The shortest sequence of a game in which memory that is being reset is not copied, something that is being revoked is
/// not found, and something lands.
fn sequence() -> Vec<Operation> {
    let mut game = Game::new();
    for throw in throws(3).take(3_000) {
        let operation = game.choose(throw);
        let _ = game.apply(&operation).unwrap();
    }
    let operations: Vec<Operation> = game.log.iter().map(|(operation, _)| *operation).collect();
    let wanted = |operations: &[Operation]| {
        let mut game = Game::new();
        game.replay(operations).unwrap();
        [("derive", Some(Error::Busy)), ("lookup", Some(Error::BeingRevoked)), ("land", None)]
            .iter()
            .all(|outcome| game.reached.contains(outcome))
    };
    assert!(wanted(&operations));
    minimal(&operations, wanted)
}

#[test]
fn what_is_printed_is_a_test() {
    let sequence = sequence();
    assert!(sequence.len() < 40, "{} operations", sequence.len());
    let printed = test("Game::new()", &sequence);
    let squeezed = |text: &str| {
        text.split_whitespace().collect::<String>().replace(",}", "}").replace(",)", ")").replace(",]", "]")
    };
    if std::env::var_os("UPDATE_STORY").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/replayed.rs"), &printed).unwrap();
        return;
    }
    assert_eq!(squeezed(&printed), squeezed(include_str!("replayed.rs")), "UPDATE_STORY=1 writes it anew");
}
