//! Time: the TSC is the clock, the local APIC's one-shot timer wakes a core at a deadline.
//!
//! Both are calibrated against the PIT (Intel 8254 data sheet; its channel 2 is gated through port 0x61). The TSC is
//! assumed to run alike on all cores. A deadline further away than the timer's 32 bits is reached in pieces: the timer
//! interrupt then comes early, and whoever handles it arms again.

use spin::Once;

use super::apic;
use super::instructions::{in_byte, out_byte, pause, read_tsc};
use crate::types::Ticks;

#[derive(Clone, Copy, Debug)]
struct Rates {
    ticks_per_second: u64,
    /// Timer counts per TSC tick, times 2^32.
    counts_per_tick: u64,
}

#[cfg_attr(feature = "image", unsafe(link_section = ".sealed"))]
static RATES: Once<Rates> = Once::new();

/// The PIT's input clock.
const PIT_HZ: u64 = 1_193_182;
/// Length of the calibration in counts of the PIT: about 20 ms, well below its 16 bits.
const LENGTH: u16 = 23_864;
/// Looks at all three clocks before the one with the smallest gap is taken for simultaneous.
const LOOKS: u32 = 16;
/// Calibrations that a busy host may spoil before the last one is taken as it is.
const TRIES: u32 = 8;
const PIT_CHANNEL_2: u16 = 0x42;
const PIT_COMMAND: u16 = 0x43;
const PIT_GATE: u16 = 0x61;
const GATE_OUTPUT: u8 = 0x20;
/// Channel 2, low then high byte, mode 0: counts down, output rises at zero.
const PIT_COUNT_DOWN: u8 = 0xb0;
/// Latches channel 2's count.
const PIT_LATCH: u8 = 0x80;
/// Looks before the PIT is taken to be absent.
const PATIENCE: u32 = 1 << 20;

/// The time now.
#[inline(always)]
#[must_use]
pub fn now() -> Ticks {
    Ticks(read_tsc())
}

/// How many ticks a second has; 1 GHz before calibration.
#[must_use]
pub fn ticks_per_second() -> u64 {
    RATES.get().map_or(1_000_000_000, |rates| rates.ticks_per_second)
}

/// So many microseconds, in ticks.
#[must_use]
pub fn microseconds(count: u64) -> Ticks {
    Ticks((u128::from(count) * u128::from(ticks_per_second()) / 1_000_000).try_into().unwrap_or(u64::MAX))
}

/// The three clocks, read as nearly at the same time as the host allows.
#[derive(Clone, Copy, Debug)]
struct Look {
    pit: u16,
    tsc: u64,
    timer: u32,
    gap: u64,
}

/// Measures TSC and timer against the PIT; once, on the first core, with its APIC on.
///
/// A host that is busy elsewhere stops this core between any two instructions, so what counts is not when an event is
/// noticed but how close together the clocks were read: of several looks the one with the smallest gap is taken, at
/// the start and at the end.
pub fn calibrate() {
    RATES.call_once(|| {
        let mut rates = Rates { ticks_per_second: 1_000_000_000, counts_per_tick: 1 << 32 };
        for _ in 0..TRIES {
            start_pit();
            apic::run_masked();
            let start = look();
            let Some(end) = look_later(start.pit) else { continue };
            rates = rates_between(start, end);
            // The PIT has run out when the core was away for long: its count means nothing then.
            if pit_gate() & GATE_OUTPUT == 0 {
                break;
            }
        }
        apic::stop_timer();
        rates
    });
}

fn rates_between(start: Look, end: Look) -> Rates {
    let pit = u128::from(start.pit.saturating_sub(end.pit)).max(1);
    let ticks = u128::from(end.tsc.saturating_sub(start.tsc)).max(1);
    let counts = u128::from(start.timer.saturating_sub(end.timer)).max(1);
    let ratio = ((counts << 32) / ticks).max(1);
    Rates {
        ticks_per_second: u64::try_from(ticks * u128::from(PIT_HZ) / pit).unwrap_or(u64::MAX),
        counts_per_tick: u64::try_from(ratio).unwrap_or(u64::MAX),
    }
}

fn pit_gate() -> u8 {
    // SAFETY: the speaker's gate does not reach memory; boot owns it.
    unsafe { in_byte(PIT_GATE) }
}

/// Lets channel 2 count down from its largest value.
fn start_pit() {
    let gate = pit_gate() & 0xfc;
    for (port, value) in
        [(PIT_GATE, gate | 1), (PIT_COMMAND, PIT_COUNT_DOWN), (PIT_CHANNEL_2, 0xff), (PIT_CHANNEL_2, 0xff)]
    {
        // SAFETY: the PIT does not reach memory; boot owns it.
        unsafe { out_byte(port, value) };
    }
}

fn pit_count() -> u16 {
    // SAFETY: as in `start_pit`.
    unsafe { out_byte(PIT_COMMAND, PIT_LATCH) };
    // SAFETY: as in `start_pit`.
    let low = unsafe { in_byte(PIT_CHANNEL_2) };
    // SAFETY: as in `start_pit`.
    let high = unsafe { in_byte(PIT_CHANNEL_2) };
    u16::from_le_bytes([low, high])
}

fn look() -> Look {
    let mut best: Option<Look> = None;
    for _ in 0..LOOKS {
        let before = read_tsc();
        let (pit, timer) = (pit_count(), apic::counts_left());
        let after = read_tsc();
        let gap = after.saturating_sub(before);
        if best.is_none_or(|best| gap < best.gap) {
            best = Some(Look { pit, tsc: before, timer, gap });
        }
    }
    best.unwrap_or(Look { pit: 0, tsc: 0, timer: 0, gap: 0 })
}

/// A look at least [`LENGTH`] after a count.
fn look_later(start: u16) -> Option<Look> {
    for _ in 0..PATIENCE {
        if start.saturating_sub(pit_count()) >= LENGTH {
            return Some(look());
        }
        pause();
    }
    None
}

/// Waits, for boot only.
pub fn wait(length: Ticks) {
    let end = now().0.saturating_add(length.0);
    while now().0 < end {
        pause();
    }
}

/// Asks for the timer interrupt at `deadline`, or at once if that is past, or earlier if it is far.
pub fn arm(deadline: Ticks) {
    apic::start_timer(counts_until(
        deadline,
        now(),
        RATES.get().map_or(1 << 32, |rates| rates.counts_per_tick),
    ));
}

/// Takes the request back.
pub fn disarm() {
    apic::stop_timer();
}

fn counts_until(deadline: Ticks, now: Ticks, counts_per_tick: u64) -> u32 {
    let ticks = u128::from(deadline.0.saturating_sub(now.0));
    // Rounded up, so that the interrupt does not come just before the deadline.
    let counts = (ticks * u128::from(counts_per_tick)).div_ceil(1 << 32);
    u32::try_from(counts).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_from_two_looks() {
        let start = Look { pit: 60_000, tsc: 1_000, timer: u32::MAX, gap: 0 };
        let end =
            Look { pit: 60_000 - 11_932, tsc: 1_000 + 30_000_000, timer: u32::MAX - 10_000_000, gap: 0 };
        let rates = rates_between(start, end);
        assert!((2_990_000_000..3_010_000_000).contains(&rates.ticks_per_second));
        assert_eq!(rates.counts_per_tick, (10_000_000_u64 << 32) / 30_000_000);
        // Clocks that stand still give rates that can be computed with.
        assert!(rates_between(start, start).counts_per_tick > 0);
    }

    #[test]
    fn counts_are_rounded_up_and_bounded() {
        let half = 1 << 31;
        assert_eq!(counts_until(Ticks(10), Ticks(20), half), 1, "past deadlines fire at once");
        assert_eq!(counts_until(Ticks(103), Ticks(100), half), 2);
        assert_eq!(counts_until(Ticks(u64::MAX), Ticks(0), half), u32::MAX, "far ones come in pieces");
    }
}
