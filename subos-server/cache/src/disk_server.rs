//! The memory disk, as a server of a table.
#![no_std]
#![no_main]

use subos_cache::{DiskDispatch, MemoryDisk};
use userlib::server::Service;
use userlib::{Error, directory};

userlib::main!(main);

fn main() -> Result<(), &'static str> {
    let service = Service::on(directory::own_endpoint()).map_err(Error::name)?;
    Err(service.serve(&mut DiskDispatch(MemoryDisk::default())).name())
}
