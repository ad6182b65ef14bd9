//! One test per rule; sequences are checked by the specification's crate.

extern crate std;

use std::vec;
use std::vec::Vec;

use super::{LedgerChange as Change, *};
use crate::Error;
use crate::bounds::MAX_CHANGES;

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

#[test]
fn a_ledger_covers_what_it_was_made_of() {
    let mut storage = Storage::new();
    let (ledger, _) = storage.ledger();
    assert_eq!((ledger.core_count(), ledger.chunk_count()), (4, 16));
    assert_eq!(ledger.cores().count(), 4);
}

/// A ledger in which a window is shared: lot 0 of the supervisor and lot 2 of another, chunks 1 and 2; lot 1 is chunks 3 and
/// 4, the supervisor's; core 1 is the other's.
fn shared(ledger: &mut Ledger<'_>, boss: SubOsId) -> SubOsId {
    let guest = ledger.create().unwrap();
    let changes = [lot(2, boss, LotRole::Window), lot(2, boss, LotRole::Extra), core(1, guest)];
    let Resource::Lot(window) = ledger.apply(&changes).unwrap()[0] else { panic!("a lot") };
    ledger.apply(&[Change::Share { lot: window, with: guest }]).unwrap();
    guest
}

/// Something to make wrong, and what is found then.
type Spoil<'a> = (&'a dyn Fn(&mut Ledger<'_>), Inconsistency);

#[test]
fn the_audit_finds_every_contradiction() {
    let mut storage = Storage::new();
    let (mut ledger, boss) = storage.ledger();
    let guest = shared(&mut ledger, boss);
    assert_eq!(ledger.audit(), Ok(()));
    assert_eq!((ledger.tally_chunks().total(), ledger.tally_cores().total()), (16, 4));
    let id = |index: u16| LotId { index, generation: 0 };
    let gone = SubOsId { generation: 9, ..guest };
    let spoils: [Spoil<'_>; 14] = [
        (&|it| it.chunks[3] = ChunkEntry::Pool, Inconsistency::Chunk(ChunkId(3))),
        (&|it| it.chunks[3] = ChunkEntry::Lot(0), Inconsistency::Chunk(ChunkId(3))),
        (&|it| it.chunks[10] = ChunkEntry::Lot(1), Inconsistency::Chunk(ChunkId(10))),
        (&|it| it.chunks[10] = ChunkEntry::Lot(77), Inconsistency::Chunk(ChunkId(10))),
        (&|it| it.lots[1].holder = Holder::Pool, Inconsistency::Lot(id(1))),
        (&|it| it.lots[1].holder = Holder::SubOs(gone), Inconsistency::Lot(id(1))),
        (&|it| it.lots[1].holder = Holder::Leaving(gone, Phase::Quiescing), Inconsistency::Lot(id(1))),
        (&|it| it.lots[1].seat = it.lots[0].seat, Inconsistency::Lot(id(0))),
        (&|it| it.lots[2].window = Window::Shared(1), Inconsistency::Lot(id(0))),
        (&|it| it.lots[0].window = Window::Shared(99), Inconsistency::Lot(id(0))),
        (&|it| it.lots[2].count = 1, Inconsistency::Lot(id(0))),
        (&|it| it.cores[1] = Holder::SubOs(gone), Inconsistency::Core(CoreId(1))),
        (&|it| it.cores[1] = Holder::Leaving(gone, Phase::Revoking), Inconsistency::Core(CoreId(1))),
        (&|it| it.suboses[usize::from(guest.index)].life = Life::Dying, Inconsistency::Lot(id(2))),
    ];
    let before =
        (ledger.cores.to_vec(), ledger.chunks.to_vec(), ledger.lots.to_vec(), ledger.suboses.to_vec());
    for (number, (spoil, expected)) in spoils.into_iter().enumerate() {
        spoil(&mut ledger);
        assert_eq!(ledger.audit(), Err(expected), "{number}");
        ledger.cores.clone_from_slice(&before.0);
        ledger.chunks.clone_from_slice(&before.1);
        ledger.lots.clone_from_slice(&before.2);
        ledger.suboses.clone_from_slice(&before.3);
    }
}

#[test]
fn a_window_that_one_side_gives_up_is_the_others_and_never_free() {
    let mut storage = Storage::new();
    let (mut ledger, boss) = storage.ledger();
    let guest = shared(&mut ledger, boss);
    let (mine, side) = (LotId { index: 0, generation: 0 }, LotId { index: 2, generation: 0 });
    ledger.apply(&[reclaim(Resource::Lot(side), guest)]).unwrap();
    ledger.revoked(Resource::Lot(side)).unwrap();
    ledger.quarantine(Resource::Lot(side)).unwrap();
    assert_eq!(ledger.lot(side), Err(Error::StaleHandle));
    assert_eq!(
        ledger.lot(mine).map(|lot| (lot.holder, lot.window)),
        Ok((Holder::SubOs(boss), Window::Spoilt))
    );
    ledger.apply(&[reclaim(Resource::Lot(mine), boss)]).unwrap();
    ledger.revoked(Resource::Lot(mine)).unwrap();
    assert_eq!(ledger.quiesced(Resource::Lot(mine)), Err(Error::CoreSilent));
    ledger.quarantine(Resource::Lot(mine)).unwrap();
    assert_eq!((ledger.tally_chunks().quarantined, ledger.audit()), (2, Ok(())));
}

#[test]
fn chunks_and_lots_lie_where_they_are_counted() {
    let lot = LotEntry { first: 3, count: 5, ..LotEntry::default() };
    assert_eq!((lot.address(), lot.bytes()), (6 << 20, 10 << 20));
    assert_eq!(ChunkId(7).address(), 14 << 20);
}

#[test]
fn a_transaction_has_so_many_changes_and_no_more() {
    let mut storage = Storage::new();
    let (mut ledger, boss) = storage.ledger();
    let changes = vec![core(99, boss); MAX_CHANGES + 1];
    assert_eq!(ledger.apply(&changes[1..]), Err((0, Error::OutOfRange)));
    assert_eq!(ledger.apply(&changes), Err((0, Error::TooLong)));
}

#[test]
fn a_lot_is_placed_only_where_all_is_free() {
    let mut storage = Storage::new();
    let (mut ledger, boss) = storage.ledger();
    let mut place =
        |first, chunks| ledger.place_lot(first, chunks, boss, LotRole::Extra).map(|lot| lot.index);
    assert_eq!(place(5, 0), Err(Error::BadSize));
    assert_eq!(place(0, 2), Err(Error::NoResource));
    assert_eq!(place(15, 2), Err(Error::OutOfRange));
    assert_eq!((place(5, 3), place(7, 2), place(8, 2)), (Ok(0), Err(Error::NoResource), Ok(1)));
}

/// A number that is used again stands for another lot than before, also if the first attempt to use it was taken back.
#[test]
fn old_names_of_lots_stay_old() {
    let mut storage = Storage::new();
    let (mut ledger, boss) = storage.ledger();
    let guest = shared(&mut ledger, boss);
    let (mine, side) = (LotId { index: 0, generation: 0 }, LotId { index: 2, generation: 0 });
    ledger.apply(&[reclaim(Resource::Lot(side), guest)]).unwrap();
    ledger.revoked(Resource::Lot(side)).unwrap();
    ledger.quiesced(Resource::Lot(side)).unwrap();
    let (share, fails) = (Change::Share { lot: mine, with: guest }, core(99, boss));
    for changes in [[share, fails], [lot(1, guest, LotRole::Extra), fails]] {
        assert_eq!(ledger.apply(&changes), Err((1, Error::OutOfRange)));
        assert_eq!(ledger.lot(mine).map(|lot| lot.window), Ok(Window::Alone));
        assert_eq!((ledger.lots().count(), ledger.audit()), (2, Ok(())));
    }
    let again = ledger.apply(&[share]).unwrap();
    assert_eq!(again[..], [Resource::Lot(LotId { index: 2, generation: 1 })]);
    assert_eq!(ledger.lot(side), Err(Error::StaleHandle));
}
