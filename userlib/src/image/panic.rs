//! What a panic does: say where and why, then fault, so that the parent hears of it too.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::console::{self, Writer};

/// Set while a panic is reported: a panic in the report must not report itself.
static REPORTING: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if !REPORTING.swap(true, Ordering::Relaxed) {
        let mut writer = Writer::new();
        // A console that does not take the line is no reason to go on.
        let _ = core::fmt::Write::write_fmt(&mut writer, format_args!("{info}\n"));
        console::flush(&mut writer);
        REPORTING.store(false, Ordering::Relaxed);
    }
    super::halt()
}

/// The precompiled `alloc` names it in clean-up code that only unwinding reaches, and nothing here unwinds.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    super::halt()
}
