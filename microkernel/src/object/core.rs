//! Core: one processor core of this subOS.

use caps::Error;
use idl::Words;
use idl::kernel::core::{Call, CoreInfo};
use idl::types::{CoreNumber, Ticks};

use crate::kernel::Kernel;
use crate::limits::MAX_CORES;
use crate::outcome::{Answer, Outcome};
use crate::syscall::Caller;

impl Kernel {
    /// Carries out a call of a Core.
    pub fn invoke_core(&mut self, caller: &Caller, call: Call) -> Result<Outcome, Error> {
        let Call::Info = call;
        let number = usize::try_from(caller.found.capability.badge).unwrap_or(MAX_CORES);
        let state = self.cores.get(number).ok_or(Error::InvalidArgument)?;
        let counters = state.counters;
        let here = counters.owned + self.now.0.saturating_sub(state.arrived.0);
        let info = CoreInfo {
            core: CoreNumber(u32::try_from(number).map_err(|_| Error::InvalidArgument)?),
            switches: counters.switches,
            interrupts: counters.timers + counters.doorbells + counters.others,
            idle: Ticks(here.saturating_sub(counters.busy)),
        };
        Ok(Answer { words: info.to_words() }.into())
    }
}
