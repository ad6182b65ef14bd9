//! What can be asked of the model, and what it can answer: all that the specification shares with `caps`, besides
//! the types of `caps` that these mention.

use caps::{Capability, Change, Error, Handle, InFlight, Kind, Reset, Rights, SlotRef, Step, Table};

/// One operation on a forest. Places are slots; destinations lie in tables that are not dying, as the kernel
/// ensures by `Table::vacant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Makes a root.
    Plant {
        /// Where.
        dest: SlotRef,
        /// What.
        capability: Capability,
    },
    /// Finds a capability that is to be used.
    Lookup {
        /// The table that the handle indexes.
        table: Table,
        /// Its name.
        handle: Handle,
        /// The kind it must have.
        kind: Kind,
        /// The rights it must have.
        rights: Rights,
    },
    /// Finds a capability that is to be removed.
    Locate {
        /// The table that the handle indexes.
        table: Table,
        /// Its name.
        handle: Handle,
    },
    /// Asks whether a capability can be put there.
    Vacant {
        /// The table.
        table: Table,
        /// The slot's index.
        index: u32,
    },
    /// Derives a copy.
    Derive {
        /// From what.
        parent: SlotRef,
        /// To where.
        dest: SlotRef,
        /// How it differs.
        change: Change,
    },
    /// Asks whether a copy can take the place of what is in a slot.
    Replace {
        /// Of what.
        parent: SlotRef,
        /// Of which slot.
        dest: SlotRef,
    },
    /// Makes an object.
    Retype {
        /// Of what memory.
        untyped: SlotRef,
        /// Its capability goes here.
        dest: SlotRef,
        /// What kind.
        kind: Kind,
        /// How large.
        bytes: u64,
        /// Aligned to what.
        align: u64,
    },
    /// Binds a region to a space.
    Bind {
        /// The region.
        region: SlotRef,
        /// The address space.
        space: SlotRef,
        /// The binding goes here.
        dest: SlotRef,
        /// Its number.
        number: u16,
    },
    /// Moves a capability.
    Move {
        /// From where.
        source: SlotRef,
        /// To where.
        dest: SlotRef,
    },
    /// Begins a flight.
    Lock {
        /// Of what.
        source: SlotRef,
    },
    /// Ends a flight where it began.
    Unlock {
        /// Which.
        ticket: InFlight,
    },
    /// Ends a flight elsewhere.
    Land {
        /// Which.
        ticket: InFlight,
        /// Where.
        dest: SlotRef,
    },
    /// Asks to hear of a removal.
    Watch {
        /// From which slot.
        at: SlotRef,
    },
    /// Begins a revoke.
    MarkRevoking {
        /// Below what.
        root: SlotRef,
    },
    /// Goes on with a revoke.
    RevokeStep {
        /// Below what.
        root: SlotRef,
        /// How far.
        budget: u32,
    },
    /// Goes on with a deletion.
    DeleteStep {
        /// Of what.
        at: SlotRef,
        /// How far.
        budget: u32,
    },
    /// Goes on with what is going anyway.
    SweepStep {
        /// How far.
        budget: u32,
    },
    /// Begins to take memory back.
    ResetBegin {
        /// Of which Untyped.
        untyped: SlotRef,
    },
    /// Goes on with that.
    ResetStep {
        /// Of which Untyped.
        untyped: SlotRef,
        /// How far.
        budget: u32,
    },
    /// Clears memory at the end of the used range and says so.
    ResetCleared {
        /// Of which Untyped.
        untyped: SlotRef,
        /// How many bytes.
        bytes: u64,
    },
}

/// What an operation answers if it is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Done, nothing to say.
    Unit,
    /// The new capability.
    Capability(Capability),
    /// Where it was found.
    Found(SlotRef, Capability),
    /// The slot.
    Slot(SlotRef),
    /// The flight.
    Ticket(InFlight),
    /// Whether more is to do.
    Step(Step),
    /// What is next in a reset.
    Reset(Reset),
}

/// The whole outcome of an operation.
pub type Outcome = Result<Answer, Error>;

impl Operation {
    /// Its name, for tables of what was reached.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Plant { .. } => "plant",
            Self::Lookup { .. } => "lookup",
            Self::Locate { .. } => "locate",
            Self::Vacant { .. } => "vacant",
            Self::Derive { .. } => "derive",
            Self::Replace { .. } => "check_replace",
            Self::Retype { .. } => "retype",
            Self::Bind { .. } => "bind",
            Self::Move { .. } => "move_to",
            Self::Lock { .. } => "lock",
            Self::Unlock { .. } => "unlock",
            Self::Land { .. } => "land",
            Self::Watch { .. } => "watch",
            Self::MarkRevoking { .. } => "mark_revoking",
            Self::RevokeStep { .. } => "revoke_step",
            Self::DeleteStep { .. } => "delete_step",
            Self::SweepStep { .. } => "sweep_step",
            Self::ResetBegin { .. } => "reset_begin",
            Self::ResetStep { .. } => "reset_step",
            Self::ResetCleared { .. } => "reset_cleared",
        }
    }

    /// The slot that a capability comes to, if this is not refused.
    #[must_use]
    pub const fn destination(&self) -> Option<SlotRef> {
        match *self {
            Self::Plant { dest, .. }
            | Self::Derive { dest, .. }
            | Self::Retype { dest, .. }
            | Self::Bind { dest, .. }
            | Self::Move { dest, .. }
            | Self::Land { dest, .. } => Some(dest),
            _ => None,
        }
    }

    /// The slots that whoever asks for it names.
    #[must_use]
    pub fn named(&self) -> Vec<SlotRef> {
        match *self {
            Self::Plant { dest, .. } => vec![dest],
            Self::Derive { parent, dest, .. } | Self::Replace { parent, dest } => vec![parent, dest],
            Self::Retype { untyped, dest, .. } => vec![untyped, dest],
            Self::Bind { region, space, dest, .. } => vec![region, space, dest],
            Self::Move { source, dest } => vec![source, dest],
            Self::Land { ticket, dest } => vec![ticket.slot, dest],
            Self::Lock { source } => vec![source],
            Self::Unlock { ticket } => vec![ticket.slot],
            Self::Watch { at } | Self::DeleteStep { at, .. } => vec![at],
            Self::MarkRevoking { root } | Self::RevokeStep { root, .. } => vec![root],
            Self::ResetBegin { untyped }
            | Self::ResetStep { untyped, .. }
            | Self::ResetCleared { untyped, .. } => vec![untyped],
            Self::SweepStep { .. } | Self::Lookup { .. } | Self::Locate { .. } | Self::Vacant { .. } => {
                vec![]
            }
        }
    }

    /// Every error that the documentation of the operation in `caps` names. The tests hold both directions: no
    /// other error is ever given, and each of these is.
    #[must_use]
    pub const fn errors(&self) -> &'static [Error] {
        use Error::*;
        match self {
            Self::Plant { .. } => &[InvalidArgument, BadSize, BadRange, SlotOccupied, SlotRetired],
            Self::Lookup { .. } => {
                &[OutOfRange, EmptySlot, StaleHandle, BeingRevoked, Locked, WrongKind, MissingRight]
            }
            Self::Locate { .. } => &[OutOfRange, EmptySlot, StaleHandle, Locked],
            Self::Vacant { .. } => &[OutOfRange, BeingRevoked, SlotOccupied, SlotRetired],
            Self::Derive { .. } => &[
                EmptySlot,
                BeingRevoked,
                Locked,
                WrongKind,
                MissingRight,
                InvalidArgument,
                BadRange,
                Busy,
                SlotOccupied,
                SlotRetired,
                DepthExceeded,
            ],
            Self::Replace { .. } => {
                &[EmptySlot, BeingRevoked, Locked, WrongKind, MissingRight, Busy, SlotRetired, DepthExceeded]
            }
            Self::Retype { .. } => &[
                EmptySlot,
                BeingRevoked,
                Locked,
                WrongKind,
                BadSize,
                InvalidArgument,
                Busy,
                OutOfMemory,
                SlotOccupied,
                SlotRetired,
                DepthExceeded,
            ],
            Self::Bind { .. } => &[
                EmptySlot,
                BeingRevoked,
                Locked,
                WrongKind,
                InvalidArgument,
                SlotOccupied,
                SlotRetired,
                DepthExceeded,
            ],
            Self::Move { .. } => &[EmptySlot, BeingRevoked, Locked, Busy, SlotOccupied, SlotRetired],
            Self::Lock { .. } => &[EmptySlot, BeingRevoked, Locked, Busy],
            Self::Unlock { .. } | Self::SweepStep { .. } => &[],
            Self::Land { .. } => &[Cancelled, BeingRevoked, SlotOccupied, SlotRetired],
            Self::Watch { .. } => &[EmptySlot],
            Self::MarkRevoking { .. } | Self::RevokeStep { .. } | Self::DeleteStep { .. } => {
                &[EmptySlot, Locked]
            }
            Self::ResetBegin { .. } => &[EmptySlot, Locked, WrongKind, BeingRevoked, Busy],
            Self::ResetStep { .. } => &[EmptySlot, WrongKind, Busy, WrongState],
            Self::ResetCleared { .. } => &[EmptySlot, WrongKind, Busy, WrongState, BadSize],
        }
    }
}
