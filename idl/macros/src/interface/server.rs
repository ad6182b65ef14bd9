//! The server's side of an interface: a trait to implement, and the dispatch to it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::parse::{Argument, Form, Interface, Method};

pub(crate) fn server(interface: &Interface) -> TokenStream {
    let Interface { visibility, name, methods, .. } = interface;
    let server = format_ident!("{name}Server");
    let adapter = format_ident!("{name}Dispatch");
    let text =
        format!("What a server of [`{name}`] does. `caller` is the badge of the capability that was called.");
    let adapter_text = format!("A server of [`{name}`], ready to be served.");
    let functions = methods.iter().map(|method| {
        let Method { name, docs, result, .. } = method;
        let parameters = method.arguments.iter().map(|Argument { name, ty }| quote! { #name: #ty });
        let output = match &method.error {
            Some(error) => quote! { ::core::result::Result<#result, #error> },
            None => quote! { #result },
        };
        quote! {
            #[doc = #docs]
            fn #name(&mut self, caller: ::idl::types::Badge, #(#parameters),*) -> #output;
        }
    });
    let arms = methods.iter().zip(1u32..).map(|(method, label)| arm(method, label));
    quote! {
        #[doc = #text]
        #visibility trait #server {
            #(#functions)*
        }

        #[doc = #adapter_text]
        #[derive(Clone, Debug)]
        #visibility struct #adapter<S>(pub S);

        impl<S: #server> ::idl::interface::Dispatch for #adapter<S> {
            type Interface = #name;

            fn dispatch(
                &mut self,
                caller: ::idl::types::Badge,
                request: &::idl::interface::Request<'_>,
                answer: &mut ::idl::interface::Answer,
            ) -> ::core::result::Result<(), ::idl::interface::Refusal> {
                match request.label {
                    #(#arms)*
                    _ => Err(::idl::interface::Refusal::UnknownMethod),
                }
            }
        }
    }
}

fn arm(method: &Method, label: u32) -> TokenStream {
    let name = &method.name;
    let names: Vec<_> = method.arguments.iter().map(|argument| &argument.name).collect();
    let types: Vec<_> = method.arguments.iter().map(|argument| &argument.ty).collect();
    let count = names.len();
    let decode = match method.form {
        Form::Words => {
            let indices = 0..count;
            quote! {
                request.expect_words(#count)?;
                #(let #names: #types = request.word(#indices)?;)*
            }
        }
        Form::Bytes if count == 0 => quote! { request.expect_words(0)?; },
        Form::Bytes => quote! { let (#(#names,)*): (#(#types,)*) = request.bytes()?; },
    };
    let call = quote! { self.0.#name(caller, #(#names),*) };
    let put = match method.form {
        Form::Words => quote! { answer.words(value) },
        Form::Bytes => quote! { answer.bytes(&value) },
    };
    let settle = match &method.error {
        None => quote! { let value = #call; #put },
        Some(_) => quote! {
            match #call {
                Ok(value) => #put,
                Err(error) => answer.refused_words(error),
            }
        },
    };
    quote! { #label => { #decode #settle } }
}
