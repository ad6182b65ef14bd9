//! Transcript records: how the machine tells the harness facts, one line each.
//!
//! ```text
//! @own t=81234 core=2 owner=echo
//! @out subos=batch data=hello%0A
//! ```
//!
//! The transcript is plain text for people. A line that begins with `@` is a record: a name, then `key=value`
//! separated by single spaces. Names and keys are lower-case letters, digits, `_` and `-`. In a value, every byte
//! but the printable ASCII ones other than space and `%` is written as `%` and two hexadecimal digits, so a value
//! can carry any bytes and a line never breaks in the middle. Neither side needs an allocator.
//!
//! The supervisor writes these. `t` is the deadline clock; a subOS goes by its name in the plan, and the supervisor's
//! own is `supervisor`.
//!
//! | record | says |
//! | --- | --- |
//! | `@boot t= hz= cores= memory=` | the machine as the supervisor found it; memory in MiB |
//! | `@own t= core= owner=` | who has a core now: a subOS, or `free`, or `lost` (it does not answer) |
//! | `@mem t= subos= chunks=` | how many chunks of 2 MiB a subOS has now |
//! | `@out subos= data=` | bytes that a subOS wrote to its console; all of them in order are its output |
//! | `@step t= n= result= text=` | step n of the plan, from 0: `begin`, then `ok` or `failed` with the reason |
//! | `@order t= what= result= text=` | what an operator ordered has been done: `ok`; or `failed`, with the reason |
//! | `@beat t= subos= n= before= after= during= holds= longest=` | a subOS of duty between the first and the last action of step n: its own count when first and when last looked at, how far its kernel's count went meanwhile, in how many holds of the operation it was seen to go on, and the longest time between two of what it counts itself, in ticks; 0 if it does not measure that |
//! | `@busy t= subos= core= n= by= before= after=` | immediately before step n took the core, or its owner's life, this count of the kernel's grew on it |
//! | `@lot t= subos= lot= looked= used=` | what a subOS says its lot holds: pages looked at, and pages not all zero |
//! | `@core t= subos= core= answer=` | what a subOS says to a request for one of its cores: `given`, or `needed` |
//! | `@refused t= n= part= text=` | of what step n moves at once nothing changes hands, because of this part |
//! | `@asks t= subos= peer= text=` | a subOS asks for a window to another; with `text=`, why it is refused |
//! | `@window t= state= one= lot= other= peer=` | a window is `open`: this lot of one's, that of the other's (`peer=`), and nobody's else; or `half`, when one is gone (whose number is then empty), or `closed` |
//! | `@exit subos= status=` | a subOS has done what it was for |
//! | `@crash subos= [program=] times= vector= address= rip=` | a server of a subOS crashed; with `program=` (its first), a thread that nobody there looks after |
//! | `@crash subos=supervisor times= vector= address= rip= text= trace=` | the supervisor itself crashed; what it said, with the place, and the addresses to which the calls that led there would have returned, innermost first. Its keeper says this, and that it is started again (`@restart`) |
//! | `@resume t= subos= n= found= order= text=` | a supervisor that was started again has found so many subOSes and goes on with step n; what was in flight, and what is to become of it |
//! | `@epitaph subos= text=` | a subOS's kernel was condemned; what it said |
//! | `@restart subos= times=` | a subOS that died is built again |
//! | `@stat subos= core= KEY=...` | what a subOS did on a core; the harness knows from the plan which counts must not be 0 |
//! | `@missing subos= call= times=` | a subOS's programs asked for a system call that it does not have |
//! | `@starved subos= times=` | a subOS had no memory left, and ended so many of its programs for that by now |
//! | `@ledger result= text=` | the comparison with the ledger at the start: `equal`, or `different` with the first difference |
//! | `@audit result= entries= text=` | the audit: `ok` or `failed` |
//! | `@watch t= at=` | `begin` and `end` of a time in which nothing changes hands |
//! | `@hold resource= first= count= state= owner= lot=` | before a watch begins and after it ends: what the ledger says of so many cores or chunks, from the first on; owners by number |
//! | `@places areas= area= shares= share= books=` | with them: where in memory the core areas, the shares and the books lie, and the bytes of one area and one share |
//! | `@test result= message=` | how the run ended: `ok` or `failed` with the first reason |

use core::fmt::{self, Display, Write};

/// Writes one record to a stream of text.
#[derive(Debug)]
#[must_use = "a record is a line only after `end`"]
pub struct RecordWriter<'w, W: Write> {
    out: &'w mut W,
}

impl<'w, W: Write> RecordWriter<'w, W> {
    /// Begins a record. The stream should be at the beginning of a line.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn begin(out: &'w mut W, name: &str) -> Result<Self, fmt::Error> {
        debug_assert!(is_word(name), "a record's name is a word");
        write!(out, "@{name}")?;
        Ok(Self { out })
    }

    /// Adds a field with whatever text `value` shows.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn field(self, key: &str, value: impl Display) -> Result<Self, fmt::Error> {
        debug_assert!(is_word(key), "a record's key is a word");
        write!(self.out, " {key}=")?;
        write!(Encoder { out: self.out }, "{value}")?;
        Ok(self)
    }

    /// Adds a field with these bytes.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn bytes(self, key: &str, value: &[u8]) -> Result<Self, fmt::Error> {
        debug_assert!(is_word(key), "a record's key is a word");
        write!(self.out, " {key}=")?;
        encode(self.out, value)?;
        Ok(self)
    }

    /// Ends the line.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn end(self) -> fmt::Result {
        self.out.write_char('\n')
    }
}

/// Encodes the text that passes through it.
struct Encoder<'w, W: Write> {
    out: &'w mut W,
}

impl<W: Write> Write for Encoder<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        encode(self.out, text.as_bytes())
    }
}

fn encode(out: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|&byte| {
        if is_plain(byte) { out.write_char(char::from(byte)) } else { write!(out, "%{byte:02X}") }
    })
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'%'
}

fn is_word(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    !text.is_empty() && text.bytes().all(good)
}

/// One record of a transcript, borrowed from its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What the record is about.
    pub name: &'a str,
    fields: &'a str,
}

impl<'a> Record<'a> {
    /// Reads a line, with or without its end. `None` if it is not a record, or a damaged one: text for people.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<Self> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let (name, fields) = line.strip_prefix('@').map(|rest| rest.split_once(' ').unwrap_or((rest, "")))?;
        let good = |pair: &str| {
            pair.split_once('=').is_some_and(|(key, value)| is_word(key) && Value(value).is_well_formed())
        };
        let whole = fields.is_empty() != line.contains(' ');
        let all_good = fields.is_empty() || fields.split(' ').all(good);
        (is_word(name) && whole && all_good).then_some(Self { name, fields })
    }

    /// The fields, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
        self.fields.split(' ').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (key, Value(value)))
    }

    /// The first field with this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.fields().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    /// The first field with this key as a decimal number.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.number()
    }
}

/// The value of a field, still encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    /// The value as it stands in the line.
    #[must_use]
    pub const fn encoded(&self) -> &'a str {
        self.0
    }

    /// The value as a decimal number.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// The bytes that the value stands for.
    pub fn bytes(&self) -> impl Iterator<Item = u8> + use<'a> {
        let mut rest = self.0.bytes();
        core::iter::from_fn(move || match rest.next()? {
            b'%' => Some(hex(rest.next()?)? << 4 | hex(rest.next()?)?),
            byte => Some(byte),
        })
    }

    /// Whether the bytes that the value stands for are those of `text`.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.bytes().eq(text.bytes())
    }

    /// Only plain characters, and after each `%` two hexadecimal digits.
    fn is_well_formed(&self) -> bool {
        let mut rest = self.0.bytes();
        while let Some(byte) = rest.next() {
            let mut digit = || rest.next().and_then(hex).is_some();
            let good = if byte == b'%' { digit() && digit() } else { is_plain(byte) };
            if !good {
                return false;
            }
        }
        true
    }
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
