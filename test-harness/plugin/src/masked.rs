//! The longest stretches for which a core lets no interrupt in, and where it is then.
//!
//! A plugin cannot read the interrupt flag, but knows where each core is, and only so much changes the flag. In user mode
//! (the lower half of the address space) it is set: the kernel's exit sees to that. Every way into the kernel clears it. In
//! the kernel CLI clears it, STI sets it from the instruction after the next on, and IRETQ makes it what it was before the
//! interrupt, unless it returns to user mode. The kernel's few POPFs load flags that are clear.
//!
//! What takes long may ask the local APIC whether an interrupt waits, and ends if one does: such a *look* ends a stretch,
//! too, and begins another. If an interrupt were let in within what was taken for a stretch, all this would be wrong: then
//! the log says so.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{counts, log};

/// Instructions from here on are in the upper half of the address space: a kernel's.
const UPPER_HALF: u64 = 1 << 63;
/// Bytes from one entry of interrupts and exceptions to the next.
const STUB: u64 = 16;
/// The first vector that is an interrupt and not an exception.
const FIRST_INTERRUPT: u64 = 32;
/// Stretches of fewer instructions are not kept.
const SHORT: u64 = 1_000;
/// Of stretches that spend most of their time at the same place, only the longest is kept. How large a place is, as a power
/// of two.
const PLACE: u32 = 8;
/// How many of the longest are written, and the addresses of each at which most instructions were executed.
const WRITTEN: usize = 24;
const ADDRESSES: usize = 400;

/// What an instruction means for the interrupt flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// None of the below.
    Ordinary,
    /// CLI.
    Clear,
    /// STI.
    Set,
    /// IRETQ or SYSRET.
    Return,
    /// The entry of this vector.
    Entry(u64),
    /// It looks whether an interrupt waits.
    Look,
}

/// Tells what an instruction means from its bytes, all of them, and from where it lies.
pub(crate) fn step(bytes: &[u8], address: u64, entries: Option<u64>, look: Option<u64>) -> Step {
    let offset = entries.and_then(|entries| address.checked_sub(entries));
    match *bytes {
        _ if look == Some(address) => Step::Look,
        _ if offset.is_some_and(|offset| offset < 256 * STUB && offset.is_multiple_of(STUB)) => {
            Step::Entry(offset.unwrap_or(0) / STUB)
        }
        [0xfa] => Step::Clear,
        [0xfb] => Step::Set,
        [0x48, 0xcf] | [0x48, 0x0f, 0x07] => Step::Return,
        _ => Step::Ordinary,
    }
}

/// Whether a core lets interrupts in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flag {
    /// It boots: there is nothing yet that could take an interrupt.
    #[default]
    Boot,
    /// It is in user mode.
    User,
    /// It is in the kernel and does.
    Open,
    /// It does not.
    Masked,
    /// STI was executed: from the instruction after the next on it does.
    Opening,
    /// It returns to where an interrupt or exception came from.
    Returning,
}

/// A stretch that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stretch {
    core: u32,
    work: u64,
    waits: u64,
    from: u64,
    to: u64,
    /// How often which instructions were executed.
    places: Vec<(u64, u64)>,
}

/// What is known of a core.
#[derive(Debug, Default)]
struct Watched {
    flag: Flag,
    /// Whether it let interrupts in when the last interrupt or exception came out of the kernel.
    before: bool,
    /// The instructions of this stretch.
    trace: Vec<u64>,
    /// Rounds of waiting loops that the core had executed when it began.
    waited: u64,
    /// The longest of each place.
    longest: HashMap<u64, Stretch>,
    stretches: u64,
    /// Interrupts that were let in within a stretch.
    wrong: u64,
}

static CORES: [Mutex<Option<Watched>>; counts::CORES] = [const { Mutex::new(None) }; counts::CORES];

fn lock(core: &Mutex<Option<Watched>>) -> MutexGuard<'_, Option<Watched>> {
    core.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A core is about to execute an instruction.
pub(crate) fn instruction(core: u32, address: u64, step: Step) {
    if let Some(place) = CORES.get(core as usize) {
        let waits = counts::waits(core);
        lock(place).get_or_insert_default().take(core, address, step, waits);
    }
}

impl Watched {
    fn take(&mut self, core: u32, address: u64, step: Step, waits: u64) {
        if address < UPPER_HALF {
            if !matches!(self.flag, Flag::Boot | Flag::User) {
                self.end(core, waits);
                self.flag = Flag::User;
            }
            return;
        }
        match (self.flag, step) {
            (Flag::Boot, Step::Set | Step::Return) => self.begin(waits),
            (Flag::Boot, _) | (Flag::Open, Step::Ordinary | Step::Set | Step::Return | Step::Look) => return,
            (Flag::User, _) => self.begin(waits),
            (Flag::Open, Step::Clear | Step::Entry(_)) => {
                self.before = matches!(step, Step::Entry(_));
                self.begin(waits);
            }
            (Flag::Opening, _) => {
                self.trace.push(address);
                self.end(core, waits);
                self.flag = Flag::Open;
                return;
            }
            // Taken before the first instruction of user mode.
            (Flag::Returning, Step::Entry(_)) => {
                self.end(core, waits);
                self.begin(waits);
            }
            (Flag::Returning, _) if self.before => {
                self.end(core, waits);
                (self.flag, self.before) = (Flag::Open, false);
                return self.take(core, address, step, waits);
            }
            (Flag::Returning, _) => self.flag = Flag::Masked,
            (Flag::Masked, Step::Entry(vector)) => {
                self.wrong += u64::from(vector >= FIRST_INTERRUPT);
                self.before = false;
            }
            (Flag::Masked, Step::Look) => {
                self.end(core, waits);
                self.begin(waits);
            }
            (Flag::Masked, _) => {}
        }
        self.trace.push(address);
        match step {
            Step::Set => self.flag = Flag::Opening,
            Step::Return => self.flag = Flag::Returning,
            Step::Clear => self.before = false,
            _ => {}
        }
    }

    fn begin(&mut self, waits: u64) {
        (self.flag, self.waited) = (Flag::Masked, waits);
        self.trace.clear();
    }

    fn end(&mut self, core: u32, waits: u64) {
        self.stretches += 1;
        let waits = waits - self.waited;
        let work = (self.trace.len() as u64).saturating_sub(waits);
        let (Some(from), Some(to)) = (self.trace.first(), self.trace.last()) else { return };
        if work < SHORT {
            return;
        }
        let mut places: HashMap<u64, u64> = HashMap::new();
        self.trace.iter().for_each(|address| *places.entry(*address >> PLACE).or_default() += 1);
        let key =
            places.into_iter().max_by_key(|(place, count)| (*count, *place)).map_or(0, |(place, _)| place);
        let longest = self.longest.entry(key).or_default();
        if work > longest.work {
            let mut counts: HashMap<u64, u64> = HashMap::new();
            self.trace.iter().for_each(|address| *counts.entry(*address).or_default() += 1);
            let mut places: Vec<(u64, u64)> = counts.into_iter().collect();
            places.sort_unstable_by_key(|(address, count)| (std::cmp::Reverse(*count), *address));
            *longest = Stretch { core, work, waits, from: *from, to: *to, places };
        }
    }
}

/// Writes the longest stretches, with the addresses of each at which it was most.
pub(crate) fn write() {
    let (mut all, mut stretches, mut wrong) = (Vec::new(), 0, 0);
    for place in &CORES {
        let Some(mut watched) = lock(place).take() else { continue };
        all.extend(std::mem::take(&mut watched.longest).into_values());
        stretches += watched.stretches;
        wrong += watched.wrong;
    }
    all.sort_unstable_by_key(|stretch| {
        (std::cmp::Reverse(stretch.work), stretch.core, stretch.from, stretch.to)
    });
    for stretch in all.iter().take(WRITTEN) {
        let Stretch { core, work, waits, from, to, places } = stretch;
        log::line(format_args!("masked core {core} work {work} waits {waits} from {from:#x} to {to:#x}"));
        for (address, count) in places.iter().take(ADDRESSES) {
            log::line(format_args!("within {address:#x} {count}"));
        }
    }
    log::line(format_args!("stretches {stretches} wrong {wrong}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: u64 = UPPER_HALF + 0x1000;
    const ENTRIES: u64 = UPPER_HALF + 0x10_0000;

    fn entry(vector: u64) -> (u64, Step) {
        (ENTRIES + vector * STUB, Step::Entry(vector))
    }

    /// A core that has been in user mode once, and then executed these, each so often.
    fn after(steps: &[((u64, Step), u64)]) -> Watched {
        let mut watched = Watched::default();
        watched.take(0, KERNEL, Step::Return, 0);
        watched.take(0, 0x20_0000, Step::Ordinary, 0);
        watched.stretches = 0;
        for ((address, step), times) in steps {
            (0..*times).for_each(|_| watched.take(0, *address, *step, 0));
        }
        watched
    }

    fn longest(watched: &Watched) -> (u64, u64) {
        (watched.stretches, watched.longest.values().map(|stretch| stretch.work).max().unwrap_or(0))
    }

    const USER: (u64, Step) = (0x20_0000, Step::Ordinary);
    const WORK: (u64, Step) = (KERNEL, Step::Ordinary);
    const RETURN: (u64, Step) = (KERNEL + 8, Step::Return);

    #[test]
    fn from_a_system_call_to_its_return_is_one_stretch() {
        assert_eq!(longest(&after(&[(WORK, 1999), (RETURN, 1), (USER, 5)])), (1, 2000));
        assert_eq!(longest(&after(&[(WORK, 1999), (RETURN, 1)])), (0, 0), "it has not ended");
    }

    #[test]
    fn an_interrupt_before_the_first_instruction_of_user_mode_begins_another() {
        let watched =
            after(&[(WORK, 1500), (RETURN, 1), (entry(0xef), 1), (WORK, 1200), (RETURN, 1), (USER, 1)]);
        assert_eq!((longest(&watched), watched.wrong), ((2, 1501), 0));
    }

    #[test]
    fn what_is_let_in_while_a_core_sleeps_is_not_counted_to_what_was_before() {
        let (set, halt, clear) = ((KERNEL, Step::Set), WORK, (KERNEL, Step::Clear));
        let taken = [(entry(0xf0), 1), (WORK, 1600), (RETURN, 1)];
        let mut steps = vec![(WORK, 1100), (set, 1), (halt, 1)];
        steps.extend(taken);
        steps.extend([(clear, 1), (WORK, 1300), (RETURN, 1), (USER, 1)]);
        let watched = after(&steps);
        assert_eq!((longest(&watched), watched.wrong), ((3, 1602), 0));
    }

    #[test]
    fn a_look_ends_a_stretch_and_begins_another() {
        let look = (KERNEL, Step::Look);
        assert_eq!(
            longest(&after(&[(WORK, 1500), (look, 1), (WORK, 1700), (RETURN, 1), (USER, 1)])),
            (2, 1702)
        );
    }

    #[test]
    fn an_interrupt_within_a_stretch_is_told() {
        assert_eq!(after(&[(WORK, 10), (entry(0xef), 1)]).wrong, 1);
        assert_eq!(after(&[(WORK, 10), (entry(2), 1), (WORK, 3), (RETURN, 1), (WORK, 1)]).wrong, 0, "an NMI");
    }

    #[test]
    fn boot_is_no_stretch() {
        let mut watched = Watched::default();
        (0..5000).for_each(|_| watched.take(0, KERNEL, Step::Ordinary, 0));
        watched.take(0, 0x20_0000, Step::Ordinary, 0);
        assert_eq!(longest(&watched), (0, 0));
    }

    #[test]
    fn instructions_are_known_by_their_bytes_and_their_places() {
        let step = |bytes: &[u8], address| step(bytes, address, Some(ENTRIES), Some(KERNEL));
        assert_eq!(step(&[0xfa], 5), Step::Clear);
        assert_eq!(step(&[0xfb], 5), Step::Set);
        assert_eq!(step(&[0x48, 0xcf], 5), Step::Return);
        assert_eq!(step(&[0x48, 0x0f, 0x07], 5), Step::Return);
        assert_eq!(step(&[0x90], KERNEL), Step::Look);
        assert_eq!(step(&[0x6a, 0x00], ENTRIES + 16 * 0xef), Step::Entry(0xef));
        assert_eq!(step(&[0xe9, 0, 0, 0, 0], ENTRIES + 16 * 0xef + 4), Step::Ordinary);
        assert_eq!(step(&[0x90], ENTRIES + 16 * 256), Step::Ordinary);
    }
}
