//! The supervisor, with a machine at whose calls it crashes as its arguments say.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use guest_tests::crasher::Crashes;
use supervisor_server::machine::ThisMachine;
use supervisor_server::notes::BYTES;
use supervisor_server::perform::Supervisor;
use supervisor_server::port::MachinePort;
use supervisor_server::start::find_plan;
use supervisor_server::watched::Watched;
use userlib::environment;

userlib::main!(main);

fn main() -> Result<(), String> {
    let environment = environment();
    let (files, plan) = find_plan(&environment)?;
    let mut port =
        ThisMachine::new(&environment, files).map_err(|error| format!("given: {}", error.name()))?;
    let life = environment.startup().generation().0;
    let watch = Crashes::read(environment.arguments(), life)?;
    // Rubbish in the place of the notes, from this life on.
    if environment.argument("damaged").and_then(|word| word.parse().ok()) == Some(life) {
        port.note(0, &[0xa5; BYTES]);
    }
    Supervisor::new(Watched { port, watch }, plan).run();
    Ok(())
}
