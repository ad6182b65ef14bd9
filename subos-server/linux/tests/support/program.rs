//! Small C programs, compiled by this machine's gcc and run both ways.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Finished;
use super::busybox::keep;
use super::host::{Host, run, system};
use linux::Linux;

/// How a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linked {
    Static,
    Dynamic,
}

/// A program that was compiled.
pub(crate) struct Program {
    path: PathBuf,
    linked: Linked,
}

/// Compiles `tests/programs/NAME.c`. The test fails when it cannot be compiled.
pub(crate) fn compile(name: &str, linked: Linked) -> Program {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(format!("{name}.c"));
    let suffix = if linked == Linked::Static { "static" } else { "dynamic" };
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{suffix}-{}", std::process::id()));
    let mut command = Command::new("gcc");
    command.args(["-O1", "-Wall", "-Werror", "-pthread"]);
    if linked == Linked::Static {
        command.arg("-static");
    }
    let output = command.arg("-o").arg(&path).arg(&source).output().expect("gcc can be run");
    assert!(output.status.success(), "{name} compiles: {}", String::from_utf8_lossy(&output.stderr));
    Program { path, linked }
}

impl Drop for Program {
    fn drop(&mut self) {
        // What is left behind in the target folder does no harm.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Program {
    fn system(&self) -> Linux<Host> {
        let mut linux = system(16 * 256, 8 * 256);
        let bytes = std::fs::read(&self.path).expect("it was compiled");
        linux.add_file(b"data/program", keep(bytes), 0o755).expect("the tree is empty");
        if self.linked == Linked::Dynamic {
            for (there, here) in self.libraries() {
                let bytes = std::fs::read(&here).expect("the program's libraries can be read");
                linux.add_file(there.as_bytes(), keep(bytes), 0o755).expect("room");
            }
        }
        linux.spawn(b"/data/program", &[b"program"], &[b"LC_ALL=C"], b"/data").expect("it can be executed");
        linux
    }

    /// The loader and the libraries, by the names that the program asks for.
    fn libraries(&self) -> Vec<(String, PathBuf)> {
        let output = Command::new("ldd").arg(&self.path).output().expect("ldd can be run");
        let text = String::from_utf8(output.stdout).expect("plain paths");
        let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
        paths.map(|path| (path.to_owned(), PathBuf::from(path))).collect()
    }

    /// Runs it natively and in the personality and demands the same bytes and the same end.
    pub(crate) fn compare(&self, executors: u8) -> Finished {
        let folder = self.path.with_extension("folder");
        std::fs::create_dir_all(&folder).expect("a folder in the target folder");
        let output = Command::new(&self.path)
            .current_dir(&folder)
            .arg0("program")
            .env_clear()
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .expect("it runs natively");
        std::fs::remove_dir_all(&folder).expect("it was made above");
        let finished = run(self.system(), executors, |_| ());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(text(&finished.error), text(&output.stderr), "standard error");
        assert_eq!(text(&finished.output), text(&output.stdout), "standard output");
        assert_eq!(Some(i32::from(finished.status.shell_code())), output.status.code(), "exit status");
        let missing = finished.linux.report().missing_calls();
        assert!(missing.is_empty(), "calls that are missing: {missing:?}");
        finished
    }
}
