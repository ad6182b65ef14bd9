//! What a program does while its kernel does something wrong, by order of a test: the harness must find it in the
//! kernel's journal. The program itself does not care.

use idl::types::{Bits, Deadline};
use userlib::cap::{Notification, Untyped, complete};
use userlib::{Rights, cap, environment, memory, slots};

use crate::{Outcome, said};

/// The method of DebugConsole that only kernels with hooks know.
const HOOK: u8 = 255;
/// The hook that lets the kernel's forest do something wrong from now on.
const MUTATE: u64 = 19;

/// Nothing is wrong.
pub(crate) fn none() -> Outcome {
    go_on()
}

/// A lookup does not look at rights.
pub(crate) fn blind_to_rights() -> Outcome {
    with(1)
}

/// A copy has all rights of what it is copied from.
pub(crate) fn a_greedy_copy() -> Outcome {
    with(2)
}

/// A revoke says that it is done before it began.
pub(crate) fn an_early_done() -> Outcome {
    with(3)
}

/// The last effect of a step is lost.
pub(crate) fn a_lost_effect() -> Outcome {
    with(4)
}

/// After a copy, something else writes into its slot.
pub(crate) fn a_stray_write() -> Outcome {
    order(5)?;
    let own = environment().cspace();
    let copy = slots::fill(|slot| own.copy(own.handle(), own.handle(), slot, Rights::READ));
    copy.map(|_| ()).map_err(said("copy"))
}

fn with(mutant: u64) -> Outcome {
    order(mutant)?;
    go_on()
}

pub(crate) fn order(mutant: u64) -> Outcome {
    let console = environment().console();
    let ordered: Result<(), _> =
        idl::client::plain(&console, HOOK, [MUTATE, mutant, 0, 0, 0], Deadline::NEVER);
    ordered.map_err(said("a kernel without a journal"))
}

/// A notification, a copy of it, a use of that, a revoke and a deletion.
fn go_on() -> Outcome {
    let budget = memory::create::<Untyped>(1).map_err(said("budget"))?;
    let bell = memory::create_from::<Notification>(budget, 0).map_err(said("bell"))?;
    let own = environment().cspace();
    let copy = slots::fill(|slot| own.copy(bell.handle(), own.handle(), slot, Rights::READ));
    let copy = cap::cap::<Notification>(copy.map_err(said("copy"))?);
    // Refused, if the kernel is right.
    let _ = copy.signal(Bits(1));
    complete(|| own.revoke(bell.handle())).map_err(said("revoke"))?;
    slots::delete(bell.handle()).map_err(said("delete"))
}
