//! The server's side of an interface: a trait to implement, and the dispatch to it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use super::event;
use super::generate::requires;
use super::parse::{Argument, Form, Interface, Method, What};

pub(crate) fn server(interface: &Interface) -> TokenStream {
    let Interface { visibility, name, methods, .. } = interface;
    let server = format_ident!("{name}Server");
    let adapter = format_ident!("{name}Dispatch");
    let text = format!("What a server of [`{name}`] does. `caller` says who calls, and until when.");
    let adapter_text = format!("A server of [`{name}`], ready to be served.");
    let functions = methods.iter().map(|method| {
        let Method { name: function, docs, result, .. } = method;
        let parameters = method.arguments.iter().map(|Argument { name, ty, .. }| quote! { #name: #ty });
        let output = match &method.error {
            Some(error) => quote! { ::core::result::Result<#result, #error> },
            None => quote! { #result },
        };
        quote! {
            #[doc = #docs]
            fn #function(&mut self, caller: ::idl::interface::Caller<#name>, #(#parameters),*) -> #output;
        }
    });
    let (required, found) = event::server(interface);
    let at_once = TokenStream::new();
    let arms = methods.iter().zip(1u32..).map(|(method, number)| arm(interface, method, number, &at_once));
    quote! {
        #[doc = #text]
        #visibility trait #server {
            #(#functions)*

            #required
        }

        #[doc = #adapter_text]
        #[derive(Clone, Debug)]
        #visibility struct #adapter<S>(pub S);

        impl<S: #server> ::idl::interface::Dispatch for #adapter<S> {
            type Interface = #name;

            #found

            #[inline]
            fn dispatch(
                &mut self,
                method: u32,
                caller: ::idl::interface::Caller<#name>,
                request: &::idl::interface::Request<'_>,
                answer: &mut ::idl::interface::Answer,
            ) -> ::core::result::Result<(), ::idl::interface::Refusal> {
                match method {
                    #(#arms)*
                    _ => Err(::idl::interface::Refusal::UnknownMethod),
                }
            }
        }
    }
}

/// The same for a server whose methods may wait.
pub(crate) fn asynchronous(interface: &Interface) -> TokenStream {
    let Interface { visibility, name, methods, .. } = interface;
    if !interface.asynchronous {
        return TokenStream::new();
    }
    let (server, adapter) = (format_ident!("{name}AsyncServer"), format_ident!("{name}AsyncDispatch"));
    let text = format!(
        "What a server of [`{name}`] does whose methods may wait: while one does, others are carried out. So they share what \
         the server keeps, and each finds it changed after it has waited."
    );
    let adapter_text = format!("A server of [`{name}`] whose methods may wait, ready to be served.");
    let functions = methods.iter().map(|method| {
        let Method { name: function, docs, result, .. } = method;
        let parameters = method.arguments.iter().map(|Argument { name, ty, .. }| quote! { #name: #ty });
        let output = match &method.error {
            Some(error) => quote! { ::core::result::Result<#result, #error> },
            None => quote! { #result },
        };
        quote! {
            #[doc = #docs]
            fn #function(
                &self,
                caller: ::idl::interface::Caller<#name>,
                #(#parameters),*
            ) -> impl ::core::future::Future<Output = #output>;
        }
    });
    let waited = quote! { .await };
    let arms = methods.iter().zip(1u32..).map(|(method, number)| arm(interface, method, number, &waited));
    quote! {
        #[doc = #text]
        #visibility trait #server {
            #(#functions)*
        }

        #[doc = #adapter_text]
        #[derive(Clone, Debug)]
        #visibility struct #adapter<S>(pub S);

        impl<S: #server> ::idl::interface::AsyncDispatch for #adapter<S> {
            type Interface = #name;

            async fn dispatch(
                &self,
                method: u32,
                caller: ::idl::interface::Caller<#name>,
                request: &::idl::interface::Request<'_>,
                answer: &mut ::idl::interface::Answer,
            ) -> ::core::result::Result<(), ::idl::interface::Refusal> {
                match method {
                    #(#arms)*
                    _ => Err(::idl::interface::Refusal::UnknownMethod),
                }
            }
        }
    }
}

/// What is done with a request of this method. `waited` is what follows a call of the server's method.
fn arm(interface: &Interface, method: &Method, number: u32, waited: &TokenStream) -> TokenStream {
    let name = &method.name;
    let arguments = method.arguments.iter().map(|argument| &argument.name);
    let require = match requires(interface, method) {
        0 => quote! {},
        bits => quote! { caller.require(::idl::interface::Access::from_bits(#bits))?; },
    };
    let decode = decode(method);
    let call = quote! { self.0.#name(caller, #(#arguments),*) #waited };
    let put = match (method.result_is, method.form) {
        (What::Capability, _) => quote! { answer.capability(&value) },
        (What::Value, Form::Words) => quote_spanned! { method.result.span() => answer.words(value) },
        (What::Value, Form::Bytes) => quote_spanned! { method.result.span() => answer.bytes(&value)? },
    };
    let settle = match &method.error {
        None => quote! { let value = #call; #put; },
        Some(_) => quote! {
            match #call {
                Ok(value) => #put,
                Err(error) => answer.refused(error),
            }
        },
    };
    quote! { #number => { #require #decode #settle Ok(()) } }
}

/// Everything that can be wrong with a request is found out before the server sees it.
fn decode(method: &Method) -> TokenStream {
    let names: Vec<_> = method.values().map(|argument| &argument.name).collect();
    let types: Vec<_> = method.values().map(|argument| &argument.ty).collect();
    let count = names.len();
    let values = match method.form {
        Form::Words => {
            let words = types.iter().enumerate().map(|(index, ty)| {
                quote_spanned! { ty.span() => request.word::<#ty>(#index)? }
            });
            quote! {
                request.expect_words(#count)?;
                #(let #names = #words;)*
            }
        }
        Form::Bytes if count == 0 => quote! { request.expect_words(0)?; },
        Form::Bytes => quote_spanned! { method.name.span() =>
            let (#(#names,)*): (#(#types,)*) = request.bytes()?;
        },
    };
    let bounds = method.values().filter_map(|Argument { name, most, .. }| {
        let most = most.as_ref()?;
        Some(quote! { ::idl::interface::expect_most(::idl::interface::Elements::count(&#name), #most)?; })
    });
    let capabilities = method.capabilities().enumerate().map(|(index, Argument { name, ty, .. })| {
        quote! { let #name: #ty = request.capability(#index)?; }
    });
    quote! { #values #(#bounds)* #(#capabilities)* }
}
