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
/// Length of one calibration round: about 10 ms.
const ROUND: u16 = 11_932;
const PIT_CHANNEL_2: u16 = 0x42;
const PIT_COMMAND: u16 = 0x43;
const PIT_GATE: u16 = 0x61;
const GATE_OUTPUT: u8 = 0x20;
/// Polls before the PIT is taken to be absent.
const PATIENCE: u32 = 1 << 26;

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

/// Measures TSC and timer against the PIT; once, on the first core, with its APIC on. Takes the round with the
/// fewest ticks of three: a host that was busy elsewhere only makes rounds longer.
pub fn calibrate() {
    RATES.call_once(|| {
        let mut best = (0, u64::MAX);
        for _ in 0..3 {
            let round = apic::time(wait_one_round);
            if round.1 < best.1 {
                best = round;
            }
        }
        let (counts, ticks) = best;
        let ticks = ticks.max(1);
        let scaled = u128::from(ticks) * u128::from(PIT_HZ) / u128::from(ROUND);
        let ratio = ((u128::from(counts.max(1)) << 32) / u128::from(ticks)).max(1);
        Rates {
            ticks_per_second: u64::try_from(scaled).unwrap_or(u64::MAX),
            counts_per_tick: u64::try_from(ratio).unwrap_or(u64::MAX),
        }
    });
}

fn wait_one_round() {
    let [low, high] = ROUND.to_le_bytes();
    // SAFETY: the speaker's gate and the PIT do not reach memory; boot owns them.
    let gate = unsafe { in_byte(PIT_GATE) } & 0xfc;
    // Gate on, speaker off; channel 2, low then high byte, mode 0 (output rises at zero).
    for (port, value) in
        [(PIT_GATE, gate | 1), (PIT_COMMAND, 0xb0), (PIT_CHANNEL_2, low), (PIT_CHANNEL_2, high)]
    {
        // SAFETY: as above.
        unsafe { out_byte(port, value) };
    }
    for _ in 0..PATIENCE {
        // SAFETY: as above.
        let state = unsafe { in_byte(PIT_GATE) };
        if state & GATE_OUTPUT != 0 {
            return;
        }
        pause();
    }
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
    fn counts_are_rounded_up_and_bounded() {
        let half = 1 << 31;
        assert_eq!(counts_until(Ticks(10), Ticks(20), half), 1, "past deadlines fire at once");
        assert_eq!(counts_until(Ticks(103), Ticks(100), half), 2);
        assert_eq!(counts_until(Ticks(u64::MAX), Ticks(0), half), u32::MAX, "far ones come in pieces");
    }
}
