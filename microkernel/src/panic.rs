//! What the kernel leaves behind when it fails: an epitaph at a fixed place, then the end of whoever is to blame.
//!
//! A failed assertion, a stray access or a double fault in one subOS's kernel condemns that subOS, not the machine.
//! Who is to blame: the subOS visited if the core was on a visit, else the subOS it works for. In subOS 0's kernel (and
//! during boot) there is nobody to carry on: the epitaph goes to COM1 and QEMU ends with status 37.

use core::fmt;

use static_assertions::const_assert;

use crate::arch::x86_64::interrupts::Vector;
use crate::limits::PAGE;
use crate::trace::Entry;
use crate::types::{CoreId, SubOsId};

/// An exception in kernel mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelFault {
    /// Which exception.
    pub vector: Vector,
    /// Its error code.
    pub error: u64,
    /// The instruction.
    pub rip: u64,
    /// The stack pointer.
    pub rsp: u64,
    /// CR2.
    pub address: u64,
}

impl fmt::Display for KernelFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.vector {
            Vector::DOUBLE_FAULT => "double fault",
            Vector::GENERAL_PROTECTION => "general protection fault",
            Vector::PAGE_FAULT => "page fault",
            Vector::MACHINE_CHECK => "machine check",
            _ => "exception",
        };
        write!(
            f,
            "{name} (vector {}) in kernel mode, error {:#x}, rip {:#x}, rsp {:#x}, address {:#x}",
            self.vector.0, self.error, self.rip, self.rsp, self.address
        )
    }
}

/// How many trace events an epitaph carries.
const EVENTS: usize = 16;
/// Room for the message.
const MESSAGE: usize = 512;

/// The last words of a kernel, in its core's area, for whoever looks at the memory of a machine that ended.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Epitaph {
    core: CoreId,
    blamed: Option<SubOsId>,
    thread: u64,
    message: heapless::String<MESSAGE>,
    events: [Entry; EVENTS],
}

const_assert!(size_of::<Epitaph>() as u64 <= PAGE);

impl Epitaph {
    /// The last trace events, oldest first.
    pub fn events(&self) -> impl Iterator<Item = &Entry> {
        self.events.iter().filter(|entry| entry.event != crate::trace::Event::None)
    }
}

/// The message, cut where the room ends.
impl fmt::Write for Epitaph {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // One line, so that the transcript stays a sequence of records.
        let mut letters = text.chars().map(|letter| if letter == '\n' { ' ' } else { letter });
        letters.try_for_each(|letter| self.message.push(letter).map_err(|_| fmt::Error))
    }
}

impl fmt::Display for Epitaph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PANIC core {}", self.core.0)?;
        match self.blamed {
            Some(subos) => write!(f, " subos {}", subos.0)?,
            None => f.write_str(" subos none")?,
        }
        write!(f, " thread {:#x}: {}", self.thread, self.message)?;
        for entry in self.events() {
            write!(f, "\nPANIC   {entry}")?;
        }
        Ok(())
    }
}

/// What becomes of a core whose kernel failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aftermath {
    /// The machine ends: subOS 0's own kernel failed.
    Stop,
    /// The core parks; its subOS is condemned.
    Park,
    /// The core was on a visit: it goes back to its own kernel on a fresh stack ([`crate::entry::Cause::VisitFailed`]).
    AbandonVisit,
}

/// The rule above, as a function.
#[must_use]
pub fn aftermath(subos: Option<SubOsId>, visiting: Option<SubOsId>) -> Aftermath {
    match (subos, visiting) {
        (Some(_), Some(_)) => Aftermath::AbandonVisit,
        (Some(subos), None) if subos != SubOsId::SUPERVISOR => Aftermath::Park,
        _ => Aftermath::Stop,
    }
}

#[cfg(feature = "image")]
pub use image::{clear_epitaph, kernel_fault, kernel_panic};

/// What only works on the target.
#[cfg(feature = "image")]
mod image {
    use core::fmt::Write;

    use super::{Aftermath, EVENTS, Epitaph, KernelFault, aftermath};
    use crate::arch::x86_64::core::Core;
    use crate::arch::x86_64::serial::{self, Com1, ExitCode};
    use crate::arch::x86_64::{entry, image, park, traps};
    use crate::types::{CoreId, PhysAddr};
    use crate::{boot, machine, trace};

    /// An exception in kernel mode: a bug, or a deliberate catastrophe of a test.
    pub fn kernel_fault(core: &mut Core, fault: KernelFault) -> ! {
        fail(core, format_args!("{fault}"))
    }

    /// A failed assertion.
    pub fn kernel_panic(info: &core::panic::PanicInfo<'_>) -> ! {
        if !boot::cores_ready() {
            let _ = writeln!(Com1, "PANIC during boot: {info}");
            serial::exit(ExitCode::Panic);
        }
        // SAFETY: boot has set GS; the panicking code never runs again.
        let core = unsafe { image::seize_core() };
        fail(core, format_args!("{info}"))
    }

    fn fail(core: &mut Core, words: core::fmt::Arguments<'_>) -> ! {
        if core.failing {
            // Reporting failed in turn: end at once, without words.
            last_resort(core);
        }
        core.failing = true;
        let (id, subos, visiting, thread) = (core.id(), core.subos(), core.visiting(), core.thread);
        let mut events = [trace::Entry::default(); EVENTS];
        trace::with_ring(core, |ring| {
            for (place, entry) in events.iter_mut().zip(ring.last(EVENTS)) {
                *place = *entry;
            }
        });
        let (blamed, message) = (visiting.or(subos), heapless::String::new());
        let mut epitaph = Epitaph { core: id, blamed, thread, message, events };
        let _ = epitaph.write_fmt(words);
        image::epitaph(core).clone_from(&epitaph);
        match aftermath(subos, visiting) {
            Aftermath::Stop => {
                let _ = writeln!(Com1, "\n{epitaph}");
                serial::exit(ExitCode::Panic)
            }
            Aftermath::Park => {
                machine::condemn::kernel_failed(core, &epitaph);
                // SAFETY: the subOS is condemned: its lock and its stacks are of no further use.
                unsafe { park::leave(id) }
            }
            Aftermath::AbandonVisit => {
                machine::condemn::kernel_failed(core, &epitaph);
                core.set_visiting(None);
                core.failing = false;
                let root = core.loaded_root;
                // SAFETY: what was on the stack served the visit alone.
                unsafe { traps::restart(id, entry::VISIT_FAILED, PhysAddr(root)) }
            }
        }
    }

    fn last_resort(core: &Core) -> ! {
        match aftermath(core.subos(), core.visiting()) {
            // SAFETY: as in `fail`.
            Aftermath::Park => unsafe { park::leave(core.id()) },
            _ => {
                serial::write_bytes(b"\nPANIC while reporting a panic\n");
                serial::exit(ExitCode::Panic)
            }
        }
    }

    /// Forgets this core's epitaph, before another owner can read it.
    pub fn clear_epitaph(core: CoreId) {
        image::clear_epitaph_page(core);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_and_is_cut_where_the_room_ends() {
        use fmt::Write;
        let message = heapless::String::new();
        let mut epitaph =
            Epitaph { core: CoreId(2), blamed: None, thread: 8, message, events: [Entry::default(); EVENTS] };
        write!(epitaph, "first\nsecond ").unwrap();
        assert_eq!(std::format!("{epitaph}"), "PANIC core 2 subos none thread 0x8: first second ");
        let rest = "\u{fc}".repeat(MESSAGE);
        assert!(write!(epitaph, "{rest}").is_err());
        // A letter of two bytes is there or not.
        assert_eq!(epitaph.message.len(), MESSAGE - 1);
        assert!(epitaph.message.ends_with('\u{fc}'));
    }

    #[test]
    fn the_one_to_blame() {
        let (zero, one) = (Some(SubOsId(0)), Some(SubOsId(1)));
        assert_eq!(aftermath(None, None), Aftermath::Stop);
        assert_eq!(aftermath(zero, None), Aftermath::Stop);
        assert_eq!(aftermath(one, None), Aftermath::Park);
        assert_eq!(aftermath(zero, one), Aftermath::AbandonVisit);
    }
}
