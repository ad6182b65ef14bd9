//! What an interface is, as a file that is committed, and what a change of it does to clients.
//!
//! ```ignore
//! #[test]
//! fn clients_go_on() {
//!     idl::peer::schema::hold::<Store>(concat!(env!("CARGO_MANIFEST_DIR"), "/store.schema"));
//! }
//! ```

use core::fmt::{self, Write};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use crate::interface::{Delivery, Event, Form, Interface, Method, RightNames, Shape};

/// What an event's line begins with.
const EVENT: &str = "event ";

/// Compares an interface with its committed schema. With `UPDATE_SCHEMA=1` in the environment it writes the file
/// instead, unless the change breaks clients and the version was not raised.
///
/// # Panics
/// When they differ: the message says of each change whether it breaks clients, and why.
pub fn hold<I: Interface>(path: &str) {
    let now = text::<I>();
    let update = std::env::var_os("UPDATE_SCHEMA").is_some();
    let before = match std::fs::read_to_string(path) {
        Ok(before) => before,
        Err(_) if update => now.clone(),
        Err(error) => panic!("{path}: {error}; UPDATE_SCHEMA=1 writes it"),
    };
    let changes = compare(&before, &now);
    let breaks = changes.iter().any(|change| change.effect == Effect::Breaks);
    let raised = version(&now) > version(&before);
    if update && (raised || !breaks) {
        return std::fs::write(path, now).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    assert!(before == now, "{}", report(I::NAME, path, &changes, breaks && !raised));
}

fn report(name: &str, path: &str, changes: &[Change], raise: bool) -> String {
    let mut report = format!("interface {name} is not what {path} says:\n");
    for change in changes {
        // Writing to a string does not fail.
        let _ = writeln!(report, "  {change}");
    }
    report.push_str(if raise {
        "raise the version, `#[interface(version = ..)]`, then UPDATE_SCHEMA=1 writes the file"
    } else {
        "UPDATE_SCHEMA=1 writes the file"
    });
    report
}

/// What a change does to clients that were built before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// They go on.
    Keeps,
    /// They must be built anew.
    Breaks,
}

/// A difference between two schemas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it does.
    pub effect: Effect,
    /// What changed.
    pub what: String,
    /// Why it does that.
    pub why: &'static str,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = match self.effect {
            Effect::Keeps => "clients go on:",
            Effect::Breaks => "BREAKS CLIENTS:",
        };
        write!(f, "{effect} {} ({})", self.what, self.why)
    }
}

/// An interface's schema.
#[must_use]
pub fn text<I: Interface>() -> String {
    let mut text = format!("interface {} version {}\n", I::NAME, I::VERSION);
    if !I::RIGHTS.is_empty() {
        let _ = writeln!(text, "rights {}", I::RIGHTS.join(", "));
    }
    for method in I::METHODS {
        let _ = write_method::<I>(&mut text, method);
    }
    for event in I::EVENTS {
        let _ = write_event::<I>(&mut text, event);
    }
    text
}

fn write_event<I: Interface>(text: &mut String, event: &Event) -> fmt::Result {
    writeln!(text, "{EVENT}{} {}", event.number, event.name)?;
    for part in event.arguments {
        writeln!(text, "  takes {}: {}", part.name, Written(&part.shape))?;
    }
    if event.requires != 0 {
        writeln!(text, "  requires {}", RightNames::of::<I>(event.requires))?;
    }
    Ok(())
}

fn write_method<I: Interface>(text: &mut String, method: &Method) -> fmt::Result {
    writeln!(text, "{} {}", method.number, method.name)?;
    for part in method.arguments {
        writeln!(text, "  takes {}: {}", part.name, Written(&part.shape))?;
    }
    if method.result != Shape::Nothing {
        writeln!(text, "  gives {}", Written(&method.result))?;
    }
    if let Some(error) = &method.error {
        writeln!(text, "  refuses {}", Written(error))?;
    }
    if method.form == Form::Bytes {
        writeln!(text, "  travels as bytes")?;
    }
    if method.requires != 0 {
        writeln!(text, "  requires {}", RightNames::of::<I>(method.requires))?;
    }
    match method.delivery {
        Delivery::Call => Ok(()),
        Delivery::Idempotent => writeln!(text, "  may be repeated"),
        Delivery::OneWay => writeln!(text, "  has no answer"),
    }
}

/// A shape, to be read.
struct Written<'a>(&'a Shape);

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Shape::Nothing => f.write_str("()"),
            Shape::Word(name) => f.write_str(name),
            Shape::Words(fields) => {
                separated(f, fields, |f, field| write!(f, "{}: {}", field.name, field.ty))
            }
            Shape::Text(most) => write!(f, "text up to {most}"),
            Shape::List(of, most) => write!(f, "up to {most} of {}", Self(of)),
            Shape::Array(of, count) => write!(f, "{count} of {}", Self(of)),
            Shape::Optional(of) => write!(f, "perhaps {}", Self(of)),
            Shape::Record(name, parts) => {
                write!(f, "{name}{{")?;
                separated(f, parts, |f, part| write!(f, "{}: {}", part.name, Written(&part.shape)))?;
                f.write_str("}")
            }
            Shape::Choice(name, variants) => {
                write!(f, "{name}[")?;
                separated(f, variants, |f, variant| {
                    write!(f, "{} = {}", variant.name, variant.number)?;
                    if variant.parts.is_empty() {
                        return Ok(());
                    }
                    f.write_str("{")?;
                    separated(f, variant.parts, |f, part| {
                        write!(f, "{}: {}", part.name, Written(&part.shape))
                    })?;
                    f.write_str("}")
                })?;
                f.write_str("]")
            }
            Shape::Capability(passing, kind, rights) => {
                let rights = caps::Rights::from_bits_truncate(*rights);
                write!(f, "{passing:?} {kind:?} with {rights:?}")
            }
        }
    }
}

fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    mut write: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        write(f, item)?;
    }
    Ok(())
}

/// A schema, read back.
#[derive(Debug, Default, PartialEq, Eq)]
struct Schema<'a> {
    name: &'a str,
    rights: Vec<&'a str>,
    methods: Vec<Row<'a>>,
    events: Vec<Row<'a>>,
}

/// A method or an event of a schema.
#[derive(Debug, PartialEq, Eq)]
struct Row<'a> {
    number: &'a str,
    name: &'a str,
    lines: Vec<&'a str>,
}

impl<'a> Schema<'a> {
    fn read(text: &'a str) -> Self {
        let mut schema = Self::default();
        for line in text.lines() {
            if let Some(line) = line.strip_prefix("  ") {
                // Events stand after methods.
                if let Some(row) = schema.events.last_mut().or(schema.methods.last_mut()) {
                    row.lines.push(line);
                }
            } else if let Some((number, name)) =
                line.strip_prefix(EVENT).and_then(|event| event.split_once(' '))
            {
                schema.events.push(Row { number, name, lines: Vec::new() });
            } else if let Some(title) = line.strip_prefix("interface ") {
                schema.name = title.split(' ').next().unwrap_or(title);
            } else if let Some(rights) = line.strip_prefix("rights ") {
                schema.rights = rights.split(", ").collect();
            } else if let Some((number, name)) = line.split_once(' ') {
                schema.methods.push(Row { number, name, lines: Vec::new() });
            }
        }
        schema
    }
}

impl Row<'_> {
    fn all(&self, key: &str) -> Vec<&str> {
        self.lines.iter().filter(|line| line.starts_with(key)).copied().collect()
    }
}

fn version(text: &str) -> u16 {
    let number = text.lines().next().and_then(|line| line.rsplit(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// What changed from one schema to another.
#[must_use]
pub fn compare(before: &str, now: &str) -> Vec<Change> {
    let (old, new) = (Schema::read(before), Schema::read(now));
    let mut changes = Changes(Vec::new());
    if old.name != new.name {
        changes.breaks(format!("{} is called {}", old.name, new.name), "clients ask for it by name");
    }
    changes.rights(&old, &new);
    changes.rows("method", &old.methods, &new.methods);
    changes.rows("event", &old.events, &new.events);
    if version(before) != version(now) {
        let what = format!("version {} is version {}", version(before), version(now));
        changes.keeps(what, "the version is for people");
    }
    changes.0
}

struct Changes(Vec<Change>);

impl Changes {
    fn breaks(&mut self, what: String, why: &'static str) {
        self.0.push(Change { effect: Effect::Breaks, what, why });
    }

    fn keeps(&mut self, what: String, why: &'static str) {
        self.0.push(Change { effect: Effect::Keeps, what, why });
    }

    fn rights(&mut self, old: &Schema<'_>, new: &Schema<'_>) {
        if old.rights == new.rights {
            return;
        }
        let what = format!("the rights were {} and are {}", old.rights.join(", "), new.rights.join(", "));
        if new.rights.starts_with(&old.rights) {
            self.keeps(what, "badges that were minted mean what they did");
        } else {
            self.breaks(what, "badges that were minted would give other rights");
        }
    }

    fn rows(&mut self, what: &str, old: &[Row<'_>], new: &[Row<'_>]) {
        for row in old {
            match new.iter().find(|found| found.number == row.number) {
                None => self.breaks(format!("{} is gone", row.name), "clients call it, or wait to be told"),
                Some(found) if found.name != row.name => self.breaks(
                    format!("{what} {} was {} and is {}", row.number, row.name, found.name),
                    "clients know it by its number; add new ones at the end",
                ),
                Some(found) => self.row(row, found),
            }
        }
        for row in new.iter().skip(old.len()) {
            self.keeps(format!("{} is new", row.name), "the server serves who does not know it");
        }
    }

    fn row(&mut self, old: &Row<'_>, new: &Row<'_>) {
        let travel = "client and server would read other things into the same message";
        for (key, why) in [
            ("takes", travel),
            ("gives", travel),
            ("travels", travel),
            ("refuses", "a client knows no other errors than those it was built with"),
            ("has no answer", "a client would wait for what does not come, or not for what does"),
        ] {
            let (before, now) = (old.all(key), new.all(key));
            if before != now {
                self.breaks(difference(old.name, &before, &now), why);
            }
        }
        self.requires(old, new);
        let (before, now) = (old.all("may be repeated"), new.all("may be repeated"));
        if before != now {
            self.keeps(difference(old.name, &before, &now), "each client goes by its own version");
        }
    }

    fn requires(&mut self, old: &Row<'_>, new: &Row<'_>) {
        let (before, now) = (old.all("requires"), new.all("requires"));
        if before == now {
            return;
        }
        let what = difference(old.name, &before, &now);
        let has = |right: &str| rights(&before).any(|known| known == right);
        if rights(&now).all(has) {
            self.keeps(what, "nobody is refused who was not");
        } else {
            self.breaks(what, "sessions without the right are refused");
        }
    }
}

fn rights<'a>(lines: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    lines.iter().flat_map(|line| line.trim_start_matches("requires ").split(" | "))
}

fn difference(name: &str, before: &[&str], now: &[&str]) -> String {
    let say = |lines: &[&str]| match lines {
        [] => "nothing of that".to_string(),
        lines => lines.join(", "),
    };
    format!("{name}: it was `{}` and is `{}`", say(before), say(now))
}
