//! Pipes: a bounded ring of bytes between those who have its ends open.

use alloc::collections::VecDeque;

use crate::limits::{PIPE_BUF, PIPE_CAPACITY};

/// A pipe. It lives while any end of it is open.
#[derive(Default)]
pub(crate) struct Pipe {
    bytes: VecDeque<u8>,
    /// Open files that read.
    pub(crate) readers: u32,
    /// Open files that write.
    pub(crate) writers: u32,
    /// Openings of either kind so far, by which a named pipe's opener knows its peer came.
    pub(crate) readers_ever: u64,
    pub(crate) writers_ever: u64,
}

impl Pipe {
    /// Bytes to be read.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that still fit.
    pub(crate) fn room(&self) -> usize {
        PIPE_CAPACITY - self.bytes.len()
    }

    /// Whether a write of `length` bytes may begin: small ones go in whole or not at all (pipe(7)).
    pub(crate) fn accepts(&self, length: usize) -> bool {
        if length <= PIPE_BUF { self.room() >= length } else { self.room() > 0 }
    }

    /// Appends what fits; the answer is how much that was.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        self.bytes.extend(&bytes[..taken]);
        taken
    }

    /// The bytes that a read into `out` would give, without taking them.
    pub(crate) fn peek(&self, out: &mut [u8]) -> usize {
        let length = out.len().min(self.bytes.len());
        let (front, back) = self.bytes.as_slices();
        let first = length.min(front.len());
        out[..first].copy_from_slice(&front[..first]);
        out[first..length].copy_from_slice(&back[..length - first]);
        length
    }

    /// Takes bytes that were peeked at.
    pub(crate) fn consume(&mut self, length: usize) {
        self.bytes.drain(..length.min(self.bytes.len()));
        if self.bytes.is_empty() && self.bytes.capacity() > PIPE_BUF {
            // A pipe that ran empty gives its heap back: hundreds of idle pipes must cost little.
            self.bytes.shrink_to(PIPE_BUF);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        /// What comes out is what went in, in order, and the bound holds.
        #[test]
        fn keeps_bytes_in_order(steps in prop::collection::vec((any::<bool>(), 0usize..40_000), 1..50)) {
            let mut pipe = Pipe::default();
            let mut model: Vec<u8> = Vec::new();
            let mut next = 0u8;
            for (push, length) in steps {
                if push {
                    let bytes: Vec<u8> = (0..length).map(|_| { next = next.wrapping_mul(31).wrapping_add(7); next }).collect();
                    let accepts = pipe.accepts(length);
                    let taken = pipe.push(&bytes);
                    prop_assert_eq!(taken, length.min(PIPE_CAPACITY - model.len()));
                    prop_assert!(!accepts || length > PIPE_BUF || taken == length);
                    model.extend(&bytes[..taken]);
                } else {
                    let mut out = vec![0; length];
                    let got = pipe.peek(&mut out);
                    prop_assert_eq!(got, length.min(model.len()));
                    prop_assert_eq!(&out[..got], &model[..got]);
                    pipe.consume(got);
                    model.drain(..got);
                }
                prop_assert_eq!(pipe.len(), model.len());
                prop_assert_eq!(pipe.room() + pipe.len(), PIPE_CAPACITY);
            }
        }
    }
}
