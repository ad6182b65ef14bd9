//! The machine: QEMU as a child process that cannot outlive us, with a deadline and a transcript.
//!
//! Reading order: [`Machine`] (what to start), [`Run`] (starting it, reading it, ending it), [`Outcome`] (what came
//! of it), `ram` (what its memory holds), `accel` (which accelerator), `child` (that nothing is left behind), `pace` (how long things may take).

mod accel;
mod child;
mod outcome;
mod pace;
mod ram;
mod run;

use std::path::PathBuf;

pub use accel::{Accel, Accelerator, choose as choose_accelerator};
pub use child::{die_with_parent, end_with_us_on_signals};
pub use outcome::{Exit, Outcome};
pub use ram::{Ram, Sharing};
pub use run::{Line, Run, Stream};

/// How the guest's time and randomness are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clockwork {
    /// As fast as it goes: what races there are, show.
    Free,
    /// One instruction, one tick of the guest's clock, the same in every run.
    Deterministic,
}

/// What debugging help is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Debugger {
    /// None.
    None,
    /// The machine waits for gdb on this TCP port of this host alone before the first instruction, and has no deadline.
    Waits(u16),
}

/// The machine to start.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The QEMU program.
    pub qemu: PathBuf,
    /// The accelerator, chosen already.
    pub accelerator: Accelerator,
    /// How many cores.
    pub cores: u32,
    /// Memory in MiB.
    pub memory: u32,
    /// How its clock goes.
    pub clockwork: Clockwork,
    /// Whether gdb is waited for.
    pub debugger: Debugger,
    /// Where it lets an operator in, if it does: a socket, to which its second serial port goes.
    pub control: Option<PathBuf>,
    /// Whether its memory can be read.
    pub sharing: Sharing,
    /// More arguments for QEMU: a plugin, say.
    pub extra: Vec<String>,
}

impl Machine {
    /// QEMU's arguments, but for the kernel and the bundle.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]
            .into_iter()
            .chain(["-monitor", "none", "-machine", "q35"])
            .chain(["-chardev", "stdio,id=com1,signal=off", "-serial", "chardev:com1"])
            .chain(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
            .map(str::to_owned)
            .collect();
        let mut add = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);
        add("-m", format!("{}M", self.memory));
        add("-smp", self.cores.to_string());

        match self.clockwork {
            Clockwork::Free => {
                add("-accel", self.accelerator.name().to_owned());
                add("-cpu", "max".to_owned());
            }
            // Without ERMS nothing chooses `rep movsb`, which counts once for each byte.
            Clockwork::Deterministic => {
                add("-accel", "tcg".to_owned());
                add("-cpu", "max,-erms".to_owned());
                add("-icount", "shift=0,sleep=off".to_owned());
                add("-rtc", "base=2024-01-01T00:00:00,clock=vm".to_owned());
                add("-seed", "1".to_owned());
            }
        }
        if let Some(socket) = &self.control {
            // A comma in a value of QEMU's is written twice.
            let path = socket.display().to_string().replace(',', ",,");
            add("-chardev", format!("socket,id=com2,server=on,wait=off,path={path}"));
            add("-serial", "chardev:com2".to_owned());
        }
        if let Debugger::Waits(port) = self.debugger {
            add("-gdb", format!("tcp:127.0.0.1:{port}"));
            arguments.push("-S".to_owned());
        }
        if self.sharing == Sharing::Shared {
            arguments.extend(Ram::arguments(self.memory));
        }
        arguments.extend(self.extra.iter().cloned());
        arguments
    }
}
