//! `cargo run -- caps`: scripts are played and drawn, and wrong ones say where they are wrong.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::fs;

use test_harness::place;
use test_harness::watch::{Change, Step, picture, stage, text};

fn script(name: &str) -> Vec<Step> {
    let path = place::harness().join(format!("scripts/{name}.caps"));
    stage::play(name, &fs::read_to_string(path).unwrap()).unwrap()
}

fn step<'s>(steps: &'s [Step], asked: &str) -> &'s Step {
    steps.iter().find(|step| step.asked == asked).unwrap()
}

#[test]
fn the_script_of_a_revoke_shows_a_derive_a_flight_a_revoke_and_a_reset() {
    let steps = script("revoke");
    let derived = step(&steps, "derive door anna CALL DERIVE badge 1");
    assert!(derived.tree.0.values().any(|node| node.says.badge == 1));
    assert!(step(&steps, "lookup bert").answered.starts_with("refused: Locked"));
    let (before, landed) = (step(&steps, "derive bert another CALL"), step(&steps, "land bert table[1]"));
    let changes: Vec<Change> =
        landed.rows(Some(before)).iter().map(|(at, _)| landed.change(Some(before), *at)).collect();
    assert_eq!(changes.iter().filter(|change| **change == Change::New).count(), 1);
    assert_eq!(changes.iter().filter(|change| **change == Change::Gone).count(), 1);
    assert!(step(&steps, "lookup friend").answered.starts_with("refused: BeingRevoked"));
    let last = steps.last().unwrap();
    assert_eq!(last.tree.0.len(), 1, "all that is left is the memory");
    assert_eq!(last.tree.0.values().next().unwrap().used, Some(0));
}

#[test]
fn the_script_of_a_reclaim_goes_through_all_phases() {
    let steps = script("reclaim");
    let answered = |asked: &str| step(&steps, asked).answered.clone();
    assert!(answered("grant core 1 to supervisor").starts_with("refused: NoResource"));
    assert!(answered("reclaim house").starts_with("refused: HomeLot"));
    let refused = steps.iter().filter(|step| step.asked == "quiesced garden");
    assert_eq!(refused.map(|step| step.answered.starts_with("refused")).collect::<Vec<_>>(), [true, false]);
    assert!(answered("quiesced house").starts_with("refused: CoreSilent"));
    let ledger = steps.last().unwrap().ledger.as_ref().unwrap();
    assert_eq!((ledger.quarantined.len(), ledger.pool.len(), ledger.suboses.len()), (3, 9, 1));
}

#[test]
fn text_and_picture_show_every_step() {
    for name in ["revoke", "reclaim"] {
        let steps = script(name);
        let (text, picture) = (text::steps(&steps), picture::picture(&steps, name));
        for (number, step) in (1..).zip(&steps) {
            let title = format!("{number}. {}", step.asked);
            assert!(text.contains(&title), "{title}");
            assert!(picture.contains(&title), "{title}");
        }
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>"));
    }
    let text = text::steps(&script("revoke"));
    assert!(text.contains("   -       friend Endpoint"), "what went is marked:\n{text}");
    assert!(text::steps(&script("reclaim")).contains("leaving subOS 1, Quiescing"));
}

#[test]
fn a_wrong_line_is_told_by_file_number_and_reason() {
    let wrong = [
        ("plant memory Untyped 1\nretype memry door Endpoint", 2, "nothing is called `memry`"),
        ("fly", 1, "there is no operation `fly`"),
        ("plant memory Marble 1", 1, "there is no kind `Marble`"),
        ("plant memory Untyped many", 1, "`many` is no number of pages"),
        ("plant memory Untyped 9999", 1, "pages left for roots"),
        ("plant memory Untyped 2\n\nderive memory copy SING", 3, "`SING` is neither a right"),
        ("plant memory Untyped 2\nland memory there", 2, "`memory` was never locked"),
        ("plant m Untyped 2\nretype m t CSpace 4\nlookup t[9]", 3, "`t[9]` is no slot"),
        ("plant m Untyped 2\nretype m t CSpace 4\ndelete t by 0", 3, "does not end"),
        ("create boss", 1, "a ledger begins with `machine"),
        ("machine 0 4", 1, "1 to 64 cores"),
        ("machine 2 4\ncreate a\ngrant core 0 a", 3, "`a` is not `to`"),
        ("machine 2 4\ncreate a\ngrant core 0 to b", 3, "no subOS is called `b`"),
        ("machine 2 4\nreclaim yard", 2, "no lot is called `yard`"),
        ("retype", 1, "`retype` needs a capability"),
    ];
    for (text, line, reason) in wrong {
        let failure = stage::play("my.caps", text).unwrap_err().to_string();
        assert!(failure.starts_with(&format!("my.caps, line {line}: ")), "{failure}");
        assert!(failure.contains(reason), "{failure} does not say {reason:?}");
    }
}

#[test]
fn what_is_refused_is_a_step_and_no_failure() {
    let steps = stage::play("x", "plant m Untyped 1\nretype m a Region 9\nretype m b Endpoint").unwrap();
    assert_eq!(steps.len(), 3);
    assert!(steps[1].answered.starts_with("refused: OutOfMemory"));
    assert_eq!(steps[2].names.len(), 2, "what was not made has no name");
}
