//! One test per rule; sequences are checked by the specification's crate.

extern crate std;

use std::vec;
use std::vec::Vec;

use super::{LedgerChange as Change, *};
use crate::Error;

struct Storage {
    cores: Vec<Holder>,
    chunks: Vec<ChunkEntry>,
    lots: Vec<LotEntry>,
    suboses: Vec<SubOsEntry>,
}

impl Storage {
    fn new() -> Self {
        Self {
            cores: vec![Holder::default(); 4],
            chunks: vec![ChunkEntry::default(); 16],
            lots: vec![LotEntry::default(); 4],
            suboses: vec![SubOsEntry::default(); 3],
        }
    }

    /// Chunk 0 stays reserved, all else is in the pool; subOS 0 exists and holds nothing.
    fn ledger(&mut self) -> (Ledger<'_>, SubOsId) {
        let mut ledger = Ledger::new(&mut self.cores, &mut self.chunks, &mut self.lots, &mut self.suboses);
        (0..4).for_each(|core| ledger.release_core(CoreId(core)).unwrap());
        (1..16).for_each(|chunk| ledger.release_chunk(ChunkId(chunk)).unwrap());
        let supervisor = ledger.create().unwrap();
        (ledger, supervisor)
    }
}

fn core(core: u8, to: SubOsId) -> Change {
    Change::GrantCore { core: CoreId(core), to }
}

fn lot(chunks: u32, to: SubOsId, role: LotRole) -> Change {
    Change::GrantLot { chunks, to, role }
}

fn reclaim(resource: Resource, from: SubOsId) -> Change {
    Change::Reclaim { resource, from }
}

#[test]
fn a_transaction_that_fails_leaves_everything_as_it_was() {
    let mut storage = Storage::new();
    let (mut ledger, boss) = storage.ledger();
    let guest = ledger.create().unwrap();
    let held = ledger.apply(&[core(0, boss), lot(2, boss, LotRole::Extra)]).unwrap();
    let before = (ledger.tally_cores(), ledger.tally_chunks(), ledger.lots().collect::<Vec<_>>());
    let changes = [
        core(1, guest),
        lot(3, guest, LotRole::Home),
        reclaim(held[1], boss),
        reclaim(Resource::Core(CoreId(0)), boss),
        lot(99, boss, LotRole::Extra),
    ];
    assert_eq!(ledger.apply(&changes), Err((4, Error::NoResource)));
    assert_eq!((ledger.tally_cores(), ledger.tally_chunks(), ledger.lots().collect::<Vec<_>>()), before);
    assert_eq!(ledger.core(CoreId(0)), Ok(Holder::SubOs(boss)));
    assert_eq!(ledger.audit(), Ok(()));
    let twice = [core(1, guest), reclaim(Resource::Core(CoreId(1)), guest)];
    assert_eq!(ledger.apply(&twice), Err((1, Error::InvalidArgument)));
    assert_eq!(ledger.core(CoreId(1)), Ok(Holder::Pool));
    assert_eq!(ledger.apply(&changes[..4]).map(|made| made.len()), Ok(4));
}

#[test]
fn a_reclaim_goes_through_every_phase_in_order() {
    let mut storage = Storage::new();
    let (mut ledger, boss) = storage.ledger();
    let made = ledger.apply(&[core(2, boss), lot(4, boss, LotRole::Extra)]).unwrap();
    for &resource in &made {
        assert_eq!(ledger.revoked(resource), Err(Error::WrongState));
        ledger.apply(&[reclaim(resource, boss)]).unwrap();
        assert_eq!(ledger.apply(&[reclaim(resource, boss)]), Err((0, Error::Busy)));
        assert_eq!(ledger.quiesced(resource), Err(Error::WrongState));
        ledger.revoked(resource).unwrap();
        assert_eq!(ledger.scrubbed(resource), Err(Error::WrongState));
        ledger.quiesced(resource).unwrap();
        assert_eq!(ledger.revoked(resource), Err(Error::WrongState));
        ledger.scrubbed(resource).unwrap();
    }
    assert_eq!(ledger.core(CoreId(2)), Ok(Holder::Pool));
    assert_eq!(ledger.holder(made[1]), Err(Error::StaleHandle));
    assert_eq!(ledger.tally_chunks(), Tally { reserved: 1, pool: 15, ..Tally::default() });
}

#[test]
fn a_home_lot_goes_only_with_its_subos_and_only_after_its_cores() {
    let mut storage = Storage::new();
    let (mut ledger, boss) = storage.ledger();
    let guest = ledger.create().unwrap();
    let made = ledger.apply(&[lot(2, guest, LotRole::Home), core(3, guest)]).unwrap();
    let (home, third) = (made[0], made[1]);
    assert_eq!(ledger.apply(&[lot(1, guest, LotRole::Home)]), Err((0, Error::AlreadyBound)));
    assert_eq!(ledger.apply(&[reclaim(home, guest)]), Err((0, Error::HomeLot)));
    assert_eq!(ledger.apply(&[reclaim(home, boss)]), Err((0, Error::NotOwner)));
    assert_eq!(ledger.destroy(boss), Err(Error::InvalidArgument));
    ledger.destroy(guest).unwrap();
    assert_eq!(ledger.apply(&[core(1, guest)]), Err((0, Error::WrongState)));
    assert_eq!(ledger.quiesced(home), Err(Error::Busy));
    ledger.quiesced(third).unwrap();
    ledger.quiesced(home).unwrap();
    ledger.scrubbed(home).unwrap();
    assert_eq!(ledger.destroyed(guest), Err(Error::Busy));
    ledger.scrubbed(third).unwrap();
    ledger.destroyed(guest).unwrap();
    assert_eq!(ledger.life(guest), Err(Error::StaleHandle));
    let next = ledger.create().unwrap();
    assert_eq!((next.index, next.generation), (guest.index, 1));
}

#[test]
fn a_silent_core_keeps_its_holders_memory_out_of_the_pool() {
    let mut storage = Storage::new();
    let (mut ledger, _) = storage.ledger();
    let guest = ledger.create().unwrap();
    let made = ledger.apply(&[lot(2, guest, LotRole::Home), core(3, guest)]).unwrap();
    ledger.destroy(guest).unwrap();
    ledger.quarantine(made[1]).unwrap();
    assert_eq!(ledger.quiesced(made[0]), Err(Error::CoreSilent));
    ledger.quarantine(made[0]).unwrap();
    ledger.destroyed(guest).unwrap();
    assert_eq!(ledger.tally_chunks().quarantined, 2);
    assert_eq!(ledger.core(CoreId(3)), Ok(Holder::Quarantined));
    assert_eq!(ledger.audit(), Ok(()));
    let next = ledger.create().unwrap();
    assert_eq!(ledger.apply(&[core(3, next)]), Err((0, Error::NoResource)));
}

#[test]
fn lots_are_the_first_run_that_fits_and_seats_are_reused() {
    let mut storage = Storage::new();
    let (mut ledger, boss) = storage.ledger();
    let all = [lot(4, boss, LotRole::Home), lot(2, boss, LotRole::Extra), lot(5, boss, LotRole::Extra)];
    let made = ledger.apply(&all).unwrap();
    let entry = |ledger: &Ledger<'_>, resource| match resource {
        Resource::Lot(lot) => ledger.lot(lot).unwrap(),
        Resource::Core(_) => panic!("a core"),
    };
    assert_eq!(entry(&ledger, made[1]).first, 5);
    ledger.apply(&[reclaim(made[1], boss)]).unwrap();
    ledger.revoked(made[1]).unwrap();
    ledger.quiesced(made[1]).unwrap();
    ledger.scrubbed(made[1]).unwrap();
    assert_eq!(ledger.longest_run(), 4);
    assert_eq!(ledger.apply(&[lot(5, boss, LotRole::Extra)]), Err((0, Error::NoResource)));
    assert_eq!(ledger.apply(&[lot(0, boss, LotRole::Extra)]), Err((0, Error::BadSize)));
    let again = ledger.apply(&[lot(3, boss, LotRole::Extra), lot(2, boss, LotRole::Extra)]).unwrap();
    assert_eq!((entry(&ledger, again[0]).first, entry(&ledger, again[0]).seat), (12, 1));
    assert_eq!((entry(&ledger, again[1]).first, entry(&ledger, again[1]).seat), (5, 3));
    assert_eq!(ledger.apply(&[lot(1, boss, LotRole::Extra)]), Err((0, Error::NoResource)), "no number");
}
