//! Memory: making objects of it, mapping a page, taking it away.

use alloc::vec::Vec;

use idl::types::{PageIndex, Pages, UserPage};
use userlib::cap::{Region, Untyped, complete};
use userlib::{Kind, Rights, check_eq, environment, memory, slots};

use super::clock::{Clock, Row};
use crate::{Outcome, said};

/// Pages that are retyped, mapped and unmapped.
const PAGES: u32 = 64;
/// Where they are mapped: where nothing else ever is.
const BASE: u64 = 0x6100_0000_0000;

pub(super) fn measure(clock: &Clock) -> Outcome {
    retype(clock)?;
    map(clock)
}

fn retype(clock: &Clock) -> Outcome {
    let untyped = memory::create::<Untyped>(u64::from(PAGES)).map_err(said("untyped"))?;
    let mut row = Row::new("retype", PAGES as usize);
    let mut made = Vec::with_capacity(PAGES as usize);
    for _ in 0..PAGES {
        let slot = slots::allocate().map_err(said("slot"))?;
        let (time, handle) = clock.time(|| untyped.retype(Kind::Region, 1, slot));
        made.push(handle.map_err(said("retype"))?);
        row.add(time);
    }
    row.report()?;
    complete(|| untyped.reset()).map_err(said("reset"))?;
    made.into_iter().for_each(|handle| slots::release(handle.index()));
    slots::delete(untyped.handle()).map_err(said("delete"))
}

fn map(clock: &Clock) -> Outcome {
    let region = memory::create::<Region>(u64::from(PAGES)).map_err(said("region"))?;
    let space = environment().space();
    let binding = memory::bind(region, space).map_err(said("bind"))?;
    let (mut mapped, mut unmapped) = (Row::new("map", PAGES as usize), Row::new("unmap", PAGES as usize));
    let base = UserPage::new(BASE).ok_or("the base is no page")?;
    let rights = Rights::READ | Rights::WRITE;
    // The first page brings the page tables, which are no part of the row; the last round touches every page.
    for round in 0..3 {
        for page in 0..PAGES {
            let at = base.checked_add(Pages(page)).ok_or("no page")?;
            let (time, done) =
                clock.time(|| space.map(binding.handle(), PageIndex(page), at, Pages(1), rights));
            check_eq!(done, Ok(Pages(1)));
            if round > 0 {
                mapped.add(time);
            }
        }
        for page in 0..PAGES {
            let at = base.checked_add(Pages(page)).ok_or("no page")?;
            let (time, done) = clock.time(|| space.unmap(at, Pages(1)));
            check_eq!(done, Ok(Pages(1)));
            if round > 0 {
                unmapped.add(time);
            }
        }
    }
    mapped.report()?;
    unmapped.report()?;
    slots::delete(binding.handle()).map_err(said("delete"))?;
    slots::delete(region.handle()).map_err(said("delete"))
}
