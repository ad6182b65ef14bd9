//! The audit: counts every holder anew and compares with what is recorded. For tests, and for
//! whoever doubts: nothing lost, nothing leaked.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use crate::arena::{Arena, Id};
use crate::file::{Ends, FileKind};
use crate::linux::Linux;
use crate::pipe::Pipe;
use crate::platform::{Frame, Platform};
use crate::vfs::{Ino, Kind, Node};

/// Holders as they are found.
struct Count<K>(BTreeMap<K, u32>);

impl<K: Ord> Count<K> {
    const fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn add(&mut self, key: K) {
        *self.0.entry(key).or_default() += 1;
    }

    fn of(&self, key: &K) -> u32 {
        self.0.get(key).copied().unwrap_or(0)
    }
}

/// Compares an arena with what was counted.
fn compare<T>(name: &str, arena: &Arena<T>, counted: &Count<Id<T>>) -> Result<(), String> {
    for id in arena.ids() {
        let (recorded, counted) = (arena.holders(id), counted.of(&id));
        if recorded != counted {
            return Err(format!("{name} {id:?} has {counted} holders and {recorded} are recorded"));
        }
    }
    match counted.0.keys().find(|id| arena.holders(**id) == 0) {
        Some(id) => Err(format!("{name} {id:?} is held and does not exist")),
        None => Ok(()),
    }
}

impl<P: Platform> Linux<P> {
    /// Checks that every count is right.
    ///
    /// # Errors
    /// What is wrong first, in words.
    pub fn audit(&self) -> Result<(), String> {
        self.audit_frames()?;
        self.audit_shared()?;
        self.audit_files()?;
        self.audit_inodes()
    }

    fn audit_frames(&self) -> Result<(), String> {
        let mut counted: Count<Frame> = Count::new();
        let mut records = 0;
        for id in self.memories.ids() {
            for frame in self.memories[id].frames() {
                counted.add(frame);
                records += 1;
            }
        }
        for body in self.inodes.bodies() {
            body.frames().for_each(|frame| counted.add(frame));
        }
        if records != self.machine.records {
            return Err(format!("{records} page records, and {} are recorded", self.machine.records));
        }
        self.machine.frames.audit(|frame| counted.of(&frame))
    }

    fn audit_shared(&self) -> Result<(), String> {
        let (mut memories, mut tables) = (Count::new(), Count::new());
        let (mut places, mut handlers) = (Count::new(), Count::new());
        for task in self.tasks.values() {
            memories.add(task.memory);
            tables.add(task.files);
            places.add(task.places);
            handlers.add(task.handlers);
        }
        compare("memory", &self.memories, &memories)?;
        compare("table", &self.tables, &tables)?;
        compare("places", &self.places, &places)?;
        compare("handlers", &self.handlers, &handlers)?;
        for (tid, task) in &self.tasks {
            let listed =
                self.processes.get(&task.process).is_some_and(|process| process.threads.contains(tid));
            if !listed {
                return Err(format!("{tid:?} is not a thread of its process"));
            }
        }
        Ok(())
    }

    fn audit_files(&self) -> Result<(), String> {
        let mut files = Count::new();
        for id in self.tables.ids() {
            self.tables[id].open_files().into_iter().for_each(|file| files.add(file));
        }
        compare("open file", &self.files, &files)?;
        let (mut readers, mut writers): (Count<Id<Pipe>>, Count<Id<Pipe>>) = (Count::new(), Count::new());
        let mut count = |pipe, ends: Ends| {
            if ends.reads() {
                readers.add(pipe);
            }
            if ends.writes() {
                writers.add(pipe);
            }
        };
        for id in self.files.ids() {
            match self.files[id].kind {
                FileKind::Pipe { pipe, ends, .. } => count(pipe, ends),
                FileKind::Pair { incoming, outgoing } => {
                    count(incoming, Ends::Read);
                    count(outgoing, Ends::Write);
                }
                _ => {}
            }
        }
        for id in self.pipes.ids() {
            let pipe = &self.pipes[id];
            if (pipe.readers, pipe.writers) != (readers.of(&id), writers.of(&id)) {
                return Err(format!(
                    "pipe {id:?} counts {} readers and {} writers",
                    pipe.readers, pipe.writers
                ));
            }
            if pipe.readers + pipe.writers == 0 {
                return Err(format!("pipe {id:?} is open nowhere"));
            }
        }
        Ok(())
    }

    fn audit_inodes(&self) -> Result<(), String> {
        let mut held: Count<Ino> = Count::new();
        let mut hold = |node: Node| {
            if let Node::Inode(ino) = node {
                held.add(ino);
            }
        };
        hold(Node::Inode(self.root));
        for ino in self.inodes.ids() {
            if let Kind::Directory(directory) = &self.inodes.get(ino).kind {
                directory.entries_at(0).for_each(|(_, _, child)| hold(Node::Inode(child)));
            }
        }
        for id in self.files.ids() {
            match self.files[id].kind {
                FileKind::Regular(ino) | FileKind::Device(_, ino) => hold(Node::Inode(ino)),
                FileKind::Directory(node) | FileKind::Path(node) => hold(node),
                FileKind::Pipe { named: Some(ino), .. } => hold(Node::Inode(ino)),
                _ => {}
            }
        }
        for id in self.places.ids() {
            hold(self.places[id].root);
            hold(self.places[id].cwd);
        }
        for id in self.memories.ids() {
            self.memories[id].files.iter().for_each(|&ino| hold(Node::Inode(ino)));
        }
        for process in self.processes.values() {
            process.program.file.into_iter().for_each(|ino| hold(Node::Inode(ino)));
        }
        for ino in self.inodes.ids() {
            let (recorded, counted) = (self.inodes.holders(ino), held.of(&ino));
            if recorded != counted {
                return Err(format!("inode {ino:?} has {counted} holders and {recorded} are recorded"));
            }
        }
        Ok(())
    }
}
