//! docs/assurance.md claims no more than the tests of this tree have reached, which each of them wrote down.
//!
//! `cargo test` runs them before this. `UPDATE_ASSURANCE=1 cargo test -p test-harness --test assurance` writes the page
//! anew, from what they wrote down last; it is never typed.
//!
//! What real kernels did is held to the page by `--test refine`, which runs later.

use caps_spec::record::Method;
use test_harness::check::assured::hold;
use test_harness::failure::Result;

#[test]
fn the_page_claims_no_more_than_was_reached() -> Result<()> {
    hold(env!("CARGO_TARGET_TMPDIR"), |method: Method| !method.is_on_the_target())
}
