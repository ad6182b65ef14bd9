//! Queues of threads, linked through the threads themselves. A thread is in one queue at a time at most.

use crate::memory::{Memory, Object, Ref};
use crate::object::thread::Thread;

/// First in, first out; removal from the middle takes constant time.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Queue {
    head: Option<Ref<Thread>>,
    tail: Option<Ref<Thread>>,
    count: u32,
}

/// A thread's place in the queue that it is in.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Link {
    next: Option<Ref<Thread>>,
    previous: Option<Ref<Thread>>,
    queued: bool,
}

impl Queue {
    /// A queue without threads.
    pub const EMPTY: Self = Self { head: None, tail: None, count: 0 };

    /// Whether nobody queues here.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// How many threads queue here.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The thread that has waited longest.
    #[must_use]
    pub const fn first(&self) -> Option<Ref<Thread>> {
        self.head
    }

    /// Adds a thread at the end.
    #[inline(always)]
    pub fn push_back(&mut self, memory: &mut Memory, thread: Ref<Thread>) {
        let last = self.attach_last(&mut memory[thread].link, thread);
        memory.told_last(last, thread);
    }

    /// Adds a thread with this link at the end, of which the one before is then to be told.
    #[inline(always)]
    pub fn attach_last(&mut self, link: &mut Link, thread: Ref<Thread>) -> Option<Ref<Thread>> {
        assert!(!link.queued, "a thread is in one queue at most");
        *link = Link { next: None, previous: self.tail, queued: true };
        if self.tail.is_none() {
            self.head = Some(thread);
        }
        self.count += 1;
        self.tail.replace(thread)
    }

    /// Takes out the thread that has waited longest, which has this link; of which the next is then to be told.
    #[inline(always)]
    pub fn detach_first(&mut self, link: &mut Link) -> Option<Ref<Thread>> {
        self.head = core::mem::take(link).next;
        if self.head.is_none() {
            self.tail = None;
        }
        self.count -= 1;
        self.head
    }

    /// Adds a thread at the front: it was interrupted and has time left.
    pub fn push_front(&mut self, memory: &mut Memory, thread: Ref<Thread>) {
        assert!(!memory[thread].link.queued, "a thread is in one queue at most");
        memory[thread].link = Link { next: self.head, previous: None, queued: true };
        match self.head {
            Some(head) => memory[head].link.previous = Some(thread),
            None => self.tail = Some(thread),
        }
        self.head = Some(thread);
        self.count += 1;
    }

    /// Takes the thread that has waited longest.
    pub fn pop_front(&mut self, memory: &mut Memory) -> Option<Ref<Thread>> {
        let thread = self.head?;
        self.remove(memory, thread);
        Some(thread)
    }

    /// Takes a thread out, wherever in this queue it is.
    #[inline(always)]
    pub fn remove(&mut self, memory: &mut Memory, thread: Ref<Thread>) {
        let link = memory[thread].link;
        assert!(link.queued, "only a queued thread is removed");
        match link.previous {
            Some(previous) => memory[previous].link.next = link.next,
            None => self.head = link.next,
        }
        match link.next {
            Some(next) => memory[next].link.previous = link.previous,
            None => self.tail = link.previous,
        }
        memory[thread].link = Link::default();
        self.count -= 1;
    }

    /// Appends all of `other`, in constant time, and empties it.
    pub fn append(&mut self, memory: &mut Memory, other: &mut Self) {
        match (self.tail, other.head) {
            (_, None) => {}
            (None, Some(_)) => *self = *other,
            (Some(tail), Some(head)) => {
                memory[tail].link.next = Some(head);
                memory[head].link.previous = Some(tail);
                self.tail = other.tail;
                self.count += other.count;
            }
        }
        *other = Self::EMPTY;
    }
}

impl Memory {
    /// Changes a queue that lies in an object. Its links lie in other objects of the same memory, so it is taken out
    /// for the change and put back.
    #[inline(always)]
    pub fn change_queue<T: Object>(
        &mut self,
        object: Ref<T>,
        queue: impl Fn(&mut T) -> &mut Queue,
        change: impl FnOnce(&mut Queue, &mut Self),
    ) {
        let mut taken = *queue(&mut self[object]);
        change(&mut taken, self);
        *queue(&mut self[object]) = taken;
    }

    /// Takes the thread that has waited longest in a queue that lies in an object.
    #[inline(always)]
    pub fn take_first<T: Object>(&mut self, object: Ref<T>, queue: impl Fn(&mut T) -> &mut Queue) {
        let Some(first) = queue(&mut self[object]).head else { return };
        let mut link = self[first].link;
        let next = queue(&mut self[object]).detach_first(&mut link);
        self[first].link = link;
        self.told_first(next);
    }

    /// Tells a thread, if there is one, that it is the first in its queue now.
    #[inline(always)]
    pub fn told_first(&mut self, thread: Option<Ref<Thread>>) {
        if let Some(thread) = thread {
            self[thread].link.previous = None;
        }
    }

    /// Tells a thread, if there is one, who comes behind it now.
    #[inline(always)]
    pub fn told_last(&mut self, thread: Option<Ref<Thread>>, next: Ref<Thread>) {
        if let Some(thread) = thread {
            self[thread].link.next = Some(next);
        }
    }
}

impl Link {
    /// Whether the thread is in a queue.
    #[must_use]
    pub const fn is_queued(&self) -> bool {
        self.queued
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{physical_memory, threads};
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn behaves_as_a_list(steps in proptest::collection::vec((0..5_u8, 0..20_usize), 1..150)) {
            let _guard = physical_memory();
            let mut memory = Memory::new();
            let threads = threads(&mut memory, 20);
            let (mut queue, mut model) = (Queue::EMPTY, VecDeque::new());
            let (mut other, mut other_model) = (Queue::EMPTY, VecDeque::new());
            for (what, index) in steps {
                let queued = model.contains(&index) || other_model.contains(&index);
                match what {
                    0 if !queued => {
                        queue.push_back(&mut memory, threads[index]);
                        model.push_back(index);
                    }
                    1 if !queued => {
                        queue.push_front(&mut memory, threads[index]);
                        model.push_front(index);
                    }
                    2 if model.contains(&index) => {
                        queue.remove(&mut memory, threads[index]);
                        model.retain(|one| *one != index);
                    }
                    3 if !queued => {
                        other.push_back(&mut memory, threads[index]);
                        other_model.push_back(index);
                    }
                    4 => {
                        queue.append(&mut memory, &mut other);
                        model.append(&mut other_model);
                    }
                    _ => {
                        let popped = queue.pop_front(&mut memory);
                        prop_assert_eq!(popped, model.pop_front().map(|one| threads[one]));
                    }
                }
                prop_assert_eq!(queue.first(), model.front().map(|one| threads[*one]));
                prop_assert_eq!(usize::try_from(queue.count()).unwrap(), model.len());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
            }
        }
    }
}
