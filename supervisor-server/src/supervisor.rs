//! SubOS 0's program.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use idl::bundle;
use idl::operator::OPERATOR;
use idl::plan::{self, Plan};
use supervisor_server::machine::{ThisMachine, boot_bundle};
use supervisor_server::perform::Supervisor;
use userlib::{environment, testing};

userlib::main!(main);

fn main() {
    testing::finish(run());
}

/// A plan is large and a stack is not: away from this frame, it goes to the heap at once.
#[inline(never)]
fn decode(bytes: &[u8]) -> Result<Box<Plan>, String> {
    plan::decode(bytes).map(Box::new).map_err(|error| format!("the plan: {error}"))
}

/// Carries the plan out; comes back only when it cannot even begin.
fn run() -> Result<(), String> {
    let environment = environment();
    let files = boot_bundle(&environment)?;
    let entry = files.find(bundle::PLAN).ok_or("the boot bundle has no plan")?;
    let plan = decode(entry.data)?;
    let operated = files.find(OPERATOR).is_some();
    let machine =
        ThisMachine::new(&environment, files).map_err(|error| format!("the doorbell: {}", error.name()))?;
    let mut supervisor = Supervisor::new(machine, plan);
    if operated {
        supervisor.serve_operator();
    }
    supervisor.run();
    Err("the machine did not end".into())
}
