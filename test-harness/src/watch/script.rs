//! The language of scripts: one operation a line, with names for capabilities and resources.
//!
//! ```text
//! # memory, an object, a copy
//! plant memory Untyped 16
//! retype memory door Endpoint
//! derive door client READ CALL DERIVE badge 7
//! revoke door
//! ```

use crate::failure::{Failure, Result};

/// A line of a script: a verb and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// What to do.
    pub verb: String,
    /// With what.
    pub words: Vec<String>,
}

/// The lines of a script that are not empty. `#` begins a comment.
#[must_use]
pub fn parse(text: &str) -> Vec<Line> {
    let line = |(number, line): (usize, &str)| {
        let mut words = line.split('#').next().unwrap_or("").split_whitespace().map(str::to_owned);
        let verb = words.next()?;
        Some(Line { number, verb, words: words.collect() })
    };
    (1..).zip(text.lines()).filter_map(line).collect()
}

impl Line {
    /// The word at a place, which the reader of an error is told about as `what`.
    ///
    /// # Errors
    /// When there is none.
    pub fn word(&self, place: usize, what: &str) -> Result<&str> {
        let word = self.words.get(place).map(String::as_str);
        word.ok_or_else(|| Failure::new(format!("`{}` needs {what}", self.verb)))
    }

    /// The number at a place.
    ///
    /// # Errors
    /// When there is none.
    pub fn number_at(&self, place: usize, what: &str) -> Result<u64> {
        let word = self.word(place, what)?;
        word.parse().map_err(|_| Failure::new(format!("`{word}` is no number of {what}")))
    }

    /// That no words are left from this place on.
    ///
    /// # Errors
    /// When there are.
    pub fn ends_at(&self, place: usize) -> Result<()> {
        match self.words.get(place) {
            None => Ok(()),
            Some(word) => Err(Failure::new(format!("`{word}` is too much for `{}`", self.verb))),
        }
    }
}

/// What `--help` says of scripts.
pub const HELP: &str = "\
A script has one operation a line; `#` begins a comment. NAME is a new name, CAP an earlier one; TABLE[n] is slot n of a
table. Amounts of memory are in pages of 4 KiB, sizes of tables in slots. A line may be refused: that is shown too.

  plant NAME KIND [SIZE]            a root, as the ledger plants it: Untyped, Region, Core...
  retype CAP NAME KIND [SIZE]       an object made of an Untyped: CSpace, Thread, Endpoint, Region, AddressSpace...
  derive CAP NAME [RIGHTS] [badge N] [part PAGE PAGES]
                                    a copy; RIGHTS are READ WRITE EXECUTE DERIVE CALL RECEIVE MANAGE, all if none
  bind CAP CAP NAME                 a region to an address space
  move CAP NAME                     NAME may be TABLE[n]
  lock CAP / land CAP NAME / unlock CAP
                                    a move in flight: it waits in its slot, and lands or goes back
  watch CAP                         the kernel wants to hear when it goes
  mark CAP                          a revoke is accepted; nothing is removed yet
  revoke CAP [by N]                 what derives from it goes, N capabilities a step (1 if not said), to the end
  delete CAP [by N]                 the same, and itself
  sweep [by N]                      tables that fell are emptied
  reset CAP [by N]                  all that was made of an Untyped goes, its memory is cleared
  lookup CAP                        whether it can be used now

  machine CORES CHUNKS              a ledger, with everything in the pool
  create NAME                       a subOS; the first is the supervisor's
  grant core N to NAME              a core
  grant lot NAME CHUNKS to NAME [home]
                                    a lot of memory, under a new name
  reclaim core N / reclaim LOT      taking it back begins
  revoked / quiesced / scrubbed / quarantine core N or LOT
                                    its steps: nobody has authority over it, nobody can reach it, it is cleared; or given up
  destroy NAME / destroyed NAME     the beginning and the end of a destruction";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_words_without_comments() {
        let lines = parse("# nothing\n\n plant memory Untyped 16 # sixteen\n");
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].number, lines[0].verb.as_str()), (3, "plant"));
        assert_eq!(lines[0].words, ["memory", "Untyped", "16"]);
        assert_eq!(lines[0].number_at(2, "size").ok(), Some(16));
        assert!(lines[0].number_at(1, "size").is_err() && lines[0].word(3, "more").is_err());
        assert!(lines[0].ends_at(3).is_ok() && lines[0].ends_at(2).is_err());
    }
}
