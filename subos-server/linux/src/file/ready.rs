//! Readiness: what poll and select ask of an open file.

use alloc::vec::Vec;
use linux_raw_sys::general as g;

use super::{FileKind, OpenFile};
use crate::arena::Id;
use crate::linux::Linux;
use crate::outcome::WaitKey;
use crate::pipe::Pipe;
use crate::platform::Platform;

/// Events in the terms of poll(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Events(pub(crate) u32);

impl Events {
    pub(crate) const IN: Self = Self(g::POLLIN | g::POLLRDNORM);
    pub(crate) const OUT: Self = Self(g::POLLOUT | g::POLLWRNORM);
    pub(crate) const ERROR: Self = Self(g::POLLERR);
    pub(crate) const HANG_UP: Self = Self(g::POLLHUP);

    const fn and(self, other: Self, condition: bool) -> Self {
        if condition { Self(self.0 | other.0) } else { self }
    }
}

impl<P: Platform> Linux<P> {
    /// What could be done with the file without waiting.
    pub(crate) fn readiness(&self, id: Id<OpenFile>) -> Events {
        let file = &self.files[id];
        let none = Events::default();
        match &file.kind {
            FileKind::Pipe { pipe, ends, .. } => {
                let mut events = none;
                if ends.reads() {
                    events = Self::read_events(&self.pipes[*pipe]);
                }
                if ends.writes() {
                    let write = Self::write_events(&self.pipes[*pipe]);
                    events = Events(events.0 | write.0);
                }
                events
            }
            FileKind::Pair { incoming, outgoing } => {
                let incoming = Self::read_events(&self.pipes[*incoming]);
                Events(incoming.0 | Self::write_events(&self.pipes[*outgoing]).0)
            }
            FileKind::Event { count, .. } => {
                none.and(Events::IN, *count > 0).and(Events::OUT, *count < u64::MAX - 1)
            }
            FileKind::Stream(_) => Events::OUT,
            FileKind::Input => Events::IN,
            _ => none.and(Events::IN, true).and(Events::OUT, true),
        }
    }

    fn read_events(pipe: &Pipe) -> Events {
        Events::default().and(Events::IN, pipe.len() > 0).and(Events::HANG_UP, pipe.writers == 0)
    }

    fn write_events(pipe: &Pipe) -> Events {
        let open = pipe.readers > 0;
        Events::default()
            .and(Events::OUT, open && pipe.accepts(crate::limits::PIPE_BUF))
            .and(Events::ERROR, !open)
    }

    /// What to wait for until the file's readiness changes.
    pub(crate) fn readiness_keys(&self, id: Id<OpenFile>, keys: &mut Vec<WaitKey>) {
        match self.files[id].kind {
            FileKind::Pipe { pipe, ends, .. } => {
                if ends.reads() {
                    keys.push(WaitKey::Readable(pipe));
                }
                if ends.writes() {
                    keys.push(WaitKey::Writable(pipe));
                }
            }
            FileKind::Pair { incoming, outgoing } => {
                keys.push(WaitKey::Readable(incoming));
                keys.push(WaitKey::Writable(outgoing));
            }
            FileKind::Event { .. } => keys.push(WaitKey::Event(id)),
            _ => {}
        }
    }
}
