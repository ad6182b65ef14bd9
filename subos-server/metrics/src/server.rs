//! The collector, as a server of a table.
#![no_std]
#![no_main]

use subos_metrics::{Collector, MetricsDispatch};
use userlib::server::Service;
use userlib::{Error, directory};

userlib::main!(main);

fn main() -> Result<(), &'static str> {
    let service = Service::on(directory::own_endpoint()).map_err(Error::name)?;
    Err(service.serve(&mut MetricsDispatch(Collector::default())).name())
}
