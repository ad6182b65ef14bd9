//! Counts instructions and shows the figures.

use std::fs;
use std::path::Path;

use crate::bench::{Bench, json, table};
use crate::cli::Options;
use crate::failure::{Doing, Result};
use crate::image::Class;
use crate::place::{self, shown};
use crate::tools;

/// Runs the bench.
pub(super) fn bench(options: &Options, file: Option<&Path>) -> Result<()> {
    let qemu = tools::qemu(options.install())?;
    let rows = Bench::prepare(qemu.clone(), Class::Kernel)?.run("")?;
    println!("Guest instructions\n\n{}", table(&rows));
    let file = match file {
        Some(file) => file.to_owned(),
        None => place::scratch("bench")?.join("bench.json"),
    };
    fs::write(&file, json(&rows, &qemu)?).doing(|| format!("cannot write {}", file.display()))?;
    println!("The same as JSON: {}", shown(&file));
    Ok(())
}
