//! What the compiler says of interfaces that are wrong.
//!
//! Each file in `cases` is a program with one mistake. A comment `//~ text` stands on the line at which an error must
//! point, and the error must contain the text. Nothing else may be wrong. One `cargo check` looks at all of them; that
//! the whole message is not compared lets the test pass with other versions of the compiler.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An error, by the file's name and the line.
type Place = (String, u64);

#[test]
fn mistakes_are_told_at_their_line() {
    let wanted = wanted();
    assert!(wanted.len() > 10, "the cases are gone");
    let told = told(&project());
    for (place, text) in &wanted {
        let found = told.get(place).unwrap_or_else(|| panic!("{place:?}: no error, and {text:?} was wanted"));
        assert!(found.iter().any(|it| it.contains(text)), "{place:?}: {found:#?}, and {text:?} was wanted");
    }
    for (place, found) in &told {
        assert!(wanted.contains_key(place), "{place:?}: nobody wanted {found:#?}");
    }
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refused/cases");
    let mut cases: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

fn wanted() -> BTreeMap<Place, String> {
    let mut wanted = BTreeMap::new();
    for path in cases() {
        let text = fs::read_to_string(&path).unwrap();
        for (line, number) in text.lines().zip(1..) {
            if let Some((_, message)) = line.split_once("//~ ") {
                wanted.insert((name(&path), number), message.to_owned());
            }
        }
    }
    wanted
}

/// A package of its own in the target folder, with a program for each case.
fn project() -> PathBuf {
    let idl = Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refused");
    fs::create_dir_all(&project).unwrap();
    let mut manifest = format!(
        "[package]\nname = \"refused\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\nidl = {{ path = {idl:?} }}\n"
    );
    for path in cases() {
        write!(manifest, "\n[[bin]]\nname = {:?}\npath = {path:?}\n", name(&path)).unwrap();
    }
    fs::write(project.join("Cargo.toml"), manifest).unwrap();
    fs::copy(idl.join("../Cargo.lock"), project.join("Cargo.lock")).unwrap();
    project
}

/// All errors, by the place at which they point.
fn told(project: &Path) -> BTreeMap<Place, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["check", "--bins", "--keep-going", "--offline", "--message-format=json"])
        .arg("--manifest-path")
        .arg(project.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(project.join("target"))
        .output()
        .unwrap();
    let mut told: BTreeMap<Place, Vec<String>> = BTreeMap::new();
    let lines = String::from_utf8(output.stdout).unwrap();
    for line in lines.lines() {
        let message: serde_json::Value = serde_json::from_str(line).unwrap();
        let message = &message["message"];
        if message["level"] != "error" {
            continue;
        }
        let spans = message["spans"].as_array().unwrap();
        let Some(span) = spans.iter().find(|span| span["is_primary"] == true) else { continue };
        let span = outermost(span);
        let file = name(Path::new(span["file_name"].as_str().unwrap()));
        let text = message["message"].as_str().unwrap().to_owned();
        told.entry((file, span["line_start"].as_u64().unwrap())).or_default().push(text);
    }
    assert!(!told.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    told
}

/// Where in the program stands what was expanded into what is wrong.
fn outermost(span: &serde_json::Value) -> &serde_json::Value {
    let inside = |file: &str| file.contains("tests/refused/cases");
    match &span["expansion"] {
        serde_json::Value::Null => span,
        _ if inside(span["file_name"].as_str().unwrap()) => span,
        expansion => outermost(&expansion["span"]),
    }
}
