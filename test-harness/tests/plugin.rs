//! The plugin counts exactly: a guest made by hand, of which every instruction is known, tells.

use std::path::PathBuf;
use std::time::Duration;

use test_harness::machine::{Accelerator, Clockwork, Debugger, Exit, Machine, Run, Sharing};
use test_harness::measure::Counting;
use test_harness::measure::log::{Interval, Log, What};
use test_harness::place;
use test_harness::tools::{self, Install};

/// Where the guest's code is loaded and entered.
const ENTRY: u32 = 0x10_0000;

const SHARING_BEGIN: u16 = 0xfff0;
const SHARING_END: u16 = 0xfff1;

/// A marker in 32-bit mode.
fn marker(number: u16) -> Vec<u8> {
    let [low, high] = number.to_le_bytes();
    vec![0x0f, 0x1f, 0x80, low, high, 0x4b, 0x4d]
}

/// A marker in 16-bit mode.
fn marker16(number: u16) -> Vec<u8> {
    [vec![0x67], marker(number)].concat()
}

/// What the second core does, at 0x8000 in real mode: reports, waits until it may go, executes 500 instructions
/// between markers 7 and 8, writes a byte that nobody else touches, reports, stops.
fn second_core() -> Vec<u8> {
    let parts: [&[u8]; 8] = [
        &[0x31, 0xc0, 0x8e, 0xd8],       // xor ax, ax; mov ds, ax
        &[0xc6, 0x06, 0x00, 0x90, 0x01], // mov byte [0x9000], 1
        &[0xf3, 0x90],                   // 1: pause
        &[0x80, 0x3e, 0x01, 0x90, 0x01], // cmp byte [0x9001], 1
        &[0x75, 0xf7],                   // jne 1b
        &[marker16(7), vec![0x90; 500], marker16(8)].concat(),
        &[0xc6, 0x06, 0xc0, 0x90, 0x01, 0xc6, 0x06, 0x00, 0x90, 0x02], // mov byte [0x90c0], 1; mov byte [0x9000], 2
        &[0xfa, 0xf4, 0xeb, 0xfc],                                     // 1: cli; hlt; jmp 1b
    ];
    parts.concat()
}

/// What the first core does, at [`ENTRY`] in 32-bit mode without paging.
fn first_core(nops: usize) -> Vec<u8> {
    // Waits until the byte at 0x9000 has this value: 1: pause; cmp byte [0x9000], value; jne 1b
    let wait = |value| vec![0xf3, 0x90, 0x80, 0x3d, 0x00, 0x90, 0x00, 0x00, value, 0x75, 0xf5];
    let mut code = Vec::new();
    let copy: [&[u8]; 4] = [
        &[0xbe, 0, 0, 0, 0],             // mov esi, the second core's code; filled in below
        &[0xbf, 0x00, 0x80, 0x00, 0x00], // mov edi, 0x8000
        &[0xb9, 0x00, 0x04, 0x00, 0x00], // mov ecx, 0x400
        &[0xf3, 0xa4],                   // rep movsb
    ];
    code.extend(copy.concat());
    code.extend([marker(1), vec![0x90; nops], marker(2)].concat());
    // mov ecx, 10; 1: dec ecx; jnz 1b
    code.extend([marker(3), vec![0xb9, 0x0a, 0, 0, 0, 0x49, 0x75, 0xfd], marker(4)].concat());
    // INIT, then the start-up interrupt for page 8, to all other cores: mov dword [0xfee00300], ...
    code.extend([0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x00, 0x45, 0x0c, 0x00]);
    code.extend([0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x08, 0x46, 0x0c, 0x00]);
    code.extend(wait(1));
    code.extend([marker(SHARING_BEGIN), marker(5)].concat());
    code.extend([0xc6, 0x05, 0x80, 0x90, 0x00, 0x00, 0x01]); // mov byte [0x9080], 1
    code.extend([0xc6, 0x05, 0x01, 0x90, 0x00, 0x00, 0x01]); // mov byte [0x9001], 1
    code.extend(wait(2));
    code.extend([marker(6), marker(SHARING_END)].concat());
    code.extend([0xb0, 0x10, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd]); // mov al, 0x10; out 0xf4, al; 1: hlt; jmp 1b
    let second = ENTRY + u32::try_from(code.len()).expect("little code");
    code.splice(1..5, second.to_le_bytes());
    code.extend(second_core());
    code
}

/// An ELF file that QEMU enters at [`ENTRY`], by its PVH note.
fn elf(code: &[u8]) -> Vec<u8> {
    const CODE_AT: usize = 0x1000;
    let note: Vec<u8> = [4_u32, 4, 18]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .chain(*b"Xen\0")
        .chain(ENTRY.to_le_bytes())
        .collect();
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for word in [u64::from(ENTRY), 64, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, 0, 0, 0, 0]);
    let mut segment = |kind: u32, flags: u32, offset: usize, address: u64, length: usize| {
        bytes.extend([kind.to_le_bytes(), flags.to_le_bytes()].concat());
        for word in [offset as u64, address, address, length as u64, length as u64, 4] {
            bytes.extend(word.to_le_bytes());
        }
    };
    segment(elf::abi::PT_LOAD, 7, CODE_AT, u64::from(ENTRY), code.len());
    segment(elf::abi::PT_NOTE, 4, 64 + 2 * 56, 0, note.len());
    bytes.extend(note);
    bytes.resize(CODE_AT, 0);
    bytes.extend(code);
    bytes
}

/// Runs the guest on two cores and gives what the plugin wrote.
fn run(name: &str, nops: usize, clockwork: Clockwork) -> Log {
    look(name, nops, clockwork, |counting| counting)
}

/// The same, with something else asked of the plugin as well.
fn look(name: &str, nops: usize, clockwork: Clockwork, and: impl Fn(Counting) -> Counting) -> Log {
    let folder = place::scratch("counts").expect("there is room");
    let (kernel, bundle) = (folder.join(format!("{name}.elf")), folder.join(format!("{name}.bundle")));
    std::fs::write(&kernel, elf(&first_core(nops))).expect("there is room");
    std::fs::write(&bundle, b"nothing").expect("there is room");
    let counting = Counting::new(name).expect("there is room").watch(u64::from(ENTRY)).memory();
    // The `rep movsb` with which the guest begins.
    let counting = and(counting.apart(u64::from(ENTRY) + 15..u64::from(ENTRY) + 17));
    let machine = Machine {
        qemu: tools::qemu(Install::from_environment()).expect("there is a QEMU"),
        accelerator: Accelerator::Tcg,
        cores: 2,
        memory: 64,
        clockwork,
        debugger: Debugger::None,
        control: None,
        sharing: Sharing::Private,
        extra: counting.arguments().expect("the plugin builds"),
    };
    let run = Run { machine: &machine, kernel: &kernel, bundle: &bundle, nominal: Duration::from_secs(10) };
    let outcome = run.play(&mut |_| {}).expect("QEMU runs");
    assert_eq!(outcome.exit, Exit::Success, "{}", outcome.failure("the guest made by hand"));
    for file in [kernel, bundle] {
        std::fs::remove_file(file).expect("it is ours");
    }
    counting.take().expect("the plugin wrote")
}

fn the_interval(log: &Log, from: u16, to: u16) -> Interval {
    let intervals = log.intervals(What::Marker(from), What::Marker(to));
    assert_eq!(intervals.len(), 1, "{from} to {to}: {:?}", log.points);
    intervals.into_iter().next().expect("there is one")
}

/// How many instructions each core executed.
fn instructions(interval: &Interval) -> Vec<u64> {
    interval.counts.iter().map(|counts| counts.instructions).collect()
}

fn counts_exactly(clockwork: Clockwork, name: &str) -> Log {
    let log = run(name, 1000, clockwork);
    assert_eq!(log.cores, 2);
    assert_eq!(instructions(&the_interval(&log, 1, 2)), [1000, 0], "a thousand no-operations");
    assert_eq!(instructions(&the_interval(&log, 3, 4)), [21, 0], "a load and ten rounds of a loop");
    let second = the_interval(&log, 7, 8);
    assert_eq!((second.from, second.to), (1, 1));
    assert_eq!(instructions(&second).get(1), Some(&500), "five hundred no-operations on the second core");
    // From when the first core lets the second go until it sees that it is done, waits apart. On the first core: two
    // stores and the last round of three. On the second: what was left of a round, the last round of its own wait,
    // the no-operations and two stores.
    let both = the_interval(&log, 5, 6);
    let work: Vec<u64> = both.counts.iter().map(|counts| counts.work()).collect();
    assert_eq!(work.first(), Some(&5), "{both:?}");
    assert!(work.get(1).is_some_and(|second| (502..=508).contains(second)), "{both:?}");
    assert!(both.counts.iter().all(|counts| counts.waits.is_multiple_of(3)), "{both:?}");
    log
}

#[test]
fn a_thousand_nops_count_a_thousand_while_both_cores_run_in_turn() {
    let log = counts_exactly(Clockwork::Deterministic, "plugin-turns");
    let again = counts_exactly(Clockwork::Deterministic, "plugin-again");
    assert_eq!(log.points, again.points, "two runs count the same");
}

#[test]
fn a_thousand_nops_count_a_thousand_while_both_cores_run_at_once() {
    counts_exactly(Clockwork::Free, "plugin-free");
}

#[test]
fn a_shared_line_is_told_from_those_that_one_core_has_for_itself() {
    let log = run("plugin-sharing", 1, Clockwork::Deterministic);
    let [sharing] = log.sharing.as_slice() else { panic!("one look: {:?}", log.sharing) };
    let lines: Vec<u64> = sharing.shared.keys().copied().collect();
    assert_eq!(lines, [0x9000], "the line with the two flags, not 0x9080 and 0x90c0: {:?}", sharing.shared);
    let touches: Vec<_> =
        sharing.shared[&0x9000].iter().map(|by| (by.core, by.reads > 0, by.writes)).collect();
    assert_eq!(touches, [(0, true, 1), (1, true, 1)]);
    let own: Vec<_> = sharing.touched.iter().map(|by| (by.lines, by.upper)).collect();
    assert_eq!(own, [(2, 0), (2, 0)], "each core one line of its own and the shared one");
}

#[test]
fn lines_are_seen_while_both_cores_run_at_once_and_nothing_is_counted() {
    let log = look("plugin-sharing-free", 1, Clockwork::Free, Counting::without_instructions);
    let [sharing] = log.sharing.as_slice() else { panic!("one look: {:?}", log.sharing) };
    assert_eq!(sharing.shared.keys().copied().collect::<Vec<_>>(), [0x9000]);
    assert!(log.points.iter().all(|point| point.counts.iter().all(|core| core.instructions == 0)));
}

#[test]
fn a_watched_instruction_is_a_point() {
    let log = run("plugin-watch", 1, Clockwork::Deterministic);
    let before = log.intervals(What::Watched(u64::from(ENTRY)), What::Marker(1));
    // mov, mov, mov, and `rep movsb`, which counts once for each byte and once more when none is left.
    assert_eq!(before.first().and_then(|first| instructions(first).first().copied()), Some(3 + 0x400 + 1));
    // The copying is also counted apart.
    assert_eq!(before.first().map(|first| first.counts.iter().map(|core| core.apart).sum()), Some(0x400 + 1));
}

#[test]
fn a_plugin_that_cannot_write_says_so() {
    let qemu = tools::qemu(Install::from_environment()).expect("there is a QEMU");
    let plugin: PathBuf = test_harness::image::plugin().expect("the plugin builds");
    let output = std::process::Command::new(qemu)
        .args(["-nodefaults", "-display", "none", "-machine", "q35", "-plugin"])
        .arg(format!("{},out=/nonexistent/folder/file", plugin.display()))
        .output()
        .expect("QEMU runs");
    assert!(!output.status.success());
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(complaints.contains("the counting plugin cannot be used: /nonexistent"), "{complaints}");
}
