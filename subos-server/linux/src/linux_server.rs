//! The Linux personality as the first program of a subOS.
//!
//! Its arguments are a command line, whose first word is one of the files that came with the program;
//! all of them lie in the working directory. What the command prints is all that goes to the console.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod server;

use alloc::string::String;

userlib::main!(main);

fn main() -> Result<(), String> {
    server::run()
}
