//! The small worlds: what is there at the beginning and what can be tried.

use caps::bounds::PAGE;
use caps::{Capability, Change, InFlight, Kind, Rights, SlotRef};

use super::{Generations, Symmetry, World};
use crate::operation::Operation;
use crate::subject::Subject;

impl World {
    /// Trees of up to this many capabilities to one endpoint.
    #[must_use]
    pub fn tree(slots: u32) -> Self {
        let roots = vec![Capability::new(Kind::Endpoint, Rights::all(), 1 << 20, 64)];
        let (generations, symmetry) = (Generations::Ignored, Symmetry::Merged);
        Self {
            name: "trees",
            slots,
            size: 16 + slots,
            roots,
            operations: tree_operations,
            generations,
            symmetry,
        }
    }

    /// The same where generations count.
    #[must_use]
    pub fn aging_tree(slots: u32) -> Self {
        Self { name: "aging trees", generations: Generations::Counted, ..Self::tree(slots) }
    }

    /// Two tables with room for this many capabilities each, in a root table of this many slots.
    #[must_use]
    pub fn tables(slots: u32, room: [u64; 2]) -> Self {
        let table = |address, room| Capability::new(Kind::CSpace, Rights::all(), address, room + 1);
        let roots = vec![table(32 * 64, room[0]), table(40 * 64, room[1])];
        Self { name: "tables", size: 48, roots, operations: table_operations, ..Self::tree(slots) }
    }

    /// A region and two address spaces.
    #[must_use]
    pub fn bindings(slots: u32) -> Self {
        let space = |address| Capability::new(Kind::AddressSpace, Rights::all(), address, 1);
        let region = Capability::new(Kind::Region, Rights::all(), 1 << 20, PAGE);
        let roots = vec![region, space(2 << 20), space(3 << 20)];
        Self { name: "bindings", roots, operations: binding_operations, ..Self::tree(slots) }
    }

    /// An Untyped of two pages.
    #[must_use]
    pub fn memory(slots: u32) -> Self {
        let roots = vec![Capability::new(Kind::Untyped, Rights::all(), 1 << 20, 2 * PAGE)];
        Self { name: "memory", roots, operations: memory_operations, ..Self::tree(slots) }
    }
}

/// Trees of endpoints: copies, moves, flights, revokes and deletions in steps of one.
#[must_use]
pub fn tree_operations(world: &World, subject: &Subject) -> Vec<Operation> {
    let (occupied, free) = world.places(subject);
    let mut all = vec![Operation::SweepStep { budget: 1 }];
    for &at in &occupied {
        let generation = subject.memory.peek(at).generation();
        let ticket = InFlight { slot: at, generation };
        all.extend([
            Operation::Lock { source: at },
            Operation::Unlock { ticket },
            Operation::RevokeStep { root: at, budget: 1 },
            Operation::DeleteStep { at, budget: 1 },
            Operation::MarkRevoking { root: at },
        ]);
        for &dest in &free {
            all.extend([
                Operation::Derive { parent: at, dest, change: Change::rights(Rights::all()) },
                Operation::Move { source: at, dest },
                Operation::Land { ticket, dest },
            ]);
        }
    }
    all
}

/// Tables that hold capabilities, also each other's and their own.
#[must_use]
pub fn table_operations(world: &World, subject: &Subject) -> Vec<Operation> {
    let (occupied, free) = world.places(subject);
    let mut all = vec![Operation::SweepStep { budget: 1 }];
    for &at in &occupied {
        all.extend([
            Operation::RevokeStep { root: at, budget: 1 },
            Operation::DeleteStep { at, budget: 1 },
            Operation::DeleteStep { at, budget: 3 },
        ]);
        for &dest in &free {
            all.extend([
                Operation::Derive { parent: at, dest, change: Change::rights(Rights::all()) },
                Operation::Move { source: at, dest },
            ]);
        }
    }
    all
}

/// Regions bound to address spaces.
#[must_use]
pub fn binding_operations(world: &World, subject: &Subject) -> Vec<Operation> {
    let (occupied, free) = world.places(subject);
    let mut all = table_operations(world, subject);
    let kind = |at: SlotRef| subject.memory.peek(at).capability().map(|says| says.kind);
    for &region in occupied.iter().filter(|&&at| kind(at) == Some(Kind::Region)) {
        for &space in occupied.iter().filter(|&&at| kind(at) == Some(Kind::AddressSpace)) {
            all.extend(free.iter().map(|&dest| Operation::Bind { region, space, dest, number: 1 }));
        }
    }
    all
}

/// Untyped memory: objects, copies, resets.
#[must_use]
pub fn memory_operations(world: &World, subject: &Subject) -> Vec<Operation> {
    let (occupied, free) = world.places(subject);
    let mut all = vec![Operation::SweepStep { budget: 1 }];
    for &at in &occupied {
        all.extend([
            Operation::RevokeStep { root: at, budget: 1 },
            Operation::DeleteStep { at, budget: 1 },
            Operation::ResetBegin { untyped: at },
            Operation::ResetStep { untyped: at, budget: 1 },
            Operation::ResetCleared { untyped: at, bytes: PAGE },
            Operation::ResetCleared { untyped: at, bytes: 2 * PAGE },
        ]);
        for &dest in &free {
            let retype = |kind| Operation::Retype { untyped: at, dest, kind, bytes: PAGE, align: 1 };
            all.extend([
                Operation::Derive { parent: at, dest, change: Change::rights(Rights::all()) },
                retype(Kind::Region),
                retype(Kind::Untyped),
            ]);
        }
    }
    all
}
