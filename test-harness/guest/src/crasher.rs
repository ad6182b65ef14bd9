//! Where the supervisor crashes: words of its arguments, `crash=LIFE:SIDE:CALL:NUMBER`.
//!
//! `LIFE` is the supervisor's, from 1, or `every`; `SIDE` is `before` or `after`; `CALL` is a method of the machine's port,
//! or `change` for any that changes something; `NUMBER` counts such calls in that life, from 1. With `damaged=LIFE` there is rubbish in the place of the notes when that life begins.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use supervisor_server::watched::{CHANGES, Watch};

/// One crash that is wanted in this life.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Crash {
    side: Side,
    call: String,
    number: u64,
}

/// On which side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// The crashes that are wanted in this life, and what was called so far.
#[derive(Debug)]
pub struct Crashes {
    wanted: Vec<Crash>,
    calls: Vec<(&'static str, u64)>,
    changes: u64,
}

impl Crashes {
    /// What the arguments say of this life.
    ///
    /// # Errors
    /// The first word that is wrong.
    pub fn read(arguments: &str, life: u16) -> Result<Self, String> {
        let mut wanted = Vec::new();
        for word in arguments.split_whitespace() {
            let Some(crash) = word.strip_prefix("crash=") else { continue };
            let wrong = || format!("{word} is no crash");
            let parts: Vec<&str> = crash.split(':').collect();
            let [when, side, call, number] = parts[..] else { return Err(wrong()) };
            let side = match side {
                "before" => Side::Before,
                "after" => Side::After,
                _ => return Err(wrong()),
            };
            let number = number.parse().map_err(|_| wrong())?;
            if when == "every" || when.parse::<u16>().map_err(|_| wrong())? == life {
                wanted.push(Crash { side, call: call.to_string(), number });
            }
        }
        Ok(Self { wanted, calls: Vec::new(), changes: 0 })
    }

    fn look(&self, side: Side, call: &'static str) {
        let count = self.calls.iter().find(|(known, _)| *known == call).map_or(0, |(_, count)| *count);
        for crash in &self.wanted {
            let here = crash.call == call && crash.number == count;
            let change = crash.call == "change" && CHANGES.contains(&call) && crash.number == self.changes;
            if crash.side == side && (here || change) {
                panic!("as the test wants it: {side:?} {call}, number {count}");
            }
        }
    }
}

impl Watch for Crashes {
    fn before(&mut self, call: &'static str) {
        self.changes += u64::from(CHANGES.contains(&call));
        match self.calls.iter_mut().find(|(known, _)| *known == call) {
            Some((_, count)) => *count += 1,
            None => self.calls.push((call, 1)),
        }
        self.look(Side::Before, call);
    }

    fn after(&mut self, call: &'static str) {
        self.look(Side::After, call);
    }
}
