//! The transport over a line: what comes whole is answered, what does not is skipped, and nobody waits for either.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use heapless::String;
use idl::Error;
use idl::interface;
use idl::interface::{CONNECT, CallError, Caller, Generation, Label, Long, Session, status};
use idl::serial::frame::{FRAME_BYTES, encode};
use idl::serial::{Frame, Frames, Line, Rubbish, Serial, Served, Wire};
use proptest::prelude::*;

/// Something to call.
#[interface(version = 2, rights(SAY))]
trait Echo {
    /// The sum.
    fn add(&self, one: u64, other: u64) -> u64;
    /// The text, so often.
    #[bytes]
    #[requires(SAY)]
    fn repeat(&self, #[max(500)] text: &str, times: u32) -> String<2000>;
    /// Nothing comes back.
    #[one_way]
    fn note(&self, what: u64);
}

mod later {
    /// The same in another version.
    #[idl::interface(version = 3)]
    pub(super) trait Echo {
        /// The difference.
        fn subtract(&self, one: u64, other: u64) -> u64;
    }
}

#[derive(Clone, Debug, Default)]
struct Server {
    noted: Vec<u64>,
}

impl EchoServer for Server {
    fn add(&mut self, _: Caller<Echo>, one: u64, other: u64) -> u64 {
        one.wrapping_add(other)
    }

    fn repeat(&mut self, _: Caller<Echo>, text: &str, times: u32) -> String<2000> {
        let mut all = String::new();
        (0..times.min(2000)).for_each(|_| drop(all.push_str(text)));
        all
    }

    fn note(&mut self, _: Caller<Echo>, what: u64) {
        self.noted.push(what);
    }
}

/// The server's end: bytes in and out, of which it takes so many at a time.
#[derive(Clone, Debug)]
struct Ends {
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    room: usize,
}

impl Line for Ends {
    fn receive(&mut self, room: &mut [u8]) -> usize {
        let count = room.len().min(self.to_server.len());
        room.iter_mut().zip(self.to_server.drain(..count)).for_each(|(to, from)| *to = from);
        count
    }

    fn send(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room.saturating_sub(self.to_client.len()));
        self.to_client.extend(&bytes[..count]);
        count
    }
}

/// A line with its server, which has its turn whenever the client waits.
struct Pair {
    ends: RefCell<Ends>,
    served: RefCell<Served>,
    server: RefCell<EchoDispatch<Server>>,
    turns: Cell<u32>,
}

impl Pair {
    fn new(room: usize) -> Self {
        let ends = Ends { to_server: VecDeque::new(), to_client: VecDeque::new(), room };
        Self {
            ends: RefCell::new(ends),
            served: RefCell::new(Served::new()),
            server: RefCell::new(EchoDispatch(Server::default())),
            turns: Cell::new(0),
        }
    }

    /// One turn of the server's; whether it did anything.
    fn turn(&self) -> bool {
        let (mut ends, mut served) = (self.ends.borrow_mut(), self.served.borrow_mut());
        let (request, some) = served.next(&mut *ends);
        let Some(request) = request else { return some };
        let badge = Session::new(1, Echo::SAY).badge();
        let answer = Served::ask(&request, (Generation::FIRST, badge), &mut *self.server.borrow_mut());
        served.send(answer, &mut *ends);
        true
    }

    fn put(&self, bytes: &[u8]) {
        self.ends.borrow_mut().to_server.extend(bytes);
    }

    /// What the server says to this, as frames.
    fn answers(&self, bytes: &[u8]) -> Vec<Result<Frame, Rubbish>> {
        self.put(bytes);
        let (mut frames, mut all) = (Frames::new(), Vec::new());
        while self.turn() || !self.ends.borrow().to_client.is_empty() {
            let came = std::mem::take(&mut self.ends.borrow_mut().to_client);
            all.extend(came.into_iter().filter_map(|byte| frames.push(byte)));
        }
        all
    }

    fn rubbish(&self) -> u64 {
        self.served.borrow().rubbish()
    }
}

/// How many times a client looks before its time is up.
const TURNS: u32 = 10_000;

impl Wire for &Pair {
    fn begin(&self) {
        self.turns.set(0);
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        self.put(bytes);
        Ok(())
    }

    fn receive(&self, bytes: &mut [u8]) -> Result<usize, Error> {
        loop {
            self.turns.set(self.turns.get() + 1);
            if self.turns.get() > TURNS {
                return Err(Error::TimedOut);
            }
            self.turn();
            let mut ends = self.ends.borrow_mut();
            let count = bytes.len().min(ends.to_client.len());
            bytes.iter_mut().zip(ends.to_client.drain(..count)).for_each(|(to, from)| *to = from);
            if count > 0 {
                return Ok(count);
            }
        }
    }
}

fn client(pair: &Pair, first: u32) -> EchoClient<Serial<&Pair>> {
    EchoClient::connect(Serial::new(pair, first)).unwrap()
}

fn frame(number: u32, label: u32, words: &[u64]) -> Vec<u8> {
    let mut message = Long::new(label);
    message.words[..words.len()].copy_from_slice(words);
    message.count = words.len().try_into().unwrap();
    let mut bytes = [0; FRAME_BYTES];
    let length = encode(number, &message, &mut bytes).unwrap();
    bytes[..length].to_vec()
}

/// A sound request, and what its answer must be.
fn sum(number: u32) -> (Vec<u8>, [u64; 2]) {
    (frame(number, Label::new(1, Generation::ANY).pack(), &[40, 2]), [u64::from(number), 42])
}

fn is_sum(answers: &[Result<Frame, Rubbish>], expected: [u64; 2]) {
    let [Ok(answer)] = answers else { panic!("{answers:?}") };
    assert_eq!((answer.message.label, answer.message.words()), (status::OK, &expected[1..]));
    assert_eq!(u64::from(answer.number), expected[0]);
}

#[test]
fn calls_of_every_length_are_answered_over_a_line_that_takes_little() {
    for room in [1, 7, 300, 5000] {
        let pair = Pair::new(room);
        let echo = client(&pair, 77);
        assert_eq!(echo.add(40, 2), Ok(42));
        for (text, times) in [("", 1), ("a", 2000), ("\0", 1999), ("zwölf", 250)] {
            assert_eq!(echo.repeat(text, times).unwrap().as_str(), text.repeat(times as usize));
        }
        assert_eq!(echo.note(9), Ok(()));
        assert_eq!(echo.add(u64::MAX, 2), Ok(1), "after what has no answer");
        assert_eq!((pair.rubbish(), pair.server.into_inner().0.noted), (0, vec![9]));
    }
}

#[test]
fn what_is_no_frame_is_skipped_and_counted() {
    let (sound, expected) = sum(5);
    let mut damaged = sound.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= if damaged[middle] == 0x10 { 0x20 } else { 0x10 };
    let half = &sound[..sound.len() / 2];
    let too_long = vec![0x55; FRAME_BYTES + 1000];
    // More words than it says, with a checksum that is right for that.
    let mut short = [0u8; 14];
    short[0] = 8;
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&short[..10]);
    short[10..].copy_from_slice(&crc.to_le_bytes());
    let mut coded = [0; 32];
    let length = cobs::encode(&short, &mut coded);
    let rubbish: [(&str, &[u8]); 6] = [
        ("damaged", &damaged),
        ("half", half),
        ("too long", &too_long),
        ("another length", &coded[..length]),
        ("text", b"GET / HTTP/1.1\r\n\r\n"),
        ("one byte", &[0xff]),
    ];
    for (what, bytes) in rubbish {
        let pair = Pair::new(5000);
        is_sum(&pair.answers(&[bytes, &sound].concat()), expected);
        assert_eq!(pair.rubbish(), 1, "{what}");
        is_sum(&pair.answers(&sound), expected);
        assert_eq!(pair.rubbish(), 1, "{what}");
    }
}

#[test]
fn rubbish_is_told_apart() {
    let mut frames = Frames::new();
    let mut last = |bytes: &[u8]| bytes.iter().filter_map(|byte| frames.push(*byte)).last();
    let (mut sound, _) = sum(5);
    assert!(matches!(last(&sound), Some(Ok(frame)) if frame.number == 5));
    assert!(matches!(last(&[&[1; FRAME_BYTES][..], &[0]].concat()), Some(Err(Rubbish::TooLong))));
    assert!(matches!(last(&[9, 1, 0]), Some(Err(Rubbish::Encoding))));
    assert!(matches!(last(&[1, 1, 1, 0]), Some(Err(Rubbish::Length))));
    let at = sound.len() - 2;
    sound[at] = if sound[at] == 1 { 2 } else { 1 };
    assert!(matches!(last(&sound), Some(Err(Rubbish::Checksum | Rubbish::Encoding))));
    assert_eq!(last(&[0; 10]).map(|_| ()), None, "zeros between frames are nothing");
}

#[test]
fn another_interface_is_named() {
    let pair = Pair::new(5000);
    let error = later::EchoClient::connect(Serial::new(&pair, 0)).err();
    let Some(CallError::WrongInterface(mismatch)) = error else { panic!("{error:?}") };
    let text = mismatch.to_string();
    assert!(text.contains("the client has version 3") && text.contains("the server version 2"), "{text}");
}

#[test]
fn a_client_waits_for_its_own_answer_alone() {
    let pair = Pair::new(5000);
    let echo = client(&pair, 1000);
    let mine = echo.add(1, 1);
    // What somebody else was still to be told, and half a frame, come first.
    let stale = frame(7, status::OK, &[666]);
    pair.ends.borrow_mut().to_client.extend(&stale);
    pair.ends.borrow_mut().to_client.extend(&stale[..9]);
    assert_eq!((mine, echo.add(2, 3)), (Ok(2), Ok(5)));
}

/// A line whose other end says the same for ever, or nothing, or is gone.
struct Stuck(Option<Vec<u8>>, Cell<u32>);

impl Wire for Stuck {
    fn begin(&self) {
        self.1.set(0);
    }

    fn send(&self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn receive(&self, bytes: &mut [u8]) -> Result<usize, Error> {
        self.1.set(self.1.get() + 1);
        let Some(says) = &self.0 else { return Err(Error::Cancelled) };
        if says.is_empty() || self.1.get() > 100 {
            return Err(Error::TimedOut);
        }
        bytes[..says.len()].copy_from_slice(says);
        Ok(says.len())
    }
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    for says in [vec![], b"rubbish".to_vec(), frame(99, status::OK, &[1])] {
        let error = EchoClient::connect(Serial::new(Stuck(Some(says), Cell::new(0)), 3)).err();
        assert_eq!(error, Some(CallError::Kernel(Error::TimedOut)));
    }
    let error = EchoClient::connect(Serial::new(Stuck(None, Cell::new(0)), 3)).err();
    assert!(matches!(error, Some(CallError::Dead(_))), "{error:?}");
}

#[test]
fn who_does_not_read_is_not_served_more() {
    let pair = Pair::new(10);
    let (sound, _) = sum(5);
    (0..50).for_each(|_| pair.put(&sound));
    // Nobody takes the first answer: the server does a bounded amount, and then nothing.
    let turns = (0..100).filter(|_| pair.turn()).count();
    assert!(turns <= 2, "{turns} turns");
    assert!(pair.ends.borrow().to_server.len() >= 40 * sound.len() - 256);
}

#[test]
fn capabilities_do_not_cross() {
    use idl::interface::{Parcel, Passed, Passing};
    let mut message = Long::new(1);
    let passed = Passed {
        handle: caps::Handle(1),
        kind: caps::Kind::Endpoint,
        rights: caps::Rights::CALL,
        passing: Passing::Moved,
    };
    message.parcel = Parcel::of(&[passed]);
    assert_eq!(encode(1, &message, &mut [0; FRAME_BYTES]), None);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..5000), room in 1usize..3000) {
        let pair = Pair::new(room);
        pair.answers(&bytes);
        let (sound, expected) = sum(6);
        // What came before may have been the beginning of a frame.
        is_sum(&pair.answers(&sound), expected);
    }

    #[test]
    fn any_message_comes_whole(
        number: u32,
        label: u32,
        words in prop::collection::vec(prop_oneof![Just(0u64), any::<u64>()], 0..=255),
    ) {
        let bytes = frame(number, label, &words);
        prop_assert!(!bytes[1..bytes.len() - 1].contains(&0));
        let mut frames = Frames::new();
        let heard: Vec<_> = bytes.iter().filter_map(|byte| frames.push(*byte)).collect();
        let [Ok(heard)] = &heard[..] else { panic!("{heard:?}") };
        prop_assert_eq!((heard.number, heard.message.label), (number, label));
        prop_assert_eq!(heard.message.words(), &words[..]);
    }

    #[test]
    fn any_message_is_answered(
        label: u32,
        words in prop::collection::vec(any::<u64>(), 0..=255),
        method in 0u32..5,
        wild: bool,
    ) {
        let label = if wild { label } else { Label::new(method, Generation::ANY).pack() };
        let answers = Pair::new(5000).answers(&frame(3, label, &words));
        let one_way = Label::unpack(label).is_some_and(|label| label.method == 3);
        prop_assert_eq!(answers.len(), usize::from(!one_way));
        prop_assert!(label != CONNECT || answers[0].as_ref().is_ok_and(|frame| frame.number == 3));
    }

    #[test]
    fn one_byte_that_is_another_is_never_believed(at in 1usize..24, by in 1u8..=255) {
        let (mut bytes, _) = sum(5);
        let at = at.min(bytes.len() - 2);
        bytes[at] ^= by;
        let mut frames = Frames::new();
        let believed = bytes.iter().filter_map(|byte| frames.push(*byte)).flatten().count();
        prop_assert_eq!(believed, 0);
    }
}
