//! What the processor itself refuses a kernel, on the boot core and on the others: to use the memory of users, to
//! execute data, and to write what may only be read. A kernel that tries it by a hook must fault there and nowhere else.

use alloc::format;
use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering};

use idl::types::Deadline;
use userlib::{Error, check, check_eq, environment, println};

use crate::walls::{HOOK, Noticed, goes_mad_at};
use crate::{Outcome, said};

/// The hooks.
const WRITE_IMAGE: u64 = 9;
const READ_USER: u64 = 30;
const WRITE_USER: u64 = 31;
const EXECUTE_USER: u64 = 32;
const EXECUTE_DATA: u64 = 33;

/// Error codes of page faults (SDM vol 3, 4.7), each with the bit that says that the page is there.
const READ: u64 = 1;
const WRITE: u64 = 3;
const EXECUTE: u64 = 0x11;

/// Memory of this program, at the same address in the subOSes that run it, too.
static WORD: AtomicU64 = AtomicU64::new(1);

/// Code of this program, likewise.
#[inline(never)]
extern "C" fn code() {
    WORD.fetch_add(1, Ordering::Relaxed);
}

fn word_address() -> u64 {
    // The page is there only once it was written.
    code();
    WORD.as_ptr().addr() as u64
}

fn code_address() -> u64 {
    (code as *const ()).addr() as u64
}

/// What an epitaph says of a fault with this error code.
fn fault(error: u64) -> String {
    format!("page fault (vector 14) in kernel mode, error {error:#x}, rip 0xffff")
}

/// Whether the processor has SMEP and SMAP; what it does not have cannot be tried.
fn offered() -> Outcome {
    const SMEP_AND_SMAP: u32 = 1 << 7 | 1 << 20;
    let found = core::arch::x86_64::__cpuid_count(7, 0).ebx;
    check!(
        found & SMEP_AND_SMAP == SMEP_AND_SMAP,
        "this processor lacks SMEP or SMAP: leaf 7 says {found:#x}"
    );
    Ok(())
}

pub(crate) fn users_memory_is_not_the_kernels() -> Outcome {
    offered()?;
    let (word, code) = (word_address(), code_address());
    for (hook, address, error) in [(READ_USER, word, READ), (WRITE_USER, word, WRITE)] {
        let place = format!(", address {address:#x}\n");
        goes_mad_at(hook, |_| Ok(address), Noticed::AtOnce, &[&fault(error), &place])?;
    }
    let place = format!("error {EXECUTE:#x}, rip {code:#x}, ");
    let text = goes_mad_at(EXECUTE_USER, |_| Ok(code), Noticed::AtOnce, &[&place])?;
    executed_there(&text)
}

pub(crate) fn data_is_not_executed() -> Outcome {
    for which in 0..3 {
        executed_there(&goes_mad_at(EXECUTE_DATA, |_| Ok(which), Noticed::AtOnce, &[&fault(EXECUTE)])?)?;
    }
    Ok(())
}

pub(crate) fn what_is_read_is_not_written() -> Outcome {
    goes_mad_at(WRITE_IMAGE, |_| Ok(0), Noticed::AtOnce, &[&fault(WRITE)]).map(|_| ())
}

/// Checks that it was the first instruction of what is not to be executed that faulted.
fn executed_there(epitaph: &str) -> Outcome {
    let number = |name: &str| {
        let (_, rest) = epitaph.split_once(name)?;
        u64::from_str_radix(rest.split([',', '\n']).next()?, 16).ok()
    };
    check!(number(", rip 0x").is_some(), "no instruction: {epitaph}");
    check_eq!(number(", rip 0x"), number(", address 0x"), "{epitaph}");
    Ok(())
}

pub(crate) fn the_boot_core_reads_no_users_memory() -> Outcome {
    offered()?;
    let address = word_address();
    last_deed(READ_USER, address, &[&fault(READ), &format!(", address {address:#x}")])
}

pub(crate) fn the_boot_core_writes_no_users_memory() -> Outcome {
    offered()?;
    let address = word_address();
    last_deed(WRITE_USER, address, &[&fault(WRITE), &format!(", address {address:#x}")])
}

pub(crate) fn the_boot_core_executes_no_users_code() -> Outcome {
    offered()?;
    let address = code_address();
    let fault = format!("page fault (vector 14) in kernel mode, error {EXECUTE:#x}, rip {address:#x}, ");
    last_deed(EXECUTE_USER, address, &[&fault, &format!(", address {address:#x}")])
}

pub(crate) fn the_boot_core_executes_no_data() -> Outcome {
    last_deed(EXECUTE_DATA, 0, &[&fault(EXECUTE)])
}

pub(crate) fn the_boot_core_writes_no_image() -> Outcome {
    last_deed(WRITE_IMAGE, 0, &[&fault(WRITE)])
}

/// Does something in the supervisor's own kernel, which ends with these words.
fn last_deed(hook: u64, argument: u64, says: &[&str]) -> Outcome {
    for text in says {
        println!("the epitaph must say: {text}");
    }
    let console = environment().console();
    let done: Result<(), Error> =
        idl::client::plain(&console, HOOK, [hook, argument, 0, 0, 0], Deadline::NEVER);
    done.map_err(said("hook"))?;
    Err("nothing forbids it".into())
}
