//! What a declaration of a kernel object says, checked.

use proc_macro2::{Ident, Span, TokenStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{FnArg, ItemTrait, LitInt, Pat, ReturnType, Token, TraitItem, TraitItemFn, Type, Visibility};

use crate::docs;

/// Argument words, and result words, that fit in registers.
const WORDS: usize = 5;

pub(crate) struct Object {
    pub(crate) visibility: Visibility,
    pub(crate) name: Ident,
    pub(crate) kind: Ident,
    pub(crate) docs: String,
    pub(crate) methods: Vec<Method>,
}

pub(crate) struct Method {
    pub(crate) name: Ident,
    pub(crate) docs: String,
    pub(crate) id: u8,
    pub(crate) rights: Vec<Ident>,
    pub(crate) errors: Vec<Ident>,
    pub(crate) form: Form,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) result: Option<Type>,
}

pub(crate) struct Argument {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
}

/// How the registers of a method are used; `idl::method::Form` has the same names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    Blocking,
    Message,
}

pub(crate) fn object(attribute: TokenStream, item: TokenStream) -> syn::Result<Object> {
    let item: ItemTrait = syn::parse2(item)?;
    let mut kind = None;
    let parser = syn::meta::parser(|meta| {
        if meta.path.is_ident("kind") {
            kind = Some(meta.value()?.parse::<Ident>()?);
            return Ok(());
        }
        Err(meta.error("expected `kind = <a kind of caps::Kind>`"))
    });
    syn::parse::Parser::parse2(parser, attribute)?;
    let kind =
        kind.ok_or_else(|| syn::Error::new(Span::call_site(), "expected `kind = <a kind of caps::Kind>`"))?;
    let docs = docs::text(&item.attrs);
    require_docs(&docs, item.ident.span())?;
    let methods = item.items.iter().map(method).collect::<syn::Result<Vec<_>>>()?;
    distinct_ids(&methods)?;
    Ok(Object { visibility: item.vis, name: item.ident, kind, docs, methods })
}

fn method(item: &TraitItem) -> syn::Result<Method> {
    let TraitItem::Fn(function) = item else {
        return Err(syn::Error::new(item.span(), "a kernel object declares methods only"));
    };
    let name = function.sig.ident.clone();
    let docs = docs::text(&function.attrs);
    require_docs(&docs, name.span())?;
    let mut method = attribute(function)?;
    method.docs = docs;
    method.arguments = arguments(function)?;
    method.result = match &function.sig.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some((**ty).clone()),
    };
    if method.form == Form::Message && (!method.arguments.is_empty() || method.result.is_some()) {
        return Err(syn::Error::new(name.span(), "a `message` method has neither arguments nor a result"));
    }
    Ok(method)
}

fn attribute(function: &TraitItemFn) -> syn::Result<Method> {
    let name = function.sig.ident.clone();
    let attribute = function.attrs.iter().find(|attribute| attribute.path().is_ident("method"));
    let attribute = attribute
        .ok_or_else(|| syn::Error::new(name.span(), "expected `#[method(id = .., rights = ..)]` above it"))?;
    let (mut id, mut rights) = (None, None);
    let (mut errors, mut form) = (Vec::new(), Form::Plain);
    attribute.parse_nested_meta(|meta| {
        if meta.path.is_ident("id") {
            id = Some(number(&meta.value()?.parse()?)?);
        } else if meta.path.is_ident("rights") {
            rights = Some(names(meta.value()?)?);
        } else if meta.path.is_ident("errors") {
            let list;
            syn::parenthesized!(list in meta.input);
            errors = Punctuated::<Ident, Token![,]>::parse_terminated(&list)?.into_iter().collect();
        } else if meta.path.is_ident("blocking") {
            form = Form::Blocking;
        } else if meta.path.is_ident("message") {
            form = Form::Message;
        } else {
            return Err(meta.error("expected `id`, `rights`, `errors(..)`, `blocking` or `message`"));
        }
        Ok(())
    })?;
    let id = id.ok_or_else(|| syn::Error::new(attribute.span(), "expected `id = <1 to 255>`"))?;
    let rights =
        rights.ok_or_else(|| syn::Error::new(attribute.span(), "expected `rights = READ | ..` or `NONE`"))?;
    Ok(Method { name, docs: String::new(), id, rights, errors, form, arguments: Vec::new(), result: None })
}

fn number(literal: &LitInt) -> syn::Result<u8> {
    match literal.base10_parse() {
        Ok(0) | Err(_) => Err(syn::Error::new(literal.span(), "a method's id is 1 to 255")),
        Ok(number) => Ok(number),
    }
}

/// `READ | WRITE`, or `NONE` for the empty set.
fn names(input: syn::parse::ParseStream) -> syn::Result<Vec<Ident>> {
    let list = Punctuated::<Ident, Token![|]>::parse_separated_nonempty(input)?;
    Ok(list.into_iter().filter(|name| name != "NONE").collect())
}

fn arguments(function: &TraitItemFn) -> syn::Result<Vec<Argument>> {
    let inputs = &function.sig.inputs;
    if inputs.len() > WORDS {
        return Err(syn::Error::new(inputs.span(), "at most five argument words fit in registers"));
    }
    inputs.iter().map(argument).collect()
}

fn argument(input: &FnArg) -> syn::Result<Argument> {
    let FnArg::Typed(typed) = input else {
        return Err(syn::Error::new(input.span(), "the target is implied; leave `self` away"));
    };
    let Pat::Ident(pattern) = &*typed.pat else {
        return Err(syn::Error::new(typed.pat.span(), "expected a plain name"));
    };
    Ok(Argument { name: pattern.ident.clone(), ty: (*typed.ty).clone() })
}

fn distinct_ids(methods: &[Method]) -> syn::Result<()> {
    for (index, method) in methods.iter().enumerate() {
        if let Some(earlier) = methods.iter().take(index).find(|earlier| earlier.id == method.id) {
            let message = format!("id {} is taken by `{}`", method.id, earlier.name);
            return Err(syn::Error::new(method.name.span(), message));
        }
    }
    Ok(())
}

fn require_docs(docs: &str, span: Span) -> syn::Result<()> {
    if docs.is_empty() {
        return Err(syn::Error::new(span, "document it: the reference pages are made from these comments"));
    }
    Ok(())
}
