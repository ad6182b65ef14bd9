//! Processes: a program in an address space of its own, with a table of its own.
//!
//! Everything that a process consists of is made from one untyped memory, its *budget*, so that ending it, or
//! starting it again, is one reset. It finds itself as init does (`idl::slots`): its own table, space and thread,
//! memory to make objects from, a console, and from `FIRST_FREE` on what its maker granted, in that order.

use alloc::vec::Vec;

use caps::{Error, Handle, Kind, Rights, SlotIndex};
use idl::abi::{LENT_BASE, LENT_END, MESSAGE_PAGE, PAGE_SIZE, STACK_SIZE, STACK_TOP, STARTUP_PAGE, TrapKind};
use idl::interface::Generation;
use idl::message::Fault;
use idl::program::{Program, ProgramError, Segment, SegmentFlags};
use idl::startup::Startup;
use idl::types::{Badge, PageIndex, Pages, Priority, UserAddress, UserPage};
use zerocopy::IntoBytes;

use crate::cap::{AddressSpace, Binding, CSpace, Cap, Core, Region, Thread, Untyped, cap, complete};
use crate::environment;
use crate::last_words::LastWords;
use crate::memory::{self, Mapping};
use crate::slots;

/// Slots of a process's table.
const TABLE_SLOTS: u64 = 256;
/// Pages that its space gets for page tables, beyond those that its own memory may need.
const SPARE_TABLES: u64 = 24;

/// Why a process could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessError {
    /// The program image is malformed.
    Program(ProgramError),
    /// The kernel refused something.
    Kernel(Error),
}

impl From<Error> for ProcessError {
    fn from(error: Error) -> Self {
        Self::Kernel(error)
    }
}

impl From<ProgramError> for ProcessError {
    fn from(error: ProgramError) -> Self {
        Self::Program(error)
    }
}

impl core::fmt::Display for ProcessError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Program(error) => write!(f, "the program image: {error}"),
            Self::Kernel(error) => write!(f, "the kernel: {error}"),
        }
    }
}

/// A capability to put into a process's table.
#[derive(Clone, Copy, Debug)]
struct Grant {
    source: Handle,
    rights: Rights,
    badge: Badge,
}

/// What a process is to be.
#[derive(Clone, Debug)]
pub struct Builder<'a> {
    image: &'a [u8],
    arguments: &'a str,
    memory: Pages,
    priority: Priority,
    core: Handle,
    faults: Option<(Handle, Badge)>,
    grants: Vec<Grant>,
    generation: Generation,
    files: Option<(Handle, u64)>,
    console: Rights,
}

impl<'a> Builder<'a> {
    /// A process that runs this program image, with no memory beyond what the program takes.
    #[must_use]
    pub const fn new(image: &'a [u8]) -> Self {
        Self {
            image,
            arguments: "",
            memory: Pages(0),
            priority: Priority::ORDINARY,
            core: Handle::NONE,
            faults: None,
            grants: Vec::new(),
            generation: Generation::FIRST,
            files: None,
            console: Rights::WRITE,
        }
    }

    /// With these arguments.
    #[must_use]
    pub const fn arguments(mut self, arguments: &'a str) -> Self {
        self.arguments = arguments;
        self
    }

    /// With so much memory to make objects from: its heap, threads, notifications.
    #[must_use]
    pub const fn memory(mut self, memory: Pages) -> Self {
        self.memory = memory;
        self
    }

    /// With this priority.
    #[must_use]
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// On this core.
    #[must_use]
    pub const fn core(mut self, core: Cap<Core>) -> Self {
        self.core = core.handle();
        self
    }

    /// With this handler of its faults.
    #[must_use]
    pub const fn faults(mut self, endpoint: Handle, badge: Badge) -> Self {
        self.faults = Some((endpoint, badge));
        self
    }

    /// In this life: the next one when the program is started again, so that its clients notice.
    #[must_use]
    pub const fn generation(mut self, generation: Generation) -> Self {
        self.generation = generation;
        self
    }

    /// With these rights to this program's console, of those that it has itself; WRITE if nothing is said.
    #[must_use]
    pub const fn console(mut self, rights: Rights) -> Self {
        self.console = rights;
        self
    }

    /// With the files that this region holds, so many bytes of it: the process can read them, and nobody writes them.
    #[must_use]
    pub const fn files(mut self, region: Cap<Region>, bytes: u64) -> Self {
        self.files = Some((region.handle(), bytes));
        self
    }

    /// Grants a copy of a capability, with these rights. What is granted first is the process's
    /// `environment().granted(0)`.
    #[must_use]
    pub fn grant(self, source: Handle, rights: Rights) -> Self {
        self.grant_badged(source, rights, Badge(0))
    }

    /// Grants a copy of a capability, with these rights and this badge.
    #[must_use]
    pub fn grant_badged(mut self, source: Handle, rights: Rights, badge: Badge) -> Self {
        self.grants.push(Grant { source, rights, badge });
        self
    }

    /// How many pages of untyped memory the process needs in all.
    ///
    /// # Errors
    /// When the image is malformed.
    pub fn budget(&self) -> Result<Pages, ProcessError> {
        let program = Program::parse(self.image, self.image.len() as u64)?;
        let program_pages = program.memory().div_ceil(PAGE_SIZE);
        let fixed = STACK_SIZE / PAGE_SIZE + 2;
        // Objects are aligned to their size at worst, hence the generous rest.
        let objects = TABLE_SLOTS * 64 / PAGE_SIZE + tables(program_pages) + 16;
        let total = program_pages + fixed + objects + 2 * u64::from(self.memory.0);
        Ok(Pages(u32::try_from(total).map_err(|_| Error::BadSize)?))
    }

    /// Makes the process from memory that the pool has, and starts it.
    ///
    /// # Errors
    /// When the image is malformed, and whatever the kernel refuses.
    pub fn start(&self) -> Result<Process, ProcessError> {
        let budget = memory::create::<Untyped>(u64::from(self.budget()?.0))?;
        self.start_in(budget)
    }

    /// Makes the process from this memory, of at least [`Builder::budget`], and starts it.
    ///
    /// # Errors
    /// When the image is malformed, and whatever the kernel refuses; the memory is reset then.
    pub fn start_in(&self, budget: Cap<Untyped>) -> Result<Process, ProcessError> {
        let program = Program::parse(self.image, self.image.len() as u64)?;
        let mut parts = Parts { budget, slots: Vec::new() };
        match self.build(&program, &mut parts) {
            Ok(made) => Ok(Process { parts, made, blank: None }),
            Err(error) => {
                // The first error is what the caller must hear of.
                let _ = parts.reset();
                Err(error)
            }
        }
    }

    fn build(&self, program: &Program, parts: &mut Parts) -> Result<Made, ProcessError> {
        let table = parts.create::<CSpace>(TABLE_SLOTS)?;
        let pages = program.memory().div_ceil(PAGE_SIZE);
        let space = parts.create::<AddressSpace>(tables(pages))?;
        let thread = parts.create::<Thread>(0)?;
        for segment in program.segments() {
            load(parts, space, self.image, segment)?;
        }
        let read_write = Rights::READ | Rights::WRITE;
        let stack = parts.create::<Region>(STACK_SIZE / PAGE_SIZE)?;
        parts.map(space, stack, STACK_TOP - STACK_SIZE, read_write)?;
        let message = parts.create::<Region>(1)?;
        parts.map(space, message, MESSAGE_PAGE, read_write)?;
        let startup = parts.create::<Region>(1)?;
        parts.fill(startup, 0, self.startup(program).as_bytes())?;
        parts.map(space, startup, STARTUP_PAGE, Rights::READ)?;
        self.furnish(parts, table, space, thread)?;
        thread.configure(table.handle(), space.handle(), message.handle(), PageIndex(0))?;
        thread.schedule(self.priority, self.core)?;
        if let Some((endpoint, badge)) = self.faults {
            thread.fault_handler(endpoint, badge)?;
        }
        thread.start(UserAddress(program.entry()), UserAddress(STACK_TOP), STARTUP_PAGE)?;
        Ok(Made { thread, space, page: message })
    }

    /// Puts into the table what every process has, and what is granted.
    fn furnish(
        &self,
        parts: &mut Parts,
        table: Cap<CSpace>,
        space: Cap<AddressSpace>,
        thread: Cap<Thread>,
    ) -> Result<(), Error> {
        let own = environment().cspace();
        let all = Rights::all();
        let put = |source: Handle, slot: SlotIndex, rights: Rights| {
            let rights = rights & own.info(source)?.rights;
            own.copy(source, table.handle(), slot, rights)
        };
        put(table.handle(), idl::slots::OWN_CSPACE, all)?;
        put(space.handle(), idl::slots::OWN_SPACE, all)?;
        put(thread.handle(), idl::slots::OWN_THREAD, all)?;
        put(environment().console().handle(), idl::slots::CONSOLE, self.console)?;
        if self.memory.0 > 0 {
            let untyped = parts.create::<Untyped>(u64::from(self.memory.0))?;
            put(untyped.handle(), idl::slots::HOME_UNTYPED, all)?;
        }
        if let Some((files, _)) = self.files {
            put(files, idl::slots::MODULES, Rights::READ | Rights::DERIVE)?;
        }
        let mut slot = idl::slots::FIRST_FREE;
        for grant in &self.grants {
            if grant.badge.0 == 0 {
                put(grant.source, slot, grant.rights)?;
            } else {
                own.mint(grant.source, table.handle(), slot, grant.rights, grant.badge)?;
            }
            slot.0 += 1;
        }
        Ok(())
    }

    fn startup(&self, program: &Program) -> Startup {
        let own = environment();
        let mut startup = Startup::new();
        startup.subos = own.startup().subos;
        startup.core = own.startup().core;
        startup.ticks_per_second = own.startup().ticks_per_second;
        startup.home_bytes = self.memory.bytes();
        startup.program_end = program.segments().last().map_or(0, Segment::end);
        startup.granted = u32::try_from(self.grants.len()).unwrap_or(0);
        startup.generation = self.generation.0.into();
        startup.modules_length = self.files.map_or(0, |(_, bytes)| bytes);
        startup.set_arguments(self.arguments);
        startup
    }
}

/// Pages for the page tables of a space in which so many pages of a program are mapped.
const fn tables(program_pages: u64) -> u64 {
    SPARE_TABLES + program_pages.div_ceil(512)
}

fn load(
    parts: &mut Parts,
    space: Cap<AddressSpace>,
    image: &[u8],
    segment: &Segment,
) -> Result<(), ProcessError> {
    let region = parts.create::<Region>(segment.pages())?;
    let bytes = file_bytes(image, segment).ok_or(Error::BadImage)?;
    parts.fill(region, 0, bytes)?;
    parts.map(space, region, segment.address, rights(segment.flags))?;
    Ok(())
}

fn file_bytes<'a>(image: &'a [u8], segment: &Segment) -> Option<&'a [u8]> {
    let start = usize::try_from(segment.offset).ok()?;
    let length = usize::try_from(segment.file_len).ok()?;
    image.get(start..start.checked_add(length)?)
}

fn rights(flags: SegmentFlags) -> Rights {
    let pairs = [
        (SegmentFlags::READ, Rights::READ),
        (SegmentFlags::WRITE, Rights::WRITE),
        (SegmentFlags::EXECUTE, Rights::EXECUTE),
    ];
    // Every mapping can be read: the processor knows no other.
    pairs.iter().filter(|(flag, _)| flags.contains(*flag)).fold(Rights::READ, |sum, (_, right)| sum | *right)
}

/// What a process consists of: everything made from its budget, by the slots of this program's table.
#[derive(Debug)]
struct Parts {
    budget: Cap<Untyped>,
    slots: Vec<SlotIndex>,
}

impl Parts {
    fn create<K: idl::Object>(&mut self, size: u64) -> Result<Cap<K>, Error> {
        let made = memory::create_from::<K>(self.budget, size)?;
        self.slots.push(made.handle().index());
        Ok(made)
    }

    /// Copies bytes into a region, by way of a mapping in this program's own space.
    fn fill(&self, region: Cap<Region>, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mapping = Mapping::of(region, Rights::READ | Rights::WRITE)?;
        mapping.write(offset, bytes);
        mapping.unmap()
    }

    fn map(
        &mut self,
        space: Cap<AddressSpace>,
        region: Cap<Region>,
        address: u64,
        rights: Rights,
    ) -> Result<(), Error> {
        let address = UserPage::new(address).ok_or(Error::BadRange)?;
        let binding = memory::bind(region, space)?;
        self.slots.push(binding.handle().index());
        memory::map_pages(space, binding, PageIndex(0), address, region.info()?, rights)
    }

    /// Destroys all of it; the budget can be used again.
    fn reset(&mut self) -> Result<(), Error> {
        complete(|| self.budget.reset())?;
        for slot in self.slots.drain(..) {
            slots::release(slot);
        }
        Ok(())
    }
}

/// What of a process its maker needs to know.
#[derive(Debug)]
struct Made {
    thread: Cap<Thread>,
    space: Cap<AddressSpace>,
    /// The message page of its first thread.
    page: Cap<Region>,
}

/// A process that was started. Dropping it lets it go on.
#[derive(Debug)]
pub struct Process {
    parts: Parts,
    made: Made,
    /// What stands in for memory that was taken back.
    blank: Option<(Cap<Region>, Cap<Binding>)>,
}

impl Process {
    /// Its first thread.
    #[must_use]
    pub const fn thread(&self) -> Cap<Thread> {
        self.made.thread
    }

    /// What it said when it panicked, if it is its first thread that did.
    #[must_use]
    pub fn last_words(&self) -> Option<LastWords> {
        let page = Mapping::of(self.made.page, Rights::READ).ok()?;
        let mut bytes = [0; PAGE_BYTES];
        page.read(0, &mut bytes);
        // What stays mapped goes with the process.
        let _ = page.unmap();
        LastWords::parse(&bytes)
    }

    /// Mends a fault that is no fault of its: it looked at memory that was lent to it, and the lender has taken it back.
    /// An empty page takes its place; answer the fault, and the process goes on. Says whether it was such a fault.
    ///
    /// # Errors
    /// Those of making, binding and mapping a region.
    pub fn mend(&mut self, fault: &Fault) -> Result<bool, Error> {
        let Some(page) = lent_page(fault) else { return Ok(false) };
        let (region, binding) = match self.blank {
            Some(blank) => blank,
            None => {
                let region = self.parts.create::<Region>(1)?;
                let binding = memory::bind(region, self.made.space)?;
                self.parts.slots.push(binding.handle().index());
                *self.blank.insert((region, binding))
            }
        };
        // What was written there the last time is nobody else's to read.
        self.parts.fill(region, 0, &[0; PAGE_BYTES])?;
        match self.made.space.map(
            binding.handle(),
            PageIndex(0),
            page,
            Pages(1),
            Rights::READ | Rights::WRITE,
        ) {
            Ok(_) | Err(Error::AlreadyMapped) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Ends it and gives back the memory it was made from, empty.
    ///
    /// # Errors
    /// Those of `Untyped.reset`.
    pub fn end(mut self) -> Result<Cap<Untyped>, Error> {
        self.parts.reset()?;
        Ok(self.parts.budget)
    }

    /// What is in a slot of its table: for those who look after it.
    ///
    /// # Errors
    /// Those of `CSpace.info`.
    pub fn table(&self) -> Result<Cap<CSpace>, Error> {
        let first = self.parts.slots.first().copied().ok_or(Error::EmptySlot)?;
        environment().cspace().at(first).map(cap)
    }
}

/// The page of a fault that is among those where lent memory is mapped.
fn lent_page(fault: &Fault) -> Option<UserPage> {
    let address = fault.trap.address;
    let lent = TrapKind::from_number(fault.trap.kind) == Some(TrapKind::PageFault)
        && (LENT_BASE..LENT_END).contains(&address);
    if lent { UserPage::new(address - address % PAGE_SIZE) } else { None }
}

/// Bytes of a page.
const PAGE_BYTES: usize = 4096;

static_assertions::const_assert!(PAGE_BYTES as u64 == PAGE_SIZE);
static_assertions::const_assert!(memory::is_fixed_size(Kind::Thread));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_is_none_is_refused() {
        let refused = Builder::new(&[0; 8192]).start().map(|_| ());
        assert_eq!(refused, Err(ProcessError::Program(ProgramError::BadMagic)));
    }

    #[test]
    fn only_a_fault_in_lent_memory_is_mended() {
        let fault = |kind, address| {
            let trap = idl::abi::Trap { kind: kind as u32, vector: 14, error_code: 4, address };
            Fault { trap, rip: 0 }
        };
        let page = lent_page(&fault(TrapKind::PageFault, LENT_BASE + 0x1234));
        assert_eq!(page.map(UserPage::address), Some(LENT_BASE + 0x1000));
        assert!(lent_page(&fault(TrapKind::PageFault, LENT_BASE - 1)).is_none());
        assert!(lent_page(&fault(TrapKind::PageFault, LENT_END)).is_none());
        assert!(lent_page(&fault(TrapKind::Exception, LENT_BASE)).is_none());
    }

    #[test]
    fn segments_map_with_their_own_rights() {
        assert_eq!(rights(SegmentFlags::EXECUTE), Rights::READ | Rights::EXECUTE);
        assert_eq!(rights(SegmentFlags::READ | SegmentFlags::WRITE), Rights::READ | Rights::WRITE);
    }
}
