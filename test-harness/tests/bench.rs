//! The bench can be trusted: two runs give the same figures, and a hundred instructions more on a path show as a hundred in
//! each row that passes it and nowhere else.

use test_harness::image::Class;
use test_harness::measure::bench::{Bench, measure};
use test_harness::measure::compare::{moved, same};
use test_harness::measure::{scale, victim};
use test_harness::tools::Install;

fn bench(class: Class) -> Bench {
    measure(Install::from_environment(), class).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn no_neighbour_works_for_others_and_nothing_grows_more_than_is_known() {
    let crowds = scale::measure(Install::from_environment(), Class::Kernel)
        .unwrap_or_else(|failure| panic!("{failure}"));
    println!("{}", scale::table(&crowds));
    let suboses: Vec<u64> = crowds.iter().map(|crowd| crowd.suboses).collect();
    assert_eq!(suboses, [2, 8, 32]);
    scale::check(&crowds).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_subos_does_not_notice_what_is_done_to_others() {
    let latency = victim::measure(Install::from_environment(), Class::Kernel);
    let latency = latency.unwrap_or_else(|failure| panic!("{failure}"));
    println!("{}", latency.table());
    latency.check().unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn two_runs_give_the_same_figures_and_a_hundred_instructions_more_show_as_a_hundred() {
    let first = bench(Class::Kernel);
    same(&first, &bench(Class::Kernel)).unwrap_or_else(|failure| panic!("{failure}"));
    let padded = bench(Class::KernelPadded);
    moved(&first, &padded).unwrap_or_else(|failure| panic!("{failure}"));
}
