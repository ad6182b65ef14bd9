//! SubOs: a subOS, as its supervisor sees it. What reaches into the other kernel is a visit; what goes through the
//! share is done here.

use caps::{Error, Handle, Kind, Rights};
use idl::abi::PAGE_BYTES;
use idl::event::FIRST_KERNEL_EVENT;
use idl::kernel::subos::Call;
use idl::types::{Bits, CoreNumber, Length, PageIndex, Pages as PageCount};
use zerocopy::IntoBytes;

use crate::arch;
use crate::kernel::Kernel;
use crate::limits::PAGE;
use crate::machine::books::Books;
use crate::machine::share::Author;
use crate::machine::{Pages, Target, Visit, doorbell, places};
use crate::memory::Ref;
use crate::object::notification::Notification;
use crate::outcome::{Answer, NextThread, Outcome};
use crate::syscall::{Caller, object_of};
use crate::types::{CoreId, PhysAddr, SubOsId, Ticks};

impl Kernel {
    /// Carries out a call of a SubOs, as far as this kernel can.
    pub fn invoke_subos(&mut self, caller: &Caller, call: Call) -> Result<Outcome, Error> {
        let target = Target::of(&caller.found.capability);
        if !Books::is_incarnate(target.subos, target.incarnation) {
            return Err(Error::StaleHandle);
        }
        let visit = match call {
            Call::Load { region, page, pages, arguments } => {
                let pages = self.source(caller, region, page, pages)?;
                let length = self.stage_arguments(caller, arguments)?;
                Visit::Load(target, pages, length)
            }
            Call::Attach { region, page, pages } => {
                Visit::Attach(target, self.source(caller, region, page, pages)?)
            }
            Call::Start => Visit::Start(target),
            Call::GrantCore { core } => Visit::GrantCore(target, core_of(core).ok_or(Error::NoResource)?),
            Call::ReclaimCore { core, deadline } => {
                let core = core_of(core).ok_or(Error::NotOwner)?;
                Visit::ReclaimCore(target, core, Ticks(deadline.0))
            }
            Call::GrantLot { chunks } => Visit::GrantLot(target, chunks.0),
            Call::ReclaimLot { lot } => Visit::ReclaimLot(target, lot.0),
            Call::Destroy => Visit::Destroy(target, caller.found.slot),
            Call::Statistics { core, which } => {
                Visit::Statistics(target, core_of(core).ok_or(Error::NoResource)?, which)
            }
            Call::Info => Visit::Info(target),
            Call::Send { word_0, word_1, word_2, word_3, word_4 } => {
                return send_down(target.subos, [word_0, word_1, word_2, word_3, word_4]);
            }
            Call::Receive => {
                let words = places().share(target.subos).up().pop().ok_or(Error::Empty)?;
                return Ok(Answer { words }.into());
            }
            Call::Bind { notification, bits } => {
                return self.bind_doorbell(caller, target.subos, notification, bits);
            }
            Call::ReadConsole { most } => return self.read_console(caller, target.subos, most),
            Call::Epitaph => return self.read_epitaph(caller, target.subos),
        };
        Ok(Outcome::Visit(visit))
    }

    /// Pages of a region of the caller's, for another subOS to be made of.
    fn source(
        &self,
        caller: &Caller,
        region: Handle,
        page: PageIndex,
        pages: PageCount,
    ) -> Result<Pages, Error> {
        let region = self.argument(caller, region, Kind::Region, Rights::READ)?.capability;
        let first = u64::from(page.0) * PAGE;
        if pages.0 == 0 || first + pages.bytes() > region.size {
            return Err(Error::BadRange);
        }
        Ok(Pages { start: PhysAddr(region.object).plus(first), count: u64::from(pages.0) })
    }

    /// Copies the arguments from the caller's message page to where the visit finds them.
    fn stage_arguments(&self, caller: &Caller, length: Length) -> Result<usize, Error> {
        let length = bounded(length)?;
        if length > 0 {
            let page = self.message_page(caller.thread).ok_or(Error::NotConfigured)?;
            places().shelf().stage(self.memory.page(page).iter().copied());
        }
        Ok(length)
    }

    /// Binds a notification to the doorbell of a peer, or unbinds it.
    pub(super) fn bind_doorbell(
        &mut self,
        caller: &Caller,
        peer: SubOsId,
        notification: Handle,
        Bits(bits): Bits,
    ) -> Result<Outcome, Error> {
        let to = match notification {
            Handle::NONE => None,
            handle => {
                let found = self.argument(caller, handle, Kind::Notification, Rights::CALL)?;
                Some((Ref::<Notification>::at(object_of(&found.capability)), bits))
            }
        };
        let next = doorbell::bind(self, peer, to)?;
        Ok(Outcome::Answered(Answer::NOTHING, next))
    }

    fn read_console(&mut self, caller: &Caller, peer: SubOsId, most: Length) -> Result<Outcome, Error> {
        let most = bounded(most)?;
        let page = self.message_page(caller.thread).ok_or(Error::NotConfigured)?;
        let mut places_left = self.memory.page_mut(page).as_mut_bytes().iter_mut();
        let count = places().share(peer).read_console(most, |byte| {
            if let Some(place) = places_left.next() {
                *place = byte;
            }
        });
        Ok(Answer::one(count as u64).into())
    }

    fn read_epitaph(&mut self, caller: &Caller, peer: SubOsId) -> Result<Outcome, Error> {
        let page = self.message_page(caller.thread).ok_or(Error::NotConfigured)?;
        let mut places_left = self.memory.page_mut(page).as_mut_bytes().iter_mut();
        let length = places().share(peer).read_epitaph(|byte| {
            if let Some(place) = places_left.next() {
                *place = byte;
            }
        });
        Ok(Answer::one(length.ok_or(Error::Empty)? as u64).into())
    }
}

/// A length that the bytes of a message page have.
pub(super) fn bounded(length: Length) -> Result<usize, Error> {
    usize::try_from(length.0).ok().filter(|length| *length <= PAGE_BYTES).ok_or(Error::TooLong)
}

/// Words of a program's own: the kernel's events cannot be forged.
pub(super) fn check_words(words: &[u64; 5]) -> Result<(), Error> {
    if words[0] < FIRST_KERNEL_EVENT { Ok(()) } else { Err(Error::InvalidArgument) }
}

fn send_down(peer: SubOsId, words: [u64; 5]) -> Result<Outcome, Error> {
    check_words(&words)?;
    let share = places().share(peer);
    if share.death().is_some() {
        return Err(Error::Condemned);
    }
    share.down().push(words, arch::now(), Author::Program).map_err(|_| Error::Full)?;
    doorbell::ring_down(peer);
    Ok(Outcome::Answered(Answer::NOTHING, NextThread::Same))
}

fn core_of(core: CoreNumber) -> Option<CoreId> {
    u8::try_from(core.0).ok().map(CoreId).filter(|core| core.index() < crate::limits::MAX_CORES)
}
