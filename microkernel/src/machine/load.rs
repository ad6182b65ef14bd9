//! Loading: how the first program of a subOS comes into its home lot, and its first thread to be.
//!
//! All objects are made of the home lot by the same operations that the subOS will use itself. Their first
//! capabilities are in slots of the table of roots, so that the first program, which gets copies, cannot end
//! itself by accident; the rest of the home lot is its own. Boot loads subOS 0 by the same code.

use caps::ledger;
use caps::{Capability, Change, Error, Kind, Rights, SlotIndex, SlotRef, Slots};
use idl::abi::{MESSAGE_PAGE, STACK_SIZE, STACK_TOP, STARTUP_PAGE};
use idl::program::{HEADER_LEN, Program, SegmentFlags};
use idl::startup::Startup;
use idl::{Words, slots};
use zerocopy::{FromBytes, IntoBytes};

use super::books::{Books, Stage};
use super::visit::root_slot;
use super::{Pages, Target, create, places, raw, visit};
use crate::arch::x86_64::core::Core;
use crate::arch::x86_64::frame::Frame;
use crate::arch::x86_64::paging::{BindingNumber, Pte};
use crate::arch::x86_64::{apic, clock};
use crate::kernel::Kernel;
use crate::limits::{CHUNK, COPY_BUDGET, INIT_SLOTS, PAGE, SPACE_PAGES};
use crate::memory::Ref;
use crate::object::address_space::{AddressSpace, page_entry};
use crate::object::thread::{Own, State, Thread};
use crate::outcome::Answer;
use crate::types::{CoreId, PhysAddr, Priority, SubOsId, VirtAddr};

/// Slots of the table of roots for what loading makes, after those of cores and lots.
const FIRST_SPARE: u32 = 1 + slots::ROOT_CORES + slots::ROOT_LOTS;
const TABLE: SlotIndex = SlotIndex(FIRST_SPARE);
const SPACE: SlotIndex = SlotIndex(FIRST_SPARE + 1);
const THREAD: SlotIndex = SlotIndex(FIRST_SPARE + 2);
const PROGRAM: SlotIndex = SlotIndex(FIRST_SPARE + 3);
const FURNITURE: SlotIndex = SlotIndex(FIRST_SPARE + 4);
/// The boot modules, or what was attached.
pub(super) const MODULES: SlotIndex = SlotIndex(FIRST_SPARE + 5);
const PROGRAM_BINDING: SlotIndex = SlotIndex(FIRST_SPARE + 6);
const FURNITURE_BINDING: SlotIndex = SlotIndex(FIRST_SPARE + 7);

/// Pages of the region with startup page, message page and stack, in this order.
const FURNITURE_PAGES: u64 = 2 + STACK_SIZE / PAGE;

/// A program to be loaded.
#[derive(Clone, Copy)]
pub struct Image {
    /// Where its header page is.
    pub start: PhysAddr,
    /// How many bytes it has, the header page included.
    pub length: u64,
}

/// What a program is told beside itself.
pub struct Circumstances<'a> {
    /// Bytes of the home lot.
    pub home_bytes: u64,
    /// Bytes of what is in slot `MODULES` that mean something.
    pub modules_length: u64,
    /// The arguments.
    pub arguments: &'a mut dyn FnMut(&mut Startup),
}

/// `SubOs.attach`: copies a bounded number of pages.
///
/// # Errors
/// `WrongState`, `BadRange`, `OutOfMemory`.
pub fn attach(books: &mut Books, core: &mut Core, target: Target, pages: Pages) -> Result<Answer, Error> {
    let id = target.find(books)?;
    if create::is_supervisor(id) || books.record(id).stage != Stage::Created {
        return Err(Error::WrongState);
    }
    let done = books.record(id).attached;
    let start = visit::visit(books, core, id, |kernel| modules(kernel, pages.count, done))??;
    let end = (done + COPY_BUDGET).min(pages.count);
    for page in done..end {
        raw::copy_page(pages.start.plus(page * PAGE), start.plus(page * PAGE), PAGE);
    }
    books.record(id).attached = end;
    let progress = if end == pages.count { idl::types::Progress::Done } else { idl::types::Progress::More };
    Ok(Answer { words: progress.to_words() })
}

/// The region for what is attached, made by the first call.
fn modules(kernel: &mut Kernel, pages: u64, done: u64) -> Result<PhysAddr, Error> {
    let slot = root_slot(kernel, MODULES)?;
    if let Some(region) = kernel.memory.slot(slot).capability() {
        // A second file, or a first one of another size: there is one region, of one size.
        let same = region.size == pages * PAGE && done < pages;
        return if same { Ok(PhysAddr(region.object)) } else { Err(Error::WrongState) };
    }
    Ok(PhysAddr(retype(kernel, MODULES, Kind::Region, pages * PAGE)?.object))
}

/// `SubOs.load`.
///
/// # Errors
/// `WrongState`, `BadImage`, `OutOfMemory`.
pub fn load(
    books: &mut Books,
    core: &mut Core,
    target: Target,
    pages: Pages,
    length: usize,
) -> Result<Answer, Error> {
    let id = target.find(books)?;
    let image = Image { start: pages.start, length: pages.count * PAGE };
    match books.record(id).stage {
        Stage::Created if !create::is_supervisor(id) => prepare(books, core, id, image, length)?,
        Stage::Filling => {}
        _ => return Err(Error::WrongState),
    }
    let program = check(image)?;
    let region = visit::visit(books, core, id, |kernel| made(kernel, PROGRAM))??;
    while let Some(filled) = fill(image, &program, region, books.record(id).filled) {
        books.record(id).filled = filled;
        if apic::interrupt_waits() {
            return Err(books.stop());
        }
    }
    books.record(id).stage = Stage::Loaded;
    Ok(Answer::NOTHING)
}

/// Makes everything that the first program needs but its bytes, part by part, until an interrupt waits.
fn prepare(
    books: &mut Books,
    core: &mut Core,
    id: ledger::SubOsId,
    image: Image,
    length: usize,
) -> Result<(), Error> {
    let home_bytes = books.lot_of(id, 0).map_or(0, |(_, lot)| lot.bytes());
    let modules_length = books.record(id).attached * PAGE;
    let mut arguments = |startup: &mut Startup| {
        let text = startup.arguments.chunks_mut(8);
        for (place, word) in text.take(length.div_ceil(8)).zip(places().shelf().staged()) {
            place.copy_from_slice(word.to_le_bytes().get(..place.len()).unwrap_or_default());
        }
        startup.arguments_length = u32::try_from(length).unwrap_or(0);
    };
    let mut around = Circumstances { home_bytes, modules_length, arguments: &mut arguments };
    while let Some(part) = PARTS.get(usize::from(books.record(id).built)) {
        visit::visit(books, core, id, |kernel| part(kernel, image, &mut around))??;
        books.record(id).built += 1;
        if apic::interrupt_waits() {
            return Err(books.stop());
        }
    }
    books.record(id).stage = Stage::Filling;
    Ok(())
}

/// Copies the next page of a program to its region, when so many are done; says how many are then, or that all are. The
/// image may have been changed meanwhile, but nothing is copied beyond the region.
fn fill(image: Image, program: &Program, region: Capability, done: u64) -> Option<u64> {
    let (mut page, mut place) = (done, 0);
    for segment in program.segments() {
        let (pages, to) = (segment.file_len.div_ceil(PAGE), place + page * PAGE);
        if page < pages && to < region.size {
            // What follows the bytes in their last page belongs to something else.
            let bytes = segment.file_len - page * PAGE;
            raw::copy_page(
                image.start.plus(segment.offset + page * PAGE),
                PhysAddr(region.object + to),
                bytes,
            );
            return Some(done + 1);
        }
        page = page.saturating_sub(pages);
        place += segment.pages() * PAGE;
    }
    None
}

/// Copies a whole program to its region, at boot.
pub fn fill_all(kernel: &mut Kernel, image: Image) -> Result<(), Error> {
    let (program, region, mut filled) = (check(image)?, made(kernel, PROGRAM)?, 0);
    while let Some(more) = fill(image, &program, region, filled) {
        filled = more;
    }
    Ok(())
}

/// `SubOs.start`.
///
/// # Errors
/// `WrongState`, `Condemned`.
pub fn start(books: &mut Books, core: &mut Core, target: Target) -> Result<Answer, Error> {
    let id = target.find(books)?;
    books.cell(id)?;
    if books.record(id).stage != Stage::Loaded {
        return Err(Error::WrongState);
    }
    visit::visit(books, core, id, run_first)??;
    books.record(id).stage = Stage::Running;
    Ok(Answer::NOTHING)
}

/// Lets the first thread of a loaded subOS run.
pub fn run_first(kernel: &mut Kernel) -> Result<(), Error> {
    let thread = first_thread(kernel).ok_or(Error::WrongState)?;
    if kernel.memory[thread].state != State::Stopped {
        return Err(Error::WrongState);
    }
    let seat = (0_u8..).zip(&kernel.cores).find(|(_, core)| core.active).map(|(core, _)| core);
    if let Some(seat) = seat {
        kernel.memory[thread].seat = CoreId(seat);
        let page = PhysAddr(made(kernel, FURNITURE)?.object);
        if let Ok(startup) = Startup::mut_from_bytes(kernel.memory.page_mut(page).as_mut_bytes()) {
            startup.core = u32::from(seat);
        }
    }
    // Its core is told by interrupt; the visitor's own has nothing to pick here.
    let _ = kernel.make_ready(thread);
    Ok(())
}

/// The thread that loading made.
#[must_use]
pub fn first_thread(kernel: &Kernel) -> Option<Ref<Thread>> {
    let slot = root_slot(kernel, THREAD).ok()?;
    let thread = kernel.memory.slot(slot).capability().filter(|found| found.kind == Kind::Thread)?;
    Some(Ref::at(PhysAddr(thread.object)))
}

/// Makes table, space, thread and regions of a subOS's first program.
pub fn build(kernel: &mut Kernel, image: Image, mut around: Circumstances<'_>) -> Result<(), Error> {
    PARTS.iter().try_for_each(|part| part(kernel, image, &mut around))
}

/// A part of building.
type Part = fn(&mut Kernel, Image, &mut Circumstances<'_>) -> Result<(), Error>;

/// The parts, in their order. If there is room for all, none fails but for an image that has changed meanwhile.
const PARTS: &[Part] = &[
    |kernel, image, _| make_objects(kernel, &check(image)?),
    |kernel, image, _| map_program(kernel, &check(image)?),
    |kernel, _, _| furnish(kernel),
    |kernel, _, _| hand_over(kernel),
    |kernel, image, around| {
        let program = check(image)?;
        write_startup(kernel, &program, around)?;
        configure(kernel, program.entry())
    },
];

fn make_objects(kernel: &mut Kernel, program: &Program) -> Result<(), Error> {
    check_room(kernel, program)?;
    retype(kernel, TABLE, Kind::CSpace, u64::from(INIT_SLOTS) * caps::Slot::SIZE)?;
    let tables = SPACE_PAGES + program.memory() / CHUNK;
    retype(kernel, SPACE, Kind::AddressSpace, tables * PAGE)?;
    retype(kernel, THREAD, Kind::Thread, crate::object::thread::SIZE)?;
    Ok(())
}

/// What was made in a slot of the table of roots.
fn made(kernel: &Kernel, root: SlotIndex) -> Result<Capability, Error> {
    kernel.memory.slot(root_slot(kernel, root)?).capability().ok_or(Error::WrongState)
}

/// The header, checked.
fn check(image: Image) -> Result<Program, Error> {
    let header: [u64; HEADER_LEN.div_ceil(8)] = raw::read_words(image.start);
    Program::parse(header.as_bytes(), image.length).map_err(|_| Error::BadImage)
}

/// Whether the home lot has room for all that loading makes, and a page for the program; so that an attempt that
/// fails has made nothing.
fn check_room(kernel: &Kernel, program: &Program) -> Result<(), Error> {
    let lot = visit::lot_slot(kernel, 0).ok_or(Error::OutOfMemory)?;
    let home = kernel.memory.slot(lot);
    let used = home.watermark().unwrap_or(0).next_multiple_of(PAGE);
    let left = home.capability().map_or(0, |home| home.size).saturating_sub(used);
    let tables = SPACE_PAGES + program.memory() / CHUNK;
    let fixed = (1 + tables + FURNITURE_PAGES) * PAGE
        + u64::from(INIT_SLOTS) * caps::Slot::SIZE
        + crate::object::thread::SIZE;
    let needed = program.memory().checked_add(fixed).ok_or(Error::OutOfMemory)?;
    if needed <= left { Ok(()) } else { Err(Error::OutOfMemory) }
}

/// Makes an object of the home lot, its first capability in a slot of the table of roots.
pub(super) fn retype(
    kernel: &mut Kernel,
    root: SlotIndex,
    kind: Kind,
    bytes: u64,
) -> Result<Capability, Error> {
    let untyped = visit::lot_slot(kernel, 0).ok_or(Error::OutOfMemory)?;
    let dest = root_slot(kernel, root)?;
    let child = kernel.forest.check_retype(&kernel.memory, untyped, dest, kind, bytes, PAGE)?;
    let made = kernel.forest.grow(&mut kernel.memory, child);
    kernel.create(kind, PhysAddr(made.object), made.size);
    Ok(made)
}

/// Binds a region of the table of roots to the space.
fn bind(
    kernel: &mut Kernel,
    space: Ref<AddressSpace>,
    region: SlotIndex,
    binding: SlotIndex,
) -> Result<BindingNumber, Error> {
    let [region, dest, of] = [region, binding, SPACE].map(|index| root_slot(kernel, index));
    let (region, dest) = (region?, dest?);
    let number = kernel.memory[space].free_number(&kernel.board).ok_or(Error::OutOfBindings)?;
    kernel.memory[space].take_number(number, &kernel.board);
    let child = kernel.forest.check_bind(&kernel.memory, region, of?, dest, number)?;
    kernel.forest.grow(&mut kernel.memory, child);
    space.set_binding(&mut kernel.memory, number, Some(dest));
    BindingNumber::new(number).ok_or(Error::OutOfBindings)
}

/// Maps pages in a row of what the subOS starts with, the first with this entry.
fn map(kernel: &mut Kernel, space: Ref<AddressSpace>, at: u64, pages: u64, entry: Pte) -> Result<(), Error> {
    let done = space.map_all(&mut kernel.memory, VirtAddr(at), pages, entry);
    if done == pages { Ok(()) } else { Err(Error::OutOfMemory) }
}

/// Maps the segments, each with its own rights.
fn map_program(kernel: &mut Kernel, program: &Program) -> Result<(), Error> {
    let space = Ref::at(PhysAddr(made(kernel, SPACE)?.object));
    let region = retype(kernel, PROGRAM, Kind::Region, program.memory())?;
    let binding = bind(kernel, space, PROGRAM, PROGRAM_BINDING)?;
    let mut next = PhysAddr(region.object);
    for segment in program.segments() {
        let first = page_entry(next, rights_of(segment.flags), binding);
        map(kernel, space, segment.address, segment.pages(), first)?;
        next = next.plus(segment.pages() * PAGE);
    }
    Ok(())
}

fn rights_of(flags: SegmentFlags) -> Rights {
    let mut rights = Rights::READ;
    rights.set(Rights::WRITE, flags.contains(SegmentFlags::WRITE));
    rights.set(Rights::EXECUTE, flags.contains(SegmentFlags::EXECUTE));
    rights
}

/// Maps startup page, message page and stack.
fn furnish(kernel: &mut Kernel) -> Result<(), Error> {
    let space = Ref::at(PhysAddr(made(kernel, SPACE)?.object));
    let region = retype(kernel, FURNITURE, Kind::Region, FURNITURE_PAGES * PAGE)?;
    let binding = bind(kernel, space, FURNITURE, FURNITURE_BINDING)?;
    let start = PhysAddr(region.object);
    let write = Rights::READ | Rights::WRITE;
    let stack = (STACK_TOP - STACK_SIZE, STACK_SIZE / PAGE, write);
    let runs = [(STARTUP_PAGE, 1, Rights::READ), (MESSAGE_PAGE, 1, write), stack];
    for (index, (address, pages, rights)) in (0..).zip(runs) {
        let entry = page_entry(start.plus(index * PAGE), rights, binding);
        map(kernel, space, address, pages, entry)?;
    }
    Ok(())
}

/// Puts into the program's table what it starts with.
fn hand_over(kernel: &mut Kernel) -> Result<(), Error> {
    let table = made(kernel, TABLE)?.table().ok_or(Error::OutOfMemory)?;
    let copies = [
        (TABLE, slots::OWN_CSPACE),
        (SPACE, slots::OWN_SPACE),
        (THREAD, slots::OWN_THREAD),
        (create::ROOT_OWN, slots::ROOT_TABLE),
        (PROGRAM, slots::PROGRAM),
        (MODULES, slots::MODULES),
    ];
    for (root, slot) in copies {
        let (source, dest) = (root_slot(kernel, root)?, table.at(slot)?);
        derive(kernel, source, dest)?;
    }
    let authority = if kernel.id == SubOsId::SUPERVISOR { Kind::Machine } else { Kind::Uplink };
    for (kind, slot) in [(Kind::DebugConsole, slots::CONSOLE), (authority, slots::UPLINK)] {
        let capability = Capability::new(kind, Rights::all(), 0, 0);
        kernel.plant(table.at(slot)?, capability)?;
    }
    // All that is left of the home lot, as an object of its own, so that it can be taken back and used again.
    let lot = visit::lot_slot(kernel, 0).ok_or(Error::OutOfMemory)?;
    let home = kernel.memory.slot(lot);
    let used = home.watermark().unwrap_or(0).next_multiple_of(PAGE);
    let left = home.capability().map_or(0, |home| home.size).saturating_sub(used);
    let dest = table.at(slots::HOME_UNTYPED)?;
    let rest = left & !(PAGE - 1);
    let child = kernel.forest.check_retype(&kernel.memory, lot, dest, Kind::Untyped, rest, PAGE)?;
    let made = kernel.forest.grow(&mut kernel.memory, child);
    kernel.create(made.kind, PhysAddr(made.object), made.size);
    Ok(())
}

/// A copy with all the rights that the original has; nothing if there is no original.
fn derive(kernel: &mut Kernel, source: SlotRef, dest: SlotRef) -> Result<(), Error> {
    let Some(original) = kernel.memory.slot(source).capability() else { return Ok(()) };
    let change = Change::rights(original.rights);
    let child = kernel.forest.check_derive(&kernel.memory, source, dest, change)?;
    kernel.forest.grow(&mut kernel.memory, child);
    Ok(())
}

fn write_startup(
    kernel: &mut Kernel,
    program: &Program,
    around: &mut Circumstances<'_>,
) -> Result<(), Error> {
    let (id, page) = (kernel.id, PhysAddr(made(kernel, FURNITURE)?.object));
    let startup = Startup::mut_from_bytes(kernel.memory.page_mut(page).as_mut_bytes());
    let startup = startup.map_err(|_| Error::OutOfMemory)?;
    startup.magic = idl::startup::MAGIC;
    startup.subos = u32::from(id.0);
    startup.ticks_per_second = clock::ticks_per_second();
    startup.home_bytes = around.home_bytes;
    startup.modules_length = around.modules_length;
    startup.program_pages = program.memory() / PAGE;
    startup.program_end = program.segments().last().map_or(0, |last| last.end());
    (around.arguments)(startup);
    Ok(())
}

/// Gives the thread what it runs with.
fn configure(kernel: &mut Kernel, entry: u64) -> Result<(), Error> {
    let thread = first_thread(kernel).ok_or(Error::OutOfMemory)?;
    for (root, own) in [(TABLE, Own::Table), (SPACE, Own::Space), (FURNITURE, Own::Message)] {
        let source = root_slot(kernel, root)?;
        derive(kernel, source, thread.own(own))?;
    }
    let thread = &mut kernel.memory[thread];
    thread.message_offset = PAGE;
    thread.priority = Priority(idl::types::Priority::ORDINARY.number());
    thread.frame = Frame::new(entry, STACK_TOP, STARTUP_PAGE);
    Ok(())
}
