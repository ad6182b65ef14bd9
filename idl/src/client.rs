//! How stubs reach the kernel.

use core::marker::PhantomData;

use caps::{Error, Handle, Kind};

use crate::abi::{OpWord, REGISTER_WORDS, ResultWord};
use crate::types::{Badge, Deadline};
use crate::word::Words;

/// Something that takes invocations: the kernel, by a system call; in tests, something else.
pub trait Invoke {
    /// Passes the registers and gives those that come back: result, badge, words.
    fn invoke(
        &self,
        op: OpWord,
        handle: Handle,
        words: [u64; REGISTER_WORDS],
        deadline: Deadline,
        second: Handle,
    ) -> (ResultWord, Badge, [u64; REGISTER_WORDS]);
}

impl<I: Invoke> Invoke for &I {
    #[inline]
    fn invoke(
        &self,
        op: OpWord,
        handle: Handle,
        words: [u64; REGISTER_WORDS],
        deadline: Deadline,
        second: Handle,
    ) -> (ResultWord, Badge, [u64; REGISTER_WORDS]) {
        (**self).invoke(op, handle, words, deadline, second)
    }
}

/// A type that stands for a kind of object.
pub trait Object {
    /// The kind.
    const KIND: Kind;
}

/// A capability to an object of kind `K`, reached through `I`. It names a slot and owns nothing: copying it
/// copies the name, dropping it deletes nothing, and the kernel checks kind and freshness at every use.
pub struct Cap<K, I> {
    handle: Handle,
    via: I,
    kind: PhantomData<K>,
}

impl<K: Object, I: Invoke> Cap<K, I> {
    /// The capability that this handle names, reached in this way.
    #[inline]
    pub const fn with(handle: Handle, via: I) -> Self {
        Self { handle, via, kind: PhantomData }
    }

    /// Its handle.
    #[inline]
    pub const fn handle(&self) -> Handle {
        self.handle
    }

    /// How it is reached.
    #[inline]
    pub const fn via(&self) -> &I {
        &self.via
    }

    /// The op word of one of its methods.
    #[inline]
    #[must_use]
    pub const fn op(method: u8) -> OpWord {
        OpWord::new(K::KIND, method)
    }
}

impl<K, I: Clone> Clone for Cap<K, I> {
    fn clone(&self) -> Self {
        Self { handle: self.handle, via: self.via.clone(), kind: PhantomData }
    }
}

impl<K, I: Copy> Copy for Cap<K, I> {}

impl<K: Object, I> core::fmt::Debug for Cap<K, I> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (index, generation) = (self.handle.index().0, self.handle.generation().0);
        write!(f, "{:?}@{index}.{generation}", K::KIND)
    }
}

/// What generated stubs call: one invocation without a message.
///
/// # Errors
/// The kernel's error, or `InvalidArgument` when its answer is no value of the result's type.
#[inline]
pub fn plain<K: Object, I: Invoke, R: Words>(
    target: &Cap<K, I>,
    method: u8,
    words: [u64; REGISTER_WORDS],
    deadline: Deadline,
) -> Result<R, Error> {
    let op = Cap::<K, I>::op(method);
    let (result, _, words) = target.via.invoke(op, target.handle, words, deadline, Handle::NONE);
    result.status()?;
    R::from_words(&words)
}
