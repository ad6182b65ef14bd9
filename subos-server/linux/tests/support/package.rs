//! Programs and Debian packages that tests need, had as the harness has them. No root, nothing installed.

use std::path::PathBuf;

use test_harness::failure::Result;
use test_harness::tools::{self, Install};

/// Debian's static busybox. The test fails when it cannot be had.
pub(crate) fn busybox() -> PathBuf {
    had(tools::busybox(Install::from_environment()))
}

/// A file of musl's development package. The test fails when it cannot be had.
pub(crate) fn musl(file: &str) -> PathBuf {
    had(tools::package_file("musl-dev", file, Install::from_environment()))
}

/// The C compiler. The test fails when there is none.
pub(crate) fn compiler() -> PathBuf {
    had(tools::linker())
}

fn had(found: Result<PathBuf>) -> PathBuf {
    found.unwrap_or_else(|failure| panic!("{failure}"))
}
