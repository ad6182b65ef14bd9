//! The guide, carried out: what it shows of a file is in that file, what it changes is changed, and what it types is typed and
//! answered as it says.
//!
//! A block is one of these, by what follows its fence:
//!
//! - `console`: lines that begin with `$` are commands, the others are lines of what the last command says, in this order. `…`
//!   stands for whatever is there. The last command must fail if the block is `console,fails`, and else succeed.
//! - `rust,file=PATH`, `toml,file=PATH`: lines of that file, one after the other. Indentation that all have may be left out.
//! - `diff,file=PATH`: lines of that file, of which those with `-` go and those with `+` come.

use std::fs;
use std::path::PathBuf;

use test_harness::place;

use crate::tree::{Tree, said};

/// A block of a page.
struct Block {
    /// Where it begins, for who reads a failure.
    place: String,
    kind: String,
    lines: Vec<String>,
}

impl Block {
    /// The file that it is about, if it says one.
    fn file(&self) -> Option<&str> {
        self.kind.split_once(",file=").map(|(_, file)| file)
    }
}

/// The pages, in the order in which they are read.
fn pages() -> Vec<PathBuf> {
    let folder = place::root().join("docs/guide");
    let mut pages: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    pages
}

fn blocks(page: &PathBuf) -> Vec<Block> {
    let text = fs::read_to_string(page).unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if inside => inside = false,
            Some(kind) => {
                inside = true;
                let place = format!("{}:{}", place::shown(page), number + 1);
                blocks.push(Block { place, kind: kind.to_owned(), lines: Vec::new() });
            }
            None if inside => blocks.last_mut().unwrap().lines.push(line.to_owned()),
            None => {}
        }
    }
    assert!(!inside, "{}: a block does not end", place::shown(page));
    blocks
}

/// Whether a line is what the guide says, where `…` stands for anything.
fn matches(line: &str, pattern: &str) -> bool {
    let mut rest = line.trim();
    let mut parts = pattern.trim().split('…').peekable();
    let first = parts.next().unwrap_or_default();
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    while let Some(part) = parts.next() {
        let place = if parts.peek().is_none() {
            rest.ends_with(part).then(|| rest.len() - part.len())
        } else {
            rest.find(part)
        };
        let Some(place) = place else { return false };
        rest = &rest[place + part.len()..];
    }
    rest.is_empty()
}

/// Where these lines stand in a text, one after the other, with what they are indented by there.
fn find(text: &[String], lines: &[&str]) -> Option<(usize, String)> {
    (0..=text.len().checked_sub(lines.len())?).find_map(|start| {
        let indent = text[start].strip_suffix(lines.first()?.trim_end())?;
        let same = |(have, want): (&String, &&str)| {
            if want.trim().is_empty() { have.trim().is_empty() } else { *have == format!("{indent}{want}") }
        };
        let all = indent.trim().is_empty() && text[start..].iter().zip(lines).all(same);
        all.then(|| (start, indent.to_owned()))
    })
}

/// Types what a block types, and reads what it says.
fn type_in(tree: &Tree, block: &Block) {
    let fails = block.kind == "console,fails";
    let commands: Vec<usize> =
        (0..block.lines.len()).filter(|at| block.lines[*at].starts_with("$ ")).collect();
    assert_eq!(commands.first(), Some(&0), "{}: it begins with a command", block.place);
    for (index, &at) in commands.iter().enumerate() {
        let end = commands.get(index + 1).copied().unwrap_or(block.lines.len());
        let output = tree.run(&block.lines[at][2..]);
        let said = said(&output);
        let must_fail = fails && end == block.lines.len();
        assert_eq!(output.status.success(), !must_fail, "{}: {}: {said}", block.place, block.lines[at]);
        let mut lines = said.lines();
        for expected in &block.lines[at + 1..end] {
            assert!(
                lines.any(|line| matches(line, expected)),
                "{}: {expected:?} is not said, or not after what stands before it: {said}",
                block.place
            );
        }
    }
}

/// Sees that a file has the lines of a block; puts others in their place, if the block does.
fn look_or_change(tree: &Tree, block: &Block, file: &str) {
    let path = tree.root().join(file);
    let text: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    let differs = block.kind.starts_with("diff,");
    let side = |without: char| -> Vec<&str> {
        let kept = block.lines.iter().filter(|line| !(differs && line.starts_with(without)));
        kept.map(|line| if differs { line.get(1..).unwrap_or_default() } else { line.as_str() }).collect()
    };
    let (old, new) = (side('+'), side('-'));
    let Some((start, indent)) = find(&text, &old) else {
        panic!(
            "{}: {file} has no such lines:\n{}\n\nit has\n{}",
            block.place,
            old.join("\n"),
            text.join("\n")
        )
    };
    if differs {
        let new =
            new.iter().map(|line| if line.is_empty() { String::new() } else { format!("{indent}{line}") });
        let (before, after) = (text[..start].iter().cloned(), text[start + old.len()..].iter().cloned());
        let all: Vec<String> = before.chain(new).chain(after).collect();
        // Not through a link: what it leads to is the real checkout's.
        assert!(
            path.canonicalize().unwrap().starts_with(tree.root().canonicalize().unwrap()),
            "{}",
            block.place
        );
        fs::write(&path, all.join("\n") + "\n").unwrap();
    }
}

#[test]
fn the_guide_is_carried_out() {
    let tree = Tree::new();
    // The guide keeps a run there, and nobody keeps one over another.
    let _ = fs::remove_dir_all(tree.root().join("target/first-run"));
    let mut kinds = std::collections::BTreeSet::new();
    for block in pages().iter().flat_map(blocks) {
        kinds.insert(block.kind.split(',').next().unwrap_or_default().to_owned());
        match (block.kind.as_str(), block.file()) {
            ("console" | "console,fails", None) => type_in(&tree, &block),
            (_, Some(file)) => look_or_change(&tree, &block, file),
            (kind, None) => panic!("{}: nobody checks a block of {kind:?}", block.place),
        }
    }
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), ["console", "diff", "rust", "toml"]);
    // At its end nothing is left to be laid out.
    let source = tree.root().join("subos-server/counter/src/lib.rs");
    let mut rustfmt = std::process::Command::new("rustfmt");
    rustfmt
        .args(["--check", "--edition", "2024", "--config-path"])
        .arg(tree.root().join("rustfmt.toml"))
        .arg(source);
    assert!(rustfmt.status().unwrap().success(), "the guide's own code is laid out");
}

#[test]
fn the_guide_can_be_wrong() {
    for (line, pattern, right) in [
        ("   0.20 home | panicked at lib.rs:44:9:", "… home | panicked at …:", true),
        ("test result: ok. 6 passed", "test result: ok. …", true),
        ("test result: ok. 6 passed", "test result: …failed", false),
        ("a b a b", "a …b", true),
        ("all is well, after 0.5 s", "all is well", false),
        ("ok", "", false),
        ("", "", true),
    ] {
        assert_eq!(matches(line, pattern), right, "{line:?} {pattern:?}");
    }
    let text: Vec<String> = ["fn a() {", "    b();", "", "    c();", "}"].map(str::to_owned).into();
    assert_eq!(find(&text, &["b();", "", "c();"]), Some((1, "    ".to_owned())));
    assert_eq!(find(&text, &["fn a() {", "    b();"]), Some((0, String::new())));
    assert_eq!(find(&text, &["b();", "c();"]), None, "a line is left out");
    assert_eq!(find(&text, &["();"]), None, "a line is there whole");
}
