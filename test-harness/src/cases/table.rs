//! The cases, in the order in which they run.

use super::Case;

/// Every target case.
pub const CASES: &[Case] = &[
    Case::new("boot::one_core").says(&["cores=1"]),
    Case::new("boot::two_cores").cores(2).says(&["cores=2"]),
    Case::new("boot::four_cores").cores(4).memory(1024).says(&["cores=4"]),
    Case::new("boot::sixteen_cores").cores(16).memory(1024).seconds(30).says(&["cores=16"]),
    Case::new("library::heap_grows"),
    Case::new("library::threads_return_values"),
    Case::new("library::a_lock_excludes"),
    Case::new("library::a_stack_overflow_faults"),
    Case::new("library::mappings_come_and_go"),
    Case::new("library::an_interface_is_served"),
    Case::new("library::waits_end"),
    Case::new("library::signals_end_a_receive"),
    Case::new("processes::a_process_serves"),
    Case::new("processes::a_stray_write_is_reported"),
    Case::new("processes::a_panic_is_reported").says(&["as the case wants it"]),
    Case::new("processes::a_process_stays_in_its_budget"),
];
