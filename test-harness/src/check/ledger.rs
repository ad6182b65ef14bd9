//! The ledger: what the journal says of it, judged by the specification.

use caps::ledger::{ChunkId, SubOsId};
use caps_spec::ledger::{LedgerMemory, LedgerModel};

use super::entry::LedgerEntry;

/// The ledger, as the specification has it and as the kernel had it last.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The specification's, from the first operation on.
    pub model: Option<LedgerModel>,
    /// The kernel's.
    pub memory: Option<LedgerMemory>,
}

impl Ledger {
    /// Takes the next operation. The error says what is wrong with it.
    pub fn apply(&mut self, entry: &LedgerEntry) -> Result<(), String> {
        let LedgerMemory { cores, chunks, lots, suboses } = &entry.after;
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let model = self.model.get_or_insert_with(|| {
            let cores = u8::try_from(cores.len()).unwrap_or(u8::MAX);
            LedgerModel::new(cores, number(chunks.len()), lots.len(), suboses.len())
        });
        let expected = model.perform(&entry.operation);
        if entry.answer != expected {
            return Err(format!("I23 refines: answered {:?}, expected {expected:?}", entry.answer));
        }
        let mut after = entry.after.clone();
        let ledger = after.ledger();
        model.compare(&ledger).map_err(|_| "I23 refines: the state afterwards".to_owned())?;
        ledger.audit().map_err(|found| format!("I11 exclusive: {found:?}"))?;
        self.memory = Some(after);
        Ok(())
    }

    /// Who has the memory at an address.
    #[must_use]
    pub fn owner(&mut self, address: u64) -> Option<SubOsId> {
        let chunk = ChunkId(u32::try_from(address / caps::bounds::CHUNK).ok()?);
        self.memory.as_mut()?.ledger().chunk(chunk).ok()?.subos()
    }
}
