//! The client of an interface.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use super::event;
use super::parse::{Argument, Delivery, Form, Interface, Method, What};

pub(crate) fn client(interface: &Interface) -> TokenStream {
    let Interface { visibility, name, methods, .. } = interface;
    let client = format_ident!("{name}Client");
    let text = format!("A client of [`{name}`].");
    let events = event::client(interface);
    let stubs = methods.iter().enumerate().map(|(index, method)| stub(interface, method, index));
    quote! {
        #[doc = #text]
        #[derive(Clone, Debug)]
        #visibility struct #client<T> {
            link: ::idl::interface::Link<#name, T>,
        }

        impl<T: ::idl::interface::Transport> #client<T> {
            /// A client over a transport that is known to lead to such a server.
            pub const fn new(transport: T) -> Self {
                Self { link: ::idl::interface::Link::new(transport) }
            }

            /// A client over a transport, after comparing fingerprints with the server.
            ///
            /// # Errors
            /// `WrongInterface`, and what a call can fail with.
            pub fn connect(
                transport: T,
            ) -> ::core::result::Result<Self, ::idl::interface::CallError> {
                let client = Self::new(transport);
                client.link.connect()?;
                Ok(client)
            }

            /// Connects again: after `Dead`, to the server's next life.
            ///
            /// # Errors
            /// As `connect`.
            pub fn reconnect(&self) -> ::core::result::Result<(), ::idl::interface::CallError> {
                self.link.connect()
            }

            /// The same client, whose calls end at this time at the latest.
            pub const fn until(
                &self,
                until: ::idl::types::Deadline,
            ) -> #client<::idl::interface::Until<&T>> {
                #client { link: self.link.until(until) }
            }

            /// The life of the server that this client is connected to.
            pub const fn generation(&self) -> ::idl::interface::Generation {
                self.link.generation()
            }

            /// The transport.
            pub const fn transport(&self) -> &T {
                self.link.transport()
            }

            #(#stubs)*

            #events
        }
    }
}

fn stub(interface: &Interface, method: &Method, index: usize) -> TokenStream {
    let Method { name, docs, result, .. } = method;
    let parameters = method.arguments.iter().map(|Argument { name, ty, .. }| quote! { #name: #ty });
    let text = format!("{docs}\n\n# Errors\nThe server's own, and what a call can fail with.");
    let error = match &method.error {
        Some(error) => quote! { #error },
        None => quote! { ::core::convert::Infallible },
    };
    let checks = method.values().filter_map(|Argument { name, most, .. }| {
        let most = most.as_ref()?;
        Some(quote! {
            if ::idl::interface::Elements::count(&#name) > #most {
                return Err(::idl::interface::CallError::TooLong);
            }
        })
    });
    let marker = &interface.name;
    let row = quote! { &<#marker as ::idl::interface::Interface>::METHODS[#index] };
    let body = call(method, &row, &error);
    quote! {
        #[doc = #text]
        #[inline]
        pub fn #name(
            &self,
            #(#parameters),*
        ) -> ::core::result::Result<#result, ::idl::interface::CallError<#error>> {
            #(#checks)*
            #body
        }
    }
}

fn call(method: &Method, row: &TokenStream, error: &TokenStream) -> TokenStream {
    let result = &method.result;
    let names: Vec<_> = method.values().map(|argument| &argument.name).collect();
    let words = method.values().map(|Argument { name, ty, .. }| {
        quote_spanned! { ty.span() => ::idl::Word::to_word(#name) }
    });
    let place = method.name.span();
    let passed: Vec<_> = method.capabilities().map(|argument| &argument.name).collect();
    let parcel = quote! { &[#(::idl::interface::Passable::to_passed(&#passed)),*] };
    match (method.delivery, method.form) {
        (Delivery::OneWay, Form::Words) => quote! { self.link.send_words(#row, &[#(#words),*], #parcel) },
        (Delivery::OneWay, Form::Bytes) => {
            quote_spanned! { place => self.link.send_bytes(#row, &(#(#names,)*), #parcel) }
        }
        (_, Form::Words) if method.result_is == What::Capability => quote! {
            let result: ::idl::interface::InParcel<#result> =
                self.link.words_and_caps::<_, #error>(#row, &[#(#words),*], #parcel)?;
            Ok(result.0)
        },
        (_, Form::Words) if !passed.is_empty() => quote! {
            let result: ::idl::interface::InWords<#result> =
                self.link.words_and_caps::<_, #error>(#row, &[#(#words),*], #parcel)?;
            Ok(result.0)
        },
        (_, Form::Words) => {
            let padding = (names.len()..5).map(|_| quote! { 0 });
            quote_spanned! { place =>
                self.link.words::<#result, #error>(#row, [#(#words,)* #(#padding),*])
            }
        }
        (_, Form::Bytes) => {
            quote_spanned! { place => self.link.bytes::<_, #result, #error>(#row, &(#(#names,)*), #parcel) }
        }
    }
}
