//! Capabilities: copying, deleting, revoking.

use idl::types::Progress;
use userlib::cap::{CSpace, Cap, Notification, complete};
use userlib::{Error, Handle, Rights, SlotIndex, check_eq, environment, memory, slots};

use super::clock::{Clock, ROUNDS, Row};
use crate::{Outcome, said};

/// How many copies are revoked at once.
const COPIES: u32 = 256;
/// How often they are.
const REVOKES: usize = 8;

pub(super) fn measure(clock: &Clock) -> Outcome {
    copy(clock)?;
    revoke(clock)?;
    table(clock)
}

fn copy(clock: &Clock) -> Outcome {
    let notification = memory::create::<Notification>(0).map_err(said("notification"))?;
    let table = environment().cspace();
    let (mut copied, mut deleted) = (Row::new("copy", ROUNDS), Row::new("delete", ROUNDS));
    let slot = slots::allocate().map_err(said("slot"))?;
    for _ in 0..ROUNDS {
        let (time, copy) = clock.time(|| table.copy(notification.handle(), Handle::NONE, slot, Rights::CALL));
        let copy = copy.map_err(said("copy"))?;
        copied.add(time);
        let (time, done) = clock.time(|| table.delete(copy));
        check_eq!(done, Ok(Progress::Done));
        deleted.add(time);
    }
    slots::release(slot);
    copied.report()?;
    deleted.report()?;
    slots::delete(notification.handle()).map_err(said("delete"))
}

/// What revoking 256 copies costs more than revoking none, shared among them.
fn revoke(clock: &Clock) -> Outcome {
    let notification = memory::create::<Notification>(0).map_err(said("notification"))?;
    let table = environment().cspace();
    let side = memory::create::<CSpace>(u64::from(2 * COPIES)).map_err(said("table"))?;
    let mut row = Row::new("revoke-each", REVOKES);
    let revoke = || -> Result<(), Error> { complete(|| table.revoke(notification.handle())) };
    for _ in 0..REVOKES {
        let (none, done) = clock.time(revoke);
        done.map_err(said("revoke"))?;
        for slot in 1..=COPIES {
            let copy = table.copy(notification.handle(), side.handle(), SlotIndex(slot), Rights::CALL);
            copy.map_err(said("copy"))?;
        }
        let (all, done) = clock.time(revoke);
        done.map_err(said("revoke"))?;
        row.add(all.saturating_sub(none) / u64::from(COPIES));
    }
    row.report()?;
    slots::delete(side.handle()).map_err(said("delete"))?;
    slots::delete(notification.handle()).map_err(said("delete"))
}

/// Deleting a table of 256 slots with nothing in it.
fn table(clock: &Clock) -> Outcome {
    let own = environment().cspace();
    let mut row = Row::new("delete-table", REVOKES);
    for _ in 0..REVOKES {
        let table: Cap<CSpace> = memory::create(256).map_err(said("table"))?;
        let (time, done) = clock.time(|| complete(|| own.delete(table.handle())));
        done.map_err(said("delete"))?;
        slots::release(table.handle().index());
        row.add(time);
    }
    row.report()
}
