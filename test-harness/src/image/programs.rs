//! Which programs can be built for the target: whatever the crates of these folders declare, so that a new one is
//! registered nowhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Deserialize;

use crate::failure::{Doing, Result};
use crate::place;
use crate::say::warn;

/// Crates with programs, from the root of the checkout.
const CRATES: [&str; 3] = ["supervisor-server", "supervisor-server/keeper", "test-harness/guest"];
/// The folder of which every crate has programs.
pub const SERVICES: &str = "subos-server";
/// The feature that a binary of the target requires.
const IMAGE: &str = "image";

/// A program that can be built for the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramSource {
    /// Its name, in manifests and bundles: that of the binary.
    pub name: String,
    /// The package that has it.
    pub package: String,
    /// The committed schema of the interface that it serves, if it serves one: of `store-server`, `store.schema` beside
    /// the crate's manifest.
    pub schema: Option<PathBuf>,
}

/// What is read of a crate's manifest.
#[derive(Deserialize)]
struct Crate {
    package: Package,
    #[serde(default)]
    bin: Vec<Binary>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Binary {
    name: String,
    #[serde(default)]
    required_features: Vec<String>,
}

/// Every program that can be built for the target. A crate that cannot be read is told, and has none.
pub fn programs() -> &'static [ProgramSource] {
    static PROGRAMS: OnceLock<Vec<ProgramSource>> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let folders = crates(place::root());
        let read = |folder: &PathBuf| {
            programs_of(folder).unwrap_or_else(|failure| {
                warn(failure);
                Vec::new()
            })
        };
        folders.iter().flat_map(read).collect()
    })
}

/// The program with this name.
#[must_use]
pub fn program_named(name: &str) -> Option<&'static ProgramSource> {
    programs().iter().find(|program| program.name == name)
}

/// The folders of all crates that have programs, in an order that does not change.
fn crates(root: &Path) -> Vec<PathBuf> {
    let entries = root.join(SERVICES).read_dir().into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    folders.retain(|folder| folder.join("Cargo.toml").is_file());
    folders.extend(CRATES.map(|folder| root.join(folder)));
    folders.sort();
    folders
}

/// The programs of one crate.
fn programs_of(folder: &Path) -> Result<Vec<ProgramSource>> {
    let path = folder.join("Cargo.toml");
    let text = fs::read_to_string(&path).doing(|| format!("cannot read {}", path.display()))?;
    let Crate { package, bin } =
        toml::from_str(&text).doing(|| format!("{} is no manifest of a crate", path.display()))?;
    let target = bin.into_iter().filter(|bin| bin.required_features.iter().any(|feature| feature == IMAGE));
    let source = |bin: Binary| {
        let schema = bin.name.strip_suffix("-server").map(|name| folder.join(format!("{name}.schema")));
        let schema = schema.filter(|path| path.is_file());
        ProgramSource { name: bin.name, package: package.name.clone(), schema }
    };
    Ok(target.map(source).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_with_their_schemas() {
        let store = program_named("store-server").expect("there is a store");
        assert_eq!(store.package, "subos-store");
        assert_eq!(store.schema, Some(place::root().join("subos-server/store/store.schema")));
        for (name, package) in
            [("supervisor", "supervisor-server"), ("init", "subos-init"), ("target-tests", "guest-tests")]
        {
            let program = program_named(name).expect("it is found");
            assert_eq!((program.package.as_str(), program.schema.as_ref()), (package, None));
        }
        assert_eq!(program_named("archipelago"), None, "that is for the host");
    }

    #[test]
    fn a_crate_that_cannot_be_read_is_named() {
        let told = programs_of(Path::new("/nowhere")).expect_err("it is not there");
        assert!(told.to_string().contains("/nowhere/Cargo.toml"), "{told}");
        assert_eq!(programs_of(&place::root().join("idl")), Ok(Vec::new()), "a crate without programs");
    }
}
