//! The arguments of first programs: of init, the root server of a native subOS, and of neighbour, which talks to others.
//!
//! `pair=SERVER,CLIENT` starts both on every core, with an endpoint between them that the server receives from and the
//! client calls; it may be given several times. `crashes=N` says how often each may crash before it is left dead. `log=` is
//! for the library. Init reads them to obey, the harness to find what is wrong before anything is built.
//!
//! Neighbour's are `calls=NAME` and `answers=NAME`: to which subOSes it asks for windows, and which side of the talk it is.

/// Two servers that belong together, by the names of their programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairNames<'a> {
    /// Who receives.
    pub server: &'a str,
    /// Who calls, and counts.
    pub client: &'a str,
}

/// What one word of the arguments asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word<'a> {
    /// A pair to start on every core.
    Pair(PairNames<'a>),
    /// How often each server is started again.
    Crashes(u32),
    /// Nothing of init.
    ForLibrary,
}

/// What is wrong with the arguments: this word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadArgument<'a>(pub &'a str);

impl core::fmt::Display for BadArgument<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "the argument {} is not pair=SERVER,CLIENT or crashes=N", self.0)
    }
}

/// Reads the arguments, word by word.
pub fn words(arguments: &str) -> impl Iterator<Item = Result<Word<'_>, BadArgument<'_>>> {
    arguments.split_whitespace().map(|word| read(word).ok_or(BadArgument(word)))
}

fn read(word: &str) -> Option<Word<'_>> {
    match word.split_once('=')? {
        ("pair", names) => {
            let (server, client) = names.split_once(',')?;
            let one_each = !server.is_empty() && !client.is_empty() && !client.contains(',');
            one_each.then_some(Word::Pair(PairNames { server, client }))
        }
        ("crashes", number) => number.parse().ok().map(Word::Crashes),
        ("log", _) => Some(Word::ForLibrary),
        _ => None,
    }
}

/// Which side of a talk over a window a neighbour is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It says something and counts what comes back as it was.
    Calls,
    /// It says everything again.
    Answers,
}

/// What is wrong with a neighbour's arguments: this word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPeer<'a>(pub &'a str);

impl core::fmt::Display for BadPeer<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "the argument {} is not calls=NAME or answers=NAME", self.0)
    }
}

/// Reads the arguments of a neighbour, word by word: with whom it talks, and how.
pub fn peers(arguments: &str) -> impl Iterator<Item = Result<(Role, &str), BadPeer<'_>>> {
    arguments.split_whitespace().map(|word| match word.split_once('=') {
        Some(("calls", name)) if !name.is_empty() => Ok((Role::Calls, name)),
        Some(("answers", name)) if !name.is_empty() => Ok((Role::Answers, name)),
        _ => Err(BadPeer(word)),
    })
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn each_word_is_read() {
        let read: Result<Vec<_>, _> = words("pair=echo-server,echo-client log=debug crashes=1").collect();
        let pair = Word::Pair(PairNames { server: "echo-server", client: "echo-client" });
        assert_eq!(read, Ok([pair, Word::ForLibrary, Word::Crashes(1)].to_vec()));
        assert_eq!(words(" ").count(), 0);
    }

    #[test]
    fn neighbours_are_read() {
        let read: Vec<_> = peers("calls=a answers=b calls= b=c").collect();
        let bad = [Err(BadPeer("calls=")), Err(BadPeer("b=c"))];
        assert_eq!(read, [[Ok((Role::Calls, "a")), Ok((Role::Answers, "b"))], bad].concat());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for word in
            ["pair", "pair=a", "pair=,b", "pair=a,", "pair=a,b,c", "pairs=a,b", "crashes=x", "cores=3"]
        {
            let arguments = std::format!("pair=a,b {word}");
            assert_eq!(words(&arguments).find_map(Result::err), Some(BadArgument(word)));
        }
    }
}
