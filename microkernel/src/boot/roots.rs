//! The page roots that boot makes: the park root, subOS 0's home root, and how boot's own tables come to share them.

use crate::arch::x86_64::half::{Access, CommonParts, HalfError, KernelHalf, Use};
use crate::arch::x86_64::pages::SystemPages;
use crate::arch::x86_64::paging::Pte;
use crate::arch::x86_64::{apic, image, layout, physmap, planted, routes, tlb};
use crate::limits::{CHUNK, PAGE_BYTES};
use crate::types::PhysAddr;

use super::info::Cores;
use super::memory::{ChunkClass, MemoryMap};

/// The roots.
pub(super) struct Roots {
    pub(super) common: CommonParts,
    pub(super) park: KernelHalf,
    pub(super) home: KernelHalf,
}

/// Makes them: the image's parts each with no more rights than they need, the local APIC, all core areas; in subOS 0's
/// also all memory, the image read-only. Chunk 0 is left out: nobody needs it after boot.
pub(super) fn build(memory: &MemoryMap, cores: &Cores, pages: &mut SystemPages) -> Result<Roots, HalfError> {
    let common = CommonParts {
        image: pages.take().ok_or(HalfError::NoPage)?,
        lapic: pages.take().ok_or(HalfError::NoPage)?,
    };
    let park = KernelHalf::new(common, pages)?;
    for (part, how) in [
        (image::text(), Use::Code),
        (image::rodata(), Use::Data(Access::Read)),
        (image::sealed(), Use::Data(planted::SEALED)),
    ] {
        for page in (part.start..part.end).step_by(PAGE_BYTES) {
            park.map_page(page, image::physical_of(page), how, pages)?;
        }
    }
    park.map_page(layout::LAPIC, apic::PAGE, Use::Device, pages)?;

    let home = KernelHalf::new(common, pages)?;
    for core in cores.all() {
        park.map_core_area(core, cores.area(core), Access::Write, pages)?;
        home.map_core_area(core, cores.area(core), Access::Write, pages)?;
    }
    home.map_page(routes::IO_APIC_MAPPED, routes::IO_APIC, Use::Device, pages)?;
    let (image_start, image_end) = image::physical();
    for number in 1..memory.chunk_count() {
        if memory.class_of(number) == ChunkClass::Absent {
            continue;
        }
        let chunk = number * CHUNK;
        let is_image = chunk < image_end.0 && image_start.0 < chunk + CHUNK;
        let access = if is_image { Access::Read } else { Access::Write };
        home.map_chunks(PhysAddr(chunk), 1, access, pages)?;
    }
    Ok(Roots { common, park, home })
}

/// Makes a part of a half visible in the boot tables, which are in use.
pub(super) fn share_with_boot(half: &KernelHalf, part: u64) {
    let index = layout::pml4_index(part);
    let entry = physmap::pointer::<Pte>(PhysAddr(half.root().0 + index as u64 * 8));
    let place = physmap::pointer::<Pte>(PhysAddr(image::boot_root().0 + index as u64 * 8));
    // SAFETY: the root is a system page, which the physical map of boot and of subOS 0 both map.
    let entry = unsafe { entry.read_volatile() };
    // SAFETY: the boot root is in the image; the physical map lets boot write it until it takes subOS 0's form, of
    // which this is the last use.
    unsafe { place.write_volatile(entry) };
    tlb::flush_all();
}
