//! What a panic does: say where and why, leave the same in the message page for the parent, then fault, so that it hears.

use core::fmt::Write;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::last_words::{CALLS, TEXT_BYTES, encode};
use crate::{console, page};

/// Set while a panic is reported: a panic in the report must not report itself.
static REPORTING: AtomicBool = AtomicBool::new(false);

/// Text up to a length; what is longer is cut.
struct Text(heapless::String<TEXT_BYTES>);

impl Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for character in text.chars() {
            self.0.push(character).map_err(|_| core::fmt::Error)?;
        }
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if !REPORTING.swap(true, Ordering::Relaxed) {
        let mut text = Text(heapless::String::new());
        // Whatever fits is said.
        let _ = writeln!(text, "{info}");
        let Text(text) = text;
        // A console that does not take it is no reason to go on, and a page that is not there has no reader.
        let _ = console::write(text.as_bytes());
        let mut trace = [0; CALLS];
        let calls = super::calls(&mut trace);
        // Last, since printing goes through the page as well.
        let _ = page::put_bytes(&encode(&text, trace.get(..calls).unwrap_or(&trace)));
        REPORTING.store(false, Ordering::Relaxed);
    }
    super::halt()
}

/// The precompiled `alloc` names it in clean-up code that only unwinding reaches, and nothing here unwinds.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    super::halt()
}
