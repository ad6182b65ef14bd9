//! Machine: the authority over the ledger. What it does reaches outside this kernel, so every call is a visit.

use caps::Error;
use idl::kernel::machine::Call;

use super::Methods;
use crate::kernel::Kernel;
use crate::machine::Visit;
use crate::outcome::Outcome;
use crate::syscall::Caller;

impl Methods for Call {
    type Request = Visit;

    #[inline(always)]
    fn decode(self, kernel: &Kernel, caller: &Caller) -> Result<Visit, Error> {
        Ok(match self {
            Call::Info { which } => Visit::Machine(which),
            Call::Create { home, slot } => {
                caller.table.vacant(&kernel.memory, slot)?;
                Visit::Create { home: home.0, slot }
            }
            Call::Ledger { resource, index } => Visit::Ledger(resource, index),
            Call::Audit => Visit::Audit,
        })
    }

    #[inline(always)]
    fn perform(visit: Visit, _: &mut Kernel, _: &Caller) -> Outcome {
        Outcome::Visit(visit)
    }
}
