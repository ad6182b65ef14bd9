//! How much memory the kernel takes for a subOS, besides what the subOS makes of its own memory.
//!
//! That is: what its home lot has and its first program does not get, the tables of its kernel half, its share with the
//! supervisor, and the areas of its cores. The kernel says all of it; nothing here knows how large what is.

use alloc::string::String;

use idl::abi::PAGE_SIZE;
use idl::types::{CoreNumber, MachineQuestion};
use userlib::environment;

use super::clock::Row;
use super::cores::{HOME, destroy, hear, prepare};
use crate::{Outcome, said};

/// Bytes of a chunk.
const CHUNK: u64 = 512 * PAGE_SIZE;

pub(super) fn measure() -> Outcome {
    let before = system_pages()?;
    let subos = prepare("cell second")?;
    subos.grant_core(CoreNumber(1)).map_err(said("grant"))?;
    let one = system_pages()?;
    subos.grant_core(CoreNumber(2)).map_err(said("grant"))?;
    let two = system_pages()?;
    subos.start().map_err(said("start"))?;
    let own = hear(subos)?[1];
    destroy(subos)?;
    let [_, area, _, share, _] =
        environment().machine().info(MachineQuestion::Places).map_err(said("info"))?;
    let home = u64::from(HOME.0) * CHUNK;
    let kernel =
        home.checked_sub(own).filter(|_| own > 0).ok_or("a subOS that knows nothing of its home lot")?;
    report("kernel-memory", kernel + (before - one) * PAGE_SIZE + share + area)?;
    report("kernel-memory-core", (one - two) * PAGE_SIZE + area)
}

/// Pages for tables of kernel halves that nobody ever used: as long as none came back, those are all that are free.
fn system_pages() -> Result<u64, String> {
    Ok(environment().machine().info(MachineQuestion::Memory).map_err(said("info"))?[0])
}

fn report(name: &'static str, bytes: u64) -> Outcome {
    let mut row = Row::new(name, 1);
    row.add(bytes);
    row.report()
}

/// Bytes of a subOS's home lot that are its own, as itself sees it; 0 if it cannot.
pub(super) fn home() -> u64 {
    environment().lot(0).and_then(|lot| lot.info()).map_or(0, |info| info.size)
}
