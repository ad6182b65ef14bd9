//! Keeps a sum: a whole service, as `cargo run -- new-service NAME` writes one. `docs/guide` goes through it.
//!
//! Reading order: [`Sample`] (the interface), [`Keeper`] (the server), [`round`] (what the client does over and over). The
//! two programs are `server.rs` and `client.rs`; what can be tested on the host is here.
#![no_std]
#![forbid(unsafe_code)]

use idl::interface::{CallError, Caller, Transport};

/// The greatest sum.
pub const MOST: u64 = 1 << 40;

/// Why the service refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, idl::Word)]
pub enum SampleError {
    /// The sum would be greater than [`MOST`].
    TooMuch = 1,
}

/// Keeps a sum.
#[idl::interface(version = 1, rights(READ, WRITE))]
pub trait Sample {
    /// Adds to the sum, and answers with what it is then.
    #[requires(WRITE)]
    fn add(&self, amount: u64) -> Result<u64, SampleError>;
    /// The sum.
    #[requires(READ)]
    #[idempotent]
    fn sum(&self) -> u64;
}

/// The server: what it keeps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keeper {
    sum: u64,
}

impl SampleServer for Keeper {
    fn add(&mut self, _: Caller<Sample>, amount: u64) -> Result<u64, SampleError> {
        let sum = self.sum.checked_add(amount).filter(|sum| *sum <= MOST);
        self.sum = sum.ok_or(SampleError::TooMuch)?;
        Ok(self.sum)
    }

    fn sum(&mut self, _: Caller<Sample>) -> u64 {
        self.sum
    }
}

/// What the client does over and over: it adds one, and says whether the sum is one more than it was.
///
/// # Errors
/// The service's own, and what a call can fail with.
pub fn round<T: Transport>(client: &SampleClient<T>) -> Result<bool, CallError<SampleError>> {
    let before = client.sum().map_err(CallError::widen)?;
    Ok(client.add(1)? == before + 1)
}

#[cfg(test)]
mod tests {
    use idl::interface::{Access, Generation, InProcess, Session};
    use idl::peer::schema::hold;
    use idl::peer::{Failing, Failure, attack};

    use super::*;

    /// The server in this process, for a caller with these rights.
    fn server(access: Access<Sample>) -> InProcess<SampleDispatch<Keeper>> {
        InProcess::with_session(SampleDispatch(Keeper::default()), Session::new(1, access))
    }

    #[test]
    fn it_adds_up_to_its_bound() {
        let client = SampleClient::connect(server(Sample::READ | Sample::WRITE)).unwrap();
        assert_eq!(client.add(40), Ok(40));
        assert_eq!(client.add(2), Ok(42));
        for amount in [MOST, u64::MAX] {
            assert_eq!(client.add(amount), Err(CallError::Refused(SampleError::TooMuch)));
        }
        assert_eq!(client.sum(), Ok(42), "what was refused changes nothing");
        assert_eq!(client.add(MOST - 42), Ok(MOST));
    }

    #[test]
    fn who_may_read_cannot_add() {
        let client = SampleClient::connect(server(Sample::READ)).unwrap();
        assert!(matches!(client.add(1), Err(CallError::Denied(_))));
        assert_eq!(client.sum(), Ok(0));
    }

    #[test]
    fn the_client_sees_a_sum_that_is_wrong() {
        let mock = SampleMock::new().sum(|_| 7).add(|_, _| Ok(9));
        let session = Session::new(1, Sample::READ | Sample::WRITE);
        let client = SampleClient::connect(InProcess::with_session(SampleDispatch(mock), session)).unwrap();
        assert_eq!(round(&client), Ok(false));
    }

    #[test]
    fn the_client_is_told_when_the_server_dies() {
        // Call 0 opens the connection, 1 asks for the sum, 2 adds.
        let dies = |call| (call == 2).then_some(Failure::DiesAfter);
        let client = SampleClient::connect(Failing::new(server(Sample::READ | Sample::WRITE), dies)).unwrap();
        assert_eq!(round(&client), Err(CallError::Dead(Generation::FIRST)));
        client.reconnect().unwrap();
        assert_eq!(round(&client), Ok(true));
    }

    #[test]
    fn it_withstands_an_attack() {
        for seed in 0..10 {
            attack(&mut SampleDispatch(Keeper::default()), seed);
        }
    }

    #[test]
    fn its_schema_is_the_committed_one() {
        hold::<Sample>(concat!(env!("CARGO_MANIFEST_DIR"), "/sample.schema"));
    }
}
