//! The program that the harness boots as subOS 0 for a target case. Its arguments are the case's name, or that of a
//! child that a case starts; or they say what turmoil to make.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;

userlib::main!(main);

fn main() {
    let name = userlib::environment().arguments();
    if name.starts_with(guest_tests::turmoil::NAME) {
        userlib::testing::finish(guest_tests::turmoil::preside());
    }
    if let Some(child) = guest_tests::child(name) {
        return child();
    }
    match guest_tests::find(name) {
        Some(case) if userlib::environment().startup().subos == 0 => {
            userlib::testing::finish(guest_tests::perform(case));
        }
        Some((_, case)) => guest_tests::report_home(&case()),
        None => userlib::testing::finish(Err(format!("there is no case {name:?}"))),
    }
}
