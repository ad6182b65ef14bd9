//! Untyped: memory without a purpose, and how objects are made of it.

use caps::{Child, Error, Handle, Kind, Slots};
use idl::kernel::untyped::{Call, UntypedInfo};

use super::Methods;
use crate::kernel::Kernel;
use crate::limits::PAGE;
use crate::memory::Ref;
use crate::object::address_space::{self, AddressSpace};
use crate::object::endpoint::{self, Endpoint};
use crate::object::guest::{self, Guest};
use crate::object::notification::{self, Notification};
use crate::object::reply::{self, Reply};
use crate::object::thread::{self, Thread};
use crate::outcome::{Answer, Outcome};
use crate::removal::Removing;
use crate::syscall::Caller;
use crate::types::PhysAddr;

/// A call of an Untyped, checked.
pub enum Request {
    /// Makes an object, of which this is going to be the handle.
    Retype(Child, Handle),
    /// Takes all memory back.
    Reset,
    /// Says this.
    Info(UntypedInfo),
}

impl Methods for Call {
    type Request = Request;

    #[inline(always)]
    fn decode(self, kernel: &Kernel, caller: &Caller) -> Result<Request, Error> {
        let untyped = caller.found.slot;
        Ok(match self {
            Call::Retype { kind, size, slot } => {
                let bytes = bytes(kind, size)?;
                let (dest, handle) = kernel.vacant(caller.table, slot)?;
                let child = kernel.forest.check_retype(&kernel.memory, untyped, dest, kind, bytes, 1)?;
                Request::Retype(child, handle)
            }
            Call::Reset => {
                kernel.forest.check_reset(&kernel.memory, untyped)?;
                Request::Reset
            }
            Call::Info => {
                let first = kernel.forest.first_of(&kernel.memory, untyped);
                let used = kernel.memory.slot(first).watermark().unwrap_or(0);
                Request::Info(UntypedInfo { size: caller.found.capability.size, used })
            }
        })
    }

    #[inline(always)]
    fn perform(request: Request, kernel: &mut Kernel, caller: &Caller) -> Outcome {
        match request {
            Request::Retype(child, handle) => {
                let made = kernel.forest.grow(&mut kernel.memory, child);
                kernel.create(made.kind, PhysAddr(made.object), made.size);
                Answer::of(handle).into()
            }
            Request::Reset => kernel.remove(caller, caller.found.slot, Removing::Reset),
            Request::Info(info) => Answer::of(info).into(),
        }
    }
}

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
    /// Writes a new object into the memory that retype carved, which is zero.
    pub fn create(&mut self, kind: Kind, at: PhysAddr, size: u64) {
        self.here().counters.objects += 1;
        self.live[usize::from(kind.number())] += 1;
        match kind {
            Kind::Thread => self.memory.create(at, Thread::new(self.me)),
            Kind::AddressSpace => self.create_space(at, size),
            Kind::Endpoint => self.memory.create(at, Endpoint::NEW),
            Kind::Notification => self.memory.create(at, Notification::NEW),
            Kind::Reply => self.memory.create(at, Reply::NEW),
            Kind::Guest => self.memory.create(at, Guest::NEW),
            // Slots, regions and untyped memory are zero as they are.
            _ => {}
        }
    }

    fn create_space(&mut self, at: PhysAddr, pages: u64) {
        self.memory.create(at, AddressSpace::new(pages));
        let space = Ref::<AddressSpace>::at(at);
        // The kernel half is the same in every space of this subOS, and never changes at this level.
        let upper = self.upper;
        self.memory.page_mut(space.root())[256..].copy_from_slice(&upper);
        self.link_space(space);
    }
}
