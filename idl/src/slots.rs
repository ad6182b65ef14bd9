//! Which slots of a table hold what when a subOS starts. Slots are fresh then, so a handle is its slot.

use caps::{Generation, Handle, SlotIndex};

/// Slots of init's table.
pub const INIT_SLOTS: u32 = 1024;

/// Init's own table.
pub const OWN_CSPACE: SlotIndex = SlotIndex(1);
/// Init's own address space.
pub const OWN_SPACE: SlotIndex = SlotIndex(2);
/// Init's own thread.
pub const OWN_THREAD: SlotIndex = SlotIndex(3);
/// The rest of the home lot, as untyped memory.
pub const HOME_UNTYPED: SlotIndex = SlotIndex(4);
/// The table of planted roots, to copy from.
pub const ROOT_TABLE: SlotIndex = SlotIndex(5);
/// The console.
pub const CONSOLE: SlotIndex = SlotIndex(6);
/// The share with the supervisor; in subOS 0 this slot holds [`MACHINE`].
pub const UPLINK: SlotIndex = SlotIndex(7);
/// The authority over the ledger; subOS 0 only.
pub const MACHINE: SlotIndex = SlotIndex(7);
/// The boot modules (subOS 0), or what `load` put beside the program; may be empty.
pub const MODULES: SlotIndex = SlotIndex(8);
/// The pages of the program itself.
pub const PROGRAM: SlotIndex = SlotIndex(9);
/// The first slot that is free.
pub const FIRST_FREE: SlotIndex = SlotIndex(16);

/// Cores that the root table has slots for.
pub const ROOT_CORES: u32 = 64;
/// Lots that the root table has slots for.
pub const ROOT_LOTS: u32 = 32;
/// Slots of the root table.
pub const ROOT_SLOTS: u32 = 128;

/// The slot of the root table in which a core's capability is planted, if there can be such a core.
#[must_use]
pub const fn root_core(core: u32) -> Option<SlotIndex> {
    if core < ROOT_CORES { Some(SlotIndex(1 + core)) } else { None }
}

/// The slot of the root table in which a lot's capability is planted; lot 0 is the home lot.
#[must_use]
pub const fn root_lot(lot: u32) -> Option<SlotIndex> {
    if lot < ROOT_LOTS { Some(SlotIndex(1 + ROOT_CORES + lot)) } else { None }
}

static_assertions::const_assert!(1 + ROOT_CORES + ROOT_LOTS <= ROOT_SLOTS);

/// The handle of a capability that was put into a fresh slot.
#[must_use]
pub const fn fresh(slot: SlotIndex) -> Handle {
    Handle::new(slot, Generation(0))
}
