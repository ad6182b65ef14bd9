//! What the kernel does because capabilities went: tears objects down, wakes who waited, unmaps.
//!
//! `caps` decides and reports effects; this file carries them out. Most end at once. Three take steps: waking the
//! queue of an endpoint or notification, and scanning a space for the mappings of dying bindings. Nothing that
//! removes capabilities reports *done* while any of them is left, so no memory is reused under a queue or a page
//! table entry.

use caps::{Effect, Effects, Error, Kind, Reset, SlotRef, Slots, Step};
use idl::types::Progress;

use crate::arch::Vector;
use crate::arch::send_ipi;
use crate::kernel::Kernel;
use crate::limits::{CANCEL_BUDGET, CLEAR_BUDGET, PAGE, REVOKE_BUDGET, SCAN_BUDGET};
use crate::machine;
use crate::memory::Ref;
use crate::object::address_space::AddressSpace;
use crate::object::endpoint::Endpoint;
use crate::object::guest::Guest;
use crate::object::notification::Notification;
use crate::object::reply::{Reply, Use};
use crate::object::thread::{State, Thread};
use crate::sync::Epoch;
use crate::types::PhysAddr;

/// What is left to do.
#[derive(Clone, Copy, Debug)]
pub struct Removal {
    /// Endpoints whose callers are to be woken, all or those with one badge.
    endpoints: Option<Ref<Endpoint>>,
    /// Notifications whose waiters are to be woken.
    notifications: Option<Ref<Notification>>,
    /// How many spaces have a scan under way.
    scans: u32,
    /// Something went that other cores may still hold: a mapping, a thread, a space.
    pub unquiet: bool,
    /// The epoch that cores must have acknowledged before what went last is reused.
    pub latest: Epoch,
    /// Resets that have removed everything, and the epoch after which each may clear: that of the last removal would
    /// do as well, but while other cores remove things of their own that one moves on and on.
    resets: [Option<(SlotRef, Epoch)>; RESETS],
}

/// Resets that are under way at the same time, at most; others wait until nothing else is removed.
const RESETS: usize = 16;

impl Removal {
    /// Nothing.
    pub const NOTHING: Self = Self {
        endpoints: None,
        notifications: None,
        scans: 0,
        unquiet: false,
        latest: Epoch(0),
        resets: [None; RESETS],
    };

    /// Whether nothing is left that takes steps.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.endpoints.is_none() && self.notifications.is_none() && self.scans == 0
    }
}

/// Which of the threads that queue at an endpoint are to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// None.
    Nobody,
    /// The callers with this badge, among the first so many in the queue.
    Badge(u64, u32),
    /// All: the endpoint has gone.
    All,
}

/// What is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removing {
    /// All that derives from a capability.
    Revoke,
    /// The same and the capability itself.
    Delete,
    /// All that was made of an Untyped; then its memory is cleared.
    Reset,
}

impl Kernel {
    /// One bounded step of removing: capabilities, then what their objects and mappings have left to do. `Done`
    /// only when nothing is left; but other cores may still hold what went (see [`Removal::unquiet`]).
    pub fn removal_step(&mut self, slot: SlotRef, removing: Removing) -> Result<Progress, Error> {
        let mut effects = Effects::new();
        let done = match removing {
            Removing::Revoke => {
                self.forest.revoke_step(&mut self.memory, slot, REVOKE_BUDGET, &mut effects)? == Step::Done
            }
            Removing::Delete => {
                // The slot is empty when an earlier step removed the capability and only the rest was left.
                let step = if self.memory.slot(slot).is_free() {
                    self.forest.sweep_step(&mut self.memory, REVOKE_BUDGET, &mut effects)
                } else {
                    self.forest.delete_step(&mut self.memory, slot, REVOKE_BUDGET, &mut effects)?
                };
                step == Step::Done
            }
            Removing::Reset => return self.reset_step(slot),
        };
        self.perform(&effects);
        let settled = self.settle();
        Ok(if done && settled { Progress::Done } else { Progress::More })
    }

    /// One step of a reset: remove, wait until every core has let go, clear, begin anew.
    fn reset_step(&mut self, slot: SlotRef) -> Result<Progress, Error> {
        // Beginning again is going on; and somebody may have revoked the same root to its end meanwhile.
        let first = self.forest.first_of(&self.memory, slot);
        let begun = self.memory.slot(first).state().contains(caps::State::RESETTING)
            && self.memory.slot(slot).state().contains(caps::State::REVOKING);
        if !begun {
            self.forget_reset(slot);
        }
        self.forest.reset_begin(&mut self.memory, slot)?;
        let mut effects = Effects::new();
        let reset = self.forest.reset_step(&mut self.memory, slot, REVOKE_BUDGET, &mut effects)?;
        self.perform(&effects);
        if !self.settle() {
            return Ok(Progress::More);
        }
        match reset {
            Reset::Done => Ok(Progress::Done),
            Reset::Removing => Ok(Progress::More),
            Reset::Clear(used) => {
                if !self.may_clear(slot) {
                    return Ok(Progress::More);
                }
                // The memory is cleared from its end, so that what is left is always the front of the range.
                let end = used.start + used.bytes;
                let first = (end.saturating_sub(CLEAR_BUDGET * PAGE)).max(used.start) & !(PAGE - 1);
                let mut page = first;
                while page < end {
                    self.memory.clear_page(PhysAddr(page));
                    page += PAGE;
                }
                let cleared = end - first.max(used.start);
                let reset = self.forest.reset_cleared(&mut self.memory, slot, cleared)?;
                if reset == Reset::Done {
                    self.forget_reset(slot);
                }
                Ok(if reset == Reset::Done { Progress::Done } else { Progress::More })
            }
        }
    }

    /// Whether every core has let go of what a reset removed, all of which it has by now. Asks them the first time.
    fn may_clear(&mut self, slot: SlotRef) -> bool {
        if let Some((_, epoch)) = self.removal.resets.iter().flatten().find(|(at, _)| *at == slot) {
            return self.board.is_quiet(*epoch);
        }
        let Some(free) = self.removal.resets.iter().position(Option::is_none) else {
            return !self.removal.unquiet && self.board.is_quiet(self.removal.latest);
        };
        let caller = self.current();
        let epoch = self.hold_until_quiet(caller);
        self.removal.resets[free] = Some((slot, epoch));
        false
    }

    /// What is remembered of a reset is of no use: it is done, or is another one in the same slot.
    fn forget_reset(&mut self, slot: SlotRef) {
        for reset in &mut self.removal.resets {
            *reset = reset.filter(|(at, _)| *at != slot);
        }
    }

    /// Carries out the effects of one step.
    pub fn perform(&mut self, effects: &Effects) {
        for effect in effects {
            match *effect {
                Effect::Destroy { kind, object, size: _, badge: _ } => self.destroy(kind, PhysAddr(object)),
                Effect::Unbadge { object, badge } => self.unbadge(PhysAddr(object), badge),
                Effect::Unbind { space, number, .. } => {
                    let space = Ref::<AddressSpace>::at(PhysAddr(space));
                    if !self.memory[space].is_scanning() {
                        self.removal.scans += 1;
                    }
                    space.set_binding(&mut self.memory, number, None);
                    self.memory[space].mark_dying(number);
                    self.removal.unquiet = true;
                }
                Effect::Lost { .. } => {}
            }
        }
    }

    /// Does some of what is left. Returns whether nothing is.
    pub fn settle(&mut self) -> bool {
        self.drain_endpoint() && self.drain_notification() && self.scan()
    }

    /// One step of what nobody may be left to ask for: emptying tables that fell together with the last handle to
    /// them, and what follows from that. Done whenever a core has time, and by the timer.
    pub fn sweep(&mut self) {
        if self.is_swept() {
            return;
        }
        let mut effects = Effects::new();
        let _ = self.forest.sweep_step(&mut self.memory, REVOKE_BUDGET, &mut effects);
        self.perform(&effects);
        let _ = self.settle();
        if self.removal.unquiet && self.removal.is_settled() {
            self.removal.unquiet = false;
            self.removal.latest = self.hold_until_quiet(None);
        }
    }

    /// Whether there is something to sweep.
    #[must_use]
    pub fn is_swept(&self) -> bool {
        self.forest.dying().is_none() && self.removal.is_settled()
    }

    fn destroy(&mut self, kind: Kind, object: PhysAddr) {
        match kind {
            Kind::Thread => self.destroy_thread(Ref::at(object)),
            Kind::AddressSpace => self.destroy_space(Ref::at(object)),
            Kind::Endpoint => {
                let endpoint = Ref::<Endpoint>::at(object);
                self.enlist_endpoint(endpoint);
                self.memory[endpoint].drain = Drain::All;
            }
            Kind::Notification => {
                let notification = Ref::<Notification>::at(object);
                machine::forget_notification(self, notification);
                if let Some(thread) = self.memory[notification].bound.take() {
                    self.memory[thread].bound = None;
                }
                self.memory[notification].next_dying = self.removal.notifications.replace(notification);
            }
            Kind::Reply => {
                let reply = Ref::<Reply>::at(object);
                if let Use::Pending(thread) | Use::Offered(thread) = self.memory[reply].use_ {
                    let _ = self.cancel(thread, Error::Cancelled);
                }
                self.memory.destroy(reply);
            }
            Kind::Guest => {
                let guest = Ref::<Guest>::at(object);
                if let Some(thread) = self.memory[guest].occupant {
                    self.abandon_guest(thread);
                    // Its core may still save registers in the guest's frame.
                    self.removal.unquiet = true;
                }
                self.memory.destroy(guest);
            }
            Kind::SubOs => machine::orphan(object),
            // Tables are swept by `caps`; untyped memory and regions are nothing but memory; a planted root
            // names what the ledger, not this kernel, takes back.
            _ => {}
        }
    }

    fn destroy_thread(&mut self, thread: Ref<Thread>) {
        self.unblock(thread);
        self.memory[thread].state = State::Stopped;
        if let Some(core) = self.running_on(thread) {
            self.cores[core.index()].current = None;
            if core != self.me {
                send_ipi(core, Vector::RESCHEDULE);
            }
        }
        if let Some(guest) = self.memory[thread].guest.take() {
            self.memory[guest].occupant = None;
        }
        if let Some(notification) = self.memory[thread].bound.take() {
            self.memory[notification].bound = None;
        }
        self.memory.destroy(thread);
        self.removal.unquiet = true;
    }

    fn destroy_space(&mut self, space: Ref<AddressSpace>) {
        if self.memory[space].is_scanning() {
            self.removal.scans -= 1;
        }
        let (next, previous) = (self.memory[space].next, self.memory[space].previous);
        match previous {
            Some(previous) => self.memory[previous].next = next,
            None => self.spaces = next,
        }
        if let Some(next) = next {
            self.memory[next].previous = previous;
        }
        self.memory.destroy(space);
        self.removal.unquiet = true;
    }

    /// Whoever queues at an endpoint through a capability that went waits in vain.
    fn unbadge(&mut self, object: PhysAddr, badge: u64) {
        let endpoint = Ref::<Endpoint>::at(object);
        // A notification has no queue of senders.
        if !self.memory.is(endpoint) {
            return;
        }
        // A second badge while the first is still being looked for: then its rest is done now.
        while matches!(self.memory[endpoint].drain, Drain::Badge(..)) {
            self.drain_some(endpoint);
        }
        if self.memory[endpoint].drain == Drain::Nobody {
            self.enlist_endpoint(endpoint);
            let waiting = self.memory[endpoint].callers.count();
            self.memory[endpoint].drain = Drain::Badge(badge, waiting);
        }
    }

    fn enlist_endpoint(&mut self, endpoint: Ref<Endpoint>) {
        if !self.memory[endpoint].enlisted {
            self.memory[endpoint].enlisted = true;
            self.memory[endpoint].next_dying = self.removal.endpoints.replace(endpoint);
        }
    }

    fn drain_endpoint(&mut self) -> bool {
        let Some(endpoint) = self.removal.endpoints else { return true };
        self.drain_some(endpoint);
        let finished = match self.memory[endpoint].drain {
            Drain::Nobody => true,
            Drain::Badge(..) => false,
            Drain::All => {
                self.memory[endpoint].callers.is_empty() && self.memory[endpoint].receivers.is_empty()
            }
        };
        if finished {
            self.removal.endpoints = self.memory[endpoint].next_dying.take();
            self.memory[endpoint].enlisted = false;
            if self.memory[endpoint].drain == Drain::All {
                self.memory.destroy(endpoint);
            }
        }
        self.removal.endpoints.is_none()
    }

    /// Treats a bounded number of the threads that queue at an endpoint.
    fn drain_some(&mut self, endpoint: Ref<Endpoint>) {
        for _ in 0..CANCEL_BUDGET {
            match self.memory[endpoint].drain {
                Drain::Nobody => return,
                Drain::All => {
                    let callers = self.memory[endpoint].callers.first();
                    let Some(thread) = callers.or(self.memory[endpoint].receivers.first()) else { return };
                    let _ = self.cancel(thread, Error::Cancelled);
                }
                Drain::Badge(_, 0) => self.memory[endpoint].drain = Drain::Nobody,
                Drain::Badge(badge, left) => {
                    self.memory[endpoint].drain = Drain::Badge(badge, left - 1);
                    let Some(thread) = self.memory[endpoint].callers.first() else {
                        self.memory[endpoint].drain = Drain::Nobody;
                        return;
                    };
                    if self.memory[thread].badge == badge {
                        let _ = self.cancel(thread, Error::Cancelled);
                    } else {
                        // To the end of the queue: after a full turn the order is as it was.
                        self.memory.change_queue(
                            endpoint,
                            |it| &mut it.callers,
                            |q, memory| {
                                q.remove(memory, thread);
                                q.push_back(memory, thread);
                            },
                        );
                    }
                }
            }
        }
    }

    fn drain_notification(&mut self) -> bool {
        let Some(notification) = self.removal.notifications else { return true };
        for _ in 0..CANCEL_BUDGET {
            let Some(thread) = self.memory[notification].waiters.first() else {
                self.removal.notifications = self.memory[notification].next_dying.take();
                self.memory.destroy(notification);
                break;
            };
            let _ = self.cancel(thread, Error::Cancelled);
        }
        self.removal.notifications.is_none()
    }

    fn scan(&mut self) -> bool {
        let mut space = self.spaces;
        while self.removal.scans > 0
            && let Some(here) = space
        {
            if self.memory[here].is_scanning() {
                if here.scan_step(&mut self.memory, &self.board, SCAN_BUDGET) {
                    self.removal.scans -= 1;
                }
                break;
            }
            space = self.memory[here].next;
        }
        self.removal.scans == 0
    }
}
