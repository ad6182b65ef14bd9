//! The calling thread's message page.
//!
//! Whatever passes bytes or long messages to the kernel goes through this one page, so what one call leaves
//! there the next may overwrite: printing, for instance, does. Take what you need at once.

use core::ptr;

use caps::{Error, Handle, SlotIndex};
use idl::abi::page::{FRAME, FX, RECEIVE_SLOTS, RECEIVED_CAPS, SEND_CAPS, SEND_MOVES};
use idl::abi::{FxArea, GuestFrame, MESSAGE_CAPS, MessagePage, PAGE_BYTES, PAGE_WORDS};
use idl::types::Length;

use crate::block;

fn page() -> Result<*mut MessagePage, Error> {
    block::current().page().ok_or(Error::NotConfigured)
}

/// Where a field lies. Arithmetic only: nothing is accessed.
fn field<T>(page: *mut MessagePage, offset: usize) -> *mut T {
    page.wrapping_byte_add(offset).cast()
}

/// Copies bytes into the page.
///
/// # Errors
/// `TooLong` when they do not fit, `NotConfigured` when the thread has no message page.
pub fn put_bytes(bytes: &[u8]) -> Result<Length, Error> {
    let page = page()?;
    if bytes.len() > PAGE_BYTES {
        return Err(Error::TooLong);
    }
    // SAFETY: the words area has room for them, and is this thread's alone (see `words_at`).
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), field(page, 0), bytes.len()) };
    Ok(Length(u32::try_from(bytes.len()).map_err(|_| Error::TooLong)?))
}

/// Copies the first bytes of the page out, as many as fit.
///
/// # Errors
/// `NotConfigured` when the thread has no message page.
pub fn get_bytes(bytes: &mut [u8]) -> Result<usize, Error> {
    let page = page()?;
    let count = bytes.len().min(PAGE_BYTES);
    // SAFETY: both ranges have that many bytes and do not overlap (see `words_at`).
    unsafe { ptr::copy_nonoverlapping(field(page, 0), bytes.as_mut_ptr(), count) };
    Ok(count)
}

/// Puts words into the page, from this index on; what does not fit is left out.
///
/// # Errors
/// `NotConfigured` when the thread has no message page.
pub fn put_words(first: usize, words: &[u64]) -> Result<(), Error> {
    let (start, count) = words_at(first, words.len())?;
    // SAFETY: `words_at` gave a range within the words area, to which nothing else refers.
    unsafe { ptr::copy_nonoverlapping(words.as_ptr(), start, count) };
    Ok(())
}

/// Takes words from the page, from this index on; what lies beyond its end is left as it is.
///
/// # Errors
/// `NotConfigured` when the thread has no message page.
pub fn get_words(first: usize, words: &mut [u64]) -> Result<(), Error> {
    let (start, count) = words_at(first, words.len())?;
    // SAFETY: `words_at` gave a range within the words area; the destination is a slice of its own.
    unsafe { ptr::copy_nonoverlapping(start, words.as_mut_ptr(), count) };
    Ok(())
}

/// Where the word of this index lies, and how many of `count` there are from it on.
///
/// The block's page is mapped and writable as long as the thread runs, and used by this thread only, through this
/// module, which never holds a reference to it: that is what makes every access here sound.
fn words_at(first: usize, count: usize) -> Result<(*mut u64, usize), Error> {
    let page = page()?;
    let first = first.min(PAGE_WORDS);
    Ok((field(page, first * size_of::<u64>()), count.min(PAGE_WORDS - first)))
}

/// Says which capabilities the next message takes along, and which of them are moved instead of copied.
///
/// # Errors
/// `NotConfigured` when the thread has no message page.
pub fn set_send_caps(handles: &[Handle; MESSAGE_CAPS], moved: [bool; MESSAGE_CAPS]) -> Result<(), Error> {
    let page = page()?;
    let moves = (0..).zip(moved).fold(0_u64, |sum, (index, moved)| sum | u64::from(moved) << index);
    // SAFETY: as in `words_at`.
    unsafe { field::<[u64; MESSAGE_CAPS]>(page, SEND_CAPS * 8).write(handles.map(|handle| handle.0)) };
    // SAFETY: as in `words_at`.
    unsafe { field::<u64>(page, SEND_MOVES * 8).write(moves) };
    Ok(())
}

/// Says into which slots of this program's table received capabilities go; slot 0 is none.
///
/// # Errors
/// `NotConfigured` when the thread has no message page.
#[inline]
pub fn set_receive_slots(slots: &[SlotIndex; MESSAGE_CAPS]) -> Result<(), Error> {
    let page = page()?;
    // SAFETY: as in `words_at`.
    unsafe { field::<[u32; MESSAGE_CAPS]>(page, RECEIVE_SLOTS * 8).write(slots.map(|slot| slot.0)) };
    Ok(())
}

/// Into which slots they go.
///
/// # Errors
/// `NotConfigured` when the thread has no message page.
pub fn receive_slots() -> Result<[SlotIndex; MESSAGE_CAPS], Error> {
    let page = page()?;
    // SAFETY: as in `words_at`.
    Ok(unsafe { field::<[u32; MESSAGE_CAPS]>(page, RECEIVE_SLOTS * 8).read() }.map(SlotIndex))
}

/// The capabilities that came with the last message, which says how many of them there are. One that could not
/// be handed over is [`Handle::NONE`].
///
/// # Errors
/// `NotConfigured` when the thread has no message page.
pub fn received_caps() -> Result<[Handle; MESSAGE_CAPS], Error> {
    let page = page()?;
    // SAFETY: as in `words_at`.
    let caps = unsafe { field::<[u64; MESSAGE_CAPS]>(page, RECEIVED_CAPS * 8).read() };
    Ok(caps.map(Handle))
}

/// The registers and the trap in the page.
///
/// # Errors
/// `NotConfigured` when the thread has no message page.
pub fn frame() -> Result<GuestFrame, Error> {
    let page = page()?;
    // SAFETY: as in `words_at`.
    Ok(unsafe { field::<GuestFrame>(page, FRAME).read() })
}

/// Puts registers into the page.
///
/// # Errors
/// `NotConfigured` when the thread has no message page.
pub fn set_frame(frame: &GuestFrame) -> Result<(), Error> {
    let page = page()?;
    // SAFETY: as in `words_at`.
    unsafe { field::<GuestFrame>(page, FRAME).write(*frame) };
    Ok(())
}

/// The vector and x87 state in the page.
///
/// # Errors
/// `NotConfigured` when the thread has no message page.
pub fn fx() -> Result<FxArea, Error> {
    let page = page()?;
    // SAFETY: as in `words_at`.
    Ok(unsafe { field::<FxArea>(page, FX).read() })
}

/// Puts vector and x87 state into the page.
///
/// # Errors
/// `NotConfigured` when the thread has no message page.
pub fn set_fx(fx: &FxArea) -> Result<(), Error> {
    let page = page()?;
    // SAFETY: as in `words_at`.
    unsafe { field::<FxArea>(page, FX).write(*fx) };
    Ok(())
}
