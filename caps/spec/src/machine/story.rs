//! A failure on a machine as a test to paste and run.

use caps::ledger::{LedgerChange, LotId, LotRole, Resource, SubOsId};

use super::{Act, Machine};
use crate::ledger::LedgerOperation;
use crate::story::{code, minimal, test_of};

impl Machine {
    /// What to say of what went wrong after these acts on a machine that began as `beginning` says: the error, and the
    /// shortest test that shows it.
    #[must_use]
    pub fn failure(why: &str, acts: &[Act], beginning: &str, begin: impl Fn() -> Self) -> String {
        let property = |why: &str| why.split(':').next().map(str::to_owned);
        let fails = |acts: &[Act]| match begin().replay(acts) {
            Ok(()) => false,
            Err(other) => property(&other) == property(why),
        };
        let shortest = if fails(acts) { minimal(acts, fails) } else { acts.to_vec() };
        format!("{why}\n\nThis shows it:\n\n{}", test(beginning, &shortest))
    }

    /// Does one act after another, but for those that the kernel would not ask for.
    pub fn replay(&mut self, acts: &[Act]) -> Result<(), String> {
        for act in acts {
            let asked = match act {
                Act::Own(subos, operation) => {
                    self.suboses.get(subos).is_some_and(|game| game.has_place_for(operation))
                }
                _ => true,
            };
            if asked {
                let _ = self.apply(act)?;
            }
        }
        Ok(())
    }
}

/// A test that does these acts on such a machine.
#[must_use]
pub fn test(beginning: &str, acts: &[Act]) -> String {
    let uses = "use caps::ledger::{ChunkId, CoreId, LedgerChange, LotId, LotRole, Resource, SubOsId};\n\
                use caps::{Capability, Change, Generation, Handle, InFlight, Kind, Rights, Table};\n\
                use caps_spec::ledger::LedgerOperation;\n\
                use caps_spec::machine::{Act, Machine};\n\
                use caps_spec::operation::Operation;\n\
                use caps_spec::story::{at, badge};\n";
    test_of("acts", uses, &format!("machine = {beginning};\n    machine"), acts.iter().map(line))
}

/// An act as source text.
fn line(act: &Act) -> String {
    match act {
        Act::Own(of, operation) => format!("Act::Own({}, {})", subos(*of), code(operation)),
        Act::Decide(operation) => format!("Act::Decide({})", decision(operation)),
        Act::Revoke(of, budget) => format!("Act::Revoke({}, {budget})", lot(*of)),
        Act::Quiet(of) => format!("Act::Quiet({})", lot(*of)),
        Act::Scrub(of) => format!("Act::Scrub({})", lot(*of)),
    }
}

fn decision(operation: &LedgerOperation) -> String {
    let inner = match operation {
        LedgerOperation::ReleaseCore(core) => format!("ReleaseCore({core:?})"),
        LedgerOperation::ReleaseChunk(chunk) => format!("ReleaseChunk({chunk:?})"),
        LedgerOperation::Place(first, count, to, role) => {
            format!("Place({first}, {count}, {}, {})", subos(*to), of_role(*role))
        }
        LedgerOperation::Create => "Create".into(),
        LedgerOperation::Apply(changes) => {
            let changes: Vec<String> = changes.iter().map(change).collect();
            format!("Apply(vec![{}])", changes.join(", "))
        }
        LedgerOperation::Revoked(what) => format!("Revoked({})", resource(*what)),
        LedgerOperation::Quiesced(what) => format!("Quiesced({})", resource(*what)),
        LedgerOperation::Scrubbed(what) => format!("Scrubbed({})", resource(*what)),
        LedgerOperation::Quarantine(what) => format!("Quarantine({})", resource(*what)),
        LedgerOperation::Destroy(of) => format!("Destroy({})", subos(*of)),
        LedgerOperation::Destroyed(of) => format!("Destroyed({})", subos(*of)),
    };
    format!("LedgerOperation::{inner}")
}

fn change(change: &LedgerChange) -> String {
    let inner = match *change {
        LedgerChange::GrantCore { core, to } => format!("GrantCore {{ core: {core:?}, to: {} }}", subos(to)),
        LedgerChange::GrantLot { chunks, to, role } => {
            format!("GrantLot {{ chunks: {chunks}, to: {}, role: {} }}", subos(to), of_role(role))
        }
        LedgerChange::Share { lot: of, with } => {
            format!("Share {{ lot: {}, with: {} }}", lot(of), subos(with))
        }
        LedgerChange::Reclaim { resource: what, from } => {
            format!("Reclaim {{ resource: {}, from: {} }}", resource(what), subos(from))
        }
    };
    format!("LedgerChange::{inner}")
}

fn resource(what: Resource) -> String {
    match what {
        Resource::Core(core) => format!("Resource::Core({core:?})"),
        Resource::Lot(of) => format!("Resource::Lot({})", lot(of)),
    }
}

fn subos(of: SubOsId) -> String {
    format!("{of:?}")
}

fn lot(of: LotId) -> String {
    format!("{of:?}")
}

fn of_role(role: LotRole) -> String {
    format!("LotRole::{role:?}")
}
