//! Many calls at once, in one thread: each goes on as far as it can, and waits without keeping the others waiting.
//!
//! A call is a future, made of a request and of what the server's method does with it. Which of them has something to do, and
//! which is asleep, is the business of `futures-util`'s `FuturesUnordered`. Nothing here enters the kernel, so that all of it is
//! tested on the host; [`Service::serve_concurrently`](super::Service::serve_concurrently) is what it is for.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, StreamExt};
use idl::interface::{Answer, AsyncDispatch, Generation, Long, Refusal, Request, Session, Verdict};
use idl::types::Badge;

/// A call that has come to its end.
#[derive(Debug)]
pub struct Done<R> {
    /// By what its caller is to be answered.
    pub ticket: R,
    /// The request, for what came along with it.
    pub request: Long,
    /// The answer.
    pub answer: Answer,
    /// Whether the server's own code saw the request.
    pub verdict: Verdict,
    session: u32,
}

type Call<'d, R> = Pin<Box<dyn Future<Output = Done<R>> + 'd>>;

/// The calls of a server that are not at their end yet, each with a ticket by which its caller will be answered.
pub struct Turns<'d, D, R> {
    server: &'d D,
    life: Generation,
    calls: FuturesUnordered<Call<'d, R>>,
    /// The session of each of them.
    sessions: Vec<u32>,
    each: usize,
}

impl<'d, D: AsyncDispatch, R: 'd> Turns<'d, D, R> {
    /// No calls yet, of a server in this life. A session can have so many at once; who asks for more is told so (`NoRoom`), since
    /// nobody may take what others wait for.
    #[must_use]
    pub fn new(server: &'d D, life: Generation, each: usize) -> Self {
        Self { server, life, calls: FuturesUnordered::new(), sessions: Vec::new(), each }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.calls.len()
    }

    /// Begins a call. It is at its end at once if its session has too many.
    pub fn begin(&mut self, ticket: R, badge: Badge, request: Long) -> Option<Done<R>> {
        let session = Session::<D::Interface>::of(badge).number;
        if self.sessions.iter().filter(|other| **other == session).count() >= self.each {
            let mut answer = Answer::new();
            answer.refusal(Refusal::NoRoom);
            return Some(Done { ticket, request, answer, verdict: Verdict::Refused, session });
        }
        self.sessions.push(session);
        let (server, life) = (self.server, self.life);
        self.calls.push(Box::pin(async move {
            let mut answer = Answer::new();
            let seen = Request { label: request.label, words: request.words(), parcel: &request.parcel };
            let verdict = server.answer(life, badge, &seen, &mut answer).await;
            Done { ticket, request, answer, verdict, session }
        }));
        None
    }

    /// Lets every call go on that can, until one is at its end. Nothing if all wait: then the context's waker is told when one
    /// of them can go on.
    pub fn next(&mut self, context: &mut Context<'_>) -> Option<Done<R>> {
        let Poll::Ready(Some(done)) = self.calls.poll_next_unpin(context) else { return None };
        if let Some(place) = self.sessions.iter().position(|session| *session == done.session) {
            self.sessions.swap_remove(place);
        }
        Some(done)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Wake, Waker};
    use std::{thread, vec};

    use futures_channel::oneshot;
    use idl::interface::{Access, CONNECT, Caller, Interface, Label, status};
    use idl::types::Deadline;

    use super::*;

    /// Opens when it is told to.
    #[idl::interface(asynchronous, rights(WAIT))]
    trait Gate {
        /// Waits for the gate to open; answers with how many passed before.
        #[requires(WAIT)]
        fn pass(&self, gate: u32) -> u64;
        /// How many have passed.
        fn passed(&self) -> u64;
        /// Waits, and gives the text back.
        #[bytes]
        fn say(&self, #[max(8)] text: &str) -> heapless::String<8>;
    }

    #[derive(Default)]
    struct Keeper {
        waiting: RefCell<Vec<(u32, oneshot::Sender<()>)>>,
        passed: RefCell<u64>,
    }

    impl Keeper {
        async fn wait(&self, gate: u32) {
            let (open, opened) = oneshot::channel();
            self.waiting.borrow_mut().push((gate, open));
            let _ = opened.await;
        }

        /// What opens a gate, for whoever waits there first.
        fn key(&self, gate: u32) -> oneshot::Sender<()> {
            let place = self.waiting.borrow().iter().position(|(other, _)| *other == gate).unwrap();
            self.waiting.borrow_mut().remove(place).1
        }
    }

    impl GateAsyncServer for Keeper {
        async fn pass(&self, _: Caller<Gate>, gate: u32) -> u64 {
            self.wait(gate).await;
            let passed = *self.passed.borrow();
            *self.passed.borrow_mut() += 1;
            passed
        }

        async fn passed(&self, _: Caller<Gate>) -> u64 {
            *self.passed.borrow()
        }

        async fn say(&self, caller: Caller<Gate>, text: &str) -> heapless::String<8> {
            assert_eq!(caller.until, Deadline(77));
            self.wait(0).await;
            heapless::String::try_from(text).unwrap()
        }
    }

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn request(method: u32, words: &[u64]) -> Long {
        let mut request = Long::new(Label::new(method, Generation::FIRST).pack());
        request.words[..words.len()].copy_from_slice(words);
        request.count = u8::try_from(words.len()).unwrap();
        request
    }

    fn badge(session: u32) -> Badge {
        Session::new(session, Gate::WAIT).badge()
    }

    /// What is at its end now, by tickets, with the status and the first word.
    fn ends(turns: &mut Turns<'_, GateAsyncDispatch<Keeper>, u32>, waker: &Waker) -> Vec<(u32, u32, u64)> {
        let mut context = Context::from_waker(waker);
        let mut ends = Vec::new();
        while let Some(done) = turns.next(&mut context) {
            ends.push((done.ticket, done.answer.message.label, done.answer.message.words[0]));
        }
        ends
    }

    #[test]
    fn who_waits_keeps_nobody_waiting() {
        let (server, woken) = (GateAsyncDispatch(Keeper::default()), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let mut turns = Turns::new(&server, Generation::FIRST, 4);
        for (ticket, gate) in [(1, 10), (2, 20), (3, 10)] {
            assert!(turns.begin(ticket, badge(ticket), request(1, &[gate])).is_none());
        }
        assert_eq!(ends(&mut turns, &waker), []);
        assert!(turns.begin(4, badge(4), request(2, &[])).is_none());
        assert_eq!(ends(&mut turns, &waker), [(4, status::OK, 0)]);
        // From another thread, as a worker would.
        let (before, key) = (woken.0.load(Ordering::Relaxed), server.0.key(20));
        thread::spawn(move || key.send(())).join().unwrap().unwrap();
        assert!(woken.0.load(Ordering::Relaxed) > before, "whoever sleeps is woken");
        assert_eq!(ends(&mut turns, &waker), [(2, status::OK, 0)]);
        // One is opened, the other is dropped: who waits for what never comes goes on too.
        server.0.key(10).send(()).unwrap();
        assert_eq!(ends(&mut turns, &waker), [(1, status::OK, 1)]);
        drop(server.0.key(10));
        assert_eq!(ends(&mut turns, &waker), [(3, status::OK, 2)]);
        assert_eq!(turns.count(), 0);
    }

    #[test]
    fn a_session_has_no_more_than_its_part() {
        let server = GateAsyncDispatch(Keeper::default());
        let mut turns = Turns::new(&server, Generation::FIRST, 2);
        let begun = |turns: &mut Turns<'_, _, u32>, ticket, session| {
            turns.begin(ticket, badge(session), request(1, &[5])).map(|done| done.answer.message.label)
        };
        assert_eq!((begun(&mut turns, 1, 7), begun(&mut turns, 2, 7)), (None, None));
        assert_eq!(begun(&mut turns, 3, 7), Some(status::NO_ROOM));
        assert_eq!(begun(&mut turns, 4, 8), None, "another has its own");
        assert_eq!(ends(&mut turns, Waker::noop()), []);
        server.0.key(5).send(()).unwrap();
        assert_eq!(ends(&mut turns, Waker::noop()).len(), 1);
        assert_eq!(begun(&mut turns, 5, 7), None, "what is at its end counts no more");
    }

    #[test]
    fn requests_are_judged_as_everywhere() {
        let server = GateAsyncDispatch(Keeper::default());
        let mut turns = Turns::new(&server, Generation::FIRST, 20);
        let stale = Long { label: Label::new(2, Generation(9)).pack(), ..request(2, &[]) };
        let nobody = Session::<Gate>::new(1, Access::NONE).badge();
        let connect = [Gate::FINGERPRINT, Gate::METHODS.len() as u64];
        for (ticket, badge, request, expected) in [
            (1, badge(1), request(1, &[]), status::MALFORMED),
            (2, badge(1), request(9, &[]), status::UNKNOWN_METHOD),
            (3, nobody, request(1, &[1]), status::DENIED),
            (4, badge(1), stale, status::RESTARTED),
            (5, badge(1), request(CONNECT, &connect), status::OK),
            (6, badge(1), request(CONNECT, &[1, 2]), status::WRONG_INTERFACE),
            (7, badge(1), request(253, &[]), status::UNKNOWN_METHOD),
            (8, badge(1), request(3, &[2, 0xffff]), status::MALFORMED),
        ] {
            assert!(turns.begin(ticket, badge, request).is_none());
            let ended = ends(&mut turns, Waker::noop());
            assert_eq!(ended.iter().map(|end| (end.0, end.1)).collect::<Vec<_>>(), vec![(ticket, expected)]);
        }
    }

    #[test]
    fn a_call_keeps_its_text_while_it_waits() {
        let server = GateAsyncDispatch(Keeper::default());
        let mut turns = Turns::new(&server, Generation::FIRST, 20);
        // Three bytes of postcard: the length, and two letters; then the deadline.
        let mut said = request(3, &[3, u64::from_le_bytes([2, b'h', b'i', 0, 0, 0, 0, 0]), 77]);
        said.label = Label { has_deadline: true, ..Label::new(3, Generation::FIRST) }.pack();
        assert!(turns.begin(1, badge(1), said.clone()).is_none());
        assert_eq!(ends(&mut turns, Waker::noop()), []);
        server.0.key(0).send(()).unwrap();
        let done = turns.next(&mut Context::from_waker(Waker::noop())).unwrap();
        assert_eq!(done.answer.message.words(), &said.words()[..2], "the same text");
        assert_eq!((done.verdict, done.request.label), (Verdict::Taken, said.label));
    }
}
