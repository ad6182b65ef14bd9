//! A client of a disk, or of a cache that is one: it writes each block, reads often from few and now and then from all, and
//! checks what it gets. It counts the blocks that were right on its tally.
#![no_std]
#![no_main]

use core::time::Duration;

use idl::interface::{CallError, Transport};
use idl::types::Pages;
use subos_cache::{BLOCK, Disk, DiskClient, DiskError};
use userlib::server::Buffer;
use userlib::tally::Tally;
use userlib::{Error, directory, environment, time};

userlib::main!(main);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before calling a server again that was away.
const NAP: Duration = Duration::from_millis(2);
/// Of how many reads one is from anywhere; the others are from the first few blocks.
const FAR_EVERY: u64 = 8;
/// How many blocks are near.
const NEAR: u64 = 4;

fn main() -> Result<(), &'static str> {
    let tally = Tally::on(environment().granted(directory::GRANTED_TALLY)).map_err(Error::name)?;
    let way = directory::open("cache", Disk::READ | Disk::WRITE);
    let way = way.map_err(|_| "the table gives no connection")?.patience(PATIENCE);
    let buffer = Buffer::new(Pages(1)).map_err(Error::name)?;
    loop {
        let connected = DiskClient::connect(way).map_err(CallError::widen);
        let Err(error) = connected.and_then(|disk| work(&disk, &buffer, &tally));
        match error {
            CallError::Dead(_) | CallError::Kernel(_) | CallError::Refused(DiskError::Away) => {
                time::sleep(NAP)
            }
            error => panic!("the disk answers with an error: {error:?}"),
        }
    }
}

/// Writes every block with a text of its own, then reads without end, until a call fails.
fn work<T: Transport>(
    disk: &DiskClient<T>,
    buffer: &Buffer,
    tally: &Tally,
) -> Result<core::convert::Infallible, CallError<DiskError>> {
    let blocks = disk.blocks()?;
    for block in 0..blocks {
        buffer.write(0, &[fill(block); BLOCK]);
        disk.write(block, buffer.region().lend())?;
    }
    for round in 0_u64.. {
        let block = if round % FAR_EVERY == 0 { round / FAR_EVERY % blocks } else { round % NEAR };
        buffer.write(0, &[0; BLOCK]);
        disk.read(block, buffer.region().lend())?;
        let mut bytes = [0; BLOCK];
        buffer.read(0, &mut bytes);
        assert!(bytes == [fill(block); BLOCK], "block {block} is not what was written");
        tally.add();
    }
    unreachable!("nobody reads so often")
}

/// What a block is filled with.
fn fill(block: u64) -> u8 {
    (block.wrapping_mul(37) + 1).to_le_bytes()[0]
}
