//! The spinner's only program.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};

use subos_spinner::{TICK, answer};
use userlib::cap::Notification;
use userlib::idl::types::{Bits, Priority};
use userlib::{Error, environment, memory, println, thread, time};

userlib::main!(main);

/// How often the timer has expired.
static TICKS: AtomicU64 = AtomicU64::new(0);

fn main() -> Result<(), &'static str> {
    println!("spinning on core {}", environment().startup().core);
    let bell = memory::create::<Notification>(0).map_err(Error::name)?;
    environment().uplink().bind(bell.handle(), Bits(1)).map_err(Error::name)?;
    let tick = move || {
        let environment = environment();
        let mut says = environment.argument("says").unwrap_or("").split(',');
        loop {
            let _ = bell.wait(time::after(TICK));
            TICKS.fetch_add(1, Ordering::Relaxed);
            let said = environment.uplink().receive();
            if let Some([a, b, c, d, e]) = said.ok().and_then(|words| answer(&words, &mut says)) {
                // Nobody is there to be told that there is no room.
                let _ = environment.uplink().send(a, b, c, d, e);
            }
        }
    };
    thread::Builder::new().priority(Priority::HIGHEST).spawn(tick).map_err(Error::name)?;
    loop {
        core::hint::spin_loop();
    }
}
