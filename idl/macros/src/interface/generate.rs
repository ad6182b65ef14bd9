//! The code that a declaration of an interface stands for: what client and server share. Their own parts are in
//! `client` and `server`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use super::parse::{Form, Interface, Method};
use super::{client, server};

pub(crate) fn interface(interface: &Interface) -> TokenStream {
    let Interface { visibility, name, docs, methods } = interface;
    let text = name.to_string();
    let fingerprint = fingerprint(interface);
    let rows = methods.iter().zip(1u32..).map(|(method, label)| {
        let (name, docs) = (method.name.to_string(), &method.docs);
        let signature = signature(method);
        quote! {
            ::idl::interface::Method { label: #label, name: #name, docs: #docs, signature: #signature }
        }
    });
    let client = client::client(interface);
    let server = server::server(interface);
    quote! {
        #[doc = #docs]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #visibility struct #name;

        impl ::idl::interface::Interface for #name {
            const NAME: &'static str = #text;
            const FINGERPRINT: u64 = #fingerprint;
            const METHODS: &'static [::idl::interface::Method] = &[#(#rows),*];
        }

        #client
        #server
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

/// FNV-1a over the name and all signatures: whatever changes what travels, or what it means by its name, changes
/// it. Documentation does not.
fn fingerprint(interface: &Interface) -> u64 {
    let signatures: Vec<String> = interface.methods.iter().map(signature).collect();
    let text = format!("{}\n{}", interface.name, signatures.join("\n"));
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
