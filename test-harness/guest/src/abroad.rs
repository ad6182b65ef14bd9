//! Cases that need several cores: the supervisor's subOS has one, so they run in a subOS of their own, made for them
//! by the case of the same name. What they print is passed on, and their result is the case's.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use idl::abi::PAGE_SIZE;
use idl::bundle::{BOOT, Bundle};
use idl::event::Event;
use idl::types::{Bits, Chunks, CoreNumber, Deadline, Length, PageIndex, Pages, Progress, SubOsState};
use userlib::cap::{Notification, SubOs, cap};
use userlib::{Cap, Error, check, check_eq, environment, memory, page, print, println, slots, time};

use crate::{Outcome, said};

/// How long a case abroad may take.
const PATIENCE: Duration = Duration::from_secs(25);
/// What the program abroad prints last.
const PASSED: &str = "@abroad result=ok";

/// A subOS that the case made, and the notification that its doorbell rings.
pub(crate) struct Colony {
    pub(crate) subos: Cap<SubOs>,
    pub(crate) bell: Cap<Notification>,
}

impl Colony {
    /// A subOS with so many chunks at home; nothing is in it.
    pub(crate) fn create(chunks: u32) -> Result<Self, String> {
        let machine = environment().machine();
        let handle = slots::fill(|slot| machine.create(Chunks(chunks), slot)).map_err(said("create"))?;
        let (subos, bell) = (cap::<SubOs>(handle), memory::create::<Notification>(0).map_err(said("bell"))?);
        subos.bind(bell.handle(), Bits(1)).map_err(said("bind"))?;
        Ok(Self { subos, bell })
    }

    /// Loads a program of the boot bundle into it.
    pub(crate) fn load(&self, program: &str, arguments: &str) -> Outcome {
        let (first, pages) = program_pages(program)?;
        let length = page::put_bytes(arguments.as_bytes()).map_err(said("arguments"))?;
        let modules = environment().modules().handle();
        self.subos.load(modules, first, pages, length).map_err(said("load"))
    }

    /// This program, with these arguments, on cores from 1 on.
    pub(crate) fn launch(arguments: &str, chunks: u32, cores: u32) -> Result<Self, String> {
        let colony = Self::create(chunks)?;
        colony.load(BOOT, arguments)?;
        for core in 1..=cores {
            colony.subos.grant_core(CoreNumber(core)).map_err(said("grant_core"))?;
        }
        colony.subos.start().map_err(said("start"))?;
        Ok(colony)
    }

    /// What it has printed since the last time.
    pub(crate) fn printed(&self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            let Length(count) = self.subos.read_console(Length(1024)).map_err(said("read_console"))?;
            if count == 0 {
                return Ok(text);
            }
            let mut bytes = [0; 1024];
            let count = page::get_bytes(&mut bytes[..count as usize]).map_err(said("page"))?;
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    /// Waits until it has printed a line with this, passing on what it prints; gives all of that.
    pub(crate) fn hear(&self, wanted: &str) -> Result<String, String> {
        let (end, mut heard) = (time::after(PATIENCE), String::new());
        while time::now().0 < end.0 {
            let text = self.printed()?;
            print!("{text}");
            heard.push_str(&text);
            if heard.contains(wanted) && heard.ends_with('\n') {
                return Ok(heard);
            }
            if let Ok(words) = self.subos.receive() {
                match Event::from_words(&words) {
                    Ok(Event::Condemned { .. }) => return Err(format!("condemned: {}", self.epitaph()?)),
                    Ok(Event::Unhandled { kind, address, rip, .. }) => {
                        return Err(format!("abroad: vector {kind}, address {address:#x}, rip {rip:#x}"));
                    }
                    _ => {}
                }
            }
            let _ = self.bell.wait(time::after(Duration::from_millis(2)));
        }
        Err(format!("abroad nobody said {wanted:?}"))
    }

    /// Words that it, or its kernel, sent.
    pub(crate) fn event(&self, deadline: Deadline) -> Result<[u64; 5], String> {
        loop {
            match self.subos.receive() {
                Ok(words) => return Ok(words),
                Err(Error::Empty) if time::now().0 < deadline.0 => {
                    let _ = self.bell.wait(time::after(Duration::from_millis(2)));
                }
                Err(error) => return Err(format!("no event: {error}")),
            }
        }
    }

    /// What its kernel said when it died.
    pub(crate) fn epitaph(&self) -> Result<String, String> {
        epitaph(self.subos)
    }

    /// What it is about.
    pub(crate) fn state(&self) -> Result<SubOsState, String> {
        Ok(self.subos.info().map_err(said("info"))?.state)
    }

    /// Takes a core from it, at once.
    pub(crate) fn reclaim_core(&self, core: u32) -> Outcome {
        patiently("reclaim_core", || self.subos.reclaim_core(CoreNumber(core), idl::types::Ticks(0)))
    }

    /// Ends it; everything it had is free again.
    pub(crate) fn destroy(self) -> Outcome {
        patiently("destroy", || self.subos.destroy())?;
        slots::release(self.subos.handle().index());
        slots::delete(self.bell.handle()).map_err(said("bell"))
    }
}

/// What a subOS's kernel said when it died.
pub(crate) fn epitaph(subos: Cap<SubOs>) -> Result<String, String> {
    let Length(length) = subos.epitaph().map_err(said("epitaph"))?;
    let mut bytes = [0; 2048];
    let length = page::get_bytes(&mut bytes[..length as usize]).map_err(said("page"))?;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

/// Repeats a step of the supervisor's until it is done, with an end.
pub(crate) fn patiently(what: &str, mut step: impl FnMut() -> Result<Progress, Error>) -> Outcome {
    let end = time::after(PATIENCE);
    while step().map_err(said(what))? == Progress::More {
        check!(time::now().0 < end.0, "{what} does not come to an end");
    }
    Ok(())
}

/// Where a program lies in the boot modules.
pub(crate) fn program_pages(name: &str) -> Result<(PageIndex, Pages), String> {
    let files = environment().files().map_err(said("files"))?;
    let bundle = Bundle::parse(files).map_err(|error| format!("bundle: {error}"))?;
    let entry = bundle.find(name).ok_or_else(|| format!("no program {name}"))?;
    let first = u32::try_from(entry.offset as u64 / PAGE_SIZE).map_err(|_| "a bundle too large")?;
    Ok((PageIndex(first), memory::pages_for(entry.data.len() as u64).map_err(said("pages"))?))
}

/// The audit finds nothing wrong, and the supervisor alone has resources.
pub(crate) fn clean(free_before: u64) -> Outcome {
    audit()?;
    check_eq!(free_chunks()?, free_before);
    Ok(())
}

/// The audit finds nothing wrong.
pub(crate) fn audit() -> Outcome {
    let report = environment().machine().audit().map_err(said("audit"))?;
    check!(report.violations == 0, "the audit says {report:?}");
    check!(report.entries > 0, "the audit looked at nothing");
    println!("@audit result=ok entries={}", report.entries);
    Ok(())
}

/// How many chunks are free.
pub(crate) fn free_chunks() -> Result<u64, String> {
    let totals = environment().machine().info(idl::types::MachineQuestion::Totals).map_err(said("info"))?;
    Ok(totals[2])
}

/// Runs a case in a subOS with all cores but the first, and passes on what came of it.
pub(crate) fn run(name: &str) -> Outcome {
    let totals = environment().machine().info(idl::types::MachineQuestion::Totals).map_err(said("info"))?;
    let (cores, free) = (u32::try_from(totals[0]).unwrap_or(1) - 1, totals[2]);
    let colony = Colony::launch(name, 16, cores)?;
    let heard = colony.hear("@abroad result=")?;
    check!(heard.contains(PASSED), "{}", heard.lines().last().unwrap_or_default());
    colony.destroy()?;
    clean(free)
}

/// Says what came of a case abroad.
pub(crate) fn report(result: &Outcome) {
    match result {
        Ok(()) => println!("{PASSED}"),
        Err(error) => println!("@abroad result=failed message={error}"),
    }
}
