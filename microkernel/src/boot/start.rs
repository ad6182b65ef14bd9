//! The first core's way through boot, top to bottom.

use core::fmt::Write;

use spin::Once;

use crate::arch::x86_64::core::Core;
use crate::arch::x86_64::pages::SystemPages;
use crate::arch::x86_64::serial::{self, Com1};
use crate::arch::x86_64::{apic, area, clock, entry, features, image, layout, park, physmap, traps};
use crate::limits::{AREA_STRIDE, CHUNK, MAX_CORES, PAGE, SYSTEM_PAGE_CHUNKS};
use crate::machine;
use crate::types::{CoreId, PhysAddr};

use super::info::{BootInfo, Cores};
use super::memory::MemoryMap;
use super::{acpi, cores, firmware, roots};

#[unsafe(link_section = ".sealed")]
static CORES_READY: Once<()> = Once::new();

/// Whether GS points to a core's struct: from then on a panic finds its core.
pub(crate) fn cores_ready() -> bool {
    CORES_READY.get().is_some()
}

/// Called by the PVH entry with the physical address of the start info.
///
/// # Safety
/// Only the entry calls this, once, on the boot stack and the boot tables.
pub(crate) unsafe extern "C" fn boot_main(start_info: u64) -> ! {
    serial::initialise();
    features::detect();
    features::set_control_registers();

    // What the machine is.
    let Some(found) = firmware::read_start_info(PhysAddr(start_info)) else {
        panic!("no PVH start info at {start_info:#x}");
    };
    let ids = match acpi::find_cores(found.rsdp) {
        Ok(ids) if !ids.is_empty() => ids,
        other => panic!("no cores in the ACPI tables: {other:?}"),
    };
    let ids = first_core_first(&ids);
    apic::describe(ids.as_slice());
    let mut memory = MemoryMap::new(found.ranges, image::physical(), found.bundle);

    // What it becomes: system chunks, core areas, page roots.
    let area_chunks = (ids.len() as u64 * AREA_STRIDE).div_ceil(CHUNK);
    let wanted = area_chunks + SYSTEM_PAGE_CHUNKS + crate::journal::CHUNKS;
    let system =
        memory.set_aside(wanted).unwrap_or_else(|| panic!("no {wanted} chunks in a row below 4 GiB"));
    let mut cores = Cores { areas: system, count: ids.len(), answered: CoreId(0).bit() };
    let first_page = system.plus(area_chunks * CHUNK);
    // SAFETY: the chunks were free and are now set aside; boot and subOS 0 map them.
    let mut pages = unsafe { SystemPages::new(first_page, first_page.plus(SYSTEM_PAGE_CHUNKS * CHUNK)) };
    crate::journal::begin(first_page.plus(SYSTEM_PAGE_CHUNKS * CHUNK));
    clear_areas(&cores);
    let roots = match roots::build(&memory, &cores, &mut pages) {
        Ok(roots) => roots,
        Err(error) => panic!("page roots: {error:?}"),
    };
    park::set_root(roots.park.root());
    roots::share_with_boot(&roots.park, layout::CORE_AREAS);
    roots::share_with_boot(&roots.park, layout::LAPIC);

    // This core, then the others.
    traps::build();
    let place = (area::base(CoreId(0)) + area::CORE_PAGE) as *mut Core;
    // SAFETY: the page is this core's own, mapped just now.
    unsafe { place.write(Core::parked(CoreId(0), roots.home.root().0)) };
    // SAFETY: tables are built, area and struct are in place.
    unsafe { traps::load(CoreId(0)) };
    CORES_READY.call_once(|| ());
    apic::enable();
    clock::calibrate();
    cores.answered = cores::start_others(&cores);

    let _ = writeln!(
        Com1,
        "archipelago: {} of {} cores, {} MiB, {} MHz",
        cores.answered.count_ones(),
        cores.count,
        memory.total() >> 20,
        clock::ticks_per_second() / 1_000_000
    );

    // The ledger and the first kernel; then the seal.
    roots::share_with_boot(&roots.home, layout::PHYSMAP);
    let home_root = roots.home.root();
    let arrival = machine::boot::boot(BootInfo {
        memory,
        cores,
        bundle: found.bundle,
        common: roots.common,
        park: roots.park,
        home: roots.home,
        pages,
        ticks_per_second: clock::ticks_per_second(),
    });
    // SAFETY: still the only reference to this core's struct.
    unsafe { &mut *place }.set_arrival(arrival);
    // SAFETY: the struct names the root as loaded; boot's stack is not needed any more.
    unsafe { traps::restart(CoreId(0), entry::ARRIVED, home_root) }
}

/// The firmware's order, but this core before all others.
fn first_core_first(ids: &[apic::ApicId]) -> heapless::Vec<apic::ApicId, MAX_CORES> {
    let own = apic::own_id();
    let others = ids.iter().copied().filter(|id| *id != own);
    core::iter::once(own).chain(others).take(MAX_CORES).collect()
}

fn clear_areas(cores: &Cores) {
    for core in cores.all() {
        for page in area::mapped_pages() {
            let page: PhysAddr = cores.area(core).plus(page);
            debug_assert!(page.is_aligned(PAGE));
            // SAFETY: the chunk was free and is now set aside; nothing refers to it yet.
            unsafe { physmap::zero_page(page) };
        }
    }
}
