//! SubOS 0's first program.
#![no_std]
#![no_main]

userlib::main!(main);

fn main() {
    // It comes back only with a reason to give up.
    userlib::testing::finish(supervisor_keeper::keep());
}
