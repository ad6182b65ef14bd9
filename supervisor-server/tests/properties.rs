//! Whatever the plan says and whatever breaks, a run ends, tells the truth about itself, and leaves nothing behind.

mod fake;

use fake::{Behaviour, Call, FakeMachine, Fault, Manners};
use idl::plan::{
    Action, Chunks, CoreNumber, Duty, Ends, Holder, Holds, LotNumber, Manner, Part, Plan, Resize, Scrub,
    Start, Step, SubOsIndex, SubOsPlan, When, WindowIndex, WindowPlan,
};
use idl::record::Record;
use idl::types::LedgerState;
use proptest::prelude::*;
use supervisor_server::perform::{SUCCESS, Supervisor};

const CORES: u8 = 5;
const SUBOSES: u8 = 3;

fn index() -> impl Strategy<Value = SubOsIndex> {
    (0..SUBOSES).prop_map(SubOsIndex)
}

fn core() -> impl Strategy<Value = CoreNumber> {
    (0..CORES + 1).prop_map(CoreNumber)
}

fn holder() -> impl Strategy<Value = Holder> {
    prop_oneof![Just(Holder::Free), index().prop_map(Holder::SubOs)]
}

fn manner() -> impl Strategy<Value = Manner> {
    prop_oneof![Just(Manner::Force), (0u32..500).prop_map(Manner::Ask)]
}

fn holds() -> impl Strategy<Value = Holds> {
    prop_oneof![Just(Holds::Anything), Just(Holds::Data)]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        index().prop_map(Action::Create),
        index().prop_map(Action::Kill),
        (core(), holder(), holder(), manner()).prop_map(|(core, from, to, manner)| Action::MoveCore {
            core,
            from,
            to,
            manner
        }),
        ((0u8..4).prop_map(LotNumber), index(), holder(), manner(), holds())
            .prop_map(|(lot, from, to, manner, holds)| Action::MoveLot { lot, from, to, manner, holds }),
        ((1u32..20).prop_map(Chunks), index()).prop_map(|(size, to)| Action::GrantLot {
            size,
            to,
            reuses: None
        }),
        (0u8..2).prop_map(|window| Action::OpenWindow(WindowIndex(window))),
        ((0u8..2).prop_map(WindowIndex), manner())
            .prop_map(|(window, manner)| Action::CloseWindow(window, manner)),
        resize().prop_map(Action::Resize),
        Just(Action::CompareLedger),
        Just(Action::Audit),
        Just(Action::Wait),
    ]
}

/// Whatever a plan may say: what is not there, from who is not there, to nobody, from nobody.
fn resize() -> impl Strategy<Value = Resize> {
    let part = prop_oneof![
        4 => Just(None),
        1 => core().prop_map(|core| Some(Part::Core(core))),
        1 => Just(Some(Part::Memory(Chunks(70)))),
    ];
    let sizes = prop::array::uniform2(prop_oneof![Just(0u32), 1u32..20, Just(70)]);
    (
        holder(),
        holder(),
        0u64..1 << (CORES + 1),
        prop_oneof![Just(0u32), Just(2), Just(4), Just(6)],
        sizes,
        (manner(), part),
    )
        .prop_map(|(from, to, cores, lots, [first, second], (manner, refused))| {
            let second = if lots == 6 { 0 } else { second };
            let memory = [Chunks(first), Chunks(second), Chunks(0)];
            Resize { from, to, cores, lots, memory, manner, refused }
        })
}

fn call_that_kills() -> impl Strategy<Value = Fault> {
    (0..SUBOSES, call()).prop_map(|(subos, call)| Fault::DiesAt(subos, call))
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        4 => Just(When::Now),
        2 => (0u32..300).prop_map(When::After),
        1 => (index(), 0u64..500).prop_map(|(subos, count)| When::Progress(subos, count)),
        1 => (index(), core()).prop_map(|(subos, core)| When::Working(subos, core)),
        1 => (index(), core(), 0u32..500).prop_map(|(subos, core, n)| When::Guests(subos, core, n)),
        1 => (index(), core(), 0u32..500).prop_map(|(subos, core, n)| When::Timer(subos, core, n)),
        1 => index().prop_map(When::Ended),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (when(), 1u32..2000, action()).prop_map(|(when, patience_ms, action)| Step {
        when,
        patience_ms,
        action,
    });
    prop::collection::vec(step, 0..8)
}

fn subos(number: u8) -> impl Strategy<Value = SubOsPlan> {
    let sizes = prop::collection::vec((1u32..30).prop_map(Chunks), 1..4);
    (0u64..1 << CORES, sizes, any::<bool>(), duty(), 0u8..3).prop_map(
        move |(cores, lots, boot, duty, restarts)| SubOsPlan {
            name: format!("subos{number}").as_str().try_into().expect("it fits"),
            program: "program".try_into().expect("it fits"),
            arguments: "".try_into().expect("it fits"),
            files: if boot { "files".try_into().expect("it fits") } else { "".try_into().expect("it fits") },
            cores,
            lots: lots.into_iter().collect(),
            start: if boot { Start::AtBoot } else { Start::ByStep },
            duty,
            restarts,
            ends: if boot { Ends::Well } else { Ends::Anyhow },
            scrub: if boot { Scrub::AtGrant } else { Scrub::AtOnce },
        },
    )
}

fn duty() -> impl Strategy<Value = Duty> {
    prop_oneof![Just(Duty::None), Just(Duty::Progress), Just(Duty::Programs)]
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        3 => Just(Behaviour::Counts),
        1 => Just(Behaviour::Spins),
        3 => Just(Behaviour::Asks(vec!["subos0", "subos1", "subos2", "nobody"])),
        2 => (0usize..3000, 1u64..1000, 0u32..2)
            .prop_map(|(length, time, status)| Behaviour::Prints(vec![b'x'; length], time, status)),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let calls = [
        Call::Create,
        Call::Grant,
        Call::Share,
        Call::GrantCore,
        Call::ReclaimCore,
        Call::GrantLot,
        Call::ReclaimLot,
        Call::Destroy,
    ];
    prop::sample::select(calls.to_vec())
}

fn manners() -> impl Strategy<Value = Manners> {
    prop_oneof![
        Just(Manners::Gives),
        Just(Manners::Needs),
        (0u64..300).prop_map(Manners::ThinksBetter),
        Just(Manners::Twice),
        Just(Manners::GivesAnother),
        Just(Manners::Stale),
        Just(Manners::Rubbish),
        Just(Manners::Silent),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (0u32..20).prop_map(Fault::NoResource),
        (1..CORES).prop_map(Fault::SilentCore),
        (1..CORES).prop_map(Fault::EndlessCore),
        (0..SUBOSES).prop_map(Fault::FullRing),
        (0..SUBOSES).prop_map(Fault::NoRoom),
        call_that_kills(),
        (0..SUBOSES, manners()).prop_map(|(subos, manners)| Fault::Answers(subos, manners)),
        (0..SUBOSES, 0u64..2000).prop_map(|(subos, at)| Fault::Dies(subos, at)),
        (0..SUBOSES, 0u64..2000).prop_map(|(subos, at)| Fault::Starves(subos, at)),
        (0..SUBOSES, 0u64..2000).prop_map(|(subos, at)| Fault::Faults(subos, at)),
        (0..SUBOSES, 0u64..2000).prop_map(|(subos, at)| Fault::Stalls(subos, at)),
        (0..SUBOSES, 0u64..2000, 1u64..1000).prop_map(|(subos, at, long)| Fault::Pauses(subos, at, long)),
        (0..SUBOSES, call()).prop_map(|(subos, call)| Fault::StallsAmid(subos, call)),
        (0..SUBOSES, 1..CORES, 0u64..500).prop_map(|(subos, core, most)| Fault::Leaves(subos, core, most)),
        Just(Fault::DirtyLots),
        Just(Fault::Leak),
        Just(Fault::BadAudit),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let size = || (1u32..20).prop_map(Chunks);
    let suboses = (subos(0), subos(1), subos(2));
    (suboses, size(), size(), steps()).prop_map(|((a, b, c), first, second, steps)| Plan {
        suboses: [a, b, c].into_iter().collect(),
        windows: [(0, 1, first), (2, 0, second)]
            .into_iter()
            .map(|(one, other, size)| WindowPlan { between: [SubOsIndex(one), SubOsIndex(other)], size })
            .collect(),
        steps: steps.into_iter().collect(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_run_ends_and_leaves_nothing(
        plan in plan(),
        behaviours in prop::collection::vec(behaviour(), usize::from(SUBOSES)),
        faults in prop::collection::vec(fault(), 0..3),
    ) {
        let machine = FakeMachine::new(&plan, usize::from(CORES), 150, &behaviours, &faults);
        let (cores, chunks) = (machine.cores.clone(), machine.chunks.clone());
        let mut supervisor = Supervisor::new(machine, Box::new(plan));
        let status = supervisor.run();
        let machine = supervisor.port();
        prop_assert!(machine.suboses.is_empty());

        // The transcript says how it went, and nothing says otherwise.
        let records: Option<Vec<_>> = machine.transcript.lines().map(Record::parse).collect();
        let records = records.expect("every line is a record");
        let last = records.last().expect("there is a transcript");
        let good = status == SUCCESS;
        prop_assert_eq!((last.name, last.get("result").unwrap().is("ok")), ("test", good));
        let says = |name, key, value| {
            records.iter().any(|record| record.name == name && record.get(key).is_some_and(|v| v.is(value)))
        };
        let bad = says("step", "result", "failed")
            || says("ledger", "result", "different")
            || says("audit", "result", "failed");
        prop_assert!(!(good && bad), "{}", machine.transcript);

        // Everything is back, but for what a fault keeps.
        let quarantined = |fault: &Fault| matches!(fault, Fault::SilentCore(_));
        let states = |entries: &[idl::kernel::machine::LedgerEntry]| -> Vec<LedgerState> {
            entries.iter().map(|entry| entry.state).collect()
        };
        if !faults.iter().any(quarantined) {
            prop_assert_eq!(states(&machine.cores), states(&cores));
        }
        if !faults.contains(&Fault::Leak) {
            prop_assert_eq!(states(&machine.chunks), states(&chunks));
        }
        let same = states(&machine.cores) == states(&cores) && states(&machine.chunks) == states(&chunks);
        let told = records.iter().rfind(|record| record.name == "ledger").expect("the ledger was compared");
        prop_assert_eq!(told.get("result").unwrap().is("equal"), same);
    }
}
