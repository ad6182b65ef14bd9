//! The kernel's protocols between cores, tried in every interleaving of small cases.
//!
//! The modules [`sync`] and [`types`] below *are* the kernel's, file by file; only [`atomic`], which the kernel takes from
//! `core`, is made of `loom` here, and [`limits`] are small. This is a crate of its own and not a feature of the kernel,
//! since features unify: no build of the kernel can come to contain it.
//!
//! [`machine`] stands for the hardware around the protocols: memory, translations, interrupts. [`explore`] goes through
//! all interleavings of a model, counts them, and plants mutants: a weaker ordering, a fence left out, an atomic step torn
//! in two, at a place named by its text. Each file in `tests` holds the models of one protocol, with what they find when
//! something is wrong.

pub mod atomic;
/// The rings of channels between subOSes, which are programs' and not the kernel's.
#[path = "../../../userlib/src/channel/ring.rs"]
pub mod channel;
pub mod explore;
pub mod limits;
pub mod machine;
/// The books over buffers that change hands over such a channel.
#[path = "../../../userlib/src/channel/pool.rs"]
pub mod pool;
#[path = "../../src/sync/mod.rs"]
pub mod sync;
#[path = "../../src/types.rs"]
pub mod types;
