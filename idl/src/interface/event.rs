//! Events: what a server tells those who asked to be told, without waiting for any of them.
//!
//! A subscriber gives the server a notification to signal, and fetches what there is when it was signalled. Until then the
//! server keeps it, in a queue of a fixed length for each subscriber. So a subscriber that never fetches costs the server
//! nothing more, and nobody else anything: what has no room is counted, and the count is told in the place of what was lost.
//!
//! The wire: three methods that every interface with events has, above those of its own. [`NEXT`] answers with five words: the
//! event's number, [`NOTHING`] or [`LOST`], and its words.

use core::marker::PhantomData;

use caps::Handle;
use heapless::{Deque, Vec};

use super::{
    Access, Answer, Caller, Delivery, Form, Interface, Method, Part, Passable, Refusal, Request, Shape,
};
use super::{Moved, right};
use crate::abi::REGISTER_WORDS;
use crate::kernel::notification::Notification;

/// Most words of an event: its number takes one of those that fit in registers.
pub const EVENT_WORDS: usize = REGISTER_WORDS - 1;
/// In the place of an event's number: there is none.
pub const NOTHING: u64 = 0;
/// In the place of an event's number: so many were lost after those before.
pub const LOST: u64 = 255;
/// The last number that a method of an interface's own may have.
pub const LAST_METHOD: u32 = 252;

/// What a server signals when there are events: the caller's, with the right to signal and no other.
pub type BellCap = Moved<Notification, { right::CALL }>;

/// Begins to be told, with how many events the client knows: there is room for a notification.
pub const SUBSCRIBE: Method = Method {
    arguments: &[
        Part { name: "known", shape: Shape::Word("u64") },
        Part { name: "bell", shape: <BellCap as Passable>::SHAPE },
    ],
    words: 1,
    ..own(253, "subscribe")
};
/// Is told no more.
pub const UNSUBSCRIBE: Method = own(254, "unsubscribe");
/// Fetches an event.
pub const NEXT: Method = own(255, "next_event");

const fn own(number: u32, name: &'static str) -> Method {
    Method {
        number,
        name,
        docs: "",
        signature: "",
        form: Form::Words,
        delivery: Delivery::Call,
        requires: 0,
        words: 0,
        arguments: &[],
        result: Shape::Nothing,
        error: None,
    }
}

/// An event of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number, from 1.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// What has happened.
    pub docs: &'static str,
    /// The rights of the interface without which a subscriber is not told.
    pub requires: u16,
    /// Its words.
    pub arguments: &'static [Part],
}

/// What signals a subscriber. Dropping it gives back what it is made of.
pub trait Bell {
    /// That of the notification that this handle names.
    fn new(notification: Handle) -> Self;

    /// Signals; says whether there is still something to signal.
    fn ring(&mut self) -> bool;
}

/// The bell of who looks by himself: of tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBell;

impl Bell for NoBell {
    fn new(_: Handle) -> Self {
        Self
    }

    fn ring(&mut self) -> bool {
        true
    }
}

/// The subscribers of a server, as its dispatch sees them: what the generated `..Events` is.
pub trait Subscribed {
    /// Takes a subscriber, or one that is there already anew.
    ///
    /// # Errors
    /// `NoRoom`.
    fn subscribe(
        &mut self,
        session: u32,
        access: u16,
        known: u64,
        notification: Handle,
    ) -> Result<(), Refusal>;

    /// Forgets a subscriber, if it is one.
    fn unsubscribe(&mut self, session: u32);

    /// What a subscriber is to be told next. A session has as many capabilities as were minted for it, and what was
    /// subscribed to with one is not told over another with fewer rights.
    ///
    /// # Errors
    /// `NotSubscribed`.
    fn next(&mut self, session: u32, access: u16) -> Result<[u64; REGISTER_WORDS], Refusal>;
}

/// One subscriber.
#[derive(Debug)]
struct Subscriber<B, const QUEUE: usize> {
    session: u32,
    access: u16,
    known: u64,
    bell: B,
    queue: Deque<[u64; REGISTER_WORDS], QUEUE>,
    lost: u64,
}

impl<B: Bell, const QUEUE: usize> Subscriber<B, QUEUE> {
    /// Keeps an event for it, if it is to be told; says whether it can still be reached.
    fn tell(&mut self, event: &Event, words: [u64; REGISTER_WORDS]) -> bool {
        if u64::from(event.number) > self.known || event.requires & !self.access != 0 {
            return true;
        }
        let idle = self.queue.is_empty() && self.lost == 0;
        // What comes after something that was lost is lost too, until that has been told: the order stays what it was.
        if self.lost > 0 || self.queue.push_back(words).is_err() {
            self.lost = self.lost.saturating_add(1);
        }
        // Who was signalled and has not fetched all yet will come to it without another.
        !idle || self.bell.ring()
    }

    fn next(&mut self) -> [u64; REGISTER_WORDS] {
        if let Some(words) = self.queue.pop_front() {
            return words;
        }
        match core::mem::take(&mut self.lost) {
            0 => [NOTHING; REGISTER_WORDS],
            lost => [LOST, lost, 0, 0, 0],
        }
    }
}

/// At most `SESSIONS` subscribers of an interface's events, with room for `QUEUE` events each.
#[derive(Debug)]
pub struct Subscribers<I, B, const SESSIONS: usize, const QUEUE: usize> {
    all: Vec<Subscriber<B, QUEUE>, SESSIONS>,
    interface: PhantomData<fn() -> I>,
}

impl<I: Interface, B: Bell, const SESSIONS: usize, const QUEUE: usize> Subscribers<I, B, SESSIONS, QUEUE> {
    /// Nobody yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { all: Vec::new(), interface: PhantomData }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Tells an event to all who are to be told. It waits for nobody; who cannot be reached any more is forgotten.
    pub fn tell(&mut self, event: usize, words: &[u64]) {
        let Some(event) = I::EVENTS.get(event) else { return };
        let mut all = [0; REGISTER_WORDS];
        for (to, from) in all.iter_mut().zip([u64::from(event.number)].iter().chain(words)) {
            *to = *from;
        }
        self.all.retain_mut(|subscriber| subscriber.tell(event, all));
    }

    fn of(&mut self, session: u32) -> Option<&mut Subscriber<B, QUEUE>> {
        self.all.iter_mut().find(|subscriber| subscriber.session == session)
    }
}

impl<I: Interface, B: Bell, const SESSIONS: usize, const QUEUE: usize> Default
    for Subscribers<I, B, SESSIONS, QUEUE>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<I: Interface, B: Bell, const SESSIONS: usize, const QUEUE: usize> Subscribed
    for Subscribers<I, B, SESSIONS, QUEUE>
{
    fn subscribe(
        &mut self,
        session: u32,
        access: u16,
        known: u64,
        notification: Handle,
    ) -> Result<(), Refusal> {
        // It begins anew: what was kept for it before it came again is nothing to it.
        self.unsubscribe(session);
        if self.all.is_full() {
            return Err(Refusal::NoRoom);
        }
        let (bell, queue) = (B::new(notification), Deque::new());
        let pushed = self.all.push(Subscriber { session, access, known, bell, queue, lost: 0 });
        pushed.map_err(|_| Refusal::NoRoom)
    }

    fn unsubscribe(&mut self, session: u32) {
        self.all.retain(|subscriber| subscriber.session != session);
    }

    fn next(&mut self, session: u32, access: u16) -> Result<[u64; REGISTER_WORDS], Refusal> {
        let subscriber = self.of(session).filter(|subscriber| subscriber.access & !access == 0);
        subscriber.map(Subscriber::next).ok_or(Refusal::NotSubscribed)
    }
}

/// What a server does with a request about its events.
pub(super) fn dispatch<I: Interface>(
    subscribed: Option<&mut dyn Subscribed>,
    method: u32,
    caller: Caller<I>,
    request: &Request<'_>,
    answer: &mut Answer,
) -> Result<(), Refusal> {
    let subscribed = subscribed.ok_or(Refusal::UnknownMethod)?;
    let Caller { session, .. } = caller;
    if method == SUBSCRIBE.number {
        let all = I::EVENTS.iter().fold(0, |all, event| all | event.requires);
        let open = I::EVENTS.iter().any(|event| event.requires & !session.access.bits() == 0);
        if !open {
            caller.require(Access::from_bits(all))?;
        }
        request.expect_words(1)?;
        let known: u64 = request.word(0)?;
        let bell: BellCap = request.capability(0)?;
        subscribed.subscribe(session.number, session.access.bits(), known, bell.handle())?;
        answer.words(());
    } else if method == UNSUBSCRIBE.number {
        request.expect_words(0)?;
        subscribed.unsubscribe(session.number);
        answer.words(());
    } else if method == NEXT.number {
        request.expect_words(0)?;
        answer.words(subscribed.next(session.number, session.access.bits())?);
    } else {
        return Err(Refusal::UnknownMethod);
    }
    Ok(())
}

/// An event as a client gets it: the generated enum of an interface's events.
pub trait Told: Sized {
    /// The event of this number with these words; nothing if it is none.
    fn from_words(number: u64, words: &[u64; EVENT_WORDS]) -> Option<Self>;
}
