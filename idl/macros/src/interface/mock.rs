//! A server made of closures, for tests of clients.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::event;
use super::parse::{Argument, Interface, Method};

pub(crate) fn mock(interface: &Interface) -> TokenStream {
    let Interface { visibility, name, methods, .. } = interface;
    let (mock, server) = (format_ident!("{name}Mock"), format_ident!("{name}Server"));
    let text = format!(
        "A server of [`{name}`] made of closures, for tests of clients. A call for which it has none is a panic."
    );
    let names: Vec<_> = methods.iter().map(|method| &method.name).collect();
    let fields = methods.iter().map(|method| {
        let (field, function) = (&method.name, function(interface, method));
        quote! { #field: ::core::option::Option<::idl::peer::Box<dyn #function>> }
    });
    let setters = methods.iter().map(|method| {
        let (setter, function) = (&method.name, function(interface, method));
        let text = format!("With this for `{setter}`.");
        quote! {
            #[doc = #text]
            #[must_use]
            pub fn #setter(mut self, answer: impl #function + 'static) -> Self {
                self.#setter = Some(::idl::peer::Box::new(answer));
                self
            }
        }
    });
    let (field, first, subscribed) = event::mock(interface);
    let answers = methods.iter().map(|method| answer(interface, method));
    quote! {
        #[doc = #text]
        #[allow(clippy::type_complexity, reason = "generated")]
        #visibility struct #mock {
            #field
            #(#fields),*
        }

        #[allow(dead_code, reason = "generated for tests that want it")]
        impl #mock {
            /// A server that expects no call at all.
            #[must_use]
            pub const fn new() -> Self {
                Self { #first #(#names: None),* }
            }

            #(#setters)*
        }

        impl ::core::default::Default for #mock {
            fn default() -> Self {
                Self::new()
            }
        }

        impl #server for #mock {
            #(#answers)*

            #subscribed
        }
    }
}

fn function(interface: &Interface, method: &Method) -> TokenStream {
    let name = &interface.name;
    let types = method.arguments.iter().map(|argument| &argument.ty);
    let output = output(method);
    quote! { FnMut(::idl::interface::Caller<#name>, #(#types),*) -> #output }
}

fn output(method: &Method) -> TokenStream {
    let result = &method.result;
    match &method.error {
        Some(error) => quote! { ::core::result::Result<#result, #error> },
        None => quote! { #result },
    }
}

fn answer(interface: &Interface, method: &Method) -> TokenStream {
    let (marker, name) = (&interface.name, &method.name);
    let parameters = method.arguments.iter().map(|Argument { name, ty, .. }| quote! { #name: #ty });
    let names = method.arguments.iter().map(|argument| &argument.name);
    let output = output(method);
    let unexpected = format!("nobody expects a call of {marker}::{name}");
    quote! {
        fn #name(&mut self, caller: ::idl::interface::Caller<#marker>, #(#parameters),*) -> #output {
            match &mut self.#name {
                Some(answer) => answer(caller, #(#names),*),
                None => panic!(#unexpected),
            }
        }
    }
}
