//! A core is asked for first: whoever gives it loses it at once, and whatever else is said or not said changes nothing but that
//! it goes when the time is up.

#[allow(dead_code, reason = "not all that can be broken is broken here")]
mod fake;

use fake::{Behaviour, FakeMachine, Fault, Manners, RATE};
use idl::plan::{
    Action, Chunks, CoreNumber, Duty, Ends, Holder, Manner, Plan, Scrub, Start, Step, SubOsIndex, SubOsPlan,
    When,
};
use idl::record::Record;
use supervisor_server::perform::{SUCCESS, Supervisor};

/// How long a core is asked for, in milliseconds.
const ASK: u64 = 400;
/// The core that goes from the first subOS to the second.
const CORE: u8 = 2;

fn subos(name: &str, cores: u64) -> SubOsPlan {
    SubOsPlan {
        name: name.try_into().expect("it fits"),
        program: "program".try_into().expect("it fits"),
        arguments: "".try_into().expect("it fits"),
        files: "".try_into().expect("it fits"),
        cores,
        lots: [Chunks(8)].into_iter().collect(),
        start: Start::AtBoot,
        duty: Duty::Progress,
        restarts: 0,
        ends: Ends::Well,
        scrub: Scrub::AtOnce,
    }
}

/// One core goes there, and as it came, back by force, and there once more.
fn plan(ask: u64) -> Plan {
    let [one, other] = [0, 1].map(|index| Holder::SubOs(SubOsIndex(index)));
    let ask = Manner::Ask(u32::try_from(ask).expect("a small number"));
    let step = |from, to, manner| Step {
        when: When::Now,
        patience_ms: 0,
        action: Action::MoveCore { core: CoreNumber(CORE), from, to, manner },
    };
    Plan {
        suboses: [subos("one", 0b110), subos("other", 0b1000)].into_iter().collect(),
        steps: [step(one, other, ask), step(other, one, Manner::Force), step(one, other, ask)]
            .into_iter()
            .collect(),
        ..Plan::default()
    }
}

fn play(ask: u64, behaviour: Behaviour, faults: &[Fault]) -> Supervisor<FakeMachine> {
    let plan = plan(ask);
    let machine = FakeMachine::new(&plan, 4, 60, &[behaviour, Behaviour::Counts], faults);
    let mut supervisor = Supervisor::new(machine, Box::new(plan));
    supervisor.run();
    supervisor
}

/// For how long each step that asks had begun when the core went, in milliseconds, and what was said of the core.
fn told(machine: &FakeMachine) -> (Vec<u64>, Vec<String>) {
    let (mut begun, mut waits, mut answers) = (0, Vec::new(), Vec::new());
    for record in machine.transcript.lines().filter_map(Record::parse) {
        let at = record.number("t").unwrap_or(0);
        let is = |key, value| record.get(key).is_some_and(|found| found.is(value));
        match record.name {
            "step" if is("result", "begin") => begun = at,
            "own" if is("core", "2") && is("owner", "free") => waits.push((at - begun) / RATE),
            "core" => {
                let answer = record.get("answer").map(|answer| answer.encoded().to_owned());
                answers.push(answer.expect("it has one"));
            }
            _ => {}
        }
    }
    // Free at boot; there, by force back, there again; then the end.
    assert_eq!(waits.len(), 5, "{}", machine.transcript);
    (vec![waits[1], waits[3]], answers)
}

/// What is said, and whether the core goes at once or when the time is up.
fn check(manners: Manners, said: &[&str], at_once: bool) {
    let supervisor = play(ASK, Behaviour::Counts, &[Fault::Answers(0, manners)]);
    let machine = supervisor.port();
    assert_eq!(machine.status, Some(SUCCESS), "{manners:?}: {}", machine.transcript);
    let (waits, answers) = told(machine);
    assert_eq!(answers, [said, said].concat(), "{manners:?}");
    for wait in waits {
        let expected = if at_once { 0..ASK / 2 } else { ASK..2 * ASK };
        assert!(expected.contains(&wait), "{manners:?}: it went after {wait} ms");
    }
}

#[test]
fn who_gives_it_loses_it_at_once() {
    check(Manners::Gives, &["given"], true);
}

#[test]
fn who_needs_it_keeps_it_until_the_time_is_up() {
    check(Manners::Needs, &["needed"], false);
}

#[test]
fn who_thinks_better_of_it_is_heard() {
    let supervisor = play(ASK, Behaviour::Counts, &[Fault::Answers(0, Manners::ThinksBetter(ASK / 2))]);
    let machine = supervisor.port();
    assert_eq!(machine.status, Some(SUCCESS), "{}", machine.transcript);
    let (waits, answers) = told(machine);
    // It has said that it needs it many times.
    assert_eq!(answers, ["needed", "given", "needed", "given"]);
    assert!(waits.iter().all(|wait| (ASK / 2..ASK).contains(wait)), "{waits:?}");
}

#[test]
fn only_the_first_gift_counts() {
    check(Manners::Twice, &["given"], true);
}

#[test]
fn what_answers_nothing_that_was_asked_is_no_answer() {
    for manners in [Manners::GivesAnother, Manners::Stale, Manners::Rubbish, Manners::Silent] {
        check(manners, &[], false);
    }
}

#[test]
fn nobody_is_asked_longer_than_the_time_there_is() {
    // There is no room to ask it: that is tried until the time is up, and the core goes.
    let supervisor = play(ASK, Behaviour::Counts, &[Fault::NoRoom(0)]);
    let machine = supervisor.port();
    assert_eq!(machine.status, Some(SUCCESS), "{}", machine.transcript);
    let (waits, answers) = told(machine);
    assert!(answers.is_empty(), "{answers:?}");
    assert!(waits.iter().all(|wait| (ASK..ASK + ASK / 4).contains(wait)), "{waits:?}");
}

#[test]
fn who_dies_while_it_is_asked_is_not_waited_for() {
    for at in (5..200).step_by(5) {
        let faults = [Fault::Answers(0, Manners::Silent), Fault::Dies(0, at)];
        let supervisor = play(60_000, Behaviour::Counts, &faults);
        let machine = supervisor.port();
        assert_ne!(machine.status, Some(SUCCESS), "{at} ms: one died");
        assert!(machine.suboses.is_empty(), "{at} ms: everything is destroyed");
        assert!(machine.milliseconds() < 30_000, "{at} ms: it was waited for: {}", machine.transcript);
    }
}
