//! The supervisor's keeper: it starts the supervisor as a process, keeps what must not be lost with it, and starts it again
//! when it crashes.
//!
//! Design principles
//!
//! 1. *It does next to nothing*, so that next to nothing of it can fail: it decides nothing about subOSes, reads no notes, and
//!    waits in one place.
//! 2. *What must not be lost is its own*: the table in which the first capabilities to subOSes lie, and the memory for the
//!    supervisor's notes. Everything else of the supervisor is made from one memory and goes with it.
//! 3. *A crash is told with its place*, and is forgiven so often only: then the machine ends, and says why.
//!
//! Reading order: [`policy`] (how often, and how soon), then here.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod policy;

use alloc::format;
use alloc::string::String;

use caps::{Error, Rights};
use idl::abi::PAGE_SIZE;
use idl::bundle::{Bundle, SUPERVISOR};
use idl::interface::Generation;
use idl::message::{Fault, Received};
use idl::record::RecordWriter;
use idl::types::{Badge, Deadline, Pages, Ticks};
use supervisor_server::{charge, notes};
use userlib::cap::{CSpace, Cap, Core, Endpoint, Region, Reply, Untyped};
use userlib::console::Writer;
use userlib::last_words::LastWords;
use userlib::process::{Builder, Process};
use userlib::{environment, memory, testing, time};

use policy::{Policy, Verdict};

/// The badge of the supervisor's faults.
const FAULTS: Badge = Badge(1);
/// Of how many parts of subOS 0's memory the supervisor gets one to make objects from. What it is made from takes twice as
/// much.
const SHARE: u64 = 3;

/// What a life of the supervisor ended with.
enum End {
    /// The run is over, with this status.
    Over(u8),
    /// It crashed.
    Crashed(Fault),
}

/// What outlives the supervisor.
struct Keeper {
    bundle: Bundle<'static>,
    files: u64,
    core: Cap<Core>,
    vault: Cap<CSpace>,
    notes: Cap<Region>,
    line: Cap<Endpoint>,
    reply: Cap<Reply>,
}

/// Keeps a supervisor until the run is over, which ends the machine.
///
/// # Errors
/// Why there is none, in words: it cannot be started, or it has crashed too often.
pub fn keep() -> Result<(), String> {
    let keeper = Keeper::new()?;
    let mut policy = Policy::default();
    let mut budget = None;
    loop {
        let begun = time::now();
        let process = keeper.start(policy.crashes(), budget)?;
        let fault = match keeper.wait()? {
            End::Over(status) => testing::exit(status),
            End::Crashed(fault) => fault,
        };
        let why = Why { fault, words: process.last_words() };
        let lived = time::duration(Ticks(time::now().0.saturating_sub(begun.0)));
        let verdict = policy.crashed(lived);
        why.tell(policy.crashes());
        // Everything that was its own goes, and what was made of it: what is in the vault was made of nothing of its.
        let memory = process.end().map_err(refused("what is left of the supervisor stays"))?;
        match verdict {
            Verdict::Enough => return Err(why.enough(policy.crashes())),
            Verdict::Again(after) => time::sleep(after),
        }
        why.tell_restart(policy.crashes());
        budget = Some(memory);
    }
}

impl Keeper {
    fn new() -> Result<Self, String> {
        let environment = environment();
        let bytes = environment.files().map_err(refused("no boot bundle"))?;
        let bundle = Bundle::parse(bytes).map_err(|error| format!("the boot bundle: {error}"))?;
        let keeping = refused("what the supervisor is not to lose cannot be made");
        Ok(Self {
            bundle,
            files: environment.startup().modules_length,
            core: environment.core(environment.startup().core).map_err(refused("no core"))?,
            vault: memory::create(charge::PLACES).map_err(&keeping)?,
            notes: memory::create((notes::BYTES as u64).div_ceil(PAGE_SIZE)).map_err(&keeping)?,
            line: memory::create(0).map_err(&keeping)?,
            reply: memory::create(0).map_err(&keeping)?,
        })
    }

    /// Starts the supervisor, in the memory of the one before if there was one.
    fn start(&self, crashes: u32, budget: Option<Cap<Untyped>>) -> Result<Process, String> {
        let own = environment();
        let image = self.bundle.find(SUPERVISOR).ok_or("the boot bundle has no supervisor")?;
        let pages = own.startup().home_bytes / PAGE_SIZE / SHARE;
        let (all, use_) = (Rights::all(), Rights::READ | Rights::WRITE | Rights::DERIVE);
        let builder = Builder::new(image.data)
            .arguments(own.arguments())
            .memory(Pages(u32::try_from(pages).unwrap_or(u32::MAX)))
            .generation(Generation::after(crashes))
            .faults(self.line.handle(), FAULTS)
            .files(own.modules(), self.files)
            // An operator talks with the supervisor over it.
            .console(all)
            // In the order of `charge`.
            .grant(own.machine().handle(), all)
            .grant(self.vault.handle(), all)
            .grant(self.notes.handle(), use_)
            .grant(self.core.handle(), all)
            .grant(self.line.handle(), Rights::CALL);
        let started = match budget {
            Some(budget) => builder.start_in(budget),
            None => builder.start(),
        };
        started.map_err(|error| format!("the supervisor cannot be started: {error}"))
    }

    /// Waits until the supervisor is at its end.
    fn wait(&self) -> Result<End, String> {
        loop {
            let received = self.line.receive(&self.reply, Deadline::NEVER);
            let Received::Message { message, .. } =
                received.map_err(refused("the supervisor is not heard"))?
            else {
                continue;
            };
            if let Some(fault) = Fault::from_message(&message) {
                return Ok(End::Crashed(fault));
            }
            if message.label == charge::OVER {
                return Ok(End::Over(u8::try_from(message.words[0]).unwrap_or(testing::FAILURE)));
            }
        }
    }
}

/// Why a supervisor crashed.
struct Why {
    fault: Fault,
    words: Option<LastWords>,
}

impl Why {
    /// In words: what it said itself, or what the processor did.
    fn text(&self) -> String {
        match &self.words {
            Some(words) => String::from(words.text.trim_end()),
            None => format!("{}: {}", self.fault.reason(), self.fault),
        }
    }

    fn enough(&self, crashes: u32) -> String {
        format!("the supervisor crashed {crashes} times; the last time: {}", self.text())
    }

    /// Says so on the console.
    fn tell(&self, times: u32) {
        let mut out = Writer::new();
        let Fault { trap, rip } = self.fault;
        let record = RecordWriter::begin(&mut out, "crash").and_then(|record| {
            let record = record.field("subos", "supervisor")?.field("times", times)?;
            let record =
                record.field("vector", trap.vector)?.field("address", format_args!("{:#x}", trap.address))?;
            let record = record.field("rip", format_args!("{rip:#x}"))?.field("text", self.text())?;
            record.field("trace", Trace(self.words.as_ref()))?.end()
        });
        // A console that does not take it is no reason to leave the subOSes alone.
        let _ = record;
    }

    fn tell_restart(&self, times: u32) {
        let mut out = Writer::new();
        let record = RecordWriter::begin(&mut out, "restart")
            .and_then(|record| record.field("subos", "supervisor")?.field("times", times)?.end());
        let _ = record;
    }
}

/// The calls that led to a panic, innermost first.
struct Trace<'a>(Option<&'a LastWords>);

impl core::fmt::Display for Trace<'_> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let addresses = self.0.map_or(&[][..], |words| &words.trace);
        for (index, address) in addresses.iter().enumerate() {
            out.write_str(if index == 0 { "" } else { "," })?;
            write!(out, "{address:#x}")?;
        }
        Ok(())
    }
}

/// What a refusal of the kernel means.
fn refused(what: &'static str) -> impl Fn(Error) -> String {
    move |error| format!("{what}: {}", error.name())
}
