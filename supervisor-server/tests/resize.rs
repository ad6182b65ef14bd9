//! Several resources change hands at once, or none does: whatever is refused, whoever dies on the way, and whichever core is
//! silent.

#[allow(dead_code, reason = "not all that can be broken is broken here")]
mod fake;

use std::collections::BTreeMap;

use fake::{Behaviour, Call, FakeMachine, Fault, Manners};
use idl::plan::{
    Action, Chunks, CoreNumber, Duty, Ends, Holder, LotNumber, Manner, Part, Plan, Resize, Scrub, Start,
    Step, SubOsIndex, SubOsPlan, When,
};
use idl::record::Record;
use supervisor_server::perform::{FAILURE, SUCCESS, Supervisor};

const GIVER: u8 = 0;
const TAKER: u8 = 1;
/// Chunks of the machine, of which it has eight itself and one is nobody's.
const CHUNKS: usize = 48;
/// The requests for resources that build both: two homes, two lots, four cores.
const BUILT: u32 = 8;

fn subos(name: &str, cores: u64, lots: &[u32]) -> SubOsPlan {
    SubOsPlan {
        name: name.try_into().expect("it fits"),
        program: "program".try_into().expect("it fits"),
        arguments: "".try_into().expect("it fits"),
        files: "".try_into().expect("it fits"),
        cores,
        lots: lots.iter().map(|size| Chunks(*size)).collect(),
        start: Start::AtBoot,
        duty: Duty::Progress,
        restarts: 0,
        ends: Ends::Well,
        scrub: Scrub::AtOnce,
    }
}

/// Two of three cores, one of its lots and the other, and new memory.
fn resize() -> Resize {
    Resize {
        from: Holder::SubOs(SubOsIndex(GIVER)),
        to: Holder::SubOs(SubOsIndex(TAKER)),
        cores: 0b1100,
        lots: 0b110,
        memory: [Chunks(3), Chunks(0), Chunks(0)],
        manner: Manner::Force,
        refused: None,
    }
}

fn plan(resizes: &[Resize]) -> Plan {
    let step = |resize: &Resize| Step { when: When::Now, patience_ms: 0, action: Action::Resize(*resize) };
    Plan {
        suboses: [subos("giver", 0b1110, &[8, 4, 6]), subos("taker", 0b1_0000, &[8])].into_iter().collect(),
        steps: resizes.iter().map(step).collect(),
        ..Plan::default()
    }
}

fn play(resizes: &[Resize], faults: &[Fault]) -> Supervisor<FakeMachine> {
    let plan = plan(resizes);
    let machine = FakeMachine::new(&plan, 6, CHUNKS, &[Behaviour::Counts, Behaviour::Counts], faults);
    let mut supervisor = Supervisor::new(machine, Box::new(plan));
    supervisor.run();
    assert!(supervisor.port().suboses.is_empty(), "everything is destroyed");
    supervisor
}

/// The cores and lots that somebody had before the end, and how the first step went.
type Had = (Vec<u8>, BTreeMap<u8, usize>);

fn had(machine: &FakeMachine, who: u8) -> Had {
    machine.before_the_end.as_ref().expect("it came to an end")[&who].clone()
}

fn holdings(cores: &[u8], lots: &[usize]) -> Had {
    (cores.to_vec(), (0u8..).zip(lots.iter().copied()).collect())
}

/// What both have before anything happens.
fn before() -> [Had; 2] {
    [holdings(&[1, 2, 3], &[8, 4, 6]), holdings(&[4], &[8])]
}

fn untouched(machine: &FakeMachine) -> bool {
    [GIVER, TAKER].map(|who| had(machine, who)) == before()
}

fn reason(machine: &FakeMachine) -> String {
    let records: Vec<Record> = machine.transcript.lines().filter_map(Record::parse).collect();
    let last = records.last().and_then(|record| record.get("message"));
    String::from_utf8(last.map(|value| value.bytes().collect()).unwrap_or_default()).expect("it is text")
}

#[test]
fn all_of_it_changes_hands() {
    for manner in [Manner::Force, Manner::Ask(500)] {
        let supervisor = play(&[Resize { manner, ..resize() }], &[]);
        let machine = supervisor.port();
        assert_eq!(machine.status, Some(SUCCESS), "{}", machine.transcript);
        assert_eq!(had(machine, GIVER), holdings(&[1], &[8]));
        assert_eq!(had(machine, TAKER), holdings(&[2, 3, 4], &[8, 4, 6, 3]));
    }
}

#[test]
fn all_are_asked_at_once() {
    const ASK: u64 = 700;
    let manner = Manner::Ask(u32::try_from(ASK).expect("it is small"));
    let supervisor = play(&[Resize { manner, ..resize() }], &[Fault::Answers(GIVER, Manners::Silent)]);
    let machine = supervisor.port();
    assert_eq!(machine.status, Some(SUCCESS), "{}", machine.transcript);
    let at =
        |line: &&str| Record::parse(line).and_then(|record| record.number("t")).unwrap_or(0) / fake::RATE;
    let steps = machine.records("step");
    let (begin, end) = (steps.first().map_or(0, at), steps.last().map_or(0, at));
    assert!((ASK..2 * ASK).contains(&(end - begin)), "two cores and two lots took {} ms", end - begin);
}

#[test]
fn each_that_is_refused_leaves_everything_as_it_was_and_is_named() {
    let parts = ["core 2", "core 3", "memory of 4 chunks", "memory of 6 chunks", "memory of 3 chunks"];
    for (number, part) in (BUILT..).zip(parts) {
        let supervisor = play(&[resize()], &[Fault::NoResource(number)]);
        let machine = supervisor.port();
        assert_eq!(machine.status, Some(FAILURE), "{part}: {}", machine.transcript);
        assert!(untouched(machine), "{part}: {:?}", machine.before_the_end);
        assert_eq!(reason(machine), format!("step 0: granting {part}: NoResource"));
        let told = machine.records("refused");
        assert!(told.len() == 1 && told[0].contains(&part.replace(' ', "%20")), "{told:?}");
    }
    let supervisor = play(&[resize()], &[Fault::NoResource(BUILT + 5)]);
    assert_eq!(supervisor.port().status, Some(SUCCESS), "there are five wishes");
}

/// Nothing of what follows is touched: not for a moment.
#[test]
fn what_cannot_be_is_found_before_anything_is_touched() {
    let sound = resize();
    // Thirteen chunks are free.
    let large = [Chunks(20), Chunks(0), Chunks(0)];
    let two = |second| [Chunks(12), Chunks(second), Chunks(0)];
    let cases = [
        (Resize { cores: 0b1_1100, ..sound }, "core 4", Part::Core(CoreNumber(4))),
        (Resize { cores: 0b10_0100, ..sound }, "core 5", Part::Core(CoreNumber(5))),
        (Resize { cores: 1 << 40, ..sound }, "core 40", Part::Core(CoreNumber(40))),
        (Resize { lots: 0b1010, ..sound }, "lot 3", Part::Lot(LotNumber(3))),
        (Resize { memory: large, ..sound }, "memory of 20 chunks", Part::Memory(Chunks(20))),
        (Resize { lots: 0b10, memory: two(9), ..sound }, "memory of 9 chunks", Part::Memory(Chunks(9))),
        (Resize { from: Holder::Free, lots: 0, ..sound }, "core 2", Part::Core(CoreNumber(2))),
    ];
    for (resize, named, part) in cases {
        let changes = play(&[], &[]).port().calls.len();
        let supervisor = play(&[resize], &[]);
        let machine = supervisor.port();
        assert_eq!(machine.status, Some(FAILURE), "{named}: {}", machine.transcript);
        assert!(reason(machine).starts_with(&format!("step 0: {named}: ")), "{}", reason(machine));
        assert_eq!(machine.calls.len(), changes, "{named}: nothing was changed");
        assert!(untouched(machine), "{named}");
        // Where the plan expects that, the run goes on.
        let expected = Resize { refused: Some(part), ..resize };
        let supervisor = play(&[expected, sound], &[]);
        let machine = supervisor.port();
        assert_eq!(machine.status, Some(SUCCESS), "{named}: {}", machine.transcript);
        assert_eq!(had(machine, TAKER), holdings(&[2, 3, 4], &[8, 4, 6, 3]));
        let other = Resize { refused: Some(Part::Giver), ..resize };
        assert_eq!(play(&[other], &[]).port().status, Some(FAILURE), "{named}: for another reason");
    }
    let supervisor = play(&[Resize { refused: Some(Part::Core(CoreNumber(2))), ..sound }], &[]);
    assert!(reason(supervisor.port()).contains("not refused"), "{}", reason(supervisor.port()));
    assert!(supervisor.port().calls.contains(&Call::Destroy) && untouched(supervisor.port()));
}

#[test]
fn what_is_moved_counts_as_free_for_what_is_given() {
    // Thirteen chunks are free, and what is moved goes where it came from.
    for (memory, fits) in [([13, 0, 0], true), ([14, 0, 0], false), ([9, 4, 0], true), ([9, 5, 0], false)] {
        let supervisor = play(&[Resize { lots: 0b10, memory: memory.map(Chunks), ..resize() }], &[]);
        let machine = supervisor.port();
        assert_eq!(machine.status == Some(SUCCESS), fits, "{memory:?}: {}", machine.transcript);
        assert_eq!(machine.calls.contains(&Call::ReclaimCore), fits, "{memory:?}");
        assert_eq!(untouched(machine), !fits, "{memory:?}");
    }
}

#[test]
fn who_dies_on_the_way_costs_nobody_else_anything() {
    for call in [Call::ReclaimCore, Call::ReclaimLot, Call::Grant] {
        let supervisor = play(&[resize()], &[Fault::DiesAt(TAKER, call)]);
        let machine = supervisor.port();
        assert_eq!(machine.status, Some(FAILURE), "{call:?}: {}", machine.transcript);
        assert!(untouched(machine), "{call:?}: {:?}", machine.before_the_end);
        // Who sees it die before the lots are taken does not take them.
        let lots = machine.calls.iter().filter(|one| **one == Call::ReclaimLot).count();
        assert_eq!(lots == 0, call == Call::ReclaimCore, "{call:?}: {lots}");

        let supervisor = play(&[resize()], &[Fault::DiesAt(GIVER, call)]);
        let machine = supervisor.port();
        assert_eq!(machine.status, Some(FAILURE), "{call:?}: {}", machine.transcript);
        let expected =
            if call == Call::Grant { holdings(&[2, 3, 4], &[8, 4, 6, 3]) } else { before()[1].clone() };
        assert_eq!(had(machine, TAKER), expected, "{call:?}");
    }
}

#[test]
fn a_core_that_does_not_answer_is_named_and_the_rest_goes_back() {
    let supervisor = play(&[resize()], &[Fault::SilentCore(3)]);
    let machine = supervisor.port();
    assert_eq!(reason(machine), "step 0: core 3 does not answer");
    assert_eq!(had(machine, GIVER), holdings(&[1, 2], &[8, 4, 6]), "all but that core");
    assert_eq!(had(machine, TAKER), before()[1]);
}

#[test]
fn who_was_asked_is_told_that_it_keeps_what_it_has() {
    use idl::dialogue::Request;
    let manner = Manner::Ask(200);
    let supervisor = play(&[Resize { manner, ..resize() }], &[Fault::DiesAt(TAKER, Call::ReclaimCore)]);
    let machine = supervisor.port();
    assert!(untouched(machine), "{:?}", machine.before_the_end);
    let told = &machine.told[&GIVER];
    let cores = told.iter().filter(|told| matches!(told, Request::KeepCore { .. })).count();
    let lots = told.iter().filter(|told| matches!(told, Request::KeepLot { .. })).count();
    assert_eq!((cores, lots), (2, 2), "{told:?}");
}
