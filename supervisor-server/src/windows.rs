//! Windows between two subOSes: who has asked for which, and which sides are there.
//!
//! A subOS asks by the peer's name. The supervisor opens a window in a step of the plan, when both sides have asked; what
//! the plan does not have is refused, with the reason. A side goes when it is taken or its subOS ends; whoever has the
//! other is told by the kernel and keeps it, until a step takes it or it asks for the window again.

use alloc::vec::Vec;

use idl::dialogue::{Refusal, Request, name_from_words, name_to_words};
use idl::plan::{Chunks, LotNumber, Manner, SubOsIndex, WindowIndex, WindowPlan};
use serde::{Deserialize, Serialize};

use crate::director::Director;
use crate::member::Life;
use crate::news::{Names, News};
use crate::order::Order;
use crate::task::{Account, Place, Task};

/// Refusals that wait to be told to one subOS; beyond, it asks too much to be told everything.
const REFUSALS: usize = 16;

/// One side of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Side {
    /// Whether its subOS has asked for the window since it was opened last.
    asked: bool,
    /// Its lot there.
    lot: Option<LotNumber>,
}

/// Both sides, in the order of the plan.
pub(crate) type Sides = [Side; 2];

/// What is told to a side whose window is open.
fn told(lot: LotNumber, peer: &str) -> Option<Request> {
    let [peer_0, peer_1] = name_to_words(peer)?;
    Some(Request::WindowTo { lot: idl::types::LotNumber(lot.0.into()), peer_0, peer_1 })
}

impl Director {
    /// A subOS asks for a window to the one with this name.
    pub(crate) fn wants_window(&mut self, subos: SubOsIndex, [peer_0, peer_1]: [u64; 2]) {
        if self.member(subos).is_none_or(|member| member.life != Life::Alive) {
            return;
        }
        let peer = name_from_words([peer_0, peer_1]).unwrap_or_default();
        let refusal = match self.window_to(subos, &peer) {
            Err(refusal) => Some(refusal),
            Ok((window, index)) => {
                let lot = self.sides(window).and_then(|sides| sides[index].lot);
                self.set_side(window, index, Side { asked: true, lot });
                None
            }
        };
        self.news.push(News::Asks { subos, peer, refusal });
        if let (Some(reason), Some(member)) = (refusal, self.member_mut(subos))
            && member.refusals.len() < REFUSALS
        {
            member.refusals.push_back(Request::NoWindow { peer_0, peer_1, reason });
        }
    }

    /// The window between a subOS and the one with this name, and which side of it the first is.
    fn window_to(&self, subos: SubOsIndex, peer: &str) -> Result<(WindowIndex, usize), Refusal> {
        let mut numbered = (0u8..).map(SubOsIndex).zip(&self.plan.suboses);
        let found = numbered.find(|(_, planned)| planned.name.as_str() == peer);
        let (peer, _) = found.ok_or(Refusal::Nobody)?;
        let window = self.plan.window_between(subos, peer).ok_or(Refusal::NotPlanned)?;
        let planned = self.plan.window(window).ok_or(Refusal::NotPlanned)?;
        Ok((window, usize::from(planned.between[0] != subos)))
    }

    /// The next refusal to tell in the place of a rest: of every other, to everybody in turn, so that whoever asks without an
    /// end delays nothing and is slow at it.
    pub(crate) fn refuse_or(&mut self, order: Order) -> Order {
        let ((last, rested), count) = (self.refused, self.members.len());
        if !matches!(order, Order::Rest(_)) || !rested {
            self.refused.1 |= matches!(order, Order::Rest(_));
            return order;
        }
        for index in (1..=count).map(|next| (last + next) % count) {
            let Some(member) = self.members.get_mut(index).filter(|member| member.exists()) else { continue };
            if let (Some(refusal), Ok(subos)) = (member.refusals.pop_front(), u8::try_from(index)) {
                self.refused = (index, false);
                return Order::Tell(SubOsIndex(subos), refusal);
            }
        }
        order
    }

    /// How a window is opened: what is left of it first goes.
    pub(crate) fn opening(&self, window: WindowIndex) -> Vec<Task> {
        let mut tasks = Vec::from([Task::SeeAsked(window)]);
        tasks.extend(self.closing(window, Manner::Force));
        tasks.push(Task::Do(Order::Share(window)));
        tasks.push(self.account(window));
        tasks
    }

    /// How all that is there of a window is taken; nothing if nothing is.
    pub(crate) fn closing(&self, window: WindowIndex, manner: Manner) -> Vec<Task> {
        let mut tasks = Vec::new();
        let (Some(planned), Some(sides)) = (self.plan.window(window), self.sides(window)) else {
            return tasks;
        };
        for (subos, side) in planned.between.into_iter().zip(sides) {
            let Some(lot) = side.lot else { continue };
            if let Manner::Ask(patience) = manner {
                tasks.push(Task::AskForLot(subos, lot, patience, idl::plan::Holds::Anything));
            }
            tasks.push(Task::Do(Order::ReclaimLot(subos, lot)));
        }
        if !tasks.is_empty() {
            tasks.push(self.account(window));
        }
        tasks
    }

    fn account(&self, window: WindowIndex) -> Task {
        let chunks = self.plan.window(window).map_or(0, |planned| planned.size.0);
        Task::Account(Account { cores: 0, chunks, place: Place::Any })
    }

    fn sides(&self, window: WindowIndex) -> Option<Sides> {
        self.windows.get(usize::from(window.0)).copied()
    }

    /// Who has not asked for a window yet, and to whom it is.
    pub(crate) fn not_asked(&self, window: WindowIndex) -> Option<(SubOsIndex, SubOsIndex)> {
        let ([one, other], sides) = (self.plan.window(window)?.between, self.sides(window)?);
        let [first, second] = sides.map(|side| side.asked);
        if !first { Some((one, other)) } else { (!second).then_some((other, one)) }
    }

    /// A window is open: both sides are to be told which lot it is. These orders tell them.
    pub(crate) fn opened(&mut self, window: WindowIndex, lots: [LotNumber; 2]) -> Vec<Order> {
        let Some(WindowPlan { between, .. }) = self.plan.window(window).copied() else { return Vec::new() };
        if let Some(sides) = self.windows.get_mut(usize::from(window.0)) {
            *sides = lots.map(|lot| Side { asked: false, lot: Some(lot) });
        }
        self.tell_window(window);
        let [one, other] = between;
        [(one, lots[0], other), (other, lots[1], one)]
            .into_iter()
            .filter_map(|(subos, lot, peer)| Some(Order::Tell(subos, told(lot, self.plan.name(peer))?)))
            .collect()
    }

    /// A lot was taken: says whether it was a side of a window.
    pub(crate) fn side_taken(&mut self, subos: SubOsIndex, lot: LotNumber) -> bool {
        let found = self.sides_of(subos).into_iter().find(|(_, _, side)| side.lot == Some(lot));
        let Some((window, index, side)) = found else { return false };
        self.set_side(window, index, Side { lot: None, ..side });
        self.tell_window(window);
        true
    }

    /// A subOS is gone, and with it its sides of windows and what it asked for.
    pub(crate) fn sides_gone(&mut self, subos: SubOsIndex) {
        for (window, index, side) in self.sides_of(subos) {
            self.set_side(window, index, Side::default());
            if side.lot.is_some() {
                self.tell_window(window);
            }
        }
    }

    /// How many chunks of windows are in other hands when a subOS is gone: where the ledger shows the other side's owner, it
    /// goes on showing that one.
    pub(crate) fn chunks_of_windows(&self, subos: SubOsIndex) -> u32 {
        let changes = |&(window, index, side): &(WindowIndex, usize, Side)| {
            let other = self.sides(window).and_then(|sides| sides[1 - index].lot);
            side.lot.is_some() && (index == 0 || other.is_none())
        };
        let size = |(window, ..): (WindowIndex, usize, Side)| {
            self.plan.window(window).map_or(0, |planned| planned.size.0)
        };
        self.sides_of(subos).into_iter().filter(changes).map(size).sum()
    }

    /// The lots that are a subOS's sides of windows.
    pub(crate) fn lots_of_windows(&self, subos: SubOsIndex) -> Vec<LotNumber> {
        self.sides_of(subos).into_iter().filter_map(|(_, _, side)| side.lot).collect()
    }

    /// A subOS's sides of all windows that it may have, each with its place.
    fn sides_of(&self, subos: SubOsIndex) -> Vec<(WindowIndex, usize, Side)> {
        let windows = (0u8..).map(WindowIndex).zip(self.plan.windows.iter().zip(&self.windows));
        windows
            .filter_map(|(window, (planned, sides))| {
                let index = planned.between.iter().position(|side| *side == subos)?;
                Some((window, index, sides[index]))
            })
            .collect()
    }

    /// How many of its lots are sides of windows.
    pub(crate) fn count_sides(&self, subos: SubOsIndex) -> usize {
        self.sides_of(subos).into_iter().filter(|(.., side)| side.lot.is_some()).count()
    }

    /// A subOS's lots that are sides of windows: which, how large, and who has the other side.
    pub(crate) fn window_lots(&self, subos: SubOsIndex) -> Vec<(LotNumber, Chunks, SubOsIndex)> {
        let sides = self.sides_of(subos).into_iter();
        sides
            .filter_map(|(window, index, side)| {
                let planned = self.plan.window(window)?;
                Some((side.lot?, planned.size, planned.between[1 - index]))
            })
            .collect()
    }

    fn set_side(&mut self, WindowIndex(window): WindowIndex, index: usize, side: Side) {
        if let Some(sides) = self.windows.get_mut(usize::from(window)) {
            sides[index] = side;
        }
    }

    fn tell_window(&mut self, window: WindowIndex) {
        if let (Some(planned), Some(sides)) = (self.plan.window(window), self.sides(window)) {
            let news = News::Window { between: planned.between, lots: sides.map(|side| side.lot) };
            self.news.push(news);
        }
    }
}
