//! The whole demonstration on a machine that is not there, as it should go and with everything broken that can be.

#[allow(dead_code, reason = "not all that can be broken is broken here")]
mod fake;

use fake::{Behaviour, Call, FakeMachine, Fault};
use idl::dialogue::{Refusal, Request, name_to_words};
use idl::plan::{
    Action, Chunks, CoreNumber, Duty, Ends, Holder, Holds, LotNumber, Manner, Plan, Scrub, Start, Step,
    SubOsIndex, SubOsPlan, When, WindowIndex, WindowPlan,
};
use supervisor_server::order::Moment;
use supervisor_server::perform::{FAILURE, SUCCESS, Supervisor};

const BATCH: SubOsIndex = SubOsIndex(0);
const ECHO: SubOsIndex = SubOsIndex(1);
const SPINNER: SubOsIndex = SubOsIndex(2);

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
        scrub: Scrub::AtOnce,
    }
}

fn step(when: When, action: Action) -> Step {
    Step { when, patience_ms: 30_000, action }
}

const fn move_core(core: u8, from: Holder, to: Holder) -> Action {
    Action::MoveCore { core: CoreNumber(core), from, to, manner: Manner::Force }
}

/// The plan that `demo.toml` makes.
fn demo() -> Plan {
    let echo = SubOsPlan { duty: Duty::Progress, ..subos("echo", 0b1000, &[32]) };
    let batch_plan = SubOsPlan { duty: Duty::Programs, ..subos("batch", 0b110, &[32, 32, 32, 32]) };
    let spinner = SubOsPlan { start: Start::ByStep, ..subos("spinner", 0b100, &[16]) };
    let (batch, to_echo) = (Holder::SubOs(BATCH), Holder::SubOs(ECHO));
    let ask = Manner::Ask(2000);
    let give =
        Action::MoveLot { lot: LotNumber(3), from: BATCH, to: to_echo, manner: ask, holds: Holds::Data };
    let steps = [
        step(When::Guests(BATCH, CoreNumber(2), 100), move_core(2, batch, to_echo)),
        step(When::Now, give),
        step(When::After(300), move_core(2, to_echo, Holder::Free)),
        step(When::Now, Action::Create(SPINNER)),
        step(When::Timer(SPINNER, CoreNumber(2), 100), Action::Kill(SPINNER)),
        step(When::Now, move_core(2, Holder::Free, batch)),
        step(When::Now, Action::GrantLot { size: Chunks(16), to: ECHO, reuses: Some(SPINNER) }),
        step(When::Progress(ECHO, 100), Action::Audit),
        step(When::Ended(BATCH), Action::Wait),
        step(When::Now, Action::Kill(BATCH)),
        step(When::Now, Action::Kill(ECHO)),
        step(When::Now, Action::Audit),
        step(When::Now, Action::CompareLedger),
    ];
    Plan {
        suboses: [batch_plan, echo, spinner].into_iter().collect(),
        steps: steps.into_iter().collect(),
        ..Plan::default()
    }
}

fn output() -> Vec<u8> {
    (0..20_000u32).map(|n| (n % 251) as u8).collect()
}

fn behaviours() -> [Behaviour; 3] {
    [Behaviour::Prints(output(), 5000, 0), Behaviour::Counts, Behaviour::Spins]
}

fn play(plan: &Plan, faults: &[Fault]) -> Supervisor<FakeMachine> {
    play_with(plan, &behaviours(), faults)
}

fn play_with(plan: &Plan, behaviours: &[Behaviour], faults: &[Fault]) -> Supervisor<FakeMachine> {
    let machine = FakeMachine::new(plan, 4, 400, behaviours, faults);
    let mut supervisor = Supervisor::new(machine, Box::new(plan.clone()));
    let status = supervisor.run();
    assert_eq!(supervisor.port().status, Some(status));
    supervisor
}

/// What holds however a run ends.
fn check_end(machine: &FakeMachine) {
    assert!(machine.suboses.is_empty(), "everything is destroyed\n{}", machine.transcript);
    let last = machine.transcript.lines().last().expect("there is a transcript");
    let expected = if machine.status == Some(SUCCESS) { "@test result=ok" } else { "@test result=failed" };
    assert!(last.starts_with(expected), "{last}");
    for line in machine.transcript.lines() {
        assert!(idl::record::Record::parse(line).is_some(), "not a record: {line}");
    }
    for (subos, written) in &machine.written {
        let printed = machine.printed.get(subos).map_or(&[][..], Vec::as_slice);
        assert!(printed == written, "{} of {} bytes came out, in order", printed.len(), written.len());
    }
}

fn fails_with(plan: &Plan, faults: &[Fault], reason: &str) -> Supervisor<FakeMachine> {
    let supervisor = play(plan, faults);
    let machine = supervisor.port();
    check_end(machine);
    assert_eq!(machine.status, Some(FAILURE), "{}", machine.transcript);
    let last = machine.transcript.lines().last().expect("there is a transcript");
    let message = idl::record::Record::parse(last)
        .and_then(|record| record.get("message"))
        .expect("a failure has a message");
    let message = String::from_utf8(message.bytes().collect()).expect("it is text");
    assert!(message.contains(reason), "{message}\n{}", machine.transcript);
    supervisor
}

#[test]
fn the_demo_plays() {
    let supervisor = play(&demo(), &[]);
    let machine = supervisor.port();
    check_end(machine);
    assert_eq!(machine.status, Some(SUCCESS), "{}", machine.transcript);
    assert_eq!(machine.printed[&0], output());
    assert_eq!(machine.records("step").iter().filter(|line| line.contains("result=ok")).count(), 13);
    // Echo lives through ten steps and is killed by the eleventh; batch has ended when the ninth begins.
    let beats = machine.records("beat");
    let of = |name: &str| beats.iter().filter(|line| line.contains(name)).count();
    assert_eq!((of("subos=echo"), of("subos=batch")), (10, 8));
    assert_eq!(machine.records("ledger"), ["@ledger result=equal"; 2]);
    assert_eq!(machine.records("audit").len(), 3);
    assert!(
        machine.records("lot").iter().any(|line| line.contains("subos=batch") && line.contains("used=300"))
    );
    assert!(machine.records("stat").iter().any(|line| line.contains("subos=spinner core=2")));
    assert!(machine.records("stat").iter().any(|line| line.contains("processes=3")));
}

#[test]
fn who_is_to_be_cleared_late_is_known_before_it_begins() {
    let mut plan = demo();
    plan.suboses[2].scrub = Scrub::AtGrant;
    let supervisor = play(&plan, &[]);
    assert_eq!(supervisor.port().status, Some(SUCCESS), "{}", supervisor.port().transcript);
    assert_eq!(supervisor.port().scrubbed, [(SPINNER.0, Scrub::AtGrant)].into());
}

#[test]
fn a_watched_time_is_left_alone_and_said_what_it_is_about() {
    let mut plan = demo();
    plan.steps = [step(When::Working(ECHO, CoreNumber(3)), Action::Watch(40))].into_iter().collect();
    let supervisor = play(&plan, &[]);
    let machine = supervisor.port();
    check_end(machine);
    assert_eq!(machine.status, Some(SUCCESS), "{}", machine.transcript);
    let [(Moment::Begin, begin, before), (Moment::End, end, after)] = machine.marks.as_slice() else {
        panic!("{:?}", machine.marks)
    };
    assert!(*end >= begin + 40, "from {begin} to {end}");
    assert_eq!(before, after, "nobody is measured meanwhile");
    assert_eq!(machine.records("watch").len(), 2);
    let holds = machine.records("hold");
    let (first, second) = holds.split_at(holds.len() / 2);
    assert_eq!(first, second, "nothing changed hands");
    // Batch is the kernel's number 1 and has cores 1 and 2; its first lot of 32 follows what the supervisor has.
    assert!(first.contains(&"@hold resource=Core first=1 count=2 state=Owned owner=1 lot=0"), "{first:?}");
    assert!(first.contains(&"@hold resource=Chunk first=9 count=32 state=Owned owner=1 lot=0"), "{first:?}");
}

#[test]
fn every_refusal_ends_the_run_in_order() {
    let plan = demo();
    for number in 0..14 {
        let supervisor = fails_with(&plan, &[Fault::NoResource(number)], "NoResource");
        assert!(supervisor.port().records("ledger").contains(&"@ledger result=equal"), "refusal {number}");
    }
    let supervisor = play(&plan, &[Fault::NoResource(14)]);
    assert_eq!(supervisor.port().status, Some(SUCCESS), "there are fourteen requests");
}

#[test]
fn a_refused_grant_gives_the_core_back() {
    // Eight requests build batch and echo; the next is the grant of core 2 to echo.
    let supervisor = fails_with(&demo(), &[Fault::NoResource(8)], "granting core 2 (echo): NoResource");
    let owners = supervisor.port().records("own");
    let of_core_2: Vec<_> = owners.iter().filter(|line| line.contains("core=2")).collect();
    let [.., back, freed] = of_core_2.as_slice() else { panic!("{of_core_2:?}") };
    assert!(back.contains("owner=batch") && freed.contains("owner=free"), "{of_core_2:?}");
}

#[test]
fn a_silent_core_is_told_of() {
    let supervisor = fails_with(&demo(), &[Fault::SilentCore(2)], "core 2 does not answer");
    assert!(supervisor.port().records("own").iter().any(|line| line.contains("core=2 owner=lost")));
    assert!(supervisor.port().records("ledger").iter().all(|line| line.contains("different")));
}

#[test]
fn what_never_ends_is_given_up() {
    fails_with(&demo(), &[Fault::EndlessCore(2)], "taking core 2 does not come to an end");
}

#[test]
fn a_full_ring_is_not_waited_for() {
    // Batch does not answer: its lot goes by force. Echo is alive but deaf, which is as good as stuck.
    fails_with(&demo(), &[Fault::FullRing(0)], "batch did not say that its lot 3 holds data");
    let mut plan = demo();
    if let Action::MoveLot { holds, .. } = &mut plan.steps[1].action {
        *holds = Holds::Anything;
    }
    let supervisor = play(&plan, &[Fault::FullRing(0)]);
    assert_eq!(supervisor.port().status, Some(SUCCESS), "{}", supervisor.port().transcript);
    fails_with(&demo(), &[Fault::FullRing(1)], "did not say what the lot holds");
}

#[test]
fn a_missed_beat_fails_the_step() {
    let supervisor = fails_with(&demo(), &[Fault::Stalls(1, 200)], "echo");
    assert!(supervisor.port().records("step").iter().any(|line| line.contains("result=failed")));
}

/// It works before and after and makes up for what it missed; only while something is done to others, or to itself,
/// it does not.
#[test]
fn who_stalls_only_while_an_operation_is_under_way_missed_a_beat() {
    let calls =
        [Call::Create, Call::GrantCore, Call::ReclaimCore, Call::GrantLot, Call::ReclaimLot, Call::Destroy];
    for (subos, name) in [(ECHO, "echo"), (BATCH, "batch")] {
        for call in calls {
            fails_with(&demo(), &[Fault::StallsAmid(subos.0, call)], &format!("{name} missed a beat"));
        }
    }
}

/// Batch does all that is asked of it, and ends: early, late, between steps and in the middle of them.
#[test]
fn what_is_done_to_others_after_the_programs_have_ended_proves_nothing_and_fails() {
    let [_, counts, spins] = behaviours();
    let mut failed = std::collections::BTreeSet::new();
    for milliseconds in (10..1500).step_by(3) {
        let batch = Behaviour::Prints(output(), milliseconds, 0);
        let supervisor = play_with(&demo(), &[batch, counts.clone(), spins.clone()], &[]);
        let machine = supervisor.port();
        check_end(machine);
        let line = |begin: &str| machine.transcript.lines().position(|line| line.starts_with(begin));
        let last = machine.records("step").into_iter().rfind(|line| line.contains("result=failed"));
        if let Some(last) = last {
            assert!(
                last.contains("batch,%20whose%20programs%20must%20be%20at%20work"),
                "{milliseconds} ms: {last}"
            );
            failed.insert(idl::record::Record::parse(last).expect("it is one").number("n"));
            continue;
        }
        assert_eq!(machine.status, Some(SUCCESS), "{milliseconds} ms: {}", machine.transcript);
        let step = machine.transcript.lines().position(|line| line.contains("n=7 result=ok"));
        assert!(line("@exit subos=batch") > step, "{milliseconds} ms: {}", machine.transcript);
    }
    let steps: Vec<u64> = failed.into_iter().flatten().collect();
    assert_eq!(
        steps,
        [0, 1, 2, 3, 4, 5, 6, 7],
        "each step that needs its programs has failed once for lack of them"
    );
}

#[test]
fn a_core_is_taken_and_a_subos_killed_only_while_they_are_at_work() {
    let supervisor = play(&demo(), &[]);
    let busy = supervisor.port().records("busy");
    let [batch, spinner] = busy.as_slice() else { panic!("{busy:?}") };
    assert!(batch.contains("subos=batch core=2 n=0 by=guests"), "{batch}");
    assert!(spinner.contains("subos=spinner core=2 n=4 by=timers"), "{spinner}");
    // Both did enough once for their step to begin, and nothing since.
    fails_with(&demo(), &[Fault::Leaves(BATCH.0, 2, 101)], "step 0: batch runs no programs on core 2");
    let silent = "step 4: spinner does not let the timer expire on core 2";
    fails_with(&demo(), &[Fault::Leaves(SPINNER.0, 2, 101)], silent);
}

#[test]
fn the_longest_silence_of_each_operation_is_told() {
    const LONG: u64 = 700;
    // When each step began, and whether it is said to have had such a silence.
    let steps = |pauses: &[Fault]| -> Vec<(u64, bool)> {
        let supervisor = play(&demo(), pauses);
        let machine = supervisor.port();
        assert_eq!(machine.status, Some(SUCCESS), "{}", machine.transcript);
        let of = |line: &str, key: &str| {
            idl::record::Record::parse(line).and_then(|record| record.number(key)).expect("it has one")
        };
        let beats = machine.records("beat");
        let echo: Vec<&str> = beats.into_iter().filter(|line| line.contains("subos=echo")).collect();
        let begins = machine.records("step").into_iter().filter(|line| line.contains("begin"));
        let silent = |n| {
            echo.iter().any(|beat| of(beat, "n") == n && of(beat, "longest") + fake::RATE > LONG * fake::RATE)
        };
        begins.map(|line| (of(line, "t") / fake::RATE, silent(of(line, "n")))).collect()
    };
    let plain = steps(&[]);
    assert!(plain.iter().all(|(_, silent)| !silent), "{plain:?}");
    for (number, (begin, _)) in plain.iter().enumerate().take(8) {
        let pause = Fault::Pauses(ECHO.0, begin + 1, LONG);
        let silent: Vec<usize> =
            steps(&[pause]).iter().enumerate().filter(|(_, (_, silent))| *silent).map(|(n, _)| n).collect();
        assert_eq!(silent, [number], "that is the step in which echo was silent");
    }
}

#[test]
fn dirty_memory_is_found() {
    fails_with(&demo(), &[Fault::DirtyLots], "echo found 5 pages of the lot that were not zero");
}

#[test]
fn a_leak_and_a_bad_audit_are_found() {
    let supervisor = fails_with(&demo(), &[Fault::Leak], "15 chunks to have changed hands, not 0b100 and 16");
    assert!(supervisor.port().records("ledger").iter().all(|line| line.contains("different")));
    fails_with(&demo(), &[Fault::BadAudit], "the audit failed");
}

#[test]
fn a_bad_status_fails_the_run() {
    let [_, counts, spins] = behaviours();
    let supervisor = play_with(&demo(), &[Behaviour::Prints(output(), 5000, 2), counts, spins], &[]);
    check_end(supervisor.port());
    assert_eq!(supervisor.port().status, Some(FAILURE));
    assert!(supervisor.port().transcript.contains("batch%20ended%20with%20status%202"));
}

#[test]
fn programs_without_memory_fail_the_run_unless_they_may_end_anyhow() {
    let starves = [Fault::Starves(BATCH.0, 900)];
    let supervisor = fails_with(&demo(), &starves, "batch had no memory left for 1 of its programs");
    assert_eq!(supervisor.port().records("starved"), ["@starved subos=batch times=1"]);
    let mut plan = demo();
    plan.suboses[0].ends = Ends::Anyhow;
    assert_eq!(play(&plan, &starves).port().status, Some(SUCCESS));
}

#[test]
fn who_dies_is_built_again_as_often_as_the_plan_says() {
    let faults = [Fault::Dies(1, 600), Fault::Dies(1, 900)];
    let mut plan = demo();
    fails_with(&plan, &faults[..1], "died");
    plan.suboses[1].restarts = 2;
    // Between steps, so that no step is about the dead.
    plan.steps = [step(When::After(2000), Action::Wait)].into_iter().collect();
    let supervisor = play(&plan, &faults);
    check_end(supervisor.port());
    assert_eq!(supervisor.port().status, Some(SUCCESS), "{}", supervisor.port().transcript);
    assert_eq!(supervisor.port().records("restart").len(), 2);
    assert_eq!(supervisor.port().records("epitaph").len(), 2);
    plan.suboses[1].restarts = 1;
    fails_with(&plan, &faults, "echo died");
}

#[test]
fn a_first_program_that_faults_is_named() {
    let plan = demo();
    let supervisor = play(&plan, &[Fault::Faults(1, 600)]);
    let told = supervisor.port().records("crash");
    let [told] = &told[..] else { panic!("told: {told:?}") };
    let who =
        format!("subos=echo program={} times=1 vector=14 address=0x8 rip=0x200010", plan.suboses[1].program);
    assert!(told.contains(&who), "{told}");
    fails_with(&plan, &[Fault::Faults(1, 600)], "echo died");
}

#[test]
fn waiting_in_vain_is_a_failure() {
    let mut plan = demo();
    plan.steps = [step(When::Working(ECHO, CoreNumber(2)), Action::Wait)].into_iter().collect();
    fails_with(&plan, &[], "waited in vain: work on core 2");
    plan.steps =
        [step(When::Now, Action::Kill(BATCH)), step(When::Ended(BATCH), Action::Wait)].into_iter().collect();
    fails_with(&plan, &[], "its subOS is gone");
}

#[test]
fn memory_that_is_reused_must_be_the_memory_that_was_left() {
    let moved = Action::MoveLot {
        lot: LotNumber(3),
        from: BATCH,
        to: Holder::SubOs(ECHO),
        manner: Manner::Force,
        holds: Holds::Anything,
    };
    let plan = |reuses| {
        let mut plan = demo();
        // What is moved goes elsewhere as well, which nobody minds here.
        plan.steps[1].action = moved;
        plan.steps[6].action = Action::GrantLot { size: Chunks(8), to: ECHO, reuses };
        plan
    };
    let supervisor = play(&plan(None), &[Fault::LastFit]);
    assert_eq!(supervisor.port().status, Some(SUCCESS), "{}", supervisor.port().transcript);
    fails_with(&plan(Some(SPINNER)), &[Fault::LastFit], "is not the memory that was taken");
}

/// Left and right with a window between them, and an heir that comes when right is killed, with one to left as well.
fn neighbours(steps: &[Step]) -> Plan {
    let heir = SubOsPlan { start: Start::ByStep, ..subos("heir", 0b100, &[16]) };
    let window = |one, other| WindowPlan { between: [SubOsIndex(one), SubOsIndex(other)], size: Chunks(3) };
    Plan {
        suboses: [subos("left", 0b10, &[16, 8]), subos("right", 0b100, &[16]), heir].into_iter().collect(),
        windows: [window(1, 0), window(0, 2)].into_iter().collect(),
        steps: steps.iter().copied().collect(),
    }
}

const OPEN: Action = Action::OpenWindow(WindowIndex(0));
const CLOSE: Action = Action::CloseWindow(WindowIndex(0), Manner::Ask(500));

fn play_neighbours(steps: &[Action], left: &[&'static str], faults: &[Fault]) -> Supervisor<FakeMachine> {
    let steps: Vec<Step> = steps.iter().map(|action| step(When::After(20), *action)).collect();
    let others = Behaviour::Asks(vec!["left"]);
    let behaviours = [Behaviour::Asks(left.to_vec()), others.clone(), others];
    let supervisor = play_with(&neighbours(&steps), &behaviours, faults);
    check_end(supervisor.port());
    supervisor
}

#[test]
fn windows_are_opened_lost_and_opened_again_and_closed() {
    let (heirs, close_heirs) =
        (Action::OpenWindow(WindowIndex(1)), Action::CloseWindow(WindowIndex(1), Manner::Force));
    let (kill, create) = (Action::Kill(SubOsIndex(1)), Action::Create(SubOsIndex(2)));
    let steps = [OPEN, Action::Audit, kill, create, heirs, CLOSE, close_heirs, Action::Kill(SubOsIndex(0))];
    let supervisor = play_neighbours(&steps, &["right", "heir"], &[]);
    let machine = supervisor.port();
    assert_eq!(machine.status, Some(SUCCESS), "{}", machine.transcript);
    let windows: Vec<String> = machine
        .records("window")
        .into_iter()
        .map(|line| line.split(' ').skip(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        windows,
        [
            "state=open one=right lot=1 other=left peer=2",
            "state=half one=right lot= other=left peer=2",
            "state=open one=left lot=3 other=heir peer=1",
            "state=closed one=right lot= other=left peer=",
            "state=half one=left lot= other=heir peer=1",
            "state=closed one=left lot= other=heir peer=",
        ]
    );
    let [peer_0, peer_1] = name_to_words("right").expect("it is short");
    let lot = idl::types::LotNumber(2);
    assert_eq!(machine.told[&0].first(), Some(&Request::WindowTo { lot, peer_0, peer_1 }));
}

#[test]
fn a_window_opens_only_when_both_have_asked() {
    let supervisor = play_neighbours(&[OPEN], &["heir"], &[]);
    let machine = supervisor.port();
    assert_eq!(machine.status, Some(FAILURE));
    assert!(machine.transcript.contains("left%20did%20not%20ask%20for%20a%20window%20to%20right"));
}

#[test]
fn what_the_plan_does_not_have_is_refused_with_a_reason() {
    // Nobody, and itself.
    let supervisor = play_neighbours(&[Action::Wait, OPEN, Action::Wait], &["nobody", "left", "right"], &[]);
    let machine = supervisor.port();
    assert_eq!(machine.status, Some(SUCCESS), "{}", machine.transcript);
    let asks = machine.records("asks");
    let refused = |peer: &str, why: &str| {
        let refused = format!("subos=left peer={peer} text={why}");
        asks.iter().any(|line| line.ends_with(&refused))
    };
    assert!(refused("nobody", "nobody%20has%20that%20name"), "{asks:?}");
    assert!(refused("left", "no%20window%20is%20planned%20between%20them"), "{asks:?}");
    assert!(asks.iter().any(|line| line.ends_with("subos=left peer=right")), "{asks:?}");
    // It is told, asks again, and so without an end: that delays nothing.
    let told = &machine.told[&0];
    for reason in [Refusal::Nobody, Refusal::NotPlanned] {
        let refused =
            told.iter().filter(|one| matches!(one, Request::NoWindow { reason: why, .. } if *why == reason));
        assert!(refused.count() > 3, "{reason:?} in {told:?}");
    }
}

#[test]
fn a_window_that_cannot_be_had_leaves_nothing() {
    for requests in 4..8 {
        let supervisor = play_neighbours(&[OPEN, CLOSE], &["right"], &[Fault::NoResource(requests)]);
        let machine = supervisor.port();
        let opened = machine.records("window").len();
        assert_eq!(machine.status == Some(SUCCESS), opened > 0, "{}", machine.transcript);
    }
}
