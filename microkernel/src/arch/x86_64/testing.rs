//! What only a build for tests has.

/// A hundred instructions that do nothing, in a kernel that is too long on purpose, for the bench to notice; none in the
/// kernel that ships.
#[inline(always)]
pub fn bench_padding() {
    #[cfg(feature = "bench-padding")]
    // SAFETY: it does nothing, a hundred times.
    unsafe {
        core::arch::asm!(".rept 100", "nop", ".endr", options(nomem, nostack, preserves_flags));
    }
}

/// A mark that the kernel comes past, where a test can let it fail; nothing in the kernel that ships.
#[cfg(not(feature = "hooks"))]
#[inline(always)]
pub const fn passage() {}
/// How often an interrupt is sent: once, in the kernel that ships.
#[cfg(not(feature = "hooks"))]
#[inline(always)]
pub const fn copies() -> u32 {
    1
}
#[cfg(feature = "hooks")]
pub use crate::machine::hooks::passages::{copies, passage};
