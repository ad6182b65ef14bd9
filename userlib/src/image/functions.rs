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
        unsafe { to.add(done).cast::<u64>().write_unaligned(word) };
        done += 8;
    }
    while done < count {
        // SAFETY: this byte lies in the caller's range. Volatile, or the compiler makes it a call of memset.
        unsafe { to.add(done).write_volatile(byte) };
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
        // SAFETY: both bytes lie in the caller's ranges.
        let (a, b) = unsafe { (*left.add(index), *right.add(index)) };
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
        // SAFETY: these eight bytes lie in both ranges; a word is read before it is written.
        unsafe { to.add(done).cast::<u64>().write_unaligned(from.add(done).cast::<u64>().read_unaligned()) };
        done += 8;
    }
    while done < count {
        // SAFETY: as above, for one byte. Volatile, or the compiler makes it a call of memcpy.
        unsafe { to.add(done).write_volatile(*from.add(done)) };
        done += 1;
    }
}

/// # Safety
/// Both ranges are valid.
unsafe fn copy_down(to: *mut u8, from: *const u8, count: usize) {
    let mut left = count;
    while left > 0 {
        left -= 1;
        // SAFETY: this byte lies in both ranges. Volatile, or the compiler makes it a call of memmove.
        unsafe { to.add(left).write_volatile(*from.add(left)) };
    }
}

/// Named by precompiled `core`, never called: panics do not unwind.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
