//! The arguments: which servers to start. [`idl::crew`] has their form.

use alloc::vec::Vec;

pub use idl::crew::{BadArgument, PairNames};
use idl::crew::{Word, words};

/// How often a server may crash if the arguments do not say.
const CRASHES: u32 = 3;

/// What the arguments ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config<'a> {
    /// The pairs to start on every core.
    pub pairs: Vec<PairNames<'a>>,
    /// How often each server is started again.
    pub crashes: u32,
}

impl<'a> Config<'a> {
    /// Reads the arguments.
    ///
    /// # Errors
    /// The first word that is wrong.
    pub fn parse(arguments: &'a str) -> Result<Self, BadArgument<'a>> {
        let mut config = Self { pairs: Vec::new(), crashes: CRASHES };
        for word in words(arguments) {
            match word? {
                Word::Pair(names) => config.pairs.push(names),
                Word::Crashes(number) => config.crashes = number,
                Word::ForLibrary => {}
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
        assert_eq!(Config::parse(""), Ok(Config { pairs: Vec::new(), crashes: CRASHES }));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(Config::parse("pair=a,b pairs=a,b"), Err(BadArgument("pairs=a,b")));
    }
}
