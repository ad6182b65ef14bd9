//! The code that a declaration of a kernel object stands for.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::parse::{Argument, Form, Method, Object};
use crate::docs;

pub(crate) fn object(object: &Object) -> TokenStream {
    let marker = marker(object);
    let table = table(object);
    let call = call(object);
    let client = client(object);
    quote! { #marker #table #call #client }
}

/// The type that stands for the kind in `Cap<Kind>`.
fn marker(object: &Object) -> TokenStream {
    let Object { visibility, name, kind, docs, .. } = object;
    quote! {
        #[doc = #docs]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #visibility struct #name;

        impl ::idl::Object for #name {
            const KIND: ::caps::Kind = ::caps::Kind::#kind;
        }
    }
}

fn table(object: &Object) -> TokenStream {
    let Object { visibility, kind, docs: text, methods, .. } = object;
    let rows = methods.iter().map(row);
    quote! {
        /// What this kind of object is.
        #visibility const ABOUT: &str = #text;

        /// Every method of this kind, as declared.
        #visibility const METHODS: &[::idl::method::MethodInfo] = {
            const KIND: ::caps::Kind = ::caps::Kind::#kind;
            &[#(#rows),*]
        };
    }
}

fn row(method: &Method) -> TokenStream {
    let Method { docs: text, id, errors, .. } = method;
    let name = docs::plain(&method.name);
    let rights = rights(method);
    let form = match method.form {
        Form::Plain => quote!(Plain),
        Form::Blocking => quote!(Blocking),
        Form::Message => quote!(Message),
    };
    let arguments = method.arguments.iter().map(|Argument { name, ty }| {
        let name = docs::plain(name);
        quote! { ::idl::method::Field { name: #name, ty: <#ty as ::idl::Word>::NAME } }
    });
    let results = match &method.result {
        Some(ty) => quote! { <#ty as ::idl::Words>::FIELDS },
        None => quote! { &[] },
    };
    quote! {
        ::idl::method::MethodInfo {
            kind: KIND,
            id: #id,
            name: #name,
            docs: #text,
            rights: #rights,
            errors: &[#(::caps::Error::#errors),*],
            form: ::idl::method::Form::#form,
            arguments: &[#(#arguments),*],
            results: #results,
        }
    }
}

fn rights(method: &Method) -> TokenStream {
    let rights = &method.rights;
    quote! { ::caps::Rights::empty() #(.union(::caps::Rights::#rights))* }
}

/// The decoded call, for the kernel.
fn call(object: &Object) -> TokenStream {
    let Object { visibility, kind, methods, .. } = object;
    let title = format!("A call of a method of {}, decoded.", object.kind);
    let variants = methods.iter().map(|method| {
        let variant = docs::variant(&method.name);
        let text = &method.docs;
        let fields = method.arguments.iter().map(|Argument { name, ty }| {
            let text = format!("The argument `{name}`.");
            quote! { #[doc = #text] #name: #ty }
        });
        if method.arguments.is_empty() {
            quote! { #[doc = #text] #variant }
        } else {
            quote! { #[doc = #text] #variant { #(#fields),* } }
        }
    });
    let arms = methods.iter().map(decode);
    let required = methods.iter().map(|method| {
        let (id, rights) = (method.id, rights(method));
        quote! { #id => Ok(#rights) }
    });
    let messages = methods.iter().any(|method| method.form == Form::Message);
    quote! {
        #[doc = #title]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #visibility enum Call { #(#variants),* }

        impl ::idl::kernel::Calls for Call {
            const KIND: ::caps::Kind = ::caps::Kind::#kind;
            const CARRY_MESSAGES: bool = #messages;

            #[inline]
            fn from_words(
                method: u8,
                words: &[u64; ::idl::abi::REGISTER_WORDS],
            ) -> ::core::result::Result<Self, ::caps::Error> {
                match method {
                    #(#arms,)*
                    _ => Err(::caps::Error::UnknownMethod),
                }
            }

            #[inline]
            fn rights(method: u8) -> ::core::result::Result<::caps::Rights, ::caps::Error> {
                match method {
                    #(#required,)*
                    _ => Err(::caps::Error::UnknownMethod),
                }
            }
        }
    }
}

fn decode(method: &Method) -> TokenStream {
    let id = method.id;
    let variant = docs::variant(&method.name);
    if method.form == Form::Message {
        return quote! { #id => Ok(Self::#variant) };
    }
    let words = word_names();
    let fields = method.arguments.iter().zip(&words).map(|(Argument { name, .. }, word)| {
        quote! { #name: ::idl::Word::from_word(#word)? }
    });
    let unused = words.get(method.arguments.len()..).unwrap_or(&[]);
    let body = if method.arguments.is_empty() {
        quote! { Self::#variant }
    } else {
        quote! { Self::#variant { #(#fields),* } }
    };
    quote! {
        #id => {
            let [#(#words),*] = *words;
            ::idl::word::require_zero(0 #(| #unused)*)?;
            Ok(#body)
        }
    }
}

fn word_names() -> Vec<Ident> {
    (0..5).map(|index| format_ident!("word_{index}")).collect()
}

fn result_type(method: &Method) -> TokenStream {
    match &method.result {
        Some(ty) => quote! { #ty },
        None => quote! { () },
    }
}

/// The stubs, as inherent methods of `Cap<Marker, I>`.
fn client(object: &Object) -> TokenStream {
    let name = &object.name;
    let stubs = object.methods.iter().filter(|method| method.form != Form::Message).map(stub);
    quote! {
        impl<I: ::idl::Invoke> ::idl::Cap<#name, I> {
            #(#stubs)*
        }
    }
}

fn stub(method: &Method) -> TokenStream {
    let Method { name, id, .. } = method;
    let text = format!("{}\n\n# Errors\n{}", method.docs, error_text(method));
    let result = result_type(method);
    let parameters = method.arguments.iter().map(|Argument { name, ty }| quote! { #name: #ty });
    let mut words: Vec<TokenStream> =
        method.arguments.iter().map(|Argument { name, .. }| quote! { ::idl::Word::to_word(#name) }).collect();
    words.resize(5, quote!(0));
    let (deadline, passed) = match method.form {
        Form::Blocking => (quote!(deadline: ::idl::types::Deadline), quote!(deadline)),
        _ => (quote!(), quote!(::idl::types::Deadline::NEVER)),
    };
    quote! {
        #[doc = #text]
        #[inline]
        pub fn #name(&self, #(#parameters,)* #deadline) -> ::core::result::Result<#result, ::caps::Error> {
            ::idl::client::plain(self, #id, [#(#words),*], #passed)
        }
    }
}

fn error_text(method: &Method) -> String {
    let mut names: Vec<String> = method.errors.iter().map(|name| format!("`{name}`")).collect();
    names.push("and those that every method has".to_owned());
    names.join(", ")
}
