//! Events: what a declaration says of them, checked, and the code that they stand for.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::TraitItem;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;

use super::generate::bits_of;
use super::parse::{
    self, Argument, EVENT_WORDS, Event, Form, Interface, What, check_rights, output, require_docs,
};
use crate::docs;

/// The variant of every client's events that says how many were lost.
const LOST: &str = "Lost";

pub(super) fn event(item: &TraitItem, rights: &[Ident]) -> syn::Result<Event> {
    let TraitItem::Fn(function) = item else {
        return Err(syn::Error::new(item.span(), "an interface declares methods only"));
    };
    let name = function.sig.ident.clone();
    let docs = docs::text(&function.attrs);
    require_docs(&docs, &name)?;
    if variant(&name) == LOST {
        let message = "every client has an event `lost` already: choose another name";
        return Err(syn::Error::new(name.span(), message));
    }
    let mut requires = Vec::new();
    for attribute in function.attrs.iter().filter(|attribute| !attribute.path().is_ident("doc")) {
        let path = attribute.path();
        if path.is_ident("requires") {
            let parser = Punctuated::<Ident, syn::Token![|]>::parse_separated_nonempty;
            requires = attribute.parse_args_with(parser)?.into_iter().collect();
        } else if !path.is_ident("event") {
            let message = "an event is `#[event]`, perhaps with `#[requires(..)]`, and nothing else";
            return Err(syn::Error::new(attribute.span(), message));
        }
    }
    check_rights(&requires, rights)?;
    let (result, error) = output(&function.sig.output);
    if error.is_some() || !matches!(&result, syn::Type::Tuple(tuple) if tuple.elems.is_empty()) {
        let message = "an event has no result: nobody answers it";
        return Err(syn::Error::new(function.sig.output.span(), message));
    }
    let arguments = parse::arguments(function, Form::Words)?;
    if let Some(passed) = arguments.iter().find(|argument| argument.what == What::Capability) {
        let message = "an event carries no capability: it would stay with the server if nobody fetches it";
        return Err(syn::Error::new(passed.ty.span(), message));
    }
    if let Some(extra) = arguments.get(EVENT_WORDS) {
        let message = "an event has at most four words: say what it is about, and let who wants more ask";
        return Err(syn::Error::new(extra.ty.span(), message));
    }
    Ok(Event { name, docs, requires, arguments })
}

/// `key_changed` as `KeyChanged`.
fn variant(name: &Ident) -> Ident {
    let text = name.to_string();
    let words = text.split('_').map(|word| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str())
    });
    Ident::new(&words.flatten().collect::<String>(), name.span())
}

/// The rows of the interface's table of events.
pub(super) fn rows(interface: &Interface) -> TokenStream {
    let rows = interface.events.iter().zip(1u32..).map(|(event, number)| {
        let (name, docs) = (event.name.to_string(), &event.docs);
        let requires = bits_of(interface, &event.requires);
        let arguments = event.arguments.iter().map(|Argument { name, ty, .. }| {
            let name = name.to_string();
            quote_spanned! { ty.span() =>
                ::idl::interface::Part { name: #name, shape: <#ty as ::idl::Word>::SHAPE }
            }
        });
        quote! {
            ::idl::interface::Event {
                number: #number,
                name: #name,
                docs: #docs,
                requires: #requires,
                arguments: &[#(#arguments),*],
            }
        }
    });
    quote! { const EVENTS: &'static [::idl::interface::Event] = &[#(#rows),*]; }
}

/// What the server tells with, and what the client is told.
pub(super) fn types(interface: &Interface) -> TokenStream {
    if interface.events.is_empty() {
        return TokenStream::new();
    }
    let (teller, told) = (teller(interface), told(interface));
    quote! { #teller #told }
}

fn teller(interface: &Interface) -> TokenStream {
    let Interface { visibility, name, events, .. } = interface;
    let teller = format_ident!("{name}Events");
    let text = format!(
        "Those whom a server of [`{name}`] tells of its events: at most `SESSIONS`, with room for `QUEUE` events each. \
         What has no room is counted, and the count is told."
    );
    let functions = events.iter().enumerate().map(|(index, event)| {
        let parse::Event { name, docs, arguments, .. } = event;
        let parameters = arguments.iter().map(|Argument { name, ty, .. }| quote! { #name: #ty });
        let words = arguments.iter().map(|Argument { name, ty, .. }| {
            quote_spanned! { ty.span() => ::idl::Word::to_word(#name) }
        });
        quote! {
            #[doc = #docs]
            #visibility fn #name(&mut self, #(#parameters),*) {
                self.0.tell(#index, &[#(#words),*]);
            }
        }
    });
    quote! {
        #[doc = #text]
        #[derive(Debug)]
        #visibility struct #teller<B: ::idl::interface::Bell, const SESSIONS: usize, const QUEUE: usize>(
            ::idl::interface::Subscribers<#name, B, SESSIONS, QUEUE>,
        );

        #[allow(dead_code, reason = "generated for servers that want it")]
        impl<B: ::idl::interface::Bell, const SESSIONS: usize, const QUEUE: usize> #teller<B, SESSIONS, QUEUE> {
            /// Nobody yet.
            #[must_use]
            #visibility const fn new() -> Self {
                Self(::idl::interface::Subscribers::new())
            }

            /// How many there are.
            #[must_use]
            #visibility fn count(&self) -> usize {
                self.0.count()
            }

            #(#functions)*
        }

        impl<B: ::idl::interface::Bell, const SESSIONS: usize, const QUEUE: usize> ::core::default::Default
            for #teller<B, SESSIONS, QUEUE>
        {
            fn default() -> Self {
                Self::new()
            }
        }

        impl<B: ::idl::interface::Bell, const SESSIONS: usize, const QUEUE: usize> ::idl::interface::Subscribed
            for #teller<B, SESSIONS, QUEUE>
        {
            fn subscribe(
                &mut self,
                session: u32,
                access: u16,
                known: u64,
                notification: ::idl::Handle,
            ) -> ::core::result::Result<(), ::idl::interface::Refusal> {
                self.0.subscribe(session, access, known, notification)
            }

            fn unsubscribe(&mut self, session: u32) {
                self.0.unsubscribe(session);
            }

            fn next(
                &mut self,
                session: u32,
                access: u16,
            ) -> ::core::result::Result<[u64; 5], ::idl::interface::Refusal> {
                self.0.next(session, access)
            }
        }
    }
}

fn told(interface: &Interface) -> TokenStream {
    let Interface { visibility, name, events, .. } = interface;
    let told = format_ident!("{name}Event");
    let text = format!("What a subscriber of [`{name}`] is told.");
    let variants = events.iter().map(|parse::Event { name, docs, arguments, .. }| {
        let variant = variant(name);
        let fields = arguments.iter().map(|Argument { name, ty, .. }| {
            let text = format!("The event's `{name}`.");
            quote! { #[doc = #text] #name: #ty }
        });
        quote! { #[doc = #docs] #variant { #(#fields),* } }
    });
    let arms = events.iter().zip(1u64..).map(|(parse::Event { name, arguments, .. }, number)| {
        let variant = variant(name);
        let fields = arguments.iter().enumerate().map(|(index, Argument { name, ty, .. })| {
            quote_spanned! { ty.span() => #name: <#ty as ::idl::Word>::from_word(words[#index]).ok()? }
        });
        quote! { #number => Some(Self::#variant { #(#fields),* }) }
    });
    quote! {
        #[doc = #text]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #visibility enum #told {
            #(#variants,)*
            /// So many events after those before were not kept, because nobody fetched.
            Lost(u64),
        }

        impl ::idl::interface::Told for #told {
            fn from_words(number: u64, words: &[u64; ::idl::interface::EVENT_WORDS]) -> ::core::option::Option<Self> {
                match number {
                    #(#arms,)*
                    ::idl::interface::LOST => Some(Self::Lost(words[0])),
                    _ => None,
                }
            }
        }
    }
}

/// The client's methods.
pub(super) fn client(interface: &Interface) -> TokenStream {
    if interface.events.is_empty() {
        return TokenStream::new();
    }
    let told = format_ident!("{}Event", interface.name);
    quote! {
        /// Begins to be told of events: the server signals this notification when there are some, and keeps them until
        /// `next_event` fetches them. Who subscribes again begins anew.
        ///
        /// # Errors
        /// `Denied` without the rights for any event, `NoRoom` when the server has as many subscribers as it can have, and
        /// what a call can fail with.
        pub fn subscribe(
            &self,
            bell: ::idl::interface::BellCap,
        ) -> ::core::result::Result<(), ::idl::interface::CallError> {
            self.link.subscribe(&bell)
        }

        /// Is told no more.
        ///
        /// # Errors
        /// What a call can fail with.
        pub fn unsubscribe(&self) -> ::core::result::Result<(), ::idl::interface::CallError> {
            self.link.unsubscribe()
        }

        /// The next event that the server has kept; nothing if there is none. It signals for the next one only after
        /// there was none.
        ///
        /// # Errors
        /// `NotSubscribed`, and what a call can fail with.
        pub fn next_event(
            &self,
        ) -> ::core::result::Result<::core::option::Option<#told>, ::idl::interface::CallError> {
            self.link.next_event()
        }
    }
}

/// What a server must have besides its methods, and where the dispatch finds it.
pub(super) fn server(interface: &Interface) -> (TokenStream, TokenStream) {
    if interface.events.is_empty() {
        return Default::default();
    }
    let text = format!("Those whom it tells of its events: its [`{}Events`].", interface.name);
    let required = quote! {
        #[doc = #text]
        fn events(&mut self) -> &mut dyn ::idl::interface::Subscribed;
    };
    let found = quote! {
        fn subscribed(&mut self) -> ::core::option::Option<&mut dyn ::idl::interface::Subscribed> {
            Some(self.0.events())
        }
    };
    (required, found)
}

/// A mock's subscribers: a field, its first value, and the method that every server has.
pub(super) fn mock(interface: &Interface) -> (TokenStream, TokenStream, TokenStream) {
    if interface.events.is_empty() {
        return Default::default();
    }
    let (visibility, teller) = (&interface.visibility, format_ident!("{}Events", interface.name));
    let field = quote! {
        /// Whom it tells of events.
        #visibility events: #teller<::idl::interface::NoBell, 4, 16>,
    };
    let method = quote! {
        fn events(&mut self) -> &mut dyn ::idl::interface::Subscribed {
            &mut self.events
        }
    };
    (field, quote! { events: #teller::new(), }, method)
}
