//! What to show of a failure: the shortest sequence of operations that still fails, as a test to paste and run.

use std::fmt::Write as _;

use caps::{Capability, Handle, InFlight, Rights, SlotRef, Table};

use crate::game::Game;
use crate::model::covers;
use crate::operation::Operation;

impl Game {
    /// Plays operations one after another, but for those whose destination lies in no table that stands, which the kernel
    /// would not ask for.
    pub fn replay(&mut self, operations: &[Operation]) -> Result<(), String> {
        for operation in operations.iter() {
            if self.has_place_for(operation) {
                let _ = self.apply(operation)?;
            }
        }
        Ok(())
    }

    /// Whether the destination of an operation lies in a table that stands, or is taken.
    #[must_use]
    pub fn has_place_for(&self, operation: &Operation) -> bool {
        let dying = |table: &Table| self.model.fallen.contains(&(table.first, table.count));
        let inside = |at: SlotRef| {
            let standing = |table: &Table| covers(Some(*table), at) && !dying(table);
            self.tables().iter().any(standing) || self.model.at(at).is_some()
        };
        operation.destination().is_none_or(inside)
    }

    /// What to say of what went wrong in this game, which began as `beginning` says: the error, and a test that shows it.
    #[must_use]
    pub fn failure(&self, why: &str, beginning: &str, begin: impl Fn() -> Self) -> String {
        let played = self.log.iter().skip(begin().log.len());
        let operations: Vec<Operation> = played.map(|(operation, _)| *operation).collect();
        let property = |why: &str| why.split(':').next().map(str::to_owned);
        let fails = |operations: &[Operation]| match begin().replay(operations) {
            Ok(()) => false,
            Err(other) => property(&other) == property(why),
        };
        let shortest = if fails(&operations) { minimal(&operations, fails) } else { operations };
        format!("{why}\n\nThis shows it:\n\n{}", test(beginning, &shortest))
    }
}

/// The items without all those that can be left out one after another, in groups or alone, so that it still fails.
pub fn minimal<T: Clone>(items: &[T], fails: impl Fn(&[T]) -> bool) -> Vec<T> {
    let mut kept = items.to_vec();
    let mut group = kept.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let before = kept.len();
        while at < kept.len() {
            let end = (at + group).min(kept.len());
            let without: Vec<T> = kept[..at].iter().chain(&kept[end..]).cloned().collect();
            if fails(&without) {
                kept = without;
            } else {
                at = end;
            }
        }
        if group == 1 && kept.len() == before {
            return kept;
        }
        group = (group / 2).max(1);
    }
}

/// A test that plays these operations from this beginning.
#[must_use]
pub fn test(beginning: &str, operations: &[Operation]) -> String {
    let uses = "use caps::{Capability, Change, Generation, Handle, InFlight, Kind, Rights, Table};\n\
                use caps_spec::game::Game;\n\
                use caps_spec::operation::Operation;\n\
                use caps_spec::story::{at, badge};\n";
    test_of("operations", uses, &format!("game = {beginning};\n    game"), operations.iter().map(code))
}

/// A test that replays these lines on what `subject` begins and names.
pub(crate) fn test_of(
    of_what: &str,
    uses: &str,
    subject: &str,
    lines: impl Iterator<Item = String>,
) -> String {
    let mut text = format!(
        "//! A failure, as it was printed: the shortest sequence of {of_what} that leads to it.\n\
         #![allow(unused_imports, reason = \"not every sequence needs all of them\")]\n\n\
         {uses}\n\
         #[test]\nfn what_was_found() -> Result<(), String> {{\n    let mut {subject}.replay(&[\n",
    );
    for line in lines {
        let _ = writeln!(text, "        {line},");
    }
    text + "    ])\n}\n"
}

/// A slot by its number, for such tests.
///
/// # Panics
///
/// If it is 0.
#[must_use]
pub const fn at(number: u32) -> SlotRef {
    match SlotRef::new(number) {
        Some(at) => at,
        None => panic!("there is no slot 0"),
    }
}

/// A badge, or none if it is 0, for such tests.
#[must_use]
pub const fn badge(badge: u64) -> Option<core::num::NonZeroU64> {
    core::num::NonZeroU64::new(badge)
}

/// An operation as source text.
#[must_use]
pub fn code(operation: &Operation) -> String {
    match *operation {
        Operation::Plant { dest, capability } => {
            let Capability { kind, rights, badge, object, size, .. } = capability;
            let new = format!("Capability::new(Kind::{kind:?}, {}, {object}, {size})", bits(rights));
            let says = if badge == 0 { new } else { format!("Capability {{ badge: {badge}, ..{new} }}") };
            format!("Operation::Plant {{ dest: {}, capability: {says} }}", slot(dest))
        }
        Operation::Lookup { table, handle, kind, rights } => format!(
            "Operation::Lookup {{ table: {}, handle: {}, kind: Kind::{kind:?}, rights: {} }}",
            run(table),
            name(handle),
            bits(rights)
        ),
        Operation::Locate { table, handle } => {
            format!("Operation::Locate {{ table: {}, handle: {} }}", run(table), name(handle))
        }
        Operation::Vacant { table, index } => {
            format!("Operation::Vacant {{ table: {}, index: {index} }}", run(table))
        }
        Operation::Derive { parent, dest, change } => format!(
            "Operation::Derive {{ parent: {}, dest: {}, change: Change {{ rights: {}, badge: badge({}), part: {:?} }} }}",
            slot(parent),
            slot(dest),
            bits(change.rights),
            change.badge.map_or(0, core::num::NonZeroU64::get),
            change.part
        ),
        Operation::Replace { parent, dest } => {
            format!("Operation::Replace {{ parent: {}, dest: {} }}", slot(parent), slot(dest))
        }
        Operation::Retype { untyped, dest, kind, bytes, align } => format!(
            "Operation::Retype {{ untyped: {}, dest: {}, kind: Kind::{kind:?}, bytes: {bytes}, align: {align} }}",
            slot(untyped),
            slot(dest)
        ),
        Operation::Bind { region, space, dest, number } => format!(
            "Operation::Bind {{ region: {}, space: {}, dest: {}, number: {number} }}",
            slot(region),
            slot(space),
            slot(dest)
        ),
        Operation::Move { source, dest } => {
            format!("Operation::Move {{ source: {}, dest: {} }}", slot(source), slot(dest))
        }
        Operation::Lock { source } => format!("Operation::Lock {{ source: {} }}", slot(source)),
        Operation::Unlock { ticket } => format!("Operation::Unlock {{ ticket: {} }}", flight(ticket)),
        Operation::Land { ticket, dest } => {
            format!("Operation::Land {{ ticket: {}, dest: {} }}", flight(ticket), slot(dest))
        }
        Operation::Watch { at } => format!("Operation::Watch {{ at: {} }}", slot(at)),
        Operation::MarkRevoking { root } => format!("Operation::MarkRevoking {{ root: {} }}", slot(root)),
        Operation::RevokeStep { root, budget } => {
            format!("Operation::RevokeStep {{ root: {}, budget: {budget} }}", slot(root))
        }
        Operation::DeleteStep { at, budget } => {
            format!("Operation::DeleteStep {{ at: {}, budget: {budget} }}", slot(at))
        }
        Operation::SweepStep { budget } => format!("Operation::SweepStep {{ budget: {budget} }}"),
        Operation::ResetBegin { untyped } => {
            format!("Operation::ResetBegin {{ untyped: {} }}", slot(untyped))
        }
        Operation::ResetStep { untyped, budget } => {
            format!("Operation::ResetStep {{ untyped: {}, budget: {budget} }}", slot(untyped))
        }
        Operation::ResetCleared { untyped, bytes } => {
            format!("Operation::ResetCleared {{ untyped: {}, bytes: {bytes} }}", slot(untyped))
        }
    }
}

fn slot(at: SlotRef) -> String {
    format!("at({})", at.number())
}

fn bits(rights: Rights) -> String {
    format!("Rights::from_bits_retain({})", rights.bits())
}

fn run(table: Table) -> String {
    format!("Table {{ first: {}, count: {} }}", slot(table.first), table.count)
}

fn name(handle: Handle) -> String {
    format!("Handle({})", handle.0)
}

fn flight(ticket: InFlight) -> String {
    format!("InFlight {{ slot: {}, generation: Generation({}) }}", slot(ticket.slot), ticket.generation.0)
}
