//! What a thread is: a flow of execution with its saved registers and what it is allowed to use.
//!
//! What a thread uses (its table, its address space, its message page, its fault handler, its notification) it
//! holds by capabilities of its own, in slots inside the object, derived from those it was configured with. So
//! revoking any of them reaches the thread too, and nothing here needs to be told.

use caps::bounds::THREAD_SLOTS;
use caps::{Generation, Kind, Slot, SlotRef, Table};

use idl::abi::MessageTag;

use crate::arch::x86_64::frame::{Frame, FrameFlags};
use crate::deadline::Node;
use crate::entry::Fault;
use crate::memory::{Header, Memory, Object, Ref, own_slot};
use crate::object::endpoint::Endpoint;
use crate::object::guest::Guest;
use crate::object::notification::Notification;
use crate::object::reply::Reply;
use crate::queue::Link;
use crate::sync::Asked;
use crate::types::{CoreId, PhysAddr, Priority, Ticks};

/// Bytes that retype carves for a thread.
pub const SIZE: u64 = 4096;

/// Which of a thread's own capability slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Own {
    /// The table in which its handles are looked up.
    Table = 1,
    /// The address space that it runs in.
    Space = 2,
    /// The region whose page is its message page.
    Message = 3,
    /// The endpoint to which its faults go.
    FaultHandler = 4,
    /// The notification that wakes it while it receives.
    Notification = 5,
}

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was never started, or was stopped.
    Stopped,
    /// It runs, or would if a core were free.
    Ready,
    /// It queues at an endpoint until a receiver comes.
    Calling(Ref<Endpoint>),
    /// Its message was received; it waits for the answer.
    AwaitingReply(Ref<Reply>),
    /// It queues at an endpoint until a caller comes, who is then remembered in the reply object.
    Receiving(Ref<Endpoint>, Ref<Reply>),
    /// It waits for bits.
    Waiting(Ref<Notification>),
    /// It made a fault that nobody handles.
    Faulted,
}

/// How the thread's last kernel entry is to be finished when it runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Nothing is pending.
    Nothing,
    /// It called; an answer, or an error, goes to its registers.
    Call,
    /// It sent one way; only the fact that it was received matters.
    Send,
    /// The kernel called for it because of a fault; an answer lets it go on, its registers unchanged.
    Fault,
}

/// A thread. See the module.
#[repr(C, align(64))]
pub struct Thread {
    slots: [Slot; THREAD_SLOTS as usize],
    header: Header,
    /// Its registers while it does not run.
    pub frame: Frame,
    /// The registers of the guest that it entered, while the guest does not run.
    pub guest_frame: Frame,
    /// Its place in the queue that it is in.
    pub link: Link,
    /// Its place among the deadlines.
    pub deadline: Node,
    /// What it is doing.
    pub state: State,
    /// How its last entry is to be finished.
    pub pending: Pending,
    /// What the message is like that it sends.
    pub tag: MessageTag,
    /// The badge of the capability that it called through.
    pub badge: u64,
    /// Where that capability was when it began to queue: when it leaves that slot, the thread waits in vain.
    pub through: Option<(SlotRef, Generation)>,
    /// The badge that its fault messages carry.
    pub fault_badge: u64,
    /// Its urgency.
    pub priority: Priority,
    /// The seat that it has: the core on which it was placed, wherever that seat points now.
    pub seat: CoreId,
    /// The page of the message region that is its message page.
    pub message_offset: u64,
    /// The notification that wakes it while it receives, as its own slot says.
    pub bound: Option<Ref<Notification>>,
    /// What it did wrong, while its fault is being told.
    pub fault: Option<Fault>,
    /// The guest that it is in.
    pub guest: Option<Ref<Guest>>,
    /// When the guest is to be left at the latest.
    pub guest_deadline: Ticks,
    /// It may not go on until all who were asked this have let go.
    pub quiet: Option<Asked>,
    /// What is left of its time slice.
    pub slice: Ticks,
    /// How long it has run.
    pub ran: Ticks,
}

const _: () = assert!(size_of::<Thread>() as u64 <= SIZE);

// SAFETY: repr(C), the header where it says, and the size fits what retype carves.
unsafe impl Object for Thread {
    const KIND: Kind = Kind::Thread;
    const HEADER: usize = core::mem::offset_of!(Self, header);
}

impl Thread {
    /// A thread that was never started.
    #[must_use]
    pub fn new(seat: CoreId) -> Self {
        Self {
            header: Header::new(Kind::Thread),
            frame: Frame::new(0, 0, 0),
            guest_frame: Frame { flags: FrameFlags::KEEP_VECTORS, ..Frame::new(0, 0, 0) },
            slots: [const { Slot::FREE }; THREAD_SLOTS as usize],
            link: Link::default(),
            deadline: Node::default(),
            state: State::Stopped,
            pending: Pending::Nothing,
            tag: MessageTag { label: 0, words: 0, caps: 0 },
            badge: 0,
            through: None,
            fault_badge: 0,
            priority: Priority(0),
            seat,
            message_offset: 0,
            bound: None,
            fault: None,
            guest: None,
            guest_deadline: Ticks::NEVER,
            quiet: None,
            slice: Ticks(0),
            ran: Ticks(0),
        }
    }
}

impl Thread {
    /// The address space that it runs in when it is in no guest, if it still has one.
    #[must_use]
    #[inline]
    pub fn space(&self) -> Option<PhysAddr> {
        let slot = &self.slots[Own::Space as usize];
        (slot.kind() == Kind::AddressSpace).then_some(PhysAddr(slot.object()))
    }

    /// The table in which its handles are looked up, if it still has one.
    #[must_use]
    #[inline]
    pub fn table(&self) -> Option<Table> {
        self.slots[Own::Table as usize].cspace()
    }

    /// Whether it could run.
    #[must_use]
    #[inline(always)]
    pub const fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// Where its core's entry code saves registers: the guest's frame while it is in a guest.
    pub fn running_frame(&mut self) -> &mut Frame {
        if self.guest.is_some() { &mut self.guest_frame } else { &mut self.frame }
    }
}

impl Ref<Thread> {
    /// One of the thread's own slots.
    #[must_use]
    #[inline]
    pub fn own(self, which: Own) -> SlotRef {
        own_slot(self, which as u32)
    }

    /// Whether the thread could run.
    #[must_use]
    #[inline(always)]
    pub fn is_ready(self, memory: &Memory) -> bool {
        memory[self].is_ready()
    }
}
