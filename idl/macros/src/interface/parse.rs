//! What a declaration of an interface says, checked.

use proc_macro2::{Ident, Span, TokenStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Attribute, Expr, FnArg, GenericArgument, ItemTrait, LitInt, Pat, PathArguments, ReturnType, Token,
    TraitItem, TraitItemFn, Type, Visibility,
};

use super::event;
use crate::docs;

/// Argument words that fit in registers.
const WORDS: usize = 5;
/// Capabilities that one message carries.
const CAPABILITIES: usize = 4;
/// Rights that a badge has room for.
const RIGHTS: usize = 16;
/// Argument words of an event: its number takes one of the registers.
pub(super) const EVENT_WORDS: usize = 4;
/// Methods that an interface can have: the numbers above are of those by which clients are told of events.
const METHODS: usize = 252;
/// Events that it can have.
const EVENTS: usize = 64;
/// Methods that every client has.
const TAKEN: [&str; 6] = ["new", "connect", "reconnect", "until", "generation", "transport"];
/// Methods that every client or server of an interface with events has.
const TAKEN_WITH_EVENTS: [&str; 4] = ["subscribe", "unsubscribe", "next_event", "events"];
/// Bytes of a name that a server can tell a client.
const NAME_BYTES: usize = 24;

pub(crate) struct Interface {
    pub(crate) visibility: Visibility,
    pub(crate) name: Ident,
    pub(crate) docs: String,
    pub(crate) version: u16,
    pub(crate) rights: Vec<Ident>,
    /// Whether there can also be servers whose methods wait.
    pub(crate) asynchronous: bool,
    pub(crate) methods: Vec<Method>,
    pub(crate) events: Vec<Event>,
}

/// What the server tells those who asked to be told.
pub(crate) struct Event {
    pub(crate) name: Ident,
    pub(crate) docs: String,
    pub(crate) requires: Vec<Ident>,
    pub(crate) arguments: Vec<Argument>,
}

pub(crate) struct Method {
    pub(crate) name: Ident,
    pub(crate) docs: String,
    pub(crate) form: Form,
    pub(crate) delivery: Delivery,
    pub(crate) requires: Vec<Ident>,
    pub(crate) arguments: Vec<Argument>,
    /// The type of success; `()` when none is given.
    pub(crate) result: Type,
    pub(crate) result_is: What,
    /// The interface's own error, when the method returns a `Result`.
    pub(crate) error: Option<Type>,
}

pub(crate) struct Argument {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
    pub(crate) what: What,
    /// `#[max(..)]`.
    pub(crate) most: Option<Expr>,
}

/// What a type is to the macro, which sees only its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Words or bytes.
    Value,
    /// `Lent<..>` or `Moved<..>`.
    Capability,
}

/// How a method's values travel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Each argument in a register.
    Words,
    /// All arguments, and the result, as `postcard` bytes.
    Bytes,
}

/// What comes of a request; `idl::interface::Delivery` has the same names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Call,
    Idempotent,
    OneWay,
}

impl Method {
    pub(crate) fn values(&self) -> impl Iterator<Item = &Argument> {
        self.arguments.iter().filter(|argument| argument.what == What::Value)
    }

    pub(crate) fn capabilities(&self) -> impl Iterator<Item = &Argument> {
        self.arguments.iter().filter(|argument| argument.what == What::Capability)
    }
}

pub(crate) fn interface(attribute: TokenStream, item: TokenStream) -> syn::Result<Interface> {
    let Header { version, rights, asynchronous } = header(attribute)?;
    let item: ItemTrait = syn::parse2(item)?;
    if !item.generics.params.is_empty() {
        return Err(syn::Error::new(item.generics.span(), "an interface has no type parameters"));
    }
    if item.ident.to_string().len() > NAME_BYTES {
        return Err(syn::Error::new(item.ident.span(), "an interface's name has at most 24 bytes"));
    }
    let docs = docs::text(&item.attrs);
    require_docs(&docs, &item.ident)?;
    let (events, methods): (Vec<&TraitItem>, Vec<&TraitItem>) =
        item.items.iter().partition(|item| is_event(item));
    let methods = methods.into_iter().map(|item| method(item, &rights)).collect::<syn::Result<Vec<_>>>()?;
    let events =
        events.into_iter().map(|item| event::event(item, &rights)).collect::<syn::Result<Vec<_>>>()?;
    if methods.len() > METHODS {
        return Err(syn::Error::new(item.ident.span(), "an interface has at most 252 methods"));
    }
    if let Some(extra) = events.get(EVENTS) {
        return Err(syn::Error::new(extra.name.span(), "an interface has at most 64 events"));
    }
    let taken = |name: &Ident| !events.is_empty() && TAKEN_WITH_EVENTS.iter().any(|taken| name == taken);
    if let Some(Method { name, .. }) = methods.iter().find(|method| taken(&method.name)) {
        let message = format!("an interface with events has a method `{name}` already: choose another name");
        return Err(syn::Error::new(name.span(), message));
    }
    if let (Some(place), false) = (asynchronous, events.is_empty()) {
        let message = "an interface with events is not asynchronous: its subscribers belong to a server of one call at a time";
        return Err(syn::Error::new(place, message));
    }
    let asynchronous = asynchronous.is_some();
    Ok(Interface {
        visibility: item.vis,
        name: item.ident,
        docs,
        version,
        rights,
        asynchronous,
        methods,
        events,
    })
}

fn is_event(item: &TraitItem) -> bool {
    let TraitItem::Fn(function) = item else { return false };
    function.attrs.iter().any(|attribute| attribute.path().is_ident("event"))
}

struct Header {
    version: u16,
    rights: Vec<Ident>,
    /// Where it says so.
    asynchronous: Option<Span>,
}

/// `version = 2, rights(READ, WRITE), asynchronous`.
fn header(attribute: TokenStream) -> syn::Result<Header> {
    let (mut version, mut rights, mut asynchronous) = (1, Vec::new(), None);
    let parser = syn::meta::parser(|meta| {
        if meta.path.is_ident("version") {
            version = meta.value()?.parse::<LitInt>()?.base10_parse()?;
        } else if meta.path.is_ident("rights") {
            let list;
            syn::parenthesized!(list in meta.input);
            rights = Punctuated::<Ident, Token![,]>::parse_terminated(&list)?.into_iter().collect();
        } else if meta.path.is_ident("asynchronous") {
            asynchronous = Some(meta.path.span());
        } else {
            return Err(meta.error("expected `version = <number>`, `rights(NAME, ..)` or `asynchronous`"));
        }
        Ok(())
    });
    syn::parse::Parser::parse2(parser, attribute)?;
    if let Some(extra) = rights.get(RIGHTS) {
        return Err(syn::Error::new(extra.span(), "a badge has room for 16 rights"));
    }
    Ok(Header { version, rights, asynchronous })
}

fn method(item: &TraitItem, rights: &[Ident]) -> syn::Result<Method> {
    let TraitItem::Fn(function) = item else {
        return Err(syn::Error::new(item.span(), "an interface declares methods only"));
    };
    let name = function.sig.ident.clone();
    let docs = docs::text(&function.attrs);
    require_docs(&docs, &name)?;
    if TAKEN.iter().any(|taken| name == taken) {
        let message = format!("every client has a method `{name}` already: choose another name");
        return Err(syn::Error::new(name.span(), message));
    }
    let Attributes { form, delivery, requires } = attributes(function)?;
    check_rights(&requires, rights)?;
    let arguments = arguments(function, form)?;
    let (result, error) = output(&function.sig.output);
    let result_is = what(&result);
    check_result(function, form, delivery, &result, result_is, error.is_some())?;
    if delivery == Delivery::OneWay {
        let mut arguments = arguments.iter();
        if let Some(lent) = arguments.find(|it| last_name(&it.ty).is_some_and(|name| name == "Lent")) {
            let message = "a one-way method borrows nothing: no answer says when to take it back";
            return Err(syn::Error::new(lent.ty.span(), message));
        }
    }
    Ok(Method { name, docs, form, delivery, requires, arguments, result, result_is, error })
}

/// That all of these are rights of the interface.
pub(super) fn check_rights(requires: &[Ident], rights: &[Ident]) -> syn::Result<()> {
    if let Some(unknown) = requires.iter().find(|right| !rights.contains(right)) {
        let known: Vec<String> = rights.iter().map(Ident::to_string).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let message =
            format!("`{unknown}` is no right of this interface; `#[interface(rights(..))]` declares {known}");
        return Err(syn::Error::new(unknown.span(), message));
    }
    Ok(())
}

fn check_result(
    function: &TraitItemFn,
    form: Form,
    delivery: Delivery,
    result: &Type,
    result_is: What,
    fails: bool,
) -> syn::Result<()> {
    let nothing = matches!(result, Type::Tuple(tuple) if tuple.elems.is_empty());
    if delivery == Delivery::OneWay && (fails || !nothing) {
        let message = "a one-way method has no result: nothing comes back";
        return Err(syn::Error::new(function.sig.output.span(), message));
    }
    if result_is == What::Capability {
        if last_name(result).is_some_and(|name| name == "Lent") {
            let message = "a result cannot be lent: what is lent is taken back when the answer comes";
            return Err(syn::Error::new(result.span(), message));
        }
        if form == Form::Bytes {
            let message = "a method that answers with a capability takes its arguments in registers";
            return Err(syn::Error::new(result.span(), message));
        }
    }
    Ok(())
}

struct Attributes {
    form: Form,
    delivery: Delivery,
    requires: Vec<Ident>,
}

fn attributes(function: &TraitItemFn) -> syn::Result<Attributes> {
    let mut found = Attributes { form: Form::Words, delivery: Delivery::Call, requires: Vec::new() };
    for attribute in function.attrs.iter().filter(|attribute| !attribute.path().is_ident("doc")) {
        let path = attribute.path();
        if path.is_ident("bytes") {
            found.form = Form::Bytes;
        } else if path.is_ident("idempotent") || path.is_ident("one_way") {
            if found.delivery != Delivery::Call {
                let message = "a one-way method is not repeated: nobody hears that the server died";
                return Err(syn::Error::new(attribute.span(), message));
            }
            found.delivery = if path.is_ident("one_way") { Delivery::OneWay } else { Delivery::Idempotent };
        } else if path.is_ident("requires") {
            let list = attribute.parse_args_with(Punctuated::<Ident, Token![|]>::parse_separated_nonempty)?;
            found.requires = list.into_iter().collect();
        } else {
            let message =
                "expected `#[bytes]`, `#[idempotent]`, `#[one_way]`, `#[event]` or `#[requires(..)]`";
            return Err(syn::Error::new(attribute.span(), message));
        }
    }
    Ok(found)
}

pub(super) fn arguments(function: &TraitItemFn, form: Form) -> syn::Result<Vec<Argument>> {
    let mut inputs = function.sig.inputs.iter();
    let Some(FnArg::Receiver(_)) = inputs.next() else {
        return Err(syn::Error::new(function.sig.ident.span(), "a method takes `&self` first"));
    };
    let arguments = inputs.map(argument).collect::<syn::Result<Vec<_>>>()?;
    let capabilities = arguments.iter().filter(|argument| argument.what == What::Capability);
    if let Some(extra) = capabilities.clone().nth(CAPABILITIES) {
        return Err(syn::Error::new(extra.ty.span(), "a message carries at most four capabilities"));
    }
    if form == Form::Words {
        let mut values = arguments.iter().filter(|argument| argument.what == What::Value);
        if let Some(borrowed) = values.clone().find(|argument| matches!(argument.ty, Type::Reference(_))) {
            let message = "a reference does not fit in a register; mark the method `#[bytes]`";
            return Err(syn::Error::new(borrowed.ty.span(), message));
        }
        if let Some(bounded) = values.clone().find_map(|argument| argument.most.as_ref()) {
            let message = "a word in a register has one size; `#[max(..)]` goes with `#[bytes]`";
            return Err(syn::Error::new(bounded.span(), message));
        }
        if let Some(sixth) = values.nth(WORDS) {
            let message = "more than five arguments do not fit in registers; mark the method `#[bytes]`";
            return Err(syn::Error::new(sixth.ty.span(), message));
        }
    }
    let unbounded =
        |argument: &&Argument| matches!(argument.ty, Type::Reference(_)) && argument.most.is_none();
    if let Some(unbounded) = arguments.iter().find(unbounded) {
        let message = "say how long it may be: `#[max(256)]` before the argument";
        return Err(syn::Error::new(unbounded.ty.span(), message));
    }
    Ok(arguments)
}

fn argument(input: &FnArg) -> syn::Result<Argument> {
    let FnArg::Typed(typed) = input else {
        return Err(syn::Error::new(input.span(), "expected an argument"));
    };
    let Pat::Ident(pattern) = &*typed.pat else {
        return Err(syn::Error::new(typed.pat.span(), "expected a plain name"));
    };
    let most = typed.attrs.iter().map(most).collect::<syn::Result<Vec<_>>>()?.pop();
    let ty = (*typed.ty).clone();
    Ok(Argument { name: pattern.ident.clone(), what: what(&ty), ty, most })
}

fn most(attribute: &Attribute) -> syn::Result<Expr> {
    if !attribute.path().is_ident("max") {
        return Err(syn::Error::new(attribute.span(), "expected `#[max(..)]` or nothing"));
    }
    attribute.parse_args()
}

/// A type by its name alone.
fn what(ty: &Type) -> What {
    match last_name(ty) {
        Some(name) if name == "Lent" || name == "Moved" => What::Capability,
        _ => What::Value,
    }
}

pub(super) fn last_name(ty: &Type) -> Option<&Ident> {
    let Type::Path(path) = ty else { return None };
    path.path.segments.last().map(|segment| &segment.ident)
}

/// `T` and `Result<T, E>` apart.
pub(super) fn output(output: &ReturnType) -> (Type, Option<Type>) {
    let ReturnType::Type(_, ty) = output else { return (unit(), None) };
    if let Type::Path(path) = &**ty
        && let Some(last) = path.path.segments.last()
        && last.ident == "Result"
        && let PathArguments::AngleBracketed(list) = &last.arguments
    {
        let mut types = list.args.iter().filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty.clone()),
            _ => None,
        });
        if let (Some(result), error @ Some(_)) = (types.next(), types.next()) {
            return (result, error);
        }
    }
    ((**ty).clone(), None)
}

fn unit() -> Type {
    Type::Tuple(syn::TypeTuple {
        paren_token: syn::token::Paren::default(),
        elems: syn::punctuated::Punctuated::new(),
    })
}

pub(super) fn require_docs(docs: &str, name: &Ident) -> syn::Result<()> {
    if docs.is_empty() {
        return Err(syn::Error::new(name.span(), "document it: clients read these comments"));
    }
    Ok(())
}
