//! This machine's own dynamic programs, bash and the GNU tools, in the personality: the same output
//! as here.

mod support;

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use support::busybox::keep;
use support::host::{run, system};

/// Programs that every Debian or Ubuntu has.
const PROGRAMS: [&str; 33] = [
    "bash",
    "dash",
    "cat",
    "sort",
    "uniq",
    "wc",
    "head",
    "tail",
    "tr",
    "cut",
    "tee",
    "ls",
    "cp",
    "mv",
    "rm",
    "mkdir",
    "ln",
    "stat",
    "md5sum",
    "sha256sum",
    "sed",
    "grep",
    "find",
    "xargs",
    "seq",
    "env",
    "touch",
    "date",
    "gzip",
    "dd",
    "echo",
    "readlink",
    "sleep",
];

/// The loader and libraries of a program, as ldd names them.
fn libraries(program: &Path) -> Vec<String> {
    let output = Command::new("ldd").arg(program).output().expect("ldd can be run");
    let text = String::from_utf8(output.stdout).expect("plain paths");
    text.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect()
}

/// Where a program lies.
fn find(name: &str) -> String {
    let found = ["/bin", "/usr/bin"].map(|folder| format!("{folder}/{name}"));
    found.into_iter().find(|path| Path::new(path).exists()).unwrap_or_else(|| panic!("there is no {name}"))
}

/// Runs a shell script both ways.
fn compare(shell: &str, script: &str) {
    let mut linux = system(48 * 256, 24 * 256);
    let mut files = BTreeSet::new();
    for name in PROGRAMS {
        let path = find(name);
        files.extend(libraries(Path::new(&path)));
        files.insert(path);
    }
    for path in &files {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        linux.add_file(path.as_bytes(), keep(bytes), 0o755).expect("room");
    }
    linux.add_directory(b"data", 0o755).expect("room");
    let environment = [("PATH", "/bin:/usr/bin"), ("LC_ALL", "C"), ("HOME", "/root"), ("TZ", "UTC")];
    let pairs: Vec<String> = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let pairs: Vec<&[u8]> = pairs.iter().map(String::as_bytes).collect();
    let path = find(shell);
    linux
        .spawn(path.as_bytes(), &[shell.as_bytes(), b"-c", script.as_bytes()], &pairs, b"/data")
        .expect("the shell can be executed");
    let finished = run(linux, 2, |_| ());

    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{shell}-{}", std::process::id())).join("data");
    std::fs::create_dir_all(&folder).expect("a folder in the target folder");
    let output = Command::new(&path)
        .args(["-c", script])
        .current_dir(&folder)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .output()
        .expect("the shell runs natively");
    std::fs::remove_dir_all(folder.parent().expect("it has one")).expect("it was made above");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&finished.error), text(&output.stderr), "standard error");
    assert_eq!(text(&finished.output), text(&output.stdout), "standard output");
    let native = output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal));
    assert_eq!(Some(i32::from(finished.status.shell_code())), native, "exit status");
    let missing = finished.linux.report().missing_calls();
    assert!(missing.is_empty(), "calls that are missing: {missing:?}");
}

const SCRIPT: &str = r#"
seq 1 3000 > numbers
sort -rn numbers | head -n 3
sort -R --random-source=numbers numbers | sort -n | md5sum
grep -c 7 numbers; grep -n '^29.*9$' numbers | tail -n 2
sed -n '10,12p;s/^100$/hundred/p' numbers
cut -c1 numbers | uniq -c | head -n 3
tr 0-9 a-j < numbers | tail -n 1
mkdir -p a/b; cp numbers a/b/copy; ln -s b/copy a/link; mv a/b/copy a/b/moved; ls -lR a | wc -l
find a | sort | xargs -n 2 echo
stat -c '%n %s %A' numbers; stat -c '%n %A' a/b; readlink a/link; cat a/link; echo $?
rm -r a; ls
gzip -c numbers | gzip -dc | sha256sum
dd if=numbers bs=100 count=3 2>/dev/null | wc -c
tee one two < numbers | wc; cat one two | md5sum
date -u -d @1000000000; touch -d @5 old; stat -c %Y old
env -i A=b env
(sleep 0.1; echo late) & echo first; wait
for f in numbers one; do echo "$f: $(wc -l < $f)"; done
false; echo $?; kill -TERM $$
"#;

#[test]
fn dash_and_gnu_tools() {
    compare("dash", SCRIPT);
}

#[test]
fn bash_and_gnu_tools() {
    compare(
        "bash",
        &format!(
            "{}{SCRIPT}",
            "a=(1 2 3); echo ${#a[@]}; while read -r x; do ((s+=x)); done < <(seq 100); echo $s\n"
        ),
    );
}
