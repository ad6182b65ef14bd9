//! Giving cores and lots, one or several at once: all of them or none.
//!
//! The ledger makes all changes or none. Then everything is made ready that can fail, of which the kernel that is to have it
//! sees nothing; it gets all of it in one visit. So whatever stands in the way, there is nothing to take back that somebody uses.

use caps::ledger::{self, Granted, LedgerChange, LotEntry, LotRole, Resource};
use caps::{Capability, Error, Kind, Rights};
use idl::event::Event;
use idl::kernel::subos::Grant;
use idl::slots::{root_core, root_lot};
use idl::types::{Chunks, CoreNumber, LotNumber};

use super::books::{Books, Ledger};
use super::visit::{lot_slot, notify, visit};
use super::{Target, cores, create, lots};
use crate::arch::Core;
use crate::kernel::Kernel;
use crate::limits::MAX_CORES;
use crate::outcome::Answer;
use crate::types::CoreId;

/// Lots that one call gives at most.
pub const LOTS: usize = 3;

/// A core, or a lot of so many chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// This core.
    Core(CoreId),
    /// A lot of so many chunks.
    Lot(u32),
}

/// What is wished for: these cores, one bit each, then lots of so many chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// The cores.
    pub cores: u64,
    /// The lots. Only of several things one without chunks is none.
    pub lots: [u32; LOTS],
}

type Lots = heapless::Vec<LotEntry, LOTS>;

/// Which wish could not be fulfilled, and why.
type Refused = (usize, Error);

/// `SubOs.grant_core` and `SubOs.grant_lot`: one wish. Answers with the lot's number.
///
/// # Errors
/// `BadSize`, `NoResource`, `Condemned`.
pub fn grant_one(books: &mut Books, core: &mut Core, target: Target, wish: Wish) -> Result<Answer, Error> {
    let granted = match wish {
        Wish::Core(which) => grant(books, core, target, which.bit(), &[]),
        Wish::Lot(chunks) => grant(books, core, target, 0, &[chunks]),
    };
    let lots = granted.map_err(|(_, error)| error)?;
    Ok(lots.first().map_or(Answer::NOTHING, |lot| Answer::of(u64::from(lot.seat))))
}

/// `SubOs.grant`: all of these, or none.
///
/// # Errors
/// `Condemned`. All that is about one of the wishes is in the answer.
pub fn grant_all(
    books: &mut Books,
    core: &mut Core,
    target: Target,
    wishes: Wishes,
) -> Result<Answer, Error> {
    let chunks: heapless::Vec<u32, LOTS> = wishes.lots.into_iter().filter(|chunks| *chunks != 0).collect();
    let mut lots = [LotNumber(0); LOTS];
    let (refused, error) = match grant(books, core, target, wishes.cores, &chunks) {
        Ok(granted) => {
            for (place, lot) in lots.iter_mut().zip(&granted) {
                *place = LotNumber(u32::from(lot.seat));
            }
            (0, 0)
        }
        Err((position, error @ (Error::NoResource | Error::BadSize))) => {
            (position as u64 + 1, u64::from(error.number()))
        }
        Err((_, error)) => return Err(error),
    };
    let [first, second, third] = lots;
    Ok(Answer::of(Grant { refused, error, first, second, third }))
}

fn grant(
    books: &mut Books,
    core: &mut Core,
    target: Target,
    cores: u64,
    lots: &[u32],
) -> Result<Lots, Refused> {
    let id = target.find(books).and_then(|id| books.cell(id).map(|_| id)).map_err(|error| (0, error))?;
    let wanted = CoreId::all_in(cores).map(|which| ledger::CoreId(which.0));
    let wanted = wanted.map(|core| LedgerChange::GrantCore { core, to: id });
    let role = LotRole::Extra;
    let lots = lots.iter().map(|&chunks| LedgerChange::GrantLot { chunks, to: id, role });
    let changes: heapless::Vec<LedgerChange, { MAX_CORES + LOTS }> = wanted.chain(lots).collect();
    let granted = books.ledger_for(LOTS).apply(&changes).map_err(|(position, error)| match error {
        Error::BadSize => (position, error),
        _ => (position, Error::NoResource),
    })?;
    let given = prepare(books, id, &granted).and_then(|lots| {
        visit(books, core, id, |kernel| plant(kernel, cores, &lots)).map_err(|error| (0, error))??;
        Ok(lots)
    });
    match &given {
        Ok(lots) => announce(books, id, cores, lots),
        Err(_) => granted.iter().for_each(|resource| take_back(books, id, *resource)),
    }
    given
}

/// Makes ready all that the subOS's kernel does not see yet. The lots are clear then: stopped, the next call gets the same
/// ones, of which some is clear.
fn prepare(books: &mut Books, id: ledger::SubOsId, granted: &Granted) -> Result<Lots, Refused> {
    let mut lots = Lots::new();
    for (position, resource) in granted.iter().enumerate() {
        let ready = match *resource {
            Resource::Core(which) => cores::map(books, id, CoreId(which.0)),
            Resource::Lot(lot) => books.ledger().lot(lot).and_then(|lot| {
                // There is room: no more are asked for.
                let _ = lots.push(lot);
                let clear = create::scrub_soiled(books, &lot);
                if clear { lots::map(books, id, &lot) } else { Err(books.stop()) }
            }),
        };
        ready.map_err(|error| (position, error))?;
    }
    Ok(lots)
}

/// Plants the roots of all that a kernel gets, if there is a free slot for each.
fn plant(kernel: &mut Kernel, cores: u64, lots: &[LotEntry]) -> Result<(), Refused> {
    let of_cores = CoreId::all_in(cores).map(|which| root_core(u32::from(which.0)));
    let of_lots = lots.iter().map(|lot| root_lot(u32::from(lot.seat)));
    for (position, index) in of_cores.chain(of_lots).enumerate() {
        let place = kernel.roots.zip(index);
        let vacant = place.is_some_and(|(roots, index)| roots.vacant(&kernel.memory, index).is_ok());
        vacant.then_some(()).ok_or((position, Error::NoResource))?;
    }
    let mut planted = CoreId::all_in(cores).try_for_each(|which| cores::admit(kernel, which));
    for lot in lots {
        let root = Capability::new(Kind::Untyped, Rights::all(), lot.address(), lot.bytes());
        let slot = lot_slot(kernel, u32::from(lot.seat)).ok_or(Error::NoResource);
        planted = planted.and(slot.and_then(|slot| kernel.plant(slot, root)));
    }
    assert!(planted.is_ok(), "a root slot that was vacant takes a root");
    Ok(())
}

/// The cores go there, and the subOS is told.
fn announce(books: &mut Books, id: ledger::SubOsId, cores: u64, lots: &[LotEntry]) {
    for which in CoreId::all_in(cores) {
        cores::send(books, id, which);
        cores::retarget(books, id);
        notify(id, Event::CoreGranted { core: CoreNumber(u32::from(which.0)) });
    }
    for lot in lots {
        let (number, chunks) = (LotNumber(u32::from(lot.seat)), Chunks(lot.count));
        notify(id, Event::LotGranted { lot: number, chunks });
    }
}

/// Takes back what could not be given: nobody has used it. What is the second side of a window is the first's alone when it is
/// quiet, and has gone.
pub fn take_back(books: &mut Books, id: ledger::SubOsId, resource: Resource) {
    match resource {
        Resource::Core(which) => cores::unmap(books, id, CoreId(which.0)),
        Resource::Lot(lot) => {
            if let Ok(entry) = books.ledger().lot(lot) {
                lots::unmap(books, id, &entry);
            }
        }
    }
    let mut ledger = books.ledger();
    let _ = ledger.apply(&[LedgerChange::Reclaim { resource, from: id }]);
    for step in [Ledger::revoked, Ledger::quiesced, Ledger::scrubbed] {
        let done = step(&mut ledger, resource);
        let shared = done == Err(Error::StaleHandle);
        assert!(done.is_ok() || shared, "what was just granted can be taken back");
    }
}
