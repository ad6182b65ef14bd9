//! Core: one processor core of this subOS.

use caps::Error;
use idl::kernel::core::{Call, CoreInfo};
use idl::types::{CoreNumber, Ticks};

use super::Methods;
use crate::kernel::Kernel;
use crate::limits::MAX_CORES;
use crate::outcome::{Answer, Outcome};
use crate::syscall::Caller;

impl Methods for Call {
    type Request = CoreInfo;

    #[inline(always)]
    fn decode(self, kernel: &Kernel, caller: &Caller) -> Result<CoreInfo, Error> {
        let Call::Info = self;
        let number = usize::try_from(caller.found.capability.badge).unwrap_or(MAX_CORES);
        let state = kernel.cores.get(number).ok_or(Error::InvalidArgument)?;
        let counters = state.counters;
        let here = counters.owned + kernel.now.0.saturating_sub(state.arrived.0);
        Ok(CoreInfo {
            core: CoreNumber(u32::try_from(number).map_err(|_| Error::InvalidArgument)?),
            switches: counters.switches,
            interrupts: counters.timers + counters.doorbells + counters.others,
            idle: Ticks(here.saturating_sub(counters.busy)),
        })
    }

    #[inline(always)]
    fn perform(info: CoreInfo, _: &mut Kernel, _: &Caller) -> Outcome {
        Answer::of(info).into()
    }
}
