//! The player: system calls drawn from a seed, played by several threads on all cores of two subOSes at once.
//!
//! All threads of a subOS share a board, a number of slots of their table, and put there, move, copy, bind, reset and
//! remove what they like, without asking one another. What the kernel does of that it writes into its journal, and the
//! harness holds it against the specification. What the players see is compared too: each thread sums up the answers to
//! its calls, and the harness sums up what the journal says was answered.
//!
//! A game is known by its seed: what each thread plays follows from the seed and from what it is answered.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};

use idl::abi::{OpWord, REGISTER_WORDS, ResultWord};
use idl::types::{Badge, Bits, CoreNumber, Deadline, MachineQuestion, PageIndex, Pages, Progress, UserPage};
use idl::{Invoke, Object};
use userlib::cap::{
    AddressSpace, CSpace, DebugConsole, Guest, Kernel, Notification, Region, Thread, Untyped,
};
use userlib::thread::Builder;
use userlib::{Error, Handle, Kind, Rights, SlotIndex, check, environment, memory, println, slots, time};

use crate::abroad::{Colony, audit};
use crate::{Outcome, said};

/// How often a place is drawn again that will not do: not always, so that wrong ones are tried too.
const TRIES: usize = 4;
/// Slots of the board.
const BOARD: usize = 48;
/// Pages of memory that each thread brings along.
const BUDGET: u64 = 24;
/// Chunks of a subOS that plays.
const HOME: u32 = 16;
/// How long a game may take.
const PATIENCE: core::time::Duration = core::time::Duration::from_secs(120);
/// A method that no kind has: its refusal marks in the journal where a thread's game begins and where it ends.
pub const MARK: u8 = 250;

/// What the program does: as subOS 0 it lets others play, in another one it plays.
pub fn program() {
    let arguments = environment().arguments();
    let number = |key: &str| {
        let value = arguments.split(' ').find_map(|word| word.strip_prefix(key)).unwrap_or("");
        value.parse().map_err(|_| format!("no number {key} in {arguments:?}"))
    };
    let game = number("seed=")
        .and_then(|seed| Ok(Game { seed, calls: number("calls=")?, mutant: number("mutant=")? }));
    if environment().startup().subos == 0 {
        userlib::testing::finish(game.and_then(preside));
    } else {
        crate::report_home(&game.and_then(play));
    }
}

/// What is to be played.
#[derive(Clone, Copy)]
struct Game {
    /// What the calls follow from.
    seed: u64,
    /// How many all threads make together.
    calls: u64,
    /// What the kernel is to do wrong, by the hook's number; 0 for nothing.
    mutant: u64,
}

/// Two subOSes with all cores but the first between them, or one if there is one core, each with its share of the calls.
fn preside(Game { seed, calls, mutant }: Game) -> Outcome {
    let totals = environment().machine().info(MachineQuestion::Totals).map_err(said("info"))?;
    let cores: Vec<u32> = (1..u32::try_from(totals[0]).unwrap_or(1)).collect();
    check!(!cores.is_empty(), "a game needs two cores");
    let shares: Vec<&[u32]> = match cores.len() {
        1 => alloc::vec![&cores[..]],
        count => cores.chunks(count.div_ceil(2)).collect(),
    };
    let mut colonies = Vec::new();
    for (number, share) in (0..).zip(&shares) {
        let calls = calls / cores.len() as u64 * share.len() as u64;
        let colony = Colony::create(HOME)?;
        colony.load(
            idl::bundle::BOOT,
            &format!("seed={} calls={calls} mutant={mutant}", seed ^ number << 32),
        )?;
        for core in *share {
            colony.subos.grant_core(CoreNumber(*core)).map_err(said("grant_core"))?;
        }
        colony.subos.start().map_err(said("start"))?;
        colonies.push(colony);
    }
    for colony in &colonies {
        let heard = colony.hear("@abroad result=")?;
        let last = heard.lines().last().unwrap_or_default();
        check!(last.ends_with("result=ok"), "{last}");
    }
    audit()?;
    colonies.into_iter().try_for_each(Colony::destroy)
}

/// One thread on each core plays its share of the calls.
fn play(Game { seed, calls, mutant }: Game) -> Outcome {
    if mutant != 0 {
        crate::mutants::order(mutant)?;
    }
    let cores: Vec<_> = (0..64).filter_map(|core| environment().core(core).ok()).collect();
    let board: &'static Board = alloc::boxed::Box::leak(alloc::boxed::Box::new(Board::new()?));
    let mut threads = Vec::new();
    for (number, core) in (1_u64..).zip(&cores) {
        let budget = memory::create::<Untyped>(BUDGET).map_err(said("budget"))?.handle();
        let share = calls / cores.len() as u64;
        let random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
        let player = move || Player { random, board, budget, witness: Witness::default() }.play(share);
        threads.push(Builder::new().core(*core).spawn(player).map_err(said("spawn"))?);
    }
    for thread in threads {
        let sum = thread.join(time::after(PATIENCE)).map_err(said("a player does not end"))?;
        println!("@player calls={} refused={} sum={}", sum.calls, sum.refused, sum.sum);
    }
    Ok(())
}

/// Slots that all threads use, and what each is thought to hold.
struct Board {
    slots: [SlotIndex; BOARD],
    names: [AtomicU64; BOARD],
}

impl Board {
    fn new() -> Result<Self, String> {
        let mut board = Self { slots: [SlotIndex(0); BOARD], names: [const { AtomicU64::new(0) }; BOARD] };
        for slot in &mut board.slots {
            *slot = slots::allocate().map_err(said("slot"))?;
        }
        Ok(board)
    }
}

/// The kernel, with a sum of what it answered.
#[derive(Default)]
struct Witness {
    sum: Cell<u64>,
    calls: Cell<u64>,
    refused: Cell<u64>,
}

impl Invoke for Witness {
    fn invoke(
        &self,
        op: OpWord,
        handle: Handle,
        words: [u64; REGISTER_WORDS],
        deadline: Deadline,
        second: Handle,
    ) -> (ResultWord, Badge, [u64; REGISTER_WORDS]) {
        let (result, badge, words) = Kernel.invoke(op, handle, words, deadline, second);
        let refused = result.status().is_err();
        let first = if refused { 0 } else { words[0] };
        let answer = idl::journal::Answer { thread: 0, op: op.0, result: result.0, first };
        self.sum.set(answer.add_to(self.sum.get()));
        self.calls.set(self.calls.get() + 1);
        self.refused.set(self.refused.get() + u64::from(refused));
        (result, badge, words)
    }
}

/// What a thread played.
struct Sum {
    calls: u64,
    refused: u64,
    sum: u64,
}

/// Splitmix64.
struct Random(u64);

impl Random {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap_or(0)]
    }
}

/// What objects are made of, with sizes that mostly do.
const KINDS: &[(Kind, u64)] = &[
    (Kind::Untyped, 2),
    (Kind::Untyped, 1),
    (Kind::CSpace, 8),
    (Kind::CSpace, 3),
    (Kind::CSpace, 1),
    (Kind::Thread, 0),
    (Kind::AddressSpace, 6),
    (Kind::Region, 1),
    (Kind::Region, 3),
    (Kind::Region, 0),
    (Kind::Endpoint, 0),
    (Kind::Notification, 0),
    (Kind::Notification, 0),
    (Kind::Reply, 0),
    (Kind::Guest, 0),
    (Kind::Core, 0),
];

/// A thread's player.
struct Player {
    random: Random,
    board: &'static Board,
    budget: Handle,
    witness: Witness,
}

impl Player {
    fn play(mut self, calls: u64) -> Sum {
        self.mark();
        self.witness = Witness::default();
        while self.witness.calls.get() < calls {
            self.turn();
        }
        let Witness { sum, calls, refused } = &self.witness;
        let sum = Sum { calls: calls.get(), refused: refused.get(), sum: sum.get() };
        self.mark();
        sum
    }

    /// A call that is refused, and that nobody else makes.
    fn mark(&self) {
        let console = self.cap::<DebugConsole>(environment().console().handle());
        let _refused: Result<(), Error> = idl::client::plain(&console, MARK, [0; 5], Deadline::NEVER);
    }

    fn cap<K: Object>(&self, handle: Handle) -> idl::Cap<K, &Witness> {
        idl::Cap::with(handle, &self.witness)
    }

    /// A place of the board.
    fn place(&mut self) -> usize {
        usize::try_from(self.random.below(BOARD as u64)).unwrap_or(0)
    }

    /// A place that something can be put into, by all that is known.
    fn vacant(&mut self) -> usize {
        let mut place = self.place();
        for _ in 0..TRIES {
            if self.board.names[place].load(Ordering::Relaxed) == 0 {
                break;
            }
            place = self.place();
        }
        place
    }

    /// What some place is thought to hold; now and then it is asked.
    fn name(&mut self) -> Handle {
        let mut place = self.place();
        for _ in 0..TRIES {
            if self.board.names[place].load(Ordering::Relaxed) != 0 {
                break;
            }
            place = self.place();
        }
        if self.random.below(4) == 0 {
            let found = self.own().at(self.board.slots[place]).unwrap_or(Handle::NONE);
            self.board.names[place].store(found.0, Ordering::Relaxed);
        }
        Handle(self.board.names[place].load(Ordering::Relaxed))
    }

    /// This program's own table.
    fn own(&self) -> idl::Cap<CSpace, &Witness> {
        self.cap(environment().cspace().handle())
    }

    /// A table, mostly this program's own, and a slot and something in it.
    fn table(&mut self) -> (Handle, SlotIndex, Handle) {
        if self.random.below(4) != 0 {
            let slot = self.place();
            return (environment().cspace().handle(), self.board.slots[slot], self.name());
        }
        let (table, slot) = (self.name(), SlotIndex(u32::try_from(self.random.below(9)).unwrap_or(0)));
        let inside = self.cap::<CSpace>(table).at(slot).unwrap_or(Handle::NONE);
        (table, slot, inside)
    }

    fn rights(&mut self) -> Rights {
        let mut some =
            Rights::from_bits_truncate(u16::from_le_bytes([self.random.number().to_le_bytes()[0], 0]));
        if self.random.below(2) == 0 {
            some |= Rights::DERIVE | Rights::READ;
        }
        if self.random.below(3) == 0 { Rights::all() } else { some }
    }

    fn memory(&mut self) -> Handle {
        if self.random.below(3) == 0 { self.name() } else { self.budget }
    }

    /// Notes what a place holds now.
    fn note(&self, place: usize, made: Result<Handle, Error>) {
        if let Ok(handle) = made {
            self.board.names[place].store(handle.0, Ordering::Relaxed);
        }
    }

    /// Something to do.
    fn turn(&mut self) {
        match self.random.below(64) {
            0..=13 => self.make(),
            14..=25 => self.copy(),
            26..=30 => self.move_(),
            31..=33 => self.bind(),
            34..=36 => self.slice(),
            37..=39 => self.map(),
            40..=46 => self.configure(),
            47..=49 => self.signal(),
            50..=56 => self.delete(),
            57..=60 => self.revoke(),
            61 => self.reset(),
            _ => {
                let (table, _, source) = self.table();
                let _ = self.cap::<CSpace>(table).info(source);
            }
        }
    }

    fn make(&mut self) {
        let (kind, size) = self.random.of(KINDS);
        let (memory, place) = (self.memory(), self.vacant());
        let made = self.cap::<Untyped>(memory).retype(kind, size, self.board.slots[place]);
        if made == Err(Error::OutOfMemory) && memory == self.budget {
            self.reset();
        }
        self.note(place, made);
    }

    fn copy(&mut self) {
        let (from, _, source) = self.table();
        let (into, mut slot, _) = self.table();
        let rights = self.rights();
        let (own, place) = (environment().cspace().handle(), self.vacant());
        if into == own {
            slot = self.board.slots[place];
        }
        let badge = self.random.below(5);
        let minted = self.random.below(4) == 0;
        let from = self.cap::<CSpace>(from);
        let made = if minted {
            from.mint(source, into, slot, rights, Badge(badge))
        } else {
            from.copy(source, into, slot, rights)
        };
        if into == own {
            self.note(place, made);
        }
    }

    fn move_(&mut self) {
        let (from, _, source) = self.table();
        let (place, rest) = (self.vacant(), self.random.below(3));
        if rest == 0 {
            let (into, slot, _) = self.table();
            let _ = self.cap::<CSpace>(from).move_(source, into, slot);
        } else {
            let own = environment().cspace().handle();
            let moved = self.cap::<CSpace>(from).move_(source, own, self.board.slots[place]);
            self.note(place, moved);
        }
    }

    fn bind(&mut self) {
        let (region, space, place) = (self.name(), self.name(), self.vacant());
        let bound = self.cap::<Region>(region).bind(space, self.board.slots[place]);
        self.note(place, bound);
    }

    fn slice(&mut self) {
        let (region, place, rights) = (self.name(), self.vacant(), self.rights());
        let page = PageIndex(u32::try_from(self.random.below(4)).unwrap_or(0));
        let pages = Pages(u32::try_from(self.random.below(3)).unwrap_or(0));
        let made = self.cap::<Region>(region).slice(page, pages, rights, self.board.slots[place]);
        self.note(place, made);
    }

    fn map(&mut self) {
        let (space, binding) = (self.name(), self.name());
        let Some(address) = UserPage::new((1 + self.random.below(64)) << 12) else { return };
        let what = self.random.below(3);
        let space = self.cap::<AddressSpace>(space);
        let _ = match what {
            0 => space.unmap(address, Pages(2)),
            _ => space.map(binding, PageIndex(0), address, Pages(1), Rights::READ),
        };
    }

    fn configure(&mut self) {
        let (what, one, two, three) = (self.name(), self.name(), self.name(), self.name());
        let which = self.random.below(4);
        let thread = self.cap::<Thread>(what);
        let _ = match which {
            0 => thread.configure(one, two, three, PageIndex(0)),
            1 => thread.fault_handler(one, Badge(3)),
            2 => thread.bind(one),
            _ => self.cap::<Guest>(what).configure(one),
        };
    }

    fn signal(&mut self) {
        let name = self.name();
        let _ = self.cap::<Notification>(name).signal(Bits(1));
    }

    /// Goes on with a removal, mostly to its end; else somebody else does, or the kernel.
    fn complete(&mut self, step: impl Fn(&Self) -> Result<Progress, Error>) {
        let patience = if self.random.below(4) == 0 { 1 } else { 100 };
        for _ in 0..patience {
            if step(self) != Ok(Progress::More) {
                return;
            }
            core::hint::spin_loop();
        }
    }

    fn delete(&mut self) {
        let (table, _, source) = self.table();
        self.complete(|player| player.cap::<CSpace>(table).delete(source));
        if let Some(place) = self.board.slots.iter().position(|slot| *slot == source.index()) {
            self.board.names[place].store(0, Ordering::Relaxed);
        }
    }

    fn revoke(&mut self) {
        let (table, _, source) = self.table();
        self.complete(|player| player.cap::<CSpace>(table).revoke(source));
    }

    fn reset(&mut self) {
        let memory = self.memory();
        self.complete(|player| player.cap::<Untyped>(memory).reset());
    }
}
