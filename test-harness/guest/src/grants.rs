//! Several things given at once: all of them or none, and who was the reason.

use idl::kernel::subos::Grant;
use idl::types::{Chunks, CoreNumber, LotNumber};
use userlib::{Error, check_eq};

use crate::steward::{Child, audit, compare, ledger};
use crate::wards::{COUNT, ECHO, LOT};
use crate::{Outcome, said};

const NONE: Chunks = Chunks(0);

/// What is answered when one was the reason.
fn refused(which: u64, error: Error) -> Grant {
    let none = LotNumber(0);
    Grant { refused: which, error: u64::from(error.number()), first: none, second: none, third: none }
}

/// Two cores and three lots come at once, and each is as good as if it had come alone.
pub(crate) fn all_come_at_once() -> Outcome {
    let before = ledger()?;
    let child = Child::new("suboses/talk", 8)?;
    child.start(&[1])?;
    let grant = child.subos.grant(0b1100, Chunks(1), Chunks(3), Chunks(2)).map_err(said("grant"))?;
    let lots = [LotNumber(1), LotNumber(2), LotNumber(3)];
    check_eq!((grant.refused, [grant.first, grant.second, grant.third]), (0, lots));
    for (lot, pages) in [(1, 512), (2, 1536), (3, 1024)] {
        check_eq!(child.wait_for(LOT)?, [LOT, lot, pages, 0, 0]);
    }
    check_eq!(child.subos.info().map_err(said("info"))?.cores, 0b1110);
    audit()?;
    child.take_core(1)?;
    child.take_core(2)?;
    child.subos.send(7, 0, 0, 0, 0).map_err(said("send"))?;
    check_eq!(child.wait_for(ECHO)?[1], 8);
    lots.into_iter().try_for_each(|lot| child.take_lot(lot))?;
    // Nothing but cores, nothing but lots, nothing.
    check_eq!(child.subos.grant(0b10, NONE, NONE, NONE), Ok(refused_by_nothing(0)));
    check_eq!(child.subos.grant(0, NONE, Chunks(1), NONE), Ok(refused_by_nothing(1)));
    check_eq!(child.subos.grant(0, NONE, NONE, NONE), Ok(refused_by_nothing(0)));
    audit()?;
    child.destroy()?;
    compare(&before)
}

fn refused_by_nothing(first: u32) -> Grant {
    let none = LotNumber(0);
    Grant { refused: 0, error: 0, first: LotNumber(first), second: none, third: none }
}

/// One that cannot be given keeps back all of them, wherever it stands among them; the answer names it, the ledger is as it
/// was, and the subOS has heard of nothing.
pub(crate) fn one_keeps_back_all() -> Outcome {
    let before = ledger()?;
    let (child, other) = (Child::new("suboses/count", 8)?, Child::new("suboses/talk", 4)?);
    child.start(&[1])?;
    other.start(&[2])?;
    let between = ledger()?;
    let wishes = [
        // The supervisor's core, its own, somebody else's, and one that the machine does not have.
        (0b1001, [Chunks(1), NONE, NONE], refused(1, Error::NoResource)),
        (0b1010, [Chunks(1), NONE, NONE], refused(1, Error::NoResource)),
        (0b1100, [Chunks(1), Chunks(1), NONE], refused(1, Error::NoResource)),
        (0b1000 | 1 << 40, [Chunks(1), NONE, Chunks(1)], refused(2, Error::NoResource)),
        (u64::MAX, [Chunks(1), Chunks(1), Chunks(1)], refused(1, Error::NoResource)),
        // A lot that there is not room for, in every place.
        (0b1000, [Chunks(1 << 20), Chunks(1), NONE], refused(2, Error::NoResource)),
        (0b1000, [Chunks(1), Chunks(1 << 20), NONE], refused(3, Error::NoResource)),
        (0b1000, [Chunks(1), Chunks(1), Chunks(1 << 20)], refused(4, Error::NoResource)),
        (0, [NONE, NONE, Chunks(u32::MAX)], refused(1, Error::NoResource)),
    ];
    for (cores, [first, second, third], expected) in wishes {
        check_eq!(child.subos.grant(cores, first, second, third), Ok(expected));
        compare(&between)?;
        audit()?;
    }
    // A table of roots with room for two of three.
    for _ in 0..29 {
        other.subos.grant_lot(Chunks(1)).map_err(said("grant_lot"))?;
        other.wait_for(LOT)?;
    }
    let full = ledger()?;
    check_eq!(other.subos.grant(0b1000, Chunks(1), Chunks(1), Chunks(1)), Ok(refused(4, Error::NoResource)));
    compare(&full)?;
    audit()?;
    // What was refused can be given; who was refused goes on.
    child.subos.grant_core(CoreNumber(3)).map_err(said("grant_core"))?;
    child.wait_for(COUNT)?;
    child.destroy()?;
    other.destroy()?;
    audit()?;
    compare(&before)
}
