//! The table of a native subOS: which servers it consists of, what each holds, whom each may call, and what happens when
//! one crashes. Init builds exactly this, and gives no server more than its line says.
//!
//! A manifest says it in text (`[[subos.server]]`); the harness checks that and sends init this, encoded with `postcard`,
//! as the entry [`TABLE`] among the subOS's files. Init believes nothing of it: [`decode`] checks it again.

use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

use crate::plan::{Arguments, EntryName};

/// The name of the file with the table.
pub const TABLE: &str = "servers";
/// Most servers of a subOS.
pub const MAX_SERVERS: usize = 16;
/// Longest encoding of a table, in bytes.
pub const MAX_ENCODED: usize = 16 * 1024;
/// Longest name of a server, in bytes.
pub const NAME_BYTES: usize = 16;

/// A server's name: 1 to [`NAME_BYTES`] characters.
pub type Name = String<NAME_BYTES>;

/// All servers of a subOS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Servers {
    /// In the order in which they are started.
    pub servers: Vec<Server, MAX_SERVERS>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// What the others call it by.
    pub name: Name,
    /// The file with its program.
    pub program: EntryName,
    /// Text for the program.
    pub arguments: Arguments,
    /// Memory of its own, in pages of 4 KiB.
    pub pages: u32,
    /// The core that it begins on; any, if that is not there.
    pub core: Option<u8>,
    /// Whom it may call.
    pub calls: Vec<Call, MAX_SERVERS>,
    /// What happens when it crashes.
    pub restart: Restart,
}

/// A server that another may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Which, by its place in the table.
    pub server: u8,
    /// The rights of its interface that the caller may have, by their bits.
    pub rights: u16,
}

/// What happens when a server crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// It is started again so often; then it stays dead.
    pub times: u32,
    /// How long after the first crash, in milliseconds. Each further crash doubles that.
    pub after_ms: u32,
    /// But never longer than this, in milliseconds.
    pub at_most_ms: u32,
}

impl Restart {
    /// How many milliseconds pass between a crash and the next start, if there is one: `crashes` counts this one.
    #[must_use]
    pub fn delay(self, crashes: u32) -> Option<u64> {
        let before = crashes.checked_sub(1)?;
        let doubled = u64::from(self.after_ms).saturating_mul(1 << before.min(32));
        (crashes <= self.times).then(|| doubled.min(u64::from(self.at_most_ms)))
    }
}

/// Why bytes are not a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServersError {
    /// The encoding is damaged, or something is longer than its bound.
    Encoding,
    /// Bytes follow the table.
    Trailing,
    /// A name is empty, or two servers have the same.
    BadName,
    /// A server may call one that is not there, or the same one twice.
    BadCall,
    /// The buffer is too small.
    BufferTooSmall,
}

impl core::fmt::Display for ServersError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Encoding => "the encoding is damaged, or something is longer than its bound",
            Self::Trailing => "bytes follow the table",
            Self::BadName => "a server's name is empty or taken twice",
            Self::BadCall => "a server may call one that is not there, or one twice",
            Self::BufferTooSmall => "the buffer is too small",
        })
    }
}

impl core::error::Error for ServersError {}

/// Encodes a table into the beginning of `buffer`.
///
/// # Errors
/// [`ServersError::BufferTooSmall`], or whatever [`decode`] would find wrong with it.
pub fn encode<'b>(table: &Servers, buffer: &'b mut [u8]) -> Result<&'b [u8], ServersError> {
    table.check()?;
    postcard::to_slice(table, buffer).map(|bytes| &*bytes).map_err(|_| ServersError::BufferTooSmall)
}

/// Decodes a table and checks it.
///
/// # Errors
/// The first thing that is wrong.
pub fn decode(bytes: &[u8]) -> Result<Servers, ServersError> {
    let (table, rest) = postcard::take_from_bytes::<Servers>(bytes).map_err(|_| ServersError::Encoding)?;
    if !rest.is_empty() {
        return Err(ServersError::Trailing);
    }
    table.check()?;
    Ok(table)
}

impl Servers {
    /// The rights with which one server may call another; none, if it may not.
    #[must_use]
    pub fn allows(&self, caller: usize, server: usize) -> Option<u16> {
        let calls = &self.servers.get(caller)?.calls;
        calls.iter().find(|call| usize::from(call.server) == server).map(|call| call.rights)
    }

    fn check(&self) -> Result<(), ServersError> {
        for (index, server) in self.servers.iter().enumerate() {
            let taken = self.servers.iter().take(index).any(|earlier| earlier.name == server.name);
            if server.name.is_empty() || server.program.is_empty() || taken {
                return Err(ServersError::BadName);
            }
            for (place, call) in server.calls.iter().enumerate() {
                let twice = server.calls.iter().take(place).any(|earlier| earlier.server == call.server);
                if usize::from(call.server) >= self.servers.len() || twice {
                    return Err(ServersError::BadCall);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, calls: &[(u8, u16)]) -> Server {
        Server {
            name: name.try_into().unwrap(),
            program: "program".try_into().unwrap(),
            arguments: Arguments::new(),
            pages: 64,
            core: None,
            calls: calls.iter().map(|&(server, rights)| Call { server, rights }).collect(),
            restart: Restart { times: 3, after_ms: 10, at_most_ms: 35 },
        }
    }

    fn table(servers: &[Server]) -> Servers {
        Servers { servers: servers.iter().cloned().collect() }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let table = table(&[server("kv", &[]), server("client", &[(0, 3)])]);
        let mut buffer = [0; MAX_ENCODED];
        let bytes = encode(&table, &mut buffer).unwrap();
        assert_eq!(decode(bytes), Ok(table.clone()));
        assert_eq!((table.allows(1, 0), table.allows(0, 1), table.allows(9, 0)), (Some(3), None, None));
    }

    #[test]
    fn the_largest_table_fits() {
        let all: [(u8, u16); MAX_SERVERS] =
            core::array::from_fn(|index| (u8::try_from(index).unwrap(), u16::MAX));
        let mut servers = table(&[]);
        for index in 0..MAX_SERVERS {
            let mut one = server(&std::format!("abcdefghijklmn{index:02}"), &all);
            (one.pages, one.core) = (u32::MAX, Some(u8::MAX));
            one.arguments = core::iter::repeat_n('x', one.arguments.capacity()).collect();
            one.program = core::iter::repeat_n('x', one.program.capacity()).collect();
            one.restart = Restart { times: u32::MAX, after_ms: u32::MAX, at_most_ms: u32::MAX };
            servers.servers.push(one).unwrap();
        }
        let mut buffer = [0; MAX_ENCODED];
        let bytes = encode(&servers, &mut buffer).unwrap();
        assert_eq!(decode(bytes), Ok(servers));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let mut buffer = [0; 1024];
        let bad = [
            (table(&[server("", &[])]), ServersError::BadName),
            (table(&[server("a", &[]), server("a", &[])]), ServersError::BadName),
            (table(&[server("a", &[(1, 0)])]), ServersError::BadCall),
            (table(&[server("a", &[(0, 0), (0, 1)])]), ServersError::BadCall),
        ];
        for (table, error) in bad {
            assert_eq!(encode(&table, &mut buffer), Err(error));
            let bytes = postcard::to_slice(&table, &mut buffer).unwrap();
            assert_eq!(decode(bytes), Err(error));
        }
        assert_eq!(decode(&[1, 2, 3]), Err(ServersError::Encoding));
        assert_eq!(decode(&[0, 0]), Err(ServersError::Trailing));
        assert_eq!(encode(&table(&[server("a", &[])]), &mut [0; 4]), Err(ServersError::BufferTooSmall));
    }

    #[test]
    fn delays_double_up_to_a_bound_and_end() {
        let restart = Restart { times: 4, after_ms: 10, at_most_ms: 35 };
        let delays: std::vec::Vec<_> = (0..6).map(|crashes| restart.delay(crashes)).collect();
        assert_eq!(delays, [None, Some(10), Some(20), Some(35), Some(35), None]);
        let endless = Restart { times: u32::MAX, after_ms: u32::MAX, at_most_ms: u32::MAX };
        assert_eq!(endless.delay(u32::MAX), Some(u64::from(u32::MAX)));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_are_a_sound_table_or_refused(bytes: std::vec::Vec<u8>) {
            if let Ok(table) = decode(&bytes) {
                proptest::prop_assert_eq!(table.check(), Ok(()));
            }
        }
    }
}
