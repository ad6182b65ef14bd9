//! Structures as programs lay them out, checked against the kernel's headers.

use linux_raw_sys::general as g;
use linux_raw_sys::system as s;
use static_assertions::const_assert_eq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::vfs::Time;

macro_rules! records {
    ($($(#[$doc:meta])* $name:ident($kernel:ty) { $($field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
        #[repr(C)]
        pub(super) struct $name { $(pub(super) $field: $type),* }
        const_assert_eq!(size_of::<$name>(), size_of::<$kernel>());
    )*};
}

records! {
    /// `struct timespec`, also as `struct timeval` with microseconds.
    TimeSpec(g::timespec) { seconds: i64, nanos: i64 }
    /// `struct itimerval`.
    IntervalTimer(g::itimerval) { interval: TimeSpec, value: TimeSpec }
    /// `struct stat`.
    StatRecord(g::stat) {
        device: u64, number: u64, links: u64, mode: u32, uid: u32, gid: u32, padding: u32, special: u64,
        size: i64, block_size: i64, blocks: i64, accessed: TimeSpec, modified: TimeSpec, changed: TimeSpec,
        reserved: [i64; 3],
    }
    /// `struct statx_timestamp`.
    StatxTime(g::statx_timestamp) { seconds: i64, nanos: u32, reserved: i32 }
    /// `struct statx`.
    StatxRecord(g::statx) {
        mask: u32, block_size: u32, attributes: u64, links: u32, uid: u32, gid: u32, mode: u16, spare: u16,
        number: u64, size: u64, blocks: u64, attributes_mask: u64, accessed: StatxTime, born: StatxTime,
        changed: StatxTime, modified: StatxTime, special: [u32; 2], device: [u32; 2], rest: [u64; 14],
    }
    /// `struct statfs`.
    StatFsRecord(g::statfs) {
        kind: u64, block_size: u64, blocks: u64, free: u64, available: u64, files: u64, files_free: u64,
        id: [i32; 2], name_length: u64, fragment: u64, flags: u64, spare: [u64; 4],
    }
    /// `struct rlimit64`.
    LimitRecord(g::rlimit64) { soft: u64, hard: u64 }
    /// `struct sysinfo`.
    SysInfo(s::sysinfo) {
        uptime: i64, loads: [u64; 3], total: u64, free: u64, shared: u64, buffers: u64, total_swap: u64,
        free_swap: u64, processes: u16, padding: u16, padding2: u32, total_high: u64, free_high: u64,
        unit: u32, padding3: u32,
    }
    /// `struct new_utsname`.
    UtsName(s::new_utsname) { fields: [[u8; 32]; 12], rest: [u8; 6] }
    /// `struct rusage`.
    Usage(g::rusage) { user: TimeSpec, system: TimeSpec, rest: [i64; 14] }
    /// `struct sigaction` of the kernel.
    ActionRecord(g::kernel_sigaction) { handler: u64, flags: u64, restorer: u64, mask: u64 }
    /// `struct pollfd`.
    PollRecord(g::pollfd) { fd: i32, events: u16, answered: u16 }
    /// `struct clone_args`.
    CloneArguments(g::clone_args) {
        flags: u64, pidfd: u64, child_tid: u64, parent_tid: u64, exit_signal: u64, stack: u64,
        stack_size: u64, tls: u64, set_tid: u64, set_tid_size: u64, cgroup: u64,
    }
}

impl TimeSpec {
    /// From nanoseconds.
    pub(super) const fn from_nanos(nanos: u64) -> Self {
        let seconds = (nanos / 1_000_000_000).cast_signed();
        Self { seconds, nanos: (nanos % 1_000_000_000).cast_signed() }
    }

    /// As a `struct timeval`.
    pub(super) const fn micros_from_nanos(nanos: u64) -> Self {
        let seconds = (nanos / 1_000_000_000).cast_signed();
        Self { seconds, nanos: (nanos % 1_000_000_000 / 1000).cast_signed() }
    }

    /// As nanoseconds; `None` when it is negative or not normal. Times beyond the clock's range are
    /// its end, which never comes.
    pub(super) fn to_nanos(self) -> Option<u64> {
        let seconds = u64::try_from(self.seconds).ok()?;
        let nanos = u64::try_from(self.nanos).ok().filter(|&nanos| nanos < 1_000_000_000)?;
        Some(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    /// A `struct timeval` as nanoseconds.
    pub(super) fn micros_to_nanos(self) -> Option<u64> {
        let micros = u64::try_from(self.nanos).ok().filter(|&micros| micros < 1_000_000)?;
        Self { seconds: self.seconds, nanos: (micros * 1000).cast_signed() }.to_nanos()
    }
}

impl From<Time> for TimeSpec {
    fn from(time: Time) -> Self {
        Self { seconds: time.seconds, nanos: i64::from(time.nanos) }
    }
}

impl From<Time> for StatxTime {
    fn from(time: Time) -> Self {
        Self { seconds: time.seconds, nanos: time.nanos, reserved: 0 }
    }
}
