//! What a supervisor gets from its keeper, and what it says to it.

use caps::SlotIndex;
use idl::plan::SubOsIndex;

/// Number of the grant that is the authority over the ledger.
pub const MACHINE: u32 = 0;
/// That of the table in which the capabilities to subOSes lie.
pub const VAULT: u32 = 1;
/// That of the memory for notes.
pub const NOTES: u32 = 2;
/// That of the core on which the supervisor runs.
pub const CORE: u32 = 3;
/// That of the endpoint by which the keeper hears.
pub const LINE: u32 = 4;

/// Slots of the vault.
pub const PLACES: u64 = 32;
/// The label with which the supervisor says that the run is over, and with which status.
pub const OVER: u32 = 1;

/// Where the capability to a subOS of the plan lies in the vault.
#[must_use]
pub const fn place(SubOsIndex(index): SubOsIndex) -> SlotIndex {
    SlotIndex(1 + index as u32)
}

const _: () = assert!((idl::plan::MAX_SUBOSES as u64) < PLACES);
