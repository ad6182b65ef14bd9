//! The spinner's only program.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};

use subos_spinner::TICK;
use userlib::cap::Notification;
use userlib::idl::types::Priority;
use userlib::{Error, environment, memory, println, thread, time};

userlib::main!(main);

/// How often the timer has expired.
static TICKS: AtomicU64 = AtomicU64::new(0);

fn main() -> Result<(), &'static str> {
    println!("spinning on core {}", environment().startup().core);
    // Nobody ever signals it.
    let never = memory::create::<Notification>(0).map_err(Error::name)?;
    let tick = move || {
        loop {
            let _ = never.wait(time::after(TICK));
            TICKS.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::Builder::new().priority(Priority::HIGHEST).spawn(tick).map_err(Error::name)?;
    loop {
        core::hint::spin_loop();
    }
}
