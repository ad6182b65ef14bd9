//! Starting the other cores: all are reset at once, then woken one after the other, each until it has parked.

use crate::arch::x86_64::mailbox::{Command, Mailbox};
use crate::arch::x86_64::{apic, area, clock, features, instructions, park, trampoline, traps};
use crate::types::CoreId;

use super::info::Cores;

/// How long a core may take to answer, in microseconds. A healthy one needs a few hundred; an emulator on a busy host
/// much more.
const PATIENCE: u64 = 2_000_000;

/// Starts all cores but the first; returns those that run now, one bit each, the first among them.
pub(super) fn start_others(cores: &Cores) -> u64 {
    // SAFETY: the boot tables are loaded, and chunk 0 is reserved.
    unsafe { trampoline::install() };
    let mut answered = CoreId(0).bit();
    cores.all().skip(1).for_each(apic::send_init);
    clock::wait(clock::microseconds(10_000));
    for core in cores.all().skip(1) {
        if start(core) {
            answered |= core.bit();
        }
    }
    answered
}

/// After INIT and a wait: SIPI, wait, SIPI (SDM vol 3, 9.4.4.1).
fn start(core: CoreId) -> bool {
    let stack = area::base(core) + area::STACK_TOP;
    // SAFETY: the boot tables are loaded; the core started before has parked or never came.
    unsafe { trampoline::aim(stack, u64::from(core.0)) };
    let mailbox = Mailbox::of(core);
    // Whoever comes to the park root answers there.
    let order = mailbox.command(Command::Park);
    let has_parked = || mailbox.acknowledged() >= order;
    apic::send_startup(core, trampoline::PAGE);
    if wait_until(has_parked, 1_000) {
        return true;
    }
    apic::send_startup(core, trampoline::PAGE);
    if wait_until(has_parked, PATIENCE) {
        return true;
    }
    // It must not wake up later with another core's stack.
    apic::send_init(core);
    false
}

fn wait_until(condition: impl Fn() -> bool, microseconds: u64) -> bool {
    let end = clock::now().after(clock::microseconds(microseconds));
    while !condition() {
        if clock::now() > end {
            return false;
        }
        instructions::pause();
    }
    true
}

/// Where the trampoline leads: prepares the core and parks it.
///
/// # Safety
/// Only the trampoline calls this, once per core, on the core's kernel stack and the boot tables.
pub(crate) unsafe extern "C" fn core_main(number: u64) -> ! {
    let core = CoreId(number.to_le_bytes()[0]);
    features::set_control_registers();
    // SAFETY: the tables were built before any core started; the area is mapped in the boot tables.
    unsafe { traps::load(core) };
    apic::enable();
    // SAFETY: this is the core, and there is no old owner.
    unsafe { park::leave(core) }
}
