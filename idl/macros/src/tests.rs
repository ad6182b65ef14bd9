//! What the macros say of declarations that are wrong, and that they take those that are right.

use proc_macro2::TokenStream;
use quote::quote;

use crate::{interface, kernel_object};

fn refused_object(attribute: TokenStream, item: TokenStream) -> String {
    kernel_object::expand(attribute, item).expect_err("this declaration is wrong").to_string()
}

fn refused_interface(item: TokenStream) -> String {
    interface::expand(TokenStream::new(), item).expect_err("this declaration is wrong").to_string()
}

#[test]
fn a_sound_object_is_taken() {
    let item = quote! {
        /// Docs.
        pub trait Untyped {
            /// Docs.
            #[method(id = 1, rights = READ | WRITE, errors(Busy), blocking)]
            fn take(first: u64) -> u64;
            /// Docs.
            #[method(id = 2, rights = NONE, message)]
            fn pass();
        }
    };
    let code = kernel_object::expand(quote!(kind = Untyped), item).expect("this is sound").to_string();
    for part in ["enum Call", "const METHODS", "fn from_words", "fn take"] {
        assert!(code.contains(part), "no {part}");
    }
}

#[test]
fn objects_are_told_what_is_missing() {
    let method = |attribute: TokenStream, signature: TokenStream| {
        refused_object(
            quote!(kind = Untyped),
            quote! {
                /// Docs.
                trait Untyped {
                    /// Docs.
                    #attribute
                    #signature
                }
            },
        )
    };
    assert_eq!(
        refused_object(
            quote!(),
            quote!(
                trait Untyped {}
            )
        ),
        "expected `kind = <a kind of caps::Kind>`"
    );
    assert_eq!(
        refused_object(
            quote!(kind = Untyped),
            quote!(
                trait Untyped {}
            )
        ),
        "document it: the reference pages are made from these comments"
    );
    assert_eq!(
        method(
            quote!(),
            quote!(
                fn f();
            )
        ),
        "expected `#[method(id = .., rights = ..)]` above it"
    );
    assert_eq!(
        method(
            quote!(#[method(rights = READ)]),
            quote!(
                fn f();
            )
        ),
        "expected `id = <1 to 255>`"
    );
    assert_eq!(
        method(
            quote!(#[method(id = 256, rights = READ)]),
            quote!(
                fn f();
            )
        ),
        "a method's id is 1 to 255"
    );
    assert_eq!(
        method(
            quote!(#[method(id = 1)]),
            quote!(
                fn f();
            )
        ),
        "expected `rights = READ | ..` or `NONE`"
    );
    assert_eq!(
        method(
            quote!(#[method(id = 1, rights = NONE, colour)]),
            quote!(
                fn f();
            )
        ),
        "expected `id`, `rights`, `errors(..)`, `blocking` or `message`"
    );
    let sound = quote!(#[method(id = 1, rights = NONE)]);
    assert_eq!(
        method(
            sound.clone(),
            quote!(
                fn f(&self);
            )
        ),
        "the target is implied; leave `self` away"
    );
    assert_eq!(
        method(
            sound,
            quote!(
                fn f(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64);
            )
        ),
        "at most five argument words fit in registers"
    );
    assert_eq!(
        method(
            quote!(#[method(id = 1, rights = NONE, message)]),
            quote!(
                fn f(a: u64);
            )
        ),
        "a `message` method has neither arguments nor a result"
    );
}

#[test]
fn ids_are_not_used_twice() {
    let item = quote! {
        /// Docs.
        trait Untyped {
            /// Docs.
            #[method(id = 3, rights = NONE)]
            fn first();
            /// Docs.
            #[method(id = 3, rights = NONE)]
            fn second();
        }
    };
    assert_eq!(refused_object(quote!(kind = Untyped), item), "id 3 is taken by `first`");
}

#[test]
fn interfaces_are_told_what_is_wrong() {
    let method = |item: TokenStream| {
        refused_interface(quote! {
            /// Docs.
            trait Echo {
                #item
            }
        })
    };
    assert_eq!(
        refused_interface(quote!(
            trait Echo {}
        )),
        "document it: clients read these comments"
    );
    assert_eq!(
        refused_interface(quote! {
            /// Docs.
            trait Echo<T> {}
        }),
        "an interface has no type parameters"
    );
    assert_eq!(
        method(quote! {
            fn echo(&self);
        }),
        "document it: clients read these comments"
    );
    assert_eq!(
        method(quote! {
            /// Docs.
            fn echo(value: u64);
        }),
        "a method takes `&self` first"
    );
    assert_eq!(
        method(quote! {
            /// Docs.
            fn echo(&self, text: &str);
        }),
        "a reference does not fit in a register; mark the method `#[bytes]`"
    );
    assert_eq!(
        method(quote! {
            /// Docs.
            fn echo(&self, a: u64, b: u64, c: u64, d: u64, e: u64, f: u64);
        }),
        "more than five arguments do not fit in registers; mark the method `#[bytes]`"
    );
    assert_eq!(
        method(quote! {
            /// Docs.
            #[fast]
            fn echo(&self);
        }),
        "expected `#[bytes]`, `#[idempotent]`, `#[one_way]`, `#[event]` or `#[requires(..)]`"
    );
}
