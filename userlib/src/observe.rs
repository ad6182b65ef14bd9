//! Which errors this program has seen from which methods: for the suite that wants to see every declared one.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};

use caps::{Error, Kind};
use idl::abi::{OpWord, ResultWord};
use idl::kernel::OBJECTS;
use idl::record::RecordWriter;

/// Methods have numbers below this.
const METHODS: usize = 32;

/// A bit for each error's number, by kind and method.
static SEEN: [[AtomicU64; METHODS]; Kind::ALL.len()] =
    [const { [const { AtomicU64::new(0) }; METHODS] }; Kind::ALL.len()];

/// Notes what came of an invocation.
pub fn note(op: OpWord, result: ResultWord) {
    if let Err(error) = result.status() {
        let methods = SEEN.get(usize::from(op.kind_number()));
        if let Some(seen) = methods.and_then(|methods| methods.get(usize::from(op.method()))) {
            seen.fetch_or(1 << error.number(), Ordering::Relaxed);
        }
    }
}

/// Writes a record `@pair method=Kind.method error=Name` for each pair seen so far, and forgets them. A method that does
/// not exist is `any`.
///
/// # Errors
/// Those of the stream.
pub fn report(out: &mut impl Write) -> fmt::Result {
    for (kind, _, methods) in OBJECTS {
        let seen = SEEN.get(usize::from(kind.number())).into_iter().flatten();
        for (id, errors) in seen.enumerate() {
            let errors = errors.swap(0, Ordering::Relaxed);
            let method = methods.iter().find(|method| usize::from(method.id) == id);
            for error in Error::ALL.iter().filter(|error| errors & 1 << error.number() != 0) {
                let record = RecordWriter::begin(out, "pair")?;
                let record = match method {
                    Some(method) => record.field("method", format_args!("{kind:?}.{}", method.name)),
                    None => record.field("method", "any"),
                };
                record?.field("error", error)?.end()?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;

    #[test]
    fn what_was_refused_is_reported_once() {
        note(OpWord::new(Kind::Uplink, 2), ResultWord::error(Error::Empty));
        note(OpWord::new(Kind::Uplink, 2), ResultWord::error(Error::Empty));
        note(OpWord::new(Kind::Uplink, 31), ResultWord::error(Error::UnknownMethod));
        let mut out = String::new();
        report(&mut out).unwrap();
        assert!(out.contains("@pair method=Uplink.receive error=Empty\n"), "{out}");
        assert!(out.contains("@pair method=any error=UnknownMethod\n"), "{out}");
        let mut again = String::new();
        report(&mut again).unwrap();
        assert!(!again.contains("Uplink.receive"), "{again}");
    }
}
