//! Cases that there are elsewhere, in a kernel that has a bug of the museum by order: here they must fail.

use crate::mutants::order;
use crate::{Outcome, ipc};

/// An endpoint's queue is emptied without a bound.
pub(crate) fn many_badges_go_at_once() -> Outcome {
    order(7)?;
    ipc::many_badges_go_at_once()
}

/// A notification is dropped on the way to who receives.
pub(crate) fn bound_notifications() -> Outcome {
    order(8)?;
    ipc::bound_notifications()
}
