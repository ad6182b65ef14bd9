//! Interrupt routes: the I/O APIC (82093AA data sheet, 3.2) and the two 8259 controllers of a PC, all masked at boot.
//! No subOS has a device yet, so no route leads anywhere, and an audit can read that back.

use super::instructions::{in_byte, out_byte};
use super::{layout, physmap};
use crate::types::PhysAddr;

/// Where a PC has its first I/O APIC.
pub const IO_APIC: PhysAddr = PhysAddr(0xfec0_0000);
/// Where subOS 0's kernel maps it.
pub const IO_APIC_MAPPED: u64 = layout::PHYSMAP + IO_APIC.0;

/// Byte offsets of the window's registers.
const SELECT: u64 = 0x00;
const DATA: u64 = 0x10;
const VERSION: u32 = 0x01;
/// Register of the first route; each has two.
const FIRST_ROUTE: u32 = 0x10;
const MASKED: u32 = 1 << 16;
/// More routes than any I/O APIC has: a version register that says so is not one.
const MAX_ROUTES: u32 = 240;

/// Data ports of the two 8259 controllers, which hold their masks.
const MASKS: [u16; 2] = [0x21, 0xa1];

/// What an audit found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Routes {
    /// How many routes there are.
    pub count: u32,
    /// How many are not masked.
    pub open: u32,
}

/// Masks every route.
pub fn mask_all() {
    for port in MASKS {
        // SAFETY: a mask keeps interrupts out; nothing waits for one.
        unsafe { out_byte(port, 0xff) };
    }
    for route in 0..count() {
        write(FIRST_ROUTE + 2 * route, MASKED);
        write(FIRST_ROUTE + 2 * route + 1, 0);
    }
}

/// Masks the first controller's last line, or opens it: to which nothing is connected.
#[cfg(feature = "hooks")]
pub fn set_mask(masked: bool) {
    // SAFETY: line 7 of the first 8259 is the parallel port's, and the local APIC takes nothing from the 8259s.
    unsafe { out_byte(0x21, if masked { 0xff } else { 0x7f }) };
}

/// Counts the routes, and those that are open.
#[must_use]
pub fn look() -> Routes {
    let mut routes = Routes::default();
    for port in MASKS {
        routes.count += 8;
        // SAFETY: reading a mask changes nothing.
        routes.open += unsafe { in_byte(port) }.count_zeros();
    }
    for route in 0..count() {
        routes.count += 1;
        routes.open += u32::from(read(FIRST_ROUTE + 2 * route) & MASKED == 0);
    }
    routes
}

fn count() -> u32 {
    let count = (read(VERSION) >> 16 & 0xff) + 1;
    if count > MAX_ROUTES { 0 } else { count }
}

fn window(offset: u64) -> *mut u32 {
    physmap::pointer(IO_APIC.plus(offset))
}

fn read(register: u32) -> u32 {
    // SAFETY: subOS 0's kernel, where this runs, maps the window uncached; whoever holds the books is alone with it.
    unsafe { window(SELECT).write_volatile(register) };
    // SAFETY: as above.
    unsafe { window(DATA).read_volatile() }
}

fn write(register: u32, value: u32) {
    // SAFETY: as in `read`.
    unsafe { window(SELECT).write_volatile(register) };
    // SAFETY: as in `read`; a masked route delivers nothing.
    unsafe { window(DATA).write_volatile(value) };
}
