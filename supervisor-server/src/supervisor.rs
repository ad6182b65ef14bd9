//! The supervisor: a process in subOS 0, started by its keeper.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use idl::operator::OPERATOR;
use supervisor_server::machine::ThisMachine;
use supervisor_server::perform::Supervisor;
use supervisor_server::start::find_plan;
use userlib::environment;

userlib::main!(main);

/// Carries the plan out, or goes on with it.
fn main() -> Result<(), String> {
    let environment = environment();
    let (files, plan) = find_plan(&environment)?;
    let operated = files.find(OPERATOR).is_some();
    let machine = ThisMachine::new(&environment, files)
        .map_err(|error| format!("what the keeper gave cannot be used: {}", error.name()))?;
    let mut supervisor = Supervisor::new(machine, plan);
    if operated {
        supervisor.serve_operator();
    }
    supervisor.run();
    Ok(())
}
