//! The audit: what the hardware can reach, compared with what the ledger says. Part of the shipped image.
//!
//! Every entry of every kernel half, every mapped page of every address space, every core and every doorbell target
//! is looked at, one subOS at a time under its lock.

use caps::ledger::{self, ChunkId, CoreId as LedgerCore, Holder};
use caps::{Error, Kind, Rights, Slots};
use idl::Words;
use idl::kernel::machine::AuditReport;

use super::books::Books;
use super::{create, number_of, places, raw, share, visit};
use crate::arch::x86_64::core::Core;
use crate::arch::x86_64::{area, layout};
use crate::arch::{Level, Pte, PteFlags};
use crate::kernel::Kernel;
use crate::limits::{AREA_STRIDE, CHUNK, MAX_CORES, PAGE};
use crate::memory::Ref;
use crate::object::address_space::{AddressSpace, entry_rights};
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
    /// A kernel half can write the image.
    Image = 4,
    /// A kernel half maps what it should not map at all, or lets user mode use it.
    Foreign = 5,
    /// A user page lies outside the memory of its subOS.
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
    /// A doorbell interrupts a core of somebody else.
    Doorbell = 12,
    /// The ledger contradicts itself.
    Ledger = 13,
    /// An interrupt route is open that nobody owns.
    Route = 14,
}

/// The one device page that the supervisor's kernel maps, for [`check_routes`].
const IO_APIC: PhysAddr = PhysAddr(0xfec0_0000);

/// What was found so far.
struct Findings {
    report: AuditReport,
}

impl Findings {
    /// Counts one entry, and notes what is wrong with it, if something is.
    fn check(&mut self, place: u64, wrong: Option<Violation>) {
        self.report.entries += 1;
        if let Some(violation) = wrong {
            if self.report.violations == 0 {
                self.report.first = violation as u64;
                self.report.place = place;
            }
            self.report.violations += 1;
        }
    }
}

/// `Machine.audit`.
///
/// # Errors
/// None: what cannot be looked at because it is condemned is left out.
pub fn audit(books: &mut Books, core: &mut Core) -> Result<Answer, Error> {
    let mut findings = Findings { report: AuditReport { entries: 0, violations: 0, first: 0, place: 0 } };
    let sound = books.ledger().audit().is_ok();
    findings.check(0, (!sound).then_some(Violation::Ledger));
    check_park_root(books, &mut findings);
    check_routes(&mut findings);
    for index in 0..books.records.len() {
        let Some(id) = books.records[index].id else { continue };
        check_half(books, id, &mut findings);
        check_doorbells(books, id, &mut findings);
        let owned = books.owned_by(id);
        // A condemned kernel's tables are still checked above; its objects are nobody's business any more.
        let _ = check_kernel(books, core, id, owned, &mut findings);
    }
    books.moves.audits += 1;
    Ok(Answer { words: findings.report.to_words() })
}

/// Parked cores can reach the image, their APIC, and core areas.
fn check_park_root(books: &mut Books, findings: &mut Findings) {
    books.park.for_each_leaf(&mut |address, entry, _| {
        let fine = match part(address) {
            layout::IMAGE => !entry.flags().contains(PteFlags::WRITABLE),
            layout::LAPIC | layout::CORE_AREAS => true,
            _ => false,
        };
        findings.check(address, (!fine || is_user(entry)).then_some(Violation::Foreign));
    });
}

/// No subOS has a device, so no interrupt route leads anywhere.
#[cfg(feature = "image")]
fn check_routes(findings: &mut Findings) {
    let routes = crate::arch::x86_64::routes::look();
    for route in 0..routes.count {
        findings.check(u64::from(route), (route < routes.open).then_some(Violation::Route));
    }
}

/// The host has none to look at.
#[cfg(not(feature = "image"))]
fn check_routes(_: &mut Findings) {}

/// The part of the kernel half that an address lies in.
fn part(address: u64) -> u64 {
    [layout::IMAGE, layout::SHARES, layout::LAPIC, layout::CORE_AREAS]
        .into_iter()
        .find(|start| address >= *start)
        .unwrap_or(layout::PHYSMAP)
}

fn is_user(entry: Pte) -> bool {
    entry.flags().contains(PteFlags::USER)
}

/// One subOS's kernel half.
fn check_half(books: &mut Books, id: ledger::SubOsId, findings: &mut Findings) {
    // Taken out for as long as the ledger is asked about what it maps.
    let Some(half) = books.record(id).half.take() else { return };
    half.for_each_leaf(&mut |address, entry, level| {
        let wrong = if is_user(entry) {
            Some(Violation::Foreign)
        } else {
            check_leaf(books, id, address, entry, level)
        };
        findings.check(address, wrong);
    });
    books.record(id).half = Some(half);
}

fn check_leaf(
    books: &mut Books,
    id: ledger::SubOsId,
    address: u64,
    entry: Pte,
    level: Level,
) -> Option<Violation> {
    let page = entry.address();
    let supervisor = create::is_supervisor(id);
    let (fine, violation) = match part(address) {
        layout::IMAGE => (!entry.flags().contains(PteFlags::WRITABLE), Violation::Image),
        layout::LAPIC => (address == layout::LAPIC && level == Level::One, Violation::Foreign),
        layout::SHARES => {
            let start = places().share_pages(number_of(id));
            let inside = page >= start && page.0 < start.0 + share::PAGES * PAGE;
            (inside && address >= share::address(number_of(id)), Violation::Share)
        }
        layout::CORE_AREAS => {
            let owner = area_owner(books, address, page);
            (supervisor || owner.is_some_and(|owner| owner == id), Violation::Area)
        }
        _ if supervisor && page == IO_APIC => (level == Level::One, Violation::Foreign),
        _ => {
            let there = address - layout::PHYSMAP == page.0 && level == Level::Two;
            let chunk = ChunkId(u32::try_from(page.0 / CHUNK).unwrap_or(u32::MAX));
            let owner = books.ledger().chunk(chunk).ok().and_then(Holder::subos);
            (there && (supervisor || owner == Some(id) || crate::journal::covers(page)), Violation::Chunk)
        }
    };
    (!fine).then_some(violation)
}

/// Whose core's area this page of the areas is, if it is that page.
fn area_owner(books: &mut Books, address: u64, page: PhysAddr) -> Option<ledger::SubOsId> {
    let number = (address - layout::CORE_AREAS) / AREA_STRIDE;
    let core = CoreId(u8::try_from(number).ok()?);
    let offset = address - area::base(core);
    if books.areas.get(core.index())?.plus(offset) != page {
        return None;
    }
    books.ledger().core(LedgerCore(core.0)).ok()?.subos()
}

fn check_doorbells(books: &mut Books, id: ledger::SubOsId, findings: &mut Findings) {
    let number = number_of(id);
    if number == SubOsId::SUPERVISOR {
        return;
    }
    let Ok(supervisor) = create::supervisor(books) else { return };
    let ends = [(Books::doorbell_target(number), id), (places().share(number).up().target(), supervisor)];
    for (target, owner) in ends {
        let core = target.get();
        let holder = core.map(|core| books.ledger().core(LedgerCore(core.0)));
        let fine = holder.is_none_or(|holder| holder == Ok(Holder::SubOs(owner)));
        findings.check(core.map_or(0, |core| u64::from(core.0) + 1), (!fine).then_some(Violation::Doorbell));
    }
}

/// One subOS's kernel: its address spaces, and which cores it believes to have.
fn check_kernel(
    books: &mut Books,
    core: &mut Core,
    id: ledger::SubOsId,
    owned: u64,
    findings: &mut Findings,
) -> Result<(), Error> {
    let upper = books.record(id).half.as_ref().map(|half| raw::upper_half(half.root()));
    let lots: heapless::Vec<(PhysAddr, PhysAddr), { crate::limits::MAX_LOTS }> = books
        .ledger()
        .lots()
        .filter(|(_, lot)| lot.holder.subos() == Some(id))
        .map(|(_, lot)| visit::range(&lot))
        .take(crate::limits::MAX_LOTS)
        .collect();
    visit::visit(books, core, id, |kernel| {
        for index in 0..MAX_CORES {
            let bit = 1_u64 << index;
            let fine = kernel.cores[index].active == (owned & bit != 0);
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
    space.for_each_page(&kernel.memory, &mut |address, entry| {
        let wrong = check_user_page(kernel, space, lots, scanning, entry);
        findings.check(address.0, wrong);
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
    let allowed = binding.rights | Rights::READ;
    (!allowed.contains(entry_rights(entry))).then_some(Violation::Rights)
}
