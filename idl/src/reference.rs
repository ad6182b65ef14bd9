//! The reference page of the system calls, made from the declarations.

use core::fmt::{Result, Write};

use caps::{Error, Kind, Rights};

use crate::kernel::OBJECTS;
use crate::method::{COMMON_ERRORS, Field, Form, MethodInfo};

const PREAMBLE: &str = "\
# System calls

Generated from the declarations in `idl/src/kernel`; a test compares. To write it anew:
`UPDATE_REFERENCE=1 cargo test -p idl reference`.

SYSCALL takes rax = op word, rdi = handle, rsi rdx r10 r8 r9 = words 0 to 4, r12 = deadline (absolute, in
ticks of the TSC; 0 is none, a past value polls), r13 = second handle. It gives rax = result word, rdi =
badge, the same five words. It clobbers rcx and r11; vector and x87 registers are as in a new thread. rax = 0
does nothing and answers 0.

| bits | op word | result word |
| --- | --- | --- |
| 0 to 7 | method | status: 0, or the error's number |
| 8 to 15 | kind | status, high half |
| 16 to 23 | message words | message words |
| 24 to 26 | capabilities | capabilities |
| 27 | 0 | a signal came, not a message: the badge register holds the bits |
| 32 to 63 | label | label |

A handle is a slot of the caller's table (bits 0 to 31) and the slot's generation (bits 32 to 63); 0 names
nothing. Words that a method does not use must be zero. A method that is refused has changed nothing.
";

/// Writes the page.
///
/// # Errors
/// The writer's.
pub fn markdown(out: &mut dyn Write) -> Result {
    out.write_str(PREAMBLE)?;
    out.write_str("\nEvery method can answer with")?;
    for (index, error) in COMMON_ERRORS.iter().enumerate() {
        write!(out, "{} {error}", if index == 0 { "" } else { "," })?;
    }
    out.write_str(".\n")?;
    for &(kind, about, methods) in OBJECTS {
        write!(out, "\n## {kind:?} ({})\n\n{about}\n", kind.number())?;
        for method in methods {
            method_section(out, kind, method)?;
        }
    }
    errors(out)
}

fn method_section(out: &mut dyn Write, kind: Kind, method: &MethodInfo) -> Result {
    write!(out, "\n### {kind:?}.{} ({})\n\n`{}(", method.name, method.id, method.name)?;
    match method.form {
        Form::Message => out.write_str("message")?,
        _ => fields(out, method.arguments)?,
    }
    out.write_str(")")?;
    if method.form != Form::Plain {
        out.write_str(" until deadline")?;
    }
    if !method.results.is_empty() {
        out.write_str(" -> ")?;
        fields(out, method.results)?;
    }
    write!(out, "`\n\n{}\n\nRights: {}.", method.docs, Names(method.rights))?;
    for (index, error) in method.errors.iter().enumerate() {
        write!(out, "{} {error}", if index == 0 { " Errors:" } else { "," })?;
    }
    out.write_str(if method.errors.is_empty() { "\n" } else { ".\n" })
}

fn fields(out: &mut dyn Write, fields: &[Field]) -> Result {
    for (index, field) in fields.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let colon = if field.name.is_empty() { "" } else { ": " };
        write!(out, "{comma}{}{colon}{}", field.name, field.ty)?;
    }
    Ok(())
}

fn errors(out: &mut dyn Write) -> Result {
    out.write_str("\n## Errors\n\n| number | name | meaning |\n| --- | --- | --- |\n")?;
    for error in Error::ALL {
        writeln!(out, "| {} | {error} | {} |", error.number(), error.meaning().trim())?;
    }
    Ok(())
}

/// Rights as the page writes them.
struct Names(Rights);

impl core::fmt::Display for Names {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        bitflags::parser::to_writer(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::markdown;

    #[test]
    fn the_reference_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/syscalls.md");
        let mut page = String::new();
        markdown(&mut page).unwrap();
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == page,
            "docs/syscalls.md is not what the declarations say; UPDATE_REFERENCE=1 cargo test -p idl reference"
        );
    }
}
