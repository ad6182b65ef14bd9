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
//! `interface/`, then `derive` and `docs`.

mod derive;
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
/// trait `Echo`: the marker `Echo` (name, rights, table of methods, fingerprint), `EchoClient<T>` over any transport,
/// the trait `EchoServer` to implement, whose methods also get the caller, and `EchoDispatch`, which makes such a
/// server ready to be served.
///
/// ```ignore
/// /// Keeps values.
/// #[idl::interface(version = 2, rights(READ, WRITE))]
/// pub trait Store {
///     /// The value of a key.
///     #[requires(READ)]
///     #[idempotent]
///     fn get(&self, key: u64) -> Result<u64, StoreError>;
///     /// Counts something.
///     #[one_way]
///     fn count(&self, event: u32);
///     /// The text in capitals.
///     #[bytes]
///     fn capitals(&self, #[max(64)] text: &str) -> heapless::String<64>;
///     /// Fills memory that is lent for the call.
///     #[requires(WRITE)]
///     fn fill(&self, buffer: Lent<Region, { right::READ | right::WRITE | right::DERIVE }>);
/// }
/// ```
///
/// Arguments are at most five `idl::Word`s, results `idl::Words`, errors `idl::Word`s, all in registers. With
/// `#[bytes]` all arguments, and the result, travel as `postcard` bytes through the message page: each an
/// `idl::interface::Value`, whose greatest size is known, and text and slices with `#[max(..)]`; the error stays a
/// word. `#[requires(..)]` names rights of the interface that the caller's badge must give. `#[idempotent]` lets the
/// client repeat a call when the server died over it; `#[one_way]` has no answer. `#[event]` is not called but told: `EchoEvents`
/// is what a server tells its subscribers with, `EchoEvent` what they are told. With `asynchronous` in the attribute there are also
/// `EchoAsyncServer` and `EchoAsyncDispatch`, for a server whose methods are `async`.
#[proc_macro_attribute]
pub fn interface(attribute: TokenStream, item: TokenStream) -> TokenStream {
    interface::expand(attribute.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes an enum without fields an `idl::Word`: it travels as the number of its variant.
#[proc_macro_derive(Word)]
pub fn derive_word(item: TokenStream) -> TokenStream {
    derive::word(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a type of values an `idl::interface::Value`, whose greatest size and shape are known.
#[proc_macro_derive(Value)]
pub fn derive_value(item: TokenStream) -> TokenStream {
    derive::value(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

#[cfg(test)]
mod tests;
