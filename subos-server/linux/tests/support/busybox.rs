//! Debian's own busybox: fetched once into the target folder, run natively and in the personality.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use linux::Linux;

use super::Finished;
use super::host::{Host, run, system};
use super::package;

/// The unmodified binary. The test fails when it cannot be had.
pub(crate) fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(package::busybox)
}

/// The binary's bytes, kept for good.
pub(crate) fn bytes() -> &'static [u8] {
    static BYTES: OnceLock<&'static [u8]> = OnceLock::new();
    BYTES.get_or_init(|| keep(std::fs::read(path()).expect("the binary can be read")))
}

/// Bytes that live as long as the test: what a boot bundle is to the personality.
pub(crate) fn keep(bytes: Vec<u8>) -> &'static [u8] {
    Box::leak(bytes.into_boxed_slice())
}

/// The environment that programs run in, here and there.
pub(crate) const ENVIRONMENT: [(&str, &str); 3] =
    [("PATH", "/applets-only"), ("HOME", "/root"), ("LC_ALL", "C")];

/// Frames of a script's system: for programs, and for clean copies of its files.
pub(crate) const GENERAL_FRAMES: u32 = 64 * 256;
pub(crate) const CACHE_FRAMES: u32 = 16 * 256;

/// A script with the files that it finds in its working directory.
pub(crate) struct Script<'a> {
    pub(crate) text: &'a str,
    pub(crate) files: Vec<(&'a str, &'static [u8])>,
}

impl<'a> Script<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, files: Vec::new() }
    }

    pub(crate) fn with_file(mut self, name: &'a str, bytes: &'static [u8]) -> Self {
        self.files.push((name, bytes));
        self
    }

    /// A system that is ready to run the script.
    pub(crate) fn system(&self) -> Linux<Host> {
        let mut linux = system(GENERAL_FRAMES, CACHE_FRAMES);
        linux.add_file(b"bin/busybox", bytes(), 0o755).expect("the tree is empty");
        linux.add_link(b"bin/sh", b"busybox").expect("the tree is empty");
        linux.add_directory(b"data", 0o755).expect("the tree is empty");
        for (name, bytes) in &self.files {
            linux.add_file(format!("data/{name}").as_bytes(), bytes, 0o644).expect("the tree is empty");
        }
        linux.add_file(b"data/script.sh", keep(self.text.as_bytes().to_vec()), 0o644).expect("room");
        let environment: Vec<String> =
            ENVIRONMENT.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let environment: Vec<&[u8]> = environment.iter().map(String::as_bytes).collect();
        linux
            .spawn(b"/bin/busybox", &[b"busybox", b"sh", b"script.sh"], &environment, b"/data")
            .expect("busybox can be executed");
        linux
    }

    /// Runs the script natively; the answer is both streams and the status.
    pub(crate) fn run_natively(&self) -> (Vec<u8>, Vec<u8>, Option<i32>) {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let scratch =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("native-{}-{number}", std::process::id()));
        // Of the same name as in the personality, for scripts that ask.
        let folder = scratch.join("data");
        std::fs::create_dir_all(&folder).expect("a folder in the target folder");
        for (name, bytes) in &self.files {
            std::fs::write(folder.join(name), bytes).expect("a file in the target folder");
        }
        std::fs::write(folder.join("script.sh"), self.text).expect("a file in the target folder");
        let output = Command::new(path())
            .args(["sh", "script.sh"])
            .current_dir(&folder)
            .env_clear()
            .envs(ENVIRONMENT)
            .stdin(Stdio::null())
            .output()
            .expect("busybox runs natively");
        std::fs::remove_dir_all(&scratch).expect("it was made above");
        (output.stdout, output.stderr, output.status.code())
    }

    /// Runs the script both ways and demands the same bytes.
    pub(crate) fn compare(&self, executors: u8) -> Finished {
        self.compare_while(executors, |_| ())
    }

    /// As [`Self::compare`], and does something after each round.
    pub(crate) fn compare_while(&self, executors: u8, between: impl FnMut(&mut Linux<Host>)) -> Finished {
        let (output, error, status) = self.run_natively();
        let finished = run(self.system(), executors, between);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(text(&finished.error), text(&error), "standard error");
        if finished.output != output {
            assert_eq!(text(&finished.output), text(&output), "standard output");
            panic!("the outputs differ in bytes that are not text");
        }
        assert_eq!(Some(i32::from(finished.status.shell_code())), status, "exit status");
        finished
    }
}
