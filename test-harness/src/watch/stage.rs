//! What the lines of a script do: each operation is carried out by `caps` and judged by the specification.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use caps::bounds::PAGE;
use caps::{
    Capability, Change, Effect, Generation, Handle, InFlight, Kind, Reset, Rights, SlotIndex, SlotRef, Table,
};
use caps_spec::game::{FIRST, Game};
use caps_spec::operation::{Answer, Operation, Outcome};

use super::script::{Line, parse};
use super::{Step, effect_text};
use crate::check::show::Tree;
use crate::failure::{Failure, Result};

mod ledger;

/// Slots of the table that a script's first capabilities lie in.
const TABLE: u32 = 64;
/// All slots, those of tables that a script makes among them: 64 pages of memory.
const SLOTS: u32 = 64 * 65;
/// How many steps a removal may take.
const MOST_STEPS: usize = 2000;

/// Plays a script to its end.
///
/// # Errors
/// When a line cannot be read or names nothing, with the file and the line; and if `caps` does something that the
/// specification does not say.
pub fn play(file: &str, text: &str) -> Result<Vec<Step>> {
    let mut stage = Stage::new();
    for line in parse(text) {
        stage.perform(&line).map_err(|failure| {
            Failure::new(format!("{file}, line {}: {}", line.number, failure.what()))
                .next("cargo run -- caps --help says what a line can be")
        })?;
    }
    Ok(stage.steps)
}

/// The state of a script.
struct Stage {
    game: Game,
    names: BTreeMap<String, SlotRef>,
    flights: BTreeMap<String, InFlight>,
    /// Where the next planted memory begins.
    memory: u64,
    ledger: ledger::Ledger,
    steps: Vec<Step>,
}

impl Stage {
    fn new() -> Self {
        Self {
            game: Game::empty(SLOTS, TABLE),
            names: BTreeMap::new(),
            flights: BTreeMap::new(),
            memory: u64::from(TABLE + 8).next_multiple_of(64) * 64,
            ledger: ledger::Ledger::default(),
            steps: Vec::new(),
        }
    }

    fn perform(&mut self, line: &Line) -> Result<()> {
        match line.verb.as_str() {
            "plant" => self.plant(line),
            "retype" => self.retype(line),
            "derive" => self.derive(line),
            "bind" => {
                let (region, space) = (self.cap(line, 0)?, self.cap(line, 1)?);
                let dest = self.dest(line.word(2, "a name")?)?;
                let number = u16::try_from(1 + self.game.log.len()).unwrap_or(1);
                self.make(line, 2, dest, Operation::Bind { region, space, dest, number })
            }
            "move" => {
                let (source, dest) = (self.cap(line, 0)?, self.dest(line.word(1, "a name")?)?);
                self.make(line, 1, dest, Operation::Move { source, dest })
            }
            "lock" => {
                let outcome = self.act(line, Operation::Lock { source: self.cap(line, 0)? })?;
                if let Ok(Answer::Ticket(ticket)) = outcome {
                    self.flights.insert(line.words[0].clone(), ticket);
                }
                Ok(())
            }
            "unlock" => {
                let ticket = self.flight(line)?;
                self.act(line, Operation::Unlock { ticket }).map(drop)
            }
            "land" => {
                let (ticket, dest) = (self.flight(line)?, self.dest(line.word(1, "a name")?)?);
                self.make(line, 1, dest, Operation::Land { ticket, dest })
            }
            "watch" => self.act(line, Operation::Watch { at: self.cap(line, 0)? }).map(drop),
            "mark" => self.act(line, Operation::MarkRevoking { root: self.cap(line, 0)? }).map(drop),
            "lookup" => self.lookup(line),
            "revoke" | "delete" | "reset" | "sweep" => self.remove(line),
            _ => match ledger::Ledger::perform(&mut self.ledger, line)? {
                Some((asked, answered)) => {
                    self.show(asked, answered, Vec::new());
                    Ok(())
                }
                None => Err(Failure::new(format!("there is no operation `{}`", line.verb))),
            },
        }
    }

    /// The capability that a word names.
    fn cap(&self, line: &Line, place: usize) -> Result<SlotRef> {
        let word = line.word(place, "a capability")?;
        self.slot(word)?.ok_or_else(|| Failure::new(format!("nothing is called `{word}`")))
    }

    /// The slot that a word names: that of a capability, or one of a table's.
    fn slot(&self, word: &str) -> Result<Option<SlotRef>> {
        let Some((table, index)) = word.strip_suffix(']').and_then(|word| word.split_once('[')) else {
            return Ok(self.names.get(word).copied());
        };
        let at = self.names.get(table).ok_or_else(|| Failure::new(format!("nothing is called `{table}`")))?;
        let says = self.game.subject.memory.peek(*at).capability();
        let table = says.and_then(|says| says.table());
        let index = index.parse().map_err(|_| Failure::new(format!("`{index}` is no number of a slot")))?;
        let slot = table.and_then(|table| table.at(SlotIndex(index)).ok());
        slot.map(Some).ok_or_else(|| Failure::new(format!("`{word}` is no slot")))
    }

    /// Where something new is to go: the slot that the word names, or a free one of the first table.
    fn dest(&self, word: &str) -> Result<SlotRef> {
        if let Some(slot) = self.slot(word)?.filter(|_| word.ends_with(']')) {
            return Ok(slot);
        }
        let free = |at: &SlotRef| self.game.subject.memory.peek(*at).is_free();
        let free = (1..TABLE).filter_map(|index| FIRST.offset(index)).find(free);
        free.ok_or_else(|| Failure::new("the first table is full"))
    }

    fn flight(&self, line: &Line) -> Result<InFlight> {
        let word = line.word(0, "what is in flight")?;
        let flight = self.flights.get(word).copied();
        flight.ok_or_else(|| Failure::new(format!("`{word}` was never locked")))
    }

    fn plant(&mut self, line: &Line) -> Result<()> {
        let (dest, kind) = (self.dest(line.word(0, "a name")?)?, kind(line.word(1, "a kind")?)?);
        let pages = if line.words.len() > 2 { line.number_at(2, "pages")? } else { 0 };
        line.ends_at(3)?;
        let capability = Capability::new(kind, Rights::all(), self.memory, pages * PAGE);
        let room = u64::from(SLOTS) * 64 - self.memory;
        if pages * PAGE > room {
            return Err(Failure::new(format!("there are {} pages left for roots", room / PAGE)));
        }
        self.memory += pages * PAGE;
        self.make(line, 0, dest, Operation::Plant { dest, capability })
    }

    fn retype(&mut self, line: &Line) -> Result<()> {
        let (untyped, dest) = (self.cap(line, 0)?, self.dest(line.word(1, "a name")?)?);
        let kind = kind(line.word(2, "a kind")?)?;
        let size = if line.words.len() > 3 { Some(line.number_at(3, "size")?) } else { None };
        line.ends_at(4)?;
        let bytes = match kind {
            Kind::Untyped | Kind::Region | Kind::AddressSpace => size.unwrap_or(1).saturating_mul(PAGE),
            Kind::CSpace => size.unwrap_or(8).saturating_mul(64),
            Kind::Thread => 1024,
            Kind::Guest => 256,
            _ => 64,
        };
        self.make(line, 1, dest, Operation::Retype { untyped, dest, kind, bytes, align: 1 })
    }

    fn derive(&mut self, line: &Line) -> Result<()> {
        let (parent, dest) = (self.cap(line, 0)?, self.dest(line.word(1, "a name")?)?);
        let mut change = Change { rights: Rights::empty(), badge: None, part: None };
        let mut place = 2;
        while let Some(word) = line.words.get(place) {
            place += 1;
            match word.as_str() {
                "badge" => {
                    change.badge = NonZeroU64::new(line.number_at(place, "a badge")?);
                    place += 1;
                }
                "part" => {
                    let page = line.number_at(place, "a page")?;
                    let pages = line.number_at(place + 1, "pages")?;
                    change.part = Some((page.saturating_mul(PAGE), pages.saturating_mul(PAGE)));
                    place += 2;
                }
                word => {
                    change.rights |= Rights::from_name(word).ok_or_else(|| {
                        Failure::new(format!("`{word}` is neither a right, nor badge, nor part"))
                    })?;
                }
            }
        }
        if change.rights.is_empty() {
            let above = self.game.subject.memory.peek(parent).capability();
            change.rights = above.map_or(Rights::all(), |above| above.rights);
        }
        self.make(line, 1, dest, Operation::Derive { parent, dest, change })
    }

    fn lookup(&mut self, line: &Line) -> Result<()> {
        let at = self.cap(line, 0)?;
        let slot = self.game.subject.memory.peek(at);
        let (kind, generation) = (slot.kind(), slot.generation());
        let tables = Tree::of_model(&self.game.model).tables();
        let own = Table { first: FIRST, count: TABLE };
        let inside =
            |table: &Table| (table.first.number()..table.first.number() + table.count).contains(&at.number());
        let table = tables.into_iter().chain([own]).find(inside).unwrap_or(own);
        let index = SlotIndex(at.number() - table.first.number());
        let handle = Handle::new(index, Generation(generation.0));
        self.act(line, Operation::Lookup { table, handle, kind, rights: Rights::empty() }).map(drop)
    }

    /// Steps of a removal, until it is done.
    fn remove(&mut self, line: &Line) -> Result<()> {
        let first = usize::from(line.verb != "sweep");
        let at = if first == 1 { self.cap(line, 0)? } else { FIRST };
        let mut budget = 1;
        if line.words.get(first).is_some_and(|word| word == "by") {
            budget = u32::try_from(line.number_at(first + 1, "capabilities a step")?).unwrap_or(u32::MAX);
            line.ends_at(first + 2)?;
        } else {
            line.ends_at(first)?;
        }
        if line.verb == "reset" {
            let begun = self.act(line, Operation::ResetBegin { untyped: at })?;
            if begun.is_err() {
                return Ok(());
            }
        }
        for _ in 0..MOST_STEPS {
            let operation = match line.verb.as_str() {
                "revoke" => Operation::RevokeStep { root: at, budget },
                "delete" => Operation::DeleteStep { at, budget },
                "reset" => Operation::ResetStep { untyped: at, budget },
                _ => Operation::SweepStep { budget },
            };
            match self.act(line, operation)? {
                Ok(Answer::Step(caps::Step::More)) | Ok(Answer::Reset(Reset::Removing)) => {}
                Ok(Answer::Reset(Reset::Clear(used))) => {
                    let cleared = Operation::ResetCleared { untyped: at, bytes: used.bytes };
                    return self.act(line, cleared).map(drop);
                }
                _ => return Ok(()),
            }
        }
        Err(Failure::new(format!("`{}` does not end: more than nothing a step is needed", line.verb)))
    }

    /// Carries out what makes something with the name at `place`.
    fn make(&mut self, line: &Line, place: usize, dest: SlotRef, operation: Operation) -> Result<()> {
        let name = line.word(place, "a name")?.to_owned();
        let known = self.names.insert(name.clone(), dest);
        if self.act(line, operation)?.is_err() && !name.ends_with(']') {
            // What was not made has no name; who had it has it still.
            match known {
                Some(known) => drop(self.names.insert(name, known)),
                None => drop(self.names.remove(&name)),
            }
        }
        Ok(())
    }

    /// Carries an operation out and shows it.
    fn act(&mut self, line: &Line, operation: Operation) -> Result<Outcome> {
        let mut effects: Vec<Effect> = Vec::new();
        let _ = self.game.subject.clone().perform(&operation, &mut effects);
        let outcome = self.game.apply(&operation).map_err(Failure::new)?;
        let asked = format!("{} {}", line.verb, line.words.join(" "));
        self.show(asked, answer(&outcome), effects.iter().map(effect_text).collect());
        Ok(outcome)
    }

    fn show(&mut self, asked: String, answered: String, effects: Vec<String>) {
        let tree = Tree::of_model(&self.game.model);
        let names = self.names.iter().map(|(name, at)| (*at, name.clone()));
        let names = names.filter(|(at, _)| tree.0.contains_key(at)).collect();
        let ledger = self.ledger.model.clone();
        self.steps.push(Step { asked, answered, effects, tree, names, ledger });
    }
}

/// An answer, in words.
pub fn answer(outcome: &Outcome) -> String {
    match outcome {
        Err(error) => format!("refused: {error} ({})", error.meaning().trim()),
        Ok(Answer::Step(caps::Step::More)) => "there is more to do".to_owned(),
        Ok(Answer::Step(caps::Step::Done) | Answer::Reset(Reset::Done)) => "done".to_owned(),
        Ok(Answer::Reset(Reset::Removing)) => "capabilities are left".to_owned(),
        Ok(Answer::Reset(Reset::Clear(used))) => format!("{:#x} bytes are to be cleared", used.bytes),
        Ok(_) => "done".to_owned(),
    }
}

fn kind(word: &str) -> Result<Kind> {
    let known = Kind::ALL.into_iter().find(|kind| format!("{kind:?}") == word);
    known.ok_or_else(|| Failure::new(format!("there is no kind `{word}`")))
}
