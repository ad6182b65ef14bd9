//! Connections to other servers of the same subOS, by name.
//!
//! A subOS is a table: its servers, and whom each may call with which rights (`idl::servers`). Init builds it, and serves
//! [`Directory`] to every server: it hands out exactly the connections that the table allows. The names are the table's, and
//! stay what they are when the server behind one is started again.

use core::time::Duration;

use idl::interface::{Access, CallError, Moved, right};
use idl::kernel::endpoint::Endpoint;
use idl::servers::NAME_BYTES;
use zerocopy::transmute;

use crate::cap::{Cap, cap};
use crate::environment;
use crate::server::Connection;

/// As which number of `Environment::granted` a server of a table has the directory.
pub const GRANTED_DIRECTORY: u32 = 0;
/// As which number it has the endpoint where it receives.
pub const GRANTED_ENDPOINT: u32 = 1;
/// As which number it has the page on which it counts what it does ([`crate::tally`]).
pub const GRANTED_TALLY: u32 = 2;

/// How long the directory may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, idl::Word)]
pub enum DirectoryError {
    /// The table has no server of that name.
    NoSuchServer = 1,
    /// The table does not let this server call that one, or not with these rights.
    NotInTable,
    /// The directory has no memory or no slot left.
    NoRoom,
}

impl core::fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoSuchServer => "the table has no server of that name",
            Self::NotInTable => "the table does not let this server call that one with these rights",
            Self::NoRoom => "the directory has no memory left",
        })
    }
}

/// Hands out connections by name and right.
#[idl::interface(version = 1)]
pub trait Directory {
    /// A connection to the server whose name these two words are ([`words_of`]), with these rights of its interface, by
    /// their bits, and no others.
    fn open(
        &self,
        begin: u64,
        end: u64,
        rights: u16,
    ) -> Result<Moved<Endpoint, { right::CALL }>, DirectoryError>;
}

/// A server's name as two words: it has at most [`NAME_BYTES`], and zeros follow.
#[must_use]
pub fn words_of(name: &str) -> Option<[u64; 2]> {
    let mut bytes = [0; NAME_BYTES];
    bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
    Some(transmute!(bytes))
}

/// The endpoint where this server receives.
#[must_use]
pub fn own_endpoint() -> Cap<Endpoint> {
    cap(environment().granted(GRANTED_ENDPOINT))
}

/// A connection to the server of this name, with these rights of its interface.
///
/// # Errors
/// [`DirectoryError`], and whatever can be wrong with a call.
pub fn open<I>(server: &str, access: Access<I>) -> Result<Connection, CallError<DirectoryError>> {
    let [begin, end] = words_of(server).ok_or(CallError::Refused(DirectoryError::NoSuchServer))?;
    let way = Connection::new(cap(environment().granted(GRANTED_DIRECTORY))).patience(PATIENCE);
    let directory = DirectoryClient::connect(way).map_err(CallError::widen)?;
    Ok(Connection::new(directory.open(begin, end, access.bits())?.cap()))
}
