//! `#[derive(Word)]` and `#[derive(Value)]`: types that travel in registers and as bytes.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields};

/// A fieldless enum travels as the number of its variant: the declared one, or its place, from 0.
pub(crate) fn word(item: TokenStream) -> syn::Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let name = &input.ident;
    let Data::Enum(data) = &input.data else {
        return Err(syn::Error::new(name.span(), "only an enum without fields is a word"));
    };
    if let Some(variant) = data.variants.iter().find(|variant| !matches!(variant.fields, Fields::Unit)) {
        return Err(syn::Error::new(
            variant.fields.span(),
            "a variant with fields does not fit in a register",
        ));
    }
    if data.variants.is_empty() {
        return Err(syn::Error::new(name.span(), "an enum without variants has no value"));
    }
    let text = name.to_string();
    let variants: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    let names = variants.iter().map(ToString::to_string);
    Ok(quote! {
        impl ::idl::Word for #name {
            const NAME: &'static str = #text;
            const SHAPE: ::idl::interface::Shape = ::idl::interface::Shape::Choice(#text, &[#(
                ::idl::interface::Variant { name: #names, number: #name::#variants as u64, parts: &[] }
            ),*]);

            #[inline]
            fn to_word(self) -> u64 {
                self as u64
            }

            #[inline]
            fn from_word(word: u64) -> ::core::result::Result<Self, ::idl::Error> {
                #(if word == #name::#variants as u64 { return Ok(#name::#variants); })*
                Err(::idl::Error::InvalidArgument)
            }
        }
    })
}

/// A struct or an enum of values is a value.
pub(crate) fn value(item: TokenStream) -> syn::Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let (name, text) = (&input.ident, input.ident.to_string());
    let (impl_generics, ty_generics, where_clause) = input.generics.split_for_impl();
    let (most, shape) = match &input.data {
        Data::Struct(data) => {
            let (most, parts) = fields(&data.fields);
            (most, quote! { ::idl::interface::Shape::Record(#text, &[#parts]) })
        }
        Data::Enum(data) => variants(&text, data),
        Data::Union(_) => return Err(syn::Error::new(name.span(), "a union has no one value")),
    };
    Ok(quote! {
        impl #impl_generics ::idl::interface::Value for #name #ty_generics #where_clause {
            const MOST: usize = #most;
            const SHAPE: ::idl::interface::Shape = #shape;
        }
    })
}

fn fields(fields: &Fields) -> (TokenStream, TokenStream) {
    let types: Vec<_> = fields.iter().map(|field| &field.ty).collect();
    let most = types.iter().map(|ty| quote_spanned! { ty.span() => <#ty as ::idl::interface::Value>::MOST });
    let parts = fields.iter().map(|field| {
        let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
        let ty = &field.ty;
        quote! { ::idl::interface::Part { name: #name, shape: <#ty as ::idl::interface::Value>::SHAPE } }
    });
    (quote! { ::idl::interface::sum(&[#(#most),*]) }, quote! { #(#parts),* })
}

/// `postcard` numbers variants by their place, whatever number they declare.
fn variants(text: &str, data: &syn::DataEnum) -> (TokenStream, TokenStream) {
    let count = data.variants.len();
    let mut largest = quote! { 0 };
    let mut rows = Vec::new();
    for (variant, number) in data.variants.iter().zip(0u64..) {
        let (most, parts) = fields(&variant.fields);
        let name = variant.ident.to_string();
        largest = quote! { ::idl::interface::larger(#largest, #most) };
        rows.push(quote! { ::idl::interface::Variant { name: #name, number: #number, parts: &[#parts] } });
    }
    (
        quote! { ::idl::interface::length_bytes(#count) + #largest },
        quote! { ::idl::interface::Shape::Choice(#text, &[#(#rows),*]) },
    )
}
