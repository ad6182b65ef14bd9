//! Who mends what a lot that goes by force breaks. A lot can go at any moment, also while a thread of this program
//! copies to or from it, under the lock that all others wait for. That thread faults then; the guard puts a page of
//! no account where the lot's page was, notes that the lot is lost, and lets the thread go on. What it copied is
//! worthless, and whoever asked for the copy asks next whether the memory was still there
//! ([`linux::Platform::lost`]).
//!
//! The guard takes no lock that is held during a copy, and touches no memory but the home lot's.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use idl::abi::TrapKind;
use idl::message::{Fault, Message, Received};
use idl::types::{Badge, Deadline, PageIndex, Pages, UserPage};
use userlib::cap::{Binding, Endpoint, Region, Reply};
use userlib::memory::{self, Mapping};
use userlib::sync::Mutex;
use userlib::{Cap, Error, Rights, environment};

/// Whose faults they are does not matter: where they are does.
const ANYBODY: Badge = Badge(1);

/// A lot's place in this program's space, and whether the lot is lost.
struct Ward {
    addresses: Range<u64>,
    lost: Arc<AtomicBool>,
}

/// What is watched over: all lots that frames were made of.
#[derive(Clone)]
pub(super) struct Wards {
    wards: Arc<Mutex<Vec<Ward>>>,
    faults: Cap<Endpoint>,
}

impl Wards {
    /// Watches over a lot from now on. What comes back says whether it is lost; once it is, it stays so.
    pub(super) fn watch(&self, mapping: &Mapping) -> Arc<AtomicBool> {
        let lost = Arc::new(AtomicBool::new(false));
        let addresses = mapping.address()..mapping.address() + mapping.pages().bytes();
        self.wards.lock().push(Ward { addresses, lost: Arc::clone(&lost) });
        lost
    }

    /// Has the guard mend the faults of a thread that touches lots.
    pub(super) fn guarded(&self, builder: userlib::thread::Builder) -> userlib::thread::Builder {
        builder.faults(self.faults.handle(), ANYBODY)
    }

    /// Whether an address lies in a lot; from now on that lot is lost.
    fn lose(&self, address: u64) -> bool {
        let wards = self.wards.lock();
        let Some(ward) = wards.iter().find(|ward| ward.addresses.contains(&address)) else { return false };
        // Before the thread goes on, and seen by it: it comes by this thread's answer.
        ward.lost.store(true, Ordering::Release);
        true
    }
}

/// The guard.
pub(super) struct Guard {
    wards: Wards,
    reply: Cap<Reply>,
    /// A page that anybody may scribble on.
    spare: Cap<Binding>,
}

impl Guard {
    /// A guard that watches over nothing yet.
    ///
    /// # Errors
    /// Those of making an Endpoint, a Reply and a page.
    pub(super) fn new() -> Result<Self, Error> {
        let region = memory::create::<Region>(1)?;
        let spare = memory::bind(region, environment().space())?;
        let wards = Wards { wards: Arc::default(), faults: memory::create::<Endpoint>(0)? };
        Ok(Self { wards, reply: memory::create::<Reply>(0)?, spare })
    }

    /// What it watches over.
    pub(super) fn wards(&self) -> Wards {
        self.wards.clone()
    }

    /// Mends faults for ever. Comes back only with one that cannot be mended, which is this program's end.
    pub(super) fn serve(&self) -> Result<core::convert::Infallible, Unmended> {
        loop {
            let received =
                self.wards.faults.receive(&self.reply, Deadline::NEVER).map_err(Unmended::Kernel)?;
            let Received::Message { message, .. } = received else { continue };
            let fault = Fault::from_message(&message).ok_or(Unmended::Kernel(Error::InvalidArgument))?;
            self.mend(fault)?;
            self.reply.reply(&Message::default()).map_err(Unmended::Kernel)?;
        }
    }

    fn mend(&self, fault: Fault) -> Result<(), Unmended> {
        let address = fault.trap.address;
        if fault.trap.kind != TrapKind::PageFault as u32 || !self.wards.lose(address) {
            return Err(Unmended::Fault(fault));
        }
        let page = UserPage::new(address & !(idl::abi::PAGE_SIZE - 1)).ok_or(Unmended::Fault(fault))?;
        let (space, rights) = (environment().space(), Rights::READ | Rights::WRITE);
        match memory::map_pages(space, self.spare, PageIndex(0), page, Pages(1), rights) {
            // Another thread may have stumbled over the same page.
            Ok(()) | Err(Error::AlreadyMapped) => Ok(()),
            Err(error) => Err(Unmended::Kernel(error)),
        }
    }
}

/// Why the guard gives up.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unmended {
    /// A thread faulted, and no lot had to do with it.
    Fault(Fault),
    /// The kernel refused.
    Kernel(Error),
}
