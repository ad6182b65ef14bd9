//! Untyped: memory without a purpose, and how objects are made of it.

use caps::{Error, Kind, Slots};
use idl::Words;
use idl::kernel::untyped::{Call, UntypedInfo};

use crate::kernel::Kernel;
use crate::limits::PAGE;
use crate::memory::Ref;
use crate::object::address_space::{self, AddressSpace};
use crate::object::{endpoint, guest, notification, reply, thread};
use crate::outcome::{Answer, Outcome};
use crate::removal::Removing;
use crate::syscall::Caller;
use crate::types::PhysAddr;

/// The bytes that an object of this kind takes, from the size that the caller gave in the kind's unit.
fn bytes(kind: Kind, size: u64) -> Result<u64, Error> {
    let fixed = |bytes| if size == 0 { Ok(bytes) } else { Err(Error::BadSize) };
    match kind {
        Kind::Untyped | Kind::Region => size.checked_mul(PAGE).ok_or(Error::BadSize),
        Kind::AddressSpace if (address_space::MIN_PAGES..=address_space::MAX_PAGES).contains(&size) => {
            Ok(size * PAGE)
        }
        Kind::CSpace => size.checked_mul(caps::Slot::SIZE).ok_or(Error::BadSize),
        Kind::Thread => fixed(thread::SIZE),
        Kind::Endpoint => fixed(endpoint::SIZE),
        Kind::Notification => fixed(notification::SIZE),
        Kind::Reply => fixed(reply::SIZE),
        Kind::Guest => fixed(guest::SIZE),
        Kind::AddressSpace => Err(Error::BadSize),
        _ => Err(Error::InvalidArgument),
    }
}

impl Kernel {
    /// Carries out a call of an Untyped.
    pub fn invoke_untyped(&mut self, caller: &Caller, call: Call) -> Result<Outcome, Error> {
        let untyped = caller.found.slot;
        match call {
            Call::Retype { kind, size, slot } => {
                let bytes = bytes(kind, size)?;
                let dest = caller.table.vacant(&self.memory, slot)?;
                let made = self.forest.retype(&mut self.memory, untyped, dest, kind, bytes, 1)?;
                self.create(kind, PhysAddr(made.object), made.size);
                Ok(Answer::one(self.handle_at(dest, slot).0).into())
            }
            Call::Reset => self.remove(caller, untyped, Removing::Reset),
            Call::Info => {
                let first = self.forest.first_of(&self.memory, untyped);
                let used = self.memory.slot(first).watermark().unwrap_or(0);
                let info = UntypedInfo { size: caller.found.capability.size, used };
                Ok(Answer { words: info.to_words() }.into())
            }
        }
    }

    /// Writes a new object into the memory that retype carved, which is zero.
    pub fn create(&mut self, kind: Kind, at: PhysAddr, size: u64) {
        self.here().counters.objects += 1;
        match kind {
            Kind::Thread => {
                let seat = self.me;
                self.memory.create(at, thread::Thread::new(seat));
            }
            Kind::AddressSpace => self.create_space(at, size),
            Kind::Endpoint => {
                self.memory.create(at, endpoint::Endpoint::new());
            }
            Kind::Notification => {
                self.memory.create(at, notification::Notification::new());
            }
            Kind::Reply => {
                self.memory.create(at, reply::Reply::new());
            }
            Kind::Guest => {
                self.memory.create(at, guest::Guest::new());
            }
            // Slots, regions and untyped memory are zero as they are.
            _ => {}
        }
    }

    fn create_space(&mut self, at: PhysAddr, pages: u64) {
        let space: Ref<AddressSpace> = self.memory.create(at, AddressSpace::new(pages));
        // The kernel half is the same in every space of this subOS, and never changes at this level.
        let upper = self.upper;
        self.memory.page_mut(space.root())[256..].copy_from_slice(&upper);
        let next = self.spaces.replace(space);
        self.memory[space].next = next;
        if let Some(next) = next {
            self.memory[next].previous = Some(space);
        }
    }
}
