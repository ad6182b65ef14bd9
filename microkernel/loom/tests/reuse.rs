//! What a subOS had is used again only when nobody can reach it: after two rounds if its cores answer, never if one does not.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::convert::Infallible;
use std::sync::Arc;

use caps::ledger::{self, ChunkEntry, ChunkId, Holder, Ledger, LedgerChange, LotEntry, LotRole, SubOsEntry};
use kernel_loom::atomic::{AtomicU64, Ordering, spin_loop};
use kernel_loom::explore::Preemptions::{Any, AtMost};
use kernel_loom::explore::Weakness::Relaxed;
use kernel_loom::explore::{Check, Mutant, finds, finds_fault};
use kernel_loom::machine::{Flag, Line, Memory, Page, Translation};
use kernel_loom::sync::mailbox::{Command, Mailbox, Next};
use kernel_loom::sync::recall::{Recall, Standing};
use kernel_loom::sync::rounds::Rounds;
use kernel_loom::sync::{Board, Epoch, KernelLock, Wait};
use kernel_loom::types::{CoreId, Ticks};
use loom::thread;

const CORE: CoreId = CoreId(0);
const SUPERVISOR: CoreId = CoreId(2);

/// A subOS with a core that runs a thread whose frame lies in the lot.
struct Machine {
    lock: KernelLock,
    /// What the lock guards.
    inside: Memory,
    /// 1 while the kernel can find the thread. Under the lock.
    linked: AtomicU64,
    board: Board,
    mailbox: Mailbox,
    line: Line,
    /// The lot, and its entry in the kernel half.
    lot: Page,
    over: Flag,
}

impl Machine {
    fn new() -> Arc<Self> {
        let machine = Self {
            lock: KernelLock::default(),
            inside: Memory::default(),
            linked: AtomicU64::new(1),
            board: Board::default(),
            mailbox: Mailbox::default(),
            line: Line::new(),
            lot: Page::mapped(),
            over: Flag::default(),
        };
        machine.board.join(CORE, || ());
        Arc::new(machine)
    }

    /// What the core does, entry for entry, until it parks or the model is over.
    fn run(&self) {
        let mut half = Translation::NONE;
        let mut frame_in_lot = true;
        while self.over.count() == 0 {
            // In user mode. The processor may walk the tables at any time, for nothing.
            half.touch(&self.lot);
            self.line.wait();
            if frame_in_lot {
                assert!(half.touch(&self.lot), "an entry saves registers where nothing is mapped");
            }
            if self.mailbox.park_requested() {
                half.flush();
                assert_eq!(self.mailbox.attend(), Next::Look);
                return;
            }
            let held = self.lock.acquire(CORE, || Wait::On).unwrap();
            self.inside.write();
            self.board.answer(CORE, || half.flush());
            frame_in_lot = self.linked.load(Ordering::Relaxed) == 1;
            drop(held);
        }
    }

    /// The supervisor's visit: nothing that the kernel can find leads to the lot any more.
    fn unlink(&self) {
        let visit = self.lock.visit(SUPERVISOR, || Wait::On).unwrap();
        self.inside.write();
        self.linked.store(0, Ordering::Relaxed);
        drop(visit);
    }

    fn raise(&self) -> Epoch {
        let epoch = self.board.raise();
        self.line.send();
        epoch
    }

    fn second(&self, fault: Fault) -> Epoch {
        if fault == Fault::RaisesFirst {
            let epoch = self.raise();
            self.lot.unmap();
            return epoch;
        }
        self.lot.unmap();
        self.raise()
    }

    /// The core goes on to its end.
    fn end(&self) {
        self.over.raise();
        self.line.send();
    }
}

/// What the supervisor does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The lot leaves the kernel half at once.
    SkipsFirst,
    /// The lot is used again after the first round.
    SkipsSecond,
    /// The second round begins before the lot has left the kernel half.
    RaisesFirst,
    /// A core that was told to leave and has not parked is not waited for.
    ForgetsWhoLeaves,
    /// A core that does not answer is thought to have left.
    TrustsSilence,
}

fn two_rounds(fault: Fault) {
    let machine = Machine::new();
    let other = Arc::clone(&machine);
    let core = thread::spawn(move || other.run());
    machine.unlink();
    let mut rounds = Rounds::begun(machine.raise());
    loop {
        while fault != Fault::SkipsFirst && !machine.board.have_let_go(CORE.bit(), rounds.awaited) {
            spin_loop();
        }
        let over = rounds.next::<Infallible>(|| Ok(machine.second(fault))).unwrap();
        if over || fault == Fault::SkipsSecond {
            break;
        }
    }
    machine.lot.memory.write();
    machine.end();
    core.join().unwrap();
}

/// The core is told to leave at the same time; it answers by parking, or in its turn.
fn a_core_is_on_its_way_out(fault: Fault) {
    let machine = Machine::new();
    let other = Arc::clone(&machine);
    let core = thread::spawn(move || other.run());
    let sequence = machine.mailbox.command(Command::Park);
    let recall = Recall { order: Command::Park, sequence, since: Ticks(0) };
    machine.line.send();
    machine.unlink();
    let mut rounds = Rounds::begun(machine.raise());
    loop {
        let at_large = || match fault {
            Fault::ForgetsWhoLeaves => 0,
            _ if recall.is_answered(&machine.mailbox) => 0,
            _ => CORE.bit(),
        };
        while !machine.board.have_let_go(at_large(), rounds.awaited) {
            spin_loop();
        }
        if rounds.next::<Infallible>(|| Ok(machine.second(fault))).unwrap() {
            break;
        }
    }
    machine.lot.memory.write();
    machine.end();
    core.join().unwrap();
}

/// The subOS is destroyed, and its core may answer in time, late or never. What comes of it the ledger decides.
fn a_core_may_never_answer(fault: Fault) {
    let mut storage = Storage::new();
    let mut ledger = storage.ledger();
    let subos = ledger.create().unwrap();
    let granted = ledger.apply(&[
        LedgerChange::GrantLot { chunks: 1, to: subos, role: LotRole::Home },
        LedgerChange::GrantCore { core: ledger::CoreId(0), to: subos },
    ]);
    let (lot, core) = granted.map(|granted| (granted[0], granted[1])).unwrap();
    ledger.destroy(subos).unwrap();

    let machine = Machine::new();
    let other = Arc::clone(&machine);
    let deaf = thread::spawn(move || {
        other.lot.memory.read();
        // Nothing wakes it; it looks at its orders once, when it happens to.
        if other.mailbox.park_requested() {
            let _ = other.mailbox.attend();
        } else {
            other.lot.memory.read();
        }
    });
    let patience = Ticks(2);
    let mut now = Ticks(0);
    let mut recall =
        Recall { order: Command::Park, sequence: machine.mailbox.command(Command::Park), since: now };
    loop {
        match recall.standing(&machine.mailbox, now, patience) {
            Standing::Parked => {
                ledger.quiesced(core).unwrap();
                ledger.scrubbed(core).unwrap();
                break;
            }
            Standing::Patience => {
                now = now.after(Ticks(1));
                spin_loop();
            }
            Standing::Deaf => {
                let sequence = machine.mailbox.command(Command::Condemn);
                recall = Recall { order: Command::Condemn, sequence, since: now };
            }
            Standing::Silent => {
                ledger.quarantine(core).unwrap();
                break;
            }
        }
    }
    if fault == Fault::TrustsSilence {
        machine.lot.memory.write();
    } else if ledger.quiesced(lot).is_ok() {
        machine.lot.memory.write();
        ledger.scrubbed(lot).unwrap();
        assert_eq!(ledger.chunk(ChunkId(0)), Ok(Holder::Pool));
    } else {
        ledger.quarantine(lot).unwrap();
        assert_eq!(ledger.core(ledger::CoreId(0)), Ok(Holder::Quarantined));
        assert_eq!(ledger.chunk(ChunkId(0)), Ok(Holder::Quarantined));
    }
    deaf.join().unwrap();
}

/// The entries of a ledger with one core and one chunk.
struct Storage {
    cores: [Holder; 1],
    chunks: [ChunkEntry; 1],
    lots: [LotEntry; 2],
    suboses: [SubOsEntry; 2],
}

impl Storage {
    fn new() -> Self {
        Self {
            cores: [Holder::default(); 1],
            chunks: [ChunkEntry::default(); 1],
            lots: [LotEntry::default(); 2],
            suboses: [SubOsEntry::default(); 2],
        }
    }

    /// Everything is in the pool; the supervisor's subOS exists.
    fn ledger(&mut self) -> Ledger<'_> {
        let mut ledger = Ledger::new(&mut self.cores, &mut self.chunks, &mut self.lots, &mut self.suboses);
        ledger.release_core(ledger::CoreId(0)).unwrap();
        ledger.release_chunk(ChunkId(0)).unwrap();
        ledger.create().unwrap();
        ledger
    }
}

#[test]
fn a_lot_is_used_again_after_two_rounds() {
    Check::of("a lot in two rounds", &[21])
        .explore("two rounds", Any, || two_rounds(Fault::None))
        .record(env!("CARGO_TARGET_TMPDIR"));
    finds_fault("two rounds", Any, || two_rounds(Fault::SkipsFirst));
    finds_fault("two rounds", Any, || two_rounds(Fault::SkipsSecond));
    finds_fault("two rounds", Any, || two_rounds(Fault::RaisesFirst));
    let unordered =
        Mutant { file: "board.rs", text: "mine.store(epoch, Ordering::SeqCst)", weakness: Relaxed };
    finds("two rounds", Any, unordered, || two_rounds(Fault::None));
}

#[test]
fn a_lot_waits_for_a_core_that_leaves() {
    Check::of("a lot and a core on its way out", &[21])
        .explore("a core is on its way out", AtMost(4), || a_core_is_on_its_way_out(Fault::None))
        .record(env!("CARGO_TARGET_TMPDIR"));
    finds_fault("on its way out", AtMost(4), || a_core_is_on_its_way_out(Fault::ForgetsWhoLeaves));
}

#[test]
fn what_a_silent_core_may_reach_is_never_used_again() {
    Check::of("a core that may never answer", &[21, 26])
        .explore("a core may never answer", Any, || a_core_may_never_answer(Fault::None))
        .record(env!("CARGO_TARGET_TMPDIR"));
    finds_fault("never answer", Any, || a_core_may_never_answer(Fault::TrustsSilence));
}
