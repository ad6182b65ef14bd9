//! What an invocation means for its caller and for who runs next.

use caps::Error;
use idl::Words;

use crate::memory::Ref;
use crate::object::thread::Thread;

/// Who may run next on this core. Parts of one operation combine theirs with [`NextThread::and`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum NextThread {
    /// The current thread goes on.
    Same,
    /// This thread takes over, with what is left of the time slice, unless a more urgent one is ready.
    Switch(Ref<Thread>),
    /// The most urgent ready thread.
    Pick,
}

impl NextThread {
    /// Both happened: anything but agreement asks the scheduler.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (same, Self::Same) | (Self::Same, same) => same,
            _ => Self::Pick,
        }
    }
}

/// Up to five words for the caller's registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The words.
    pub words: [u64; 5],
}

impl Answer {
    /// Success, and nothing to say.
    pub const NOTHING: Self = Self { words: [0; 5] };

    /// Success, with what the method declares.
    #[must_use]
    #[inline]
    pub fn of(value: impl Words) -> Self {
        Self { words: value.to_words() }
    }
}

/// How an invocation that was accepted ends.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub enum Outcome {
    /// The caller gets these words.
    Answered(Answer, NextThread),
    /// The caller's registers are, or will be, filled by somebody else.
    Deferred(NextThread),
    /// It ended well or not, in a way that no check before it can foresee: whether there is room in what two kernels share
    /// is known only by trying, in one atomic step; and that something has gone is told only when no core can reach it.
    Ended(Result<(), Error>),
    /// An operation of the supervisor that reaches outside this kernel; the shell carries it out.
    Visit(crate::machine::Visit),
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        Self::Answered(answer, NextThread::Same)
    }
}
