//! Serving an interface over an endpoint, and calling one.

mod bell;
mod buffer;
mod connection;
#[cfg(not(feature = "image"))]
mod host;
mod parcel;
mod service;
mod turns;
mod view;
mod workers;

pub use bell::{EventBell, offer};
pub use buffer::Buffer;
pub use connection::Connection;
#[cfg(not(feature = "image"))]
pub use host::HostMemory;
pub use service::{Handler, Service};
pub use turns::{Done, Turns};
pub use view::View;
pub use workers::Workers;

use caps::Error;
use idl::abi::REGISTER_WORDS;
use idl::interface::Long;
use idl::message::Message;

use crate::page;

/// Puts the words of a message where the kernel takes them from: five in registers, the others in the page.
#[inline]
fn put(body: &Long) -> Result<Message, Error> {
    let words = *body.words.first_chunk::<REGISTER_WORDS>().ok_or(Error::TooLong)?;
    if let Some(rest) = body.words().get(REGISTER_WORDS..)
        && !rest.is_empty()
    {
        page::put_words(REGISTER_WORDS, rest)?;
    }
    Ok(Message { label: body.label, count: body.count, caps: 0, words })
}

/// The inverse of [`put`].
#[inline]
fn take(message: &Message, body: &mut Long) -> Result<(), Error> {
    (body.label, body.count) = (message.label, message.count);
    body.words[..REGISTER_WORDS].copy_from_slice(&message.words);
    let count = usize::from(message.count);
    if count > REGISTER_WORDS {
        page::get_words(REGISTER_WORDS, &mut body.words[REGISTER_WORDS..count])?;
    }
    Ok(())
}
