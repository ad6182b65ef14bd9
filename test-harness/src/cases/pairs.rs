//! Which (method, error) pairs were observed on the target, over all cases of a run.

use std::collections::BTreeSet;

use idl::record::Record;

/// A set of (method, error) pairs, as `Kind.method` and the error's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs(BTreeSet<(String, String)>);

impl Pairs {
    /// Adds what a transcript's `@pair` records say was observed.
    pub fn observe<'a>(&mut self, transcript: impl IntoIterator<Item = &'a String>) {
        for record in
            transcript.into_iter().filter_map(|line| Record::parse(line)).filter(|r| r.name == "pair")
        {
            let text = |key| record.get(key).map(|value| value.encoded().to_owned());
            self.0.extend(text("method").zip(text("error")));
        }
    }

    /// Adds all pairs of another set.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Those of `declared` that were not observed, and those observed that nobody declared.
    #[must_use]
    pub fn differences(&self, declared: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let declared: BTreeSet<(String, String)> =
            declared.iter().map(|(method, error)| ((*method).to_owned(), (*error).to_owned())).collect();
        let show = |(method, error): &(String, String)| format!("{method} -> {error}");
        let missing = declared.difference(&self.0).map(show).collect();
        let undeclared = self.0.difference(&declared).map(show).collect();
        (missing, undeclared)
    }
}

/// Every (method, error) pair that the kernel's interface declares.
#[must_use]
pub fn declared_pairs() -> Vec<(&'static str, &'static str)> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_is_undeclared_are_told_apart() {
        let transcript =
            ["@pair method=Region.map error=BadRange", "x", "@pair method=Thread.start error=Busy"];
        let mut pairs = Pairs::default();
        pairs.observe(&transcript.map(str::to_owned));
        let (missing, undeclared) =
            pairs.differences(&[("Region.map", "BadRange"), ("Reply.send", "NotPending")]);
        assert_eq!(missing, ["Reply.send -> NotPending"]);
        assert_eq!(undeclared, ["Thread.start -> Busy"]);
    }
}
