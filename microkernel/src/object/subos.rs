//! SubOs: a subOS, as its supervisor sees it. What reaches into the other kernel is a visit; what goes through the
//! share is done here.

use caps::{Error, Handle, Kind, Rights};
use idl::abi::{PAGE_BYTES, REGISTER_WORDS};
use idl::event::FIRST_KERNEL_EVENT;
use idl::kernel::subos::Call;
use idl::types::{Bits, CoreNumber, Length, PageIndex, Pages as PageCount};
use zerocopy::IntoBytes;

use super::Methods;
use crate::arch;
use crate::kernel::Kernel;
use crate::limits::PAGE;
use crate::machine::books::Books;
use crate::machine::doorbell::{self, Binding, Source};
use crate::machine::grants::{Wish, Wishes};
use crate::machine::share::Author;
use crate::machine::{Pages, Target, Visit, places};
use crate::memory::Ref;
use crate::object::notification::Notification;
use crate::outcome::{Answer, Outcome};
use crate::syscall::{Caller, object_of};
use crate::types::{CoreId, PhysAddr, SubOsId, Ticks};

/// A call of a SubOs, checked as far as this kernel can.
pub enum Request {
    /// Reaches into the other kernel.
    Visit(Visit),
    /// The same, with arguments from the front of this message page.
    Load(Visit, PhysAddr),
    /// Sends these words down.
    Send(SubOsId, [u64; REGISTER_WORDS]),
    /// Takes the oldest record off the ring, which holds these words.
    Receive(SubOsId, [u64; REGISTER_WORDS]),
    /// Sets what the doorbell signals.
    Bind(Binding),
    /// Takes at most so many bytes of the console into this message page.
    ReadConsole(SubOsId, PhysAddr, usize),
    /// Copies the epitaph into this message page.
    Epitaph(SubOsId, PhysAddr),
}

impl Methods for Call {
    type Request = Request;

    #[inline(always)]
    fn decode(self, kernel: &Kernel, caller: &Caller) -> Result<Request, Error> {
        let target = Target::of(&caller.found.capability);
        let peer = target.subos;
        if !Books::is_incarnate(peer, target.incarnation) {
            return Err(Error::StaleHandle);
        }
        let visit = match self {
            Call::Load { region, page, pages, arguments } => {
                let pages = source(kernel, caller, region, page, pages)?;
                let length = bounded(arguments)?;
                let visit = Visit::Load(target, pages, length);
                if length > 0 {
                    return Ok(Request::Load(visit, kernel.page_of(caller)?));
                }
                visit
            }
            Call::Attach { region, page, pages } => {
                Visit::Attach(target, source(kernel, caller, region, page, pages)?)
            }
            Call::Start => Visit::Start(target),
            Call::GrantCore { core } => {
                Visit::GrantOne(target, Wish::Core(core_of(core).ok_or(Error::NoResource)?))
            }
            Call::ReclaimCore { core, deadline } => {
                let core = core_of(core).ok_or(Error::NotOwner)?;
                Visit::ReclaimCore(target, core, Ticks(deadline.0))
            }
            Call::GrantLot { chunks } => Visit::GrantOne(target, Wish::Lot(chunks.0)),
            Call::ReclaimLot { lot } => Visit::ReclaimLot(target, lot.0),
            Call::Grant { cores, first, second, third } => {
                Visit::GrantAll(target, Wishes { cores, lots: [first.0, second.0, third.0] })
            }
            Call::Share { peer, chunks } => {
                let peer = kernel.argument(caller, peer, Kind::SubOs, Rights::MANAGE)?;
                Visit::Share([target, Target::of(&peer.capability)], chunks.0)
            }
            Call::Destroy => Visit::Destroy(target, caller.found.slot),
            Call::Statistics { core, which } => {
                Visit::Statistics(target, core_of(core).ok_or(Error::NoResource)?, which)
            }
            Call::Info => Visit::Info(target),
            Call::SetScrubbing { when } => Visit::SetScrubbing(target, when),
            Call::Send { word_0, word_1, word_2, word_3, word_4 } => {
                let words = check_words([word_0, word_1, word_2, word_3, word_4])?;
                if places().share(peer).death().is_some() {
                    return Err(Error::Condemned);
                }
                return Ok(Request::Send(peer, words));
            }
            Call::Receive => {
                let words = places().share(peer).up().ring.peek().ok_or(Error::Empty)?;
                return Ok(Request::Receive(peer, words));
            }
            Call::Bind { notification, bits } => {
                return Ok(Request::Bind(kernel.check_doorbell(
                    caller,
                    Source::peer(peer),
                    notification,
                    bits,
                )?));
            }
            Call::ReadConsole { most } => {
                let most = bounded(most)?;
                return Ok(Request::ReadConsole(peer, kernel.page_of(caller)?, most));
            }
            Call::Epitaph => {
                let page = kernel.page_of(caller)?;
                places().share(peer).death().ok_or(Error::Empty)?;
                return Ok(Request::Epitaph(peer, page));
            }
        };
        Ok(Request::Visit(visit))
    }

    #[inline(always)]
    fn perform(request: Request, kernel: &mut Kernel, _: &Caller) -> Outcome {
        match request {
            Request::Visit(visit) => Outcome::Visit(visit),
            Request::Load(visit, page) => {
                places().shelf().stage(kernel.memory.page(page).iter().copied());
                Outcome::Visit(visit)
            }
            Request::Send(peer, words) => {
                let sent = places().share(peer).down().ring.push(words, arch::now(), Author::Program);
                if sent.is_ok() {
                    doorbell::ring_down(peer);
                }
                Outcome::Ended(sent.map_err(|_| Error::Full))
            }
            Request::Receive(peer, words) => {
                places().share(peer).up().ring.drop_oldest();
                Answer::of(words).into()
            }
            Request::Bind(binding) => Outcome::Answered(Answer::NOTHING, doorbell::bind(kernel, binding)),
            Request::ReadConsole(peer, page, most) => {
                let mut bytes = kernel.memory.page_mut(page).as_mut_bytes().iter_mut();
                let count = places().share(peer).read_console(most, |byte| put(&mut bytes, byte));
                Answer::of(count as u64).into()
            }
            Request::Epitaph(peer, page) => {
                let mut bytes = kernel.memory.page_mut(page).as_mut_bytes().iter_mut();
                let length = places().share(peer).read_epitaph(|byte| put(&mut bytes, byte));
                Answer::of(length as u64).into()
            }
        }
    }
}

impl Kernel {
    /// What a caller wants a doorbell to signal from now on; 0 for nothing.
    pub(super) fn check_doorbell(
        &self,
        caller: &Caller,
        source: Source,
        notification: Handle,
        Bits(bits): Bits,
    ) -> Result<Binding, Error> {
        let to = match notification {
            Handle::NONE => None,
            handle => {
                let found = self.argument(caller, handle, Kind::Notification, Rights::CALL)?;
                Some((Ref::<Notification>::at(object_of(&found.capability)), bits))
            }
        };
        doorbell::check(self, source, to)
    }
}

/// Pages of a region of the caller's, for another subOS to be made of.
fn source(
    kernel: &Kernel,
    caller: &Caller,
    region: Handle,
    page: PageIndex,
    pages: PageCount,
) -> Result<Pages, Error> {
    let region = kernel.argument(caller, region, Kind::Region, Rights::READ)?.capability;
    let first = u64::from(page.0) * PAGE;
    if pages.0 == 0 || first + pages.bytes() > region.size {
        return Err(Error::BadRange);
    }
    Ok(Pages { start: PhysAddr(region.object).plus(first), count: u64::from(pages.0) })
}

/// Puts the next byte into a page, if it has room.
fn put<'p>(page: &mut impl Iterator<Item = &'p mut u8>, byte: u8) {
    if let Some(place) = page.next() {
        *place = byte;
    }
}

/// A length that the bytes of a message page have.
pub(super) fn bounded(length: Length) -> Result<usize, Error> {
    usize::try_from(length.0).ok().filter(|length| *length <= PAGE_BYTES).ok_or(Error::TooLong)
}

/// Words of a program's own: the kernel's events cannot be forged.
pub(super) fn check_words(words: [u64; REGISTER_WORDS]) -> Result<[u64; REGISTER_WORDS], Error> {
    if words[0] < FIRST_KERNEL_EVENT { Ok(words) } else { Err(Error::InvalidArgument) }
}

fn core_of(core: CoreNumber) -> Option<CoreId> {
    u8::try_from(core.0).ok().map(CoreId).filter(|core| core.index() < crate::limits::MAX_CORES)
}
