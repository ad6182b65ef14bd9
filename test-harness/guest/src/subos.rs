//! SubOSes for the cases: they run this same program, whose arguments say what to do there.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use idl::bundle::{BOOT, Bundle, PAGE};
use idl::types::{Chunks, CoreNumber, Length, PageIndex};
use userlib::cap::{SubOs, complete};
use userlib::memory::pages_for;
use userlib::{Cap, cap, environment, page, println, slots, time};

use crate::{Outcome, PATIENCE, said};

/// The home lot of a subOS for a case: 8 MiB.
pub(crate) const HOME: Chunks = Chunks(4);
/// The core on which [`run`] runs one.
const CORE: CoreNumber = CoreNumber(1);
/// What ends what a subOS prints.
const END: &str = "that is all";

/// A subOS without a program.
pub(crate) fn create() -> Result<Cap<SubOs>, String> {
    create_of(HOME)
}

/// A subOS with a home lot of this size, without a program.
pub(crate) fn create_of(home: Chunks) -> Result<Cap<SubOs>, String> {
    let handle = slots::fill(|slot| environment().machine().create(home, slot)).map_err(said("create"))?;
    Ok(cap::cap(handle))
}

/// Loads this program with these arguments.
pub(crate) fn load(subos: Cap<SubOs>, arguments: &str) -> Outcome {
    let files = environment().files().map_err(said("files"))?;
    let bundle = Bundle::parse(files).map_err(|error| format!("bundle: {error:?}"))?;
    let program = bundle.find(BOOT).ok_or("no boot program in the bundle")?;
    let first = u32::try_from(program.offset / PAGE).map_err(|_| "the bundle is too large")?;
    let pages = pages_for(program.data.len() as u64).map_err(said("pages"))?;
    let length: Length = page::put_bytes(arguments.as_bytes()).map_err(said("arguments"))?;
    subos.load(environment().modules().handle(), PageIndex(first), pages, length).map_err(said("load"))
}

/// Destroys a subOS.
pub(crate) fn destroy(subos: Cap<SubOs>) -> Outcome {
    complete(|| subos.destroy()).map_err(said("destroy"))?;
    slots::release(subos.handle().index());
    Ok(())
}

/// Runs this program with these arguments in a subOS on core 1 until it says that it is done; gives what it printed.
/// Records of observed pairs among it go on to the harness.
pub(crate) fn run(arguments: &str) -> Result<String, String> {
    let subos = create()?;
    load(subos, arguments)?;
    subos.grant_core(CORE).map_err(said("grant"))?;
    subos.start().map_err(said("start"))?;
    let deadline = time::after(PATIENCE);
    let mut printed = String::new();
    while !printed.contains(END) {
        printed.push_str(&console(subos)?);
        if time::now().0 > deadline.0 {
            return Err(format!("{arguments} does not end; it said {printed:?}"));
        }
        time::sleep(Duration::from_millis(1));
    }
    printed.lines().filter(|line| line.starts_with("@pair ")).for_each(|line| println!("{line}"));
    destroy(subos)?;
    Ok(printed)
}

/// What is in its console now.
pub(crate) fn console(subos: Cap<SubOs>) -> Result<String, String> {
    let length = subos.read_console(Length(1024)).map_err(said("console"))?;
    let mut bytes = [0; 1024];
    page::get_bytes(&mut bytes).map_err(said("page"))?;
    let length = usize::try_from(length.0).unwrap_or(0).min(bytes.len());
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

/// What this program does in a subOS: it carries out the work, reports what it observed, and says that it is done.
pub(crate) fn inside(work: fn()) {
    work();
    #[cfg(feature = "image")]
    {
        let mut writer = userlib::console::Writer::new();
        // A console that is full for long takes no record either; its supervisor then sees no end.
        let _ = userlib::observe::report(&mut writer);
    }
    println!("{END}");
    userlib::thread::exit()
}
