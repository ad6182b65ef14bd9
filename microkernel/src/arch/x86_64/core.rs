//! What the kernel knows of the core it runs on: the page that GS points to while in the kernel.

use ::core::mem::offset_of;
use ::core::sync::atomic::{AtomicU16, Ordering, compiler_fence};

use static_assertions::const_assert;

use super::area;
use super::frame::{Frame, FramePtr};
use super::mailbox::Mailbox;
use super::physmap;
use crate::kernel::KernelCell;
use crate::limits::PAGE;
use crate::sync::mailbox::Destination;
use crate::types::{CoreId, PhysAddr, SubOsId};

/// What [`Core::visiting`] is stored as when this core works for its own subOS: no subOS has this number.
const NOWHERE: u16 = u16::MAX;

/// What a core is told when it joins a subOS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Where the `Kernel` value is.
    pub kernel: PhysAddr,
    /// The page root to run on when no thread does.
    pub home_root: PhysAddr,
    /// Which subOS.
    pub subos: SubOsId,
}

impl Arrival {
    /// As words of a [`Mailbox`].
    #[must_use]
    pub fn to_words(self) -> Destination {
        [self.kernel.0, self.home_root.0, self.subos.0.into()]
    }

    /// From words of a [`Mailbox`].
    #[must_use]
    pub const fn from_words([kernel, home_root, subos]: Destination) -> Self {
        Self {
            kernel: PhysAddr(kernel),
            home_root: PhysAddr(home_root),
            subos: SubOsId(subos.to_le_bytes()[0]),
        }
    }
}

/// One core's own state. Only that core touches it (others write its [`Mailbox`]), so a `&mut Core` is passed down
/// from the entry shell. The first fields are known to the assembly.
#[derive(Debug)]
#[repr(C)]
pub struct Core {
    /// Where this struct is.
    this: *mut Core,
    /// The frame of what runs now; entry code stores registers into it.
    frame: *mut Frame,
    /// Room for the user's stack pointer during the first instructions of a system call.
    scratch: u64,
    /// Where the kernel stack ends.
    stack_top: u64,
    id: CoreId,
    arrival: Option<Arrival>,
    /// What CR3 holds.
    pub(crate) loaded_root: u64,
    /// What the user's FS base was set to last.
    pub(crate) loaded_fs: u64,
    /// What the user's GS base was set to last.
    pub(crate) loaded_gs: u64,
    /// Set while the kernel reports its own death, so that a second fault ends it at once.
    pub(crate) failing: bool,
    /// Set by the kernel while this core visits another subOS's kernel, which then is to blame.
    visiting: AtomicU16,
    /// Ticks that this entry spent in other kernels, which are charged to them.
    pub visited: u64,
    /// What the kernel last said runs here, for the epitaph: a number that means something to the kernel.
    pub thread: u64,
}

const_assert!(size_of::<Core>() as u64 <= PAGE);

/// Offsets that the assembly uses.
pub(crate) const CORE_THIS: usize = offset_of!(Core, this);
pub(crate) const CORE_FRAME: usize = offset_of!(Core, frame);
pub(crate) const CORE_SCRATCH: usize = offset_of!(Core, scratch);
pub(crate) const CORE_STACK_TOP: usize = offset_of!(Core, stack_top);

impl Core {
    /// A core that belongs to nobody, as it is after boot and after parking.
    #[must_use]
    pub const fn parked(id: CoreId, root: u64) -> Core {
        let base = area::base(id);
        Core {
            this: (base + area::CORE_PAGE) as *mut Core,
            frame: ::core::ptr::null_mut(),
            scratch: 0,
            stack_top: base + area::STACK_TOP,
            id,
            arrival: None,
            loaded_root: root,
            loaded_fs: 0,
            loaded_gs: 0,
            failing: false,
            visiting: AtomicU16::new(NOWHERE),
            visited: 0,
            thread: 0,
        }
    }

    /// The kernel this core works for; none while parked.
    #[must_use]
    pub fn kernel(&self) -> Option<&'static KernelCell> {
        // SAFETY: the supervisor sends cores only to kernels that it has made and keeps until every core has left;
        // all access to what is behind the lock goes through the lock.
        self.arrival.map(|arrival| unsafe { physmap::reference(arrival.kernel) })
    }

    /// Which core this is.
    #[must_use]
    pub const fn id(&self) -> CoreId {
        self.id
    }

    /// The words that other cores write to this one.
    #[must_use]
    pub fn mailbox(&self) -> &'static Mailbox {
        Mailbox::of(self.id)
    }

    /// What this core was told when it joined its subOS; none while parked.
    #[must_use]
    pub const fn arrival(&self) -> Option<Arrival> {
        self.arrival
    }

    /// The subOS this core works for; none while parked.
    #[must_use]
    pub fn subos(&self) -> Option<SubOsId> {
        self.arrival.map(|arrival| arrival.subos)
    }

    /// The frame of what ran when the kernel was entered; none if the core was idle.
    #[must_use]
    pub fn frame(&self) -> Option<FramePtr> {
        FramePtr::from_raw(self.frame)
    }

    /// Where that frame is; null if the core was idle.
    #[must_use]
    #[inline]
    pub const fn frame_address(&self) -> *mut Frame {
        self.frame
    }

    /// Notes that nothing runs: the thread that did is gone or waits elsewhere.
    pub fn clear_frame(&mut self) {
        self.frame = ::core::ptr::null_mut();
    }

    pub(crate) fn set_frame(&mut self, frame: FramePtr) {
        self.frame = frame.as_ptr();
    }

    pub(crate) fn set_arrival(&mut self, arrival: Arrival) {
        self.arrival = Some(arrival);
    }

    /// Declares that this core works inside another subOS's kernel (or, with `None`, no longer does), so that a
    /// failure is blamed on the subOS visited.
    pub fn set_visiting(&mut self, visited: Option<SubOsId>) {
        let number = visited.map_or(NOWHERE, |visited| u16::from(visited.0));
        self.visiting.store(number, Ordering::SeqCst);
        // A failure may come with any instruction that follows, and is blamed by what is stored here.
        compiler_fence(Ordering::SeqCst);
    }

    /// The subOS this core visits.
    #[must_use]
    pub fn visiting(&self) -> Option<SubOsId> {
        let number = self.visiting.load(Ordering::SeqCst);
        u8::try_from(number).ok().map(SubOsId)
    }
}
