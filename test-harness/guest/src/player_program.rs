//! The program that the harness boots as subOS 0 to let others play.
#![no_std]
#![no_main]

userlib::main!(main);

fn main() {
    guest_tests::player::program();
}
