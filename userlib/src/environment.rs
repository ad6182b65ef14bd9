//! What a program is given when it starts.

use core::sync::atomic::{AtomicPtr, Ordering};

use caps::{Handle, Rights, SlotIndex};
use idl::slots;
use idl::startup::Startup;

use crate::cap::{
    AddressSpace, CSpace, Cap, Core, DebugConsole, Machine, Region, Thread, Untyped, Uplink, cap,
};
use crate::memory::Mapping;
use crate::sync::Mutex;

/// The start-up page and the capabilities in the slots that `idl::slots` names. Whether a slot really holds
/// something is for the kernel to say when it is used.
pub struct Environment {
    startup: &'static Startup,
}

static STARTUP: AtomicPtr<Startup> = AtomicPtr::new(core::ptr::null_mut());

pub(crate) fn install(startup: &'static Startup) {
    STARTUP.store(core::ptr::from_ref(startup).cast_mut(), Ordering::Release);
    for index in 0..startup.granted {
        crate::slots::take(SlotIndex(slots::FIRST_FREE.0.saturating_add(index)));
    }
    crate::memory::add_source(environment().untyped());
    crate::thread::prepare_first();
    crate::console::install_logger();
}

/// What this program was given. On the host, and before a program has begun, an empty page.
#[must_use]
pub fn environment() -> Environment {
    static EMPTY: Startup = Startup::new();
    let startup = STARTUP.load(Ordering::Acquire);
    if startup.is_null() {
        return Environment { startup: &EMPTY };
    }
    // SAFETY: only `install` stores here, from a reference that lives as long as the program.
    Environment { startup: unsafe { &*startup } }
}

impl Environment {
    /// The start-up page itself.
    #[must_use]
    pub const fn startup(&self) -> &'static Startup {
        self.startup
    }

    /// The arguments, as text.
    #[must_use]
    pub fn arguments(&self) -> &'static str {
        self.startup.arguments()
    }

    /// The value of `key=value` among the arguments, which blanks separate.
    #[must_use]
    pub fn argument(&self, key: &str) -> Option<&'static str> {
        find(self.arguments(), key)
    }

    /// This program's table.
    #[must_use]
    pub const fn cspace(&self) -> Cap<CSpace> {
        cap(slots::fresh(slots::OWN_CSPACE))
    }

    /// This program's address space.
    #[must_use]
    pub const fn space(&self) -> Cap<AddressSpace> {
        cap(slots::fresh(slots::OWN_SPACE))
    }

    /// The first thread.
    #[must_use]
    pub const fn first_thread(&self) -> Cap<Thread> {
        cap(slots::fresh(slots::OWN_THREAD))
    }

    /// The memory it was given to make objects from.
    #[must_use]
    pub const fn untyped(&self) -> Cap<Untyped> {
        cap(slots::fresh(slots::HOME_UNTYPED))
    }

    /// The table of what the supervisor granted; init only.
    #[must_use]
    pub const fn roots(&self) -> Cap<CSpace> {
        cap(slots::fresh(slots::ROOT_TABLE))
    }

    /// The console.
    #[must_use]
    pub const fn console(&self) -> Cap<DebugConsole> {
        cap(slots::fresh(slots::CONSOLE))
    }

    /// The share with the supervisor; init of a subOS that is not the supervisor's.
    #[must_use]
    pub const fn uplink(&self) -> Cap<Uplink> {
        cap(slots::fresh(slots::UPLINK))
    }

    /// The authority over the ledger; the supervisor only.
    #[must_use]
    pub const fn machine(&self) -> Cap<Machine> {
        cap(slots::fresh(slots::MACHINE))
    }

    /// The boot modules, or the files that came with the program; see [`Startup::modules_length`].
    #[must_use]
    pub const fn modules(&self) -> Cap<Region> {
        cap(slots::fresh(slots::MODULES))
    }

    /// The bytes of the boot modules, or of the files that came with the program: mapped at the first call.
    ///
    /// # Errors
    /// `EmptySlot` when there are none, and those of mapping.
    pub fn files(&self) -> Result<&'static [u8], caps::Error> {
        static FILES: Mutex<Option<&'static [u8]>> = Mutex::new(None);
        let mut files = FILES.lock();
        if let Some(bytes) = *files {
            return Ok(bytes);
        }
        let bytes = Mapping::of(self.modules(), Rights::READ)?.into_constant();
        let length = usize::try_from(self.startup.modules_length).unwrap_or(usize::MAX).min(bytes.len());
        let bytes = &bytes[..length];
        *files = Some(bytes);
        Ok(bytes)
    }

    /// What the parent granted as number `index`, counted from 0 (see `process`).
    #[must_use]
    pub const fn granted(&self, index: u32) -> Handle {
        slots::fresh(SlotIndex(slots::FIRST_FREE.0 + index))
    }

    /// A capability of this program's own to a core of its subOS; init only.
    ///
    /// # Errors
    /// `OutOfRange` when there can be no such core, `EmptySlot` when this subOS does not have it, and those of
    /// `CSpace.copy`.
    pub fn core(&self, number: u32) -> Result<Cap<Core>, caps::Error> {
        let slot = slots::root_core(number).ok_or(caps::Error::OutOfRange)?;
        self.adopt(slot).map(cap)
    }

    /// A capability of this program's own to a lot that was granted; init only.
    ///
    /// # Errors
    /// As [`Environment::core`].
    pub fn lot(&self, number: u32) -> Result<Cap<Untyped>, caps::Error> {
        let slot = slots::root_lot(number).ok_or(caps::Error::OutOfRange)?;
        self.adopt(slot).map(cap)
    }

    /// A capability of this program's own to this side of a window, by the number of its lot; init only.
    ///
    /// # Errors
    /// As [`Environment::core`].
    pub fn window(&self, number: u32) -> Result<Cap<Region>, caps::Error> {
        let slot = slots::root_lot(number).ok_or(caps::Error::OutOfRange)?;
        self.adopt(slot).map(cap)
    }

    /// Copies what lies in a slot of the root table into a free slot of this program's.
    fn adopt(&self, root: SlotIndex) -> Result<Handle, caps::Error> {
        let source = self.roots().at(root)?;
        let rights = self.roots().info(source)?.rights;
        crate::slots::fill(|slot| self.roots().copy(source, Handle::NONE, slot, rights))
    }
}

fn find<'a>(arguments: &'a str, key: &str) -> Option<&'a str> {
    arguments.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn arguments_are_found_by_key() {
        let arguments = "core=3 corelist=1,2 name=echo empty=";
        assert_eq!(find(arguments, "core"), Some("3"));
        assert_eq!(find(arguments, "name"), Some("echo"));
        assert_eq!(find(arguments, "empty"), Some(""));
        assert_eq!(find(arguments, "cor"), None);
    }
}
