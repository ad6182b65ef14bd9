//! The plan comes back as it was sent, and whatever arrives, the reader answers.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use idl::plan::{
    Action, Chunks, CoreNumber, Duty, Ends, Holder, Holds, LotNumber, MAX_ENCODED, Manner, Part, Plan,
    PlanError, Resize, Scrub, Start, Step, SubOsIndex, SubOsPlan, When, WindowIndex, WindowPlan, decode,
    encode,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn text<const N: usize>(text: &str) -> heapless::String<N> {
    heapless::String::try_from(text).unwrap()
}

prop_compose! {
    fn subos(number: usize)(
        program in "[a-z]{1,12}", arguments in "\\PC{0,40}", cores in any::<u64>(),
        lots in vec(1u32..1000, 1..6), boot in any::<bool>(), duty in any::<bool>(),
    ) -> SubOsPlan {
        SubOsPlan {
            name: text(&format!("subos-{number}")),
            program: text(&program),
            arguments: text(&arguments),
            files: text(if boot { "files" } else { "" }),
            cores,
            lots: lots.into_iter().map(Chunks).collect(),
            start: if boot { Start::AtBoot } else { Start::ByStep },
            duty: if duty { Duty::Progress } else { Duty::None },
            restarts: 0,
            ends: Ends::Anyhow,
            scrub: if boot { Scrub::AtGrant } else { Scrub::AtOnce },
        }
    }
}

fn when(count: u8) -> impl Strategy<Value = When> {
    let subos = move || (0..count).prop_map(SubOsIndex);
    prop_oneof![
        Just(When::Now),
        any::<u32>().prop_map(When::After),
        (subos(), any::<u64>()).prop_map(|(s, n)| When::Progress(s, n)),
        (subos(), (0u8..64).prop_map(CoreNumber)).prop_map(|(s, c)| When::Working(s, c)),
        (subos(), (0u8..64).prop_map(CoreNumber), any::<u32>()).prop_map(|(s, c, n)| When::Guests(s, c, n)),
        subos().prop_map(When::Ended),
    ]
}

fn action(count: u8) -> impl Strategy<Value = Action> {
    let subos = move || (0..count).prop_map(SubOsIndex);
    let holder = move || prop_oneof![Just(Holder::Free), subos().prop_map(Holder::SubOs)];
    let manner = || prop_oneof![Just(Manner::Force), any::<u32>().prop_map(Manner::Ask)];
    prop_oneof![
        subos().prop_map(Action::Create),
        subos().prop_map(Action::Kill),
        (0u8..64, holder(), holder(), manner()).prop_map(|(core, from, to, manner)| Action::MoveCore {
            core: CoreNumber(core),
            from,
            to,
            manner
        }),
        (any::<u8>(), subos(), holder(), manner()).prop_map(|(lot, from, to, manner)| Action::MoveLot {
            lot: LotNumber(lot),
            from,
            to,
            manner,
            holds: if lot % 2 == 0 { Holds::Data } else { Holds::Anything },
        }),
        (1u32..99, subos(), prop::option::of(subos())).prop_map(|(size, to, reuses)| Action::GrantLot {
            size: Chunks(size),
            to,
            reuses
        }),
        (0..count, 0..count, 1u64.., 1u32..3, prop::option::of(0u8..64)).prop_map(
            |(from, to, cores, lots, refused)| Action::Resize(Resize {
                from: Holder::SubOs(SubOsIndex(from)),
                to: if from == to { Holder::Free } else { Holder::SubOs(SubOsIndex(to)) },
                cores,
                lots: lots << 1,
                memory: [Chunks(u32::from(from != to)), Chunks(0), Chunks(0)],
                manner: Manner::Ask(lots),
                refused: refused.map(|core| Part::Core(CoreNumber(core))),
            })
        ),
        Just(Action::CompareLedger),
        Just(Action::Audit),
        Just(Action::Wait),
    ]
}

/// Windows between neighbours by number, each between two that have no other, and steps that open and close them.
fn windows(count: u8) -> impl Strategy<Value = Vec<WindowPlan>> {
    let window = |number: u8, size| WindowPlan {
        between: [SubOsIndex(number), SubOsIndex(number + 1)],
        size: Chunks(size),
    };
    vec(1u32..99, 0..usize::from(count))
        .prop_map(move |sizes| (0u8..).zip(sizes).map(|(number, size)| window(number, size)).collect())
}

fn plan() -> impl Strategy<Value = Plan> {
    (1usize..=16).prop_flat_map(|count| {
        let suboses: Vec<_> = (0..count).map(subos).collect();
        let bound = u8::try_from(count).unwrap();
        let step = (when(bound), any::<u32>(), action(bound)).prop_map(|(when, patience_ms, action)| Step {
            when,
            patience_ms,
            action,
        });
        let opening = any::<prop::sample::Index>();
        (suboses, windows(bound), vec(step, 0..=60), vec(opening, 0..=2)).prop_map(
            |(suboses, windows, mut steps, openings)| {
                for opening in openings.iter().filter(|_| !windows.is_empty()) {
                    let window = WindowIndex(u8::try_from(opening.index(windows.len())).unwrap());
                    let step = |action| Step { when: When::Now, patience_ms: 0, action };
                    steps.push(step(Action::OpenWindow(window)));
                    steps.push(step(Action::CloseWindow(window, Manner::Ask(7))));
                }
                Plan {
                    suboses: suboses.into_iter().collect(),
                    windows: windows.into_iter().collect(),
                    steps: steps.into_iter().collect(),
                }
            },
        )
    })
}

proptest! {
    #[test]
    fn a_plan_comes_back_as_it_was_sent(plan in plan()) {
        let mut buffer = vec![0; MAX_ENCODED];
        let bytes = encode(&plan, &mut buffer).unwrap();
        prop_assert_eq!(&decode(bytes).unwrap(), &plan);
        let mut longer = bytes.to_vec();
        longer.push(0);
        prop_assert_eq!(decode(&longer), Err(PlanError::Trailing));
    }

    #[test]
    fn a_damaged_plan_never_panics(plan in plan(), changes in vec((any::<u16>(), any::<u8>()), 1..9)) {
        let mut buffer = vec![0; MAX_ENCODED];
        let mut bytes = encode(&plan, &mut buffer).unwrap().to_vec();
        for (at, value) in changes {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        if let Ok(plan) = decode(&bytes) {
            prop_assert_eq!(&decode(encode(&plan, &mut buffer).unwrap()).unwrap(), &plan);
        }
    }
}

/// A subOS of this name, with nothing out of the ordinary.
fn named(name: &str) -> SubOsPlan {
    SubOsPlan {
        name: text(name),
        program: text("p"),
        arguments: text(""),
        files: text(""),
        cores: 2,
        lots: [Chunks(4)].into_iter().collect(),
        start: Start::AtBoot,
        duty: Duty::None,
        restarts: 0,
        ends: Ends::Anyhow,
        scrub: Scrub::AtOnce,
    }
}

#[test]
fn a_plan_is_checked_on_both_sides() {
    let subos = named("a");
    let with = |suboses: &[SubOsPlan], action| {
        let step = Step { when: When::Now, patience_ms: 0, action };
        let suboses = suboses.iter().cloned().collect();
        let plan = Plan { suboses, steps: [step].into_iter().collect(), ..Plan::default() };
        encode(&plan, &mut [0; 1000]).err()
    };
    assert_eq!(with(std::slice::from_ref(&subos), Action::Wait), None);
    assert_eq!(with(&[subos.clone(), subos.clone()], Action::Wait), Some(PlanError::BadName));
    assert_eq!(
        with(&[SubOsPlan { lots: heapless::Vec::new(), ..subos.clone() }], Action::Wait),
        Some(PlanError::BadLot)
    );
    assert_eq!(
        with(std::slice::from_ref(&subos), Action::Kill(SubOsIndex(1))),
        Some(PlanError::UnknownSubOs)
    );
    let core = CoreNumber(64);
    let step = Action::MoveCore { core, from: Holder::Free, to: Holder::Free, manner: Manner::Force };
    assert_eq!(with(std::slice::from_ref(&subos), step), Some(PlanError::BadCore));
    let [a, b] = [0, 1].map(|index| Holder::SubOs(SubOsIndex(index)));
    let none = [Chunks(0); 3];
    let sound = Resize {
        from: a,
        to: b,
        cores: 0b110,
        lots: 0b110,
        memory: none,
        manner: Manner::Force,
        refused: None,
    };
    let memory = [Chunks(1), Chunks(2), Chunks(0)];
    for (resize, wrong) in [
        (sound, None),
        (Resize { to: Holder::Free, ..sound }, None),
        (Resize { from: Holder::Free, lots: 0, memory, ..sound }, None),
        (Resize { to: a, ..sound }, Some(PlanError::BadResize)),
        (Resize { cores: 0, lots: 0, ..sound }, Some(PlanError::BadResize)),
        (Resize { lots: 0b111, ..sound }, Some(PlanError::BadResize)),
        (Resize { lots: 0b11110, ..sound }, Some(PlanError::BadResize)),
        (Resize { memory, ..sound }, Some(PlanError::BadResize)),
        (Resize { from: Holder::Free, ..sound }, Some(PlanError::BadResize)),
        (Resize { to: Holder::Free, lots: 0, memory, ..sound }, Some(PlanError::BadResize)),
        (Resize { to: Holder::SubOs(SubOsIndex(2)), ..sound }, Some(PlanError::UnknownSubOs)),
    ] {
        assert_eq!(with(&[subos.clone(), named("b")], Action::Resize(resize)), wrong, "{resize:?}");
    }
    assert_eq!(encode(&Plan::default(), &mut []).err(), Some(PlanError::BufferTooSmall));
}

#[test]
fn a_window_has_two_sides_and_is_the_only_one_between_them() {
    let window =
        |one, other, size| WindowPlan { between: [SubOsIndex(one), SubOsIndex(other)], size: Chunks(size) };
    let with = |windows: &[WindowPlan], action| {
        let step = Step { when: When::Now, patience_ms: 0, action };
        let plan = Plan {
            suboses: [named("a"), named("b"), named("c")].into_iter().collect(),
            windows: windows.iter().copied().collect(),
            steps: [step].into_iter().collect(),
        };
        encode(&plan, &mut [0; 1000]).err()
    };
    let good = [window(0, 1, 1), window(1, 2, 3)];
    assert_eq!(with(&good, Action::OpenWindow(WindowIndex(1))), None);
    assert_eq!(with(&good, Action::OpenWindow(WindowIndex(2))), Some(PlanError::BadWindow));
    assert_eq!(with(&good, Action::CloseWindow(WindowIndex(2), Manner::Force)), Some(PlanError::BadWindow));
    for bad in [window(0, 0, 1), window(0, 2, 0), window(1, 0, 1)] {
        assert_eq!(with(&[good[0], bad], Action::Wait), Some(PlanError::BadWindow), "{bad:?}");
    }
    assert_eq!(with(&[window(0, 3, 1)], Action::Wait), Some(PlanError::UnknownSubOs));
}
