//! Machine: the authority over the ledger. What it does reaches outside this kernel, so every call is a visit.

use caps::Error;
use idl::kernel::machine::Call;

use crate::kernel::Kernel;
use crate::machine::Visit;
use crate::outcome::Outcome;
use crate::syscall::Caller;

impl Kernel {
    /// Carries out a call of Machine, as far as this kernel can.
    pub fn invoke_machine(&mut self, caller: &Caller, call: Call) -> Result<Outcome, Error> {
        let visit = match call {
            Call::Info { which } => Visit::Machine(which),
            Call::Create { home, slot } => {
                caller.table.vacant(&self.memory, slot)?;
                Visit::Create { home: home.0, slot }
            }
            Call::Ledger { resource, index } => Visit::Ledger(resource, index),
            Call::Audit => Visit::Audit,
        };
        Ok(Outcome::Visit(visit))
    }
}
