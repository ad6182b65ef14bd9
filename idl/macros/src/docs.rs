//! Reading documentation comments and making names.

use proc_macro2::Ident;
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The text of the `///` lines among these attributes.
pub(crate) fn text(attributes: &[Attribute]) -> String {
    let lines: Vec<String> = attributes.iter().filter_map(line).collect();
    lines.join("\n").trim().to_owned()
}

fn line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else { return None };
    if !pair.path.is_ident("doc") {
        return None;
    }
    match &pair.value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            let text = text.value();
            Some(text.strip_prefix(' ').unwrap_or(&text).trim_end().to_owned())
        }
        _ => None,
    }
}

/// `reply_receive` becomes `ReplyReceive`; the underscore that keeps a name clear of a keyword goes.
pub(crate) fn variant(name: &Ident) -> Ident {
    let mut camel = String::new();
    for part in name.to_string().split('_').filter(|part| !part.is_empty()) {
        let mut letters = part.chars();
        if let Some(first) = letters.next() {
            camel.extend(first.to_uppercase());
            camel.extend(letters);
        }
    }
    Ident::new(&camel, name.span())
}

/// A method's name as people read it.
pub(crate) fn plain(name: &Ident) -> String {
    name.to_string().trim_end_matches('_').to_owned()
}
