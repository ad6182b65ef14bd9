//! Child processes that cannot outlive us.
//!
//! Three nets, each for what the one before lets through: dropping a [`Guarded`] kills the child; a signal that ends
//! us kills all of them first; and the kernel kills a child whose parent is gone, whatever the parent died of.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::{Doing, Result};

/// Asks the host's kernel to kill the child when the thread that spawns it ends, however it ends. (That it is the
/// thread matters: spawn from the thread that waits.)
pub fn die_with_parent(command: &mut Command) {
    let before_exec = || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe things may be done. It makes one
    // system call and neither allocates nor locks.
    unsafe { command.pre_exec(before_exec) };
}

/// The children that are running now.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// A child process that is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Guarded {
    child: Child,
}

impl Guarded {
    pub(super) fn new(child: Child) -> Self {
        running(|set| set.insert(id(&child)));
        Self { child }
    }

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(super) fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().doing(|| "cannot wait for QEMU".to_owned())
    }

    /// Kills the child if it still runs, and waits until it is gone.
    pub(super) fn end(&mut self) -> Result<ExitStatus> {
        // That it has ended already is no failure.
        let _ = self.child.kill();
        self.child.wait().doing(|| "cannot wait for QEMU".to_owned())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        running(|set| set.remove(&id(&self.child)));
        // Nothing more can be done from here if this fails; the host's kernel still has its own order to kill.
        let _ = self.end();
    }
}

fn id(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap_or(0)
}

fn running<R>(with: impl FnOnce(&mut BTreeSet<i32>) -> R) -> R {
    with(&mut RUNNING.lock().unwrap_or_else(PoisonError::into_inner))
}

/// From now on, Ctrl-C and the signals that ask us to end kill the children, say so, and end us with the status that
/// shells expect.
///
/// # Errors
/// When the handlers cannot be set.
pub fn end_with_us_on_signals() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).doing(|| "cannot watch signals".to_owned())?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let ended = running(|set| {
                set.iter().filter_map(|id| Pid::from_raw(*id)).for_each(|id| {
                    let _ = kill_process(id, Signal::KILL);
                });
                set.len()
            });
            // Show the cursor again, should a progress display have hidden it.
            let mut out = std::io::stderr().lock();
            let show = if crate::say::colours(&out) { "\x1b[?25h" } else { "" };
            let qemu = if ended == 0 { "" } else { "; QEMU is stopped" };
            let _ = writeln!(out, "{show}\narchipelago: interrupted{qemu}");
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}
