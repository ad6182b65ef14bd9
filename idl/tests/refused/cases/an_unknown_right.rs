//! A right is declared once.

/// Keeps.
#[idl::interface(rights(READ, WRITE))]
pub trait Keeper {
    /// Everything goes.
    #[requires(ADMIN)] //~ `ADMIN` is no right of this interface; `#[interface(rights(..))]` declares READ, WRITE
    fn clear(&self);
}

fn main() {}
