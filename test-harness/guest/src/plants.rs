//! That the audit finds what is broken: one thing at a time is broken on purpose, by hooks, as a bug of the kernel might
//! break it. The audit must say what it is and where, and must find nothing any more when it is mended.

use alloc::format;
use alloc::string::String;

use idl::types::{Chunks, Deadline, LedgerState, MachineQuestion, PageIndex, Pages, ResourceKind, UserPage};
use userlib::cap::Region;
use userlib::{Cap, Error, Rights, check, check_eq, environment, memory};

use crate::steward::{Child, audit, compare, ledger};
use crate::walls::{HOOK, PHYSICAL_MAP, SURVIVED, chunk, home_of};
use crate::{Outcome, said, shares};

/// The hooks.
const PLANT: u64 = 17;
const FLIP: u64 = 21;
pub(crate) const FLIP_OWN: u64 = 22;

/// The violations, by the numbers that the audit gives.
pub(crate) mod violation {
    pub(super) const CHUNK: u64 = 1;
    pub(super) const AREA: u64 = 2;
    pub(super) const SHARE: u64 = 3;
    pub(super) const IMAGE: u64 = 4;
    pub(super) const FOREIGN: u64 = 5;
    pub(crate) const USER_PAGE: u64 = 6;
    pub(super) const BINDING: u64 = 7;
    pub(super) const REGION: u64 = 8;
    pub(super) const RIGHTS: u64 = 9;
    pub(super) const UPPER_HALF: u64 = 10;
    pub(super) const CORE: u64 = 11;
    pub(super) const DOORBELL: u64 = 12;
    pub(super) const LEDGER: u64 = 13;
    pub(super) const ROUTE: u64 = 14;
    pub(super) const FLAGS: u64 = 15;
    pub(super) const MISSING: u64 = 16;
}

/// Bits of page-table entries (SDM vol 3, 4.5).
mod bit {
    pub(super) const PRESENT: u64 = 1 << 0;
    pub(super) const WRITABLE: u64 = 1 << 1;
    pub(super) const USER: u64 = 1 << 2;
    pub(super) const WRITE_THROUGH: u64 = 1 << 3;
    pub(super) const NO_CACHE: u64 = 1 << 4;
    pub(super) const ACCESSED: u64 = 1 << 5;
    /// Of an entry that leads to a table: that it is a large page. Of a page: how it is cached.
    pub(super) const HUGE: u64 = 1 << 7;
    pub(super) const GLOBAL: u64 = 1 << 8;
    /// The highest bit of the number of a binding.
    pub(super) const BINDING: u64 = 1 << 58;
    pub(super) const PROTECTION_KEY: u64 = 1 << 59;
    pub(super) const NO_EXECUTE: u64 = 1 << 63;
    /// The address that an entry leads to.
    pub(super) const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
    /// One that no test machine has memory at.
    pub(super) const BEYOND: u64 = 1 << 38;
}

const PAGE: u64 = idl::abi::PAGE_SIZE;
const CHUNK: u64 = idl::abi::CHUNK_SIZE;
/// Where kernels have the areas of cores, the local APIC, the shares and the image; the I/O APIC and the image in memory.
const AREAS: u64 = 0xffff_c000_0000_0000;
const LAPIC: u64 = 0xffff_d000_0000_0000;
const SHARES: u64 = 0xffff_e000_0000_0000;
const IMAGE: u64 = 0xffff_ffff_8000_0000;
const IO_APIC: u64 = 0xfec0_0000;
const IMAGE_CHUNK: u64 = CHUNK;
/// From one core's area, and from one subOS's share, to the next.
const AREA_STRIDE: u64 = 128 << 10;
const SHARE_STRIDE: u64 = 1 << 20;
/// Pages of an area: the first is a guard. A core's own page, what it is told, and its epitaph.
const CORE_PAGE: u64 = 18 * PAGE;
const MAILBOX: u64 = 20 * PAGE;
const EPITAPH: u64 = 23 * PAGE;
/// Where the console begins in a share.
const CONSOLE: u64 = 3 * PAGE;
/// What no part of a kernel half covers.
const NOWHERE: u64 = 0xffff_9600_0000_0000;

/// Where a subOS of these cases has a page that its binding allows to read only.
pub(crate) const READ_ONLY: u64 = 0x6100_0000;

/// Maps that page.
pub(crate) fn map_a_page() -> Result<(), Error> {
    let region: Cap<Region> = memory::create(1)?;
    let to_read = memory::copy(region, Rights::READ | Rights::DERIVE)?;
    let space = environment().space();
    let binding = memory::bind(to_read, space)?;
    let address = UserPage::new(READ_ONLY).ok_or(Error::BadRange)?;
    memory::map_pages(space, binding, PageIndex(0), address, Pages(1), Rights::READ)
}

pub(crate) fn the_audit_finds_what_is_broken() -> Outcome {
    let before = ledger()?;
    in_kernel_halves()?;
    in_the_halves_of_the_supervisor_and_of_nobody()?;
    in_address_spaces()?;
    besides_page_tables()?;
    compare(&before)
}

/// Whose kernel half: a subOS's, or nobody's, by a number that no subOS has.
#[derive(Clone, Copy)]
struct Half(u64);

const SUPERVISORS: Half = Half(0);
const NOBODYS: Half = Half(255);

impl Half {
    /// The entry for an address at this level, and flips these bits of it.
    fn flip(self, address: u64, level: u64, bits: u64) -> Result<u64, String> {
        let words = [FLIP, self.0, address | level, bits, 0];
        let asked: Result<u64, Error> =
            idl::client::plain(&environment().console(), HOOK, words, Deadline::NEVER);
        asked.map_err(|error| format!("level {level} of {address:#x} in the half of {}: {error}", self.0))
    }

    fn entry(self, address: u64, level: u64) -> Result<u64, String> {
        self.flip(address, level, 0)
    }

    /// With these bits flipped the audit finds this, there; and nothing when they are as before.
    fn finds(self, violation: u64, address: u64, level: u64, bits: u64) -> Outcome {
        self.flip(address, level, bits)?;
        let found = found(violation, Some(address));
        self.flip(address, level, bits)?;
        found.map_err(|wrong| {
            format!("level {level} of {address:#x} ^ {bits:#x} in the half of {}: {wrong}", self.0)
        })?;
        audit()
    }
}

/// What the audit says now.
fn found(violation: u64, place: Option<u64>) -> Outcome {
    let report = environment().machine().audit().map_err(said("audit"))?;
    check!(report.violations > 0 && report.first == violation, "not violation {violation}: {report:?}");
    check!(place.is_none_or(|place| place == report.place), "not at {place:x?}: {report:?}");
    Ok(())
}

/// The number of the subOS that has this core.
fn owner(core: u64) -> Result<u64, String> {
    let entry = environment().machine().ledger(ResourceKind::Core, core).map_err(said("ledger"))?;
    check_eq!(entry.state, LedgerState::Owned, "core {core}");
    Ok(entry.owner.0.into())
}

fn in_kernel_halves() -> Outcome {
    // One that runs, and one without a core: of that one any entry can be broken.
    let child = Child::new("walls/stay", 4)?;
    child.start(&[1])?;
    let half = Half(owner(1)?);
    check_eq!(half.0, 1, "the tables that are used below are there for the first subOS");
    let idle = Child::new("walls/stay", 4)?;
    chunks(Half(2), home_of(2)?)?;
    tables(Half(2), home_of(2)?)?;
    areas(half)?;
    shares(half)?;
    image(half)?;
    apic(half)?;
    idle.destroy()?;
    child.destroy()
}

fn chunks(half: Half, own: u64) -> Outcome {
    let free = chunk(LedgerState::Free)? + 64 * CHUNK;
    let entry = half.entry(PHYSICAL_MAP + own, 2)?;
    check_eq!(entry & bit::ADDRESS, own);
    half.finds(violation::CHUNK, PHYSICAL_MAP + free, 2, entry ^ own ^ free)?;
    half.finds(violation::CHUNK, PHYSICAL_MAP + own, 2, own ^ free)?;
    // All of the first GiB at once, or a GiB where there is no memory.
    half.finds(violation::CHUNK, PHYSICAL_MAP + (1 << 30), 3, entry ^ own ^ 1 << 30)?;
    half.finds(violation::MISSING, PHYSICAL_MAP + own, 2, bit::PRESENT)?;
    for bits in [bit::WRITABLE, bit::USER, bit::NO_CACHE, bit::GLOBAL, bit::PROTECTION_KEY, bit::NO_EXECUTE] {
        half.finds(violation::FLAGS, PHYSICAL_MAP + own, 2, bits)?;
    }
    Ok(())
}

fn tables(half: Half, own: u64) -> Outcome {
    let root = half.entry(PHYSICAL_MAP, 4)?;
    for address in [0, NOWHERE] {
        half.finds(violation::FOREIGN, address, 4, root)?;
    }
    let table = half.entry(PHYSICAL_MAP, 3)?;
    // A table that its subOS can write.
    half.finds(violation::FOREIGN, PHYSICAL_MAP, 3, table & bit::ADDRESS ^ own)?;
    for bits in [bit::WRITABLE, bit::USER, bit::WRITE_THROUGH, bit::NO_EXECUTE] {
        half.finds(violation::FLAGS, PHYSICAL_MAP, 3, bits)?;
    }
    Ok(())
}

fn areas(half: Half) -> Outcome {
    let [own, other] = [1, 2].map(|core| AREAS + core * AREA_STRIDE);
    let entry = half.entry(own + CORE_PAGE, 1)?;
    let page = entry & bit::ADDRESS;
    half.finds(violation::AREA, other + CORE_PAGE, 1, entry ^ page ^ (page + AREA_STRIDE))?;
    // The guard below the stack, and a page in another's place.
    half.finds(violation::AREA, own, 1, entry ^ page ^ (page - CORE_PAGE))?;
    half.finds(violation::AREA, own + EPITAPH, 1, PAGE)?;
    half.finds(violation::MISSING, own + EPITAPH, 1, bit::PRESENT)?;
    // A core that could answer for itself.
    half.finds(violation::FLAGS, own + MAILBOX, 1, bit::WRITABLE)?;
    for bits in [bit::WRITABLE, bit::USER, bit::NO_EXECUTE] {
        half.finds(violation::FLAGS, own + EPITAPH, 1, bits)?;
    }
    Ok(())
}

fn shares(half: Half) -> Outcome {
    let [_, _, _, bytes, _] = environment().machine().info(MachineQuestion::Places).map_err(said("info"))?;
    let own = SHARES + half.0 * SHARE_STRIDE;
    let entry = half.entry(own + CONSOLE, 1)?;
    let page = entry & bit::ADDRESS;
    half.finds(violation::SHARE, SHARES, 1, entry)?;
    half.finds(violation::SHARE, own + CONSOLE, 1, page ^ (page + bytes))?;
    half.finds(violation::MISSING, own + CONSOLE, 1, bit::PRESENT)?;
    for bits in [bit::WRITABLE, bit::USER, bit::NO_EXECUTE] {
        half.finds(violation::FLAGS, own + CONSOLE, 1, bits)?;
    }
    Ok(())
}

/// All halves have the image's tables in common, so the first that has what is wrong is nobody's.
fn image(half: Half) -> Outcome {
    let mut pages = (0..CHUNK / PAGE).map(|page| IMAGE + IMAGE_CHUNK + page * PAGE);
    let mut next = |is: fn(u64) -> bool| {
        let page = pages.find(|page| half.entry(*page, 1).is_ok_and(is));
        page.ok_or_else(|| String::from("a part of the image is not mapped"))
    };
    // In this order they lie there: what only boot ran, code, constants.
    let nothing = next(|entry| entry == 0)?;
    let code = next(|entry| entry & bit::PRESENT != 0 && entry & bit::NO_EXECUTE == 0)?;
    let constants = next(|entry| entry & bit::PRESENT != 0 && entry & bit::NO_EXECUTE != 0)?;
    half.finds(violation::IMAGE, nothing, 1, half.entry(code, 1)?)?;
    half.finds(violation::FLAGS, code, 1, bit::WRITABLE)?;
    half.finds(violation::FLAGS, code, 1, bit::USER)?;
    half.finds(violation::FLAGS, constants, 1, bit::WRITABLE)?;
    half.finds(violation::FLAGS, constants, 1, bit::NO_EXECUTE)
}

fn apic(half: Half) -> Outcome {
    half.finds(violation::FOREIGN, LAPIC + PAGE, 1, half.entry(LAPIC, 1)? ^ PAGE)?;
    for bits in [bit::USER, bit::NO_CACHE, bit::WRITE_THROUGH, bit::NO_EXECUTE] {
        half.finds(violation::FLAGS, LAPIC, 1, bits)?;
    }
    Ok(())
}

fn in_the_halves_of_the_supervisor_and_of_nobody() -> Outcome {
    let memory = SUPERVISORS.entry(PHYSICAL_MAP + IMAGE_CHUNK, 2)?;
    SUPERVISORS.finds(violation::FLAGS, PHYSICAL_MAP + IMAGE_CHUNK, 2, bit::WRITABLE)?;
    SUPERVISORS.finds(violation::CHUNK, PHYSICAL_MAP, 2, memory ^ IMAGE_CHUNK)?;
    SUPERVISORS.finds(violation::FLAGS, PHYSICAL_MAP + IO_APIC, 1, bit::NO_CACHE)?;
    SUPERVISORS.finds(violation::MISSING, AREAS + EPITAPH, 1, bit::PRESENT)?;
    // All memory at once, where cores are that work for nobody.
    NOBODYS.finds(violation::CHUNK, PHYSICAL_MAP, 3, memory ^ IMAGE_CHUNK)?;
    NOBODYS.finds(violation::AREA, AREAS, 1, NOBODYS.entry(AREAS + CORE_PAGE, 1)?)?;
    for bits in [bit::WRITABLE, bit::USER, bit::NO_EXECUTE] {
        NOBODYS.finds(violation::FLAGS, AREAS + 3 * AREA_STRIDE + EPITAPH, 1, bits)?;
    }
    Ok(())
}

fn in_address_spaces() -> Outcome {
    let child = Child::new("walls/mad", 4)?;
    child.start(&[1])?;
    audit()?;
    let flip = |address: u64, level: u64, bits: u64| {
        child.subos.send(FLIP_OWN, address | level, bits, 0, 0).map_err(said("send"))?;
        check_eq!(child.wait_for(SURVIVED)?[1], 1, "level {level} of {address:#x}");
        Ok::<(), String>(())
    };
    let finds = |violation: u64, address: u64, level: u64, bits: u64| {
        flip(address, level, bits)?;
        // Of a root it says which space it is of.
        let found = found(violation, Some(address).filter(|_| level < 4));
        flip(address, level, bits)?;
        found.map_err(|wrong| format!("level {level} of {address:#x} ^ {bits:#x}: {wrong}"))?;
        audit()
    };
    finds(violation::USER_PAGE, READ_ONLY, 1, bit::BEYOND)?;
    finds(violation::BINDING, READ_ONLY, 1, bit::BINDING)?;
    finds(violation::REGION, READ_ONLY, 1, PAGE)?;
    finds(violation::RIGHTS, READ_ONLY, 1, bit::WRITABLE)?;
    finds(violation::RIGHTS, READ_ONLY, 1, bit::NO_EXECUTE)?;
    for bits in [bit::USER, bit::WRITE_THROUGH, bit::NO_CACHE, bit::HUGE, bit::GLOBAL, bit::PROTECTION_KEY] {
        finds(violation::FLAGS, READ_ONLY, 1, bits)?;
    }
    finds(violation::USER_PAGE, READ_ONLY, 2, bit::BEYOND)?;
    for bits in [bit::WRITABLE, bit::USER, bit::NO_CACHE, bit::HUGE, bit::NO_EXECUTE] {
        finds(violation::FLAGS, READ_ONLY, 2, bits)?;
    }
    finds(violation::UPPER_HALF, NOWHERE, 4, bit::PRESENT)?;
    // That a page was used is nothing wrong.
    flip(READ_ONLY, 1, bit::ACCESSED)?;
    audit()?;
    child.destroy()
}

fn besides_page_tables() -> Outcome {
    /// The last core that a kernel could have, which these machines do not.
    const NO_CORE: u64 = 63;
    let child = Child::new("walls/mad", 4)?;
    child.start(&[1])?;
    let change_core = || {
        child.subos.send(PLANT, violation::CORE, 0, 0, 0).map_err(said("send"))?;
        child.wait_for(SURVIVED)
    };
    change_core()?;
    found(violation::CORE, Some(NO_CORE))?;
    change_core()?;
    audit()?;
    let number = owner(1)?;
    plant(violation::DOORBELL, number, 0)?;
    found(violation::DOORBELL, Some(1))?;
    plant(violation::DOORBELL, number, 1)?;
    audit()?;
    // At one side of a window, and at the other.
    let peer = Child::new("walls/mad", 4)?;
    peer.start(&[2])?;
    let lots = child.subos.share(peer.subos.handle(), Chunks(1)).map_err(said("share"))?;
    let window = (shares::address(lots)? / CHUNK) << 8;
    for core in [1, 2] {
        let number = owner(core)?;
        plant(violation::DOORBELL, window | number, 0)?;
        found(violation::DOORBELL, Some(1))?;
        plant(violation::DOORBELL, window | number, core)?;
        audit()?;
    }
    peer.destroy()?;
    child.take_lot(lots.lot)?;
    let chunks = [home_of(1)?, chunk(LedgerState::Free)?].map(|address| address / CHUNK);
    plant(violation::LEDGER, chunks[0], chunks[1])?;
    let broken = found(violation::LEDGER, Some(0));
    plant(violation::LEDGER, chunks[0], chunks[1])?;
    broken?;
    audit()?;
    plant(violation::ROUTE, 1, 0)?;
    found(violation::ROUTE, None)?;
    plant(violation::ROUTE, 0, 0)?;
    audit()?;
    child.destroy()?;
    audit()
}

/// Breaks something in the supervisor's own kernel that is not in page tables, or mends it.
fn plant(violation: u64, argument: u64, other: u64) -> Outcome {
    let words = [PLANT, violation, argument, other, 0];
    let done: Result<(), Error> = idl::client::plain(&environment().console(), HOOK, words, Deadline::NEVER);
    done.map_err(said("hook"))
}
