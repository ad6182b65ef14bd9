//! The flush board: what was taken away is used again only when every core has let go, whatever else it was about.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::sync::Arc;

use kernel_loom::explore::Preemptions::{self, Any, AtMost};
use kernel_loom::explore::Weakness::{Omitted, Relaxed, Torn};
use kernel_loom::explore::{Check, Mutant, Weakness, finds, finds_fault};
use kernel_loom::machine::{Flag, Line, Memory, Page, Translation};
use kernel_loom::sync::mailbox::{Command, Mailbox, Next};
use kernel_loom::sync::{Asked, Board, Epoch, KernelLock, Wait};
use kernel_loom::types::CoreId;
use loom::thread;

const FIRST: CoreId = CoreId(0);
const SECOND: CoreId = CoreId(1);
const THIRD: CoreId = CoreId(2);

/// A kernel with these cores, a page for each of them, and their interrupt lines.
struct Kernel {
    lock: KernelLock,
    /// What the lock guards.
    inside: Memory,
    board: Board,
    lines: [Line; 3],
    pages: [Page; 2],
    mailbox: Mailbox,
    done: Flag,
}

impl Kernel {
    fn of(cores: &[CoreId]) -> Arc<Self> {
        let kernel = Self {
            lock: KernelLock::default(),
            inside: Memory::default(),
            board: Board::default(),
            lines: [Line::new(), Line::new(), Line::new()],
            pages: [Page::mapped(), Page::mapped()],
            mailbox: Mailbox::default(),
            done: Flag::default(),
        };
        cores.iter().for_each(|core| kernel.board.join(*core, || ()));
        Arc::new(kernel)
    }

    /// A core takes a page away and asks the others to let go of it. Under the lock.
    fn take_away(&self, core: CoreId, page: &Page, own: &mut Translation) -> Epoch {
        page.unmap();
        let epoch = self.board.raise();
        for other in CoreId::all_in(self.board.members() & !core.bit()) {
            self.lines[other.index()].send();
        }
        self.board.answer(core, || own.flush());
        epoch
    }
}

/// What is wrong in a model of how cores ask.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// A core waits for the others with the lock held.
    WaitsWithTheLock,
    /// The supervisor takes a core off the board that has not parked.
    DoesNotAwaitParking,
    /// A core goes on the board without the lock.
    JoinsWithoutTheLock,
    /// A core goes on the board with what it remembers from before.
    JoinsWithoutFlush,
    /// The supervisor puts a core on the board that has not come yet.
    JoinsForAnother,
    /// A core says what root it goes on with when it has let go of the lock.
    NotesItsRootTooLate,
}

/// What a core does on an interrupt; a mutant of the model forgets something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Properly,
    /// It says that it has flushed before it has.
    Early,
    /// It does not flush.
    WithoutFlush,
}

fn answer(kernel: &Kernel, core: CoreId, translation: &mut Translation, how: Answer) {
    match how {
        Answer::Properly => kernel.board.answer(core, || translation.flush()),
        Answer::WithoutFlush => kernel.board.answer(core, || ()),
        Answer::Early => {
            let mut owed = false;
            kernel.board.answer(core, || owed = true);
            // It goes on using what it remembers for a moment.
            translation.touch(&kernel.pages[0]);
            if owed {
                translation.flush();
            }
        }
    }
}

/// Works with the first page, is interrupted once, and works on.
fn work(kernel: &Kernel, core: CoreId, how: Answer) {
    let mut translation = Translation::NONE;
    translation.touch(&kernel.pages[0]);
    kernel.lines[core.index()].wait();
    answer(kernel, core, &mut translation, how);
    translation.touch(&kernel.pages[0]);
}

fn unlinking(how: Answer) {
    let kernel = Kernel::of(&[FIRST, SECOND, THIRD]);
    let cores = [SECOND, THIRD].map(|core| {
        let kernel = Arc::clone(&kernel);
        thread::spawn(move || {
            work(&kernel, core, how);
            // However it was woken: whoever asks must be answered in the end.
            kernel.lines[core.index()].wait();
            let mut translation = Translation::NONE;
            answer(&kernel, core, &mut translation, how);
        })
    });
    let mut own = Translation::NONE;
    own.touch(&kernel.pages[0]);
    let epoch = kernel.take_away(FIRST, &kernel.pages[0], &mut own);
    kernel.lines.iter().for_each(Line::send);
    kernel.board.wait(FIRST, Asked::of_all(epoch), || own.flush(), || false);
    kernel.pages[0].memory.write();
    kernel.lines.iter().for_each(Line::send);
    for core in cores {
        core.join().unwrap();
    }
}

/// Two cores take a page away from each other at the same time. Each waits without the lock, and takes it again afterwards.
fn both_take_away(fault: Fault) {
    let kernel = Kernel::of(&[FIRST, SECOND]);
    let other = Arc::clone(&kernel);
    let second = thread::spawn(move || take_away_and_reuse(&other, SECOND, fault));
    take_away_and_reuse(&kernel, FIRST, fault);
    second.join().unwrap();
}

fn take_away_and_reuse(kernel: &Kernel, core: CoreId, fault: Fault) {
    let mut own = [Translation::NONE; 2];
    own.iter_mut().zip(&kernel.pages).for_each(|(own, page)| {
        own.touch(page);
    });
    let page = &kernel.pages[core.index()];
    let flush = |own: &mut [Translation; 2]| own.iter_mut().for_each(Translation::flush);
    let held = kernel.lock.acquire(core, || Wait::On).unwrap();
    kernel.inside.write();
    kernel.board.answer(core, || flush(&mut own));
    page.unmap();
    let epoch = kernel.board.raise();
    kernel.board.answer(core, || flush(&mut own));
    if fault == Fault::WaitsWithTheLock {
        kernel.board.wait(core, Asked::of_all(epoch), || flush(&mut own), || false);
        drop(held);
    } else {
        drop(held);
        kernel.board.wait(core, Asked::of_all(epoch), || flush(&mut own), || false);
    }
    let held = kernel.lock.acquire(core, || Wait::On).unwrap();
    kernel.inside.write();
    page.memory.write();
    drop(held);
    // Until the other is through it answers, as a core in user mode does when it is interrupted.
    kernel.done.raise();
    while kernel.done.count() < 2 {
        kernel.board.answer(core, || flush(&mut own));
        kernel_loom::atomic::spin_loop();
    }
}

/// The supervisor asks for its own reasons, and without the lock, while a core of the kernel does.
fn the_supervisor_asks_too() {
    let kernel = Kernel::of(&[SECOND]);
    let askers = kernel.pages.each_ref().len();
    let threads: Vec<_> = (0..askers)
        .map(|page| {
            let kernel = Arc::clone(&kernel);
            thread::spawn(move || {
                let page = &kernel.pages[page];
                page.unmap();
                let epoch = kernel.board.raise();
                kernel.lines[1].send();
                while !kernel.board.have_let_go(SECOND.bit(), epoch) {
                    kernel_loom::atomic::spin_loop();
                }
                page.memory.write();
                kernel.done.raise();
                kernel.lines[1].send();
            })
        })
        .collect();
    let mut translations = [Translation::NONE; 2];
    while kernel.done.count() < 2 {
        for (translation, page) in translations.iter_mut().zip(&kernel.pages) {
            translation.touch(page);
        }
        kernel.lines[1].wait();
        kernel.board.answer(SECOND, || translations.iter_mut().for_each(Translation::flush));
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

/// A core is told to park while another waits for it to let go: the supervisor's visit takes it off the board, once it has
/// parked, and that is its answer.
fn a_core_leaves(fault: Fault) {
    let kernel = Kernel::of(&[FIRST, SECOND]);
    let (one, two) = (Arc::clone(&kernel), Arc::clone(&kernel));
    let core = thread::spawn(move || {
        let mut translation = Translation::NONE;
        translation.touch(&one.pages[0]);
        while !one.mailbox.park_requested() {
            one.lines[1].wait();
            if !one.mailbox.park_requested() {
                one.board.answer(SECOND, || translation.flush());
                translation.touch(&one.pages[0]);
            }
        }
        // On the park root it answers, having flushed.
        translation.flush();
        let _ = one.mailbox.attend();
    });
    let supervisor = thread::spawn(move || {
        let order = two.mailbox.command(Command::Park);
        two.lines[1].send();
        while fault != Fault::DoesNotAwaitParking && two.mailbox.acknowledged() < order {
            kernel_loom::atomic::spin_loop();
        }
        let visit = two.lock.visit(THIRD, || Wait::On).unwrap();
        two.inside.write();
        two.board.leave(SECOND);
        drop(visit);
    });
    take_away_meanwhile(&kernel);
    core.join().unwrap();
    supervisor.join().unwrap();
}

/// A parked core does what it is told: it goes to the kernel, if it is not recalled before it looks, and works with the
/// first page until all is over.
fn come(kernel: &Kernel, fault: Fault) {
    let wanted = || if kernel.mailbox.park_requested() { Wait::Withdraw } else { Wait::On };
    loop {
        match kernel.mailbox.attend() {
            Next::Enter(_, order) => kernel.mailbox.acknowledge(order),
            Next::Look => return,
            Next::Sleep => {
                kernel.lines[1].wait();
                continue;
            }
        }
        break;
    }
    let mut translation = Translation::NONE;
    // On the home root already, whose tables the supervisor changes as it likes.
    translation.touch(&kernel.pages[1]);
    let held =
        if fault == Fault::JoinsWithoutTheLock { None } else { kernel.lock.acquire(SECOND, wanted).ok() };
    if held.is_some() || fault == Fault::JoinsWithoutTheLock {
        let flush = || {
            if fault != Fault::JoinsWithoutFlush {
                translation.flush()
            }
        };
        kernel.board.join(SECOND, flush);
        drop(held);
        let mut own = Translation::NONE;
        own.touch(&kernel.pages[0]);
        while kernel.done.count() == 0 && !kernel.mailbox.park_requested() {
            translation.touch(&kernel.pages[1]);
            kernel.lines[1].wait();
            kernel.board.answer(SECOND, || {
                own.flush();
                translation.flush();
            });
        }
        kernel.board.leave(SECOND);
    }
    // On the park root.
    let _ = kernel.mailbox.attend();
}

/// A core takes a page away while another comes or goes, and uses it again.
fn take_away_meanwhile(kernel: &Kernel) {
    let mut own = Translation::NONE;
    own.touch(&kernel.pages[0]);
    let held = kernel.lock.acquire(FIRST, || Wait::On).unwrap();
    kernel.inside.write();
    let epoch = kernel.take_away(FIRST, &kernel.pages[0], &mut own);
    drop(held);
    kernel.board.wait(FIRST, Asked::of_all(epoch), || own.flush(), || false);
    kernel.pages[0].memory.write();
}

/// The same, and then all is over.
fn take_away_to_the_end(kernel: &Kernel) {
    take_away_meanwhile(kernel);
    kernel.done.raise();
    kernel.lines[1].send();
}

/// A core joins while another takes a page away: either it is waited for, or it never sees the page.
fn a_core_joins(fault: Fault) {
    let kernel = Kernel::of(&[FIRST]);
    let core = Arc::clone(&kernel);
    let core = thread::spawn(move || come(&core, fault));
    kernel.mailbox.enter([1, 2, 3]);
    kernel.lines[1].send();
    take_away_to_the_end(&kernel);
    core.join().unwrap();
}

/// A core is on its way when the supervisor, which knows that, takes a page of the kernel's half away: it waits until the
/// core has forgotten the page, whether it came with it or not.
fn the_supervisor_takes_from_a_core_that_joins(fault: Fault) {
    let kernel = Kernel::of(&[]);
    let core = Arc::clone(&kernel);
    let core = thread::spawn(move || come(&core, fault));
    kernel.mailbox.enter([1, 2, 3]);
    kernel.lines[1].send();
    kernel.pages[1].unmap();
    let epoch = kernel.board.raise();
    kernel.lines[1].send();
    while !kernel.board.have_let_go(SECOND.bit(), epoch) {
        kernel_loom::atomic::spin_loop();
    }
    kernel.pages[1].memory.write();
    kernel.done.raise();
    kernel.lines[1].send();
    core.join().unwrap();
}

/// A core is recalled before it has come, or after, and the supervisor does not come back to it: nobody waits for it.
fn a_core_is_recalled(fault: Fault) {
    let kernel = Kernel::of(&[FIRST]);
    let core = Arc::clone(&kernel);
    if fault == Fault::JoinsForAnother {
        kernel.board.join(SECOND, || ());
    }
    kernel.mailbox.enter([1, 2, 3]);
    let core = thread::spawn(move || come(&core, Fault::None));
    kernel.mailbox.command(Command::Park);
    kernel.lines[1].send();
    take_away_to_the_end(&kernel);
    core.join().unwrap();
}

/// A core loads a root while another takes a page of that space away: either it is on the root and is asked, or it loads
/// the root later and finds nothing.
fn a_core_loads_the_root(fault: Fault) {
    let kernel = Kernel::of(&[FIRST, SECOND]);
    let other = Arc::clone(&kernel);
    let core = thread::spawn(move || {
        let mut translation = Translation::NONE;
        let held = other.lock.acquire(SECOND, || Wait::On).unwrap();
        other.inside.write();
        other.board.answer(SECOND, || ());
        if fault == Fault::NotesItsRootTooLate {
            drop(held);
            translation.touch(&other.pages[0]);
            other.done.raise();
        } else {
            other.done.raise();
            drop(held);
        }
        translation.touch(&other.pages[0]);
        // Raised twice: by whoever takes away, too, at its end.
        while other.done.count() < 2 {
            other.lines[SECOND.index()].wait();
            other.board.answer(SECOND, || translation.flush());
            translation.touch(&other.pages[0]);
        }
    });
    let mut own = Translation::NONE;
    own.touch(&kernel.pages[0]);
    let held = kernel.lock.acquire(FIRST, || Wait::On).unwrap();
    kernel.inside.write();
    kernel.pages[0].unmap();
    let asked = kernel.board.ask(if kernel.done.count() > 0 { SECOND.bit() } else { 0 });
    for core in CoreId::all_in(asked.cores) {
        kernel.lines[core.index()].send();
    }
    own.flush();
    drop(held);
    kernel.board.wait(FIRST, asked, || own.flush(), || false);
    kernel.pages[0].memory.write();
    kernel.done.raise();
    kernel.lines[SECOND.index()].send();
    core.join().unwrap();
}

/// A core that answers nothing and uses the page for ever: nobody is told that it is quiet, and whoever waits can leave.
fn a_core_never_answers() {
    let kernel = Kernel::of(&[FIRST, SECOND]);
    let other = Arc::clone(&kernel);
    let deaf = thread::spawn(move || {
        let mut translation = Translation::NONE;
        for _ in 0..3 {
            translation.touch(&other.pages[0]);
            kernel_loom::atomic::spin_loop();
        }
    });
    let mut own = Translation::NONE;
    let epoch = kernel.take_away(FIRST, &kernel.pages[0], &mut own);
    let looks = std::cell::Cell::new(0);
    kernel.board.wait(
        FIRST,
        Asked::of_all(epoch),
        || own.flush(),
        || {
            looks.set(looks.get() + 1);
            looks.get() > 2
        },
    );
    if kernel.board.is_quiet(epoch) {
        kernel.pages[0].memory.write();
        panic!("a core that never answered is thought to have let go");
    }
    deaf.join().unwrap();
}

/// So many preemptions are tried where three cores are at it.
const BOUND: Preemptions = AtMost(2);

#[test]
fn what_was_unlinked_is_flushed_before_it_is_used_again() {
    Check::of("the board before reuse", &[21])
        .explore("unlinking", BOUND, || unlinking(Answer::Properly))
        .record(env!("CARGO_TARGET_TMPDIR"));
    finds_fault("unlinking", BOUND, || unlinking(Answer::Early));
    finds_fault("unlinking", BOUND, || unlinking(Answer::WithoutFlush));
    let mutant =
        |text, weakness| finds("unlinking", BOUND, mutant(text, weakness), || unlinking(Answer::Properly));
    mutant("mine.store(epoch, Ordering::SeqCst)", Relaxed);
    mutant("self.acknowledged[core.index()].load(Ordering::SeqCst) >= epoch.0", Relaxed);
    mutant("self.everyone.fetch_max(epoch.0", Omitted);
}

#[test]
fn whoever_waits_answers() {
    Check::of("the board while several ask", &[21])
        .explore("two at the same time", BOUND, || both_take_away(Fault::None))
        .explore("the supervisor asks too", AtMost(1), the_supervisor_asks_too)
        .record(env!("CARGO_TARGET_TMPDIR"));
    finds_fault("two at the same time", BOUND, || both_take_away(Fault::WaitsWithTheLock));
    let torn = mutant("Epoch(self.epoch.fetch_add(1", Torn);
    finds("the supervisor asks too", AtMost(1), torn, the_supervisor_asks_too);
}

#[test]
fn cores_come_and_go() {
    Check::of("the board while cores come and go", &[21])
        .explore("a core leaves", BOUND, || a_core_leaves(Fault::None))
        .explore("a core joins", BOUND, || a_core_joins(Fault::None))
        .explore("a core joins, and loses memory", BOUND, || {
            the_supervisor_takes_from_a_core_that_joins(Fault::None);
        })
        .explore("a core is recalled", BOUND, || a_core_is_recalled(Fault::None))
        .record(env!("CARGO_TARGET_TMPDIR"));
    finds_fault("a core leaves", BOUND, || a_core_leaves(Fault::DoesNotAwaitParking));
    finds("a core leaves", BOUND, mutant("self.members.fetch_and(!core.bit()", Relaxed), || {
        a_core_leaves(Fault::None)
    });
    finds_fault("a core joins", BOUND, || a_core_joins(Fault::JoinsWithoutTheLock));
    finds_fault("a core joins, and loses memory", BOUND, || {
        the_supervisor_takes_from_a_core_that_joins(Fault::JoinsWithoutFlush);
    });
    finds_fault("a core is recalled", BOUND, || a_core_is_recalled(Fault::JoinsForAnother));
}

#[test]
fn who_is_on_the_root_is_asked() {
    let _ = Check::of("the board and a root", &[21])
        .explore("a core loads the root", BOUND, || a_core_loads_the_root(Fault::None));
    finds_fault("a core loads the root", BOUND, || a_core_loads_the_root(Fault::NotesItsRootTooLate));
    let late = mutant("self.asked[core.index()].store(epoch.0, Ordering::SeqCst)", Omitted);
    finds("a core loads the root", BOUND, late, || a_core_loads_the_root(Fault::None));
}

#[test]
fn silence_is_not_an_answer() {
    Check::of("the board and a core that never answers", &[21])
        .explore("a core never answers", Any, a_core_never_answers)
        .record(env!("CARGO_TARGET_TMPDIR"));
}

fn mutant(text: &'static str, weakness: Weakness) -> Mutant {
    Mutant { file: "board.rs", text, weakness }
}
