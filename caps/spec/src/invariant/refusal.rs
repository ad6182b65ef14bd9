//! I23 and I25: what an error means.

use crate::operation::Operation;
use crate::transition::Transition;

/// I23, the part on errors: an operation that is refused changes nothing, reports nothing and empties nothing. Conversely
/// what removes or reports anything is not refused.
pub fn changes_nothing(transition: &Transition<'_>) -> Result<(), String> {
    let (seen, name) = (transition.seen, transition.operation.name());
    match seen.outcome {
        Ok(_) => Ok(()),
        Err(_) if transition.changed_nothing() && seen.effects.is_empty() && seen.gone.is_empty() => Ok(()),
        Err(error) => Err(format!("{name} answered {error} and changed something")),
    }
}

/// I25: each error is one that the operation's documentation names. (That each of those is given, a test says.)
pub fn documented(transition: &Transition<'_>) -> Result<(), String> {
    match transition.seen.outcome {
        Err(error) if !transition.operation.errors().contains(&error) => {
            Err(format!("{error} is not documented for {}", transition.operation.name()))
        }
        _ => Ok(()),
    }
}

/// I23 for `check_replace`: what it refuses cannot be derived, and what it allows fails only for what the copy is to
/// be and where it is to go.
pub fn foretold(transition: &Transition<'_>) -> Result<(), String> {
    use caps::Error::{BadRange, InvalidArgument, MissingRight, SlotOccupied, SlotRetired};
    let Operation::Derive { parent, dest, .. } = *transition.operation else { return Ok(()) };
    let foretold =
        transition.before.forest.check_replace(&transition.before.memory, parent, dest).map(|_| ());
    let outcome = transition.seen.outcome;
    let agrees = match (foretold, outcome) {
        (Err(_), outcome) => outcome.is_err(),
        (Ok(()), Err(error)) => {
            [BadRange, InvalidArgument, MissingRight, SlotOccupied, SlotRetired].contains(&error)
        }
        (Ok(()), Ok(_)) => true,
    };
    if agrees { Ok(()) } else { Err(format!("foretold {foretold:?}, answered {outcome:?}")) }
}
