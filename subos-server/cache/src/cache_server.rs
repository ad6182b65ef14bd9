//! The cache, as a server of a table that also has `disk` and `metrics`.
#![no_std]
#![no_main]

use core::time::Duration;

use subos_cache::{Cache, Disk, DiskDispatch, Seen};
use subos_metrics::{Meter, Metrics};
use userlib::server::Service;
use userlib::{Error, directory};

userlib::main!(main);

/// How long the disk may take. It is less than what clients give the cache.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the collector may take to take a report: nobody waits for that longer than for a disk.
const BRIEF: Duration = Duration::from_millis(100);

fn main() -> Result<(), &'static str> {
    let disk = directory::open("disk", Disk::READ | Disk::WRITE);
    let disk = disk.map_err(|_| "the table gives no connection to the disk")?.patience(PATIENCE);
    let metrics = directory::open("metrics", Metrics::REPORT);
    let metrics = metrics.map_err(|_| "the table gives no connection to the collector")?.patience(BRIEF);
    let (mut hits, mut misses) = (Meter::new(metrics, "cache hits"), Meter::new(metrics, "cache misses"));
    let note = |seen| match seen {
        Seen::Hit => hits.add(1),
        Seen::Miss => misses.add(1),
    };
    let cache = Cache::new(disk, note).map_err(Error::name)?;
    let service = Service::on(directory::own_endpoint()).map_err(Error::name)?;
    Err(service.serve(&mut DiskDispatch(cache)).name())
}
