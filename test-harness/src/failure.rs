//! What went wrong, told to a person: what, the details, and what to do next.

use std::fmt;

/// The result of anything here that can fail.
pub type Result<T> = std::result::Result<T, Failure>;

/// A failure that a person is told about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    what: String,
    detail: String,
    next: String,
    status: u8,
}

impl Failure {
    /// A failure, in one sentence without a full stop.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), detail: String::new(), next: String::new(), status: 1 }
    }

    /// Adds lines that show more of it: the end of a transcript, the output of a tool.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }

    /// Says with which status the command that fails with this ends; 1 if nothing is said.
    #[must_use]
    pub const fn status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// With which status the command ends.
    #[must_use]
    pub const fn exit_status(&self) -> u8 {
        self.status
    }

    /// The sentence alone.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.detail.is_empty() {
            for line in self.detail.trim_end().lines() {
                write!(f, "\n    {line}")?;
            }
        }
        if !self.next.is_empty() {
            write!(f, "\n  next: {}", self.next.replace('\n', "\n        "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// Turns any error into a [`Failure`] that says what was being done.
pub trait Doing<T> {
    /// `what` is what could not be done, as in `cannot read FILE`.
    ///
    /// # Errors
    /// The error, with `what` before it.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Failure::new(format!("{}: {error}", what())))
    }
}
