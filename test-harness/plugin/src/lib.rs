//! A plugin for QEMU's translator that counts executed guest instructions, core by core, and notes the counts
//! whenever the guest executes a marker.
//!
//! Design principles
//!
//! 1. *Exact.* Every instruction has a callback of its own, run before it, so nothing is estimated per block. A
//!    marker itself is not counted: whatever lies between two markers, and only that, is what was counted there.
//! 2. *No opinion.* The plugin writes points (which marker, which core, all counts so far); what two points mean
//!    together is for the harness to say, so that a new measurement needs no new plugin.
//! 3. *One binary for every QEMU that can load it.* The interface is declared here and looked up by name when the
//!    plugin is loaded (see `api` for the versions), so no header, no pkg-config and no C compiler is needed.
//!
//! Arguments, as in `-plugin libqemu_plugin.so,out=FILE,watch=0x200000,memory=on`:
//!
//! - `out=FILE`: where to write; needed. One line per event, see `log`.
//! - `watch=ADDRESS`: also note the counts whenever the instruction at this virtual address is about to run; may be
//!   given up to eight times.
//! - `apart=FIRST-END`: also count apart the instructions at virtual addresses from `FIRST` to before `END`: those that
//!   copy or clear memory, say. May be given several times.
//! - `profile=on`: between the markers `marker::PROFILE_BEGIN` and `marker::PROFILE_END`, write the address of each
//!   instruction that the core executes which executed the first.
//! - `memory=on`: between the markers `marker::SHARING_BEGIN` and `marker::SHARING_END`, note which core touches
//!   which line of physical memory, and write the lines that one core wrote and another touched.
//! - `masked=on`: write the longest stretches for which a core let no interrupt in. `entries=ADDRESS` says where the kernel's
//!   entries of interrupts and exceptions begin, `look=ADDRESS` where it looks whether an interrupt waits.
//! - `counts=off`: count no instructions, which makes the machine faster when memory is all that is asked for.
//!
//! Reading order: `marker`, `counts`, `log`, `options`, `sharing`, `profile`, `masked`, `api`, `hooks` (the callbacks).

mod api;
mod counts;
mod hooks;
mod log;
mod marker;
mod masked;
mod options;
mod profile;
mod sharing;
