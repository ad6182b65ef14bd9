//! The sharing detector: a steady workload shares no cache line between subOSes, and a counter that they share is found.

use std::sync::{Mutex, PoisonError};

use test_harness::failure::Failure;
use test_harness::host::documents;
use test_harness::image::Class;
use test_harness::manifest::{Overrides, load};
use test_harness::sharing::territory::{Owner, SUPERVISOR};
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
    let shares = findings.declared.iter().filter(|([one, _], _)| *one == SUPERVISOR).count();
    assert!(shares > 0, "who reports progress uses its share");
    let window = findings.declared.iter().find(|([one, _], _)| *one != SUPERVISOR);
    let ([one, other], window) = window.expect("two talk over a window");
    let names = [one, other].map(|side| findings.land.name(Owner::SubOs(*side)));
    assert_eq!(names, ["here", "there"]);
    assert!(window.lines > 10 && window.accesses.iter().all(|count| *count > 100), "{window:?}");
    assert!(findings.cores.iter().any(|row| row.inside > 0), "cores of one subOS share its kernel");
}

#[test]
fn planted_sharing_is_found_with_its_symbols_and_owners() {
    let watched = look(Class::KernelSharing, "sharing-planted");
    let text = verdict(&watched).expect_err("memory is shared").to_string();
    assert!(text.contains("cache lines are written by one subOS and touched by another"), "{text}");
    let lines: Vec<&str> = text.split("\n    0x").collect();
    let counter = "the kernel's image, reserved by the ledger: ";
    let counter = lines.iter().find(|line| line.contains(counter)).expect("the counter is found");
    for expected in [
        "planted::mistakes::ENTRIES",
        "supervisor on core 0 writes it",
        "linux on core 1 writes it",
        "right on core 5 writes it",
        "first in microkernel::arch::x86_64::planted::mistakes::count_entry (microkernel/src/arch/x86_64/planted.rs:",
    ] {
        assert!(counter.contains(expected), "{expected}: {text}");
    }
    let peek = "supervisor on core 0 reads it";
    let kernel = lines.iter().find(|line| line.contains("by the ledger, +0x") && line.contains(peek));
    let kernel = kernel.expect("the look at another kernel is found");
    assert!(kernel.contains("planted::mistakes::peek_at_kernel"), "{text}");
    let owned = |name: &&&str| kernel.contains(&format!("lot 0 of {name}, owned by {name} by the ledger"));
    let owner = ["linux", "left", "right"].iter().find(owned).expect("the ledger says whose it is");
    assert!(kernel.contains(&format!("{owner} on core")) && kernel.contains("writes it"), "{text}");
    // A third that touches what two have declared between them, though neither is to blame.
    let window = lines.iter().find(|line| line.contains("the memory of the window of here and there, +0x"));
    let window = window.unwrap_or_else(|| panic!("the look at the window is not found: {text}"));
    let look = "planted::mistake::peek_at_window (microkernel/src/machine/planted.rs:";
    let by_third = |line: &&str| {
        ["linux on core", "left on core", "right on core"].iter().any(|third| line.contains(third))
    };
    let third: Vec<&str> = window.lines().filter(by_third).collect();
    assert!(!third.is_empty() && third.iter().all(|line| line.contains(look)), "{window}");
    for side in ["here on core 6 writes it", "there on core 7 writes it"] {
        assert!(text.contains(side), "{side}: {text}");
    }
}
