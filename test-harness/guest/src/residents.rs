//! Who lives in a lot: threads at work and queued up, whose tables, spaces, code and message pages all lie in it, and ties of
//! every kind between it and what lies elsewhere. Nothing is harder to take away.

use idl::abi::{FxArea, GuestFrame, OpWord, Registers, page::SEND_CAPS};
use idl::message::Message;
use idl::types::{LotNumber, PageIndex, Pages, Priority, UserPage};
use userlib::cap::{AddressSpace, CSpace, Endpoint, Region, Thread, Untyped};
use userlib::memory::{self, Mapping};
use userlib::{Cap, Error, Handle, Kind, Rights, SlotIndex, environment, page};

use crate::rig::CODE;

/// Slots of the table.
const SLOTS: u32 = 2048;
/// Its first slots: the endpoint in the lot, the one elsewhere; from the third on copies of everything.
const HERE: SlotIndex = SlotIndex(1);
const ELSEWHERE: SlotIndex = SlotIndex(2);
const COPIES: u32 = 3;
/// Spaces in which the same pages are mapped.
const SPACES: usize = 8;
/// Threads that queue up, at each of the two endpoints.
const CALLERS: u32 = 4;
const PAGE_BYTES: usize = 4096;
/// Pages: the code, a message page for each caller, and some more.
const PAGES: Pages = Pages(64);

/// Settles in a lot. Callers queue up at the endpoint, which lies elsewhere, as well. Answers with how many capabilities,
/// mappings and objects that makes.
pub(crate) fn settle_in(lot: LotNumber, elsewhere: Cap<Endpoint>) -> Result<u64, Error> {
    let untyped = environment().lot(lot.0)?;
    let house = House::build(untyped, elsewhere)?;
    let mut made = u64::from(SLOTS) + house.map_everywhere(untyped)?;
    for core in (0..64).filter_map(|core| environment().core(core).ok()) {
        let spinning = Registers { rip: CODE + SPIN, ..Registers::default() };
        house.live(untyped, core.handle(), PageIndex(0), spinning)?;
        made += 1;
    }
    for caller in 0..2 * CALLERS {
        let (index, page) = if caller % 2 == 0 { (HERE, 1 + caller) } else { (ELSEWHERE, 1 + caller) };
        house.call(untyped, house.table.at(index)?, PageIndex(page))?;
        made += 1;
    }
    Ok(made)
}

struct House {
    table: Cap<CSpace>,
    space: Cap<AddressSpace>,
    pages: Cap<Region>,
    view: Mapping,
}

/// `again: pause; mov rax, r14; mov rdi, r15; syscall; jmp again; spin: pause; jmp spin`
///
/// On a machine whose cores take turns, by a clock that counts instructions, the PAUSE ends a turn: see `hostiles`.
const ASSEMBLY: [u8; 16] =
    [0xf3, 0x90, 0x4c, 0x89, 0xf0, 0x4c, 0x89, 0xff, 0x0f, 0x05, 0xeb, 0xf4, 0xf3, 0x90, 0xeb, 0xfc];
/// Where it spins.
const SPIN: u64 = 12;

impl House {
    /// A table full of capabilities to what is in the lot and to what is not, code, and a space that has it.
    fn build(untyped: Cap<Untyped>, elsewhere: Cap<Endpoint>) -> Result<Self, Error> {
        let own = environment().cspace();
        let table: Cap<CSpace> = memory::create_from(untyped, SLOTS.into())?;
        let endpoint: Cap<Endpoint> = memory::create_from(untyped, 0)?;
        let put = |source, slot, rights| own.copy(source, table.handle(), slot, rights | Rights::DERIVE);
        put(endpoint.handle(), HERE, Rights::CALL)?;
        put(elsewhere.handle(), ELSEWHERE, Rights::CALL)?;
        for slot in COPIES..SLOTS {
            let source = match slot % 3 {
                0 => endpoint.handle(),
                1 => own.handle(),
                _ => table.handle(),
            };
            put(source, SlotIndex(slot), Rights::READ)?;
        }
        let pages: Cap<Region> = memory::create_from(untyped, PAGES.0.into())?;
        let view = Mapping::of(pages, Rights::READ | Rights::WRITE)?;
        view.write(0, &ASSEMBLY);
        let house = Self { table, space: memory::create_from(untyped, 16)?, pages, view };
        house.map(pages, house.space, CODE, Pages(1), Rights::READ | Rights::EXECUTE)?;
        Ok(house)
    }

    fn map(
        &self,
        region: Cap<Region>,
        space: Cap<AddressSpace>,
        at: u64,
        pages: Pages,
        rights: Rights,
    ) -> Result<(), Error> {
        let at = UserPage::new(at).ok_or(Error::BadRange)?;
        memory::map_pages(space, memory::bind(region, space)?, PageIndex(0), at, pages, rights)
    }

    /// The lot's pages in many spaces of the lot, and pages from elsewhere in one.
    fn map_everywhere(&self, untyped: Cap<Untyped>) -> Result<u64, Error> {
        for _ in 0..SPACES {
            let space: Cap<AddressSpace> = memory::create_from(untyped, 8)?;
            self.map(self.pages, space, 0x4000_0000, PAGES, Rights::READ)?;
        }
        let elsewhere: Cap<Region> = memory::create_from(environment().untyped(), 4)?;
        self.map(elsewhere, self.space, 0x5000_0000, Pages(4), Rights::READ)?;
        Ok(SPACES as u64 * u64::from(PAGES.0) + 4)
    }

    /// A thread that begins with these registers.
    fn live(
        &self,
        untyped: Cap<Untyped>,
        core: Handle,
        page: PageIndex,
        registers: Registers,
    ) -> Result<(), Error> {
        let thread: Cap<Thread> = memory::create_from(untyped, 0)?;
        let message_page = if page.0 == 0 { Handle::NONE } else { self.pages.handle() };
        thread.configure(self.table.handle(), self.space.handle(), message_page, page)?;
        thread.schedule(Priority::ORDINARY, core)?;
        page::set_frame(&GuestFrame { registers, ..GuestFrame::default() })?;
        page::set_fx(&FxArea::default())?;
        thread.write_registers()?;
        thread.resume()
    }

    /// A thread that calls for ever, with four capabilities in its message.
    fn call(&self, untyped: Cap<Untyped>, endpoint: Handle, page: PageIndex) -> Result<(), Error> {
        let first = page.0 as usize * PAGE_BYTES;
        for number in 0..4 {
            let copy = self.table.at(SlotIndex(COPIES + page.0 * 4 + number))?;
            self.view.write(first + (SEND_CAPS + number as usize) * 8, &copy.0.to_le_bytes());
        }
        let call = OpWord::new(Kind::Endpoint, idl::kernel::endpoint::CALL);
        let message = Message { caps: 4, ..Message::short(1, &[]) };
        let op = call.with_message(message.label, message.count, message.caps);
        let registers = Registers { rip: CODE, r14: op.0, r15: endpoint.0, r12: 0, ..Registers::default() };
        self.live(untyped, Handle::NONE, page, registers)
    }
}
