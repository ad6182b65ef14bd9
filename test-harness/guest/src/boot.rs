//! The machine comes up: its cores, its memory, its clock.

use core::time::Duration;

use idl::types::{LedgerState, MachineQuestion, ResourceKind};
use userlib::{check, check_eq, environment, println, time};

use crate::{Outcome, said};

pub(crate) fn one_core() -> Outcome {
    comes_up(1)
}

pub(crate) fn two_cores() -> Outcome {
    comes_up(2)
}

pub(crate) fn four_cores() -> Outcome {
    comes_up(4)
}

pub(crate) fn sixteen_cores() -> Outcome {
    comes_up(16)
}

pub(crate) fn sixty_four_cores() -> Outcome {
    comes_up(64)
}

/// The kernel knows this many cores: the first is ours, the others are free. The clock goes.
fn comes_up(cores: u64) -> Outcome {
    let machine = environment().machine();
    let [known, chunks, free, suboses, hz] = machine.info(MachineQuestion::Totals).map_err(said("info"))?;
    println!("@boot t={} hz={hz} cores={known} memory={}", time::now().0, chunks * 2);
    check_eq!(known, cores);
    check_eq!(suboses, 1);
    check!(free > 0 && free < chunks, "of {chunks} chunks {free} are free");
    for core in 0..cores {
        let entry = machine.ledger(ResourceKind::Core, core).map_err(said("ledger"))?;
        let expected = if core == 0 { LedgerState::Owned } else { LedgerState::Free };
        check!(entry.state == expected, "core {core} is {:?}, not {expected:?}", entry.state);
    }
    check_eq!(environment().startup().core, 0);
    let begin = time::now();
    time::sleep(Duration::from_millis(20));
    check!(time::now().0 >= begin.0 + hz / 50, "a sleep of 20 ms took {} ticks", time::now().0 - begin.0);
    check!((100_000_000..20_000_000_000).contains(&hz), "the clock's rate is {hz}");
    Ok(())
}
