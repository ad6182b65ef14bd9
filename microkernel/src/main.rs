//! The kernel's image: the library, with what a freestanding program needs besides.
#![no_std]
#![no_main]

mod builtins;

use core::panic::PanicInfo;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    microkernel::panic::kernel_panic(info)
}

/// Named by precompiled `core`; never called, because panics abort.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
