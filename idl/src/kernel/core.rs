//! One processor core of a subOS.

use idl_macros::kernel_object;

use crate::types::{CoreNumber, Ticks};
use crate::word::words;

words! {
    /// What a core did for its subOS.
    pub struct CoreInfo {
        /// Its number.
        core: CoreNumber,
        /// Times it went from one thread to another.
        switches: u64,
        /// Interrupts it took.
        interrupts: u64,
        /// For how long it had nothing to do.
        idle: Ticks,
    }
}

/// One processor core of this subOS. It is named to run threads on it; it goes when the supervisor takes it.
#[kernel_object(kind = Core)]
pub trait Core {
    /// Which core it is, and what it did.
    #[method(id = 1, rights = READ)]
    fn info() -> CoreInfo;
}
