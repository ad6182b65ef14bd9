//! What follows when capabilities went: objects are torn down, who waited is woken, pages are unmapped.
//!
//! Most of it ends at once. Three things take steps, each of a bounded number of threads or page tables: waking the queue
//! of an endpoint, that of a notification, and scanning a space for the mappings of dying bindings.

use caps::{Capability, Effect, Effects, Error, Kind, SlotRef, Slots};

use crate::arch::Vector;
use crate::arch::send_ipi;
use crate::kernel::Kernel;
use crate::limits::{CANCEL_BUDGET, REVOKE_BUDGET};
use crate::machine;
use crate::memory::Ref;
use crate::object::address_space::AddressSpace;
use crate::object::endpoint::Endpoint;
use crate::object::guest::Guest;
use crate::object::notification::Notification;
use crate::object::reply::{Reply, Use};
use crate::object::thread::{State, Thread};
use crate::types::PhysAddr;

/// Which of the threads that queue at an endpoint are to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// None.
    Nobody,
    /// Those of the first so many callers whose capability has gone.
    Stale(u32),
    /// All: the endpoint has gone.
    All,
}

impl Kernel {
    /// Carries out the effects of one step.
    pub fn perform(&mut self, effects: &Effects) {
        for effect in effects {
            match *effect {
                Effect::Destroy { kind, object, size: _, badge: _ } => self.destroy(kind, PhysAddr(object)),
                Effect::Unbind { space, number, .. } => {
                    let space = Ref::<AddressSpace>::at(PhysAddr(space));
                    if !self.memory[space].is_scanning() {
                        self.removal.scans += 1;
                        // To the front: nobody looks for it far.
                        self.unlink_space(space);
                        self.link_space(space);
                    }
                    space.set_binding(&mut self.memory, number, None);
                    self.memory[space].mark_dying(number);
                }
                Effect::Lost { slot, capability } => {
                    self.removal.lost(slot);
                    if capability.kind == Kind::Endpoint {
                        self.withdraw(Ref::at(PhysAddr(capability.object)));
                    }
                }
                // Whoever queues does so through a capability that is watched.
                Effect::Unbadge { .. } => {}
            }
        }
    }

    /// Does some of what is left. Returns whether nothing is.
    pub fn settle(&mut self) -> bool {
        let quick = self.drain_endpoint() && self.drain_notification() && self.scan();
        if quick && self.forest.dying().is_some() {
            let mut effects = Effects::new();
            let _ = self.forest.sweep_step(&mut self.memory, REVOKE_BUDGET, &mut effects);
            self.perform(&effects);
            return false;
        }
        quick
    }

    /// Plants the first capability to something that was not made here.
    ///
    /// # Errors
    /// Those of the model.
    pub fn plant(&mut self, slot: SlotRef, first: Capability) -> Result<(), Error> {
        self.forest.plant(&mut self.memory, slot, first)?;
        self.live[usize::from(first.kind.number())] += 1;
        Ok(())
    }

    fn destroy(&mut self, kind: Kind, object: PhysAddr) {
        let live = &mut self.live[usize::from(kind.number())];
        *live = live.saturating_sub(1);
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
        self.unlink_space(space);
        self.memory.destroy(space);
        self.removal.unquiet = true;
    }

    /// Puts a space at the front of the list of all.
    pub fn link_space(&mut self, space: Ref<AddressSpace>) {
        let next = self.spaces.replace(space);
        (self.memory[space].next, self.memory[space].previous) = (next, None);
        if let Some(next) = next {
            self.memory[next].previous = Some(space);
        }
    }

    fn unlink_space(&mut self, space: Ref<AddressSpace>) {
        let (next, previous) = (self.memory[space].next, self.memory[space].previous);
        match previous {
            Some(previous) => self.memory[previous].next = next,
            None => self.spaces = next,
        }
        if let Some(next) = next {
            self.memory[next].previous = previous;
        }
    }

    /// A capability went through which threads may queue at an endpoint: whoever does waits in vain. The search begins
    /// anew with each, so however many go, it is one.
    fn withdraw(&mut self, endpoint: Ref<Endpoint>) {
        let waiting = self.memory[endpoint].callers.count();
        if waiting > 0 && self.memory[endpoint].drain != Drain::All {
            self.enlist_endpoint(endpoint);
            self.memory[endpoint].drain = Drain::Stale(waiting);
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
            Drain::Stale(_) => false,
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
        for _ in 0..crate::journal::bound(&self.forest, CANCEL_BUDGET) {
            match self.memory[endpoint].drain {
                Drain::Nobody => return,
                Drain::All => {
                    let callers = self.memory[endpoint].callers.first();
                    let Some(thread) = callers.or(self.memory[endpoint].receivers.first()) else { return };
                    let _ = self.cancel(thread, Error::Cancelled);
                }
                Drain::Stale(left) => {
                    let first = self.memory[endpoint].callers.first().filter(|_| left > 0);
                    let Some(thread) = first else {
                        self.memory[endpoint].drain = Drain::Nobody;
                        return;
                    };
                    self.memory[endpoint].drain = Drain::Stale(left - 1);
                    let through = self.memory[thread].through;
                    if through.is_some_and(|(slot, was)| self.memory.slot(slot).generation() != was) {
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
                if here.scan_step(&mut self.memory, &self.board) {
                    self.removal.scans -= 1;
                    self.removal.unquiet = true;
                }
                break;
            }
            space = self.memory[here].next;
        }
        self.removal.scans == 0
    }
}
