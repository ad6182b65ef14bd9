//! The directory: a thread of init that hands out connections, exactly those that the table allows.
//!
//! The table does not change, so the desk needs nothing of init's but a copy of the endpoints. Who asks is known by the
//! badge of the capability that each server was given.

use alloc::sync::Arc;
use alloc::vec::Vec;

use caps::{Error, Rights};
use idl::interface::{Access, Caller, Moved, Session, right};
use idl::servers::Servers as Table;
use idl::types::Badge;
use userlib::cap::{Cap, Endpoint, Thread};
use userlib::directory::{Directory, DirectoryDispatch, DirectoryError, DirectoryServer, words_of};
use userlib::server::Service;
use userlib::{memory, thread};

/// The badge of a server's way to the directory. Sessions are counted from 1: a capability without a badge is nobody's.
#[must_use]
pub fn badge(server: usize) -> Badge {
    Session::<Directory>::new(number(server), Access::NONE).badge()
}

fn number(server: usize) -> u32 {
    u32::try_from(server).map_or(0, |server| server.saturating_add(1))
}

/// What the table says when a server asks for another.
///
/// # Errors
/// `NoSuchServer`, `NotInTable`.
pub fn look_up(table: &Table, caller: u32, name: [u64; 2], rights: u16) -> Result<usize, DirectoryError> {
    let named = |line: &idl::servers::Server| words_of(&line.name) == Some(name);
    let server = table.servers.iter().position(named).ok_or(DirectoryError::NoSuchServer)?;
    let caller = usize::try_from(caller).ok().and_then(|number| number.checked_sub(1));
    let allowed = caller.and_then(|caller| table.allows(caller, server));
    let enough = allowed.is_some_and(|allowed| rights & !allowed == 0);
    if enough { Ok(server) } else { Err(DirectoryError::NotInTable) }
}

struct Desk {
    table: Arc<Table>,
    endpoints: Vec<Cap<Endpoint>>,
}

impl DirectoryServer for Desk {
    fn open(
        &mut self,
        caller: Caller<Directory>,
        begin: u64,
        end: u64,
        rights: u16,
    ) -> Result<Moved<Endpoint, { right::CALL }>, DirectoryError> {
        let server = look_up(&self.table, caller.number(), [begin, end], rights)?;
        let endpoint = self.endpoints.get(server).ok_or(DirectoryError::NoSuchServer)?;
        // The server that is called tells its clients apart by the same numbers. What can be moved can be handed on: a
        // server that may call another can always do so for a third.
        let session = Session::<()>::new(caller.number(), Access::from_bits(rights));
        let way = memory::mint(*endpoint, Rights::CALL | Rights::DERIVE, session.badge());
        way.map(Cap::give).map_err(|_| DirectoryError::NoRoom)
    }
}

/// Serves the directory at this endpoint, in a thread of its own: this one.
///
/// # Errors
/// Those of making a thread and a reply object.
pub fn open(
    endpoint: Cap<Endpoint>,
    table: Arc<Table>,
    endpoints: Vec<Cap<Endpoint>>,
) -> Result<Cap<Thread>, Error> {
    let mut desk = DirectoryDispatch(Desk { table, endpoints });
    let service = Service::on(endpoint)?;
    thread::spawn(move || service.serve(&mut desk)).map(|desk| desk.thread())
}

#[cfg(test)]
mod tests {
    use idl::peer::attack;
    use idl::plan::Arguments;
    use idl::servers::{Call, Restart, Server};

    use super::*;

    fn table() -> Table {
        let line = |name: &str, calls: &[(u8, u16)]| Server {
            name: name.try_into().unwrap(),
            program: "program".try_into().unwrap(),
            arguments: Arguments::new(),
            pages: 1,
            core: None,
            calls: calls.iter().map(|&(server, rights)| Call { server, rights }).collect(),
            restart: Restart { times: 0, after_ms: 0, at_most_ms: 0 },
        };
        Table { servers: [line("kv", &[]), line("client", &[(0, 0b01)])].into_iter().collect() }
    }

    #[test]
    fn the_table_decides() {
        let table = table();
        let ask = |caller, server: &str, rights| look_up(&table, caller, words_of(server).unwrap(), rights);
        assert_eq!(ask(2, "kv", 0b01), Ok(0));
        assert_eq!(ask(2, "kv", 0), Ok(0));
        assert_eq!(ask(2, "kv", 0b11), Err(DirectoryError::NotInTable));
        assert_eq!(ask(1, "client", 0), Err(DirectoryError::NotInTable));
        assert_eq!(ask(2, "ka", 0), Err(DirectoryError::NoSuchServer));
        for nobody in [0, 3, u32::MAX] {
            assert_eq!(ask(nobody, "kv", 0), Err(DirectoryError::NotInTable));
        }
        assert_eq!(words_of("a name with seventeen"), None);
    }

    #[test]
    fn it_withstands_an_attack() {
        for seed in 0..10 {
            attack(&mut DirectoryDispatch(Desk { table: Arc::new(table()), endpoints: Vec::new() }), seed);
        }
    }
}
