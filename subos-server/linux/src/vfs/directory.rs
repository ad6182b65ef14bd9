//! Directories: names to inodes, with a stable place for each entry so that listing a directory
//! while it changes neither repeats nor skips what stays.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use super::inode::Ino;

/// The first place that a real entry can have; below are `.` and `..`.
const FIRST_PLACE: u64 = 2;

/// A directory's entries. Each entry holds its inode.
pub(crate) struct Directory {
    by_name: BTreeMap<Box<[u8]>, (Ino, u64)>,
    by_place: BTreeMap<u64, Box<[u8]>>,
    next_place: u64,
    /// The directory above; the root is its own. Not held.
    pub(crate) parent: Option<Ino>,
}

impl Directory {
    pub(crate) const fn new(parent: Option<Ino>) -> Self {
        Self { by_name: BTreeMap::new(), by_place: BTreeMap::new(), next_place: FIRST_PLACE, parent }
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<Ino> {
        self.by_name.get(name).map(|&(ino, _)| ino)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Adds an entry, or points an existing one elsewhere; the answer is what it named before.
    pub(crate) fn set(&mut self, name: &[u8], ino: Ino) -> Option<Ino> {
        if let Some(entry) = self.by_name.get_mut(name) {
            return Some(core::mem::replace(&mut entry.0, ino));
        }
        let place = self.next_place;
        self.next_place += 1;
        self.by_name.insert(name.into(), (ino, place));
        self.by_place.insert(place, name.into());
        None
    }

    pub(crate) fn remove(&mut self, name: &[u8]) -> Option<Ino> {
        let (ino, place) = self.by_name.remove(name)?;
        self.by_place.remove(&place);
        Some(ino)
    }

    /// Entries from `place` on, in order, with their places.
    pub(crate) fn entries_at(&self, place: u64) -> impl Iterator<Item = (u64, &[u8], Ino)> {
        self.by_place.range(place.max(FIRST_PLACE)..).filter_map(|(&place, name)| {
            let (ino, _) = self.by_name.get(name)?;
            Some((place, &**name, *ino))
        })
    }

    /// The name under which `ino` is entered.
    pub(crate) fn name_of(&self, ino: Ino) -> Option<&[u8]> {
        self.by_name.iter().find(|(_, entry)| entry.0 == ino).map(|(name, _)| &**name)
    }
}
