//! Waiting for children: wait4 and waitid.

use alloc::vec::Vec;
use linux_raw_sys::general as g;

use super::{ExitStatus, Pid, Stop, Tid};
use crate::error::{Errno, Result};
use crate::linux::Linux;
use crate::outcome::{Outcome, Wait, WaitKey};
use crate::platform::Platform;
use crate::signal::Signal;

/// Which children a wait is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Any,
    One(Pid),
    Group(Pid),
}

/// What happened to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Ended(ExitStatus),
    Stopped(Signal),
    Continued,
}

impl Event {
    /// The status word of wait4(2).
    pub(crate) const fn to_word(self) -> u32 {
        match self {
            Self::Ended(status) => status.to_word(),
            Self::Stopped(signal) => (signal.number() as u32) << 8 | 0x7f,
            Self::Continued => 0xffff,
        }
    }
}

/// What a wait found.
pub(crate) enum Waited {
    Child(Pid, Event),
    Nothing,
    Blocked(Outcome),
}

impl<P: Platform> Linux<P> {
    /// Looks for a child with news. `options` are those of waitid(2).
    pub(crate) fn wait_for(&mut self, tid: Tid, which: Which, options: u32) -> Result<Waited> {
        let pid = self.task(tid).process;
        let matching: Vec<Pid> = self
            .processes
            .iter()
            .filter(|(child, process)| {
                process.parent == pid
                    && match which {
                        Which::Any => true,
                        Which::One(wanted) => wanted == **child,
                        Which::Group(group) => process.group == group,
                    }
            })
            .map(|(&child, _)| child)
            .collect();
        if matching.is_empty() {
            return Err(Errno::ECHILD);
        }
        for child in matching {
            if let Some(event) = self.take_news(child, options) {
                return Ok(Waited::Child(child, event));
            }
        }
        if options & g::WNOHANG != 0 {
            return Ok(Waited::Nothing);
        }
        Ok(Waited::Blocked(Outcome::Wait(Wait::on(WaitKey::Child(pid)))))
    }

    /// The news of one child, which is old news afterwards unless `WNOWAIT` asks to keep it.
    fn take_news(&mut self, child: Pid, options: u32) -> Option<Event> {
        let keep = options & g::WNOWAIT != 0;
        let process = self.process_mut(child);
        if process.is_zombie() {
            if options & g::WEXITED == 0 {
                return None;
            }
            let status = process.exit.unwrap_or(ExitStatus::Exited(0));
            if !keep {
                self.reap(child);
            }
            return Some(Event::Ended(status));
        }
        if let Stop::Stopped(signal) = process.stop
            && options & g::WSTOPPED != 0
        {
            if !keep {
                process.stop = Stop::Told(signal);
            }
            return Some(Event::Stopped(signal));
        }
        if process.continued && options & g::WCONTINUED != 0 {
            process.continued &= keep;
            return Some(Event::Continued);
        }
        None
    }
}
