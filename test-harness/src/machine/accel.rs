//! Which accelerator: KVM only after it has really run guest code, else TCG.
//!
//! `/dev/kvm` may exist and be useless: no permission, a QEMU that aborts on it, guests that run thousands of times
//! too slowly. So the probe runs a guest of its own, with the options that real runs have.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use super::child::{Guarded, die_with_parent};
use crate::failure::{Doing, Failure, Result};
use crate::place;
use crate::say::say;

/// What the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Accel {
    /// KVM if it works here, else TCG.
    #[default]
    Auto,
    /// KVM, or a failure.
    Kvm,
    /// TCG: slower, works everywhere.
    Tcg,
}

/// What QEMU is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor's own virtualisation.
    Kvm,
    /// QEMU's translator, with a host thread for each core.
    Tcg,
}

impl Accelerator {
    /// QEMU's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// What the probe's guest tells QEMU to exit with.
const PROBE_STATUS: i32 = 0x10 << 1 | 1;
/// How long the probe may take; with a working KVM it takes less than a tenth of it.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);

/// Chooses the accelerator.
///
/// # Errors
/// When KVM was asked for and does not work.
pub fn choose(wanted: Accel, qemu: &Path) -> Result<Accelerator> {
    static PROBE: OnceLock<Result<()>> = OnceLock::new();
    if wanted == Accel::Tcg {
        return Ok(Accelerator::Tcg);
    }
    match (PROBE.get_or_init(|| probe(qemu)), wanted) {
        (Ok(()), _) => Ok(Accelerator::Kvm),
        (Err(failure), Accel::Kvm) => {
            Err(failure.clone().next("use --accel tcg, which works everywhere, or --accel auto"))
        }
        (Err(failure), _) => {
            if Path::new("/dev/kvm").exists() {
                say(format_args!("using TCG: {}", failure.what()));
            }
            Ok(Accelerator::Tcg)
        }
    }
}

fn probe(qemu: &Path) -> Result<()> {
    let kvm = Path::new("/dev/kvm");
    fs::File::options()
        .read(true)
        .write(true)
        .open(kvm)
        .doing(|| "KVM cannot be used: /dev/kvm".to_owned())?;
    let rom = place::scratch("probe")?.join(format!("probe-{}.rom", std::process::id()));
    fs::write(&rom, probe_rom()).doing(|| format!("cannot write {}", rom.display()))?;
    let outcome = run_probe(qemu, &rom);
    // What is left of it does no harm.
    let _ = fs::remove_file(&rom);
    outcome
}

fn run_probe(qemu: &Path, rom: &Path) -> Result<()> {
    let mut command = Command::new(qemu);
    command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none"]);
    command.args(["-machine", "q35", "-accel", "kvm", "-cpu", "max", "-m", "16M"]);
    command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-bios"]).arg(rom);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    die_with_parent(&mut command);
    let mut child = Guarded::new(command.spawn().doing(|| format!("cannot run {}", qemu.display()))?);
    let begin = Instant::now();
    while begin.elapsed() < PROBE_PATIENCE {
        if let Some(status) = child.try_wait()? {
            let good = status.code() == Some(PROBE_STATUS);
            let refused =
                || Failure::new(format!("KVM is there, but QEMU cannot run a guest on it ({status})"));
            return if good { Ok(()) } else { Err(refused()) };
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err(Failure::new(format!("KVM is there, but a tiny guest did not end in {} s", PROBE_PATIENCE.as_secs())))
}

/// A ROM of 64 KiB whose code, at the reset vector, counts down from ten million, writes a thousand times to a port,
/// and then ends QEMU with [`PROBE_STATUS`].
fn probe_rom() -> Vec<u8> {
    const CODE_AT: usize = 0xff00;
    const RESET_VECTOR: usize = 0xfff0;
    let code = [
        0x66, 0xb9, 0x80, 0x96, 0x98, 0x00, // mov ecx, 10_000_000
        0x66, 0x49, 0x75, 0xfc, // 1: dec ecx; jnz 1b
        0xb9, 0xe8, 0x03, // mov cx, 1000
        0xe6, 0x80, 0x49, 0x75, 0xfb, // 1: out 0x80, al; dec cx; jnz 1b
        0xba, 0xf4, 0x00, 0xb0, 0x10, 0xee, // mov dx, 0xf4; mov al, 0x10; out dx, al
        0xf4, // hlt
    ];
    let jump = [0xe9, 0x0d, 0xff]; // jmp CODE_AT, relative to the instruction after it
    let mut rom = vec![0xf4; 0x1_0000];
    rom.splice(CODE_AT..CODE_AT + code.len(), code);
    rom.splice(RESET_VECTOR..RESET_VECTOR + jump.len(), jump);
    rom
}
