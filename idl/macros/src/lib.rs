//! The attribute macros behind `idl`. `idl` re-exports what people use; nothing else depends on this crate.
//!
//! Design principles
//!
//! 1. *One description, many uses.* A trait is the whole description: decoding, encoding, stubs, tables and
//!    reference pages are generated from it and cannot disagree.
//! 2. *Mistakes point at the trait.* Every error carries the span of the attribute, argument or type that
//!    is wrong, and says what would be right.
//! 3. *Generated code is plain.* It is a `match` and a few calls into `idl`; what can be written once in
//!    `idl` is not generated.
//!
//! Reading order: [`kernel_object`](macro@kernel_object) in `kernel_object/`, [`interface`](macro@interface) in
//! `interface/`, then `docs`.

mod docs;
mod interface;
mod kernel_object;

use proc_macro::TokenStream;

/// Declares the methods of one kind of kernel object. The trait itself disappears; in its place come a
/// marker type of the same name, `Call`, `METHODS`, `answer` and the client's stubs on `idl::Cap`.
///
/// ```ignore
/// #[kernel_object(kind = Notification)]
/// pub trait Notification {
///     /// Sets bits of the word and wakes who waits.
///     #[method(id = 1, rights = CALL)]
///     fn signal(bits: Bits);
///     /// Waits until a bit is set, takes all of them.
///     #[method(id = 2, rights = RECEIVE, errors(TimedOut, Cancelled), blocking)]
///     fn wait() -> Bits;
/// }
/// ```
///
/// `id`: 1 to 255. `rights`: names of `caps::Rights` joined with `|`, or `NONE`. `errors`: names of
/// `caps::Error` beyond those that every method has. `blocking`: takes a deadline. `message`: the registers
/// carry a message, which is not decoded, and the stub is written by hand.
#[proc_macro_attribute]
pub fn kernel_object(attribute: TokenStream, item: TokenStream) -> TokenStream {
    kernel_object::expand(attribute.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Declares an interface between a client and a server. The trait itself disappears; in its place come, for a
/// trait `Echo`: the marker `Echo` (name, fingerprint, table of methods), `EchoClient<T>` over any transport,
/// the trait `EchoServer` to implement, whose methods also get the caller's badge, and `EchoDispatch`, which
/// makes such a server ready to be served.
///
/// ```ignore
/// /// Gives back what it gets.
/// #[idl::interface]
/// pub trait Echo {
///     /// The same value.
///     fn echo(&self, value: u64) -> u64;
///     /// The quotient.
///     fn divide(&self, value: u64, by: u64) -> Result<u64, EchoError>;
///     /// The text in capitals.
///     #[bytes]
///     fn capitals(&self, text: &str) -> heapless::String<64>;
/// }
/// ```
///
/// Arguments are at most five `idl::Word`s, results `idl::Words`, errors `idl::Word`s, all in registers. With
/// `#[bytes]` all arguments, and the result, travel as `postcard` bytes through the message page and may be
/// anything that `serde` knows; the error stays a word.
#[proc_macro_attribute]
pub fn interface(attribute: TokenStream, item: TokenStream) -> TokenStream {
    interface::expand(&attribute.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

#[cfg(test)]
mod tests;
