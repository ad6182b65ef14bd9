//! SubOS 0's program.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use idl::bundle;
use idl::plan;
use supervisor_server::machine::{ThisMachine, boot_bundle};
use supervisor_server::perform::Supervisor;
use userlib::{environment, testing};

userlib::main!(main);

fn main() {
    testing::finish(run());
}

/// Carries the plan out; comes back only when it cannot even begin.
fn run() -> Result<(), String> {
    let environment = environment();
    let files = boot_bundle(&environment)?;
    let entry = files.find(bundle::PLAN).ok_or("the boot bundle has no plan")?;
    let plan = plan::decode(entry.data).map_err(|error| format!("the plan: {error}"))?;
    let machine =
        ThisMachine::new(&environment, files).map_err(|error| format!("the doorbell: {}", error.name()))?;
    Supervisor::new(machine, plan).run();
    Err("the machine did not end".into())
}
