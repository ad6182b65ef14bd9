//! `ctl`: what an operator can see of a machine that is kept up, and do with it, from another terminal.
//!
//! The supervisor in the machine serves the interface `idl::operator`; here is its client, over a [`Socket`], and what a
//! person sees of it: tables, or with `--json` the same as JSON.

mod arguments;
mod find;
mod list;
mod log;
mod order;
mod socket;
mod table;
mod top;
mod trace;

use std::path::Path;
use std::time::Duration;

use idl::interface::CallError;
use idl::operator::{MachineView, OperatorClient, Resource, Run, SubOsView};
use idl::serial::Serial;

use crate::authority::Running;
use crate::failure::{Failure, Result};
use crate::random::Random;

pub use arguments::{Ctl, Verb};
pub use find::{socket_for, socket_of};
pub use socket::Socket;

/// The exit status when no machine answers.
pub const NOBODY: u8 = 3;

/// A connection with the supervisor of a machine.
pub struct Control {
    client: OperatorClient<Serial<Socket>>,
}

/// What the supervisor knows of machine and subOSes.
pub struct View {
    /// The machine.
    pub machine: MachineView,
    /// The subOSes, in the order of their numbers.
    pub suboses: Vec<SubOsView>,
}

impl Control {
    /// Connects to the machine whose socket this is.
    ///
    /// # Errors
    /// When no machine answers there, or one whose supervisor is of another version.
    pub fn connect(path: &Path) -> Result<Self> {
        let socket = Socket::connect(path).map_err(|failure| failure.status(NOBODY))?;
        // Answers to whoever had the line before are known by their numbers.
        let serial = Serial::new(socket, u32::try_from(Random::seed() >> 32).unwrap_or(0));
        let client = OperatorClient::connect(serial).map_err(|error| failed("connect", error))?;
        Ok(Self { client })
    }

    /// The client.
    pub const fn client(&self) -> &OperatorClient<Serial<Socket>> {
        &self.client
    }

    /// Asks for all that the supervisor knows of machine and subOSes.
    ///
    /// # Errors
    /// When the supervisor does not say.
    pub fn view(&self) -> Result<View> {
        let machine = self.client.machine().map_err(|error| failed("look at the machine", error))?;
        let subos = |number| {
            self.client.subos(number).map_err(|error| failed(&format!("look at subOS {number}"), error))
        };
        let suboses = (0..machine.suboses).map(subos).collect::<Result<_>>()?;
        Ok(View { machine, suboses })
    }
}

impl Control {
    /// Asks who holds what: the supervisor, and the ledger. The first is how many steps of the plan are done.
    ///
    /// # Errors
    /// When the supervisor does not say.
    pub fn holdings(&self) -> Result<(usize, Running)> {
        let View { machine, suboses } = self.view()?;
        let (core_runs, chunk_runs) = (self.ledger(Resource::Core)?, self.ledger(Resource::Chunk)?);
        let running = Running { cores: machine.cores, suboses, core_runs, chunk_runs };
        Ok((usize::from(machine.done), running))
    }

    /// All that the ledger says of one kind.
    fn ledger(&self, kind: Resource) -> Result<Vec<Run>> {
        let (mut runs, mut next) = (Vec::new(), Some(0));
        while let Some(first) = next {
            let part = self.client.ledger(kind, first).map_err(|error| failed("read the ledger", error))?;
            runs.extend(part.runs);
            // What goes on where it began would never end.
            next = part.next.filter(|next| *next > first);
        }
        Ok(runs)
    }
}

impl Ctl {
    /// Carries the command out.
    ///
    /// # Errors
    /// What is wrong, with the exit status that it means.
    pub fn execute(&self) -> Result<()> {
        let change = order::change(&self.verb)?;
        let socket = socket_of(self.machine.as_deref())?;
        let control = Control::connect(&socket)?;
        match &self.verb {
            Verb::List => list::list(&control, self.json),
            Verb::Log { name, follow } => log::log(&control, name.as_deref(), *follow, self.json),
            Verb::Trace { ms, to } => {
                trace::trace(&control, &socket, Duration::from_millis(*ms), to.as_deref(), self.json)
            }
            Verb::Top { once } => {
                // What is piped somewhere is no terminal to fill.
                let whole = std::io::IsTerminal::is_terminal(&std::io::stdout());
                if *once || self.json || !whole {
                    top::once(&control, self.json)
                } else {
                    top::live(&control)
                }
            }
            Verb::End => control.client.end().map_err(|error| failed("end the run", error)),
            Verb::Create { .. }
            | Verb::Grow { .. }
            | Verb::Shrink { .. }
            | Verb::Move { .. }
            | Verb::Destroy { .. }
            | Verb::Restart { .. } => {
                let change = change.ok_or_else(|| Failure::new("this orders nothing"))?;
                order::order(&control, change, self.json)
            }
        }
    }
}

/// A call that failed, for people.
fn failed<E: std::fmt::Display>(what: &str, error: CallError<E>) -> Failure {
    use idl::Error;
    let lost = match error {
        CallError::Kernel(Error::TimedOut) => "the supervisor does not answer".to_owned(),
        CallError::Dead(_) | CallError::Kernel(Error::Cancelled) => "the machine has ended".to_owned(),
        error => return Failure::new(format!("cannot {what}: {error}")),
    };
    Failure::new(format!("cannot {what}: {lost}")).status(NOBODY)
}
