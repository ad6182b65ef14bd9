//! The authority over the ledger.

use caps::{Handle, SlotIndex};
use idl_macros::kernel_object;

use crate::types::{Chunks, LedgerState, LotNumber, MachineQuestion, ResourceKind, SubOsNumber};
use crate::word::words;

words! {
    /// Who has a resource.
    pub struct LedgerEntry {
        /// Where it is between one owner and the next.
        state: LedgerState,
        /// Who has it, or had it last.
        owner: SubOsNumber,
        /// In which of its owner's lots, for a chunk; else 0.
        lot: LotNumber,
    }

    /// What an audit of all page tables, cores and routes found.
    pub struct AuditReport {
        /// Entries checked: of page tables, cores, doorbells, routes.
        entries: u64,
        /// Of these, how many are not what the ledger says that they should be, and what should be there and is not.
        violations: u64,
        /// The kind of the first violation; 0 for none.
        first: u64,
        /// Where it is: an address, a core or a route.
        place: u64,
    }
}

/// The authority over the ledger: subOS 0 only.
#[kernel_object(kind = Machine)]
pub trait Machine {
    /// Facts about the machine; see `MachineQuestion`.
    #[method(id = 1, rights = READ)]
    fn info(which: MachineQuestion) -> [u64; 5];

    /// Makes a subOS with a home lot of so many chunks and no core, and puts its capability into a slot of
    /// the caller's table.
    #[method(id = 2, rights = MANAGE, errors(BadSize, NoResource, SlotOccupied))]
    fn create(home: Chunks, slot: SlotIndex) -> Handle;

    /// What the ledger says of a resource. `NoResource`: there is none with this index.
    #[method(id = 3, rights = READ, errors(NoResource))]
    fn ledger(resource: ResourceKind, index: u64) -> LedgerEntry;

    /// Compares all page tables, cores and routes with the ledger. `Condemned`: a subOS's kernel went wrong while it
    /// was looked at, and was condemned for it.
    #[method(id = 4, rights = READ, errors(Condemned))]
    fn audit() -> AuditReport;
}
