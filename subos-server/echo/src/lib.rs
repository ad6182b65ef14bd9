//! The smallest native subOS: a server that gives back what it gets, and a client that never stops asking.
//!
//! Design principles
//!
//! 1. *Two servers, two address spaces, one endpoint.* Neither has more than it needs: the server may receive, the
//!    client may call, and the page with the client's count is all that init sees of it.
//! 2. *Every answer is checked.* The count says how many calls came back right; a wrong answer is a crash.
//! 3. *A server that goes away is no reason to stop*: init starts it again, and the client calls on.
//!
//! Reading order: [`Echo`] (the interface), [`Answers`] (the server), [`Question`] (what the client asks).
#![no_std]
#![forbid(unsafe_code)]

use idl::interface::Caller;

/// Most bytes of a text to repeat.
pub const TEXT: usize = 256;

/// What the client asks one time in so many is a text, which goes through the message page.
const TEXT_EVERY: u64 = 64;

/// Gives back what it gets.
#[idl::interface]
pub trait Echo {
    /// The same value.
    #[idempotent]
    fn echo(&self, value: u64) -> u64;
    /// The same text.
    #[bytes]
    #[idempotent]
    fn repeat(&self, #[max(TEXT)] text: &str) -> heapless::String<TEXT>;
}

/// The server: it keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answers;

impl EchoServer for Answers {
    fn echo(&mut self, _: Caller<Echo>, value: u64) -> u64 {
        value
    }

    fn repeat(&mut self, _: Caller<Echo>, text: &str) -> heapless::String<TEXT> {
        // It fits: the method says so.
        heapless::String::try_from(text).unwrap_or_default()
    }
}

/// One question of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, on the client's stack")]
pub enum Question {
    /// A value, in registers.
    Value(u64),
    /// A text, in the message page.
    Text(heapless::String<TEXT>),
}

impl Question {
    /// The question of this number: no two in a row are alike.
    #[must_use]
    pub fn number(number: u64) -> Self {
        // The multiplier of Knuth's linear congruential generator spreads the bits.
        let value = number.wrapping_mul(6_364_136_223_846_793_005).rotate_left(29);
        if !number.is_multiple_of(TEXT_EVERY) {
            return Self::Value(value);
        }
        let mut text = heapless::String::new();
        let letters = usize::from(value.to_le_bytes()[0]) % TEXT;
        for index in 0..letters as u64 {
            let letter = b'a' + u8::try_from((value ^ index) % 26).unwrap_or(0);
            // It fits: there are fewer than TEXT.
            let _ = text.push(char::from(letter));
        }
        Self::Text(text)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use idl::interface::InProcess;
    use idl::peer::attack;
    use idl::peer::schema::hold;
    use idl::types::Badge;

    use super::*;

    #[test]
    fn answers_are_what_was_asked() {
        let client = EchoClient::connect(InProcess::new(EchoDispatch(Answers), Badge(0))).unwrap();
        for number in 0..1000 {
            match Question::number(number) {
                Question::Value(value) => assert_eq!(client.echo(value), Ok(value)),
                Question::Text(text) => assert_eq!(client.repeat(&text).as_deref(), Ok(text.as_str())),
            }
        }
    }

    #[test]
    fn it_withstands_an_attack() {
        for seed in 0..10 {
            attack(&mut EchoDispatch(Answers), seed);
        }
    }

    #[test]
    fn its_schema_is_the_committed_one() {
        hold::<Echo>(concat!(env!("CARGO_MANIFEST_DIR"), "/echo.schema"));
    }

    #[test]
    fn questions_differ() {
        let seen: std::collections::BTreeSet<_> =
            (0..1000).map(|number| std::format!("{:?}", Question::number(number))).collect();
        assert!(seen.len() > 990);
    }
}
