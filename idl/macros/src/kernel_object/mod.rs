//! `#[kernel_object]`: parse, then generate.

mod generate;
mod parse;

use proc_macro2::TokenStream;

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let object = parse::object(attribute, item)?;
    Ok(generate::object(&object))
}
