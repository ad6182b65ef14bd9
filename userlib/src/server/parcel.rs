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

/// Slots for capabilities that may come with the next message. Dropping it gives those back that stayed empty.
pub(super) struct Expected {
    slots: Vec<SlotIndex>,
}

impl Expected {
    /// So many slots.
    pub(super) fn new(count: u8) -> Result<Self, Error> {
        let mut expected = Self { slots: Vec::new() };
        expected.fill(usize::from(count))?;
        Ok(expected)
    }

    /// Takes slots until there are so many.
    pub(super) fn fill(&mut self, count: usize) -> Result<(), Error> {
        while self.slots.len() < count.min(MESSAGE_CAPS) {
            self.slots.push(slots::allocate()?);
        }
        Ok(())
    }

    /// Tells the kernel which they are. Without any, nothing arrives.
    pub(super) fn announce(&self) -> Result<(), Error> {
        let mut slots = [SlotIndex(0); MESSAGE_CAPS];
        for (to, from) in slots.iter_mut().zip(&self.slots) {
            *to = *from;
        }
        page::set_receive_slots(&slots)
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
            let Some(place) = self.slots.iter().position(|slot| *slot == handle.index()) else { continue };
            self.slots.swap_remove(place);
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
        if self.slots.is_empty() {
            return;
        }
        // Without a page nothing arrives anyway.
        let _ = page::set_receive_slots(&[SlotIndex(0); MESSAGE_CAPS]);
        for slot in self.slots.drain(..) {
            slots::release(slot);
        }
    }
}
