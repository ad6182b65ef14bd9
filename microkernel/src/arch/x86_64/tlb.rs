//! Forgetting translations on this core (SDM vol 3, 4.10.4). Asking other cores is a protocol over their
//! [mailboxes](super::mailbox); this is what they do when asked.

use super::instructions::{invlpg, read_cr4, write_cr4};
use crate::types::VirtAddr;

const CR4_PGE: u64 = 1 << 7;

/// Forgets one page.
#[inline(always)]
pub fn flush_page(page: VirtAddr) {
    invlpg(page.0);
}

/// Forgets everything, global translations and cached table entries included: needed when kernel mappings changed.
pub fn flush_all() {
    let four = read_cr4();
    // SAFETY: turning global pages off only flushes (SDM vol 3, 4.10.4.1).
    unsafe { write_cr4(four & !CR4_PGE) };
    // SAFETY: this is the value that was there.
    unsafe { write_cr4(four) };
}
