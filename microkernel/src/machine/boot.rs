//! From what boot found to the first kernel: the books, subOS 0 with its roots, and its program.

use caps::ledger::{ChunkId, CoreId as LedgerCore, LedgerChange, LotEntry, LotRole, Resource};
use caps::{Capability, Kind, Rights, SlotIndex};
use idl::bundle::{ARGUMENTS, BOOT, Bundle, EntryKind};
use idl::startup::Startup;

use super::books::{Books, Inventory, OpenBooks, Shelf};
use super::visit::{lot_slot, root_slot};
use super::{PLACES, Places, cores, create, load, places, raw, share};
use crate::arch::x86_64::routes;
use crate::arch::{Arrival, now};
use crate::boot::BootInfo;
use crate::boot::firmware;
use crate::boot::memory::{ChunkClass, MemoryMap};
use crate::kernel::Kernel;
use crate::limits::{CHUNK, HOME_CHUNKS, HOME_SHARE, MAX_CORES, MAX_SUBOSES, PAGE};
use crate::types::{CoreId, PhysAddr, SubOsId};

/// The core that boots is the supervisor's.
const FIRST: CoreId = CoreId(0);

/// Builds the ledger and kernel 0, with its program ready to run on the first core.
///
/// # Panics
/// When the machine is too small, or the boot module has no program: then there is nothing to run.
#[must_use]
pub fn boot(info: BootInfo) -> Arrival {
    let BootInfo { memory, cores, bundle, common, park, home, mut pages, ticks_per_second: _ } = info;
    let chunks = usize::try_from(memory.chunk_count()).unwrap_or(0);
    let words = chunks.div_ceil(64);
    let mut areas = [PhysAddr(0); MAX_CORES];
    for (place, core) in areas.iter_mut().zip(cores.all()) {
        *place = cores.area(core);
    }
    let mut take = |bytes: usize| {
        pages.take_run((bytes as u64).div_ceil(PAGE)).expect("system pages for the ledger and the shares")
    };
    let shelf = take(size_of::<Shelf>());
    let chunk_table = take(chunks * size_of::<caps::ledger::ChunkEntry>());
    let soiled = take(words * 8);
    let shares = take(MAX_SUBOSES * share::BYTES);
    let inventory = Inventory {
        chunks: raw::array(chunk_table, chunks),
        soiled: raw::array(soiled, words),
        core_count: cores.count,
        areas,
        pages,
        common,
        park,
    };
    raw::place_shelf(shelf, inventory);
    PLACES.call_once(|| Places { shelf, shares });

    routes::mask_all();
    let home_root = home.root();
    let mut books = places().shelf().open(FIRST, || {});
    release_memory(&mut books, &memory);
    for core in cores.all().filter(|core| cores.answered & core.bit() != 0) {
        let released = books.ledger().release_core(LedgerCore(core.0));
        assert!(released.is_ok(), "a core is released once");
    }
    let id = books.ledger().create().expect("the ledger is empty");
    assert!(id.index == 0, "the first subOS is the supervisor's");
    let modules = bundle.map(|(start, length)| module_lot(&mut books, id, start, length));
    let lot = home_lot(&mut books, id);
    while !create::scrub_soiled(&mut books, &lot) {}
    create::birth(&mut books, id, &lot, home_root);
    books.record(id).half = Some(home);
    let grant = LedgerChange::GrantCore { core: LedgerCore(FIRST.0), to: id };
    assert!(books.ledger().apply(&[grant]).is_ok(), "the first core is free");

    let kernel = books.record(id).cell.expect("it was just born");
    // SAFETY: no core works for it yet.
    let first = unsafe { raw::cell(kernel).visit() };
    first.me = FIRST;
    first.now = now();
    plant_modules(first, bundle, modules);
    load_first(first, bundle, lot.bytes());
    assert!(cores::admit(first, FIRST).is_ok(), "a new table of roots has room for the core");
    assert!(load::run_first(first).is_ok(), "a loaded program can run");
    cores::retarget(&mut books, id);
    Arrival { kernel, home_root, subos: SubOsId::SUPERVISOR }
}

/// What is free goes to the pool, marked as never cleared.
fn release_memory(books: &mut Books, memory: &MemoryMap) {
    for number in 0..memory.chunk_count() {
        let class = memory.class_of(number);
        if matches!(class, ChunkClass::Free | ChunkClass::Bundle) {
            let chunk = ChunkId(u32::try_from(number).unwrap_or(u32::MAX));
            assert!(books.ledger().release_chunk(chunk).is_ok(), "a chunk is released once");
            books.note_soiled(chunk);
        }
    }
}

/// The home lot of subOS 0: a share of a small memory, a fixed size of a large one.
fn home_lot(books: &mut OpenBooks<'_>, id: caps::ledger::SubOsId) -> LotEntry {
    let free = u32::try_from(books.ledger().tally_chunks().pool).unwrap_or(u32::MAX);
    let chunks = (free / HOME_SHARE).clamp(1, HOME_CHUNKS);
    let change = LedgerChange::GrantLot { chunks, to: id, role: LotRole::Home };
    let granted = books.ledger().apply(&[change]);
    let Ok([Resource::Lot(lot)]) = granted.as_deref() else {
        panic!("no {chunks} free chunks in a row for subOS 0: {granted:?}")
    };
    books.ledger().lot(*lot).expect("it was just granted")
}

/// The boot module's chunks become a lot of subOS 0.
fn module_lot(
    books: &mut OpenBooks<'_>,
    id: caps::ledger::SubOsId,
    start: PhysAddr,
    length: u64,
) -> LotEntry {
    let (first, end) = (start.0 / CHUNK, (start.0 + length).div_ceil(CHUNK));
    let [first, end] = [first, end].map(|chunk| u32::try_from(chunk).unwrap_or(u32::MAX));
    let placed = books.ledger().place_lot(first, end.saturating_sub(first), id, LotRole::Extra);
    let Ok(lot) = placed else { panic!("the boot module at {start:?} cannot be subOS 0's: {placed:?}") };
    for chunk in (first..end).map(ChunkId) {
        // Not to be cleared: it holds what it should.
        books.note_clean(chunk);
    }
    books.ledger().lot(lot).expect("it was just placed")
}

/// The root of the boot module, read-only, in its lot's slot and where loading looks for it.
fn plant_modules(kernel: &mut Kernel, bundle: Option<(PhysAddr, u64)>, lot: Option<LotEntry>) {
    let (Some((start, length)), Some(lot)) = (bundle, lot) else { return };
    assert!(start.is_aligned(PAGE), "the boot module begins at a page");
    let rights = Rights::READ | Rights::DERIVE;
    let root = Capability::new(Kind::Region, rights, start.0, length.next_multiple_of(PAGE));
    let slot = lot_slot(kernel, u32::from(lot.seat)).expect("a root slot for a lot");
    let planted = kernel.plant(slot, root);
    assert!(planted.is_ok(), "the boot module's root: {planted:?}");
    let found: SlotIndex = load::MODULES;
    let dest = root_slot(kernel, found).expect("a spare root slot");
    let change = caps::Change::rights(rights);
    let child = kernel.forest.check_derive(&kernel.memory, slot, dest, change);
    kernel.forest.grow(&mut kernel.memory, child.expect("the boot module's root"));
}

/// Loads the program that the boot module calls `boot`.
fn load_first(kernel: &mut Kernel, bundle: Option<(PhysAddr, u64)>, home_bytes: u64) {
    let Some((start, length)) = bundle else { panic!("no boot module: nothing to run") };
    let bytes = firmware::bytes(start, length).expect("boot maps the boot module");
    let parsed = match Bundle::parse(bytes) {
        Ok(parsed) => parsed,
        Err(error) => panic!("the boot module is no bundle: {error}"),
    };
    let Some(program) = parsed.find(BOOT).filter(|entry| entry.kind == EntryKind::Program) else {
        panic!("the bundle has no program {BOOT:?}")
    };
    let text = parsed.find(ARGUMENTS).and_then(|entry| core::str::from_utf8(entry.data).ok());
    let mut arguments = |startup: &mut Startup| startup.set_arguments(text.unwrap_or(""));
    let image = load::Image { start: start.plus(program.offset as u64), length: program.data.len() as u64 };
    let around = load::Circumstances { home_bytes, modules_length: length, arguments: &mut arguments };
    let built = load::build(kernel, image, around).and_then(|()| load::fill_all(kernel, image));
    if let Err(error) = built {
        panic!("the program {BOOT:?} cannot be loaded: {error}");
    }
}
