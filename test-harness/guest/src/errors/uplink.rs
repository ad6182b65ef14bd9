//! What a subOS that is not the supervisor's is refused: it runs this program too, and says what came of it.

use idl::types::{Bits, Length};
use userlib::cap::Notification;
use userlib::{Error, Handle, check_eq, environment, memory, println};

use super::refused;
use crate::{Outcome, said, subos};

pub(crate) fn of_uplinks() -> Outcome {
    let printed = subos::run("subos::uplink")?;
    let result = printed.lines().find(|line| line.starts_with("result: "));
    check_eq!(result, Some("result: ok"));
    Ok(())
}

/// Runs in the subOS: everything that it is refused.
pub(crate) fn subos() {
    match refusals() {
        Ok(()) => println!("\nresult: ok"),
        Err(error) => println!("\nresult: {error}"),
    }
}

fn refusals() -> Outcome {
    super::targets::of_uplinks()?;
    let uplink = environment().uplink();
    refused("a forged event", uplink.send(1 << 63, 0, 0, 0, 0), Error::InvalidArgument)?;
    while uplink.receive().is_ok() {}
    refused("nothing sent", uplink.receive(), Error::Empty)?;
    let notification = memory::create::<Notification>(0).map_err(said("notification"))?;
    uplink.bind(notification.handle(), Bits(1)).map_err(said("bind"))?;
    let other = memory::create::<Notification>(0).map_err(said("notification"))?;
    refused("bind another", uplink.bind(other.handle(), Bits(1)), Error::AlreadyBound)?;
    uplink.bind(Handle::NONE, Bits(0)).map_err(said("unbind"))?;
    refused("end the machine", environment().console().exit(0x10), Error::WrongState)?;
    refused("hear an operator", environment().console().receive(Length(1)), Error::WrongState)?;
    refused("answer an operator", environment().console().send(Length(1)), Error::WrongState)?;
    full()
}

/// The rings have a bound: what nobody reads fills them.
fn full() -> Outcome {
    let uplink = environment().uplink();
    let refusal = (0..1000).find_map(|_| uplink.send(1, 0, 0, 0, 0).err());
    check_eq!(refusal, Some(Error::Full));
    let console = environment().console();
    let line = userlib::page::put_bytes(&[b'.'; 64]).map_err(said("page"))?;
    let refusal = (0..100_000).find_map(|_| console.write(Length(line.0)).err());
    check_eq!(refusal, Some(Error::Full));
    Ok(())
}
