//! Debian's unmodified busybox in the personality: its output is byte for byte what the same binary
//! prints on this machine.

mod support;

use support::busybox::{CACHE_FRAMES, GENERAL_FRAMES, Script, keep};

/// Text of about `lines` lines in which words repeat, as text does.
fn text(lines: usize) -> &'static [u8] {
    let words =
        ["core", "page", "lot", "grant", "revoke", "wall", "ledger", "guest", "trap", "frame", "pipe"];
    let mut state = 12_345u64;
    let mut bytes = Vec::new();
    for line in 0..lines {
        bytes.extend(format!("{line} ").bytes());
        for _ in 0..10 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let word = words[(state >> 33) as usize % words.len()];
            bytes.extend(word.bytes());
            bytes.push(b' ');
        }
        bytes.push(b'\n');
    }
    keep(bytes)
}

#[test]
fn echo() {
    let finished = Script::new("echo hello\n").compare(1);
    assert_eq!(finished.output, b"hello\n");
}

#[test]
fn pipes_and_redirections() {
    Script::new(
        "echo one > a; echo two >> a; cat < a | tr a-z A-Z > b; cat a b\n\
         echo to-error 1>&2\n\
         (echo in; echo sub) | while read x; do echo got $x; done\n\
         seq 1 2000 | head -n 3\n\
         yes | head -n 2 | wc -l\n\
         cat nothing; echo status $?\n\
         false || echo or; true && echo and\n\
         cat <<END | sed s/a/b/\nhere a\nEND\n",
    )
    .compare(1);
}

#[test]
fn background_jobs() {
    Script::new(
        "(sleep 0.2; echo late) &\nfirst=$!\n(echo early; exit 3) &\nwait $!\necho status $?\nwait $first\n\
         echo both\nsleep 5 &\nkill $!\nwait $! 2>/dev/null\necho killed $?\n\
         for i in 1 2 3 4; do (cat big | md5sum > sum$i) & done\nwait\ncat sum1 sum2 sum3 sum4\n",
    )
    .with_file("big", text(4000))
    .compare(2);
}

#[test]
fn text_tools() {
    let finished = Script::new(
        "wc input\ngrep -c core input\ngrep -n 'wall.*trap' input | head -n 5\nsort input | md5sum\n\
         sort -rn input | head -n 3\ncut -d' ' -f2 input | sort | uniq -c | sort -k1,1nr -k2\n\
         awk '{ n[$3]++ } END { for (w in n) print n[w], w }' input | sort\n\
         sed -n 's/page \\(.*\\) lot/\\1/p' input | head -n 4\ntail -n 2 input\ntr a-z A-Z < input | head -n 1\n\
         gzip -c input > input.gz\ngzip -dc input.gz | cmp - input && echo same\nmd5sum input.gz\n\
         tee copy < input | wc -c\ncmp copy input && echo copied\nsha256sum input\n\
         od -c input | head -n 3\n",
    )
    .with_file("input", text(20_000))
    .compare(2);
    assert!(
        finished.linux.report().missing_calls().is_empty(),
        "{:?}",
        finished.linux.report().missing_calls()
    );
}

#[test]
fn file_tools() {
    Script::new(
        "mkdir -p d/e/f; touch d/x d/e/y; ln -s x d/l; ln d/x d/h; find d | sort\nls d\nls -a d/e\n\
         readlink d/l; mv d/x d/z; cat d/l; echo $?; cp -r d c; find c | sort; rm -r d; ls\n\
         echo text > c/z; cat c/l; ln -sf z c/l; cat c/l; chmod 600 c/z; stat -c '%a %s %F' c/z; rmdir c/e\n\
         echo $?; test -d c/e/f && echo directory; pwd | sed 's,.*/,,'; cd c && ls; mkfifo p; echo through > p & cat p\n\
         dd if=/dev/zero of=zeros bs=1000 count=5 2>/dev/null; wc -c zeros; truncate -s 10 zeros; od zeros\n\
         umask; umask 077; touch private; stat -c %a private; touch -d '2020-01-02 03:04:05' old; stat -c %Y old\n\
         basename /a/b/c; dirname /a/b/c; printf '%05d\\n' 42; expr 6 \\* 7; date -u -d @86400\n",
    )
    .compare(1);
}

#[test]
fn shell_signals() {
    Script::new(
        "trap 'echo usr1' USR1\nkill -USR1 $$\necho after\ntrap 'echo bye' EXIT\n\
         (trap 'echo term; exit 7' TERM; sleep 3 & wait) &\nsleep 0.3; kill $!; wait $!; echo status $?\n\
         sh -c 'kill -9 $$'; echo $?\nsh -c 'kill -SEGV $$'; echo $?\nexit 5\n",
    )
    .compare(1);
}

#[test]
fn large_file() {
    let input = text(120_000);
    assert!(input.len() > 5 << 20);
    Script::new("md5sum < input\nsort input | uniq | wc -l\ngzip -c input | gzip -dc | md5sum\n")
        .with_file("input", input)
        .compare(2);
}

/// Memory that is taken while programs use it: the output is right all the same. First the clean
/// copies go, then half of what programs and files hold moves.
#[test]
fn memory_is_given_back_at_work() {
    let script = Script::new(
        "sort input > sorted; md5sum sorted\nfor i in 1 2 3; do sort -r input | gzip -c | gzip -dc | md5sum; done > loop &\n\
         awk '{ n[$2]++ } END { for (w in n) print n[w], w }' input | sort\nwait\ncat loop\nmd5sum sorted input\n",
    )
    .with_file("input", text(10_000));
    let mut rounds = 0;
    let finished = script.compare_while(2, |linux| {
        rounds += 1;
        let before = linux.pool();
        if rounds == 400 {
            assert!(before.cache_free < before.cache, "the cache is in use");
            linux
                .release_pool(&(GENERAL_FRAMES..GENERAL_FRAMES + CACHE_FRAMES))
                .expect("clean copies can go");
            assert_eq!(linux.pool().cache, 0);
            linux.audit().expect("every count adds up");
        }
        if rounds == 800 {
            linux.release_pool(&(0..GENERAL_FRAMES / 2)).expect("there is room in the other half");
            assert_eq!(linux.pool().general, GENERAL_FRAMES / 2);
            linux.audit().expect("every count adds up");
        }
    });
    assert!(rounds > 800, "both happened while it worked");
    assert_eq!(finished.linux.report().out_of_memory, 0);
}

/// What does not fit is refused or ends the one program; the shell and the others go on.
#[test]
fn memory_that_runs_out_ends_one_program() {
    let script = Script::new(
        "dd if=/dev/zero of=big bs=1M count=200 2>/dev/null; echo status $?; rm big; echo on\n\
         awk 'BEGIN { s = \"x\"; for (i = 0; i < 30; i++) s = s s; print length(s) }' 2>/dev/null; echo after $?\n",
    );
    let finished = support::host::run(script.system(), 1, |_| ());
    let output = String::from_utf8(finished.output).expect("it is text");
    assert!(output.contains("status 1\non\nafter "), "{output}");
    assert!(!output.contains("after 0"), "{output}");
}
