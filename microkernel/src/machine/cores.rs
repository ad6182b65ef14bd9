//! Cores: giving one, and taking one whatever it does.
//!
//! A core is taken by an interrupt: it saves what runs, goes to the park root, forgets its owner and says so. Then
//! its seats are given to others in the owner's kernel, the capability to it is removed, its area leaves the kernel
//! half, and it is free. A core that does not answer the interrupt in time gets one that cannot be masked, which
//! costs its owner the kernel: it was deaf. One that does not answer that either is quarantined.

use caps::ledger::{self, Holder, LedgerChange, Phase, Resource};
use caps::{Capability, Error, Kind, Rights};
use idl::Words;
use idl::event::Event;
use idl::types::{CoreNumber, Progress, Ticks as EventTicks};

use super::books::{Books, Errand, Record};
use super::visit::{await_briefly, core_slot, is_quiet, look, notify, raise, visit};
use super::{Target, condemn, create, doorbell, number_of, windows};
use crate::arch::x86_64::{apic, clock};
use crate::arch::{self, Access, Arrival, Command, Core, Mailbox};
use crate::kernel::Kernel;
use crate::limits::{BRIEF_MICROSECONDS, PARK_MICROSECONDS, VISIT_STEPS};
use crate::outcome::Answer;
use crate::removal::Removing;
use crate::sync::mailbox::Sequence;
use crate::sync::recall::{Recall, Standing};
use crate::types::{CoreId, SubOsId, Ticks};

const MORE: Answer = Answer { words: [Progress::More as u64, 0, 0, 0, 0] };

/// The ledger's name of a core.
const fn in_ledger(core: CoreId) -> ledger::CoreId {
    ledger::CoreId(core.0)
}

/// Puts a core's area into the half of who is to have it.
pub fn map(books: &mut Books, id: ledger::SubOsId, which: CoreId) -> Result<(), Error> {
    crate::arch::x86_64::testing::bench_padding();
    if create::is_supervisor(id) {
        return Ok(());
    }
    let memory = books.areas.get(which.index()).copied().ok_or(Error::NoResource)?;
    let half = books.record(id).half.take().ok_or(Error::WrongState)?;
    let mapped = half.map_core_area(which, memory, Access::Read, &mut books.pages);
    books.record(id).half = Some(half);
    mapped.map_err(|_| Error::NoResource)
}

/// Sends a core to the kernel that has room for it now.
pub fn send(books: &mut Books, id: ledger::SubOsId, which: CoreId) {
    let Record { cell: Some(kernel), half: Some(half), .. } = books.record(id) else { return };
    let arrival = Arrival { kernel: *kernel, home_root: half.root(), subos: number_of(id) };
    books.errands[which.index()] = Errand::None;
    let _ = Mailbox::of(which).enter(arrival.to_words());
    arch::send_ipi(which, arch::Vector::PARK);
}

/// Plants a core's root in the kernel that it will work for, and makes room for it there.
pub fn admit(kernel: &mut Kernel, which: CoreId) -> Result<(), Error> {
    let slot = core_slot(kernel, which).ok_or(Error::NoResource)?;
    let mut root = Capability::new(Kind::Core, Rights::all(), u64::from(which.0), 0);
    root.badge = u64::from(which.0);
    kernel.plant(slot, root).map_err(|_| Error::NoResource)?;
    kernel.welcome(which);
    Ok(())
}

/// Takes a core's area out of its owner's kernel half.
pub fn unmap(books: &mut Books, id: ledger::SubOsId, which: CoreId) {
    if create::is_supervisor(id) {
        return;
    }
    if let Some(half) = &books.record(id).half {
        half.unmap_core_area(which);
    }
}

/// `SubOs.reclaim_core`.
///
/// # Errors
/// `NotOwner`, `Condemned`.
pub fn reclaim(
    books: &mut Books,
    core: &mut Core,
    target: Target,
    which: CoreId,
    deadline: Ticks,
) -> Result<Answer, Error> {
    let id = target.find(books)?;
    let resource = Resource::Core(in_ledger(which));
    let holder = books.ledger().core(in_ledger(which)).map_err(|_| Error::NotOwner)?;
    if holder.subos() != Some(id) {
        return Err(Error::NotOwner);
    }
    books.cell(id)?;
    let errand = books.errands[which.index()];
    if holder == Holder::SubOs(id) {
        if deadline > arch::now() {
            return Ok(ask(books, id, which, deadline));
        }
        books.ledger().apply(&[LedgerChange::Reclaim { resource, from: id }]).map_err(|(_, error)| error)?;
        if !matches!(errand, Errand::Leaving(_)) {
            tell_to_park(books, which);
        }
    }
    for _ in 0..VISIT_STEPS {
        let next = match books.ledger().core(in_ledger(which)) {
            Ok(Holder::Leaving(_, Phase::Revoking)) => leave(books, core, id, which)?,
            Ok(Holder::Leaving(_, Phase::Quiescing)) => quiesce(books, id, which)?,
            Ok(Holder::Leaving(_, Phase::Scrubbing)) => {
                // The core cleared itself on the park root.
                books.ledger().scrubbed(resource)?;
                books.moves.cores += 1;
                books.errands[which.index()] = Errand::None;
                Next::Free
            }
            // Quarantined on the way.
            _ => Next::Free,
        };
        match next {
            Next::On if !apic::interrupt_waits() => {}
            Next::Wait | Next::On => return Ok(MORE),
            Next::Free => return Ok(Answer { words: Progress::Done.to_words() }),
        }
    }
    Ok(MORE)
}

/// How a step of taking something went.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Enough for one call, or a core must do something first.
    Wait,
    /// There is more to do.
    On,
    /// It is in the pool, or given up.
    Free,
}

/// Asks the owner, once for each deadline, to part with a core.
fn ask(books: &mut Books, id: ledger::SubOsId, which: CoreId, deadline: Ticks) -> Answer {
    // Another deadline is another wish: the one before may have been given up.
    if books.errands[which.index()] != Errand::Requested(deadline) {
        books.errands[which.index()] = Errand::Requested(deadline);
        let core = CoreNumber(u32::from(which.0));
        notify(id, Event::CoreWanted { core, deadline: EventTicks(deadline.0) });
    }
    MORE
}

/// Leaves an order to go in a core's mailbox and makes it look there.
fn order(books: &mut Books, which: CoreId, order: Command) {
    let mut sequence = Sequence(u64::MAX);
    if !super::is_deaf(which) {
        sequence = Mailbox::of(which).command(order);
    }
    interrupt(which, order);
    let since = look(&mut books.watch);
    books.errands[which.index()] = Errand::Leaving(Recall { order, sequence, since });
}

/// Makes a core look into its mailbox.
fn interrupt(which: CoreId, order: Command) {
    match order {
        _ if super::is_deaf(which) => {}
        Command::Condemn => apic::send_nmi(which),
        _ => arch::send_ipi(which, arch::Vector::PARK),
    }
}

/// Interrupts a core, so that it parks.
pub fn tell_to_park(books: &mut Books, which: CoreId) {
    order(books, which, Command::Park);
}

/// Whether a core that was told to park has done so; when it takes too long, means that leave it no choice.
pub fn parked(books: &mut Books, id: ledger::SubOsId, which: CoreId) -> Next {
    let recall = match books.errands[which.index()] {
        Errand::Leaving(recall) => recall,
        Errand::Parked(_) => return Next::Free,
        _ => {
            tell_to_park(books, which);
            return Next::Wait;
        }
    };
    let mailbox = Mailbox::of(which);
    await_briefly(clock::microseconds(BRIEF_MICROSECONDS), || recall.is_answered(mailbox));
    match recall.standing(mailbox, look(&mut books.watch), clock::microseconds(PARK_MICROSECONDS)) {
        Standing::Parked => Next::Free,
        Standing::Patience => {
            // The interrupt may have been lost; a core that is on its way is not harmed by another.
            interrupt(which, recall.order);
            Next::Wait
        }
        Standing::Deaf => {
            condemn::by_visitor(books, id, "a core did not answer the interrupt that takes it away");
            order(books, which, Command::Condemn);
            Next::Wait
        }
        Standing::Silent => {
            let _ = books.ledger().quarantine(Resource::Core(in_ledger(which)));
            Next::On
        }
    }
}

/// The core parks; then its kernel gives its seats to others, in bounded steps, and its root is removed.
fn leave(books: &mut Books, core: &mut Core, id: ledger::SubOsId, which: CoreId) -> Result<Next, Error> {
    match parked(books, id, which) {
        Next::Free => {}
        other => return Ok(other),
    }
    let progress = visit(books, core, id, |kernel| {
        if kernel.cores[which.index()].active {
            kernel.forsake(which);
        }
        let slot = core_slot(kernel, which).ok_or(Error::NotOwner)?;
        kernel.removal_step(slot, Removing::Delete, None)
    })??;
    if progress == Progress::More {
        return Ok(Next::On);
    }
    books.ledger().revoked(Resource::Core(in_ledger(which)))?;
    unmap(books, id, which);
    let epoch = raise(books, id)?;
    books.errands[which.index()] = Errand::Parked(epoch);
    retarget(books, id);
    notify(id, Event::CoreLost { core: CoreNumber(u32::from(which.0)) });
    Ok(Next::On)
}

/// The owner's other cores forget where the area was.
fn quiesce(books: &mut Books, id: ledger::SubOsId, which: CoreId) -> Result<Next, Error> {
    let Errand::Parked(epoch) = books.errands[which.index()] else { return Err(Error::WrongState) };
    if !is_quiet(books, id, epoch)? {
        return Ok(Next::Wait);
    }
    books.ledger().quiesced(Resource::Core(in_ledger(which)))?;
    Ok(Next::On)
}

/// Chooses which core of a subOS its doorbell interrupts, and makes that core look.
pub fn retarget(books: &mut Books, id: ledger::SubOsId) {
    let core = books
        .ledger()
        .cores()
        .find(|(_, holder)| *holder == Holder::SubOs(id))
        .map(|(core, _)| CoreId(core.0));
    let number = number_of(id);
    if number == SubOsId::SUPERVISOR {
        for peer in books.records.iter().filter_map(|record: &Record| record.id) {
            super::places().share(number_of(peer)).up().target().set(core);
        }
    } else {
        Books::doorbell_target(number).set(core);
    }
    windows::retarget(books, id, core);
    doorbell::interrupt(core);
}
