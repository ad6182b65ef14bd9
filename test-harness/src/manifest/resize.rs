//! A step that moves several resources at once, on paper.

use idl::plan::{Action, Chunks, CoreNumber, LotNumber, MAX_GIVEN, Part, Resize, SubOsIndex};
use toml::Spanned;

use super::check::chunks;
use super::complaint::{Complaint, Result};
use super::steps::{Paper, holder, manner};
use super::text;

/// Checks such a step and carries it out on paper, unless it is to be refused: then whatever it names may be missing.
pub(super) fn resize(paper: &mut Paper<'_>, step: &Spanned<text::Resize>) -> Result<Action> {
    let part = step.get_ref();
    let from = part.from.as_ref().map(|name| paper.living(name)).transpose()?;
    let to = part.to.as_ref().map(|name| paper.living(name)).transpose()?;
    check_form(step, from, to)?;
    if part.refused.is_none() {
        carry_out(paper, part, from, to)?;
    }
    let bits =
        |bits: u64, number: &Spanned<u8>| bits | 1u64.checked_shl((*number.get_ref()).into()).unwrap_or(0);
    let mut memory = [Chunks(0); MAX_GIVEN];
    for (place, size) in memory.iter_mut().zip(&part.memory) {
        *place = chunks(size, paper.machine)?;
    }
    Ok(Action::Resize(Resize {
        from: holder(from),
        to: holder(to),
        cores: part.cores.iter().fold(0, bits),
        lots: u32::try_from(part.lots.iter().fold(0, bits)).unwrap_or(0),
        memory,
        manner: manner(part.ask),
        refused: part.refused.as_ref().map(|part| refused(*part.get_ref())),
    }))
}

/// What can be said without a look at who has what.
fn check_form(step: &Spanned<text::Resize>, from: Option<SubOsIndex>, to: Option<SubOsIndex>) -> Result<()> {
    let part = step.get_ref();
    let given = part.lots.len() + part.memory.len();
    let reason = match () {
        () if from == to => "a resize is from one to another: say from, to or both".to_owned(),
        () if part.cores.is_empty() && given == 0 => "it moves nothing: say cores, lots or memory".to_owned(),
        () if given > MAX_GIVEN => {
            format!("at most {MAX_GIVEN} lots can be given at once, and these are {given}")
        }
        () if from.is_none() && !part.lots.is_empty() => "lots are somebody's: say from".to_owned(),
        () if to.is_none() && !part.memory.is_empty() => "new memory is for somebody: say to".to_owned(),
        () if part.lots.iter().any(|lot| !(1..32).contains(lot.get_ref())) => {
            "a lot that can go has a number from 1 to 31: the home lot goes only with its subOS".to_owned()
        }
        () => return Ok(()),
    };
    Err(Complaint::about(step, reason))
}

fn carry_out(
    paper: &mut Paper<'_>,
    part: &text::Resize,
    from: Option<SubOsIndex>,
    to: Option<SubOsIndex>,
) -> Result<()> {
    for core in &part.cores {
        paper.held(core, from)?;
        paper.cores.insert(*core.get_ref(), to);
    }
    let mut sizes = Vec::new();
    for lot in &part.lots {
        let number = *lot.get_ref();
        let lots = from.and_then(|from| paper.lots.get_mut(&from.0));
        let Some(size) = lots.and_then(|lots| lots.remove(&number)) else {
            let side = from.is_some_and(|from| paper.has_side(from, number));
            let why = if side { ", but a side of a window, which a step closes" } else { "" };
            let reason =
                format!("{} has no lot {number} then{why}", from.map_or("nobody", |from| paper.name(from)));
            return Err(Complaint::about(lot, reason));
        };
        sizes.push(size);
    }
    let Some(to) = to else { return Ok(()) };
    for size in sizes {
        paper.gets(to, size);
    }
    for size in &part.memory {
        if *size.get_ref() > paper.free_memory() {
            return Err(Complaint::about(size, format!("only {} MiB are free then", paper.free_memory())));
        }
        paper.gets(to, *size.get_ref());
    }
    Ok(())
}

fn refused(part: text::Part) -> Part {
    match part {
        text::Part::Core(core) => Part::Core(CoreNumber(core)),
        text::Part::Lot(lot) => Part::Lot(LotNumber(lot)),
        text::Part::Memory(size) => Part::Memory(Chunks(size / 2)),
    }
}
