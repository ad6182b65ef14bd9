//! What the director makes of what a subOS, or its kernel, says.

use alloc::string::String;
use alloc::vec::Vec;

use idl::dialogue::{Heard, Report};
use idl::event::Event;
use idl::plan::{CoreNumber, LotNumber, SubOsIndex};
use idl::types::Ticks;

use crate::member::{Life, LotReport, Member};
use crate::news::News;

/// Takes it in. The answer is why the run has failed, if it has.
pub(crate) fn take_in(
    member: &mut Member,
    subos: SubOsIndex,
    heard: Heard,
    news: &mut Vec<News>,
) -> Option<String> {
    match heard {
        Heard::Kernel(event) => by_kernel(member, subos, event, news),
        Heard::Program(report) => return by_program(member, subos, report, news),
    }
    None
}

fn by_kernel(member: &mut Member, subos: SubOsIndex, event: Event, news: &mut Vec<News>) {
    match event {
        Event::Condemned { .. } => {
            member.condemned = true;
            dies(member);
        }
        Event::Unhandled { kind, address, rip, .. } => {
            news.push(News::Unhandled { subos, vector: kind, address, rip });
            dies(member);
        }
        // The console is read in any case; the others go the other way.
        _ => {}
    }
}

const fn dies(member: &mut Member) {
    if member.exists() {
        member.life = Life::Dead;
    }
}

fn by_program(
    member: &mut Member,
    subos: SubOsIndex,
    report: Report,
    news: &mut Vec<News>,
) -> Option<String> {
    match report {
        Report::Progress { count, at, longest } => {
            // Of a time that began before the step, only so much can lie in the step.
            let within = Ticks(at.0.saturating_sub(member.since.0));
            member.longest = member.longest.max(longest.min(within));
            // A report that says less than one before is stale or false; either way it is no progress.
            if member.progress.is_none_or(|(known, since)| count >= known && at >= since) {
                member.progress = Some((count, at));
            }
        }
        Report::Lot { lot, looked, used } => {
            let number = LotNumber(u8::try_from(lot.0).ok()?);
            member.reports(LotReport { lot: number, used: used.0 });
            news.push(News::Lot { subos, lot: number, looked, used });
        }
        Report::Core { core, deadline, answer } => {
            let core = CoreNumber(u8::try_from(core.0).ok()?);
            // Of a core that it was not asked for, and of one that it has given, there is nothing to say.
            if member.answers(core, deadline, answer) {
                news.push(News::Core { subos, core, answer });
            }
        }
        Report::Ended { status } => {
            if member.ended.is_none() {
                member.ended = Some(status);
                news.push(News::Exit { subos, status });
                if status != 0 {
                    return Some(alloc::format!("ended with status {status}"));
                }
            }
        }
        Report::Crashed { vector, address, rip, times } => {
            news.push(News::Crash { subos, times, vector, address, rip });
        }
        Report::Work { core, processes, calls } => {
            member.worked(CoreNumber(u8::try_from(core.0).ok()?), processes, calls);
        }
        Report::Missing { call, times } => news.push(News::Missing { subos, call, times }),
        Report::Starved { times } => {
            news.push(News::Starved { subos, times });
            return Some(alloc::format!("had no memory left for {times} of its programs"));
        }
        // The director's affair.
        Report::WantWindow { .. } => {}
        Report::Processes { started } => member.processes = member.processes.max(started),
    }
    None
}
