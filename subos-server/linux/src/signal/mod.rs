//! Signals: sets, dispositions, what is pending.

pub(crate) mod deliver;
pub(crate) mod frame;
pub(crate) mod send;

use alloc::vec::Vec;
use linux_raw_sys::general as g;

use crate::error::{Errno, Result};
use crate::limits::MAX_QUEUED_SIGNALS;
use crate::memory::address::UserPtr;

/// A signal number, 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Signal(u8);

macro_rules! signals {
    ($($name:ident = $raw:ident),* $(,)?) => {
        impl Signal {
            $(
                #[allow(clippy::cast_possible_truncation, reason = "signal numbers are at most 64")]
                pub(crate) const $name: Self = Self(g::$raw as u8);
            )*
        }
    };
}

signals! {
    ILL = SIGILL, TRAP = SIGTRAP, BUS = SIGBUS, FPE = SIGFPE, KILL = SIGKILL, SEGV = SIGSEGV, PIPE = SIGPIPE,
    ALRM = SIGALRM, CHLD = SIGCHLD, CONT = SIGCONT, STOP = SIGSTOP, TSTP = SIGTSTP, TTIN = SIGTTIN,
    TTOU = SIGTTOU, URG = SIGURG, WINCH = SIGWINCH,
}

impl Signal {
    /// The signal with this number.
    pub(crate) fn new(number: u64) -> Result<Self> {
        u8::try_from(number).ok().filter(|number| (1..=64).contains(number)).map(Self).ok_or(Errno::EINVAL)
    }

    pub(crate) const fn number(self) -> u8 {
        self.0
    }

    const fn bit(self) -> u64 {
        1 << (self.0 - 1)
    }

    /// What happens when the program did not say.
    pub(crate) const fn default_effect(self) -> Default {
        match self {
            Self::CHLD | Self::URG | Self::WINCH => Default::Ignore,
            Self::CONT => Default::Continue,
            Self::STOP | Self::TSTP | Self::TTIN | Self::TTOU => Default::Stop,
            _ => Default::End,
        }
    }
}

/// The effect of a signal that has no handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Default {
    Ignore,
    End,
    Stop,
    Continue,
}

/// A set of signals, as the kernel's `sigset_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SigSet(pub(crate) u64);

impl SigSet {
    /// The signals that cannot be blocked.
    const UNBLOCKABLE: Self = Self(Signal::KILL.bit() | Signal::STOP.bit());

    pub(crate) const fn contains(self, signal: Signal) -> bool {
        self.0 & signal.bit() != 0
    }

    pub(crate) const fn with(self, signal: Signal) -> Self {
        Self(self.0 | signal.bit())
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// A mask as a program may set it.
    pub(crate) const fn blockable(self) -> Self {
        self.without(Self::UNBLOCKABLE)
    }
}

/// What comes with a signal, in the terms of `siginfo_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) signal: Signal,
    pub(crate) code: i32,
    pub(crate) detail: Detail,
}

/// The part of `siginfo_t` that depends on where the signal came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Nothing more.
    None,
    /// From a process.
    Sender { pid: u32, uid: u32 },
    /// From a child that changed state.
    Child { pid: u32, uid: u32, status: i32 },
    /// From a fault at an address.
    Fault { address: u64 },
}

impl Info {
    /// From the system itself.
    #[allow(clippy::cast_possible_wrap, reason = "SI_KERNEL is 128")]
    pub(crate) const fn from_kernel(signal: Signal) -> Self {
        Self { signal, code: g::SI_KERNEL as i32, detail: Detail::None }
    }
}

/// Signals that wait to be delivered, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending {
    queue: Vec<Info>,
}

impl Pending {
    /// Adds a signal. A standard signal that is pending already is not queued twice.
    pub(crate) fn push(&mut self, info: Info) -> Result<()> {
        let standard = info.signal.number() < 32;
        if standard && self.set().contains(info.signal) {
            return Ok(());
        }
        if !standard && self.queue.len() >= MAX_QUEUED_SIGNALS {
            return Err(Errno::EAGAIN);
        }
        self.queue.push(info);
        Ok(())
    }

    /// Which signals are pending.
    pub(crate) fn set(&self) -> SigSet {
        self.queue.iter().fold(SigSet::default(), |set, info| set.with(info.signal))
    }

    /// Takes the lowest-numbered signal that `blocked` does not hold back.
    pub(crate) fn take(&mut self, blocked: SigSet) -> Option<Info> {
        let ready = self.queue.iter().enumerate().filter(|(_, info)| !blocked.contains(info.signal));
        let (place, _) = ready.min_by_key(|&(place, info)| (info.signal, place))?;
        Some(self.queue.remove(place))
    }

    /// Forgets signals.
    pub(crate) fn discard(&mut self, set: SigSet) {
        self.queue.retain(|info| !set.contains(info.signal));
    }
}

/// What a program wants done with a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    Default,
    Ignore,
    Handler(UserPtr),
}

/// A disposition with what sigaction(2) gives along.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Action {
    pub(crate) disposition: Disposition,
    pub(crate) flags: u64,
    pub(crate) restorer: u64,
    pub(crate) mask: SigSet,
}

impl Action {
    const DEFAULT: Self = Self { disposition: Disposition::Default, flags: 0, restorer: 0, mask: SigSet(0) };

    pub(crate) const fn has(&self, flag: u32) -> bool {
        self.flags & flag as u64 != 0
    }
}

/// All dispositions of a program.
#[derive(Clone)]
pub(crate) struct Handlers {
    actions: [Action; 64],
}

impl Handlers {
    pub(crate) const fn new() -> Self {
        Self { actions: [Action::DEFAULT; 64] }
    }

    pub(crate) const fn get(&self, signal: Signal) -> Action {
        self.actions[signal.0 as usize - 1]
    }

    pub(crate) const fn set(&mut self, signal: Signal, action: Action) {
        self.actions[signal.0 as usize - 1] = action;
    }

    /// Whether delivering the signal would do nothing at all.
    pub(crate) fn ignores(&self, signal: Signal) -> bool {
        match self.get(signal).disposition {
            Disposition::Ignore => true,
            Disposition::Default => {
                matches!(signal.default_effect(), Default::Ignore | Default::Continue)
            }
            Disposition::Handler(_) => false,
        }
    }

    /// What execve leaves: handlers become defaults, ignored signals stay so.
    pub(crate) fn after_exec(&self) -> Self {
        let mut fresh = Self::new();
        for (fresh, old) in fresh.actions.iter_mut().zip(&self.actions) {
            if old.disposition == Disposition::Ignore {
                fresh.disposition = Disposition::Ignore;
            }
        }
        fresh
    }
}
