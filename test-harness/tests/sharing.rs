//! The sharing detector: a steady workload shares no cache line between subOSes, and a counter that they share is found.

use std::sync::{Mutex, PoisonError};

use test_harness::failure::Failure;
use test_harness::host::documents;
use test_harness::image::Class;
use test_harness::manifest::{Overrides, load};
use test_harness::sharing::{Watched, report, steady, watch};
use test_harness::tools::Install;

/// Plays the steady workload with this kernel; one run at a time, for the machine has many cores.
fn look(kernel: Class, name: &str) -> Watched {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let play = || {
        let manifest = load(&steady(), Overrides::default())?;
        watch(Install::from_environment(), kernel, name, &manifest, &documents()?, &mut |_, _| {})
    };
    play().unwrap_or_else(|failure| panic!("{failure}"))
}

fn verdict(watched: &Watched) -> Result<(), Failure> {
    let [findings] = watched.findings.as_slice() else { panic!("the workload is watched once") };
    println!("{}", report::table(findings));
    report::check(findings, &watched.kernel)
}

#[test]
fn a_steady_workload_shares_no_line_between_suboses() {
    let watched = look(Class::Kernel, "sharing-none");
    verdict(&watched).and_then(|()| watched.played.check()).unwrap_or_else(|failure| panic!("{failure}"));
    let [findings] = watched.findings.as_slice() else { panic!("the workload is watched once") };
    assert!(!findings.declared.is_empty(), "who reports progress uses its share");
    assert!(findings.cores.iter().any(|row| row.inside > 0), "cores of one subOS share its kernel");
}

#[test]
fn a_planted_counter_is_found_with_its_symbol_and_owner() {
    let watched = look(Class::KernelSharing, "sharing-planted");
    let failure = verdict(&watched).expect_err("a counter is shared");
    assert_eq!(failure.what(), "a cache line is written by one subOS and touched by another");
    let text = failure.to_string();
    for expected in [
        "the kernel's image, reserved by the ledger: ",
        "planted::mistake::ENTRIES",
        "supervisor on core 0 writes it",
        "linux on core 1 writes it",
        "right on core 5 writes it",
        "first in microkernel::arch::x86_64::planted::mistake::count_entry (microkernel/src/arch/x86_64/planted.rs:",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}
