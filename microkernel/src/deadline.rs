//! The deadlines of blocked threads, in a structure of bounded depth.
//!
//! A priority search tree: heap-ordered by deadline, and below each node the bits of the thread's number decide
//! left or right. Numbers are unique and have 32 bits, so no path is longer than 32 whatever the deadlines are,
//! and the earliest is always at the root. The nodes are in the threads.

use crate::memory::{Memory, Ref};
use crate::object::thread::Thread;
use crate::types::Ticks;

/// A thread's place among the deadlines.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Node {
    at: Ticks,
    children: [Option<Ref<Thread>>; 2],
    present: bool,
}

impl Node {
    /// Whether the thread has a deadline pending.
    #[must_use]
    pub const fn is_present(&self) -> bool {
        self.present
    }
}

/// All pending deadlines of one kernel.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    root: Option<Ref<Thread>>,
    /// The root's deadline: every way out of the kernel asks for it.
    earliest: Ticks,
}

/// Which child of a node at `depth` the thread belongs under.
fn side(thread: Ref<Thread>, depth: u32) -> usize {
    (thread.number() >> (31 - depth) & 1) as usize
}

impl Deadlines {
    /// No deadlines.
    pub const EMPTY: Self = Self { root: None, earliest: Ticks::NEVER };

    /// The earliest deadline.
    #[must_use]
    pub const fn earliest(&self) -> Ticks {
        self.earliest
    }

    fn note_earliest(&mut self, memory: &Memory) {
        self.earliest = self.root.map_or(Ticks::NEVER, |thread| memory[thread].deadline.at);
    }

    /// Adds a thread's deadline.
    pub fn insert(&mut self, memory: &mut Memory, thread: Ref<Thread>, at: Ticks) {
        assert!(!memory[thread].deadline.present, "a thread has one deadline at most");
        memory[thread].deadline = Node { at, children: [None; 2], present: true };
        let mut carried = thread;
        let mut parent: Option<(Ref<Thread>, usize)> = None;
        for depth in 0..32 {
            let here = match parent {
                None => self.root,
                Some((above, which)) => child(memory, above, which),
            };
            let Some(here) = here else { break };
            // The earlier of the two stays at this node; the other goes on down by its own number's bits.
            if memory[carried].deadline.at < memory[here].deadline.at {
                memory[carried].deadline.children = memory[here].deadline.children;
                memory[here].deadline.children = [None; 2];
                self.attach(memory, parent, Some(carried));
                parent = Some((carried, side(here, depth)));
                carried = here;
            } else {
                parent = Some((here, side(carried, depth)));
            }
        }
        self.attach(memory, parent, Some(carried));
        self.note_earliest(memory);
    }

    /// Removes a thread's deadline, if it has one.
    pub fn remove(&mut self, memory: &mut Memory, thread: Ref<Thread>) {
        if !memory[thread].deadline.present {
            return;
        }
        let mut parent: Option<(Ref<Thread>, usize)> = None;
        let mut here = self.root;
        let mut depth = 0;
        while let Some(node) = here
            && node != thread
        {
            assert!(depth < 32, "a present deadline lies on the path of its number");
            let which = side(thread, depth);
            parent = Some((node, which));
            here = child(memory, node, which);
            depth += 1;
        }
        assert!(here == Some(thread), "a present deadline lies on the path of its number");
        // Each step the earlier child moves up one level, and the hole moves down to where it was.
        let mut hole = memory[thread].deadline.children;
        memory[thread].deadline = Node::default();
        loop {
            let rising = match hole {
                [None, None] => None,
                [Some(one), None] | [None, Some(one)] => Some(one),
                [Some(left), Some(right)] => {
                    let left_first = memory[left].deadline.at <= memory[right].deadline.at;
                    Some(if left_first { left } else { right })
                }
            };
            self.attach(memory, parent, rising);
            let Some(rising) = rising else { break };
            let which = usize::from(hole[1] == Some(rising));
            let below = memory[rising].deadline.children;
            memory[rising].deadline.children = hole;
            parent = Some((rising, which));
            hole = below;
        }
        self.note_earliest(memory);
    }

    /// Takes one deadline that has passed.
    pub fn pop_expired(&mut self, memory: &mut Memory, now: Ticks) -> Option<Ref<Thread>> {
        let thread = self.root?;
        if memory[thread].deadline.at > now {
            return None;
        }
        self.remove(memory, thread);
        Some(thread)
    }

    fn attach(
        &mut self,
        memory: &mut Memory,
        parent: Option<(Ref<Thread>, usize)>,
        node: Option<Ref<Thread>>,
    ) {
        match parent {
            None => self.root = node,
            Some((above, 0)) => memory[above].deadline.children[0] = node,
            Some((above, _)) => memory[above].deadline.children[1] = node,
        }
    }
}

fn child(memory: &Memory, node: Ref<Thread>, which: usize) -> Option<Ref<Thread>> {
    let [left, right] = memory[node].deadline.children;
    if which == 0 { left } else { right }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{physical_memory, threads};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(usize, u64),
        Remove(usize),
        Expire(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..40_usize, 0..50_u64).prop_map(|(thread, at)| Step::Insert(thread, at)),
            (0..40_usize).prop_map(Step::Remove),
            (0..50_u64).prop_map(Step::Expire),
        ]
    }

    proptest! {
        #[test]
        fn behaves_as_a_map_from_thread_to_deadline(steps in proptest::collection::vec(step(), 1..200)) {
            let _guard = physical_memory();
            let mut memory = Memory::new();
            let threads = threads(&mut memory, 40);
            let (mut deadlines, mut model) = (Deadlines::EMPTY, BTreeMap::new());
            for step in steps {
                match step {
                    Step::Insert(thread, at) => {
                        deadlines.remove(&mut memory, threads[thread]);
                        deadlines.insert(&mut memory, threads[thread], Ticks(at));
                        model.insert(thread, at);
                    }
                    Step::Remove(thread) => {
                        deadlines.remove(&mut memory, threads[thread]);
                        model.remove(&thread);
                    }
                    Step::Expire(now) => {
                        let expired = deadlines.pop_expired(&mut memory, Ticks(now));
                        let earliest = model.values().min().copied().filter(|at| *at <= now);
                        let found = expired.and_then(|expired| threads.iter().position(|one| *one == expired));
                        prop_assert_eq!(found.is_some(), earliest.is_some());
                        if let Some(found) = found {
                            prop_assert_eq!(model.remove(&found), earliest);
                        }
                    }
                }
                let earliest = model.values().min().map_or(Ticks::NEVER, |at| Ticks(*at));
                prop_assert_eq!(deadlines.earliest(), earliest);
                for (index, thread) in threads.iter().enumerate() {
                    prop_assert_eq!(memory[*thread].deadline.is_present(), model.contains_key(&index));
                }
            }
        }
    }
}
