//! As many cores and subOSes as there can be.

use alloc::vec::Vec;

use idl::types::{Chunks, CoreNumber, StatisticsQuestion};
use userlib::{Error, check, check_eq, environment, slots};

use crate::steward::{Child, audit, compare, ledger};
use crate::wards::ECHO;
use crate::{Outcome, said};

/// SubOSes besides the supervisor.
const CROWD: u32 = 31;
/// The core that is left when each of them has two.
const LAST: u32 = 63;

/// Thirty-one subOSes with two cores each, and the supervisor: all run and answer, the last core visits each of them,
/// every other one is ended and made anew, and in the end everything is back where it was.
pub(crate) fn a_full_house() -> Outcome {
    let before = ledger()?;
    let mut house = Vec::new();
    for number in 0..CROWD {
        house.push(move_in(number)?);
    }
    let slot = slots::allocate().map_err(said("a slot"))?;
    check_eq!(environment().machine().create(Chunks(4), slot).err(), Some(Error::NoResource));
    slots::release(slot);
    audit()?;
    for (number, child) in (0..).zip(&house) {
        answers(child, number)?;
        child.subos.grant_core(CoreNumber(LAST)).map_err(said("grant_core"))?;
        child.take_core(LAST)?;
        for core in cores(number) {
            let moves = child.subos.statistics(CoreNumber(core), StatisticsQuestion::Moves);
            let [arrivals, departures, ..] = moves.map_err(said("statistics"))?;
            check!(
                (arrivals, departures) == (1, 0),
                "core {core}: {arrivals} arrivals, {departures} departures"
            );
        }
    }
    audit()?;
    for number in (0..CROWD).step_by(2) {
        let index = number as usize;
        house.swap_remove(index).destroy()?;
        // The last one moved to the place that was left.
        let last = house.len();
        house.push(move_in(number)?);
        house.swap(index, last);
    }
    audit()?;
    for (number, child) in (0..).zip(&house) {
        answers(child, number)?;
    }
    house.into_iter().try_for_each(Child::destroy)?;
    audit()?;
    compare(&before)
}

/// The cores of the subOS with this number.
const fn cores(number: u32) -> [u32; 2] {
    [1 + 2 * number, 2 + 2 * number]
}

fn move_in(number: u32) -> Result<Child, alloc::string::String> {
    let child = Child::new("suboses/talk", 4)?;
    child.start(&cores(number))?;
    Ok(child)
}

fn answers(child: &Child, number: u32) -> Outcome {
    let word = 100 + u64::from(number);
    child.subos.send(word, 0, 0, 0, 0).map_err(said("send"))?;
    let answer = child.wait_for(ECHO)?;
    check!(answer[1] == word + 1, "subOS {number} answers {answer:?}");
    Ok(())
}
