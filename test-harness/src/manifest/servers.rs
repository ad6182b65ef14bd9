//! What is wrong with the servers of a native subOS: `[[subos.server]]`.

use idl::servers::{Call, MAX_SERVERS, Restart, Server, Servers, TABLE};
use toml::Spanned;

use super::check::{bounded, no_program};
use super::complaint::{Complaint, Result};
use super::text;
use crate::image::program_named;

/// Pages of 4 KiB in a KiB's worth of memory: this many KiB each.
const PAGE_KIB: u32 = 4;
/// The most memory of its own that a server can be given, in KiB.
const MOST_MEMORY: u32 = 1 << 20;

/// The table of a subOS, checked; none, if it has no servers.
pub(super) fn servers(subos: &text::SubOs, raw: &text::Manifest) -> Result<Option<Servers>> {
    let Some(first) = subos.server.first() else { return Ok(None) };
    let program = subos.program.get_ref();
    if program != "init" {
        let reason = format!("only init starts servers, and this subOS's program is {program}");
        return Err(Complaint::about(&first.name, reason));
    }
    if let Some(file) = subos.files.iter().find(|file| file.get_ref() == TABLE) {
        return Err(Complaint::about(file, format!("the file {TABLE} is the table of the subOS's servers")));
    }
    let mut table = Servers::default();
    for server in &subos.server {
        let line = one(server, subos, raw)?;
        if table.servers.iter().any(|earlier| earlier.name == line.name) {
            return Err(Complaint::about(&server.name, format!("there are two servers {}", line.name)));
        }
        let many = || Complaint::about(&server.name, format!("there can be at most {MAX_SERVERS} servers"));
        table.servers.push(line).map_err(|_| many())?;
    }
    Ok(Some(table))
}

fn one(server: &text::Server, subos: &text::SubOs, raw: &text::Manifest) -> Result<Server> {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let name = server.name.get_ref();
    if name.is_empty() || !name.bytes().all(word) {
        let reason = "a server's name is of the characters a to z, 0 to 9 and -";
        return Err(Complaint::about(&server.name, reason));
    }
    let program = server.program.get_ref();
    if !raw.files.contains_key(program) && program_named(program).is_none() {
        return Err(Complaint::about(&server.program, no_program(program)));
    }
    if let Some(core) = &server.core
        && !subos.cores.get_ref().iter().any(|own| own.get_ref() == core.get_ref())
    {
        let reason = format!("core {} is not one of the subOS's", core.get_ref());
        return Err(Complaint::about(core, reason));
    }
    let memory = *server.memory.get_ref();
    if memory == 0 || !memory.is_multiple_of(PAGE_KIB) || memory > MOST_MEMORY {
        let reason = format!("a server's memory is a multiple of {PAGE_KIB} KiB, up to {MOST_MEMORY}");
        return Err(Complaint::about(&server.memory, reason));
    }
    Ok(Server {
        name: bounded(&server.name)?,
        program: bounded(&server.program)?,
        arguments: bounded(&server.arguments)?,
        pages: memory / PAGE_KIB,
        core: server.core.as_ref().map(|core| *core.get_ref()),
        calls: calls(server, subos)?,
        restart: restart(&server.restart)?,
    })
}

fn restart(restart: &Spanned<text::Restart>) -> Result<Restart> {
    let text::Restart { times, after, at_most } = *restart.get_ref();
    if at_most < after {
        let reason = format!("a server that rests {after} ms at first cannot rest {at_most} at most");
        return Err(Complaint::about(restart, reason));
    }
    Ok(Restart { times, after_ms: after, at_most_ms: at_most })
}

fn calls(server: &text::Server, subos: &text::SubOs) -> Result<heapless::Vec<Call, MAX_SERVERS>> {
    let mut calls = heapless::Vec::<Call, MAX_SERVERS>::new();
    for call in &server.calls {
        let name = call.server.get_ref();
        let place = subos.server.iter().position(|other| other.name.get_ref() == name);
        let Some((place, callee)) = place.and_then(|place| Some((place, subos.server.get(place)?))) else {
            let known: Vec<&str> = subos.server.iter().map(|other| other.name.get_ref().as_str()).collect();
            let reason = format!("there is no server {name} in this subOS; there are {}", known.join(", "));
            return Err(Complaint::about(&call.server, reason));
        };
        let rights = rights(&call.rights, callee)?;
        let twice = || Complaint::about(&call.server, format!("the server {name} is named twice"));
        let index = u8::try_from(place).map_err(|_| twice())?;
        if calls.iter().any(|earlier| earlier.server == index) {
            return Err(twice());
        }
        calls.push(Call { server: index, rights }).map_err(|_| twice())?;
    }
    Ok(calls)
}

/// The bits of rights of the interface that a server serves, by the names that its committed schema has for them.
fn rights(names: &[Spanned<String>], callee: &text::Server) -> Result<u16> {
    let program = callee.program.get_ref();
    let known = known_rights(program);
    names.iter().try_fold(0, |bits, name| match known.iter().position(|right| right == name.get_ref()) {
        Some(bit) => Ok(bits | 1 << bit),
        None => {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let reason = format!("the interface of {program} has no right {} ({known})", name.get_ref());
            Err(Complaint::about(name, reason))
        }
    })
}

/// The names of the rights that the interface of a program has, by their bits.
pub(crate) fn known_rights(program: &str) -> Vec<String> {
    let schema = program_named(program).and_then(|program| program.schema.as_ref());
    let text = schema.and_then(|path| std::fs::read_to_string(path).ok());
    let line = text.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("rights ")));
    line.map(|line| line.split(", ").map(str::to_owned).collect()).unwrap_or_default()
}
