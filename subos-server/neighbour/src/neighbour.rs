//! The first program of a subOS that talks.
#![no_std]
#![no_main]

userlib::main!(main);

fn main() -> Result<(), alloc::string::String> {
    subos_neighbour::neighbour::run()
}

extern crate alloc;
