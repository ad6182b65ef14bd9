//! The disk, and the cache in front of it, in one process.

extern crate std;

use std::cell::Cell;
use std::rc::Rc;

use idl::interface::{Access, InProcess, Session};
use idl::peer::schema::hold;
use idl::peer::{Failing, Failure, attack};
use userlib::server::HostMemory;

use super::*;

type Behind = InProcess<DiskDispatch<MemoryDisk>>;

fn disk(access: Access<Disk>) -> Behind {
    InProcess::with_session(DiskDispatch(MemoryDisk::default()), Session::new(1, access))
}

fn all() -> Access<Disk> {
    Disk::READ | Disk::WRITE
}

/// A client of a cache in front of this disk, and how often the cache had what was wanted, and had not.
fn cached<T: Transport>(disk: T) -> (DiskClient<impl Transport>, Rc<Cell<[u64; 2]>>) {
    let seen = Rc::new(Cell::new([0; 2]));
    let noted = Rc::clone(&seen);
    let note = move |what| {
        let [hits, misses] = noted.get();
        noted.set(if what == Seen::Hit { [hits + 1, misses] } else { [hits, misses + 1] });
    };
    let cache = DiskDispatch(Cache::new(disk, note).unwrap());
    (DiskClient::connect(InProcess::with_session(cache, Session::new(1, all()))).unwrap(), seen)
}

fn write<T: Transport>(disk: &DiskClient<T>, block: u64, byte: u8) -> Result<(), CallError<DiskError>> {
    disk.write(block, HostMemory::new(vec![byte; BLOCK]).region().lend())
}

/// The block's first byte, of those that are all alike.
fn read<T: Transport>(disk: &DiskClient<T>, block: u64) -> Result<u8, CallError<DiskError>> {
    let memory = HostMemory::new(vec![0xee; BLOCK]);
    disk.read(block, memory.region().lend())?;
    let bytes = memory.bytes();
    assert!(bytes.iter().all(|byte| *byte == bytes[0]), "half a block");
    Ok(bytes[0])
}

/// What is written into a block, to know it again.
fn stamp(block: u64) -> u8 {
    block.to_le_bytes()[0] + 1
}

/// What every disk does, whatever is behind it.
fn is_a_disk<T: Transport>(disk: &DiskClient<T>) {
    assert_eq!(disk.blocks(), Ok(BLOCKS as u64));
    for block in 0..BLOCKS as u64 {
        assert_eq!(read(disk, block), Ok(0));
        assert_eq!(write(disk, block, stamp(block)), Ok(()));
    }
    for block in (0..BLOCKS as u64).rev() {
        assert_eq!(read(disk, block), Ok(stamp(block)));
    }
    for block in [BLOCKS as u64, u64::MAX] {
        assert_eq!(read(disk, block), Err(CallError::Refused(DiskError::NoSuchBlock)));
        assert_eq!(write(disk, block, 1), Err(CallError::Refused(DiskError::NoSuchBlock)));
    }
    let short = HostMemory::new(vec![9; BLOCK - 1]);
    assert_eq!(disk.write(0, short.region().lend()), Err(CallError::Refused(DiskError::Unusable)));
    assert_eq!(disk.read(0, short.region().lend()), Err(CallError::Refused(DiskError::Unusable)));
    assert_eq!(read(disk, 0), Ok(1), "what was refused changed nothing");
}

#[test]
fn a_disk_is_a_disk_and_so_is_a_cache() {
    is_a_disk(&DiskClient::connect(disk(all())).unwrap());
    is_a_disk(&cached(disk(all())).0);
    // And a cache in front of a cache.
    let behind = DiskDispatch(Cache::new(disk(all()), |_| ()).unwrap());
    is_a_disk(&cached(InProcess::with_session(behind, Session::new(1, all()))).0);
}

#[test]
fn what_is_kept_is_not_asked_for_again() {
    let (cache, seen) = cached(disk(all()));
    for _ in 0..3 {
        for block in 0..KEPT as u64 {
            read(&cache, block).unwrap();
        }
    }
    assert_eq!(seen.get(), [2 * KEPT as u64, KEPT as u64]);
    // The one that was not wanted for longest goes.
    read(&cache, 0).unwrap();
    read(&cache, 20).unwrap();
    seen.set([0; 2]);
    for block in [0, 20, 2, 3] {
        read(&cache, block).unwrap();
    }
    assert_eq!(seen.get(), [4, 0]);
    read(&cache, 1).unwrap();
    assert_eq!(seen.get(), [4, 1]);
}

#[test]
fn what_is_written_is_on_the_disk_and_is_kept() {
    let behind = disk(all());
    let (cache, seen) = cached(&behind);
    write(&cache, 3, 7).unwrap();
    assert_eq!(read(&cache, 3), Ok(7));
    assert_eq!(seen.get(), [1, 0]);
    assert_eq!(read(&DiskClient::new(&behind), 3), Ok(7));
}

#[test]
fn a_client_cannot_change_what_is_kept() {
    let (cache, _) = cached(disk(all()));
    let memory = HostMemory::new(vec![5; BLOCK]);
    cache.write(3, memory.region().lend()).unwrap();
    cache.read(4, memory.region().lend()).unwrap();
    drop(memory);
    assert_eq!((read(&cache, 3), read(&cache, 4)), (Ok(5), Ok(0)));
}

#[test]
fn a_disk_that_has_died_has_forgotten_and_so_has_the_cache() {
    let behind = disk(all());
    let (cache, seen) = cached(&behind);
    write(&cache, 1, 1).unwrap();
    write(&cache, 2, 2).unwrap();
    behind.restart(DiskDispatch(MemoryDisk::default()));
    assert_eq!(read(&cache, 1), Ok(1), "nothing has told it yet");
    assert_eq!(read(&cache, 9), Ok(0), "this does");
    assert_eq!((read(&cache, 1), read(&cache, 2)), (Ok(0), Ok(0)));
    assert_eq!(seen.get(), [1, 3]);
}

#[test]
fn what_nobody_knows_is_not_kept() {
    // Call 0 connects, 1 writes, 2 writes and is lost. It may be repeated three times, and each is lost too.
    let lost = |call: u32| (2..12).contains(&call).then_some(Failure::TimesOut);
    let behind = disk(all());
    let (cache, seen) = cached(Failing::new(&behind, lost));
    write(&cache, 1, 1).unwrap();
    assert_eq!(write(&cache, 1, 2), Err(CallError::Refused(DiskError::Away)));
    let away = (3..12).map(|_| read(&cache, 1)).filter(Result::is_err).count();
    assert_eq!(away, 9, "it does not answer with what it had");
    assert_eq!(read(&cache, 1), Ok(1));
    assert_eq!(seen.get(), [0, 10]);
}

#[test]
fn rights_are_the_sessions_own() {
    let client = DiskClient::connect(disk(Disk::READ)).unwrap();
    assert!(matches!(write(&client, 1, 1), Err(CallError::Denied(_))));
    assert_eq!(read(&client, 1), Ok(0));
}

#[test]
fn they_withstand_an_attack() {
    for seed in 0..5 {
        attack(&mut DiskDispatch(MemoryDisk::default()), seed);
        attack(&mut DiskDispatch(Cache::new(disk(all()), |_| ()).unwrap()), seed);
    }
}

#[test]
fn their_schemas_are_the_committed_ones() {
    for name in ["disk", "cache"] {
        hold::<Disk>(&std::format!("{}/{name}.schema", env!("CARGO_MANIFEST_DIR")));
    }
}
