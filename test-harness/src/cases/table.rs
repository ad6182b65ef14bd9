//! The cases, in the order in which they run.

use super::Case;

/// Every target case.
pub const CASES: &[Case] = &[
    Case::new("boot::one_core").says(&["cores=1"]),
    Case::new("boot::two_cores").cores(2).says(&["cores=2"]),
    Case::new("boot::four_cores").cores(4).memory(1024).says(&["cores=4"]),
    Case::new("boot::sixteen_cores").cores(16).memory(1024).seconds(30).says(&["cores=16"]),
];
