//! Capabilities in messages: copies that are lent and taken back, and slots in which others arrive.

use alloc::vec::Vec;

use caps::{Error, Handle, Rights, SlotIndex};
use idl::abi::MESSAGE_CAPS;
use idl::interface::{Parcel, Passed, Passing};

use crate::environment::environment;
use crate::{page, slots};

/// Capabilities that go along with a message. Dropping it takes back what was lent.
pub(super) struct Outgoing {
    handles: Vec<(Handle, Passing)>,
}

impl Outgoing {
    /// Makes ready what is to go along: of what is lent a copy, with the rights that the method names and no others.
    pub(super) fn new(parcel: &Parcel) -> Result<Self, Error> {
        let mut outgoing = Self { handles: Vec::new() };
        for passed in parcel.iter() {
            let handle = match passed.passing {
                Passing::Lent => lend(passed)?,
                Passing::Moved => passed.handle,
            };
            outgoing.handles.push((handle, passed.passing));
        }
        Ok(outgoing)
    }

    /// Puts them into the message page; answers with how many they are.
    pub(super) fn announce(&self) -> Result<u8, Error> {
        if self.handles.is_empty() {
            return Ok(0);
        }
        let mut handles = [Handle::NONE; MESSAGE_CAPS];
        let mut moved = [false; MESSAGE_CAPS];
        for (index, (handle, passing)) in self.handles.iter().enumerate().take(MESSAGE_CAPS) {
            (handles[index], moved[index]) = (*handle, *passing == Passing::Moved);
        }
        page::set_send_caps(&handles, moved)?;
        u8::try_from(self.handles.len()).map_err(|_| Error::TooLong)
    }

    /// Deletes what was to be moved and is still there: nobody took it.
    pub(super) fn discard(&mut self) {
        for (handle, _) in self.handles.drain(..) {
            if environment().cspace().info(handle).is_ok() {
                remove(handle);
            } else {
                slots::release(handle.index());
            }
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        for (handle, _) in self.handles.iter().filter(|(_, passing)| *passing == Passing::Lent) {
            remove(*handle);
        }
    }
}

/// A copy to be handed on. It needs the right to derive, which is what handing on is.
fn lend(passed: Passed) -> Result<Handle, Error> {
    let slot = slots::allocate()?;
    let rights = passed.rights | Rights::DERIVE;
    let copy = environment().cspace().copy(passed.handle, Handle::NONE, slot, rights);
    if copy.is_err() {
        slots::release(slot);
    }
    copy
}

/// Deletes a capability, and all that was made of it, if it is still there.
pub(super) fn remove(handle: Handle) {
    // It may have gone with what it was derived from. Nothing else can be wrong with a handle of one's own.
    if let Err(Error::EmptySlot | Error::StaleHandle) = slots::delete(handle) {
        slots::release(handle.index());
    }
}

/// No slot: nothing can arrive there.
pub(super) const NOWHERE: SlotIndex = SlotIndex(0);

/// Slots for capabilities that may come with the next message. Dropping it gives those back that stayed empty; whoever
/// announced them has to announce something else before.
pub(super) struct Expected {
    slots: [SlotIndex; MESSAGE_CAPS],
}

impl Expected {
    /// So many slots.
    pub(super) fn new(count: u8) -> Result<Self, Error> {
        let mut expected = Self { slots: [NOWHERE; MESSAGE_CAPS] };
        expected.fill(usize::from(count))?;
        Ok(expected)
    }

    /// Takes slots until there are so many. Says whether any was missing.
    #[inline]
    pub(super) fn fill(&mut self, count: usize) -> Result<bool, Error> {
        let mut missing = false;
        for slot in self.slots.iter_mut().take(count).filter(|slot| **slot == NOWHERE) {
            *slot = slots::allocate()?;
            missing = true;
        }
        Ok(missing)
    }

    /// Tells the kernel which they are. Without any, nothing arrives.
    #[inline]
    pub(super) fn announce(&self) -> Result<(), Error> {
        page::set_receive_slots(&self.slots)
    }

    /// Looks at what came; its slots are the caller's from now on.
    #[inline]
    pub(super) fn collect_into(&mut self, count: u8, parcel: &mut Parcel) -> Result<(), Error> {
        parcel.clear();
        if count == 0 { Ok(()) } else { self.collect_some(count, parcel) }
    }

    #[cold]
    fn collect_some(&mut self, count: u8, parcel: &mut Parcel) -> Result<(), Error> {
        for (index, handle) in page::received_caps()?.into_iter().enumerate().take(usize::from(count)) {
            let slot = handle.index();
            let Some(place) = self.slots.iter_mut().find(|place| **place == slot && slot != NOWHERE) else {
                continue;
            };
            *place = NOWHERE;
            match environment().cspace().info(handle) {
                Ok(info) => {
                    let passing = Passing::Moved;
                    parcel.put(index, Passed { handle, passing, kind: info.kind, rights: info.rights });
                }
                // It has gone again.
                Err(_) => remove(handle),
            }
        }
        Ok(())
    }

    /// The same, once, for an answer. From then on nothing arrives.
    pub(super) fn collect(mut self, count: u8) -> Result<Parcel, Error> {
        let mut parcel = Parcel::new();
        self.collect_into(count, &mut parcel)?;
        Ok(parcel)
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        for slot in self.slots.into_iter().filter(|slot| *slot != NOWHERE) {
            slots::release(slot);
        }
    }
}
