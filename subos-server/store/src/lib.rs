//! A key-value store: what a service with a state of its own looks like.
//!
//! Design principles
//!
//! 1. *Bounded.* Keys, values and how many there can be have a greatest size, so no client can make the server run out of
//!    memory; the one more is refused.
//! 2. *Rights are the interface's own.* Whoever has READ alone can ask and count; the dispatch refuses the rest before the
//!    server sees it.
//! 3. *It forgets when it dies.* Its clients learn from the generation that it did ([`mod@idl::interface`]), and write again.
//!
//! Reading order: [`Store`] (the interface), [`Shelf`] (the server). `store_client.rs` is a client.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::collections::BTreeMap;

use heapless::String;
use idl::interface::Caller;

/// Longest key, in bytes.
pub const KEY: usize = 32;
/// Longest value, in bytes.
pub const VALUE: usize = 256;
/// Most keys.
pub const ENTRIES: usize = 256;

/// Why the store refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, idl::Word)]
pub enum StoreError {
    /// There is no such key.
    NoSuchKey = 1,
    /// There are [`ENTRIES`] keys already.
    Full,
}

impl core::fmt::Display for StoreError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoSuchKey => "there is no such key",
            Self::Full => "the store is full",
        })
    }
}

/// Keeps a text for each key.
#[idl::interface(version = 1, rights(READ, WRITE))]
pub trait Store {
    /// The value of a key.
    #[requires(READ)]
    #[bytes]
    #[idempotent]
    fn get(&self, #[max(KEY)] key: &str) -> Result<String<VALUE>, StoreError>;
    /// Sets the value of a key.
    #[requires(WRITE)]
    #[bytes]
    #[idempotent]
    fn put(&self, #[max(KEY)] key: &str, #[max(VALUE)] value: &str) -> Result<(), StoreError>;
    /// Forgets a key.
    #[requires(WRITE)]
    #[bytes]
    fn remove(&self, #[max(KEY)] key: &str) -> Result<(), StoreError>;
    /// How many keys there are.
    #[requires(READ)]
    #[idempotent]
    fn count(&self) -> u64;
}

/// The server.
#[derive(Debug, Default)]
pub struct Shelf(BTreeMap<String<KEY>, String<VALUE>>);

impl StoreServer for Shelf {
    fn get(&mut self, _: Caller<Store>, key: &str) -> Result<String<VALUE>, StoreError> {
        // A key that is too long was refused before; here it would be one that is not there.
        let key = String::try_from(key).map_err(|_| StoreError::NoSuchKey)?;
        self.0.get(&key).cloned().ok_or(StoreError::NoSuchKey)
    }

    fn put(&mut self, _: Caller<Store>, key: &str, value: &str) -> Result<(), StoreError> {
        let key = String::try_from(key).map_err(|_| StoreError::Full)?;
        let value = String::try_from(value).map_err(|_| StoreError::Full)?;
        if self.0.len() >= ENTRIES && !self.0.contains_key(&key) {
            return Err(StoreError::Full);
        }
        self.0.insert(key, value);
        Ok(())
    }

    fn remove(&mut self, _: Caller<Store>, key: &str) -> Result<(), StoreError> {
        let key = String::try_from(key).map_err(|_| StoreError::NoSuchKey)?;
        self.0.remove(&key).map(drop).ok_or(StoreError::NoSuchKey)
    }

    fn count(&mut self, _: Caller<Store>) -> u64 {
        self.0.len() as u64
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;

    use idl::interface::{CallError, InProcess, Session};
    use idl::peer::attack;
    use idl::peer::schema::hold;

    use super::*;

    fn client(access: idl::interface::Access<Store>) -> StoreClient<InProcess<StoreDispatch<Shelf>>> {
        let server = StoreDispatch(Shelf::default());
        StoreClient::connect(InProcess::with_session(server, Session::new(1, access))).unwrap()
    }

    #[test]
    fn what_is_put_is_got_until_it_is_removed() {
        let store = client(Store::READ | Store::WRITE);
        assert_eq!(store.get("a"), Err(CallError::Refused(StoreError::NoSuchKey)));
        assert_eq!(store.put("a", "1"), Ok(()));
        assert_eq!(store.put("a", "2"), Ok(()));
        assert_eq!((store.get("a").as_deref(), store.count()), (Ok("2"), Ok(1)));
        assert_eq!(store.remove("a"), Ok(()));
        assert_eq!(store.remove("a"), Err(CallError::Refused(StoreError::NoSuchKey)));
        assert_eq!(store.count(), Ok(0));
    }

    #[test]
    fn it_is_full_some_day_and_says_so() {
        let store = client(Store::READ | Store::WRITE);
        for number in 0..ENTRIES {
            assert_eq!(store.put(&format!("{number}"), "x"), Ok(()));
        }
        assert_eq!(store.put("one more", "x"), Err(CallError::Refused(StoreError::Full)));
        assert_eq!(store.put("7", "y"), Ok(()), "a key that is there can have another value");
        assert_eq!(store.put(&"k".repeat(KEY + 1), "x"), Err(CallError::TooLong));
        assert_eq!(store.put("7", &"v".repeat(VALUE + 1)), Err(CallError::TooLong));
        assert_eq!(store.count(), Ok(ENTRIES as u64));
    }

    #[test]
    fn who_may_read_cannot_write() {
        let store = client(Store::READ);
        assert!(matches!(store.put("a", "1"), Err(CallError::Denied(_))));
        assert!(matches!(store.remove("a"), Err(CallError::Denied(_))));
        assert_eq!(store.count(), Ok(0));
    }

    #[test]
    fn it_withstands_an_attack() {
        for seed in 0..10 {
            attack(&mut StoreDispatch(Shelf::default()), seed);
        }
    }

    #[test]
    fn its_schema_is_the_committed_one() {
        hold::<Store>(concat!(env!("CARGO_MANIFEST_DIR"), "/store.schema"));
    }
}
