//! `--gdb`: the machine waits for a debugger before its first instruction, and is one that can be debugged. The debugger
//! here is a few lines that speak gdb's remote protocol over TCP (gdb's manual, appendix "Remote Serial Protocol").
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use test_harness::measure::kernel_image::KernelImage;
use test_harness::place;

/// How long anything may take before the test gives up: the first test to run builds the kernel.
const PATIENCE: Duration = Duration::from_secs(300);
/// The number of RIP among the registers, each of eight bytes, that QEMU shows of a 64-bit machine.
const RIP: usize = 16;
/// Where a processor begins after a reset, as an offset into its code segment (SDM vol 3, "First Instruction Executed").
const RESET_VECTOR: u64 = 0xfff0;

/// The shortest run there is: a supervisor that looks at its ledger.
const MANIFEST: &str = "machine = { cores = 1, memory = 128, seconds = 60 }\n[[step]]\ncheck = \"ledger\"\n";

/// The command, with what it says as it says it.
struct Harness {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Harness {
    fn start(name: &str, port: u16) -> Self {
        let manifest = place::scratch("fake").unwrap().join(format!("{name}-{}.toml", std::process::id()));
        fs::write(&manifest, MANIFEST).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_archipelago"));
        command.arg("run").arg(manifest).arg(format!("--gdb={port}"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let sender = sender.clone();
            let tell = move |line: Result<String, _>| line.is_ok_and(|line| sender.send(line).is_ok());
            thread::spawn(move || BufReader::new(stream).lines().all(tell));
        }
        Self { child, lines, said: Vec::new() }
    }

    /// Waits for a line with this in it.
    fn wait_for(&mut self, what: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("{what:?} was never said: {:#?}", self.said));
            self.said.push(line.clone());
            if line.contains(what) {
                return line;
            }
        }
    }

    /// Waits for its end, and says how it ended and all that it said.
    fn end(mut self) -> (ExitStatus, String) {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.said.push(line);
        }
        (self.child.wait().unwrap(), self.said.join("\n"))
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        // That it has ended already is no failure.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A debugger that is attached.
struct Debugger(TcpStream);

impl Debugger {
    /// Attaches. QEMU may need a moment from its start until it listens.
    fn attach(port: u16) -> Self {
        let begin = Instant::now();
        loop {
            match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    return Self(stream);
                }
                Err(error) => assert!(begin.elapsed() < PATIENCE, "nobody listens on port {port}: {error}"),
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a packet: `$`, its text, `#`, and the sum of its bytes.
    fn send(&mut self, text: &str) {
        write!(self.0, "${text}#{:02x}", sum(text)).unwrap();
    }

    /// The next packet from the machine.
    fn receive(&mut self) -> String {
        while self.byte() != b'$' {}
        let mut text = Vec::new();
        loop {
            match self.byte() {
                b'#' => break,
                byte => text.push(byte),
            }
        }
        let text = String::from_utf8(text).unwrap();
        let told = [self.byte(), self.byte()].map(char::from).iter().collect::<String>();
        assert_eq!(told, format!("{:02x}", sum(&text)), "the sum of {text}");
        self.0.write_all(b"+").unwrap();
        text
    }

    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.0.read_exact(&mut byte).unwrap();
        byte[0]
    }

    fn ask(&mut self, text: &str) -> String {
        self.send(text);
        self.receive()
    }

    /// The instruction at which the machine stands still.
    fn rip(&mut self) -> u64 {
        let registers = self.ask("g");
        let digits = registers.get(16 * RIP..16 * (RIP + 1)).unwrap_or_else(|| panic!("no rip: {registers}"));
        u64::from_str_radix(digits, 16).unwrap().swap_bytes()
    }

    /// Waits until the machine is gone: QEMU closes the connection, or is gone before it can.
    fn see_end(mut self) {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
    }
}

fn sum(text: &str) -> u8 {
    text.bytes().fold(0, u8::wrapping_add)
}

/// A port that nobody has.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Starts a run, and attaches as the harness says one should. The answer has the kernel's file that it names.
fn attached(name: &str) -> (Harness, Debugger, PathBuf) {
    let port = free_port();
    let mut harness = Harness::start(name, port);
    harness.wait_for("the machine waits for gdb");
    let how = harness.wait_for("gdb ");
    assert!(how.contains(&format!("target remote 127.0.0.1:{port}'")), "{how}");
    let kernel = how.split_whitespace().skip_while(|word| *word != "gdb").nth(1).unwrap();
    (harness, Debugger::attach(port), place::root().join(kernel))
}

/// Waits until QEMU is gone: the host closes what a killed program had one by one.
fn see_port_closed(port: u16) {
    let begin = Instant::now();
    while let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
        assert!(begin.elapsed() < PATIENCE, "QEMU still listens on {}", stream.peer_addr().unwrap());
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_machine_waits_stops_where_it_is_told_and_then_ends_by_itself() {
    let (mut harness, mut debugger, kernel) = attached("gdb-plays");
    let port = debugger.0.peer_addr().unwrap().port();

    // It waits: nothing has run, not even the firmware.
    assert!(debugger.ask("?").starts_with("T05"), "it stands still");
    assert_eq!(debugger.rip(), RESET_VECTOR);
    let early: Vec<String> = harness.lines.try_iter().collect();
    assert!(early.is_empty(), "the machine has said nothing yet: {early:?}");

    // It runs to the kernel's first instruction and no further.
    let entry = KernelImage::read(&fs::read(&kernel).unwrap()).unwrap().entry;
    assert_eq!(debugger.ask(&format!("Z1,{entry:x},1")), "OK");
    let stopped = debugger.ask("c");
    assert!(stopped.starts_with("T05"), "{stopped}");
    assert_eq!(debugger.rip(), entry);
    assert_eq!(debugger.ask(&format!("z1,{entry:x},1")), "OK");

    debugger.send("c");
    harness.wait_for("the machine is up");
    debugger.see_end();
    let (status, said) = harness.end();
    assert!(status.success() && said.contains("all is well"), "{status}: {said}");
    see_port_closed(port);
}

#[test]
fn a_machine_that_waits_goes_with_a_harness_that_is_interrupted() {
    let (harness, mut debugger, _) = attached("gdb-interrupted");
    let port = debugger.0.peer_addr().unwrap().port();
    assert_eq!(debugger.rip(), RESET_VECTOR);
    kill_process(Pid::from_child(&harness.child), Signal::INT).unwrap();
    debugger.see_end();
    let (status, said) = harness.end();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted; QEMU is stopped"), "{said}");
    see_port_closed(port);
}

#[test]
fn a_port_that_another_has_is_told() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = other.local_addr().unwrap().port();
    let (status, said) = Harness::start("gdb-refused", port).end();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("in use"), "{said}");
}
