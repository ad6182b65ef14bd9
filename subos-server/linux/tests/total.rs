//! Whatever a program asks, the personality answers: arbitrary calls with arbitrary words never panic,
//! never hang and never lose a frame, a file or a process.

use linux::platform::{ExecutorId, Frame, OutOfTables, Platform, Prot, Space, Stream, VirtualPage};
use linux::registers::{Access, Context, Trap};
use linux::{Linux, PoolUse, Work};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;

/// A platform of plain memory. No guest runs on it; it checks what it is asked.
struct Plain {
    frames: Vec<[u8; 4096]>,
    spaces: BTreeMap<Space, BTreeMap<u64, (Frame, Prot)>>,
    stock: usize,
    now: std::cell::Cell<u64>,
    random: u8,
    /// What is lost after so many more copies.
    doomed: std::cell::RefCell<Vec<(u32, Range<u32>)>>,
    lost: std::cell::RefCell<Vec<Range<u32>>>,
    printed: Vec<u8>,
}

impl Plain {
    fn new(frames: usize) -> Self {
        let spaces = BTreeMap::new();
        Self {
            frames: vec![[0xa5; 4096]; frames],
            spaces,
            stock: 6,
            now: std::cell::Cell::new(0),
            random: 0,
            doomed: Default::default(),
            lost: Default::default(),
            printed: Vec::new(),
        }
    }

    /// A copy was made: memory may go at any of them.
    fn copied(&self) {
        self.doomed.borrow_mut().retain_mut(|(left, range)| {
            if *left == 0 {
                self.lost.borrow_mut().push(range.clone());
                return false;
            }
            *left -= 1;
            true
        });
    }

    fn pages(&mut self, space: Space) -> &mut BTreeMap<u64, (Frame, Prot)> {
        self.spaces.get_mut(&space).expect("the space is in use")
    }
}

impl Platform for Plain {
    fn read(&self, frame: Frame, offset: usize, out: &mut [u8]) {
        self.copied();
        if self.lost(frame) {
            out.fill(0xee);
            return;
        }
        out.copy_from_slice(&self.frames[frame.0 as usize][offset..offset + out.len()]);
    }
    fn write(&mut self, frame: Frame, offset: usize, bytes: &[u8]) {
        self.copied();
        if self.lost(frame) {
            return;
        }
        self.frames[frame.0 as usize][offset..offset + bytes.len()].copy_from_slice(bytes);
    }
    fn lost(&self, frame: Frame) -> bool {
        self.lost.borrow().iter().any(|range| range.contains(&frame.0))
    }
    fn new_space(&mut self) -> Option<Space> {
        let free = (0..).map(Space).find(|space| !self.spaces.contains_key(space))?;
        if self.spaces.len() >= self.stock {
            return None;
        }
        self.spaces.insert(free, BTreeMap::new());
        Some(free)
    }
    fn drop_space(&mut self, space: Space) {
        let pages = self.spaces.remove(&space).expect("the space is in use");
        assert!(pages.is_empty(), "a space that is given back is empty");
    }
    fn map(&mut self, space: Space, page: VirtualPage, frame: Frame, prot: Prot) -> Result<(), OutOfTables> {
        if self.pages(space).len() >= 64 || self.lost(frame) {
            return Err(OutOfTables);
        }
        let before = self.pages(space).insert(page.0, (frame, prot));
        assert_eq!(before, None, "the page showed nothing");
        Ok(())
    }
    fn unmap(&mut self, space: Space, first: VirtualPage, count: u64) {
        self.pages(space).retain(|page, _| !(first.0..first.0 + count).contains(page));
    }
    fn protect(&mut self, space: Space, first: VirtualPage, count: u64, prot: Prot) {
        for page in first.0..first.0 + count {
            self.pages(space).get_mut(&page).expect("every page of the range shows something").1 = prot;
        }
    }
    fn now(&self) -> u64 {
        // Time goes on by looking at it, so that every finite wait ends.
        self.now.set(self.now.get() + 50_000);
        self.now.get()
    }
    fn epoch(&self) -> u64 {
        1_700_000_000_000_000_000
    }
    fn console(&mut self, _stream: Stream, bytes: &[u8]) -> usize {
        let taken = bytes.len().div_ceil(2);
        self.printed.extend(&bytes[..taken]);
        taken
    }
    fn entropy(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.random = self.random.wrapping_mul(5).wrapping_add(1);
            *byte = self.random;
        }
    }
}

/// A program of one segment that may be read, written and executed, with data in it.
fn program() -> &'static [u8] {
    let mut bytes = vec![0u8; 8192];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(16, &2u16.to_le_bytes());
    put(18, &62u16.to_le_bytes());
    put(20, &1u32.to_le_bytes());
    put(24, &0x40_0000u64.to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(54, &56u16.to_le_bytes());
    put(56, &1u16.to_le_bytes());
    put(64, &1u32.to_le_bytes());
    put(68, &7u32.to_le_bytes());
    put(80, &DATA.to_le_bytes());
    put(96, &8192u64.to_le_bytes());
    put(104, &0x10_0000u64.to_le_bytes());
    // Paths, and small numbers that serve as times, sets, vectors and structures.
    put(0x400, b"/program\0");
    put(0x420, b"file\0");
    put(0x440, b"/proc/self/fd/1\0");
    put(0x460, b"/tmp\0");
    put(0x480, b"/dev/zero\0");
    put(0x4a0, b"fifo\0");
    for (index, word) in
        [DATA + 0x800, 100, DATA + 0x900, 7, 0, 1, 2, DATA + 0x400, 0].into_iter().enumerate()
    {
        put(0x500 + 8 * index, &word.to_le_bytes());
    }
    Box::leak(bytes.into_boxed_slice())
}

const DATA: u64 = 0x40_0000;

fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0u64..16,
        2 => (0u64..0x20).prop_map(|slot| DATA + 0x400 + 0x20 * slot),
        1 => (0u64..0x10_0000).prop_map(|offset| DATA + offset),
        1 => Just(DATA + 0x1000 - 3),
        1 => 0u64..8192,
        1 => Just(u64::MAX),
        1 => Just((-100i64).cast_unsigned()),
        1 => (0u64..48).prop_map(|bit| 1 << bit),
        1 => any::<u64>(),
        1 => Just(0x7fff_ffff_d000),
    ]
}

/// Calls that matter most come more often, and those that end a process less.
fn number() -> impl Strategy<Value = u64> {
    let busy = prop::sample::select(vec![
        0u64, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 16, 19, 20, 21, 22, 25, 28, 32, 33, 40, 53, 56, 57, 58, 59,
        61, 72, 80, 82, 83, 84, 85, 86, 87, 88, 90, 217, 202, 231, 257, 262, 264, 271, 280, 284, 290, 293,
        316, 326, 332, 435,
    ]);
    prop_oneof![
        6 => busy,
        3 => 0u64..460,
        1 => any::<u64>(),
    ]
}

#[derive(Clone, Debug)]
enum Event {
    Call(u64, [u64; 6]),
    Fault(u64, u8),
    Exception(u8),
    Slice,
    Release,
    /// After so many copies these frames are lost.
    Lose(u32, u32, u32),
}

fn event() -> impl Strategy<Value = Event> {
    let call =
        (number(), prop::array::uniform6(word())).prop_map(|(number, words)| Event::Call(number, words));
    prop_oneof![
        60 => call,
        1 => (word(), 0u8..3).prop_map(|(address, access)| Event::Fault(address, access)),
        1 => (0u8..32).prop_map(Event::Exception),
        1 => Just(Event::Slice),
        1 => Just(Event::Release),
        1 => (0u32..40, 0u32..256, 1u32..60).prop_map(|(copies, first, count)| Event::Lose(copies, first, count)),
    ]
}

fn system() -> Linux<Plain> {
    let mut linux = Linux::new(Plain::new(256));
    linux.add_pool(0..192, PoolUse::General);
    linux.add_pool(192..256, PoolUse::Cache);
    linux.add_file(b"program", program(), 0o755).expect("room");
    linux.add_file(b"file", b"some text\n", 0o644).expect("room");
    linux
}

fn start(linux: &mut Linux<Plain>) {
    // Programs before may have left no memory, or taken the file away.
    let _ = linux.spawn(b"/program", &[b"program", b"one"], &[b"A=b"], b"/");
}

fn play(events: Vec<Event>) {
    let mut linux = system();
    linux.set_cores(2);
    start(&mut linux);
    let mut contexts = [Context::default(); 2];
    for (turn, event) in events.into_iter().enumerate() {
        let executor = ExecutorId(u8::from(turn % 3 == 0));
        let context = &mut contexts[usize::from(executor.0)];
        if let Event::Release = event {
            // What cannot move stays; nothing else may happen.
            let _ = linux.release_pool(&(192..224));
        }
        if let Event::Lose(copies, first, count) = event {
            let range = first..(first + count).min(256);
            linux.platform().doomed.borrow_mut().push((copies, range.clone()));
            if turn % 2 == 0 {
                // Half of the time nobody tells; the other half it is told before it happens.
                linux.lose_pool(&range);
            }
        }
        let mut patience = 2000;
        let work = loop {
            match linux.next(executor, context) {
                Work::Idle(Some(_)) if patience > 0 => patience -= 1,
                other => break other,
            }
        };
        match work {
            Work::Run { .. } => {}
            Work::Finished(_) | Work::Idle(_) => {
                start(&mut linux);
                continue;
            }
        }
        let trap = match event {
            Event::Call(number, words) => {
                context.registers.rax = number;
                let to = &mut context.registers;
                [to.rdi, to.rsi, to.rdx, to.r10, to.r8, to.r9] = words;
                Trap::Syscall
            }
            Event::Fault(address, access) => {
                let access = [Access::Read, Access::Write, Access::Execute][usize::from(access)];
                Trap::PageFault { address, access }
            }
            Event::Exception(vector) => Trap::Exception { vector },
            Event::Slice | Event::Release | Event::Lose(..) => Trap::Slice,
        };
        linux.trapped(executor, trap, context);
        if turn % 16 == 0 {
            linux.audit().expect("every count adds up");
        }
    }
    linux.audit().expect("every count adds up");
}

/// One call of the first executor's program, and what it answers.
fn call(linux: &mut Linux<Plain>, context: &mut Context, number: u64, words: [u64; 6]) -> i64 {
    let executor = ExecutorId(0);
    assert!(matches!(linux.next(executor, context), Work::Run { .. }), "there is a program to run");
    context.registers.rax = number;
    let to = &mut context.registers;
    [to.rdi, to.rsi, to.rdx, to.r10, to.r8, to.r9] = words;
    linux.trapped(executor, Trap::Syscall, context);
    let _ = linux.next(executor, context);
    context.registers.rax.cast_signed()
}

fn touch(linux: &mut Linux<Plain>, context: &mut Context, address: u64, access: Access) {
    assert!(matches!(linux.next(ExecutorId(0), context), Work::Run { .. }), "there is a program to run");
    linux.trapped(ExecutorId(0), Trap::PageFault { address, access }, context);
}

const WRITE: u64 = 1;
const PIPE: u64 = 22;

#[test]
fn what_is_lost_reaches_nobody_and_ends_who_had_it() {
    let mut linux = system();
    start(&mut linux);
    let mut context = Context::default();
    let path = DATA + 0x400;
    assert_eq!(call(&mut linux, &mut context, PIPE, [DATA + 0x100, 0, 0, 0, 0, 0]), 0);
    assert_eq!(call(&mut linux, &mut context, WRITE, [4, path, 8, 0, 0, 0]), 8);
    // The memory of its page goes in the middle of the copy into the pipe.
    linux.platform().doomed.borrow_mut().push((0, 0..100));
    assert_eq!(call(&mut linux, &mut context, WRITE, [4, path, 8, 0, 0, 0]), -14, "EFAULT");
    // Where it went, nothing is but what was written before.
    assert_eq!(
        call(&mut linux, &mut context, 0, [3, 0x7fff_0000_0000, 64, 0, 0, 0]),
        -14,
        "nowhere to read to"
    );
    // The program touches the page itself.
    touch(&mut linux, &mut context, path, Access::Read);
    let _ = linux.next(ExecutorId(0), &mut context);
    let ended = linux.ended().expect("it has ended");
    assert_eq!(ended.shell_code(), 128 + 7, "by SIGBUS");
    linux.audit().expect("every count adds up");
    // Others are as they should be, and get other memory.
    linux.lose_pool(&(0..100));
    start(&mut linux);
    assert_eq!(call(&mut linux, &mut context, PIPE, [DATA + 0x100, 0, 0, 0, 0, 0]), 0);
    assert_eq!(call(&mut linux, &mut context, WRITE, [4, path, 8, 0, 0, 0]), 8);
    linux.audit().expect("every count adds up");
}

#[test]
fn a_lost_copy_of_a_file_comes_back_from_the_file() {
    let mut linux = system();
    start(&mut linux);
    let mut context = Context::default();
    let path = DATA + 0x400;
    assert_eq!(call(&mut linux, &mut context, WRITE, [1, path, 8, 0, 0, 0]), 8);
    linux.platform().doomed.borrow_mut().push((0, 192..224));
    assert_eq!(call(&mut linux, &mut context, WRITE, [1, path, 8, 0, 0, 0]), 8);
    touch(&mut linux, &mut context, path, Access::Read);
    assert_eq!(call(&mut linux, &mut context, WRITE, [1, path, 8, 0, 0, 0]), 8);
    for _ in 0..9 {
        let _ = linux.next(ExecutorId(0), &mut context);
    }
    let printed = String::from_utf8_lossy(&linux.platform().printed).into_owned();
    assert!("/program/program/program".starts_with(&printed) && !printed.is_empty(), "{printed}");
    linux.audit().expect("every count adds up");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_calls_are_answered(events in prop::collection::vec(event(), 1..120)) {
        play(events);
    }
}
