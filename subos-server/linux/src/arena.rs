//! Reference-counted storage with typed identifiers.
//!
//! Tasks share memory, descriptor tables, handlers and open files in any combination. Each kind
//! lives in one [`Arena`] that the server owns; an [`Id`] names an entry and every holder counts.
//! Nothing here blocks or locks, so the whole personality stays one value that can be moved.

use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ops::{Index, IndexMut};

/// Names one entry of an `Arena<T>`.
pub(crate) struct Id<T> {
    index: u32,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.index.cmp(&other.index)
    }
}
impl<T> core::fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "#{}", self.index)
    }
}
impl<T> Id<T> {
    /// The number behind the name, for inode numbers and messages.
    pub(crate) const fn number(self) -> u32 {
        self.index
    }
}

struct Entry<T> {
    holders: u32,
    value: T,
}

/// A bounded collection of counted entries.
pub(crate) struct Arena<T> {
    entries: Vec<Option<Entry<T>>>,
    free: Vec<u32>,
    limit: usize,
}

impl<T> Arena<T> {
    /// An empty arena for at most `limit` entries.
    pub(crate) const fn new(limit: usize) -> Self {
        Self { entries: Vec::new(), free: Vec::new(), limit }
    }

    /// Stores `value` with one holder; `None` when the arena is full (the value is dropped).
    pub(crate) fn insert(&mut self, value: T) -> Option<Id<T>> {
        let entry = Some(Entry { holders: 1, value });
        let index = if let Some(index) = self.free.pop() {
            self.entries[index as usize] = entry;
            index
        } else {
            if self.entries.len() >= self.limit {
                return None;
            }
            let index = u32::try_from(self.entries.len()).ok()?;
            self.entries.push(entry);
            index
        };
        Some(Id { index, kind: PhantomData })
    }

    /// How many entries could still be stored.
    pub(crate) fn room(&self) -> usize {
        self.free.len() + (self.limit - self.entries.len().min(self.limit))
    }

    /// How many entries are stored.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Adds a holder.
    pub(crate) fn retain(&mut self, id: Id<T>) {
        self.entry_mut(id).holders += 1;
    }

    /// How many hold the entry.
    pub(crate) fn holders(&self, id: Id<T>) -> u32 {
        self.entries.get(id.index as usize).and_then(Option::as_ref).map_or(0, |entry| entry.holders)
    }

    /// Drops a holder; with the last one the value comes out.
    #[must_use = "the last holder must clean up what the value refers to"]
    pub(crate) fn release(&mut self, id: Id<T>) -> Option<T> {
        let entry = self.entry_mut(id);
        entry.holders -= 1;
        if entry.holders > 0 {
            return None;
        }
        self.free.push(id.index);
        self.entries[id.index as usize].take().map(|entry| entry.value)
    }

    /// The name of every entry.
    pub(crate) fn ids(&self) -> impl Iterator<Item = Id<T>> + '_ {
        self.entries
            .iter()
            .zip(0u32..)
            .filter(|(entry, _)| entry.is_some())
            .map(|(_, index)| Id { index, kind: PhantomData })
    }

    /// Every entry with its name, to change.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Id<T>, &mut T)> {
        self.entries.iter_mut().zip(0u32..).filter_map(|(entry, index)| {
            entry.as_mut().map(|entry| (Id { index, kind: PhantomData }, &mut entry.value))
        })
    }

    fn entry_mut(&mut self, id: Id<T>) -> &mut Entry<T> {
        self.entries[id.index as usize].as_mut().expect("an id outlived its entry")
    }
}

impl<T> Index<Id<T>> for Arena<T> {
    type Output = T;
    fn index(&self, id: Id<T>) -> &T {
        &self.entries[id.index as usize].as_ref().expect("an id outlived its entry").value
    }
}

impl<T> IndexMut<Id<T>> for Arena<T> {
    fn index_mut(&mut self, id: Id<T>) -> &mut T {
        &mut self.entry_mut(id).value
    }
}
