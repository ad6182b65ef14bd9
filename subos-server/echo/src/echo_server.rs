//! The echo server. Granted: 0, its endpoint, to receive.
#![no_std]
#![no_main]

use subos_echo::{Answers, EchoDispatch};
use userlib::server::Service;
use userlib::{Error, cap, environment};

userlib::main!(main);

fn main() -> Result<(), &'static str> {
    let service = Service::on(cap(environment().granted(0))).map_err(Error::name)?;
    Err(service.serve(&mut EchoDispatch(Answers)).name())
}
