//! The arguments: which servers to start.
//!
//! `pair=SERVER,CLIENT` starts both on every core, with an endpoint between them that the server receives from and
//! the client calls; it may be given several times. `crashes=N` says how often each may crash before it is left dead.
//! Other words, `log=` for instance, are for the library.

use alloc::vec::Vec;

/// How often a server may crash if the arguments do not say.
const CRASHES: u32 = 3;

/// Two servers that belong together, by the names of their programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairNames<'a> {
    /// Who receives.
    pub server: &'a str,
    /// Who calls, and counts.
    pub client: &'a str,
}

/// What the arguments ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config<'a> {
    /// The pairs to start on every core.
    pub pairs: Vec<PairNames<'a>>,
    /// How often each server is started again.
    pub crashes: u32,
}

/// What is wrong with the arguments: this word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadArgument<'a>(pub &'a str);

impl core::fmt::Display for BadArgument<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "the argument {} is not pair=SERVER,CLIENT or crashes=N", self.0)
    }
}

impl<'a> Config<'a> {
    /// Reads the arguments.
    ///
    /// # Errors
    /// The first word that is wrong.
    pub fn parse(arguments: &'a str) -> Result<Self, BadArgument<'a>> {
        let mut config = Self { pairs: Vec::new(), crashes: CRASHES };
        for word in arguments.split_whitespace() {
            let bad = BadArgument(word);
            match word.split_once('=').ok_or(bad)? {
                ("pair", names) => {
                    let (server, client) = names.split_once(',').ok_or(bad)?;
                    if server.is_empty() || client.is_empty() || client.contains(',') {
                        return Err(bad);
                    }
                    config.pairs.push(PairNames { server, client });
                }
                ("crashes", number) => config.crashes = number.parse().map_err(|_| bad)?,
                ("log", _) => {}
                _ => return Err(bad),
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read() {
        let config = Config::parse("pair=echo-server,echo-client log=debug crashes=1").unwrap();
        assert_eq!(config.pairs, [PairNames { server: "echo-server", client: "echo-client" }]);
        assert_eq!(config.crashes, 1);
        assert_eq!(Config::parse("").unwrap().pairs, []);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for word in ["pair", "pair=a", "pair=,b", "pair=a,", "pair=a,b,c", "crashes=x", "cores=3"] {
            let arguments = alloc::format!("pair=a,b {word}");
            assert_eq!(Config::parse(&arguments), Err(BadArgument(word)));
        }
    }
}
