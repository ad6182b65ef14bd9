//! `#[interface]`: parse, then generate.

mod client;
mod event;
mod generate;
mod mock;
mod parse;
mod server;

use proc_macro2::TokenStream;

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let interface = parse::interface(attribute, item)?;
    Ok(generate::interface(&interface))
}
