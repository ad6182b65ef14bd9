//! The program that the bench boots as subOS 0. The first word of its arguments says which figures are wanted.
#![no_std]
#![no_main]

userlib::main!(main);

fn main() {
    let arguments = userlib::environment().arguments();
    let mut words = arguments.split_whitespace();
    match guest_tests::measure::experiment(words.next().unwrap_or("")) {
        Some(guest_tests::measure::Experiment::Whole(whole)) => userlib::testing::finish(whole()),
        Some(guest_tests::measure::Experiment::Part(part)) => part(),
        None => userlib::testing::finish(Err("there is no such experiment")),
    }
}
