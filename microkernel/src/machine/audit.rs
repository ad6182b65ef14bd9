//! The audit: what the hardware can reach, compared with what the ledger says. Part of the shipped image.
//!
//! Every entry of every kernel half and of every address space, every core and every doorbell target is looked at, one
//! subOS at a time under its lock. What a kernel half should have is said by one table, [`due`]: an entry must be the one
//! that is due there, bit for bit, and what a subOS owns must be there.

use caps::ledger::{self, ChunkId, CoreId as LedgerCore, Holder};
use caps::{Error, Kind, Slots};
use idl::Words;
use idl::kernel::machine::AuditReport;

use super::books::Books;
use super::{create, number_of, places, raw, share, visit, windows};
use crate::arch::x86_64::core::Core;
use crate::arch::x86_64::half::{self, Use};
use crate::arch::x86_64::{apic, area, image, layout, routes};
use crate::arch::{Access, KernelHalf, Level, Pte, PteFlags};
use crate::kernel::Kernel;
use crate::limits::{CHUNK, MAX_CORES, MAX_LOTS, PAGE};
use crate::memory::Ref;
use crate::object::address_space::{AddressSpace, entry_rights, page_entry};
use crate::outcome::Answer;
use crate::types::{CoreId, PhysAddr, SubOsId};

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Violation {
    /// A kernel half maps a chunk that its subOS does not own.
    Chunk = 1,
    /// A kernel half maps the area of a core that its subOS does not own.
    Area = 2,
    /// A kernel half maps share pages of others.
    Share = 3,
    /// A kernel half has something else where the image is.
    Image = 4,
    /// A kernel half maps what it should not map at all.
    Foreign = 5,
    /// A user page, or a page table for user pages, lies outside the memory of its subOS.
    UserPage = 6,
    /// A user page names no live binding.
    Binding = 7,
    /// A user page lies outside the region of its binding.
    Region = 8,
    /// A user page allows more than its binding.
    Rights = 9,
    /// The upper half of an address space is not its subOS's kernel half.
    UpperHalf = 10,
    /// A kernel works with a core that it does not own, or does not with one that it owns.
    Core = 11,
    /// A doorbell interrupts a core of somebody else; one that is leaving is not yet somebody else's.
    Doorbell = 12,
    /// The ledger contradicts itself.
    Ledger = 13,
    /// An interrupt route is open that nobody owns.
    Route = 14,
    /// An entry leads where it should, but has other flags than it should: it allows more or less, or caches otherwise.
    Flags = 15,
    /// A kernel half does not map what its subOS owns.
    Missing = 16,
}

/// What was found so far.
struct Findings(AuditReport);

impl Findings {
    /// Counts one entry, and notes what is wrong with it, if something is; says whether nothing is.
    fn check(&mut self, place: u64, wrong: Option<Violation>) -> bool {
        self.0.entries += 1;
        if let Some(violation) = wrong {
            if self.0.violations == 0 {
                self.0.first = violation as u64;
                self.0.place = place;
            }
            self.0.violations += 1;
        }
        wrong.is_none()
    }
}

/// `Machine.audit`.
///
/// # Errors
/// None: what cannot be looked at because it is condemned is left out.
pub fn audit(books: &mut Books, core: &mut Core) -> Result<Answer, Error> {
    let mut findings = Findings(AuditReport { entries: 0, violations: 0, first: 0, place: 0 });
    let sound = books.ledger().audit().is_ok();
    findings.check(0, (!sound).then_some(Violation::Ledger));
    check_routes(&mut findings);
    // Halves are taken out for as long as the ledger is asked about what they map.
    if let Some(park) = books.park.take() {
        check_half(books, None, &park, &mut findings);
        books.park = Some(park);
    }
    for index in 0..books.records.len() {
        let Some(id) = books.records[index].id else { continue };
        if let Some(half) = books.record(id).half.take() {
            check_half(books, Some(id), &half, &mut findings);
            check_presence(books, id, &half, &mut findings);
            books.record(id).half = Some(half);
        }
        check_doorbells(books, id, &mut findings);
        // A condemned kernel's tables are still checked above; its objects are nobody's business any more.
        let _ = check_kernel(books, core, id, &mut findings);
    }
    books.moves.audits += 1;
    Ok(Answer { words: findings.0.to_words() })
}

/// No subOS has a device, so no interrupt route leads anywhere.
fn check_routes(findings: &mut Findings) {
    let routes = routes::look();
    for route in 0..routes.count {
        findings.check(u64::from(route), (route < routes.open).then_some(Violation::Route));
    }
}

/// A half of this subOS's, or the one that is nobody's: on which cores are that work for nobody.
type Owner = Option<ledger::SubOsId>;

/// Every entry of one half.
fn check_half(books: &mut Books, owner: Owner, half: &KernelHalf, findings: &mut Findings) {
    half.for_each_entry(&mut |address, entry, level| {
        let is_leaf = level == Level::One || entry.is_huge();
        let (otherwise, due) = if is_leaf {
            let (otherwise, due) = due(books, owner, address);
            (otherwise, due.filter(|due| level == if due.is_huge() { Level::Two } else { Level::One }))
        } else {
            // Tables lie in system pages, which the ledger never gives away.
            let there =
                half::part(address).is_some() && holder(books, entry.address()) == Some(Holder::Reserved);
            (Violation::Foreign, there.then(|| half::table(entry.address())))
        };
        findings.check(address, judge(entry, due, otherwise))
    });
}

/// What is wrong with an entry where this one is due.
fn judge(entry: Pte, due: Option<Pte>, otherwise: Violation) -> Option<Violation> {
    match due {
        Some(due) if entry == due => None,
        Some(due) if entry.address() == due.address() => Some(Violation::Flags),
        _ => Some(otherwise),
    }
}

/// The table of what a half has: the entry that is due at an address, if one is, and what it is called if something else
/// is there.
fn due(books: &mut Books, owner: Owner, address: u64) -> (Violation, Option<Pte>) {
    match half::part(address) {
        Some(layout::IMAGE) => (Violation::Image, image_page(address)),
        Some(layout::SHARES) => (Violation::Share, owner.and_then(|owner| share_page(owner, address))),
        Some(layout::LAPIC) => {
            (Violation::Foreign, (address == layout::LAPIC).then(|| Use::Device.page(apic::PAGE)))
        }
        Some(layout::CORE_AREAS) => (Violation::Area, area_page(books, owner, address)),
        Some(layout::PHYSMAP) if address == routes::IO_APIC_MAPPED => (
            Violation::Foreign,
            owner.filter(|owner| create::is_supervisor(*owner)).map(|_| Use::Device.page(routes::IO_APIC)),
        ),
        Some(layout::PHYSMAP) => (Violation::Chunk, owner.and_then(|owner| chunk(books, owner, address))),
        _ => (Violation::Foreign, None),
    }
}

fn image_page(address: u64) -> Option<Pte> {
    let how = if address < image::text().end { Use::Code } else { Use::Data(Access::Read) };
    let all = image::text().start..image::sealed().end;
    all.contains(&address).then(|| how.page(image::physical_of(address)))
}

fn share_page(owner: ledger::SubOsId, address: u64) -> Option<Pte> {
    let number = number_of(owner);
    let offset = address.wrapping_sub(share::address(number));
    let has_one = number != SubOsId::SUPERVISOR && offset < share::PAGES * PAGE;
    has_one.then(|| Use::Data(Access::Write).page(places().share_pages(number).plus(offset)))
}

/// Owners have the areas of their cores, and read only what they are told; the supervisor and nobody have all.
fn area_page(books: &mut Books, owner: Owner, address: u64) -> Option<Pte> {
    let core = area::owner(address);
    let offset = address - area::base(core);
    let holder = books.ledger().core(LedgerCore(core.0)).ok()?;
    let free = owner.is_none_or(create::is_supervisor);
    let access = if free || offset != area::MAILBOX_PAGE { Access::Write } else { Access::Read };
    let has_it = (free || holder.subos() == owner) && area::mapped_pages().any(|page| page == offset);
    has_it.then(|| Use::Data(access).page(books.areas[core.index()].plus(offset)))
}

/// Owners have their chunks, of a window both; the supervisor has all but the first, and cannot write the image's.
fn chunk(books: &mut Books, owner: ledger::SubOsId, address: u64) -> Option<Pte> {
    let at = PhysAddr(address - layout::PHYSMAP);
    holder(books, at)?;
    let (start, end) = image::physical();
    let is_image = at < end && start.0 < at.0 + CHUNK;
    let access = if is_image { Access::Read } else { Access::Write };
    let all = create::is_supervisor(owner) && at.0 >= CHUNK;
    let has_it = all || books.has_chunk(owner, at) || crate::journal::covers(at);
    has_it.then(|| Use::Data(access).chunk(at))
}

/// Who has the chunk that an address lies in, if there is one.
fn holder(books: &mut Books, address: PhysAddr) -> Option<Holder> {
    books.ledger().chunk(ChunkId(u32::try_from(address.0 / CHUNK).ok()?)).ok()
}

/// What a subOS owns is there: its chunks, its share, the areas of its cores.
fn check_presence(books: &mut Books, id: ledger::SubOsId, half: &KernelHalf, findings: &mut Findings) {
    let ledger = books.ledger();
    let has = |holder: Holder| holder == Holder::SubOs(id);
    let lots = ledger.lots().filter(|(_, lot)| has(lot.holder));
    let chunks = lots.flat_map(|(_, lot)| lot.chunks()).map(|chunk| layout::PHYSMAP + chunk.address());
    let cores = ledger.cores().filter(|(_, holder)| has(*holder)).map(|(core, _)| area::base(CoreId(core.0)));
    let areas = cores.flat_map(|base| area::mapped_pages().map(move |page| base + page));
    let share = share::address(number_of(id));
    let pages = (0..share::PAGES).map(|page| share + page * PAGE).filter(|_| !create::is_supervisor(id));
    let chunks = chunks.map(|address| (address, Level::Two));
    for (address, level) in areas.chain(pages).map(|address| (address, Level::One)).chain(chunks) {
        findings.check(address, (!half.maps(address, level)).then_some(Violation::Missing));
    }
}

fn check_doorbells(books: &mut Books, id: ledger::SubOsId, findings: &mut Findings) {
    let number = number_of(id);
    if number == SubOsId::SUPERVISOR {
        return;
    }
    let Ok(supervisor) = create::supervisor(books) else { return };
    let ends = [(Books::doorbell_target(number), id), (places().share(number).up().target(), supervisor)];
    let bells = windows::bells(books, id).into_iter().map(|(bell, _)| (&bell.target, id));
    for (target, owner) in ends.into_iter().chain(bells) {
        let core = target.get();
        let holder = core.map(|core| books.ledger().core(LedgerCore(core.0)));
        let fine = holder.is_none_or(|holder| holder.is_ok_and(|holder| holder.subos() == Some(owner)));
        findings.check(core.map_or(0, |core| u64::from(core.0) + 1), (!fine).then_some(Violation::Doorbell));
    }
}

/// One subOS's kernel: its address spaces, and which cores it believes to have: of those that leave it neither is wrong.
fn check_kernel(
    books: &mut Books,
    core: &mut Core,
    id: ledger::SubOsId,
    findings: &mut Findings,
) -> Result<(), Error> {
    let (owned, leaving_too) = (books.owned_by(id), books.cores_of(id));
    let upper = books.record(id).half.as_ref().map(|half| raw::upper_half(half.root()));
    let lots: heapless::Vec<(PhysAddr, PhysAddr), MAX_LOTS> = books
        .ledger()
        .lots()
        .filter(|(_, lot)| lot.holder.subos() == Some(id))
        .map(|(_, lot)| visit::range(&lot))
        .take(MAX_LOTS)
        .collect();
    visit::visit(books, core, id, |kernel| {
        for index in 0..MAX_CORES {
            let bit = 1_u64 << index;
            let fine = if kernel.cores[index].active { leaving_too & bit != 0 } else { owned & bit == 0 };
            findings.check(index as u64, (!fine).then_some(Violation::Core));
        }
        let mut next = kernel.spaces;
        while let Some(space) = next {
            check_space(kernel, space, &lots, upper.as_ref(), findings);
            next = kernel.memory[space].next;
        }
    })
}

fn check_space(
    kernel: &Kernel,
    space: Ref<AddressSpace>,
    lots: &[(PhysAddr, PhysAddr)],
    upper: Option<&[u64; 256]>,
    findings: &mut Findings,
) {
    let root = kernel.memory.page(space.root());
    let same = upper.is_none_or(|upper| root.get(256..) == Some(upper.as_slice()));
    findings.check(space.address().0, (!same).then_some(Violation::UpperHalf));
    // While a scan is under way, the pages of bindings that went are still being looked for.
    let scanning = kernel.memory[space].is_scanning();
    space.for_each_entry(&kernel.memory, &mut |address, entry, level| {
        // That it was used is for the processor to say.
        let used = PteFlags::ACCESSED | PteFlags::DIRTY;
        let entry = Pte::from_bits(entry.bits() & !used.bits());
        let wrong = match level {
            1 => check_user_page(kernel, space, lots, scanning, entry),
            _ => judge(entry, space.table_at(&kernel.memory, entry.address()), Violation::UserPage),
        };
        findings.check(address.0, wrong)
    });
}

fn check_user_page(
    kernel: &Kernel,
    space: Ref<AddressSpace>,
    lots: &[(PhysAddr, PhysAddr)],
    scanning: bool,
    entry: Pte,
) -> Option<Violation> {
    let page = entry.address();
    if !lots.iter().any(|(start, end)| *start <= page && page.plus(PAGE) <= *end) {
        return Some(Violation::UserPage);
    }
    let number = entry.binding().get();
    let slot = space.binding(&kernel.memory, number);
    let Some(binding) = slot.and_then(|slot| kernel.memory.slot(slot).capability()) else {
        return (!scanning).then_some(Violation::Binding);
    };
    let names_it =
        binding.kind == Kind::Binding && binding.space == space.address().0 && binding.number == number;
    if !names_it {
        return Some(Violation::Binding);
    }
    if page.0 < binding.object || page.0 + PAGE > binding.object + binding.size {
        return Some(Violation::Region);
    }
    let rights = entry_rights(entry);
    if !binding.rights.contains(rights) {
        return Some(Violation::Rights);
    }
    judge(entry, Some(page_entry(page, rights, entry.binding())), Violation::Flags)
}
