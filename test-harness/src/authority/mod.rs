//! Who can reach what, as a manifest has it, before anything runs.
//!
//! A manifest says everything that a subOS is given, and init and the supervisor give no more: so who holds what, and who
//! may call whom, can be told from the text alone. What a server can have done by those that it may call is told apart from
//! what it can do itself.

mod live;
mod picture;
mod text;

use std::collections::BTreeSet;

use idl::crew::{self, PairNames};
use idl::plan::{Action, Holder as Owner, SubOsIndex, SubOsPlan};

use crate::manifest::{Manifest, SubOs, known_rights};

pub use live::{Holdings, Running, differences};
pub use picture::picture;
pub use text::text;

/// Who the supervisor is called.
const SUPERVISOR: &str = "supervisor";

/// Who there is, and who may do what with whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authority {
    /// Everybody, the supervisor first, each subOS before its servers.
    pub holders: Vec<Holder>,
    /// Who may reach whom directly.
    pub links: Vec<Link>,
}

/// Somebody who holds capabilities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The name; a server's begins with that of its subOS.
    pub name: String,
    /// Which subOS a server is part of, by its place among the holders.
    pub part_of: Option<usize>,
    /// What is in its hands alone, in words.
    pub holds: Vec<String>,
}

/// That one may reach another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Who, by its place among the holders.
    pub from: usize,
    /// Whom.
    pub to: usize,
    /// With what, in words.
    pub with: String,
    /// How.
    pub kind: Kind,
}

/// How one may reach another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By calls, which the other answers.
    Calls,
    /// By memory and a doorbell that both have. There is a link each way.
    Window,
    /// By records and console bytes, in the share that every subOS is born with.
    Birth,
    /// By having it made.
    Makes,
}

/// Reads it off a manifest.
#[must_use]
pub fn of(manifest: &Manifest) -> Authority {
    let mut authority = Authority::default();
    authority.add(
        SUPERVISOR,
        None,
        vec![
            "the ledger: every core, all memory".to_owned(),
            "it makes, resizes and destroys all others".to_owned(),
        ],
    );
    let mut places = Vec::new();
    for (index, (subos, planned)) in manifest.suboses.iter().zip(&manifest.plan.suboses).enumerate() {
        let number = SubOsIndex(u8::try_from(index).unwrap_or(u8::MAX));
        let place = authority.add(&subos.name, None, resources(manifest, number, planned));
        authority.link(0, place, Kind::Makes, "everything: it can take all of it back");
        authority.link(place, 0, Kind::Birth, "reports, and console bytes");
        authority.servers(place, subos);
        authority.pairs(place, planned);
        places.push(place);
    }
    for window in &manifest.plan.windows {
        let [one, other] = window.between.map(|subos| places.get(usize::from(subos.0)).copied());
        if let (Some(one), Some(other)) = (one, other) {
            let with = format!("{} MiB of memory, and a doorbell", window.size.0 * 2);
            authority.link(one, other, Kind::Window, &with);
            authority.link(other, one, Kind::Window, &with);
        }
    }
    authority
}

impl Authority {
    /// Whom somebody can reach by others that it may call: what those may call in turn, and so on.
    #[must_use]
    pub fn beyond(&self, from: usize) -> BTreeSet<usize> {
        let direct: BTreeSet<usize> = self.callees(from).collect();
        let mut reached = direct.clone();
        let mut waiting: Vec<usize> = direct.iter().copied().collect();
        while let Some(next) = waiting.pop() {
            waiting.extend(self.callees(next).filter(|callee| reached.insert(*callee)));
        }
        reached.retain(|callee| !direct.contains(callee) && *callee != from);
        reached
    }

    fn callees(&self, from: usize) -> impl Iterator<Item = usize> {
        let calls = move |link: &&Link| link.from == from && link.kind == Kind::Calls;
        self.links.iter().filter(calls).map(|link| link.to)
    }

    fn add(&mut self, name: &str, part_of: Option<usize>, holds: Vec<String>) -> usize {
        self.holders.push(Holder { name: name.to_owned(), part_of, holds });
        self.holders.len() - 1
    }

    fn link(&mut self, from: usize, to: usize, kind: Kind, with: &str) {
        self.links.push(Link { from, to, with: with.to_owned(), kind });
    }

    /// The servers of a table.
    fn servers(&mut self, place: usize, subos: &SubOs) {
        let Some(table) = &subos.servers else { return };
        let first = self.holders.len();
        for server in &table.servers {
            let core = server.core.map_or("any core".to_owned(), |core| format!("begins on core {core}"));
            let restart = match server.restart.times {
                0 => "stays dead after a crash".to_owned(),
                times => format!("started again up to {times} times"),
            };
            let memory = format!("{} KiB, and the endpoint where it receives", u64::from(server.pages) * 4);
            let name = format!("{}/{}", subos.name, server.name);
            let server = self.add(&name, Some(place), vec![memory, format!("{core}; {restart}")]);
            self.link(place, server, Kind::Makes, "builds it, and sees its crashes");
        }
        for (caller, server) in table.servers.iter().enumerate() {
            for call in &server.calls {
                let callee = usize::from(call.server);
                let program = table.servers.get(callee).map_or("", |server| server.program.as_str());
                self.link(first + caller, first + callee, Kind::Calls, &rights(program, call.rights));
            }
        }
    }

    /// The pairs that init's arguments name, which run on every core.
    fn pairs(&mut self, place: usize, planned: &SubOsPlan) {
        if planned.program != "init" {
            return;
        }
        for word in crew::words(&planned.arguments) {
            let Ok(crew::Word::Pair(PairNames { server, client })) = word else { continue };
            let [server, client] = [server, client].map(|program| {
                let name = format!("{}/{program}", planned.name);
                let member = self.add(&name, Some(place), vec!["256 KiB on every core".to_owned()]);
                self.link(place, member, Kind::Makes, "builds it, and sees its crashes");
                member
            });
            self.link(client, server, Kind::Calls, "all that it serves, on the same core");
        }
    }
}

/// The rights with these bits, by the names that the interface of a program has for them.
fn rights(program: &str, bits: u16) -> String {
    let known = known_rights(program);
    let names =
        known.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 != 0).map(|(_, name)| name.as_str());
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "what needs no right".to_owned() } else { names.join(", ") }
}

/// What a subOS has: at the start, and what steps may bring.
fn resources(manifest: &Manifest, number: SubOsIndex, planned: &SubOsPlan) -> Vec<String> {
    let mut later = BTreeSet::new();
    let mut lots = 0;
    for step in &manifest.plan.steps {
        match step.action {
            Action::MoveCore { core, to: Owner::SubOs(to), .. } if to == number => {
                later.extend((planned.cores >> core.0 & 1 == 0).then_some(core.0));
            }
            Action::Resize(resize) if resize.to == Owner::SubOs(number) && resize.refused.is_none() => {
                let new =
                    (0..64u8).filter(|core| resize.cores >> core & 1 != 0 && planned.cores >> core & 1 == 0);
                later.extend(new);
                lots += resize.lots().count() + resize.memory().count();
            }
            Action::MoveLot { to: Owner::SubOs(to), .. } | Action::GrantLot { to, .. } if to == number => {
                lots += 1;
            }
            _ => {}
        }
    }
    let list = |cores: &[u8]| cores.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let own: Vec<u8> = (0..64).filter(|core| planned.cores >> core & 1 != 0).collect();
    let mut cores = format!("{} {}", plural(own.len(), "core"), list(&own));
    if !later.is_empty() {
        cores += &format!("; steps give it {}", list(&later.into_iter().collect::<Vec<_>>()));
    }
    let sum: u32 = planned.lots.iter().map(|lot| lot.0 * 2).sum();
    let count = planned.lots.len();
    let mut memory = format!("{sum} MiB in {count} {}", plural(count, "lot"));
    if lots > 0 {
        memory += &format!("; steps give it {lots} more");
    }
    vec![cores, memory, format!("all of it in the hands of {}", planned.program)]
}

fn plural(count: usize, what: &str) -> String {
    if count == 1 { what.to_owned() } else { format!("{what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Overrides, load};
    use crate::place;

    fn read(name: &str) -> Authority {
        let path = place::harness().join(format!("manifests/{name}.toml"));
        of(&load(&path, Overrides::default()).unwrap())
    }

    fn place_of(authority: &Authority, name: &str) -> usize {
        authority.holders.iter().position(|holder| holder.name == name).unwrap()
    }

    #[test]
    fn a_table_is_told_with_names_of_rights() {
        let authority = read("store");
        let [store, writer, reader] =
            ["shop/store", "shop/writer", "shop/reader"].map(|name| place_of(&authority, name));
        let with = |from, to| {
            let calls = |link: &&Link| (link.from, link.to, link.kind) == (from, to, Kind::Calls);
            authority.links.iter().find(calls).map(|link| link.with.as_str())
        };
        assert_eq!(with(writer, store), Some("READ, WRITE"));
        assert_eq!(with(reader, store), Some("READ"));
        assert_eq!((with(store, writer), with(reader, writer)), (None, None));
        assert!(authority.beyond(reader).is_empty());
    }

    #[test]
    fn what_is_reached_through_others_is_told_apart() {
        let mut authority = Authority::default();
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| authority.add(name, None, Vec::new()));
        for (from, to) in [(a, b), (b, c), (c, d), (d, a)] {
            authority.link(from, to, Kind::Calls, "READ");
        }
        authority.link(b, d, Kind::Window, "2 MiB");
        assert_eq!(authority.beyond(a), BTreeSet::from([c, d]));
        assert_eq!(authority.beyond(c), BTreeSet::from([a, b]));
    }

    #[test]
    fn every_example_is_told_whole() {
        for name in ["demo", "store", "windows", "crash", "force", "echo"] {
            let authority = read(name);
            let (text, picture) = (text(&authority), picture(&authority, name));
            for holder in &authority.holders {
                assert!(text.contains(&holder.name), "{} of {name} is not in the text", holder.name);
                let own = holder.name.rsplit('/').next().unwrap();
                assert!(picture.contains(own), "{own} of {name} is not in the picture");
            }
            for link in authority.links.iter().filter(|link| link.kind == Kind::Window) {
                assert!(text.contains(&link.with) && picture.contains("window"), "{name}");
            }
        }
        let demo = read("demo");
        let echo = &demo.holders[place_of(&demo, "echo")];
        assert!(echo.holds[0] == "core 3; steps give it 2", "{:?}", echo.holds);
    }
}
