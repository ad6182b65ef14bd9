//! What a declaration of an interface says, checked.

use proc_macro2::{Ident, TokenStream};
use syn::spanned::Spanned;
use syn::{
    FnArg, GenericArgument, ItemTrait, Pat, PathArguments, ReturnType, TraitItem, TraitItemFn, Type,
    Visibility,
};

use crate::docs;

/// Argument words that fit in registers.
const WORDS: usize = 5;

pub(crate) struct Interface {
    pub(crate) visibility: Visibility,
    pub(crate) name: Ident,
    pub(crate) docs: String,
    pub(crate) methods: Vec<Method>,
}

pub(crate) struct Method {
    pub(crate) name: Ident,
    pub(crate) docs: String,
    pub(crate) form: Form,
    pub(crate) arguments: Vec<Argument>,
    /// The type of success; `()` when none is given.
    pub(crate) result: Type,
    /// The interface's own error, when the method returns a `Result`.
    pub(crate) error: Option<Type>,
}

pub(crate) struct Argument {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
}

/// How a method's values travel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Each argument in a register.
    Words,
    /// All arguments, and the result, as `postcard` bytes.
    Bytes,
}

pub(crate) fn interface(attribute: &TokenStream, item: TokenStream) -> syn::Result<Interface> {
    if !attribute.is_empty() {
        return Err(syn::Error::new(attribute.span(), "`#[interface]` takes no arguments"));
    }
    let item: ItemTrait = syn::parse2(item)?;
    if !item.generics.params.is_empty() {
        return Err(syn::Error::new(item.generics.span(), "an interface has no type parameters"));
    }
    let docs = docs::text(&item.attrs);
    require_docs(&docs, &item.ident)?;
    let methods = item.items.iter().map(method).collect::<syn::Result<Vec<_>>>()?;
    if methods.len() > 255 {
        return Err(syn::Error::new(item.ident.span(), "an interface has at most 255 methods"));
    }
    Ok(Interface { visibility: item.vis, name: item.ident, docs, methods })
}

fn method(item: &TraitItem) -> syn::Result<Method> {
    let TraitItem::Fn(function) = item else {
        return Err(syn::Error::new(item.span(), "an interface declares methods only"));
    };
    let docs = docs::text(&function.attrs);
    require_docs(&docs, &function.sig.ident)?;
    let form = form(function)?;
    let arguments = arguments(function, form)?;
    let (result, error) = output(&function.sig.output);
    Ok(Method { name: function.sig.ident.clone(), docs, form, arguments, result, error })
}

fn form(function: &TraitItemFn) -> syn::Result<Form> {
    let mut form = Form::Words;
    for attribute in function.attrs.iter().filter(|attribute| !attribute.path().is_ident("doc")) {
        if !attribute.path().is_ident("bytes") {
            return Err(syn::Error::new(attribute.span(), "expected `#[bytes]` or nothing"));
        }
        form = Form::Bytes;
    }
    Ok(form)
}

fn arguments(function: &TraitItemFn, form: Form) -> syn::Result<Vec<Argument>> {
    let mut inputs = function.sig.inputs.iter();
    let Some(FnArg::Receiver(_)) = inputs.next() else {
        return Err(syn::Error::new(function.sig.ident.span(), "a method takes `&self` first"));
    };
    let arguments = inputs.map(argument).collect::<syn::Result<Vec<_>>>()?;
    if form == Form::Words {
        if arguments.len() > WORDS {
            let message = "more than five arguments do not fit in registers; mark the method `#[bytes]`";
            return Err(syn::Error::new(function.sig.inputs.span(), message));
        }
        if let Some(borrowed) = arguments.iter().find(|argument| matches!(argument.ty, Type::Reference(_))) {
            let message = "a reference does not fit in a register; mark the method `#[bytes]`";
            return Err(syn::Error::new(borrowed.ty.span(), message));
        }
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
    Ok(Argument { name: pattern.ident.clone(), ty: (*typed.ty).clone() })
}

/// `T` and `Result<T, E>` apart.
fn output(output: &ReturnType) -> (Type, Option<Type>) {
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

fn require_docs(docs: &str, name: &Ident) -> syn::Result<()> {
    if docs.is_empty() {
        return Err(syn::Error::new(name.span(), "document it: clients read these comments"));
    }
    Ok(())
}
