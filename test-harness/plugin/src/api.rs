//! The plugin interface of QEMU, declared by hand and looked up by name in the process that loads us.
//!
//! Source: `docs/devel/tcg-plugins.rst` and the comments of `include/qemu/qemu-plugin.h` of QEMU. The interface has a
//! version: 1 in QEMU 6.1 to 8.2, which demand at most 1; 2 to 5 in QEMU 9.0 to 10.2, which demand at least 2. What
//! is used here is the same in all of them but for two things: `qemu_plugin_insn_data` fills a buffer from version 3
//! on, and the version that a plugin declares must suit the QEMU that loads it. The first is chosen when the plugin
//! is installed, the second when it is loaded, before QEMU reads it. Exercised with QEMU 7.2.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

/// A block of instructions that is being translated.
pub(crate) enum Block {}
/// An instruction that is being translated.
pub(crate) enum Instruction {}
/// A physical address, during a memory callback.
enum HardwareAddress {}

/// What QEMU knows us by.
pub(crate) type PluginId = u64;
/// Called before an instruction: core, and what was given at registration.
pub(crate) type OnInstruction = extern "C" fn(c_uint, *mut c_void);
/// Called after a memory access: core, kind of access, virtual address, what was given at registration.
pub(crate) type OnMemory = extern "C" fn(c_uint, u32, u64, *mut c_void);
/// Called when a block is translated.
pub(crate) type OnTranslate = extern "C" fn(PluginId, *mut Block);
/// Called when QEMU ends.
pub(crate) type OnExit = extern "C" fn(PluginId, *mut c_void);

/// The callback reads no registers of the guest.
const NO_REGISTERS: c_int = 0;
/// Reads and writes.
const READ_AND_WRITE: c_int = 3;
/// The newest interface whose comments were read.
const NEWEST: c_int = 5;

/// What QEMU says of itself.
#[repr(C)]
pub(crate) struct Info {
    target_name: *const c_char,
    oldest: c_int,
    current: c_int,
    system_emulation: bool,
    cores: c_int,
    most_cores: c_int,
}

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}

/// The address of a function that the process has, if it has it.
fn find(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: a null handle means the whole process, and the name ends with a zero.
    let address = unsafe { dlsym(std::ptr::null_mut(), name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

/// The version that we declare: QEMU reads this after the constructor below has run.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "QEMU looks for this name")]
pub(crate) static qemu_plugin_version: AtomicI32 = AtomicI32::new(1);

/// Runs when the library is loaded. A function that version 2 took away tells what loads us.
extern "C" fn choose_version() {
    if find(c"qemu_plugin_n_vcpus").is_none() {
        qemu_plugin_version.store(2, Ordering::Relaxed);
    }
}

// SAFETY: the section holds addresses of functions that the loader calls with no arguments that we use; this is one.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = choose_version;

/// `qemu_plugin_insn_data`, old and new.
#[derive(Clone, Copy)]
enum Data {
    Borrowed(unsafe extern "C" fn(*const Instruction) -> *const u8),
    Copied(unsafe extern "C" fn(*const Instruction, *mut c_void, usize) -> usize),
}

/// QEMU's functions.
#[derive(Clone, Copy)]
pub(crate) struct Api {
    on_translate: unsafe extern "C" fn(PluginId, OnTranslate),
    on_exit: unsafe extern "C" fn(PluginId, OnExit, *mut c_void),
    on_instruction: unsafe extern "C" fn(*mut Instruction, OnInstruction, c_int, *mut c_void),
    on_memory: unsafe extern "C" fn(*mut Instruction, OnMemory, c_int, c_int, *mut c_void),
    instructions: unsafe extern "C" fn(*const Block) -> usize,
    instruction: unsafe extern "C" fn(*const Block, usize) -> *mut Instruction,
    data: Data,
    size: unsafe extern "C" fn(*const Instruction) -> usize,
    address: unsafe extern "C" fn(*const Instruction) -> u64,
    is_store: unsafe extern "C" fn(u32) -> bool,
    size_shift: unsafe extern "C" fn(u32) -> c_uint,
    hardware: unsafe extern "C" fn(u32, u64) -> *mut HardwareAddress,
    is_io: unsafe extern "C" fn(*const HardwareAddress) -> bool,
    physical: unsafe extern "C" fn(*const HardwareAddress) -> u64,
}

static API: OnceLock<Api> = OnceLock::new();

/// QEMU's functions, once they are found.
pub(crate) fn api() -> Option<&'static Api> {
    API.get()
}

/// A function of QEMU as what its field says it is.
macro_rules! function {
    ($name:expr) => {{
        let address = find($name).ok_or_else(|| format!("QEMU has no {}", $name.to_string_lossy()))?;
        #[allow(clippy::missing_transmute_annotations, reason = "the field that it is put into has the type")]
        // SAFETY: QEMU's interface says that the function of this name has the type of the field it is put into.
        let function = unsafe { std::mem::transmute::<*mut c_void, _>(address) };
        function
    }};
}

/// Looks up all functions; what is missing is said by name.
pub(crate) fn look_up(version: c_int) -> Result<&'static Api, String> {
    if version > NEWEST {
        return Err(format!("this QEMU's plugin interface, version {version}, is newer than {NEWEST}"));
    }
    let name = c"qemu_plugin_insn_data";
    let data = if version < 3 { Data::Borrowed(function!(name)) } else { Data::Copied(function!(name)) };
    let api = Api {
        on_translate: function!(c"qemu_plugin_register_vcpu_tb_trans_cb"),
        on_exit: function!(c"qemu_plugin_register_atexit_cb"),
        on_instruction: function!(c"qemu_plugin_register_vcpu_insn_exec_cb"),
        on_memory: function!(c"qemu_plugin_register_vcpu_mem_cb"),
        instructions: function!(c"qemu_plugin_tb_n_insns"),
        instruction: function!(c"qemu_plugin_tb_get_insn"),
        data,
        size: function!(c"qemu_plugin_insn_size"),
        address: function!(c"qemu_plugin_insn_vaddr"),
        is_store: function!(c"qemu_plugin_mem_is_store"),
        size_shift: function!(c"qemu_plugin_mem_size_shift"),
        hardware: function!(c"qemu_plugin_get_hwaddr"),
        is_io: function!(c"qemu_plugin_hwaddr_is_io"),
        physical: function!(c"qemu_plugin_hwaddr_phys_addr"),
    };
    Ok(API.get_or_init(|| api))
}

impl Info {
    /// The version of QEMU's interface.
    pub(crate) const fn version(&self) -> c_int {
        self.current
    }

    /// The most cores that the machine can have; `None` if it is no machine but a process.
    pub(crate) fn cores(&self) -> Option<usize> {
        if self.system_emulation { usize::try_from(self.most_cores).ok() } else { None }
    }
}

// The functions below are safe to call because a `Block`, an `Instruction` and the word that describes an access are
// only ever had from QEMU, in a callback, and none of them outlives it: the types cannot be made, and `hooks` keeps
// no reference.
impl Api {
    /// Asks for a callback at each translation.
    pub(crate) fn at_translation(&self, plugin: PluginId, call: OnTranslate) {
        // SAFETY: the identifier is the one that QEMU gave us, and the function stays for the life of the process.
        unsafe { (self.on_translate)(plugin, call) }
    }

    /// Asks for a callback when QEMU ends.
    pub(crate) fn at_exit(&self, plugin: PluginId, call: OnExit) {
        // SAFETY: as above; the callback gets a null pointer, which it ignores.
        unsafe { (self.on_exit)(plugin, call, std::ptr::null_mut()) }
    }

    /// The instructions of a block.
    pub(crate) fn instructions<'b>(&self, block: &'b Block) -> impl Iterator<Item = &'b mut Instruction> {
        let (at, block) = (self.instruction, std::ptr::from_ref(block));
        // SAFETY: the block is alive.
        let count = unsafe { (self.instructions)(block) };
        (0..count).filter_map(move |index| {
            // SAFETY: the block is alive for 'b and has an instruction of this index.
            let instruction = unsafe { at(block, index) };
            // SAFETY: it is null or alive as long as the block, and each index is another instruction.
            unsafe { instruction.as_mut() }
        })
    }

    /// The bytes of an instruction, as many as fit; how many there are.
    pub(crate) fn bytes<const N: usize>(&self, instruction: &Instruction) -> ([u8; N], usize) {
        let instruction = std::ptr::from_ref(instruction);
        // SAFETY: the instruction is alive.
        let size = unsafe { (self.size)(instruction) }.min(N);
        let mut bytes = [0; N];
        match self.data {
            Data::Borrowed(data) => {
                // SAFETY: the instruction is alive; its data are as many bytes as its size says.
                let from = unsafe { data(instruction) };
                // SAFETY: `size` bytes can be read there, and at most `N` are written.
                unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), size) };
            }
            Data::Copied(data) => {
                // SAFETY: the instruction is alive, and the buffer has room for `size` bytes.
                unsafe { data(instruction, bytes.as_mut_ptr().cast(), size) };
            }
        }
        (bytes, size)
    }

    /// The virtual address of an instruction.
    pub(crate) fn address(&self, instruction: &Instruction) -> u64 {
        // SAFETY: the instruction is alive.
        unsafe { (self.address)(instruction) }
    }

    /// Asks for a callback before each execution of an instruction, with a number. Those asked for first run first.
    pub(crate) fn before(&self, instruction: &mut Instruction, call: OnInstruction, number: u64) {
        // SAFETY: the instruction is alive; the number travels as a pointer that nobody follows.
        unsafe { (self.on_instruction)(instruction, call, NO_REGISTERS, number as *mut c_void) }
    }

    /// Asks for a callback after each memory access of an instruction, with a number.
    pub(crate) fn at_memory(&self, instruction: &mut Instruction, call: OnMemory, number: u64) {
        // SAFETY: as above.
        unsafe { (self.on_memory)(instruction, call, NO_REGISTERS, READ_AND_WRITE, number as *mut c_void) }
    }

    /// Whether an access, in its callback, writes, and its size as a power of two.
    pub(crate) fn access(&self, kind: u32) -> (bool, u32) {
        // SAFETY: takes a word apart.
        let write = unsafe { (self.is_store)(kind) };
        // SAFETY: takes a word apart.
        let size = unsafe { (self.size_shift)(kind) };
        (write, size)
    }

    /// The physical address of an access, in its callback; `None` for a device.
    pub(crate) fn physical(&self, kind: u32, address: u64) -> Option<u64> {
        // SAFETY: called in the callback of this access, as QEMU demands.
        let hardware = unsafe { (self.hardware)(kind, address) };
        // SAFETY: null, or alive until the callback returns; `is_io` takes null for memory, so null is told first.
        if hardware.is_null() || unsafe { (self.is_io)(hardware) } {
            return None;
        }
        // SAFETY: not null, and alive until the callback returns.
        Some(unsafe { (self.physical)(hardware) })
    }
}
