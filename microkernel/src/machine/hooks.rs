//! Deliberate catastrophes, for tests of the walls. Only the hooks build has them; the shipped image does not know
//! the invocation.
//!
//! A program asks by method 255 of DebugConsole; word 0 is the hook, word 1 its argument. What a hook touches, it
//! touches as a kernel gone mad would: through the physical map, or at the addresses where other kernels have theirs.

use core::sync::atomic::Ordering;

use caps::{Error, SlotRef, Table};
use idl::abi::OpWord;

use super::books::Books;
use super::{places, share, windows};
use crate::arch::x86_64::core::{CORE_FRAME, Core};
use crate::arch::x86_64::{area, clock, interrupts};
use crate::arch::{KernelHalf, Level, Pte, Vector, now, pause, physmap, send_ipi};
use crate::journal;
use crate::kernel::Kernel;
use crate::limits::{CHUNK, PAGE};
use crate::memory::Ref;
use crate::outcome::Answer;
use crate::types::{CoreId, PhysAddr, SubOsId};

pub mod passages;

/// The method of DebugConsole by which a program asks.
pub const METHOD: u8 = 255;

/// The numbers of the hooks. A test has its own copy.
mod number {
    pub(super) const READ_MEMORY: u64 = 1;
    pub(super) const WRITE_MEMORY: u64 = 2;
    pub(super) const READ_LEDGER: u64 = 3;
    pub(super) const WRITE_LEDGER: u64 = 4;
    pub(super) const READ_AREA: u64 = 5;
    pub(super) const WRITE_AREA: u64 = 6;
    pub(super) const READ_SHARE: u64 = 7;
    pub(super) const WRITE_SHARE: u64 = 8;
    pub(super) const WRITE_IMAGE: u64 = 9;
    pub(super) const OVERFLOW_STACK: u64 = 10;
    pub(super) const DOUBLE_FAULT: u64 = 11;
    pub(super) const PANIC: u64 = 12;
    pub(super) const HOLD_LOCK: u64 = 13;
    pub(super) const LIE: u64 = 14;
    pub(super) const DEAFEN: u64 = 15;
    pub(super) const FORGE_ANSWER: u64 = 16;
    pub(super) const PLANT: u64 = 17;
    pub(super) const LOSE_ROOTS: u64 = 18;
    pub(super) const MUTATE: u64 = 19;
    pub(super) const READ_USER: u64 = 30;
    pub(super) const WRITE_USER: u64 = 31;
    pub(super) const EXECUTE_USER: u64 = 32;
    pub(super) const EXECUTE_DATA: u64 = 33;
    pub(super) const PARK: u64 = 20;
    pub(super) const FLIP: u64 = 21;
    pub(super) const FLIP_OWN: u64 = 22;
    pub(super) const DIE_TOGETHER: u64 = 23;
    pub(super) const ARRANGE: u64 = 40;
    pub(super) const LISTED: u64 = 41;
    pub(super) const DISTURB: u64 = 42;
}

/// Does what was asked, if this is such an invocation.
pub fn invoked(kernel: &mut Kernel, op: OpWord) -> Option<Result<Answer, Error>> {
    if op.kind() != Some(caps::Kind::DebugConsole) || op.method() != METHOD {
        return None;
    }
    let thread = kernel.current()?;
    let words = kernel.memory[thread].frame.message_words();
    let [hook, argument, ..] = words;
    let memory = physmap::pointer::<u64>(PhysAddr(argument & !7));
    let ledger = core::ptr::from_ref(places().shelf()).cast::<u64>().cast_mut();
    let of_core = (area::base(CoreId(argument.to_le_bytes()[0])) + area::CORE_PAGE) as *mut u64;
    let of_subos = share::address(SubOsId(argument.to_le_bytes()[0])) as *mut u64;
    match hook {
        number::READ_MEMORY => touch(memory, Touch::Read),
        number::WRITE_MEMORY => touch(memory, Touch::Write),
        number::READ_LEDGER => touch(ledger, Touch::Read),
        number::WRITE_LEDGER => touch(ledger, Touch::Write),
        number::READ_AREA => touch(of_core, Touch::Read),
        number::WRITE_AREA => touch(of_core, Touch::Write),
        number::READ_SHARE => touch(of_subos, Touch::Read),
        number::WRITE_SHARE => touch(of_subos, Touch::Write),
        number::WRITE_IMAGE => touch((invoked as *const ()).cast::<u64>().cast_mut(), Touch::Write),
        number::OVERFLOW_STACK => drop(overflow(argument)),
        number::DOUBLE_FAULT => double_fault(core::ptr::without_provenance_mut(8)),
        number::ARRANGE => return Some(Ok(passages::arrange(kernel.me, words))),
        number::DISTURB => return Some(Ok(passages::disturb(kernel.me, words))),
        number::LISTED => return Some(passages::listed(kernel.me, argument, words[2])),
        number::PANIC => panic!("a test asked for it"),
        // Two cores, whose numbers are this in sum, fail by themselves at once.
        number::DIE_TOGETHER => {
            kill(CoreId(argument.to_le_bytes()[0].wrapping_sub(kernel.me.0)));
            panic!("a test asked for two at once");
        }
        number::HOLD_LOCK => loop {
            crate::arch::pause();
        },
        // Whoever follows this reference on a visit would leave the subOS.
        number::LIE => kernel.spaces = Some(Ref::at(PhysAddr(argument))),
        // From now on the supervisor's words do not reach this core.
        number::DEAFEN => {
            let core = CoreId(argument.to_le_bytes()[0]);
            places().shelf().deaf.fetch_or(core.bit(), Ordering::SeqCst);
        }
        // The core says itself that it has done whatever it will be told.
        number::FORGE_ANSWER => {
            let mailbox = (area::base(kernel.me) + area::MAILBOX_PAGE + 128) as *mut u64;
            touch(mailbox, Touch::Write);
        }
        // Whoever looks for a root on a visit would leave the subOS.
        number::LOSE_ROOTS => {
            let first = SlotRef::at(argument);
            kernel.roots = first.map(|first| Table { first, count: crate::limits::ROOT_SLOTS });
        }
        // In the supervisor's kernel: a core is told to park, and the supervisor does not come back to it.
        number::PARK => {
            let mut books = places().shelf().open(kernel.me, || {});
            super::cores::tell_to_park(&mut books, CoreId(argument.to_le_bytes()[0]));
        }
        number::PLANT => plant(kernel, argument, words[2], words[3]),
        // In the supervisor's kernel: in the kernel half of the subOS with this number, or in nobody's.
        number::FLIP => {
            return Some(root_of_half(kernel, argument).and_then(|root| flip(root, words[2], words[3])));
        }
        // In a subOS's kernel: in its first address space.
        number::FLIP_OWN => return kernel.spaces.map(|space| flip(space.root(), argument, words[2])),
        // The kernel's forest does this wrong from now on, if there is a journal in which that can be seen.
        number::MUTATE => {
            return Some(journal::mutate(&mut kernel.forest, argument).map(|()| Answer::NOTHING));
        }
        number::READ_USER => touch(argument as *mut u64, Touch::Read),
        number::WRITE_USER => touch(argument as *mut u64, Touch::Write),
        number::EXECUTE_USER => execute(argument as *const u8),
        number::EXECUTE_DATA => execute_data(kernel, argument),
        _ => return Some(Err(Error::InvalidArgument)),
    }
    Some(Ok(Answer::NOTHING))
}

/// Breaks what the audit looks at besides page tables, one thing each, by the number of the violation that it should
/// find; and mends it, when asked again.
fn plant(kernel: &mut Kernel, violation: u64, argument: u64, other: u64) {
    use super::audit::Violation;
    match violation {
        // In a subOS's kernel: a core that it does not have.
        11 => kernel.cores[crate::limits::MAX_CORES - 1].active ^= true,
        // In the supervisor's kernel: its own core as the target of that subOS's doorbell, or that subOS's again; of the one
        // at its side of the window in the chunk that the other bits name, if they name one.
        12 => {
            let core = if other == 0 { kernel.me } else { CoreId(other.to_le_bytes()[0]) };
            let (subos, window) = (SubOsId(argument.to_le_bytes()[0]), PhysAddr((argument >> 8) * CHUNK));
            let at_window = || &windows::bell(window, subos).target;
            let target = if window.0 == 0 { Books::doorbell_target(subos) } else { at_window() };
            target.set(Some(core));
        }
        // In the supervisor's kernel: two chunks that changed places.
        13 => {
            let [one, other] = [argument, other].map(|chunk| usize::try_from(chunk).unwrap_or(0));
            places().shelf().open(kernel.me, || {}).chunks.swap(one, other);
        }
        // In the supervisor's kernel: an interrupt route, opened or (by 0) closed again.
        14 => crate::arch::x86_64::routes::set_mask(argument == 0),
        _ => {}
    }
    const { assert!(Violation::Route as u64 == 14 && Violation::Core as u64 == 11) };
}

/// The root of the kernel half of the subOS with this number; 255 for that of nobody.
fn root_of_half(kernel: &Kernel, number: u64) -> Result<PhysAddr, Error> {
    let books = places().shelf().open(kernel.me, || {});
    let half = match number {
        255 => books.park.as_ref(),
        _ => usize::try_from(number).ok().and_then(|number| books.records.get(number)?.half.as_ref()),
    };
    half.map(KernelHalf::root).ok_or(Error::InvalidArgument)
}

/// Flips bits of the page-table entry for an address, at the level that its lowest bits say, and says what it was; doing it
/// again undoes it.
fn flip(root: PhysAddr, place: u64, bits: u64) -> Result<Answer, Error> {
    let mut table = root;
    for level in [Level::Four, Level::Three, Level::Two, Level::One] {
        let entry = physmap::pointer::<u64>(table).wrapping_add(level.index(place));
        // SAFETY: the entry of a page table, which this kernel maps and processors alone read meanwhile.
        let word = unsafe { entry.read_volatile() };
        if level as u64 == place % PAGE {
            // SAFETY: as above; that it is the wrong entry from now on is what the hook is for.
            unsafe { entry.write_volatile(word ^ bits) };
            return Ok(Answer::of(word));
        }
        if !Pte::from_bits(word).is_present() {
            break;
        }
        table = Pte::from_bits(word).address();
    }
    Err(Error::InvalidArgument)
}

/// Whether a test made this core deaf.
pub(super) fn is_deaf(core: CoreId) -> bool {
    places().shelf().deaf.load(Ordering::SeqCst) & core.bit() != 0
}

/// How to touch what is not ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Touch {
    Read,
    Write,
}

fn touch(place: *mut u64, how: Touch) {
    match how {
        Touch::Read => {
            // SAFETY: none. The access faults, or the wall has a hole, which is what the test is for.
            let _ = core::hint::black_box(unsafe { place.read_volatile() });
        }
        // SAFETY: none, as above.
        Touch::Write => unsafe { place.write_volatile(0x0bad_0bad) },
    }
}

/// Jumps to a `ret`: it comes back if nothing forbids the jump.
fn execute(place: *const u8) {
    // SAFETY: none, as in `touch`.
    let jump = unsafe { core::mem::transmute::<*const u8, extern "C" fn()>(place) };
    jump();
}

/// `ret`, many times, where the image has what is only read.
static RETURNS: [u8; 16] = [0xc3; 16];

/// Executes what is data: in a core's area, in the image, in the subOS's own memory.
fn execute_data(kernel: &Kernel, which: u64) {
    let on_the_stack = core::hint::black_box([0xc3_u8; 16]);
    match which {
        0 => execute(on_the_stack.as_ptr()),
        1 => execute(core::hint::black_box(&RETURNS).as_ptr()),
        _ => execute(core::ptr::from_ref(kernel).cast()),
    }
}

/// Lets another core of this subOS fault in the first instructions of the kernel; comes back when it has noticed.
fn kill(other: CoreId) {
    let core = (area::base(other) + area::CORE_PAGE) as *mut Core;
    touch(core.cast::<u64>().wrapping_byte_add(CORE_FRAME), Touch::Write);
    send_ipi(other, Vector::RESCHEDULE);
    let patience = now().after(clock::microseconds(500_000));
    let failing = core.cast::<u8>().wrapping_byte_add(core::mem::offset_of!(Core, failing));
    // SAFETY: a byte of the other core's own page, which its subOS maps.
    while now() < patience && unsafe { failing.read_volatile() } == 0 {
        pause();
    }
}

/// Uses up the kernel stack.
#[inline(never)]
#[allow(unconditional_recursion, reason = "this is what the hook is for")]
fn overflow(depth: u64) -> u64 {
    let frame = core::hint::black_box([depth; 64]);
    overflow(frame[0] + 1) + core::hint::black_box(frame)[1]
}

/// A page fault that cannot be delivered.
fn double_fault(nowhere: *mut u64) {
    // SAFETY: none: page faults find no gate from here on, only double faults do. Parking loads the whole table again.
    unsafe { interrupts::load_without_page_faults() };
    touch(nowhere, Touch::Read);
}
