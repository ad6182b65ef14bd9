//! What the subOSes do that cases make: each by the name in its arguments.

use alloc::vec;
use alloc::vec::Vec;

use idl::abi::REGISTER_WORDS;
use idl::event::Event;
use idl::types::{Bits, LotNumber};
use userlib::cap::{Endpoint, Notification, Region, Uplink};
use userlib::memory::{self, Mapping};
use userlib::{Cap, Error, Rights, environment, print, println, thread, time};

use crate::PATIENCE;
use crate::residents::settle_in;

/// What a child says when it runs.
pub(crate) const HELLO: u64 = 1;
/// How far a child that counts has come.
pub(crate) const COUNT: u64 = 2;
/// What a child found in a lot: how many pages, how many of them not zero.
pub(crate) const LOT: u64 = 3;
/// A core was asked for.
pub(crate) const WANTED: u64 = 6;
/// The answer to words that are sent down.
pub(crate) const ECHO: u64 = 4;

/// All of them.
pub(crate) const CHILDREN: &[(&str, fn())] =
    &[("suboses/fault", fault), ("suboses/talk", talk), ("suboses/count", count), ("suboses/settle", settle)];

/// Says hello with this word, and takes in whatever the kernel and the supervisor say, for ever.
pub(crate) fn attend(word: u64, mut take_in: impl FnMut(Cap<Uplink>, [u64; REGISTER_WORDS])) {
    let uplink = environment().uplink();
    let bell: Cap<Notification> = memory::create(0).expect("a notification");
    uplink.bind(bell.handle(), Bits(1)).expect("bind");
    let _ = uplink.send(HELLO, word, 0, 0, 0);
    loop {
        while let Ok(words) = uplink.receive() {
            take_in(uplink, words);
        }
        let _ = bell.wait(time::after(PATIENCE));
    }
}

/// Says hello, answers words, looks through lots.
fn talk() {
    let own = environment().startup().subos;
    println!("hello from subOS {own}");
    attend(u64::from(own), |uplink, words| match Event::from_words(&words) {
        Ok(Event::LotGranted { lot, .. }) => {
            let (pages, used) = fill(lot).unwrap_or((0, u64::MAX));
            let _ = uplink.send(LOT, u64::from(lot.0), pages, used, 0);
        }
        Ok(_) => {}
        Err(_) => {
            let _ = uplink.send(ECHO, words[0] + 1, words[1], 0, 0);
        }
    });
}

/// Where [`fault`] writes.
pub(crate) const NOWHERE: u64 = 0x6_78a0;

/// Says hello and writes where nothing is, by an address in a register.
fn fault() {
    print!("hello, unfinished");
    let _ = environment().uplink().send(HELLO, 0, 0, 0, 0);
    userlib::testing::stray_write(core::hint::black_box(NOWHERE));
}

/// Counts the pages of a lot that are not zero, then makes all of them so.
fn fill(lot: LotNumber) -> Result<(u64, u64), Error> {
    let untyped = environment().lot(lot.0)?;
    let size = untyped.info()?.size / idl::abi::PAGE_SIZE;
    let region: Cap<Region> = memory::create_from(untyped, size)?;
    let mapping = Mapping::of(region, Rights::READ | Rights::WRITE)?;
    let mut used = 0;
    let mut page = vec![0; 4096];
    for index in 0..usize::try_from(size).unwrap_or(0) {
        mapping.read(index * 4096, &mut page);
        used += u64::from(page.iter().any(|byte| *byte != 0));
        mapping.write(index * 4096, &[0x5a; 4096]);
    }
    Ok((size, used))
}

/// Counts on as many threads as there are cores, and says how far it has come.
fn count() {
    let uplink = environment().uplink();
    let _ = uplink.send(HELLO, 0, 0, 0, 0);
    let mut total = 0_u64;
    loop {
        let threads: Vec<_> = (0..3).filter_map(|_| thread::spawn(|| spin_for(20_000)).ok()).collect();
        for thread in threads {
            total += thread.join(time::after(PATIENCE)).unwrap_or(0);
        }
        let _ = uplink.send(COUNT, total, 0, 0, 0);
    }
}

fn spin_for(turns: u64) -> u64 {
    (0..turns).fold(0, |sum, turn| core::hint::black_box(sum + turn % 2))
}

/// Answers words, and settles in every lot.
fn settle() {
    // The heap must not grow into what will be taken.
    drop(core::hint::black_box(vec![1_u8; 1 << 20]));
    let elsewhere: Cap<Endpoint> = memory::create(0).expect("an endpoint");
    attend(0, |uplink, words| match Event::from_words(&words) {
        Ok(Event::LotGranted { lot, .. }) => {
            let made = settle_in(lot, elsewhere).unwrap_or(0);
            let _ = uplink.send(LOT, u64::from(lot.0), made, 0, 0);
        }
        Ok(Event::CoreWanted { core, .. }) => {
            let _ = uplink.send(WANTED, u64::from(core.0), 0, 0, 0);
        }
        Ok(_) => {}
        Err(_) => {
            let _ = uplink.send(ECHO, words[0] + 1, 0, 0, 0);
        }
    });
}
