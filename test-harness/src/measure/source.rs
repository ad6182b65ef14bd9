//! How long the kernel is: lines of code, without comments, tests, and what only builds for tests have.

use std::path::{Path, PathBuf};

use crate::failure::{Doing, Result};
use crate::place;

/// The folders whose sources the kernel consists of.
const FOLDERS: &[&str] = &["microkernel/src", "caps/src"];
/// Files of tests, and of what only the builds for tests have.
const TESTS: &[&str] = &["/tests.rs", "/testing.rs", "/hooks.rs", "/passages.rs", "/planted.rs"];
/// The folder of the journal, which only a build for tests has.
const JOURNAL: &str = "/journal/";

/// Lines of code of the kernel that ships, `caps` included.
///
/// # Errors
/// When the sources cannot be read.
pub fn kernel_lines() -> Result<u64> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        walk(&place::root().join(folder), &mut files)?;
    }
    let mut lines = 0;
    for file in files.iter().filter(|file| ships(file)) {
        let text = std::fs::read_to_string(file).doing(|| format!("cannot read {}", file.display()))?;
        lines += code_lines(&text);
    }
    Ok(lines)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let reading = || format!("cannot read {}", folder.display());
    for entry in folder.read_dir().doing(reading)? {
        let path = entry.doing(reading)?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn ships(path: &Path) -> bool {
    let path = path.to_string_lossy();
    !TESTS.iter().any(|end| path.ends_with(end)) && !path.contains(JOURNAL)
}

/// Lines of a file that hold more than a comment, up to its tests.
fn code_lines(text: &str) -> u64 {
    let shipped = text.split("\nmod tests {").next().unwrap_or("");
    shipped.lines().filter(|line| !code(line).trim().is_empty()).count() as u64
}

/// A line without its comment and its string literals.
#[must_use]
pub fn code(line: &str) -> String {
    let line = line.split("//").next().unwrap_or("");
    line.split('"').step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blank_lines_and_tests_are_no_code() {
        let text = "//! About.\n\nfn one() {\n    // Why.\n    two() // how\n}\n\n#[cfg(test)]\nmod tests {\n    fn three() {}\n}\n";
        assert_eq!(code_lines(text), 4, "three lines of the function and the attribute");
        assert_eq!(code("print(\"// no comment\")"), "print(");
    }

    #[test]
    fn files_of_tests_do_not_ship() {
        assert!(ships(Path::new("/a/microkernel/src/kernel.rs")));
        assert!(!ships(Path::new("/a/microkernel/src/machine/hooks.rs")));
        assert!(!ships(Path::new("/a/microkernel/src/journal/words.rs")));
    }
}
