//! One test per rule; sequences and invariants are checked by the specification's crate.

extern crate std;

use core::num::NonZeroU64;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::bounds::{EFFECTS_PER_REMOVAL, MAX_BINDING, MAX_MEMORY, PAGE};
use crate::effect::{Effect, Effects, Step};
use crate::{Change, Generation, Handle, Reset, Rights, SlotIndex, Table};

/// Checking and doing in one.
impl Forest {
    fn derive(
        &mut self,
        slots: &mut impl Slots,
        parent: SlotRef,
        dest: SlotRef,
        change: Change,
    ) -> Result<Capability, Error> {
        let child = self.check_derive(slots, parent, dest, change)?;
        Ok(self.grow(slots, child))
    }

    fn retype(
        &mut self,
        slots: &mut impl Slots,
        untyped: SlotRef,
        dest: SlotRef,
        kind: Kind,
        bytes: u64,
        align: u64,
    ) -> Result<Capability, Error> {
        let child = self.check_retype(slots, untyped, dest, kind, bytes, align)?;
        Ok(self.grow(slots, child))
    }

    fn bind(
        &mut self,
        slots: &mut impl Slots,
        region: SlotRef,
        space: SlotRef,
        dest: SlotRef,
        number: u16,
    ) -> Result<Capability, Error> {
        let child = self.check_bind(slots, region, space, dest, number)?;
        Ok(self.grow(slots, child))
    }

    fn pass_on(&mut self, slots: &mut impl Slots, from: SlotRef, to: SlotRef) -> Result<Capability, Error> {
        let passage = self.check_move(slots, from, to)?;
        Ok(self.pass(slots, passage))
    }
}

/// Slots 1 to 15 are a planted table of 16 at address 1024; the Untyped's memory is 64 KiB from 0x1_0000.
struct World {
    forest: Forest,
    slots: Vec<Slot>,
}

impl Slots for Vec<Slot> {
    fn slot(&self, at: SlotRef) -> &Slot {
        &self[at.number() as usize]
    }
    fn slot_mut(&mut self, at: SlotRef) -> &mut Slot {
        &mut self[at.number() as usize]
    }
}

const BASE: u32 = 16;
const MEMORY: u64 = 0x1_0000;

fn at(index: u32) -> SlotRef {
    SlotRef::new(BASE + index).unwrap()
}

fn table() -> Table {
    Table { first: at(0), count: 16 }
}

impl World {
    /// Slot 1: an Untyped with all rights. Slot 2: the table itself.
    fn new() -> Self {
        let mut world = Self { forest: Forest::new(), slots: vec![Slot::FREE; 0x800] };
        let (forest, slots) = (&mut world.forest, &mut world.slots);
        forest.plant(slots, at(1), Capability::new(Kind::Untyped, Rights::all(), MEMORY, 0x1_0000)).unwrap();
        let own = Capability::new(Kind::CSpace, Rights::all(), at(0).address(), 16);
        forest.plant(slots, at(2), own).unwrap();
        world
    }

    fn retype(&mut self, dest: u32, kind: Kind, bytes: u64) -> Capability {
        self.forest.retype(&mut self.slots, at(1), at(dest), kind, bytes, 1).unwrap()
    }

    fn copy(&mut self, parent: SlotRef, dest: SlotRef) -> Result<Capability, Error> {
        self.forest.derive(&mut self.slots, parent, dest, Change::rights(Rights::all()))
    }

    fn handle(&self, index: u32) -> Handle {
        Handle::new(SlotIndex(index), self.slots.slot(at(index)).generation())
    }

    fn look(&self, index: u32) -> Result<Kind, Error> {
        self.forest.lookup_any(&self.slots, table(), self.handle(index)).map(|found| found.capability.kind)
    }

    fn delete(&mut self, slot: SlotRef) -> Vec<Effect> {
        let mut all = Vec::new();
        for _ in 0..1000 {
            let mut effects = Effects::new();
            let step = self.forest.delete_step(&mut self.slots, slot, 1, &mut effects);
            all.extend(effects.iter().copied());
            match step {
                Ok(Step::More) => {}
                // Its own table went with it, so the slot was emptied before all was done.
                Err(Error::EmptySlot) => {
                    let mut effects = Effects::new();
                    if self.forest.sweep_step(&mut self.slots, 8, &mut effects) == Step::Done {
                        return all;
                    }
                }
                Ok(Step::Done) => return all,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the removal does not end")
    }
}

#[test]
fn lookup_gives_one_error_for_each_failed_check_in_order() {
    let mut world = World::new();
    let look = |world: &World, handle, kind, rights| {
        world.forest.lookup(&world.slots, table(), handle, kind, rights).map(|found| found.slot)
    };
    let good = world.handle(1);
    let stale = Handle::new(SlotIndex(1), Generation(7));
    let none = Rights::empty();
    assert_eq!(look(&world, good, Kind::Untyped, Rights::WRITE), Ok(at(1)));
    assert_eq!(look(&world, Handle::NONE, Kind::Untyped, none), Err(Error::OutOfRange));
    let beyond = Handle::new(SlotIndex(16), Generation(0));
    assert_eq!(look(&world, beyond, Kind::Untyped, none), Err(Error::OutOfRange));
    let free = Handle::new(SlotIndex(9), Generation(3));
    assert_eq!(look(&world, free, Kind::Untyped, none), Err(Error::EmptySlot));
    assert_eq!(look(&world, stale, Kind::Endpoint, none), Err(Error::StaleHandle));
    world.forest.lock(&mut world.slots, at(1)).unwrap();
    assert_eq!(look(&world, good, Kind::Endpoint, none), Err(Error::Locked));
    let slots = &mut world.slots;
    world.forest.unlock(slots, InFlight { slot: at(1), generation: Generation(0) });
    assert_eq!(look(&world, good, Kind::Endpoint, none), Err(Error::WrongKind));
    let weak = Change::rights(Rights::READ);
    world.forest.derive(&mut world.slots, at(1), at(3), weak).unwrap();
    let handle = world.handle(3);
    assert_eq!(look(&world, handle, Kind::Untyped, Rights::WRITE), Err(Error::MissingRight));
    world.forest.mark_revoking(&mut world.slots, at(1)).unwrap();
    assert_eq!(look(&world, handle, Kind::Endpoint, none), Err(Error::BeingRevoked));
    assert_eq!(look(&world, good, Kind::Untyped, none), Ok(at(1)), "the root itself is not below the mark");
}

#[test]
fn rights_range_and_badge_only_narrow() {
    let mut world = World::new();
    let region = world.retype(3, Kind::Region, 0x4000);
    world.retype(4, Kind::Endpoint, 64);
    let World { forest, slots } = &mut world;
    let part = Change { rights: Rights::READ | Rights::DERIVE, badge: None, part: Some((0x1000, 0x2000)) };
    let narrow = forest.derive(slots, at(3), at(5), part).unwrap();
    assert_eq!((narrow.object, narrow.size), (region.object + 0x1000, 0x2000));
    assert_eq!(forest.derive(slots, at(5), at(6), Change::rights(Rights::WRITE)), Err(Error::MissingRight));
    let wide = Change { part: Some((0x1000, 0x2000)), ..Change::rights(Rights::READ) };
    assert_eq!(forest.derive(slots, at(5), at(6), wide), Err(Error::BadRange));
    let badge = |number| Change { badge: NonZeroU64::new(number), ..Change::rights(Rights::all()) };
    assert_eq!(forest.derive(slots, at(3), at(6), badge(1)), Err(Error::InvalidArgument));
    forest.derive(slots, at(4), at(6), badge(1)).unwrap();
    assert_eq!(forest.derive(slots, at(6), at(7), badge(2)), Err(Error::InvalidArgument));
    assert_eq!(forest.derive(slots, at(6), at(7), Change::rights(Rights::CALL)).map(|cap| cap.badge), Ok(1));
}

#[test]
fn deleting_takes_all_that_was_derived_and_reports_each_object_once() {
    let mut world = World::new();
    let endpoint = world.retype(3, Kind::Endpoint, 64);
    let mint = Change { badge: NonZeroU64::new(9), ..Change::rights(Rights::all()) };
    world.forest.derive(&mut world.slots, at(3), at(4), mint).unwrap();
    world.copy(at(4), at(5)).unwrap();
    let effects = world.delete(at(3));
    let object = endpoint.object;
    let destroy = Effect::Destroy { kind: Kind::Endpoint, object, size: 64, badge: 0 };
    assert_eq!(effects, [Effect::Unbadge { object, badge: 9 }, destroy]);
    assert_eq!([3, 4, 5].map(|index| world.look(index)), [Err(Error::EmptySlot); 3]);
    assert!(!world.forest.is_removing());
}

#[test]
fn a_binding_falls_with_its_region_and_with_its_space() {
    let mut world = World::new();
    let region = world.retype(3, Kind::Region, 0x1000);
    let space = world.retype(4, Kind::AddressSpace, 0x2000);
    world.copy(at(4), at(5)).unwrap();
    for number in [1, 2] {
        let World { forest, slots } = &mut world;
        forest.bind(slots, at(3), at(5), at(5 + u32::from(number)), number).unwrap();
    }
    let unbind =
        |number| Effect::Unbind { space: space.object, number, object: region.object, size: region.size };
    assert_eq!(world.delete(at(6)), [unbind(1)]);
    let effects = world.delete(at(4));
    assert_eq!(effects[0], unbind(2));
    assert_eq!(effects.len(), 2, "the copy of the space has no effect");
    assert_eq!(world.look(3), Ok(Kind::Region));
    assert_eq!(world.slots.slot(at(3)).links().first_child, None);
}

#[test]
fn a_table_takes_what_is_stored_in_it_also_itself() {
    let mut world = World::new();
    let inner = world.retype(3, Kind::CSpace, 4 * 64).table().unwrap();
    let other = world.retype(4, Kind::CSpace, 4 * 64).table().unwrap();
    world.retype(5, Kind::Endpoint, 64);
    let World { forest, slots } = &mut world;
    // Each holds the other's first capability, and one holds an endpoint that has a copy elsewhere.
    forest.pass_on(slots, at(5), inner.at(SlotIndex(1)).unwrap()).unwrap();
    world.copy(inner.at(SlotIndex(1)).unwrap(), at(6)).unwrap();
    let World { forest, slots } = &mut world;
    forest.pass_on(slots, at(3), other.at(SlotIndex(1)).unwrap()).unwrap();
    forest.pass_on(slots, at(4), inner.at(SlotIndex(2)).unwrap()).unwrap();
    let effects = world.delete(other.at(SlotIndex(1)).unwrap());
    assert_eq!(effects.len(), 3, "{effects:?}");
    assert_eq!(world.look(6), Err(Error::EmptySlot));
    assert_eq!(world.look(1), Ok(Kind::Untyped));
    assert_eq!(world.slots.slot(at(1)).links().first_child, None);
    assert!(!world.forest.is_removing());
}

#[test]
fn a_flight_ends_once_or_is_void() {
    let mut world = World::new();
    world.retype(3, Kind::Endpoint, 64);
    world.copy(at(3), at(4)).unwrap();
    let ticket = world.forest.lock(&mut world.slots, at(4)).unwrap();
    assert_eq!(world.look(4), Err(Error::Locked));
    assert_eq!(world.copy(at(4), at(5)), Err(Error::Locked));
    let World { forest, slots } = &mut world;
    assert_eq!(forest.land(slots, ticket, at(3)), Err(Error::SlotOccupied));
    forest.mark_revoking(slots, at(3)).unwrap();
    assert_eq!(forest.land(slots, ticket, at(5)), Err(Error::BeingRevoked));
    let mut effects = Effects::new();
    assert_eq!(forest.revoke_step(slots, at(3), 10, &mut effects), Ok(Step::Done));
    assert_eq!(forest.land(slots, ticket, at(5)), Err(Error::Cancelled));
    world.copy(at(3), at(4)).unwrap();
    let World { forest, slots } = &mut world;
    let ticket = forest.lock(slots, at(4)).unwrap();
    forest.watch(slots, at(4)).unwrap();
    assert!(forest.land(slots, ticket, at(5)).is_ok());
    assert_eq!(forest.land(slots, ticket, at(6)), Err(Error::Cancelled));
    assert_eq!(slots.slot(at(4)).generation(), Generation(2));
    assert_eq!(slots.slot(at(5)).state(), State::COPY);
}

#[test]
fn memory_returns_only_by_a_reset_and_only_cleared() {
    let mut world = World::new();
    world.copy(at(1), at(3)).unwrap();
    world.retype(4, Kind::Region, 0x3000);
    let World { forest, slots } = &mut world;
    assert_eq!(forest.reset_begin(slots, at(3)), Err(Error::Busy), "the first capability made something too");
    assert_eq!(forest.retype(slots, at(3), at(5), Kind::Region, 0xd001, 1), Err(Error::BadSize));
    assert_eq!(forest.retype(slots, at(3), at(5), Kind::Region, 0xe000, 1), Err(Error::OutOfMemory));
    forest.retype(slots, at(3), at(5), Kind::Region, 0xd000, 1).unwrap();
    forest.reset_begin(slots, at(1)).unwrap();
    let mut effects = Effects::new();
    assert_eq!(forest.reset_step(slots, at(1), 1, &mut effects), Ok(Reset::Removing));
    assert_eq!(forest.reset_cleared(slots, at(1), 1), Err(Error::WrongState));
    let used = Used { start: MEMORY, bytes: 0x1_0000 };
    assert_eq!(forest.reset_step(slots, at(1), 9, &mut effects), Ok(Reset::Clear(used)));
    assert_eq!(forest.retype(slots, at(1), at(5), Kind::Region, 0x1000, 1), Err(Error::BeingRevoked));
    let rest = Used { start: MEMORY, bytes: 0x1000 };
    assert_eq!(forest.reset_cleared(slots, at(1), 0xf000), Ok(Reset::Clear(rest)));
    assert_eq!(forest.reset_cleared(slots, at(1), 0x1001), Err(Error::BadSize));
    assert_eq!(forest.reset_cleared(slots, at(1), 0x1000), Ok(Reset::Done));
    assert!(!forest.is_removing());
    world.retype(5, Kind::Region, 0x1_0000);
}

#[test]
fn a_plain_revoke_of_a_copy_does_not_let_it_finish_anothers_reset() {
    let mut world = World::new();
    world.copy(at(1), at(3)).unwrap();
    world.copy(at(1), at(4)).unwrap();
    let World { forest, slots } = &mut world;
    forest.retype(slots, at(4), at(5), Kind::Region, 0x1000, 1).unwrap();
    forest.mark_revoking(slots, at(3)).unwrap();
    forest.reset_begin(slots, at(1)).unwrap();
    let mut effects = Effects::new();
    assert_eq!(forest.reset_step(slots, at(3), 9, &mut effects), Err(Error::Busy));
    assert_eq!(forest.reset_cleared(slots, at(3), 0x1000), Err(Error::Busy));
}

#[test]
fn depth_is_bounded_and_old_slots_retire() {
    let mut world = World::new();
    world.slots[(BASE + 15) as usize] = Slot::free(Generation(u32::MAX - 1));
    world.retype(3, Kind::Endpoint, 64);
    world.copy(at(3), at(15)).unwrap();
    world.delete(at(15));
    assert_eq!(world.copy(at(3), at(15)), Err(Error::SlotRetired));
    let chain: Vec<_> = (0..14).map(|index| SlotRef::new(0x100 + index).unwrap()).collect();
    let mut above = at(3);
    for &below in &chain {
        world.copy(above, below).unwrap();
        above = below;
    }
    assert_eq!(world.copy(above, at(4)), Err(Error::DepthExceeded));
}

#[test]
fn a_copy_takes_the_place_of_another_unless_the_slot_would_retire() {
    let mut world = World::new();
    world.retype(3, Kind::Endpoint, 64);
    world.copy(at(3), at(4)).unwrap();
    let child = world.forest.check_replace(&world.slots, at(3), at(4)).unwrap();
    world.delete(at(4));
    assert_eq!(world.forest.grow(&mut world.slots, child).kind, Kind::Endpoint);
    assert_eq!(world.look(4), Ok(Kind::Endpoint));
    let refused = |world: &World, at: SlotRef, dest| world.forest.check_replace(&world.slots, at, dest).err();
    assert_eq!(refused(&world, at(6), at(4)), Some(Error::EmptySlot));
    world.slots[(BASE + 15) as usize] = Slot::free(Generation(u32::MAX - 1));
    assert_eq!(refused(&world, at(3), at(15)), None);
    world.copy(at(3), at(15)).unwrap();
    assert_eq!(refused(&world, at(3), at(15)), Some(Error::SlotRetired));
}

#[test]
fn a_second_revoke_is_not_done_while_a_fallen_table_is_not_swept() {
    let mut world = World::new();
    let inner = world.retype(3, Kind::CSpace, 4 * 64).table().unwrap();
    world.retype(4, Kind::Endpoint, 64);
    let World { forest, slots } = &mut world;
    forest.pass_on(slots, at(4), inner.at(SlotIndex(3)).unwrap()).unwrap();
    let mut effects = Effects::new();
    let mut steps = 0;
    while forest.revoke_step(slots, at(1), 1, &mut effects).unwrap() == Step::More {
        steps += 1;
        let left = slots.slot(inner.at(SlotIndex(3)).unwrap()).capability().is_some();
        if slots.slot(at(1)).links().first_child.is_none() && left {
            panic!("a child of the Untyped lives in the table");
        }
    }
    assert!(steps >= 3, "{steps}");
    assert!(!forest.is_removing());
}

#[test]
fn what_is_planted_is_memory_of_which_objects_can_be_made() {
    let mut world = World::new();
    let mut plant = |kind, object, size| {
        let World { forest, slots } = &mut world;
        forest.plant(slots, at(9), Capability::new(kind, Rights::all(), object, size))
    };
    for kind in [Kind::Untyped, Kind::Region] {
        for (object, size) in [(PAGE, 0), (0, PAGE), (PAGE, PAGE / 2), (PAGE / 2, PAGE), (MAX_MEMORY, PAGE)] {
            assert_eq!(plant(kind, object, size), Err(Error::BadRange), "{kind:?} {object:#x} {size:#x}");
        }
        assert_eq!(plant(kind, u64::MAX - PAGE + 1, PAGE), Err(Error::BadRange));
    }
    for object in [0, 1024 + 32, MAX_MEMORY] {
        assert_eq!(plant(Kind::CSpace, object, 8), Err(Error::BadRange), "{object:#x}");
        assert_eq!(plant(Kind::Thread, object, 4096), Err(Error::BadRange), "{object:#x}");
    }
    // What is no memory is not looked at as such.
    assert_eq!(plant(Kind::Core, 0, 0), Ok(()));
}

#[test]
fn memory_that_is_planted_with_a_badge_is_unused_all_the_same() {
    let mut world = World::new();
    let World { forest, slots } = &mut world;
    let badged = Capability { badge: 7, ..Capability::new(Kind::Untyped, Rights::all(), 1 << 20, PAGE) };
    forest.plant(slots, at(9), badged).unwrap();
    assert_eq!(slots.slot(at(9)).watermark(), Some(0));
}

#[test]
fn a_binding_has_a_number_that_a_page_table_entry_can_hold_and_no_badge() {
    let mut world = World::new();
    let region = Capability { badge: 5, ..Capability::new(Kind::Region, Rights::all(), 1 << 20, PAGE) };
    let World { forest, slots } = &mut world;
    forest.plant(slots, at(3), region).unwrap();
    world.retype(4, Kind::AddressSpace, PAGE);
    let World { forest, slots } = &mut world;
    for number in [0, MAX_BINDING + 1, u16::MAX] {
        let refused = forest.bind(slots, at(3), at(4), at(5), number);
        assert_eq!(refused, Err(Error::InvalidArgument), "{number}");
    }
    let last = forest.bind(slots, at(3), at(4), at(5), MAX_BINDING).unwrap();
    assert_eq!((last.number, last.badge), (MAX_BINDING, 0));
    assert_eq!(forest.bind(slots, at(3), at(4), at(6), 1).map(|says| says.number), Ok(1));
}

#[test]
fn a_part_of_a_region_begins_and_ends_with_a_page() {
    let mut world = World::new();
    world.retype(3, Kind::Region, 4 * PAGE);
    let World { forest, slots } = &mut world;
    let mut part = |offset, length| {
        let change = Change { part: Some((offset, length)), ..Change::rights(Rights::all()) };
        forest.derive(slots, at(3), at(4), change).map(|says| (says.object - MEMORY, says.size))
    };
    for (offset, length) in [(64, PAGE), (PAGE, 64), (PAGE, 0), (PAGE, 4 * PAGE), (u64::MAX - PAGE + 1, PAGE)]
    {
        assert_eq!(part(offset, length), Err(Error::BadRange), "{offset:#x} {length:#x}");
    }
    assert_eq!(part(PAGE, 3 * PAGE), Ok((PAGE, 3 * PAGE)));
}

#[test]
fn something_is_removed_exactly_if_there_is_room_for_its_effects() {
    for (room, gone) in [(EFFECTS_PER_REMOVAL - 1, false), (EFFECTS_PER_REMOVAL, true)] {
        let mut world = World::new();
        world.retype(3, Kind::Endpoint, 64);
        let World { forest, slots } = &mut world;
        forest.watch(slots, at(3)).unwrap();
        let mut effects = Effects::new();
        while effects.len() + room < effects.capacity() {
            effects.push(Effect::Unbadge { object: 0, badge: 0 }).unwrap();
        }
        let step = forest.delete_step(slots, at(3), 1, &mut effects).unwrap();
        assert_eq!((step == Step::Done, slots.slot(at(3)).is_free()), (gone, gone), "room for {room}");
        assert_eq!(effects.len() == effects.capacity(), gone);
    }
}

#[test]
fn the_right_to_derive_is_not_won_by_asking_for_it() {
    let mut world = World::new();
    world.retype(3, Kind::Endpoint, 64);
    let World { forest, slots } = &mut world;
    forest.derive(slots, at(3), at(4), Change::rights(Rights::CALL)).unwrap();
    for rights in [Rights::CALL, Rights::CALL | Rights::DERIVE] {
        let refused = forest.derive(slots, at(4), at(5), Change::rights(rights));
        assert_eq!(refused, Err(Error::MissingRight));
    }
}

#[test]
fn what_takes_nothing_along_is_deleted_at_once_though_a_table_is_still_swept() {
    let mut world = World::new();
    for (dest, kind, bytes) in [(3, Kind::CSpace, 8 * 64), (4, Kind::Endpoint, 64), (6, Kind::Untyped, PAGE)]
    {
        world.retype(dest, kind, bytes);
    }
    world.copy(at(4), at(5)).unwrap();
    world.copy(at(6), at(7)).unwrap();
    let inner = world.slots.slot(at(3)).cspace().unwrap().at(SlotIndex(1)).unwrap();
    world.copy(at(4), inner).unwrap();
    let World { forest, slots } = &mut world;
    let mut step = |index, budget| forest.delete_step(slots, at(index), budget, &mut Effects::new()).unwrap();
    assert_eq!(step(3, 0), Step::More);
    // A copy of an endpoint and one of memory; the memory itself waits for the table.
    assert_eq!((step(5, 1), step(7, 1), step(6, 1)), (Step::Done, Step::Done, Step::More));
    assert!(!slots.slot(at(6)).is_free() && slots.slot(at(7)).is_free());
    let World { forest, slots } = &mut world;
    forest.retype(slots, at(1), at(8), Kind::Notification, 64, 1).unwrap();
    assert_eq!(forest.delete_step(slots, at(8), 1, &mut Effects::new()), Ok(Step::Done));
}
