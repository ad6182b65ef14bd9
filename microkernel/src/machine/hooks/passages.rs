//! Marked places: wherever the kernel uses an object, a slot or a page of a subOS's memory, and where it is entered and
//! left, it comes past a mark, and a test can let it fail at any of them, in any of four manners.
//!
//! A place is a line of the source, told by the compiler. What a test wants of a core lies on that core's own page, where
//! its next owner does not find it. A test either has the passages listed, or names the one at which the kernel fails: the
//! n-th from now on, of the core's own work or of its visits to a subOS.

use core::fmt::Write;
use core::panic::Location;

use caps::Error;
use idl::abi::REGISTER_WORDS;

use super::{Touch, double_fault, touch};
use crate::arch::x86_64::{area, clock, interrupts, layout};
use crate::arch::{Core, now, pause};
use crate::limits::{AREA_STRIDE, MAX_CORES, PAGE};
use crate::machine::places;
use crate::machine::share::Share;
use crate::outcome::Answer;
use crate::types::{CoreId, SubOsId};

/// Where on its core's page a plan lies: behind the core's struct.
const PLACE: u64 = 1024;
/// Places that are listed at most.
const LISTED: usize = 320;
/// Where the stray access goes of a kernel that fails at line 0; to no kernel's memory. Each line has an address of its
/// own, so that the epitaph names it.
const NOWHERE: u64 = 0xffff_f000_0000_0000;
/// How long a visitor keeps the lock that it fails to let go of, in microseconds; it cannot be overtaken, so it goes on then.
const VISITORS_HOLD: u64 = 20_000;

/// What is to happen at the marks.
mod mode {
    pub(super) const NOTHING: u64 = 0;
    /// The passages are counted and listed; the kernel fails when none is left to pass. 1 lists alone.
    pub(super) const FAIL: u64 = 2;
    /// The interrupt table that was spoilt for a double fault is loaded again.
    pub(super) const MEND: u64 = 3;
}

/// How the kernel fails.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// An assertion.
    Panic,
    /// An access to what is not mapped.
    Stray,
    /// The same, and the fault cannot be delivered.
    DoubleFault,
    /// It stays where it is for ever, with whatever lock it has.
    Hold,
}

/// What a test wants of a core.
#[repr(C)]
pub(super) struct Plan {
    mode: u64,
    manner: u64,
    /// 0 for the core's own work, else 1 and the number of the subOS that is visited.
    scope: u64,
    left: u64,
    count: u64,
    /// Places, each with the passage at which it was come past first: the place in the upper half, 0 where the list ends.
    list: [u64; LISTED],
    /// Of 256 interrupts that the core sends, so many are lost, and so many doubled; and how many were.
    losing: u64,
    doubling: u64,
    disturbed: u64,
    /// Where the generator stands that says which.
    dice: u64,
}

const _: () = assert!(size_of::<Core>() as u64 <= PLACE && PLACE + size_of::<Plan>() as u64 <= PAGE);

fn plan_of(core: CoreId) -> *mut Plan {
    (area::base(core) + area::CORE_PAGE + PLACE) as *mut Plan
}

/// The core whose stack this runs on; none while the machine boots.
fn own_core() -> Option<CoreId> {
    let here = 0_u8;
    let address = core::hint::black_box(&raw const here) as u64;
    let areas = layout::CORE_AREAS..layout::CORE_AREAS + AREA_STRIDE * MAX_CORES as u64;
    areas.contains(&address).then(|| area::owner(address))
}

/// The kernel comes past a mark.
#[inline(never)]
#[track_caller]
pub fn passage() {
    let Some(id) = own_core() else { return };
    // SAFETY: the page is mapped wherever its core runs, any words are a plan, and the core alone uses it now.
    let plan = unsafe { &mut *plan_of(id) };
    if core::hint::black_box(plan.mode) != mode::NOTHING {
        passed(plan, id, Location::caller());
    }
}

#[cold]
fn passed(plan: &mut Plan, id: CoreId, place: &'static Location<'static>) {
    if plan.mode == mode::MEND {
        plan.mode = mode::NOTHING;
        // SAFETY: boot has built the table.
        unsafe { interrupts::load() };
        return;
    }
    // SAFETY: the core's struct is on the same page; a byte is read that is atomic.
    let core = unsafe { &*((area::base(id) + area::CORE_PAGE) as *const Core) };
    let visited = core.visiting();
    if plan.scope != visited.map_or(0, |visited| u64::from(visited.0) + 1) {
        return;
    }
    plan.count += 1;
    let entry = name(place) << 32 | plan.count;
    if let Some(line) = plan.list.iter_mut().find(|line| **line == 0 || **line >> 32 == entry >> 32)
        && *line == 0
    {
        *line = entry;
    }
    if plan.mode == mode::FAIL && plan.count == plan.left {
        plan.mode = mode::NOTHING;
        fail(plan, core, visited, place);
    }
}

/// A number for a place: where the image has its description, which lies in the last 2 GiB.
fn name(place: &'static Location<'static>) -> u64 {
    core::ptr::from_ref(place) as u64 & 0xffff_ffff
}

#[track_caller]
fn fail(plan: &mut Plan, core: &Core, visited: Option<SubOsId>, place: &'static Location<'static>) {
    let manner = match plan.manner {
        0 => Manner::Panic,
        1 => Manner::Stray,
        2 => Manner::DoubleFault,
        _ => Manner::Hold,
    };
    let share = match (visited, core.subos()) {
        (Some(visited), _) => Some(places().share(visited)),
        (None, Some(own)) => Some(Share::own(own)),
        (None, None) => None,
    };
    if let Some(mut share) = share {
        let _ = writeln!(share, "@place {manner:?} {}:{}", place.file(), place.line());
    }
    let nowhere = (NOWHERE + 8 * u64::from(place.line())) as *mut u64;
    match (manner, visited) {
        (Manner::Panic, _) => panic!("a marked place was passed: {}:{}", place.file(), place.line()),
        (Manner::Stray, _) => touch(nowhere, Touch::Write),
        (Manner::DoubleFault, _) => {
            plan.mode = mode::MEND;
            double_fault(nowhere);
        }
        (Manner::Hold, None) => loop {
            pause();
        },
        (Manner::Hold, Some(_)) => {
            let end = now().after(clock::microseconds(VISITORS_HOLD));
            while now() < end {
                pause();
            }
        }
    }
}

/// How often an interrupt is to be sent that this core sends to another: once, unless a test has it lost or doubled.
pub fn copies() -> u32 {
    let Some(id) = own_core() else { return 1 };
    // SAFETY: as in `passage`.
    let plan = unsafe { &mut *plan_of(id) };
    if plan.losing + plan.doubling == 0 {
        return 1;
    }
    // Marsaglia's xorshift.
    plan.dice ^= plan.dice << 13;
    plan.dice ^= plan.dice >> 7;
    plan.dice ^= plan.dice << 17;
    let drawn = (plan.dice >> 24) & 0xff;
    let lost = drawn < plan.losing;
    let doubled = !lost && drawn < plan.losing + plan.doubling;
    plan.disturbed += u64::from(lost || doubled);
    if lost { 0 } else { 1 + u32::from(doubled) }
}

/// The hook: of 256 interrupts that this core sends from now on, or another, so many are lost and so many doubled, drawn from
/// this seed. Says how many were since the last time.
pub(super) fn disturb(me: CoreId, words: [u64; REGISTER_WORDS]) -> Answer {
    let [_, losing, doubling, seed, other] = words;
    // SAFETY: as in `arrange`.
    let plan = unsafe { &mut *plan_of(which(me, other)) };
    let disturbed = plan.disturbed;
    (plan.losing, plan.doubling) = (losing & 0xff, doubling & 0xff);
    (plan.dice, plan.disturbed) = (seed | 1, 0);
    Answer::of(disturbed)
}

/// The core that a hook is about: this one (255), or another of the same subOS.
fn which(me: CoreId, other: u64) -> CoreId {
    if other == 255 { me } else { CoreId(other.to_le_bytes()[0]) }
}

/// The hook: what is to happen at the marks that this core passes from now on, or another; for a failure also how, and at
/// which. Says how many were passed before.
pub(super) fn arrange(me: CoreId, words: [u64; REGISTER_WORDS]) -> Answer {
    let [_, what, scope, left, other] = words;
    // SAFETY: the page of a core that runs for this subOS is mapped; a sibling passes no mark while it is told.
    let plan = unsafe { &mut *plan_of(which(me, other)) };
    let count = plan.count;
    if what != mode::NOTHING {
        plan.list.fill(0);
    }
    (plan.mode, plan.manner) = (what & 0xff, what >> 8);
    (plan.scope, plan.left, plan.count) = (scope, left, 0);
    Answer::of(count)
}

/// The hook: a place that was listed, in the upper half of the word, with the passage at which it was come past first.
pub(super) fn listed(me: CoreId, index: u64, other: u64) -> Result<Answer, Error> {
    // SAFETY: as in `arrange`.
    let plan = unsafe { &*plan_of(which(me, other)) };
    let index = usize::try_from(index).map_err(|_| Error::OutOfRange)?;
    plan.list.get(index).map(|entry| Answer::of(*entry)).ok_or(Error::OutOfRange)
}
