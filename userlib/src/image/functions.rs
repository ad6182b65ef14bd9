//! The memory functions that compiled code calls. Plain loops over words, since `rep` string instructions count
//! once per element where instructions are counted.

use core::ffi::c_int;

/// Copies `count` bytes; the ranges do not overlap.
///
/// # Safety
/// As C's `memcpy`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller's promise covers every byte of both ranges.
    unsafe { copy_up(to, from, count) };
    to
}

/// Copies `count` bytes; the ranges may overlap.
///
/// # Safety
/// As C's `memmove`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= count {
        // SAFETY: going up never reads what was written: the destination begins below the source or beyond it.
        unsafe { copy_up(to, from, count) };
    } else {
        // SAFETY: going down never reads what was written: the destination begins within the source.
        unsafe { copy_down(to, from, count) };
    }
    to
}

/// Sets `count` bytes.
///
/// # Safety
/// As C's `memset`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: c_int, count: usize) -> *mut u8 {
    let byte = value.to_le_bytes()[0];
    let word = u64::from_ne_bytes([byte; 8]);
    let mut done = 0;
    while count - done >= 8 {
        // SAFETY: these eight bytes lie in the caller's range.
        unsafe { write_word(to.wrapping_add(done), word) };
        done += 8;
    }
    while done < count {
        // SAFETY: this byte lies in the caller's range.
        unsafe { write_byte(to.wrapping_add(done), byte) };
        done += 1;
    }
    to
}

/// Compares `count` bytes.
///
/// # Safety
/// As C's `memcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> c_int {
    let mut index = 0;
    while index < count {
        // SAFETY: this byte lies in the caller's first range.
        let a = unsafe { left.wrapping_add(index).read() };
        // SAFETY: this byte lies in the caller's second range.
        let b = unsafe { right.wrapping_add(index).read() };
        if a != b {
            return c_int::from(a) - c_int::from(b);
        }
        index += 1;
    }
    0
}

/// Compares for equality only.
///
/// # Safety
/// As C's `bcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> c_int {
    // SAFETY: the caller's promise is the same.
    unsafe { memcmp(left, right, count) }
}

/// # Safety
/// Both ranges are valid, and `to` does not begin within `from`.
unsafe fn copy_up(to: *mut u8, from: *const u8, count: usize) {
    let mut done = 0;
    while count - done >= 8 {
        // SAFETY: these eight bytes lie in the source.
        let word = unsafe { read_word(from.wrapping_add(done)) };
        // SAFETY: these eight bytes lie in the destination.
        unsafe { write_word(to.wrapping_add(done), word) };
        done += 8;
    }
    while done < count {
        // SAFETY: this byte lies in the source.
        let byte = unsafe { from.wrapping_add(done).read() };
        // SAFETY: this byte lies in the destination.
        unsafe { write_byte(to.wrapping_add(done), byte) };
        done += 1;
    }
}

/// # Safety
/// Both ranges are valid.
unsafe fn copy_down(to: *mut u8, from: *const u8, count: usize) {
    let mut left = count;
    while left >= 8 {
        left -= 8;
        // SAFETY: these eight bytes lie in the source.
        let word = unsafe { read_word(from.wrapping_add(left)) };
        // SAFETY: these eight bytes lie in the destination.
        unsafe { write_word(to.wrapping_add(left), word) };
    }
    while left > 0 {
        left -= 1;
        // SAFETY: this byte lies in the source.
        let byte = unsafe { from.wrapping_add(left).read() };
        // SAFETY: this byte lies in the destination.
        unsafe { write_byte(to.wrapping_add(left), byte) };
    }
}

/// # Safety
/// Eight bytes are valid for reading.
#[inline(always)]
unsafe fn read_word(from: *const u8) -> u64 {
    // SAFETY: the caller's promise. Volatile, or the compiler makes the loop a call of the function it is in.
    u64::from_ne_bytes(unsafe { from.cast::<[u8; 8]>().read_volatile() })
}

/// # Safety
/// Eight bytes are valid for writing.
#[inline(always)]
unsafe fn write_word(to: *mut u8, word: u64) {
    // SAFETY: the caller's promise; as in `read_word`.
    unsafe { to.cast::<[u8; 8]>().write_volatile(word.to_ne_bytes()) };
}

/// # Safety
/// The byte is valid for writing.
#[inline(always)]
unsafe fn write_byte(to: *mut u8, byte: u8) {
    // SAFETY: the caller's promise; as in `read_word`.
    unsafe { to.write_volatile(byte) };
}

/// Named by precompiled `core`, never called: panics do not unwind.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
