//! The bench's results, for people and for programs.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::Row;
use crate::failure::{Doing, Result};
use crate::place;
use crate::view::{aligned, grouped};

/// The table.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let head = ["operation", "median", "worst", "each core", "waits"].map(str::to_owned).to_vec();
    let body = rows.iter().map(|row| {
        let cores: Vec<String> =
            row.cores.iter().map(|(core, count)| format!("{core}: {}", grouped(*count))).collect();
        let waits = if row.pauses == 0 { String::new() } else { grouped(row.pauses) };
        vec![row.name.clone(), grouped(row.median), grouped(row.worst), cores.join(", "), waits]
    });
    aligned(&std::iter::once(head).chain(body).collect::<Vec<_>>())
}

/// The results as JSON, with what they depend on: commit, QEMU, flags.
///
/// # Errors
/// When QEMU does not say its version.
pub fn json(rows: &[Row], qemu: &Path) -> Result<String> {
    let version =
        first_line(Command::new(qemu).arg("--version")).doing(|| format!("cannot run {}", qemu.display()))?;
    let git = |arguments: &[&str]| {
        first_line(Command::new("git").arg("-C").arg(place::root()).args(arguments)).unwrap_or_default()
    };
    let value = json!({
        "commit": git(&["rev-parse", "HEAD"]),
        "changed": !git(&["status", "--porcelain", "--untracked-files=no"]).is_empty(),
        "unit": "guest instructions",
        "qemu": version,
        "machine": "-accel tcg -cpu max,-erms -icount shift=0,sleep=off",
        "profile": "guest: release, opt-level 2, lto fat, overflow checks",
        "operations": rows,
    });
    Ok(format!("{value:#}\n"))
}

fn first_line(command: &mut Command) -> std::io::Result<String> {
    let output = command.output()?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}
