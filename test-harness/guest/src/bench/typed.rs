//! Round trips through an interface: what the typed stubs on both sides cost over raw messages.

use alloc::format;
use core::fmt::Debug;

use idl::interface::{Caller, Lent, right};
use idl::types::Pages;
use userlib::cap::Region;
use userlib::memory::Mapping;
use userlib::server::{Connection, Service, View};
use userlib::{cap, environment, println};

use super::clock::{Clock, ROUNDS, Row};
use super::exchange::Line;
use crate::{Outcome, said};

/// What a loan allows.
const SHOW: u16 = right::READ | right::DERIVE;
/// Bytes of the long text.
const TEXT: usize = 1024;
/// Pages of the loan: 64 KiB.
const LOAN: Pages = Pages(16);

/// What is measured.
#[idl::interface]
pub(crate) trait Station {
    /// The same value, in registers.
    fn echo(&self, value: u64) -> u64;
    /// How long the text is, as bytes.
    #[bytes]
    fn length(&self, #[max(TEXT)] text: &str) -> u32;
    /// The first byte and the last of what is lent, and no others.
    fn ends(&self, memory: Lent<Region, SHOW>) -> u64;
}

struct Attendant;

impl StationServer for Attendant {
    #[inline]
    fn echo(&mut self, _: Caller<Station>, value: u64) -> u64 {
        value
    }

    fn length(&mut self, _: Caller<Station>, text: &str) -> u32 {
        u32::try_from(text.len()).unwrap_or(0)
    }

    fn ends(&mut self, _: Caller<Station>, memory: Lent<Region, SHOW>) -> u64 {
        let Ok(view) = View::<u8, SHOW>::of(&memory) else { return u64::MAX };
        let end = |index: usize| view.get(index).map_or(0, u64::from);
        end(0) << 8 | end(view.len().saturating_sub(1))
    }
}

/// Serves the client.
pub(super) fn serve() {
    match Service::on(cap(environment().granted(0))) {
        Ok(service) => println!("the peer stops serving: {}", service.serve(&mut StationDispatch(Attendant))),
        Err(error) => println!("the peer cannot serve: {error}"),
    }
}

pub(super) fn measure(clock: &Clock) -> Outcome {
    let line = Line::to("peer::typed")?;
    let client = StationClient::connect(Connection::new(line.endpoint));
    let client = client.map_err(|error| format!("connect: {error}"))?;
    let text = "x".repeat(TEXT);
    let loan = Mapping::new(LOAN).map_err(said("loan"))?;
    loan.write(0, &[1]);
    loan.write(loan.len() - 1, &[2]);
    row(clock, "typed", 7, || client.echo(7))?;
    row(clock, "typed-1k", 1024, || client.length(&text))?;
    row(clock, "typed-lent", 0x102, || client.ends(loan.region().lend()))?;
    line.end()
}

/// A row, of which the first call is left out: it finds things that are not there yet.
fn row<R: PartialEq + Debug, E: Debug>(
    clock: &Clock,
    key: &'static str,
    expected: R,
    call: impl Fn() -> Result<R, E>,
) -> Outcome {
    let mut row = Row::new(key, ROUNDS);
    for round in 0..=ROUNDS {
        let (time, answer) = clock.time(&call);
        match answer {
            Ok(answer) if answer == expected => {}
            other => return Err(format!("{key} answers {other:?}")),
        }
        if round > 0 {
            row.add(time);
        }
    }
    row.report()
}
