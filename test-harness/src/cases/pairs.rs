//! Which (method, error) pairs were observed on the target, over all cases of a run.

use std::collections::BTreeSet;

use caps::{Error, Kind};
use idl::kernel::methods;
use idl::method::{COMMON_ERRORS, MethodInfo, TARGET_ERRORS};
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
    pub fn differences(&self, declared: &[(String, String)]) -> (Vec<String>, Vec<String>) {
        let declared: BTreeSet<(String, String)> = declared.iter().cloned().collect();
        let shared = |pair: &(String, String)| (ANY.to_owned(), pair.1.clone());
        // What a method does not declare as its own may be an error that all methods share.
        let observed: BTreeSet<(String, String)> = self
            .0
            .iter()
            .map(|pair| if declared.contains(pair) { pair.clone() } else { shared(pair) })
            .collect();
        let show = |(method, error): &(String, String)| format!("{method} -> {error}");
        let missing = declared.difference(&observed).map(show).collect();
        // Arguments are looked up as targets are, so that a method may answer so that needs no right itself.
        let common = |error: &str| COMMON_ERRORS.iter().any(|common| common.name() == error);
        let undeclared = self.0.iter().filter(|pair| !declared.contains(pair) && !common(&pair.1));
        (missing, undeclared.map(show).collect())
    }
}

/// What stands for the method in pairs of the errors that every method can answer with.
const ANY: &str = "any";

/// Every (method, error) pair that the kernel's interface declares. How a target is refused is wanted of each method; the
/// other errors that all methods share are wanted once, from any method.
#[must_use]
pub fn declared_pairs() -> Vec<(String, String)> {
    let own = methods().flat_map(|method| {
        let name = format!("{:?}.{}", method.kind, method.name);
        let errors =
            method.errors.iter().chain(TARGET_ERRORS.iter().filter(|error| refuses(method, **error)));
        errors.map(move |error| (name.clone(), error.name().to_owned()))
    });
    let shared = COMMON_ERRORS
        .iter()
        .filter(|error| !TARGET_ERRORS.contains(error))
        .map(|error| (ANY.to_owned(), error.name().to_owned()));
    own.chain(shared).collect()
}

/// Whether a method can refuse a target so. Of reply objects there are no copies, and so none that lack a right.
fn refuses(method: &MethodInfo, error: Error) -> bool {
    error != Error::MissingRight || (!method.rights.is_empty() && method.kind != Kind::Reply)
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
        pairs.observe(&["@pair method=Reply.send error=WrongKind".to_owned()]);
        let declared = [
            ("Region.map", "BadRange"),
            ("Reply.send", "NotPending"),
            ("any", "WrongKind"),
            ("any", "Locked"),
        ]
        .map(|(method, error)| (method.to_owned(), error.to_owned()));
        let (missing, undeclared) = pairs.differences(&declared);
        assert_eq!(missing, ["Reply.send -> NotPending", "any -> Locked"]);
        assert_eq!(undeclared, ["Thread.start -> Busy"]);
    }
}
