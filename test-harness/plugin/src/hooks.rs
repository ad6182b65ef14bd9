//! What QEMU calls.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::api::{self, Block, Info, OnInstruction, PluginId};
use crate::marker::{self, Meaning};
use crate::masked::{self, Step};
use crate::options::Options;
use crate::sharing::{self, Access};
use crate::{counts, log, profile};

/// What the callbacks need to know.
#[derive(Debug)]
struct Setup {
    options: Options,
    cores: usize,
}

static SETUP: OnceLock<Setup> = OnceLock::new();

/// How many ordinary markers were executed. The first value is 1, so that no quiet marker equals a zero below.
static ORDINARY: AtomicU64 = AtomicU64::new(1);
/// The quiet marker that each core executed last, with the value of [`ORDINARY`] then.
static LAST_QUIET: [AtomicU64; counts::CORES] = [const { AtomicU64::new(0) }; counts::CORES];

/// QEMU calls this once, when it has loaded us. Anything but 0 ends QEMU.
///
/// # Safety
/// `info` must point to what QEMU says of itself, and `arguments` to `count` strings that end with a zero.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn qemu_plugin_install(
    plugin: PluginId,
    info: *const Info,
    count: c_int,
    arguments: *const *const c_char,
) -> c_int {
    // SAFETY: QEMU passes a pointer to a live structure.
    let Some(info) = (unsafe { info.as_ref() }) else { return 1 };
    let mut texts = Vec::new();
    for index in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: there are `count` of them.
        let argument = unsafe { arguments.add(index) };
        // SAFETY: as above.
        let argument = unsafe { *argument };
        // SAFETY: each is a string that ends with a zero and lives as long as the plugin.
        texts.push(unsafe { CStr::from_ptr(argument) }.to_string_lossy());
    }
    match install(plugin, info, texts.iter().map(AsRef::as_ref)) {
        Ok(()) => 0,
        Err(why) => {
            eprintln!("the counting plugin cannot be used: {why}");
            1
        }
    }
}

fn install<'a>(
    plugin: PluginId,
    info: &Info,
    arguments: impl Iterator<Item = &'a str>,
) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    let cores = info.cores().filter(|cores| *cores <= counts::CORES);
    let cores = cores.ok_or_else(|| format!("it needs a machine of at most {} cores", counts::CORES))?;
    let api = api::look_up(info.version())?;
    log::open(&options.out, cores).map_err(|error| format!("{}: {error}", options.out.display()))?;
    if SETUP.set(Setup { options, cores }).is_err() {
        return Err("it is loaded twice".to_owned());
    }
    api.at_translation(plugin, translate);
    api.at_exit(plugin, exit);
    Ok(())
}

/// Gives each instruction of a block the callbacks that its meaning calls for.
extern "C" fn translate(_: PluginId, block: *mut Block) {
    // SAFETY: QEMU passes a block that lives until we return.
    let (Some(api), Some(setup), Some(block)) = (api::api(), SETUP.get(), unsafe { block.as_ref() }) else {
        return;
    };
    for instruction in api.instructions(block) {
        let address = api.address(instruction);
        if setup.options.watched.contains(&address) {
            api.before(instruction, at_watched, address);
        }
        let (bytes, size) = api.bytes::<{ marker::LOOKED_AT }>(instruction);
        match marker::meaning(bytes.get(..size).unwrap_or(&[])) {
            Meaning::Marker(number) => api.before(instruction, at_marker, u64::from(number)),
            _ if !setup.options.counts => {}
            Meaning::Ordinary if setup.options.is_apart(address) => api.before(instruction, at_apart, 0),
            Meaning::Ordinary => api.before(instruction, at_instruction, 0),
            Meaning::Pause => api.before(instruction, at_pause, address),
        }
        if setup.options.profile {
            api.before(instruction, at_followed, address);
        }
        if setup.options.masked {
            let Options { entries, look, .. } = setup.options;
            api.before(
                instruction,
                masked_callback(masked::step(bytes.get(..size).unwrap_or(&[]), address, entries, look)),
                address,
            );
        }
        if setup.options.memory {
            api.at_memory(instruction, at_access, address);
        }
    }
}

extern "C" fn at_instruction(core: c_uint, _: *mut c_void) {
    counts::instruction(core);
}

extern "C" fn at_apart(core: c_uint, _: *mut c_void) {
    counts::apart(core);
}

extern "C" fn at_followed(core: c_uint, address: *mut c_void) {
    profile::instruction(core, address.addr() as u64);
}

/// The callback that says what an instruction means for the interrupt flag. It has one number with it, which is the address.
const fn masked_callback(step: Step) -> OnInstruction {
    match step {
        Step::Ordinary => at_ordinary,
        Step::Clear => at_clear,
        Step::Set => at_set,
        Step::Return => at_return,
        Step::Entry(_) => at_entry,
        Step::Look => at_look,
    }
}

extern "C" fn at_ordinary(core: c_uint, address: *mut c_void) {
    masked::instruction(core, address.addr() as u64, Step::Ordinary);
}

extern "C" fn at_clear(core: c_uint, address: *mut c_void) {
    masked::instruction(core, address.addr() as u64, Step::Clear);
}

extern "C" fn at_set(core: c_uint, address: *mut c_void) {
    masked::instruction(core, address.addr() as u64, Step::Set);
}

extern "C" fn at_return(core: c_uint, address: *mut c_void) {
    masked::instruction(core, address.addr() as u64, Step::Return);
}

extern "C" fn at_entry(core: c_uint, address: *mut c_void) {
    let address = address.addr() as u64;
    let entries = SETUP.get().and_then(|setup| setup.options.entries);
    masked::instruction(core, address, masked::step(&[], address, entries, None));
}

extern "C" fn at_look(core: c_uint, address: *mut c_void) {
    masked::instruction(core, address.addr() as u64, Step::Look);
}

extern "C" fn at_pause(core: c_uint, address: *mut c_void) {
    counts::pause(core, address.addr() as u64);
}

extern "C" fn at_marker(core: c_uint, number: *mut c_void) {
    let (Some(setup), Ok(number)) = (SETUP.get(), u16::try_from(number.addr())) else { return };
    if marker::is_quiet(number) && !is_news(core, number) {
        return;
    }
    if !marker::is_quiet(number) {
        ORDINARY.fetch_add(1, Relaxed);
    }
    log::counts(format_args!("point {number}"), core, setup.cores);
    match number {
        marker::SHARING_BEGIN => sharing::begin(),
        marker::SHARING_END => sharing::end(setup.cores),
        marker::PROFILE_BEGIN => profile::begin(core),
        marker::PROFILE_END => profile::end(),
        _ => {}
    }
}

/// Whether this core executes this quiet marker for the first time since the last ordinary one.
fn is_news(core: c_uint, number: u16) -> bool {
    let this = ORDINARY.load(Relaxed) << 16 | u64::from(number);
    LAST_QUIET.get(core as usize).is_some_and(|last| last.swap(this, Relaxed) != this)
}

extern "C" fn at_watched(core: c_uint, address: *mut c_void) {
    if let Some(setup) = SETUP.get() {
        log::counts(format_args!("watch {:#x}", address.addr()), core, setup.cores);
    }
}

extern "C" fn at_access(core: c_uint, kind: u32, address: u64, instruction: *mut c_void) {
    if !sharing::looking() {
        return;
    }
    let Some((api, physical)) = api::api().and_then(|api| Some((api, api.physical(kind, address)?))) else {
        return;
    };
    let (write, size) = api.access(kind);
    sharing::touch(Access { core, address: physical, size, write, instruction: instruction.addr() as u64 });
}

extern "C" fn exit(_: PluginId, _: *mut c_void) {
    if SETUP.get().is_some_and(|setup| setup.options.masked) {
        masked::write();
    }
    log::close();
}
