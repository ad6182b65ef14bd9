//! The lines of a script that are about the ledger.

use std::collections::BTreeMap;

use caps::ledger::{ChunkId, CoreId, LedgerChange, LotRole, Resource, SubOsId};
use caps_spec::ledger::{LedgerAnswer, LedgerGame, LedgerMemory, LedgerModel, LedgerOperation};

use crate::failure::{Failure, Result};
use crate::watch::script::Line;

/// The ledger of a script, once there is one.
#[derive(Default)]
pub(super) struct Ledger {
    game: Option<LedgerGame>,
    suboses: BTreeMap<String, SubOsId>,
    lots: BTreeMap<String, Resource>,
    /// What it says.
    pub(super) model: Option<LedgerModel>,
}

impl Ledger {
    /// Carries out a line, if it is about the ledger; gives what was asked and answered.
    pub(super) fn perform(&mut self, line: &Line) -> Result<Option<(String, String)>> {
        let operation = match line.verb.as_str() {
            "machine" => {
                self.begin(line)?;
                return Ok(Some((asked(line), "everything is in the pool".to_owned())));
            }
            "create" => LedgerOperation::Create,
            "grant" => LedgerOperation::Apply(vec![self.grant(line)?]),
            "reclaim" => {
                let (resource, _) = self.resource(line)?;
                let from = self.holder(resource).unwrap_or(SubOsId { index: 0, generation: 0 });
                LedgerOperation::Apply(vec![LedgerChange::Reclaim { resource, from }])
            }
            "revoked" => LedgerOperation::Revoked(self.resource(line)?.0),
            "quiesced" => LedgerOperation::Quiesced(self.resource(line)?.0),
            "scrubbed" => LedgerOperation::Scrubbed(self.resource(line)?.0),
            "quarantine" => LedgerOperation::Quarantine(self.resource(line)?.0),
            "destroy" => LedgerOperation::Destroy(self.subos(line.word(0, "a subOS")?)?),
            "destroyed" => LedgerOperation::Destroyed(self.subos(line.word(0, "a subOS")?)?),
            _ => return Ok(None),
        };
        let answer = self.game()?.apply(&operation).map_err(Failure::new)?;
        self.remember(line, &answer)?;
        self.model = self.game.as_ref().map(|game| game.model.clone());
        let answered = match answer {
            LedgerAnswer::Refused(_, error) => format!("refused: {error} ({})", error.meaning().trim()),
            _ => "done".to_owned(),
        };
        Ok(Some((asked(line), answered)))
    }

    fn game(&mut self) -> Result<&mut LedgerGame> {
        self.game.as_mut().ok_or_else(|| Failure::new("a ledger begins with `machine CORES CHUNKS`"))
    }

    fn begin(&mut self, line: &Line) -> Result<()> {
        let (cores, chunks) = (line.number_at(0, "cores")?, line.number_at(1, "chunks")?);
        line.ends_at(2)?;
        let cores = u8::try_from(cores).ok().filter(|cores| (1..=64).contains(cores));
        let chunks = u32::try_from(chunks).ok().filter(|chunks| (1..=4096).contains(chunks));
        let (Some(cores), Some(chunks)) = (cores, chunks) else {
            return Err(Failure::new("a machine has 1 to 64 cores and 1 to 4096 chunks"));
        };
        let mut game = LedgerGame::at(LedgerMemory::new(cores, chunks, 16, 8));
        let all = (0..cores).map(|core| LedgerOperation::ReleaseCore(CoreId(core)));
        for operation in all.chain((0..chunks).map(|chunk| LedgerOperation::ReleaseChunk(ChunkId(chunk)))) {
            let _ = game.apply(&operation).map_err(Failure::new)?;
        }
        self.model = Some(game.model.clone());
        self.game = Some(game);
        Ok(())
    }

    /// `grant core N to NAME`, `grant lot NAME CHUNKS to NAME [home]`.
    fn grant(&self, line: &Line) -> Result<LedgerChange> {
        let to = |place: usize| -> Result<SubOsId> {
            match line.word(place, "`to`")? {
                "to" => self.subos(line.word(place + 1, "a subOS")?),
                other => Err(Failure::new(format!("`{other}` is not `to`"))),
            }
        };
        match line.word(0, "`core` or `lot`")? {
            "core" => Ok(LedgerChange::GrantCore { core: core(line)?, to: to(2)? }),
            "lot" => {
                let chunks = u32::try_from(line.number_at(2, "chunks")?).unwrap_or(u32::MAX);
                let role = match line.words.get(5).map(String::as_str) {
                    None => LotRole::Extra,
                    Some("home") => LotRole::Home,
                    Some(other) => return Err(Failure::new(format!("`{other}` is not `home`"))),
                };
                Ok(LedgerChange::GrantLot { chunks, to: to(3)?, role })
            }
            other => Err(Failure::new(format!("`{other}` is neither `core` nor `lot`"))),
        }
    }

    /// `core N`, or the name of a lot; and the word behind it.
    fn resource(&self, line: &Line) -> Result<(Resource, usize)> {
        match line.word(0, "a core or a lot")? {
            "core" => Ok((Resource::Core(core(line)?), 2)),
            name => {
                let lot = self.lots.get(name).copied();
                lot.map(|lot| (lot, 1)).ok_or_else(|| Failure::new(format!("no lot is called `{name}`")))
            }
        }
    }

    fn subos(&self, name: &str) -> Result<SubOsId> {
        let subos = self.suboses.get(name).copied();
        subos.ok_or_else(|| Failure::new(format!("no subOS is called `{name}`")))
    }

    fn holder(&self, resource: Resource) -> Option<SubOsId> {
        let model = self.model.as_ref()?;
        match resource {
            Resource::Core(core) => model.cores.get(&core.0)?.subos(),
            Resource::Lot(lot) => model.lots.get(&lot)?.holder.subos(),
        }
    }

    /// Gives what was made its name.
    fn remember(&mut self, line: &Line, answer: &LedgerAnswer) -> Result<()> {
        match answer {
            LedgerAnswer::SubOs(subos) => {
                self.suboses.insert(line.word(0, "a name")?.to_owned(), *subos);
            }
            LedgerAnswer::Granted(granted) => {
                if let (Some(lot @ Resource::Lot(_)), "grant") = (granted.first(), line.verb.as_str()) {
                    self.lots.insert(line.word(1, "a name")?.to_owned(), *lot);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn core(line: &Line) -> Result<CoreId> {
    let number = line.number_at(1, "a core")?;
    u8::try_from(number).map(CoreId).map_err(|_| Failure::new(format!("there is no core {number}")))
}

fn asked(line: &Line) -> String {
    format!("{} {}", line.verb, line.words.join(" "))
}
