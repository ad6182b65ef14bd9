//! Weaves the bugs into a copy of the sources, for build scripts.
//!
//! A function in which bugs are becomes one that asks which is selected, and then does what the function with that bug
//! would do: its whole body is there once for each bug and once as it is. Nothing else of the text is touched, so that
//! what the compiler says of the copy can be read; and nothing but bodies of functions can have bugs.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

use crate::{EXHIBITS, Place, Sources};

/// A bug that cannot be planted, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplanted {
    /// The bug.
    pub name: &'static str,
    /// Why.
    pub why: String,
}

/// What a build script does: weaves the copy of these sources into the folder of its output, as `lib.rs` and what
/// belongs to it, or those files in which there are bugs. A bug that cannot be planted is a warning here, and fails a test.
///
/// # Panics
/// When the sources cannot be read or parsed, or the copy not written.
pub fn build(sources: Sources) {
    let folder = root().join(sources.folder());
    println!("cargo::rerun-if-changed={}", folder.display());
    let output = std::env::var_os("OUT_DIR").map(PathBuf::from).expect("cargo says where output goes");
    for Unplanted { name, why } in copy(sources, &output).unwrap_or_else(|why| panic!("{why}")) {
        println!("cargo::warning=the museum's bug {name:?} cannot be planted: {why}");
    }
}

/// The root of the checkout.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Weaves the copy of these sources into a folder, and says which bugs could not be planted.
///
/// # Errors
/// When the sources cannot be read or parsed, or the copy not written: which file, and why.
pub fn copy(sources: Sources, output: &Path) -> Result<Vec<Unplanted>, String> {
    let folder = root().join(sources.folder());
    let mut files = Vec::new();
    collect(&folder, Path::new(""), &mut files)?;
    let mut unplanted = Vec::new();
    let homeless = EXHIBITS
        .iter()
        .filter(|exhibit| exhibit.is_of(sources))
        .flat_map(|exhibit| exhibit.places().map(|place| (exhibit.name, place.file)));
    for (name, file) in homeless.filter(|(_, file)| !files.iter().any(|known| known == Path::new(file))) {
        unplanted.push(Unplanted { name, why: format!("there is no {file}") });
    }
    for file in files {
        let path = folder.join(&file);
        let text = fs::read_to_string(&path).map_err(|why| format!("{}: {why}", path.display()))?;
        let bugs: Vec<(usize, &'static str, Place)> = (1..)
            .zip(EXHIBITS)
            .filter(|(_, exhibit)| exhibit.is_of(sources))
            .flat_map(|(number, exhibit)| exhibit.places().map(move |place| (number, exhibit.name, place)))
            .filter(|(.., place)| Path::new(place.file) == file)
            .collect();
        if bugs.is_empty() && !sources.are_a_crate() {
            continue;
        }
        let (woven, mut left) = weave(&text, &bugs).map_err(|why| format!("{}: {why}", path.display()))?;
        unplanted.append(&mut left);
        let to = output.join(&file);
        let made = to.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&to, woven)).map_err(|why| format!("{}: {why}", to.display()))?;
    }
    Ok(unplanted)
}

fn collect(folder: &Path, below: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let failed = |why: std::io::Error| format!("{}: {why}", folder.join(below).display());
    for entry in fs::read_dir(folder.join(below)).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = below.join(entry.file_name());
        if entry.path().is_dir() {
            collect(folder, &name, files)?;
        } else if name.extension().is_some_and(|extension| extension == "rs") {
            files.push(name);
        }
    }
    Ok(())
}

/// The text with these bugs, by their numbers, and those that could not be planted. What a file says of itself as a whole
/// (`//!`, `#![..]`) is left out, for such things cannot be included.
fn weave(text: &str, bugs: &[(usize, &'static str, Place)]) -> Result<(String, Vec<Unplanted>), String> {
    let file = syn::parse_file(text).map_err(|why| why.to_string())?;
    let mut functions = Functions::default();
    functions.visit_file(&file);
    let mut unplanted = Vec::new();
    // What becomes of which part of the text.
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut arms: BTreeMap<usize, String> = BTreeMap::new();
    for (number, name, place) in bugs {
        match planted(text, &functions.0, place) {
            Ok((function, body)) => {
                *arms.entry(function).or_default() += &format!("\n// {name}\n{number} => {body}");
            }
            Err(why) => unplanted.push(Unplanted { name, why }),
        }
    }
    for (function, arms) in arms {
        let Function { constness, body } = &functions.0[function];
        // What is selected is not known before the program runs.
        edits.extend(constness.clone().map(|word| (word, String::new())));
        let original = &text[body.clone()];
        edits.push((body.clone(), format!("{{ match ::museum::selected() {{{arms}\n_ => {original} }} }}")));
    }
    let whole = |attribute: &syn::Attribute| {
        let (begin, end) = (attribute.pound_token.span, attribute.bracket_token.span.close());
        begin.byte_range().start..end.byte_range().end
    };
    edits.extend(file.attrs.iter().map(|attribute| (whole(attribute), String::new())));
    edits.sort_by_key(|(range, _)| range.start);
    let mut woven = text.to_owned();
    for (range, becomes) in edits.into_iter().rev() {
        woven.replace_range(range, &becomes);
    }
    Ok((woven, unplanted))
}

/// In which function a bug is, by its position, and the body with it.
fn planted(text: &str, functions: &[Function], place: &Place) -> Result<(usize, String), String> {
    let [(at, _)] = text.match_indices(place.from).collect::<Vec<_>>()[..] else {
        let times = text.matches(place.from).count();
        return Err(format!("{:?} is {times} times in {}", place.from, place.file));
    };
    let range = at..at + place.from.len();
    let inside = |function: &Function| function.body.start <= range.start && range.end <= function.body.end;
    let function = functions.iter().position(inside);
    let function = function.ok_or_else(|| format!("{:?} of {} is in no function", place.from, place.file))?;
    let body = &functions[function].body;
    let (before, after) = (&text[body.start..range.start], &text[range.end..body.end]);
    Ok((function, format!("{before}{}{after}", place.to)))
}

/// A function of the text that has a body.
struct Function {
    /// The word `const`, if it is there.
    constness: Option<Range<usize>>,
    /// Its body, with the braces.
    body: Range<usize>,
}

/// The functions of a file, but for those in functions.
#[derive(Default)]
struct Functions(Vec<Function>);

impl Functions {
    fn add(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let constness = signature.constness.as_ref().map(|word| word.span.byte_range());
        let braces = body.brace_token.span;
        let body = braces.open().byte_range().start..braces.close().byte_range().end;
        self.0.push(Function { constness, body });
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, &item.block);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        match &item.default {
            Some(body) => self.add(&item.sig, body),
            None => visit::visit_trait_item_fn(self, item),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "//! About.\n#![no_std]\n\nconst LIMIT: u8 = 3;\n\nimpl It {\n    /// Ä.\n    \
                        pub const fn f(self) -> u8 {\n        LIMIT + 1\n    }\n}\n\nfn g() { 4 }\n";

    fn place(from: &'static str) -> Place {
        Place { file: "lib.rs", from, to: "bug()" }
    }

    #[test]
    fn a_function_becomes_a_choice_of_all_its_bodies() {
        let bugs = [(2, "two", place("LIMIT + 1")), (5, "five", place("+ 1"))];
        let (woven, unplanted) = weave(TEXT, &bugs).unwrap();
        assert_eq!(unplanted, []);
        let squeezed = woven.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            squeezed.starts_with("const LIMIT: u8 = 3;") && squeezed.ends_with("fn g() { 4 }"),
            "{woven}"
        );
        let chosen = "pub fn f(self) -> u8 { match ::museum::selected() { // two 2 => { bug() } // five 5 => \
                      { LIMIT bug() } _ => { LIMIT + 1 } } }";
        assert!(squeezed.contains(chosen), "{woven}");
    }

    #[test]
    fn what_cannot_be_planted_is_told() {
        for (from, why) in [
            ("nowhere", "is 0 times in lib.rs"),
            ("4", ""),
            ("LIMIT", "is 2 times"),
            ("= 3;", "is in no function"),
        ] {
            let (woven, unplanted) = weave(TEXT, &[(1, "one", place(from))]).unwrap();
            let is_wrong = !why.is_empty();
            assert_eq!((woven.contains("bug()"), unplanted.len()), (!is_wrong, usize::from(is_wrong)));
            assert!(unplanted.iter().all(|it| it.name == "one" && it.why.contains(why)), "{unplanted:?}");
        }
        assert!(weave("fn f( {", &[]).is_err());
    }

    /// Each bug, at each of its places, under the number by which its name is asked for.
    #[test]
    fn every_bug_can_still_be_planted() {
        for (turn, sources) in [Sources::Caps, Sources::Userlib].into_iter().enumerate() {
            let output = std::env::temp_dir().join(format!("museum-{}-{turn}", std::process::id()));
            let unplanted = copy(sources, &output);
            assert_eq!(unplanted, Ok(Vec::new()));
            for exhibit in EXHIBITS.iter().filter(|exhibit| exhibit.is_of(sources)) {
                crate::exhibit(Some(exhibit.name)).unwrap();
                let arm = format!("// {}\n{} => {{", exhibit.name, crate::selected());
                for place in exhibit.places() {
                    let woven = fs::read_to_string(output.join(place.file)).unwrap();
                    let arm = woven.split_once(&arm).map(|(_, rest)| rest.split("\n_ =>").next().unwrap());
                    assert!(arm.is_some_and(|arm| arm.contains(place.to)), "{}", exhibit.name);
                }
            }
            let _ = fs::remove_dir_all(&output);
        }
        crate::exhibit(None).unwrap();
        assert_eq!(crate::selected(), 0);
    }

    /// `caps` is the same under every configuration, so what the kernel has of it is what is read there; and what is read
    /// there has no bug and knows of none.
    #[test]
    fn what_ships_is_the_text_that_has_no_bug() {
        let folder = root().join("caps");
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(!manifest.contains("[features]") && !manifest.contains("museum"), "{manifest}");
        assert!(!folder.join("build.rs").exists());
        let mut files = Vec::new();
        collect(&folder.join("src"), Path::new(""), &mut files).unwrap();
        for file in files {
            let text = fs::read_to_string(folder.join("src").join(&file)).unwrap();
            let of_tests = text.matches("#[cfg(test)]").count();
            assert_eq!(
                text.matches("cfg").count(),
                of_tests,
                "{} depends on a configuration",
                file.display()
            );
            assert!(!text.contains("museum"), "{} knows of the museum", file.display());
        }
    }
}
