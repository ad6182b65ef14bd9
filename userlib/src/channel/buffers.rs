//! Buffers that change hands and are not copied: filled in the window by one side, read there by the other.
//!
//! Whoever fills a buffer has a [`Buffer`], whoever reads it a [`Loan`]. Neither can be copied, and both are consumed when
//! they are given away, so that nobody has what is not his: the compiler sees to that on this side. The other side is not
//! bound by anything and may write at any moment. So there is no `&[u8]` to a buffer: [`Loan::words`] are atomics, read in
//! place, and what they say is to be checked as any input, after it was loaded and not before.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use caps::{Error, Rights};
use idl::types::{Deadline, SubOsNumber};

use super::pool::{self, MAX_BUFFERS, NOTE, NOTE_WORDS, Number, Pool};
use super::ring::{CONTROL, Lane, Receiver, Refused, Sender};
use super::{Channel, Failure, LOOKS};
use crate::cap::{Cap, Region};
use crate::memory::Mapping;
use crate::{platform, slots};

/// No window is larger, in bytes.
const LARGEST: usize = 1 << 40;

/// Which buffers a window has on each side. Both sides say the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// How many; at most 64.
    pub count: usize,
    /// Bytes of each, of which there are a multiple of 64.
    pub bytes: usize,
}

impl Layout {
    /// Words of one ring for notes.
    const fn notes(self) -> usize {
        if self.count == 0 { 0 } else { CONTROL + (self.count * NOTE_WORDS).next_power_of_two() }
    }

    const fn words(self) -> usize {
        self.bytes / size_of::<u64>()
    }

    /// Words of both sides' notes and buffers, which come first.
    const fn before_messages(self) -> usize {
        2 * (self.notes() + self.count * self.words())
    }

    const fn is_sound(self) -> bool {
        self.count <= MAX_BUFFERS
            && self.bytes <= LARGEST
            && self.bytes.is_multiple_of(64)
            && (self.count == 0) == (self.bytes == 0)
    }
}

/// Which side's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Own,
    Others,
}

/// The memory of a channel, for as long as anybody has a part of it.
#[derive(Debug)]
pub(super) struct Home {
    region: Cap<Region>,
    mapping: Option<Mapping>,
    layout: Layout,
    /// Whether this side has the first half of everything, and not the second.
    first: bool,
    /// Which words are the ring to send messages by, and which the ring to receive them from: looked at for each message.
    outgoing: Range<usize>,
    incoming: Range<usize>,
    /// This side's buffers that were dropped without being given away: a bit each.
    unused: AtomicU64,
    /// The other side's that were dropped.
    read: AtomicU64,
    /// Whether the channel was closed: the capability to the window goes with the memory.
    closed: AtomicBool,
}

impl Home {
    pub(super) fn new(region: Cap<Region>, first: bool, layout: Layout) -> Result<Self, Error> {
        if !layout.is_sound() {
            return Err(Error::InvalidArgument);
        }
        let mapping = Mapping::of(region, Rights::READ | Rights::WRITE)?;
        let (unused, read) = (AtomicU64::new(0), AtomicU64::new(0));
        let closed = AtomicBool::new(false);
        let (begin, end) = (layout.before_messages(), mapping.words().len());
        let middle = begin + end.saturating_sub(begin) / 2;
        let (low, high) = (begin..middle, middle..end);
        let (outgoing, incoming) = if first { (low, high) } else { (high, low) };
        let mapping = Some(mapping);
        let home = Self { region, mapping, layout, first, outgoing, incoming, unused, read, closed };
        if home.outgoing().and(home.incoming()).is_some() {
            return Ok(home);
        }
        home.unmap()?;
        Err(Error::BadSize)
    }

    pub(super) const fn region(&self) -> Cap<Region> {
        self.region
    }

    /// The ring to send messages by.
    #[inline]
    pub(super) fn outgoing(&self) -> Option<Lane<'_>> {
        Lane::new(self.words().get(self.outgoing.clone())?)
    }

    /// The ring to receive messages from.
    #[inline]
    pub(super) fn incoming(&self) -> Option<Lane<'_>> {
        Lane::new(self.words().get(self.incoming.clone())?)
    }

    /// The ring to send notes by and the ring to receive them from, if there are buffers.
    fn notes(&self) -> Option<[Lane<'_>; 2]> {
        let [own, other] = self.own_first(self.words().get(..2 * self.layout.notes())?);
        Some([Lane::new(own)?, Lane::new(other)?])
    }

    /// The words of a buffer of one side.
    fn buffer(&self, whose: Whose, number: Number) -> &[AtomicU64] {
        let all = self.words().get(2 * self.layout.notes()..self.layout.before_messages());
        let [own, other] = self.own_first(all.unwrap_or(&[]));
        let words = self.layout.words();
        let all = if whose == Whose::Own { own } else { other };
        all.get(number.get() * words..(number.get() + 1) * words).unwrap_or(&[])
    }

    fn words(&self) -> &[AtomicU64] {
        self.mapping.as_ref().map_or(&[], Mapping::words)
    }

    fn own_first<'m>(&self, words: &'m [AtomicU64]) -> [&'m [AtomicU64]; 2] {
        let (low, high) = words.split_at(words.len() / 2);
        if self.first { [low, high] } else { [high, low] }
    }

    fn unmap(mut self) -> Result<(), Error> {
        self.mapping.take().map_or(Ok(()), Mapping::unmap)
    }

    /// Gives everything back, the capability to the window included: now, or when the last buffer is dropped.
    pub(super) fn end(self: Arc<Self>) -> Result<(), Error> {
        self.closed.store(true, Ordering::Release);
        match Arc::into_inner(self) {
            None => Ok(()),
            Some(home) => {
                let region = home.region;
                home.unmap()?;
                slots::delete(region.handle())
            }
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(mapping) = self.mapping.take() {
            // If the window was taken, there is nothing to give back.
            let _ = mapping.unmap();
            if *self.closed.get_mut() {
                let _ = slots::delete(self.region.handle());
            }
        }
    }
}

/// A buffer of this side's, to be filled and given. Who drops it has it for the next. What is given is gone:
///
/// ```compile_fail,E0382
/// # use userlib::channel::{Channel, buffers::Buffer};
/// fn give(channel: &mut Channel, mut buffer: Buffer) {
///     let _ = channel.give(buffer, 8);
///     buffer.write(0, &[1]);
/// }
/// ```
///
/// ```compile_fail,E0505
/// # use userlib::channel::{Channel, buffers::Buffer};
/// fn give(channel: &mut Channel, buffer: Buffer) {
///     let words = buffer.words();
///     let _ = channel.give(buffer, 8);
///     words[0].store(1, std::sync::atomic::Ordering::Relaxed);
/// }
/// ```
#[derive(Debug)]
pub struct Buffer {
    home: Arc<Home>,
    number: Number,
}

impl Buffer {
    /// All words of it. Whoever writes them writes them where the other side will read them.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        self.home.buffer(Whose::Own, self.number)
    }

    /// Copies bytes in, from this offset on; as many as there is room for.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> usize {
        pool::store(self.words(), offset, bytes)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.unused.fetch_or(self.number.bit(), Ordering::Release);
    }
}

/// A buffer of the other side's, to be read where it is. Who drops it gives it back the next time that he uses the channel,
/// and cannot read it any more:
///
/// ```compile_fail,E0505
/// # use userlib::channel::{Channel, buffers::Loan};
/// fn give_back(channel: &mut Channel, loan: Loan) -> u64 {
///     let words = loan.words();
///     let _ = channel.give_back(loan);
///     words[0].load(std::sync::atomic::Ordering::Relaxed)
/// }
/// ```
#[derive(Debug)]
pub struct Loan {
    home: Arc<Home>,
    number: Number,
    length: usize,
}

impl Loan {
    /// How many bytes of it mean something, as the other side says; no more than a buffer has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether none does.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The words that hold them. The other side can change them while they are read; each load says something else, perhaps.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        let words = self.home.buffer(Whose::Others, self.number);
        words.get(..self.length.div_ceil(size_of::<u64>())).unwrap_or(words)
    }

    /// Copies bytes out, from this offset on; as many as there are.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> usize {
        let most = bytes.len().min(self.length.saturating_sub(offset));
        pool::load(self.words(), offset, bytes.get_mut(..most).unwrap_or(&mut []))
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.home.read.fetch_or(self.number.bit(), Ordering::Release);
    }
}

/// What a side of a channel knows of buffers.
#[derive(Debug)]
pub(super) struct Books {
    pool: Pool,
    sender: Sender,
    receiver: Receiver,
    /// What was lent to this side and nobody has taken yet; each buffer once.
    arrived: VecDeque<(Number, usize)>,
}

impl Books {
    pub(super) fn new(layout: Layout) -> Self {
        let pool = Pool::new(layout.count, layout.bytes);
        Self { pool, sender: Sender::default(), receiver: Receiver::default(), arrived: VecDeque::new() }
    }

    /// Says that no more comes.
    pub(super) fn end(&mut self, home: &Home) {
        if let Some([out, _]) = home.notes() {
            self.sender.end(&out);
        }
    }
}

/// Whether anything can still come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hope {
    Left,
    Gone,
}

impl Channel {
    /// As [`Channel::open`], with buffers on each side that change hands without being copied. Both sides say the same of
    /// them.
    ///
    /// # Errors
    /// Those of [`Channel::open`]; `InvalidArgument`: too many, or of an odd size.
    pub fn open_with_buffers(region: Cap<Region>, peer: SubOsNumber, layout: Layout) -> Result<Self, Error> {
        Self::over(region, peer, layout)
    }

    /// A buffer of this side's to fill; waits until one is free.
    ///
    /// # Errors
    /// `Closed`, `TimedOut`, `Broken`; `Kernel(WrongState)`: this channel has no buffers.
    pub fn buffer(&mut self, deadline: Deadline) -> Result<Buffer, Failure> {
        let number = self.until(deadline, |books| books.pool.take())?;
        Ok(Buffer { home: Arc::clone(&self.home), number })
    }

    /// Lends a buffer to the other side, which is told that so many bytes of it mean something.
    ///
    /// # Errors
    /// `Closed`, `Broken`; `Kernel(NotOwner)`: it is another channel's, and `TooLong`: it has fewer bytes. The buffer is free
    /// again then.
    pub fn give(&mut self, buffer: Buffer, length: usize) -> Result<(), Failure> {
        if !Arc::ptr_eq(&buffer.home, &self.home) {
            return Err(Failure::Kernel(Error::NotOwner));
        }
        if length > self.home.layout.bytes {
            return Err(Failure::TooLong(length));
        }
        if self.cut.load(Ordering::Relaxed) {
            return Err(Failure::Closed);
        }
        self.settle()?;
        let (number, note) = (buffer.number, self.books.pool.lend(buffer.number, length));
        drop(buffer);
        // It is not unused, but lent.
        self.home.unused.fetch_and(!number.bit(), Ordering::Relaxed);
        self.say(note)
    }

    /// The oldest buffer that the other side has lent; waits until there is one.
    ///
    /// # Errors
    /// `Closed`, `TimedOut`, `Broken`; `Kernel(WrongState)`: this channel has no buffers.
    pub fn take(&mut self, deadline: Deadline) -> Result<Loan, Failure> {
        let (number, length) = self.until(deadline, |books| books.arrived.pop_front())?;
        Ok(Loan { home: Arc::clone(&self.home), number, length })
    }

    /// Gives back at once what was lent by the other side.
    ///
    /// # Errors
    /// `Broken`, `Kernel`. It is given back in any case, if not now.
    pub fn give_back(&mut self, loan: Loan) -> Result<(), Failure> {
        drop(loan);
        self.settle()
    }

    /// Takes in what buffers were dropped: this side's are free, the other's go back.
    fn settle(&mut self) -> Result<(), Failure> {
        self.books.pool.put_back(self.home.unused.swap(0, Ordering::Acquire));
        let mut read = self.home.read.swap(0, Ordering::Acquire);
        while let Some(number) = Number::first_of(read) {
            read &= !number.bit();
            let note = self.books.pool.give_back(number);
            self.say(note)?;
        }
        Ok(())
    }

    fn say(&mut self, note: pool::Note) -> Result<(), Failure> {
        let wake = {
            let [out, _] = self.home.notes().ok_or(Failure::Kernel(Error::WrongState))?;
            // There is room for all that can be said to who believes only what can be meant.
            self.books.sender.send(&out, &note.to_bytes()).map_err(|_| Failure::Broken)?
        };
        self.wake(wake)
    }

    /// Looks again and again until this finds something, for a short time, and sleeps then.
    fn until<T>(
        &mut self,
        deadline: Deadline,
        mut find: impl FnMut(&mut Books) -> Option<T>,
    ) -> Result<T, Failure> {
        let mut looks = 0;
        loop {
            // Looked at first: what came before the line was cut is taken.
            let cut = self.cut.load(Ordering::Acquire);
            let hope = self.listen()?;
            if let Some(found) = find(&mut self.books) {
                return Ok(found);
            }
            if cut || hope == Hope::Gone {
                return Err(Failure::Closed);
            }
            looks += 1;
            if looks < LOOKS {
                platform::pause();
            } else if self.may_sleep_on_notes() {
                self.sleep(deadline)?;
            }
        }
    }

    /// Takes in all that the other side has said of buffers.
    fn listen(&mut self) -> Result<Hope, Failure> {
        self.settle()?;
        loop {
            let mut note = [0; NOTE];
            let received = {
                let [_, incoming] = self.home.notes().ok_or(Failure::Kernel(Error::WrongState))?;
                self.books.receiver.receive(&incoming, &mut note)
            };
            match received {
                Ok((length, wake)) => {
                    self.wake(wake)?;
                    let note = note.get(..length).ok_or(Failure::Broken)?;
                    let lent = self.books.pool.hear(note).map_err(|_| Failure::Broken)?;
                    self.books.arrived.extend(lent);
                }
                Err(Refused::Empty) => return Ok(Hope::Left),
                Err(Refused::Over) => return Ok(Hope::Gone),
                Err(_) => return Err(Failure::Broken),
            }
        }
    }

    fn may_sleep_on_notes(&mut self) -> bool {
        self.home.notes().is_some_and(|[_, incoming]| self.books.receiver.may_sleep(&incoming))
    }
}
