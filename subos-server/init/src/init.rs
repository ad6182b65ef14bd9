//! The first program of a native subOS.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;

userlib::main!(main);

fn main() -> Result<(), String> {
    subos_init::init::run()
}
