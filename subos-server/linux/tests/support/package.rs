//! Debian packages that tests need, unpacked in the target folder. No root, nothing installed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The folder of an unpacked package, which has `file`. Fetched once; the test fails when it cannot be had.
pub(crate) fn unpacked(package: &str, file: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let turn = ONE_AT_A_TIME.lock();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(package);
    if !folder.join(file).exists() {
        fetch(package, &folder);
    }
    drop(turn);
    assert!(folder.join(file).exists(), "the package {package} has no {file}");
    folder
}

fn fetch(package: &str, folder: &Path) {
    // Each process fetches into a folder of its own; whoever is first wins.
    let scratch = folder.with_extension(format!("fetch-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).expect("a folder in the target folder");
    let command = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(&scratch).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
        let problem = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(format!("{program}: {problem}")) }
    };
    if command("apt-get", &["download", package]).is_err() {
        // On a new machine there is no list of packages yet.
        println!("apt-get update (the list of packages may be old or absent)");
        let updated = command("apt-get", &["-o", "DPkg::Lock::Timeout=300", "update"]);
        if let Err(problem) = command("apt-get", &["download", package]) {
            let update = updated.err().unwrap_or_default();
            panic!("{problem}{update}see that the network works, then run: sudo apt-get update");
        }
    }
    let mut found =
        std::fs::read_dir(&scratch).expect("it was made above").flatten().map(|entry| entry.path());
    let archive = found.find(|path| path.extension().is_some_and(|end| end == "deb"));
    let archive = archive.expect("apt-get downloaded a package");
    let archive = archive.to_str().expect("a plain path");
    command("dpkg-deb", &["-x", archive, "x"]).expect("the package can be unpacked");
    if std::fs::rename(scratch.join("x"), folder).is_err() {
        assert!(folder.exists(), "the unpacked package could not be moved into place");
    }
    // A leftover costs nothing but space.
    let _ = std::fs::remove_dir_all(&scratch);
}
