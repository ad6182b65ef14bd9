//! What is counted of a subOS is exact, and its own.

use alloc::string::String;
use core::time::Duration;

use idl::event::Event;
use idl::types::{CoreNumber, PageIndex, Pages, StatisticsQuestion, UserPage};
use userlib::cap::{Endpoint, Region, SubOs, Thread};
use userlib::{Cap, Error, Handle, Rights, cap, check, check_eq, environment, memory, slots, time};

use crate::steward::{Child, audit, compare, ledger};
use crate::wards::attend;
use crate::{Outcome, said};

pub(crate) const CHILDREN: &[(&str, fn())] = &[("accounts/ward", ward)];

/// Orders, and the answer to each: 0, or an error's number.
const MAKE: u64 = 70;
const DELETE: u64 = 71;
const LABOUR: u64 = 72;
const DONE: u64 = 73;

/// Objects that an order makes, and those of them that another deletes.
const THREADS: usize = 7;
const REGIONS: usize = 3;
const ENDPOINTS: usize = 2;
const GONE: usize = 2;

/// Places in the three answers about kinds, one after the other.
const TABLES: usize = 1;
const THREAD: usize = 2;
const REGION: usize = 4;
const ENDPOINT: usize = 5;
const CORES: usize = 10;

/// Objects are counted by kind, to the last one: made, deleted, and gone with what they were made of.
pub(crate) fn objects_are_counted_by_kind() -> Outcome {
    let before = ledger()?;
    let child = Child::new("accounts/ward", 8)?;
    child.start(&[1])?;
    let begin = live(child.subos)?;
    check_eq!(begin[CORES], 1);
    check!(begin[TABLES] > 1 && begin[THREAD] == 1, "what it starts with: {begin:?}");
    let mut expected = begin;
    for _ in 0..3 {
        obey(&child, MAKE)?;
        expected[THREAD] += THREADS as u64;
        expected[REGION] += REGIONS as u64;
        expected[ENDPOINT] += ENDPOINTS as u64;
        check_eq!(live(child.subos)?, expected);
        obey(&child, DELETE)?;
        expected[THREAD] -= GONE as u64;
        expected[REGION] -= GONE as u64;
        check_eq!(live(child.subos)?, expected);
    }
    child.subos.grant_core(CoreNumber(2)).map_err(said("grant_core"))?;
    expected[CORES] += 1;
    check_eq!(live(child.subos)?, expected);
    child.take_core(2)?;
    expected[CORES] -= 1;
    check_eq!(live(child.subos)?, expected);
    child.destroy()?;
    audit()?;
    compare(&before)
}

/// Who has its kernel work long is charged for that, and nobody else is; what the supervisor does in a kernel is charged to
/// that kernel's subOS.
pub(crate) fn kernel_time_is_charged_to_who_causes_it() -> Outcome {
    let before = ledger()?;
    let (one, other) = (Child::new("accounts/ward", 8)?, Child::new("accounts/ward", 8)?);
    one.start(&[1])?;
    other.start(&[2])?;
    obey(&one, LABOUR)?;
    // Its core has gone to sleep when it has answered.
    time::sleep(Duration::from_millis(20));
    let (one_before, other_before) = (kernel_time(&one, 1)?, kernel_time(&other, 2)?);
    let visits = kernel_time(&other, 0)?;
    obey(&one, LABOUR)?;
    time::sleep(Duration::from_millis(20));
    let (one_after, other_after) = (kernel_time(&one, 1)?, kernel_time(&other, 2)?);
    check!(one_after > one_before, "it works, and is charged nothing: {one_before} ticks");
    check_eq!(other_after, other_before);
    // Being looked at, which is a visit, is all that happened to it.
    check!(kernel_time(&other, 0)? > visits, "visits are not charged");
    let moves = one.subos.statistics(CoreNumber(1), StatisticsQuestion::Moves).map_err(said("statistics"))?;
    check!(one_after <= moves[2], "{one_after} ticks in the kernel of {} that it had the core", moves[2]);
    one.destroy()?;
    other.destroy()?;
    compare(&before)
}

/// How many objects there are of each kind.
fn live(subos: Cap<SubOs>) -> Result<[u64; 15], String> {
    let mut all = [0; 15];
    let questions = [StatisticsQuestion::Memories, StatisticsQuestion::Meetings, StatisticsQuestion::Planted];
    for (which, words) in questions.into_iter().zip(all.chunks_mut(5)) {
        words.copy_from_slice(&subos.statistics(CoreNumber(1), which).map_err(said("statistics"))?);
    }
    Ok(all)
}

fn kernel_time(child: &Child, core: u32) -> Result<u64, String> {
    let words = child.subos.statistics(CoreNumber(core), StatisticsQuestion::Kernel);
    Ok(words.map_err(said("statistics"))?[0])
}

fn obey(child: &Child, order: u64) -> Outcome {
    child.subos.send(order, 0, 0, 0, 0).map_err(said("send"))?;
    check_eq!(child.wait_for(DONE)?[1], 0);
    Ok(())
}

fn ward() {
    let mut made = None;
    attend(0, |uplink, words| {
        if Event::from_words(&words).is_ok() {
            return;
        }
        let result = match words[0] {
            MAKE => make().map(|objects| made = Some(objects)),
            DELETE => made.take().map_or(Err(Error::Empty), delete),
            _ => labour(),
        };
        let _ = uplink.send(DONE, result.map_or_else(|error| error.number().into(), |()| 0), 0, 0, 0);
    });
}

type Objects = ([Cap<Thread>; THREADS], [Cap<Region>; REGIONS]);

fn make() -> Result<Objects, Error> {
    let mut made: Objects = ([cap(Handle::NONE); THREADS], [cap(Handle::NONE); REGIONS]);
    for thread in &mut made.0 {
        *thread = memory::create(0)?;
    }
    for region in &mut made.1 {
        *region = memory::create(2)?;
    }
    for _ in 0..ENDPOINTS {
        // A copy is no other object.
        memory::copy(memory::create::<Endpoint>(0)?, Rights::CALL)?;
    }
    Ok(made)
}

fn delete((threads, regions): Objects) -> Result<(), Error> {
    threads.iter().take(GONE).try_for_each(|thread| slots::delete(thread.handle()))?;
    regions.iter().take(GONE).try_for_each(|region| slots::delete(region.handle()))
}

/// Has the kernel map and unmap, again and again.
fn labour() -> Result<(), Error> {
    let region: Cap<Region> = memory::create(64)?;
    let space = environment().space();
    let binding = memory::bind(region, space)?;
    let base = UserPage::new(0x6100_0000_0000).ok_or(Error::BadRange)?;
    for _ in 0..50 {
        space.map(binding.handle(), PageIndex(0), base, Pages(64), Rights::READ)?;
        space.unmap(base, Pages(64))?;
    }
    slots::delete(binding.handle())?;
    slots::delete(region.handle())
}
