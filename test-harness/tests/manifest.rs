//! Manifests: the examples are sound, and each kind of mistake is told with file, line and reason.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::path::Path;

use idl::plan::{
    Action, Chunks, CoreNumber, Duty, Holder, Holds, LotNumber, MAX_ENCODED, Manner, Part, Resize,
    SubOsIndex, When, WindowIndex, WindowPlan,
};
use test_harness::manifest::{Manifest, Overrides, demo, load, parse};
use test_harness::place;

const GOOD: &str = r#"
[machine]
cores = 4
memory = 512
seconds = 10

[files]
text = { input = "documents" }

[[subos]]
name = "a"
program = "spinner"
cores = [1, 2]
memory = [32, 64]
files = ["text"]

[[subos]]
name = "b"
program = "spinner"
cores = [3]
memory = [32]

[[subos]]
name = "c"
program = "spinner"
cores = [2]
memory = [16]
start = "step"

[[step]]
when = { working = { subos = "a", core = 2 } }
move-core = { core = 2, from = "a", to = "b", ask = 50 }

[[step]]
move-lot = { lot = 1, from = "a", to = "b" }

[[step]]
move-core = { core = 2, from = "b" }

[[step]]
create = "c"

[[step]]
kill = "c"

[[step]]
check = "ledger"
"#;

fn read(text: &str) -> Result<Manifest, String> {
    let folder = place::harness().join("manifests");
    parse("my.toml", text, &folder, Overrides::default()).map_err(|failure| failure.to_string())
}

/// Changes one thing in a good manifest; the complaint must name this line of text and hold this reason.
#[track_caller]
fn complains(old: &str, new: &str, line_with: &str, reason: &str) {
    assert!(GOOD.contains(old), "the good manifest has {old:?}");
    let text = GOOD.replacen(old, new, 1);
    let said = read(&text).expect_err("it must not be taken");
    let (number, _) = text.lines().enumerate().find(|(_, line)| line.contains(line_with)).unwrap();
    assert!(
        said.starts_with(&format!("my.toml:{}: ", number + 1)),
        "line {} expected in: {said}",
        number + 1
    );
    assert!(said.contains(reason), "{reason:?} expected in: {said}");
    assert!(said.contains('^'), "the place is marked in: {said}");
}

#[test]
fn the_examples_are_sound() {
    let folder = place::harness().join("manifests");
    let mut count = 0;
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let manifest = load(&path, Overrides::default()).unwrap_or_else(|failure| panic!("{failure}"));
            let mut buffer = vec![0; MAX_ENCODED];
            idl::plan::encode(&manifest.plan, &mut buffer).unwrap();
            count += 1;
        }
    }
    assert!(count >= 4, "there are {count} examples");
    assert!(demo().starts_with(&folder));
}

#[test]
fn a_manifest_becomes_a_plan() {
    let manifest = read(GOOD).unwrap();
    let plan = &manifest.plan;
    let a = &plan.suboses[0];
    assert_eq!((a.cores, a.lots.as_slice()), (0b110, [Chunks(16), Chunks(32)].as_slice()));
    assert_eq!(a.files.as_str(), "a.files");
    assert_eq!(plan.steps[0].when, When::Working(SubOsIndex(0), CoreNumber(2)));
    assert_eq!(
        plan.steps[0].action,
        Action::MoveCore {
            core: CoreNumber(2),
            from: Holder::SubOs(SubOsIndex(0)),
            to: Holder::SubOs(SubOsIndex(1)),
            manner: Manner::Ask(50)
        }
    );
    let (from, to) = (SubOsIndex(0), Holder::SubOs(SubOsIndex(1)));
    assert_eq!(
        plan.steps[1].action,
        Action::MoveLot { lot: LotNumber(1), from, to, manner: Manner::Force, holds: Holds::Anything }
    );
    assert_eq!(manifest.steps[4], "kill c by force");
}

#[test]
fn what_must_be_seen_at_work_is_read() {
    let text = GOOD
        .replace(
            "{ working = { subos = \"a\", core = 2 } }",
            "{ timer = { subos = \"a\", core = 2, reaches = 9 } }",
        )
        .replacen("cores = [1, 2]", "cores = [1, 2]\nduty = \"programs\"", 1);
    let plan = read(&text).unwrap().plan;
    assert_eq!(plan.steps[0].when, When::Timer(SubOsIndex(0), CoreNumber(2), 9));
    assert_eq!((plan.suboses[0].duty, plan.suboses[1].duty), (Duty::Programs, Duty::None));
    complains("core = 2 } }", "core = 2, reaches = 1 } }", "reaches", "unknown field `reaches`");
    complains("[1, 2]", "[1, 2]\nduty = \"work\"", "duty", "unknown variant `work`");
}

#[test]
fn the_form_of_the_file_is_checked() {
    complains("seconds = 10", "secondz = 10", "secondz", "unknown field `secondz`");
    complains("cores = [3]", "corse = [3]", "corse", "unknown field `corse`");
    complains("memory = [32]\n", "memory = \"32\"\n", "memory = \"32\"", "invalid type");
    complains("cores = 4", "cores = ", "cores = ", "");
    complains("create = \"c\"", "create = \"c\"\nkil = \"c\"", "kil =", "unknown field `kil`");
    complains("start = \"step\"", "start = \"later\"", "later", "unknown variant `later`");
    complains("ask = 50", "asc = 50", "asc", "unknown field `asc`");
}

#[test]
fn where_one_key_is_wanted_all_are_named() {
    let when = "{ working = { subos = \"a\", core = 2 } }";
    let several = "one key is wanted here, and there are several";
    complains(when, "{ ended = \"a\", after = 5 }", "ended", &format!("{several}: after, ended"));
    complains(when, "{ }", "when", "there is none: after, progress, working, guests, timer, ended");
    complains(when, "{ afterr = 5 }", "afterr", "unknown field `afterr`");
    complains(when, "{ ended = \"nobody\" }", "nobody", "no [[subos]] has the name nobody");
    let source = "{ input = \"documents\" }";
    let both = "{ path = \"batch.sh\", input = \"documents\" }";
    complains(source, both, "batch.sh", &format!("{several}: path, input"));
    complains(source, "{ }", "text = ", "there is none: path, program, debian, input");
    complains(source, "{ url = \"x\" }", "url", "unknown field `url`");
}

#[test]
fn a_lot_is_one_piece_of_memory() {
    // From 2816 MiB on, QEMU puts 2048 of them below 4 GiB and the rest above it.
    let machine = |memory: u32, lots: &str| {
        let text = GOOD.replacen("memory = 512", &format!("memory = {memory}"), 1);
        read(&text.replacen("memory = [32, 64]", &format!("memory = {lots}"), 1)).map(|_| ())
    };
    assert_eq!(machine(2814, "[32, 2600]"), Ok(()));
    assert_eq!(machine(4096, "[32, 2048]"), Ok(()));
    for (memory, lots, reason) in [
        (
            2816,
            "[32, 2600]",
            "a lot of 2600 MiB is one piece, and the largest that the machine has for subOSes is of 1952",
        ),
        (
            4096,
            "[32, 3000]",
            "a lot of 3000 MiB is one piece, and the largest that the machine has for subOSes is of 2048",
        ),
        (4096, "[1900, 1900, 100, 60]", "a lot of 60 MiB is one piece, and what is free"),
    ] {
        let said = machine(memory, lots).expect_err("it cannot be had");
        assert!(said.starts_with("my.toml:14: ") && said.contains(reason) && said.contains('^'), "{said}");
    }
}

#[test]
fn a_machine_is_not_larger_than_its_host() {
    // How much this host has decides which of the two is to be seen.
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |key: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    let has = (kib("MemTotal:") + kib("SwapTotal:")) / 1024;
    if (1..65536).contains(&has) {
        let reason = format!("this host has {has} MiB, and the machine is to have 65536");
        complains("memory = 512", "memory = 65536", "65536", &reason);
    } else {
        assert!(read(&GOOD.replacen("memory = 512", "memory = 65536", 1)).is_ok());
    }
}

#[test]
fn impossible_sizes_are_told() {
    complains("cores = 4", "cores = 65", "cores = 65", "between 1 and 64");
    complains("memory = 512", "memory = 16", "memory = 16", "between 128 and 65536");
    complains("seconds = 10", "seconds = 0", "seconds = 0", "between 1 and 3600");
    complains("memory = [32, 64]", "memory = [32, 63]", "63", "multiple of 2 MiB");
    complains("memory = [32, 64]", "memory = [2, 64]", "[2, 64]", "home lot");
    complains("memory = [32, 64]", "memory = []", "memory = []", "home lot");
    complains("memory = [32, 64]", "memory = [32, 6400]", "6400", "does not fit");
    complains("memory = [32]", "memory = [400]", "[400]", "only 416 are for them");
    complains("memory = [16]", "memory = [400]", "create", "are free now");
}

#[test]
fn a_core_has_one_owner() {
    complains("cores = [1, 2]", "cores = [1, 1]", "[1, 1]", "core 1 is named twice");
    complains("cores = [3]", "cores = [2]", "[2]", "core 2 belongs to another subOS");
    complains("cores = [3]", "cores = [0]", "[0]", "core 0 is the supervisor's");
    complains("cores = [3]", "cores = [4]", "[4]", "there is no core 4");
    complains("cores = [3]", "cores = []", "cores = []", "at least one core");
}

#[test]
fn what_is_not_there_is_told() {
    complains(
        "program = \"spinner\"",
        "program = \"spiner\"",
        "spiner",
        "there is no program spiner; there are",
    );
    complains("files = [\"text\"]", "files = [\"txt\"]", "txt", "[files] does not say where txt comes from");
    complains("files = [\"text\"]", "files = [\"text\", \"text\"]", "\"text\", ", "named twice");
    complains("{ input = \"documents\" }", "{ path = \"no-such-file\" }", "no-such-file", "there is no file");
    complains("{ input = \"documents\" }", "{ debian = \"emacs\" }", "emacs", "only busybox");
    complains("{ input = \"documents\" }", "{ program = \"emacs\" }", "emacs", "there is no program emacs");
    complains("name = \"b\"", "name = \"a\" # again", "# again", "the name a is taken");
    complains("name = \"b\"", "name = \"free\" # so", "# so", "the name free is taken");
}

#[test]
fn what_arguments_name_is_looked_for() {
    let spinner = "program = \"spinner\"\ncores = [3]";
    let init = |arguments: &str| {
        format!("program = \"init\"\narguments = {arguments}\nfiles = [\"text\"]\ncores = [3]")
    };
    complains(spinner, &init("\"pairs=text,text\""), "pairs", "the argument pairs=text,text is not pair=");
    complains(spinner, &init("\"pair=text,text crashes=x\""), "crashes=x", "the argument crashes=x");
    complains(
        spinner,
        &init("\"pair=txet,text\""),
        "txet",
        "starts txet, which is not among its files (text)",
    );
    complains(
        spinner,
        &init("\"pair=text,txet\""),
        "txet",
        "starts txet, which is not among its files (text)",
    );
    complains(spinner, &init("\"\"\"\\\npair=text,txet\"\"\""), "arguments", "starts txet");

    let linux = |arguments: &str| init(arguments).replace("\"init\"", "\"linux-server\"");
    complains(spinner, &linux("\"txet sh\""), "txet sh", "runs txet, which is not among its files (text)");
    complains(spinner, &linux("\" \""), "arguments", "needs a command line");
    let none = linux("").replace("arguments = \n", "");
    complains(spinner, &none, "linux-server", "needs a command line");

    let good = |with: &str| read(&GOOD.replacen(spinner, with, 1)).map(|_| ());
    assert_eq!(good(&init("\"pair=text,text log=debug crashes=0\"")), Ok(()));
    assert_eq!(good(&linux("\"text sh of any kind\"")), Ok(()));
}

#[test]
fn what_is_wrong_with_servers_is_told() {
    let spinner = "program = \"spinner\"\ncores = [3]\nmemory = [32]";
    let table = |servers: &str| format!("program = \"init\"\ncores = [3]\nmemory = [32]\n{servers}");
    let server = |name: &str, more: &str| {
        format!("[[subos.server]]\nname = \"{name}\"\nprogram = \"store-server\"\n{more}\n")
    };
    let wrong =
        |servers: String, line: &str, reason: &str| complains(spinner, &table(&servers), line, reason);
    let store = server("store", "");
    let call = |what: &str| store.clone() + &server("client", &format!("calls = [{what}]"));

    wrong(server("Store", ""), "\"Store\"", "a server's name is of the characters a to z");
    wrong(server("a-name-with-seventeen", ""), "seventeen", "longer than 16 bytes");
    wrong(
        format!("{store}{}", store.replace("store\"", "store\" # again")),
        "again",
        "there are two servers store",
    );
    wrong(
        store.replace("store-server", "no-server"),
        "no-server",
        "there is no program no-server; there are",
    );
    wrong(server("s", "core = 2"), "core = 2", "core 2 is not one of the subOS's");
    wrong(server("s", "memory = 7"), "memory = 7", "a multiple of 4 KiB");
    wrong(server("s", "memory = 0"), "memory = 0", "a multiple of 4 KiB");
    wrong(server("s", "restart = { after = 9, at-most = 8 }"), "at-most", "cannot rest 8 at most");
    wrong(server("s", "restart = { time = 1 }"), "time = 1", "unknown field `time`");
    wrong(
        call("{ server = \"stores\" }"),
        "stores",
        "no server stores in this subOS; there are store, client",
    );
    wrong(call("{ server = \"store\" }, { server = \"store\" }"), "}, {", "the server store is named twice");
    wrong(
        call("{ server = \"store\", rights = [\"READ\", \"ERASE\"] }"),
        "ERASE",
        "the interface of store-server has no right ERASE (READ, WRITE)",
    );
    wrong(
        call("{ server = \"client\", rights = [\"X\"] }").replacen("\"store-server\"", "\"spinner\"", 2),
        "\"X\"",
        "no right X (none)",
    );
    complains(
        spinner,
        &table(&store).replace("\"init\"", "\"spinner\""),
        "\"store\"",
        "only init starts servers",
    );
    let many: String = (0..17).map(|number| server(&format!("s{number}"), "")).collect();
    wrong(many, "\"s16\"", "at most 16 servers");

    let good =
        read(&GOOD.replacen(spinner, &table(&call("{ server = \"store\", rights = [\"WRITE\"] }")), 1));
    let table = good.unwrap().suboses[1].servers.clone().unwrap();
    assert_eq!((table.allows(1, 0), table.allows(0, 1)), (Some(0b10), None));
}

#[test]
fn only_a_command_can_be_compared_with_the_host() {
    let spinner = "program = \"spinner\"\ncores = [3]";
    let with = "program = \"spinner\" # here\ncores = [3]\ncompare = \"host\"";
    complains(spinner, with, "# here", "the host can only run what linux-server runs");
}

#[test]
fn steps_that_cannot_be_done_are_told() {
    complains("create = \"c\"", "create = \"d\"", "create", "no [[subos]] has the name d");
    complains("create = \"c\"", "create = \"a\"", "create", "a was created before");
    complains(
        "move-core = { core = 2, from = \"b\" }",
        "move-core = { core = 1, from = \"b\" }",
        "core = 1,",
        "core 1 is a's then",
    );
    complains(
        "[[step]]\nmove-core = { core = 2, from = \"b\" }\n",
        "",
        "create",
        "c wants core 2, which b has now",
    );
    complains(
        "kill = \"c\"",
        "kill = \"c\"\n[[step]]\nkill = \"c\" # again",
        "# again",
        "there is no c at this point",
    );
    complains("move-lot = { lot = 1", "move-lot = { lot = 0", "lot = 0", "home lot goes only with its subOS");
    complains("move-lot = { lot = 1", "move-lot = { lot = 7", "lot = 7", "a has no lot 7 then");
    let two = "[[step]] # two\nkill = \"c\"\ncheck = \"audit\"";
    complains("[[step]]\nkill = \"c\"", two, "# two", "this one does 2");
    complains("check = \"ledger\"", "grant-lot = { memory = 500, to = \"b\" }", "grant-lot", "does not fit");
    let reuse =
        |memory: u32, of: &str| format!("grant-lot = {{ memory = {memory}, to = \"b\", reuses = \"{of}\" }}");
    complains("check = \"ledger\"", &reuse(2, "a"), "reuses", "no step before this one kills a");
    complains("check = \"ledger\"", &reuse(2, "nobody"), "reuses", "nobody");
    complains("check = \"ledger\"", &reuse(18, "c"), "reuses", "c had only");
    complains("from = \"a\", to = \"b\", ask", "ask", "move-core", "say from, to or both");
    complains("core = 2 } }", "core = 3 } }", "core = 3", "core 3 is b's then");
}

#[test]
fn several_things_at_once_are_read_and_checked() {
    let step = |resize: &str| format!("resize = {{ {resize} }}");
    let good = step("from = \"a\", to = \"b\", cores = [1], lots = [2], memory = [8], ask = 5");
    let text = GOOD.replacen("check = \"ledger\"", &good, 1).replacen(
        "memory = [32, 64]",
        "memory = [32, 64, 4]",
        1,
    );
    let plan = read(&text).unwrap().plan;
    let resize = plan.steps.iter().find_map(|step| match step.action {
        Action::Resize(resize) => Some(resize),
        _ => None,
    });
    let [from, to] = [0, 1].map(|index| Holder::SubOs(SubOsIndex(index)));
    let (memory, manner) = ([Chunks(4), Chunks(0), Chunks(0)], Manner::Ask(5));
    assert_eq!(resize, Some(Resize { from, to, cores: 2, lots: 4, memory, manner, refused: None }));
    let wrong = |resize: &str, at: &str, why: &str| complains("check = \"ledger\"", &step(resize), at, why);
    wrong("from = \"a\", to = \"a\", cores = [1]", "resize", "from one to another");
    wrong("from = \"a\", to = \"b\"", "resize", "it moves nothing");
    wrong("to = \"b\", memory = [2, 2, 2, 2]", "resize", "at most 3 lots");
    wrong("to = \"b\", lots = [1]", "resize", "say from");
    wrong("from = \"b\", memory = [2]", "resize", "say to");
    wrong("from = \"a\", lots = [0]", "resize", "the home lot goes only with its subOS");
    wrong("from = \"a\", cores = [3]", "resize", "core 3 is b's then");
    wrong("from = \"a\", lots = [9]", "resize", "a has no lot 9 then");
    wrong("to = \"b\", memory = [400]", "resize", "MiB are free then");
    wrong("to = \"b\", memory = [400], refused = { kernel = 1 }", "resize", "unknown variant");
    // What is to be refused is not refused here.
    let refused = step("to = \"b\", memory = [400], refused = { memory = 400 }");
    let plan = read(&GOOD.replacen("check = \"ledger\"", &refused, 1)).unwrap().plan;
    let part = Some(Part::Memory(Chunks(200)));
    assert!(plan.steps.iter().any(|step| matches!(step.action, Action::Resize(r) if r.refused == part)));
}

#[test]
fn the_command_line_beats_the_manifest() {
    let overrides = Overrides { cores: Some(3), memory: None };
    let failure = parse("my.toml", GOOD, Path::new("."), overrides).expect_err("core 3 is gone");
    assert!(failure.what().contains("there is no core 3"), "{failure}");
    let overrides = Overrides { cores: Some(8), memory: Some(2048) };
    let manifest = parse("my.toml", GOOD, Path::new("."), overrides).unwrap();
    assert_eq!((manifest.cores, manifest.memory), (8, 2048));
}

#[test]
fn a_manifest_that_is_not_there_is_told() {
    let failure =
        load(Path::new("/no/such.toml"), Overrides::default()).expect_err("there is none").to_string();
    assert!(failure.contains("/no/such.toml") && failure.contains("manifests"), "{failure}");
}

/// A good manifest whose `a` and `b` have a window, which the last step opens.
fn with_window() -> String {
    let window = "[[window]] # w\nname = \"w\"\nbetween = [\"a\", \"b\"]\nmemory = 4\n\n";
    let first = GOOD.find("[[step]]").unwrap();
    let steps =
        "\n[[step]] # opens\nopen = \"w\"\n\n[[step]] # closes\nclose = { window = \"w\", ask = 9 }\n";
    format!("{}{window}{}{steps}", &GOOD[..first], &GOOD[first..])
}

#[test]
fn windows_are_read() {
    let manifest = read(&with_window()).unwrap();
    let between = [SubOsIndex(0), SubOsIndex(1)];
    assert_eq!(manifest.plan.windows.as_slice(), [WindowPlan { between, size: Chunks(2) }]);
    let [.., open, close] = manifest.plan.steps.as_slice() else { panic!("two steps") };
    assert_eq!(open.action, Action::OpenWindow(WindowIndex(0)));
    assert_eq!(close.action, Action::CloseWindow(WindowIndex(0), Manner::Ask(9)));
    let words = ["open the window w", "close the window w"];
    assert!(manifest.steps.ends_with(&words.map(str::to_owned)), "{:?}", manifest.steps);
}

#[test]
fn windows_that_cannot_be_are_told() {
    let complains = |old: &str, new: &str, line_with: &str, reason: &str| {
        let good = with_window();
        assert!(good.contains(old), "the good manifest has {old:?}");
        let text = good.replacen(old, new, 1);
        let said = read(&text).expect_err("it must not be taken");
        let line = text.lines().position(|line| line.contains(line_with)).unwrap() + 1;
        assert!(said.starts_with(&format!("my.toml:{line}: ")), "line {line} expected in: {said}");
        assert!(said.contains(reason) && said.contains('^'), "{reason:?} expected in: {said}");
    };
    let between = "between = [\"a\", \"b\"]";
    complains(between, "between = [\"a\", \"x\"]", "between", "no [[subos]] has the name x");
    complains(between, "between = [\"a\", \"a\"]", "between", "a window is between two");
    complains("memory = 4\n", "memory = 3\n", "memory = 3", "multiple of 2 MiB");
    complains("memory = 4\n", "memory = 4\nsize = 1\n", "size", "unknown field `size`");
    let again = |name: &str, between: &str| {
        format!("memory = 4\n[[window]]\nname = \"{name}\" # v\nbetween = {between} # v\nmemory = 2\n")
    };
    complains("memory = 4\n", &again("w", "[\"a\", \"c\"]"), "# v", "a name of its own");
    complains("memory = 4\n", &again("v", "[\"b\", \"a\"]"), "between = [\"b\"", "between these two already");
    complains("open = \"w\"", "open = \"v\"", "open =", "no [[window]] has the name v");
    complains("open = \"w\"", "open = \"w\"\n[[step]]\nopen = \"w\" # again", "# again", "w is open already");
    complains(
        "open = \"w\"",
        "kill = \"b\"\n[[step]]\nopen = \"w\"",
        "open =",
        "there is no b at this point",
    );
    complains("open = \"w\"", "check = \"audit\"", "close =", "w is not open at this point");
    // Its lots have numbers, and are no lots to move.
    let moves = "open = \"w\"\n[[step]]\nmove-lot = { lot = 1, from = \"a\" } # moves";
    complains("open = \"w\"", moves, "# moves", "but a side of a window");
    let neighbour = "program = \"neighbour\"\narguments = \"calls=b answers=c\"\ncores = [1, 2]";
    let spinner = "program = \"spinner\"\ncores = [1, 2]";
    complains(spinner, neighbour, "arguments", "no [[window]] is between a and c");
    complains(
        spinner,
        &neighbour.replace("answers=c", "listens=c"),
        "arguments",
        "listens=c is not calls=NAME",
    );
}
