//! Every method that there is, called on each target that a look-up must refuse: an empty slot, a handle of before, another
//! kind of object, and a capability that lacks one right of those that the method needs.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use idl::Invoke;
use idl::abi::{OpWord, REGISTER_WORDS};
use idl::kernel::methods;
use idl::method::MethodInfo;
use idl::types::Deadline;
use userlib::cap::{Kernel, complete};
use userlib::{Error, Handle, Kind, Rights, SlotIndex, check_eq, environment, slots};

use super::refused;
use crate::wild::MADE;
use crate::{Outcome, said, subos};

/// Every method but those of uplinks, which only other subOSes have.
pub(crate) fn of_every_target() -> Outcome {
    let subos = subos::create()?;
    let own = environment();
    let core = own.core(own.startup().core).map_err(said("core"))?;
    let mut sources = [own.console().handle(), own.machine().handle(), core.handle(), subos.handle()]
        .map(Source::Derived)
        .into_iter()
        .zip([Kind::DebugConsole, Kind::Machine, Kind::Core, Kind::SubOs])
        .map(|(source, kind)| (kind, source))
        .collect::<Vec<_>>();
    for (kind, size) in MADE {
        let made = || slots::fill(|slot| own.untyped().retype(kind, size, slot)).map_err(said("retype"));
        let source = if kind == Kind::Reply { Source::Made } else { Source::Derived(made()?) };
        sources.push((kind, source));
    }
    let mut tried = 0;
    for (kind, source) in sources {
        tried += each_method(kind, source)?;
    }
    check_eq!(tried, methods().filter(|method| method.kind != Kind::Uplink).count());
    subos::destroy(subos)
}

/// The methods of uplinks, in a subOS that has one.
pub(super) fn of_uplinks() -> Outcome {
    let tried = each_method(Kind::Uplink, Source::Derived(environment().uplink().handle()))?;
    check_eq!(tried, methods().filter(|method| method.kind == Kind::Uplink).count());
    Ok(())
}

/// Where capabilities to try come from.
#[derive(Clone, Copy)]
enum Source {
    /// They are copies of this one.
    Derived(Handle),
    /// Each is made anew: a reply object has one capability and no copies, so that none lacks a right.
    Made,
}

impl Source {
    /// A capability in this slot, with these rights if it is a copy.
    fn put(self, kind: Kind, slot: SlotIndex, rights: Rights) -> Result<Handle, Error> {
        match self {
            Self::Derived(handle) => environment().cspace().copy(handle, Handle::NONE, slot, rights),
            Self::Made => environment().untyped().retype(kind, 0, slot),
        }
    }

    /// All rights that there are to give.
    fn rights(self) -> Result<Rights, Error> {
        match self {
            Self::Derived(handle) => environment().cspace().info(handle).map(|info| info.rights),
            Self::Made => Ok(Rights::empty()),
        }
    }
}

/// Tries every method of a kind; gives how many there are.
fn each_method(kind: Kind, source: Source) -> Result<usize, String> {
    let table = environment().cspace();
    let slot = slots::allocate().map_err(said("slot"))?;
    let remove = |handle| complete(|| table.delete(handle)).map_err(said("delete"));
    let all = source.rights().map_err(said("rights"))?;
    let mut tried = 0;
    for method in methods().filter(|method| method.kind == kind) {
        tried += 1;
        asks(method, Handle(u64::from(slot.0)), Error::EmptySlot)?;
        asks(method, another_kind(kind), Error::WrongKind)?;
        let before = source.put(kind, slot, all).map_err(said("put"))?;
        remove(before)?;
        let now = source.put(kind, slot, all).map_err(said("put again"))?;
        asks(method, before, Error::StaleHandle)?;
        remove(now)?;
        if matches!(source, Source::Made) {
            continue;
        }
        for right in method.rights.iter() {
            let weak = source.put(kind, slot, all - right).map_err(said("a weak copy"))?;
            asks(method, weak, Error::MissingRight).map_err(|error| format!("{error}, without {right:?}"))?;
            remove(weak)?;
        }
    }
    slots::release(slot);
    Ok(tried)
}

fn another_kind(kind: Kind) -> Handle {
    let own = environment();
    if kind == Kind::CSpace { own.untyped().handle() } else { own.cspace().handle() }
}

/// Calls a method on this target, which must be refused for this reason, whatever the arguments are.
fn asks(method: &MethodInfo, target: Handle, error: Error) -> Outcome {
    let op = OpWord::new(method.kind, method.id);
    for word in [0, 1] {
        let (result, ..) = Kernel.invoke(op, target, [word; REGISTER_WORDS], Deadline::POLL, Handle::NONE);
        refused(&format!("{:?}.{}", method.kind, method.name), result.status().map(|_| ()), error)?;
    }
    Ok(())
}
