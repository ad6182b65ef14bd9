//! The program that the harness boots as subOS 0 to measure.
#![no_std]
#![no_main]

userlib::main!(main);

fn main() {
    guest_tests::bench::program();
}
