//! Errors travel in one register.

/// Why not.
#[derive(idl::Word)]
pub enum WhyNot {
    /// So many are missing.
    Missing(u32), //~ a variant with fields does not fit in a register
}

fn main() {}
