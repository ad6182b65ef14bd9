//! Bundles, as the harness puts them together.

use std::path::{Path, PathBuf};

use idl::bundle::{EntryKind, NewEntry, size, write};

use crate::failure::{Doing, Result};
use crate::place;

/// An entry of a bundle that is being put together.
#[derive(Clone, Debug)]
pub struct Content {
    /// Its name.
    pub name: String,
    /// What the data is.
    pub kind: EntryKind,
    /// The data.
    pub data: Vec<u8>,
}

impl Content {
    /// An entry of this name, kind and data.
    #[must_use]
    pub fn new(name: &str, kind: EntryKind, data: Vec<u8>) -> Self {
        Self { name: name.to_owned(), kind, data }
    }

    /// An entry that is itself a bundle.
    ///
    /// # Errors
    /// When the entries do not make one.
    pub fn nested(name: &str, contents: &[Self]) -> Result<Self> {
        Ok(Self::new(name, EntryKind::Bundle, bundle(contents)?))
    }
}

fn bundle(contents: &[Content]) -> Result<Vec<u8>> {
    let entries: Vec<_> = contents
        .iter()
        .map(|content| NewEntry { name: &content.name, kind: content.kind, data: &content.data })
        .collect();
    let mut bytes = vec![0; size(&entries)];
    write(&entries, &mut bytes).doing(|| "cannot put the bundle together".to_owned())?;
    Ok(bytes)
}

/// A bundle in a file, which goes when this is dropped.
#[derive(Debug)]
pub struct BundleFile(PathBuf);

impl BundleFile {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for BundleFile {
    fn drop(&mut self) {
        // A file left behind in the target folder does no harm.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Puts a bundle together and writes it where QEMU finds it.
///
/// # Errors
/// When the entries do not make a bundle, or it cannot be written.
pub fn write_bundle(name: &str, contents: &[Content]) -> Result<BundleFile> {
    let path = place::scratch("bundles")?.join(format!("{name}-{}.bundle", std::process::id()));
    std::fs::write(&path, bundle(contents)?).doing(|| format!("cannot write {}", path.display()))?;
    Ok(BundleFile(path))
}
