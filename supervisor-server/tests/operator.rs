//! An operator of a machine that is not there: what he sees and orders, and what he cannot.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

#[allow(dead_code, reason = "not all that can be broken is broken here")]
mod fake;

use std::thread;

use fake::{Behaviour, FakeLine, FakeMachine, Far, Fault};
use idl::interface::{CallError, Generation, Label};
use idl::operator::{
    Change, Hands, Life, Operator, OperatorClient, OperatorError, OperatorServer, Ordered, Outcome, Resource,
};
use idl::peer::{attack, schema};
use idl::plan::{Action, Chunks, Duty, Ends, Name, Plan, Scrub, Start, Step, SubOsPlan, When};
use idl::serial::Serial;
use proptest::prelude::*;
use supervisor_server::perform::{SUCCESS, Supervisor};

fn subos(name: &str, cores: u64, lots: &[u32]) -> SubOsPlan {
    SubOsPlan {
        name: name.try_into().unwrap(),
        program: "program".try_into().unwrap(),
        arguments: "arguments".try_into().unwrap(),
        files: "files".try_into().unwrap(),
        cores,
        lots: lots.iter().map(|size| Chunks(*size)).collect(),
        start: Start::AtBoot,
        duty: Duty::None,
        restarts: 0,
        ends: Ends::Well,
        scrub: Scrub::AtOnce,
    }
}

/// Two that run, one that waits to be created, and a core and memory that nobody has.
fn plan() -> Plan {
    let batch = subos("batch", 0b110, &[8, 4]);
    let echo = SubOsPlan { duty: Duty::Progress, ..subos("echo", 0b1000, &[8]) };
    let spinner = SubOsPlan { start: Start::ByStep, ..subos("spinner", 0b10000, &[4]) };
    let step = Step { when: When::Now, patience_ms: 30_000, action: Action::Wait };
    Plan {
        suboses: [batch, echo, spinner].into_iter().collect(),
        steps: [step].into_iter().collect(),
        ..Plan::default()
    }
}

fn machine(faults: &[Fault]) -> FakeMachine {
    let behaviours = [Behaviour::Spins, Behaviour::Counts, Behaviour::Spins];
    FakeMachine::new(&plan(), 6, 64, &behaviours, faults)
}

type Client<'a> = OperatorClient<Serial<&'a Far>>;

/// A run that is kept up for this operator, who is the last to leave and ends it. The run must end well.
fn operate(faults: &[Fault], operator: impl FnOnce(&Far) + Send + 'static) -> FakeMachine {
    let mut machine = machine(faults);
    let (line, far) = FakeLine::new();
    machine.line = Some(line);
    let operator = thread::spawn(move || {
        operator(&far);
        client(&far, 900).end().unwrap();
        // Who leaves now leaves a run that ends.
        far
    });
    let mut supervisor = Supervisor::new(machine, Box::new(plan()));
    supervisor.serve_operator();
    let status = supervisor.run();
    drop(operator.join().unwrap());
    let machine = supervisor.into_port();
    assert_eq!(status, SUCCESS, "{}", machine.transcript);
    assert_eq!(machine.records("ledger").last(), Some(&"@ledger result=equal"));
    machine
}

fn client(far: &Far, first: u32) -> Client<'_> {
    OperatorClient::connect(Serial::new(far, first)).unwrap()
}

fn name(text: &str) -> Name {
    text.try_into().unwrap()
}

/// Orders it and waits for its end: why not, if not.
fn carry_out(client: &Client<'_>, change: Change) -> Result<(), String> {
    let ticket = match client.order(change).unwrap() {
        Ordered::Taken(ticket) => ticket,
        Ordered::Refused(reason) => return Err(reason.to_string()),
    };
    loop {
        match client.outcome(ticket).unwrap() {
            Outcome::Waiting => {}
            Outcome::Done => return Ok(()),
            Outcome::Failed(reason) => return Err(reason.to_string()),
            Outcome::Unknown => panic!("it is forgotten"),
        }
    }
}

/// Waits until the steps of the plan are done.
fn when_kept(far: &Far, first: u32) -> Client<'_> {
    let client = client(far, first);
    while client.machine().unwrap().done == 0 {}
    client
}

const fn core(core: u8, from: Option<Name>, to: Option<Name>) -> Change {
    Change::MoveCore { core, from, to, ask: 0 }
}

#[test]
fn everything_can_be_seen() {
    operate(&[], |far| {
        let client = when_kept(far, 1);
        let machine = client.machine().unwrap();
        assert_eq!((machine.cores, machine.suboses, machine.steps, machine.rubbish), (6, 3, 1, 0));
        let batch = client.subos(0).unwrap();
        assert_eq!((batch.name.as_str(), batch.life, batch.cores), ("batch", Life::Alive, 0b110));
        let lots: Vec<_> = batch.lots.iter().map(|lot| (lot.lot, lot.chunks)).collect();
        assert_eq!((lots, batch.owner), (vec![(0, 8), (1, 4)], Some(1)));
        assert!(client.subos(1).unwrap().progress.is_some());
        assert_eq!(client.subos(2).unwrap().life, Life::Absent);
        assert_eq!(client.subos(3), Err(CallError::Refused(OperatorError::NoSubOs)));

        assert!(client.activity(0, 1).unwrap().calls > 0);
        for (subos, core) in [(0, 3), (2, 4), (0, 200)] {
            assert_eq!(client.activity(subos, core), Err(CallError::Refused(OperatorError::NotThere)));
        }
        assert!(client.places().unwrap().area > 0);
        assert_eq!(client.activity(9, 0), Err(CallError::Refused(OperatorError::NoSubOs)));

        let cores = client.ledger(Resource::Core, 0).unwrap();
        let hands: Vec<_> = cores.runs.iter().map(|run| (run.first, run.count, run.hands)).collect();
        let free = Hands::Free;
        let of = |owner| Hands::Owned(owner, 0);
        assert_eq!(hands, [(0, 1, of(0)), (1, 2, of(1)), (3, 1, of(2)), (4, 2, free)]);
        let chunks = client.ledger(Resource::Chunk, 0).unwrap();
        assert_eq!(chunks.runs.iter().map(|run| run.count).sum::<u64>(), machine.chunks);
        assert_eq!(client.ledger(Resource::Chunk, u64::MAX).unwrap().runs.len(), 0);

        let (mut log, mut at) = (Vec::new(), 0);
        loop {
            let part = client.log(at).unwrap();
            at = part.first + part.bytes.len() as u64;
            log.extend(part.bytes);
            if at == part.end {
                break;
            }
        }
        let log = String::from_utf8(log).unwrap();
        assert!(log.starts_with("@boot ") && log.contains("@own t="), "{log}");
    });
}

#[test]
fn everything_can_be_ordered() {
    let machine = operate(&[], |far| {
        let client = when_kept(far, 1);
        let [batch, echo, spinner] = ["batch", "echo", "spinner"].map(name);
        let free = client.machine().unwrap().free;
        let create = Change::Create { name: spinner.clone() };
        assert_eq!(carry_out(&client, create.clone()), Ok(()));
        assert_eq!(client.subos(2).unwrap().life, Life::Alive);
        assert_eq!(carry_out(&client, core(5, None, Some(echo.clone()))), Ok(()));
        assert_eq!(carry_out(&client, core(2, Some(batch.clone()), Some(echo.clone()))), Ok(()));
        assert_eq!(client.subos(1).unwrap().cores, 0b10_1100);
        assert_eq!(carry_out(&client, core(3, Some(echo.clone()), None)), Ok(()));
        let grant = Change::GrantLot { chunks: 2, to: echo.clone() };
        assert_eq!(carry_out(&client, grant), Ok(()));
        let give = Change::MoveLot { lot: 1, from: batch.clone(), to: Some(echo.clone()), ask: 0 };
        assert_eq!(carry_out(&client, give), Ok(()));
        let lots = client.subos(1).unwrap().lots;
        assert_eq!(lots.iter().map(|lot| lot.chunks).collect::<Vec<_>>(), [8, 2, 4]);
        let take = Change::MoveLot { lot: 2, from: echo.clone(), to: None, ask: 50 };
        assert_eq!(carry_out(&client, take), Ok(()));
        assert_eq!(client.machine().unwrap().free, free - 4 - 2 + 4);

        let before = client.subos(1).unwrap();
        assert_eq!(carry_out(&client, Change::Restart { name: echo }), Ok(()));
        let after = client.subos(1).unwrap();
        assert_eq!((after.life, after.cores, after.lots), (Life::Alive, before.cores, before.lots));
        assert_eq!(carry_out(&client, Change::Destroy { name: spinner }), Ok(()));
        assert_eq!(client.subos(2).unwrap().life, Life::Absent);
        assert_eq!(carry_out(&client, create), Ok(()));
    });
    let orders = machine.records("order");
    assert_eq!(orders.len(), 10, "{orders:#?}");
    assert!(orders.iter().all(|order| order.ends_with(" result=ok")), "{orders:#?}");
}

#[test]
fn a_refusal_names_the_resource_and_the_reason() {
    operate(&[], |far| {
        let client = when_kept(far, 1);
        let [batch, echo, ghost] = ["batch", "echo", "ghost"].map(name);
        let (to_echo, of_batch) = (Some(echo.clone()), Some(batch.clone()));
        let lot =
            |lot, to: &Option<Name>| Change::MoveLot { lot, from: name("batch"), to: to.clone(), ask: 0 };
        let refusals = [
            (Change::Create { name: echo.clone() }, "echo exists already"),
            (
                Change::Create { name: ghost.clone() },
                "there is no subOS ghost; there are batch, echo, spinner",
            ),
            (Change::Destroy { name: name("spinner") }, "spinner does not exist now"),
            (Change::Destroy { name: ghost.clone() }, "there is no subOS ghost"),
            (Change::Restart { name: ghost }, "there is no subOS ghost"),
            (core(1, None, to_echo.clone()), "core 1 is batch's"),
            (core(0, None, to_echo.clone()), "core 0 is the supervisor's"),
            (core(3, of_batch.clone(), to_echo.clone()), "batch does not have core 3; it has 1, 2"),
            (core(99, None, to_echo.clone()), "there is no core 99: the machine has 6"),
            (core(1, of_batch.clone(), of_batch.clone()), "core 1 is to go to where it is"),
            (core(5, None, None), "core 5 is to go to where it is"),
            (core(4, None, Some(name("spinner"))), "spinner does not exist now"),
            (lot(0, &to_echo), "lot 0 is batch's home lot, which goes only with batch"),
            (lot(7, &to_echo), "batch has no lot 7 that can be moved; it has 0, 1"),
            (lot(1, &of_batch), "batch has lot 1 already"),
            (Change::GrantLot { chunks: 0, to: echo.clone() }, "echo is to get no memory at all"),
            (
                Change::GrantLot { chunks: 1000, to: echo.clone() },
                "2000 MiB of memory are asked for, and 70 MiB are free",
            ),
            (Change::GrantLot { chunks: u32::MAX, to: echo.clone() }, "MiB of memory are asked for"),
            (
                Change::MoveCore { core: 1, from: of_batch, to: None, ask: 60_001 },
                "asking for 60001 ms is too long: 60000 ms at most",
            ),
        ];
        for (change, expected) in refusals {
            let reason = carry_out(&client, change.clone()).unwrap_err();
            assert!(reason.contains(expected), "{change:?}: {reason}");
        }
        assert_eq!(client.outcome(12_345), Ok(Outcome::Unknown));
    });
}

#[test]
fn what_the_machine_refuses_is_undone_and_the_run_goes_on() {
    // The third request for a resource, and those after it: the first two build the subOSes.
    let faults: Vec<Fault> = (0..40).filter(|request| *request >= 12).map(Fault::NoResource).collect();
    operate(&faults, |far| {
        let client = when_kept(far, 1);
        let mut failed = 0;
        for _ in 0..8 {
            let before = (client.machine().unwrap().free, client.subos(2).unwrap());
            if let Err(reason) = carry_out(&client, Change::Create { name: name("spinner") }) {
                assert!(reason.contains("(spinner): NoResource"), "{reason}");
                assert_eq!((client.machine().unwrap().free, client.subos(2).unwrap()), before);
                failed += 1;
            } else {
                assert_eq!(carry_out(&client, Change::Destroy { name: name("spinner") }), Ok(()));
            }
        }
        assert!(failed > 0, "nothing was refused");
    });
}

#[test]
fn whoever_dies_when_the_plan_is_done_is_buried_and_can_be_created_again() {
    operate(&[Fault::Dies(0, 400)], |far| {
        let client = when_kept(far, 1);
        while client.subos(0).unwrap().life != Life::Absent {}
        assert_eq!(client.subos(0).unwrap().deaths, 1);
        assert_eq!(carry_out(&client, Change::Create { name: name("batch") }), Ok(()));
        assert_eq!(client.subos(0).unwrap().life, Life::Alive);
    });
}

#[test]
fn orders_of_many_wait_for_their_turn_and_too_many_are_refused() {
    operate(&[], |far| {
        let client = when_kept(far, 1);
        let restart = Change::Restart { name: name("echo") };
        let given: Vec<Ordered> = (0..40).map(|_| client.order(restart.clone()).unwrap()).collect();
        let taken: Vec<u32> = given
            .iter()
            .filter_map(|it| if let Ordered::Taken(ticket) = it { Some(*ticket) } else { None })
            .collect();
        let refused = given.iter().filter(|it| matches!(it, Ordered::Refused(_))).count();
        assert!(taken.len() >= 8 && refused > 0, "{given:?}");
        while client.machine().unwrap().orders > 0 {}
        let last = taken.iter().rev().take(8);
        assert!(last.copied().all(|ticket| client.outcome(ticket) == Ok(Outcome::Done)));
    });
}

#[test]
fn rubbish_and_operators_who_leave_in_the_middle_disturb_nobody() {
    let machine = operate(&[], |far| {
        let first = when_kept(far, 1);
        let mut half = [0; idl::serial::frame::FRAME_BYTES];
        let request = idl::interface::Long::new(Label::new(1, Generation::ANY).pack());
        let length = idl::serial::frame::encode(7, &request, &mut half).unwrap();
        far.say(&half[..length / 2]);
        far.say(&[0x55; 5000]);
        // One orders, and does not stay for the answer.
        first.order(Change::Restart { name: name("batch") }).unwrap();
        far.say(&half[..length]);
        let second = client(far, 50_000);
        while second.machine().unwrap().orders > 0 {}
        assert_eq!(second.machine().unwrap().rubbish, 1, "half a frame and what follows it are one");
        assert_eq!(second.subos(0).unwrap().life, Life::Alive);
    });
    assert!(machine.records("order").iter().any(|order| order.contains("restart%20batch")));
}

#[test]
fn it_withstands_an_attack() {
    for seed in 0..4 {
        let mut supervisor = Supervisor::new(machine(&[]), Box::new(plan()));
        assert!(supervisor.operator().is_none(), "there is no operator without being asked for");
        supervisor.serve_operator();
        attack(&mut supervisor.operator().unwrap(), seed);
    }
}

#[test]
fn its_schema_is_the_committed_one() {
    schema::hold::<Operator>(concat!(env!("CARGO_MANIFEST_DIR"), "/operator.schema"));
}

#[test]
fn who_may_only_look_changes_nothing() {
    use idl::interface::{InProcess, Session};
    let mut supervisor = Supervisor::new(machine(&[]), Box::new(plan()));
    supervisor.serve_operator();
    let server = supervisor.operator().unwrap();
    let client =
        OperatorClient::connect(InProcess::with_session(server, Session::new(2, Operator::SEE))).unwrap();
    assert_eq!(client.machine().unwrap().suboses, 3);
    let error = client.order(Change::Destroy { name: name("echo") }).unwrap_err();
    assert!(matches!(error, CallError::Denied(_)), "{error:?}");
    assert!(matches!(client.end(), Err(CallError::Denied(_))));
}

/// A server that is asked for nothing but a mock of it: clients of operators can be tested without a machine.
#[test]
fn it_can_be_mocked() {
    use idl::interface::{InProcess, Session};
    use idl::operator::{OperatorDispatch, OperatorMock};
    let mock =
        OperatorMock::new().outcome(|_, ticket| if ticket == 1 { Outcome::Done } else { Outcome::Unknown });
    fn is_server(_: &impl OperatorServer) {}
    is_server(&mock);
    let session = Session::new(1, Operator::SEE);
    let client = OperatorClient::connect(InProcess::with_session(OperatorDispatch(mock), session)).unwrap();
    assert_eq!((client.outcome(1), client.outcome(2)), (Ok(Outcome::Done), Ok(Outcome::Unknown)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_orders_in_any_order_leave_the_machine_as_it_was(
        orders in prop::collection::vec((0u8..6, 0u8..4, 0u8..4, 0u8..8), 1..12),
    ) {
        operate(&[], move |far| {
            let client = when_kept(far, 1);
            let names = ["batch", "echo", "spinner", "ghost"].map(name);
            for (verb, one, other, number) in orders {
                let [one, other] = [one, other].map(|index| names[usize::from(index)].clone());
                let change = match verb {
                    0 => Change::Create { name: one },
                    1 => Change::Destroy { name: one },
                    2 => Change::Restart { name: one },
                    3 => core(number, (number % 2 == 0).then_some(one), (number % 3 != 0).then_some(other)),
                    4 => Change::GrantLot { chunks: u32::from(number), to: one },
                    _ => Change::MoveLot { lot: number, from: one, to: Some(other), ask: 0 },
                };
                // Whether it can be done or not, the machine says so and stands.
                let _ = carry_out(&client, change);
            }
        });
    }
}
