//! The code that a declaration of an interface stands for: what client and server share. Their own parts are in
//! `client` and `server`.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

use super::parse::{Argument, Delivery, Form, Interface, Method, What};
use super::{client, event, mock, server};

pub(crate) fn interface(interface: &Interface) -> TokenStream {
    let Interface { visibility, name, docs, version, rights, methods, .. } = interface;
    let text = name.to_string();
    let right_names = rights.iter().map(ToString::to_string);
    let rows = methods.iter().zip(1u32..).map(|(method, number)| row(interface, method, number));
    let rights = rights_of(interface);
    let sizes =
        methods.iter().filter(|method| method.form == Form::Bytes).map(|method| sizes(interface, method));
    let client = client::client(interface);
    let server = server::server(interface);
    let asynchronous = server::asynchronous(interface);
    let mock = mock::mock(interface);
    let (events, types) = (event::rows(interface), event::types(interface));
    quote! {
        #[doc = #docs]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #visibility struct #name;

        #rights

        impl ::idl::interface::Interface for #name {
            const NAME: &'static str = #text;
            const VERSION: u16 = #version;
            const RIGHTS: &'static [&'static str] = &[#(#right_names),*];
            const METHODS: &'static [::idl::interface::Method] = &[#(#rows),*];
            #events
        }

        #(#sizes)*

        #client
        #server
        #asynchronous
        #types

        ::idl::when_peers! { #mock }
    }
}

/// The interface's rights, as constants of the marker.
fn rights_of(interface: &Interface) -> TokenStream {
    let Interface { visibility, name, rights, .. } = interface;
    if rights.is_empty() {
        return TokenStream::new();
    }
    let constants = rights.iter().enumerate().map(|(index, right)| {
        let text = format!("The right `{right}`.");
        quote! {
            #[doc = #text]
            #visibility const #right: ::idl::interface::Access<Self> =
                ::idl::interface::Access::from_bits(1 << #index);
        }
    });
    quote! { impl #name { #(#constants)* } }
}

/// A method's row of the table.
fn row(interface: &Interface, method: &Method, number: u32) -> TokenStream {
    let Method { docs, form, delivery, .. } = method;
    let name = method.name.to_string();
    let signature = signature(method);
    let form = match form {
        Form::Words => quote! { Words },
        Form::Bytes => quote! { Bytes },
    };
    let delivery = match delivery {
        Delivery::Call => quote! { Call },
        Delivery::Idempotent => quote! { Idempotent },
        Delivery::OneWay => quote! { OneWay },
    };
    let requires = requires(interface, method);
    let words = u8::try_from(method.values().count()).unwrap_or(u8::MAX);
    let arguments = method.arguments.iter().map(|argument| {
        let (name, shape) = (argument.name.to_string(), shape_of_argument(method, argument));
        quote! { ::idl::interface::Part { name: #name, shape: #shape } }
    });
    let result = shape_of_result(method);
    let error = match &method.error {
        Some(error) => quote_spanned! { error.span() => Some(<#error as ::idl::Word>::SHAPE) },
        None => quote! { None },
    };
    quote! {
        ::idl::interface::Method {
            number: #number,
            name: #name,
            docs: #docs,
            signature: #signature,
            form: ::idl::interface::Form::#form,
            delivery: ::idl::interface::Delivery::#delivery,
            requires: #requires,
            words: #words,
            arguments: &[#(#arguments),*],
            result: #result,
            error: #error,
        }
    }
}

/// The rights that a method requires, as bits.
pub(crate) fn requires(interface: &Interface, method: &Method) -> u16 {
    bits_of(interface, &method.requires)
}

/// Rights of the interface by their bits.
pub(super) fn bits_of(interface: &Interface, rights: &[Ident]) -> u16 {
    let bit = |right| interface.rights.iter().position(|known| known == right).map_or(0, |index| 1 << index);
    rights.iter().map(bit).fold(0, |sum, bit| sum | bit)
}

fn shape_of_argument(method: &Method, argument: &Argument) -> TokenStream {
    let (ty, value) = (&argument.ty, as_value(argument));
    match (argument.what, method.form) {
        (What::Capability, _) => {
            quote_spanned! { ty.span() => <#ty as ::idl::interface::Passable>::SHAPE }
        }
        (What::Value, Form::Words) => quote_spanned! { ty.span() => <#ty as ::idl::Word>::SHAPE },
        (What::Value, Form::Bytes) => {
            quote_spanned! { ty.span() => <#value as ::idl::interface::Value>::SHAPE }
        }
    }
}

fn shape_of_result(method: &Method) -> TokenStream {
    let ty = &method.result;
    match (method.result_is, method.form) {
        (What::Capability, _) => {
            quote_spanned! { ty.span() => <#ty as ::idl::interface::Passable>::SHAPE }
        }
        (What::Value, Form::Words) => quote_spanned! { ty.span() => <#ty as ::idl::Words>::SHAPE },
        (What::Value, Form::Bytes) => quote_spanned! { ty.span() => <#ty as ::idl::interface::Value>::SHAPE },
    }
}

/// The type by whose size an argument is bounded.
fn as_value(argument: &Argument) -> TokenStream {
    let ty = &argument.ty;
    match &argument.most {
        Some(most @ syn::Expr::Lit(_)) => quote_spanned! { ty.span() => ::idl::interface::Most<#ty, #most> },
        Some(most) => quote_spanned! { ty.span() => ::idl::interface::Most<#ty, { #most }> },
        None => quote! { #ty },
    }
}

/// That the arguments and the result of a method in bytes fit in a message, whatever they are.
fn sizes(interface: &Interface, method: &Method) -> TokenStream {
    let (name, place) = (format!("{}::{}", interface.name, method.name), method.name.span());
    let arguments = format!("the arguments of {name} can take more bytes than a message carries (2024)");
    let result = format!("the result of {name} can take more bytes than a message carries (2024)");
    let types = method.values().map(as_value);
    let ty = &method.result;
    quote_spanned! { place =>
        const _: () = assert!(
            ::idl::interface::fits(&[#(<#types as ::idl::interface::Value>::MOST),*]),
            #arguments
        );
        const _: () = assert!(::idl::interface::fits(&[<#ty as ::idl::interface::Value>::MOST]), #result);
    }
}

/// How a method reads, without its documentation.
fn signature(method: &Method) -> String {
    let arguments =
        method.arguments.iter().map(|argument| format!("{}: {}", argument.name, plain(&argument.ty)));
    let arguments: Vec<String> = arguments.collect();
    let bytes = if method.form == Form::Bytes { "#[bytes] " } else { "" };
    let result = match &method.error {
        Some(error) => format!("Result<{}, {}>", plain(&method.result), plain(error)),
        None => plain(&method.result),
    };
    format!("{bytes}{}({}) -> {result}", method.name, arguments.join(", "))
}

fn plain(ty: &impl ToTokens) -> String {
    ty.to_token_stream().to_string().replace(' ', "")
}
