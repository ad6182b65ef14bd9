//! What is wrong with a manifest, and where.

use std::ops::Range;

use toml::Spanned;

use crate::failure::Failure;

pub(super) type Result<T> = std::result::Result<T, Complaint>;

/// A reason, and the part of the text that it is about, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    reason: String,
    span: Option<Range<usize>>,
}

impl Complaint {
    /// About one part.
    pub(super) fn about<T>(part: &Spanned<T>, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), span: Some(part.span()) }
    }

    /// About what stands at this place, if it stands anywhere.
    pub(super) fn at(place: Option<Range<usize>>, reason: String) -> Self {
        Self { reason, span: place }
    }

    /// About the file as a whole.
    pub(super) fn whole(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), span: None }
    }

    /// As a person reads it: `FILE:LINE: reason`, and the line with the part underlined.
    pub(super) fn into_failure(self, file: &str, text: &str) -> Failure {
        let Some(span) = self.span else { return Failure::new(format!("{file}: {}", self.reason)) };
        let start = span.start.min(text.len());
        let before = text.get(..start).unwrap_or("");
        let number = before.matches('\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text.get(line_start..).unwrap_or("").lines().next().unwrap_or("");
        let column = before.get(line_start..).unwrap_or("").chars().count();
        let marked = text.get(start..span.end.min(text.len())).unwrap_or("");
        let marked = marked.lines().next().unwrap_or("").chars().count().max(1);
        let margin = " ".repeat(number.to_string().len());
        let marks = "^".repeat(marked.min(line.chars().count().saturating_sub(column).max(1)));
        Failure::new(format!("{file}:{number}: {}", self.reason))
            .detail(format!("{number} | {line}\n{margin} | {}{marks}", " ".repeat(column)))
    }
}

impl From<toml::de::Error> for Complaint {
    fn from(error: toml::de::Error) -> Self {
        Self { reason: error.message().replace('\n', ", "), span: error.span() }
    }
}
