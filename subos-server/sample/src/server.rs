//! The server, as a program. It is one line of a subOS's table.
#![no_std]
#![no_main]

use subos_sample::{Keeper, SampleDispatch};
use userlib::server::Service;
use userlib::{Error, directory};

userlib::main!(main);

fn main() -> Result<(), &'static str> {
    let service = Service::on(directory::own_endpoint()).map_err(Error::name)?;
    Err(service.serve(&mut SampleDispatch(Keeper::default())).name())
}
