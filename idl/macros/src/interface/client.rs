//! The client of an interface.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::parse::{Argument, Form, Interface, Method};

pub(crate) fn client(interface: &Interface) -> TokenStream {
    let Interface { visibility, name, methods, .. } = interface;
    let client = format_ident!("{name}Client");
    let text = format!("A client of [`{name}`].");
    let stubs = methods.iter().zip(1u32..).map(|(method, label)| stub(method, label));
    quote! {
        #[doc = #text]
        #[derive(Clone, Debug)]
        #visibility struct #client<T> {
            transport: T,
        }

        impl<T: ::idl::interface::Transport> #client<T> {
            /// A client over a transport that is known to lead to such a server.
            pub const fn new(transport: T) -> Self {
                Self { transport }
            }

            /// A client over a transport, after asking the server for its fingerprint.
            ///
            /// # Errors
            /// `WrongInterface`, and what a call can fail with.
            pub fn connect(
                transport: T,
            ) -> ::core::result::Result<Self, ::idl::interface::CallError> {
                ::idl::interface::check_fingerprint::<#name, T>(&transport)?;
                Ok(Self { transport })
            }

            /// The transport.
            pub const fn transport(&self) -> &T {
                &self.transport
            }

            #(#stubs)*
        }
    }
}

fn stub(method: &Method, label: u32) -> TokenStream {
    let Method { name, docs, result, .. } = method;
    let parameters = method.arguments.iter().map(|Argument { name, ty }| quote! { #name: #ty });
    let text = format!("{docs}\n\n# Errors\nThe server's own, and what a call can fail with.");
    let error = match &method.error {
        Some(error) => quote! { #error },
        None => quote! { ::core::convert::Infallible },
    };
    let names: Vec<_> = method.arguments.iter().map(|argument| &argument.name).collect();
    let body = match method.form {
        Form::Words => {
            let count = names.len();
            let words = names.iter().map(|name| quote! { ::idl::Word::to_word(#name) });
            let padding = (count..5).map(|_| quote! { 0 });
            quote! {
                ::idl::interface::call_words::<T, #result, #error>(
                    &self.transport, #label, #count, [#(#words,)* #(#padding),*],
                )
            }
        }
        Form::Bytes => quote! {
            ::idl::interface::call_bytes::<T, _, #result, #error>(&self.transport, #label, &(#(#names,)*))
        },
    };
    quote! {
        #[doc = #text]
        #[inline]
        pub fn #name(
            &self,
            #(#parameters),*
        ) -> ::core::result::Result<#result, ::idl::interface::CallError<#error>> {
            #body
        }
    }
}
