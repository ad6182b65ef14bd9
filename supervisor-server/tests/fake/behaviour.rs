//! How a subOS behaves.

use core::mem::take;

use idl::dialogue::{CoreAnswer, Report, Request, Told, name_to_words};
use idl::event::Event;
use idl::types::{Chunks, CoreNumber, LotNumber, Pages, Ticks};

use super::{FakeMachine, Fault, Manners, RATE};

/// What a subOS is like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// It works, counts and reports, like `init` with its pairs.
    #[default]
    Counts,
    /// It prints this and ends with a status after so many milliseconds, like `linux-server`.
    Prints(Vec<u8>, u64, u32),
    /// As the first, and when it starts, and whenever a window is refused or its peer gone, it asks for windows to these.
    Asks(Vec<&'static str>),
    /// It works and says nothing.
    Spins,
}

/// Work done on one core in a millisecond.
const PACE: u64 = 7;
/// How often a counting subOS reports, in ticks.
const REPORT_EVERY: u64 = 20 * RATE;

impl FakeMachine {
    /// Lets every subOS do what it did until now.
    pub(crate) fn catch_up(&mut self) {
        let indices: Vec<u8> = self.suboses.keys().copied().collect();
        for index in indices {
            self.catch_up_one(index);
        }
    }

    fn catch_up_one(&mut self, index: u8) {
        let (now, at) = (self.now, self.milliseconds());
        let cores = self.cores_of(index);
        let dies = self.faults.iter().position(|f| matches!(f, Fault::Dies(s, t) if *s == index && at >= *t));
        let starves =
            self.faults.iter().position(|f| matches!(f, Fault::Starves(s, t) if *s == index && at >= *t));
        let falls =
            self.faults.iter().position(|f| matches!(f, Fault::Faults(s, t) if *s == index && at >= *t));
        let stalled = self.faults.iter().any(|f| matches!(f, Fault::Stalls(s, t) if *s == index && at >= *t));
        let frozen = self.amid.is_some_and(|call| self.has(&Fault::StallsAmid(index, call)));
        let pause = self.faults.iter().find_map(|fault| match fault {
            Fault::Pauses(s, from, long) if *s == index => Some((*from..from + long, *long)),
            _ => None,
        });
        let deaf = self.has(&Fault::FullRing(index));
        let dirty = self.has(&Fault::DirtyLots);
        let manners = self.manners(index);
        let most = |core: u8| {
            let leaves = |fault: &Fault| match fault {
                Fault::Leaves(s, c, most) if (*s, *c) == (index, core) => Some(*most),
                _ => None,
            };
            self.faults.iter().find_map(leaves).unwrap_or(u64::MAX)
        };
        let cores: Vec<(u8, u64)> = cores.into_iter().map(|core| (core, most(core))).collect();
        let Some(subos) = self.suboses.get_mut(&index) else { return };
        if !subos.started || subos.condemned {
            return;
        }
        if let Some(fault) = dies {
            self.faults.remove(fault);
            subos.condemned = true;
            subos.up.push_back(Event::Condemned { core: CoreNumber(1) }.to_words());
            return;
        }
        if let Some(fault) = falls {
            self.faults.remove(fault);
            subos.started = false;
            let event = Event::Unhandled { core: CoreNumber(1), kind: 14, address: 0x8, rip: 0x20_0010 };
            subos.up.push_back(event.to_words());
            return;
        }
        if frozen {
            return;
        }
        if let Some(fault) = starves {
            self.faults.remove(fault);
            subos.say(Report::Starved { times: 1 }.to_words());
        }
        if let Some((pause, long)) = pause {
            if pause.contains(&at) {
                return;
            }
            if pause.contains(&(subos.seen / RATE)) || (subos.seen / RATE < pause.start && at >= pause.end) {
                subos.longest = long * RATE;
            }
        }
        let before = subos.seen;
        subos.seen = now;
        if stalled || cores.is_empty() {
            return;
        }
        for (core, most) in &cores {
            let done = subos.work.entry(*core).or_default();
            *done = (*done + ((now / RATE) * PACE) - ((before / RATE) * PACE)).min(*most);
        }
        if let Behaviour::Asks(peers) = &subos.behaviour
            && !core::mem::replace(&mut subos.asked, true)
        {
            for peer in peers.clone() {
                subos.say(want(peer));
            }
        }
        while let Some(words) = if deaf { None } else { subos.down.pop_front() } {
            answer(subos, &words, now, dirty);
        }
        answer_for_core(subos, manners, now);
        match subos.behaviour.clone() {
            Behaviour::Counts | Behaviour::Asks(_) => {
                if now / REPORT_EVERY > before / REPORT_EVERY {
                    let words = progress(subos, now);
                    subos.say(words);
                }
            }
            Behaviour::Prints(bytes, duration, status) => {
                let age = (now - subos.born) / RATE;
                let total = self.written.entry(index).or_default();
                let due = bytes.len() as u64 * age / duration.max(1);
                let due = usize::try_from(due).expect("a small number").min(bytes.len());
                let new = &bytes[total.len().min(due)..due];
                subos.console.extend(new);
                total.extend(new);
                if age >= duration && !subos.ended {
                    subos.ended = true;
                    subos.say(Report::Processes { started: 3 }.to_words());
                    subos.say(Report::Ended { status }.to_words());
                }
            }
            Behaviour::Spins => {}
        }
    }
}

fn want(peer: &str) -> [u64; 5] {
    let [peer_0, peer_1] = name_to_words(peer).expect("a short name");
    Report::WantWindow { peer_0, peer_1 }.to_words()
}

fn progress(subos: &mut super::FakeSubOs, now: u64) -> [u64; 5] {
    let count = subos.work.values().sum::<u64>() / 2;
    Report::Progress { count, at: Ticks(now), longest: Ticks(take(&mut subos.longest)) }.to_words()
}

/// What a subOS says of a core that it is asked for.
fn answer_for_core(subos: &mut super::FakeSubOs, manners: Manners, now: u64) {
    use CoreAnswer::{Given, Needed};
    let Some((core, deadline, since)) = subos.wanted else { return };
    let says = |core, deadline, answer| Report::Core { core, deadline, answer }.to_words();
    let rubbish =
        [[9, u64::MAX, deadline.0, 1, 0], [9, u64::from(core.0), deadline.0, 77, 0], [8, 7, 6, 5, 4]];
    let (other, late) = (CoreNumber(core.0 ^ 1), Ticks(deadline.0 - 1));
    let due = |long| now >= since + long * RATE;
    let all: Vec<[u64; 5]> = match manners {
        Manners::Gives => vec![says(core, deadline, Given)],
        Manners::Needs => vec![says(core, deadline, Needed)],
        // It leaves itself room to say more.
        Manners::ThinksBetter(long) if !due(long) && !subos.up.is_empty() => return,
        Manners::ThinksBetter(long) if !due(long) => return subos.say(says(core, deadline, Needed)),
        Manners::ThinksBetter(_) => vec![says(core, deadline, Given)],
        Manners::Twice => [Given, Given, Needed].map(|answer| says(core, deadline, answer)).to_vec(),
        Manners::GivesAnother => vec![says(other, deadline, Given)],
        Manners::Stale => vec![says(core, late, Given)],
        Manners::Rubbish => rubbish.to_vec(),
        Manners::Silent => Vec::new(),
    };
    all.into_iter().for_each(|words| subos.say(words));
    subos.wanted = None;
}

/// What a subOS does when it is told something.
fn answer(subos: &mut super::FakeSubOs, words: &[u64; 5], now: u64, dirty: bool) {
    let lot = |lot: LotNumber, looked: u32, used: u32| {
        Report::Lot { lot, looked: Pages(looked), used: Pages(used) }.to_words()
    };
    match Told::from_words(words) {
        Ok(Told::Supervisor(told @ (Request::WindowTo { .. } | Request::NoWindow { .. }))) => {
            subos.windows.push(told);
            // Who is refused asks again, and so without an end.
            subos.asked &= !matches!(told, Request::NoWindow { .. });
        }
        // It asks once more.
        Ok(Told::Kernel(Event::PeerGone { .. })) => subos.asked = false,
        Ok(Told::Supervisor(Request::SayProgress {}))
            if !matches!(subos.behaviour, Behaviour::Spins | Behaviour::Prints(..)) =>
        {
            let words = progress(subos, now);
            subos.say(words);
        }
        Ok(Told::Supervisor(Request::GiveCore { core, deadline })) => {
            subos.wanted = Some((core, deadline, now));
        }
        Ok(Told::Supervisor(told @ (Request::KeepCore { .. } | Request::KeepLot { .. }))) => {
            subos.windows.push(told);
        }
        Ok(Told::Supervisor(Request::GiveLot { lot: number, .. })) if subos.behaviour != Behaviour::Spins => {
            subos.say(lot(number, 512, 300));
        }
        Ok(Told::Kernel(Event::LotGranted { lot: number, chunks: Chunks(chunks) }))
            if !matches!(subos.behaviour, Behaviour::Spins | Behaviour::Prints(..)) =>
        {
            subos.say(lot(number, chunks * 512, if dirty { 5 } else { 0 }));
        }
        _ => {}
    }
}
