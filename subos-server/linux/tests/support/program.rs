//! Small C programs, compiled by this machine's C compiler and run both ways.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Finished;
use super::busybox::keep;
use super::host::{Host, run, system};
use super::package;
use linux::Linux;

/// How a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linked {
    Static,
    Dynamic,
    /// Against musl, a C library that makes older calls than the machine's own.
    Musl,
}

/// A program that was compiled.
pub(crate) struct Program {
    path: PathBuf,
    linked: Linked,
}

/// Compiles `tests/programs/NAME.c`. The test fails when it cannot be compiled.
pub(crate) fn compile(name: &str, linked: Linked) -> Program {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(format!("{name}.c"));
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{linked:?}-{}", std::process::id()));
    let mut command = Command::new(package::compiler());
    command.args(["-O1", "-pthread"]);
    match linked {
        Linked::Static => _ = command.args(["-Wall", "-Werror", "-static"]),
        Linked::Dynamic => _ = command.args(["-Wall", "-Werror"]),
        Linked::Musl => musl(&mut command),
    }
    command.arg("-o").arg(&path);
    if linked == Linked::Musl {
        musl_link(&mut command, &source);
    } else {
        command.arg(&source);
    }
    let output = command.output().expect("the compiler can be run");
    assert!(output.status.success(), "{name} compiles: {}", String::from_utf8_lossy(&output.stderr));
    Program { path, linked }
}

/// Where the package keeps the library.
fn musl_library() -> PathBuf {
    folder_of(&package::musl("usr/lib/x86_64-linux-musl/libc.a"))
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().expect("it lies in the package's folder").to_path_buf()
}

/// Compiles against musl's headers, and the compiler's own after them.
fn musl(command: &mut Command) {
    let own = Command::new(package::compiler())
        .arg("-print-file-name=include")
        .output()
        .expect("the compiler can be run");
    let own = String::from_utf8(own.stdout).expect("a plain path");
    let headers = folder_of(&package::musl("usr/include/x86_64-linux-musl/stdio.h"));
    command.args(["-w", "-static", "-nostdinc", "-nostdlib", "-isystem"]).arg(headers);
    command.arg("-isystem").arg(own.trim());
}

/// Links what the C library's own driver would.
fn musl_link(command: &mut Command, source: &Path) {
    let library = musl_library();
    command.args(["crt1.o", "crti.o"].map(|name| library.join(name))).arg(source);
    command.arg(library.join("libc.a")).args(["-lgcc", "-lgcc_eh"]);
    command.args(["libc.a", "crtn.o"].map(|name| library.join(name)));
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
        let native = output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal));
        assert_eq!(Some(i32::from(finished.status.shell_code())), native, "exit status");
        let missing = finished.linux.report().missing_calls();
        assert!(missing.is_empty(), "calls that are missing: {missing:?}");
        finished
    }
}
