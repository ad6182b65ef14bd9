//! A recorded transcript of the demonstration: it is judged well, and drawn.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use test_harness::manifest::{Manifest, Overrides, parse};
use test_harness::place;
use test_harness::story::{Story, judge};
use test_harness::view;

const RECORDED: &str = include_str!("data/demo.txt");

/// The manifest that was played when it was recorded.
fn manifest() -> Manifest {
    let folder = place::harness().join("manifests");
    parse("demo.toml", include_str!("data/demo.toml"), &folder, Overrides::default()).unwrap()
}

fn story(text: &str) -> Story {
    let mut story = Story::default();
    for line in text.lines() {
        story.tell(line);
    }
    story
}

#[test]
fn a_recorded_demonstration_is_judged() {
    let manifest = manifest();
    assert_eq!(judge(&story(RECORDED), &manifest), Vec::<String>::new());
    let without = |what: &str| {
        let text: Vec<&str> = RECORDED.lines().filter(|line| !line.contains(what)).collect();
        judge(&story(&text.join("\n")), &manifest)
    };
    assert_eq!(without("@ledger").len(), 1);
    assert_eq!(without("@audit").len(), 1);
    assert_eq!(
        without("n=4 result=ok"),
        ["step 5 (kill the spinner by force while it spins) began and did not end"]
    );
    assert_eq!(
        without("@stat subos=spinner"),
        ["nothing is known of what spinner did on core 2, which it had"]
    );
}

#[test]
fn the_timeline_shows_who_had_what() {
    let text = view::timeline(&story(RECORDED).timeline, false);
    let row = |name: &str| text.lines().find(|line| line.trim_start().starts_with(name)).unwrap().to_owned();
    let owners: String = {
        let mut letters: Vec<char> = row("2 ").trim_start_matches(['2', ' ']).chars().collect();
        letters.dedup();
        letters.into_iter().collect()
    };
    assert_eq!(owners, "·BEPB·", "core 2 in:\n{text}");
    assert!(row("batch").ends_with("256 → 192 → 0 MiB"), "{text}");
    assert!(text.contains("S supervisor, B batch, E echo, P spinner, · nobody"), "{text}");
}

#[test]
fn the_picture_has_every_core_owner_and_step() {
    let manifest = manifest();
    let svg = view::picture(&story(RECORDED).timeline, "demo <1>", &manifest.steps);
    assert!(svg.starts_with("<svg") && svg.contains("xmlns=\"http://www.w3.org/2000/svg\""));
    assert!(svg.contains("demo &lt;1&gt;"), "what stands in it is escaped");
    for text in ["core 0", "core 3", "spinner: 32 MiB", "13. compare the ledger with the start", "2.50 s"] {
        assert!(svg.contains(text), "{text} in the picture");
    }
    if let Ok(folder) = test_harness::place::scratch("run") {
        std::fs::write(folder.join("recorded.svg"), svg).unwrap();
    }
}
