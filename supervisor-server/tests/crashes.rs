//! A supervisor that crashes, anywhere: the one that is started after it goes on where it was, and the run ends as it would have.

mod fake;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, set_hook, take_hook};
use std::sync::Once;

use fake::{Behaviour, FakeMachine, Fault};
use idl::plan::{
    Action, Chunks, CoreNumber, Duty, Ends, Holder, Holds, LotNumber, Manner, Plan, Resize, Scrub, Start,
    Step, SubOsIndex, SubOsPlan, When, WindowIndex, WindowPlan,
};
use idl::record::Record;
use proptest::prelude::*;
use supervisor_server::notes::{BYTES, SHEET};
use supervisor_server::perform::{FAILURE, SUCCESS, Supervisor};
use supervisor_server::watched::{CHANGES, Watch, Watched};

const BATCH: SubOsIndex = SubOsIndex(0);
const ECHO: SubOsIndex = SubOsIndex(1);
const SPINNER: SubOsIndex = SubOsIndex(2);
const PEER: SubOsIndex = SubOsIndex(3);

/// Where a crash is, of the calls that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Before(u64),
    After(u64),
}

/// What a crash ends a life with, so that no other panic is taken for one.
struct Crash;

/// Crashes as a test wants it.
#[derive(Debug)]
struct Crashes<'a> {
    counted: &'a [&'static str],
    at: Vec<At>,
    calls: u64,
}

impl Crashes<'_> {
    fn crash(&mut self, at: At) {
        if let Some(found) = self.at.iter().position(|wanted| *wanted == at) {
            self.at.swap_remove(found);
            panic_any(Crash);
        }
    }
}

impl Watch for Crashes<'_> {
    fn before(&mut self, call: &'static str) {
        if self.counted.contains(&call) {
            self.calls += 1;
            self.crash(At::Before(self.calls));
        }
    }

    fn after(&mut self, call: &'static str) {
        if self.counted.contains(&call) {
            self.crash(At::After(self.calls));
        }
    }
}

/// Crashes that a test wants are not told of.
fn quietly() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = take_hook();
        set_hook(Box::new(move |info| {
            if !info.payload().is::<Crash>() {
                hook(info);
            }
        }));
    });
}

type Port<'a> = Watched<FakeMachine, Crashes<'a>>;

/// Plays a plan, in as many lives as it takes; between two of them somebody does something to the machine.
fn play<'a>(
    plan: &Plan,
    behaviours: &[Behaviour],
    faults: &[Fault],
    counted: &'a [&'static str],
    at: &[At],
    between: &mut dyn FnMut(&mut FakeMachine),
) -> (Port<'a>, u64) {
    quietly();
    let machine = FakeMachine::new(plan, 5, 400, behaviours, faults);
    let mut port = Watched { port: machine, watch: Crashes { counted, at: at.to_vec(), calls: 0 } };
    let mut lives = 1;
    loop {
        let mut supervisor = Supervisor::new(port, Box::new(plan.clone()));
        let ended = catch_unwind(AssertUnwindSafe(|| supervisor.run()));
        port = supervisor.into_port();
        match ended {
            Ok(status) => {
                assert_eq!(port.port.status, Some(status));
                return (port, lives);
            }
            Err(payload) => assert!(payload.is::<Crash>(), "{at:?}\n{}", port.port.transcript),
        }
        lives += 1;
        between(&mut port.port);
    }
}

fn subos(name: &str, cores: u64, lots: &[u32]) -> SubOsPlan {
    SubOsPlan {
        name: name.try_into().expect("it fits"),
        program: "program".try_into().expect("it fits"),
        arguments: "arguments".try_into().expect("it fits"),
        files: "files".try_into().expect("it fits"),
        cores,
        lots: lots.iter().map(|size| Chunks(*size)).collect(),
        start: Start::AtBoot,
        duty: Duty::None,
        restarts: 0,
        ends: Ends::Well,
        scrub: Scrub::AtGrant,
    }
}

fn step(when: When, action: Action) -> Step {
    Step { when, patience_ms: 30_000, action }
}

const fn move_core(core: u8, from: Holder, to: Holder, manner: Manner) -> Action {
    Action::MoveCore { core: CoreNumber(core), from, to, manner }
}

/// All there is to do: what the demonstration does, and windows.
fn all() -> Plan {
    let batch_plan = SubOsPlan { duty: Duty::Programs, ..subos("batch", 0b10, &[32, 32, 8]) };
    let echo = SubOsPlan { duty: Duty::Progress, restarts: 1, ..subos("echo", 0b1000, &[32]) };
    let spinner = SubOsPlan { start: Start::ByStep, ..subos("spinner", 0b100, &[16, 4]) };
    let peer = subos("peer", 0b1_0100, &[8]);
    let (batch, to_echo) = (Holder::SubOs(BATCH), Holder::SubOs(ECHO));
    let to_peer = Holder::SubOs(PEER);
    let give = Action::MoveLot {
        lot: LotNumber(1),
        from: BATCH,
        to: to_echo,
        manner: Manner::Ask(2000),
        holds: Holds::Data,
    };
    let back = Action::MoveLot {
        lot: LotNumber(1),
        from: ECHO,
        to: batch,
        manner: Manner::Force,
        holds: Holds::Anything,
    };
    let lend = Resize {
        from: to_peer,
        to: to_echo,
        cores: 0b100,
        lots: 0,
        memory: [4, 2, 0].map(Chunks),
        manner: Manner::Ask(50),
        refused: None,
    };
    let give_back = Resize {
        from: to_echo,
        to: to_peer,
        lots: 0b100,
        memory: [3, 0, 0].map(Chunks),
        manner: Manner::Force,
        ..lend
    };
    let window = WindowIndex(0);
    let steps = [
        step(When::Now, Action::OpenWindow(window)),
        step(When::Working(PEER, CoreNumber(2)), move_core(2, to_peer, to_echo, Manner::Ask(50))),
        step(When::Now, give),
        step(When::Now, Action::CloseWindow(window, Manner::Force)),
        step(When::After(30), move_core(2, to_echo, Holder::Free, Manner::Force)),
        step(When::Now, Action::Create(SPINNER)),
        step(When::Timer(SPINNER, CoreNumber(2), 100), Action::Kill(SPINNER)),
        step(When::Now, move_core(2, Holder::Free, to_peer, Manner::Force)),
        step(When::Now, Action::GrantLot { size: Chunks(16), to: ECHO, reuses: Some(SPINNER) }),
        step(When::Now, back),
        step(When::Now, Action::Resize(lend)),
        step(When::Now, Action::Resize(give_back)),
        step(When::Progress(ECHO, 100), Action::Audit),
        step(When::Now, Action::Kill(PEER)),
        step(When::Ended(BATCH), Action::Watch(40)),
        step(When::Now, Action::Kill(BATCH)),
        step(When::Now, Action::Kill(ECHO)),
        step(When::Now, Action::CompareLedger),
    ];
    Plan {
        suboses: [batch_plan, echo, spinner, peer].into_iter().collect(),
        windows: [WindowPlan { between: [PEER, ECHO], size: Chunks(2) }].into_iter().collect(),
        steps: steps.into_iter().collect(),
    }
}

fn behaviours() -> [Behaviour; 4] {
    let output = (0..9_000u32).map(|n| (n % 251) as u8).collect();
    let asks = |who| Behaviour::Asks(vec![who]);
    [Behaviour::Prints(output, 3000, 0), asks("peer"), Behaviour::Spins, asks("echo")]
}

/// What is told however often the supervisor crashes: who kept the beat in which step, how steps ended, what was found, and
/// what everybody did is told once.
fn account(machine: &FakeMachine) -> BTreeSet<String> {
    let mut account = BTreeSet::new();
    for line in machine.transcript.lines() {
        let record = Record::parse(line).unwrap_or_else(|| panic!("not a record: {line}"));
        let text = |key: &str| {
            let bytes = record.get(key).map(|value| value.bytes().collect()).unwrap_or_default();
            String::from_utf8(bytes).expect("it is text")
        };
        let told = match record.name {
            "step" => format!("step {} {}", text("n"), text("result")),
            "beat" => format!("beat {} {}", text("n"), text("subos")),
            "ledger" | "audit" | "test" => format!("{} {}", record.name, text("result")),
            "exit" => format!("exit {} {}", text("subos"), text("status")),
            _ => continue,
        };
        account.insert(told);
    }
    account
}

/// What holds however often the supervisor crashed.
fn check_end(machine: &FakeMachine, at: &dyn std::fmt::Debug) {
    let transcript = &machine.transcript;
    assert!(machine.suboses.is_empty(), "{at:?}: everything is destroyed\n{transcript}");
    let free = |entry: &&idl::kernel::machine::LedgerEntry| entry.state == idl::types::LedgerState::Free;
    assert_eq!(machine.cores.iter().filter(free).count(), 4, "{at:?}\n{transcript}");
    assert_eq!(machine.chunks.iter().filter(free).count(), 391, "{at:?}\n{transcript}");
    for (subos, written) in &machine.written {
        assert!(machine.printed.get(subos).is_none_or(|printed| printed == written), "{at:?}: of {subos}");
    }
}

/// A crash of this supervisor changes nothing of how the run ends.
fn survives(at: &[At], counted: &[&'static str], expected: &BTreeSet<String>) {
    let (port, lives) = play(&all(), &behaviours(), &[], counted, at, &mut |_| {});
    let machine = &port.port;
    check_end(machine, &at);
    assert_eq!(machine.status, Some(SUCCESS), "{at:?}\n{}", machine.transcript);
    let told = account(machine);
    let missing: Vec<_> = expected.difference(&told).collect();
    let more: Vec<_> = told.difference(expected).collect();
    assert!(missing.is_empty() && more.is_empty(), "{at:?}: {missing:?} {more:?}\n{}", machine.transcript);
    assert!(lives > 1 || at.is_empty(), "{at:?}: nobody crashed");
}

fn undisturbed(counted: &[&'static str]) -> (u64, BTreeSet<String>) {
    let (port, _) = play(&all(), &behaviours(), &[], counted, &[], &mut |_| {});
    assert_eq!(port.port.status, Some(SUCCESS), "{}", port.port.transcript);
    (port.watch.calls, account(&port.port))
}

#[test]
fn it_goes_on_after_a_crash_at_each_change() {
    let (calls, expected) = undisturbed(CHANGES);
    assert!(calls > 100, "{calls} changes");
    for call in 1..=calls {
        for at in [At::Before(call), At::After(call)] {
            survives(&[at], CHANGES, &expected);
        }
    }
}

/// Calls with which everything else is done, a few hundred of each at most.
const OTHERS: &[&str] = &["totals", "audit", "epitaph", "mark", "statistics", "rest", "exit", "own"];
/// Calls with which it goes on after a crash.
const RESUMING: &[&str] = &["found", "noted", "totals"];

#[test]
fn it_goes_on_after_a_crash_anywhere_else() {
    let (calls, expected) = undisturbed(OTHERS);
    // Rests and looks are many and alike: every so many.
    for call in (1..=calls).step_by(usize::try_from(calls / 60 + 1).expect("a small number")) {
        for at in [At::Before(call), At::After(call)] {
            survives(&[at], OTHERS, &expected);
        }
    }
    let (notes, expected) = undisturbed(&["note"]);
    for call in (1..=notes).step_by(usize::try_from(notes / 60 + 1).expect("a small number")) {
        for at in [At::Before(call), At::After(call)] {
            survives(&[at], &["note"], &expected);
        }
    }
}

#[test]
fn it_goes_on_after_a_crash_while_it_goes_on() {
    let both: Vec<&str> = CHANGES.iter().chain(RESUMING).copied().collect();
    let (calls, expected) = undisturbed(&both);
    for call in (3..=calls).step_by(17) {
        // The first crash, and then one at each of the calls that follow.
        for later in 1..12 {
            survives(&[At::After(call), At::Before(call + later)], &both, &expected);
        }
    }
}

#[test]
fn it_goes_on_after_many_crashes() {
    let (calls, expected) = undisturbed(CHANGES);
    let at: Vec<At> = (1..calls).flat_map(|call| [At::Before(2 * call), At::After(2 * call + 1)]).collect();
    let (port, lives) = play(&all(), &behaviours(), &[], CHANGES, &at, &mut |_| {});
    check_end(&port.port, &at);
    assert_eq!((port.port.status, account(&port.port)), (Some(SUCCESS), expected));
    assert!(lives > calls / 2, "{lives} lives");
}

/// A crash after which somebody has been at the notes.
fn with_notes(change: &mut dyn FnMut(&mut [u8]), at: At) -> FakeMachine {
    let (port, _) =
        play(&all(), &behaviours(), &[], CHANGES, &[at], &mut |machine| change(&mut machine.notes));
    check_end(&port.port, &at);
    port.port
}

fn message(machine: &FakeMachine) -> String {
    let last = machine.transcript.lines().last().expect("there is a transcript");
    let message =
        Record::parse(last).and_then(|record| record.get("message")).expect("a failure has a message");
    String::from_utf8(message.bytes().collect()).expect("it is text")
}

#[test]
fn without_notes_everything_is_taken_back_and_the_run_has_failed() {
    let (calls, _) = undisturbed(CHANGES);
    for call in (8..calls).step_by(11) {
        for (fill, reason) in [(0xa5, "neither of the two sheets is whole"), (0, "nobody has noted why")] {
            let machine = with_notes(&mut |notes| notes.fill(fill), At::After(call));
            assert_eq!(machine.status, Some(FAILURE), "{}", machine.transcript);
            assert!(message(&machine).contains(reason), "{}", message(&machine));
            assert!(account(&machine).contains("ledger equal"), "{}", machine.transcript);
        }
    }
}

#[test]
fn one_damaged_sheet_costs_nothing() {
    let (calls, expected) = undisturbed(CHANGES);
    for call in (4..calls).step_by(9) {
        // The older one, which nobody reads.
        let older = |notes: &mut [u8]| {
            let number =
                |at: usize| u64::from_le_bytes(notes[at + 8..at + 16].try_into().expect("eight bytes"));
            let at = if number(0) < number(SHEET) { 0 } else { SHEET };
            notes[at + 40] ^= 0xff;
        };
        let machine = with_notes(&mut { older }, At::After(call));
        assert_eq!((machine.status, account(&machine)), (Some(SUCCESS), expected.clone()));
    }
}

/// A plan of which the notes are sealed, and wrong all the same: as a supervisor writes them that has gone mad.
fn sealed(notes: &mut [u8], at: usize) {
    let word =
        |at: usize, notes: &[u8]| u64::from_le_bytes(notes[at..at + 8].try_into().expect("eight bytes"));
    let length = usize::try_from(word(at + 16, notes)).expect("a small number");
    let head = notes[at + 8..at + 24].to_vec();
    let body = notes.get(at + 32..at + 32 + length).unwrap_or(&[]).to_vec();
    let sum = head
        .iter()
        .chain(&body)
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    notes[at + 24..at + 32].copy_from_slice(&sum.to_le_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_notes_say_a_run_ends_and_loses_nothing(
        call in 5u64..80,
        changes in prop::collection::vec((0..2 * SHEET, any::<u8>()), 1..20),
        near in prop::collection::vec((0..600usize, any::<u8>()), 0..20),
        seal: bool,
    ) {
        let change = |notes: &mut [u8]| {
            assert_eq!(notes.len(), BYTES);
            for (place, byte) in &changes {
                notes[*place] = *byte;
            }
            for (place, byte) in &near {
                (notes[*place], notes[SHEET + place]) = (*byte, !byte);
            }
            if seal {
                sealed(notes, 0);
                sealed(notes, SHEET);
            }
        };
        quietly();
        // What it then believes may be false, and the run fails, or not; but it comes to an end.
        let (port, _) = play(&all(), &behaviours(), &[], CHANGES, &[At::After(call)], &mut |machine| change(&mut machine.notes));
        prop_assert!(port.port.suboses.is_empty() || seal, "{}", port.port.transcript);
    }

    #[test]
    fn whatever_breaks_besides_a_run_ends_and_loses_nothing(
        at in prop::collection::vec((1u64..100, any::<bool>()), 1..6),
        fault in prop_oneof![
            (0u32..20).prop_map(Fault::NoResource),
            (0u8..4).prop_map(Fault::FullRing),
            (0u8..4, 0u64..300).prop_map(|(subos, at)| Fault::Dies(subos, at)),
            (0u8..4, 0u64..300).prop_map(|(subos, at)| Fault::Faults(subos, at)),
            Just(Fault::DirtyLots),
            Just(Fault::LastFit),
        ],
    ) {
        let at: Vec<At> = at
            .into_iter()
            .map(|(call, before)| if before { At::Before(call) } else { At::After(call) })
            .collect();
        let (port, _) = play(&all(), &behaviours(), &[fault], CHANGES, &at, &mut |_| {});
        check_end(&port.port, &at);
        prop_assert!(account(&port.port).contains("ledger equal"), "{}", port.port.transcript);
    }
}
