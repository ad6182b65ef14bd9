//! Messages between two subOSes, over a window that the supervisor opened.
//!
//! A channel is a [`ring`] each way. Who waits looks again and again for a short time, then sleeps on the window's
//! doorbell. The other side is not trusted: the worst that it can do is to send rubbish, or nothing. When it dies, the kernel
//! says so by the event `PeerGone`, and whoever hears that cuts the channel's [`Line`].
//!
//! Besides messages, which are copied, a channel can carry [`buffers`], which are not.
//!
//! If the *own* side of the window is taken, its memory goes, and who still uses the channel faults.

pub mod buffers;
pub mod pool;
pub mod ring;
#[cfg(test)]
mod tests;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use caps::{Error, Handle};
use idl::types::{Bits, Deadline, SubOsNumber};

use self::buffers::{Books, Home, Layout};
use self::ring::{Receiver, Refused, Sender, Wake};
use crate::cap::{Cap, Notification, Region};
use crate::{environment, memory, platform, slots};

/// How often to look before sleeping: about as long as a sleep and a doorbell cost.
const LOOKS: u32 = 2_000;

/// Why nothing was sent or received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The other side is gone, or said that it sends no more.
    Closed,
    /// The message has so many bytes: more than the channel can carry, or than the buffer holds.
    TooLong(usize),
    /// The deadline passed.
    TimedOut,
    /// The other side wrote rubbish where positions and lengths are. The channel is of no use any more.
    Broken,
    /// The kernel refused something.
    Kernel(Error),
}

impl core::fmt::Display for Failure {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Closed => out.write_str("the other side of the channel is gone"),
            Self::TooLong(bytes) => write!(out, "a message of {bytes} bytes does not fit"),
            Self::TimedOut => out.write_str("the deadline passed"),
            Self::Broken => out.write_str("the other side of the channel writes rubbish"),
            Self::Kernel(error) => write!(out, "the kernel refuses: {error}"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::TimedOut => Self::TimedOut,
            error => Self::Kernel(error),
        }
    }
}

/// One side of a channel.
#[derive(Debug)]
pub struct Channel {
    home: Arc<Home>,
    bell: Cap<Notification>,
    sender: Sender,
    receiver: Receiver,
    books: Books,
    cut: Arc<AtomicBool>,
}

/// By which it is told to one side of a channel that the other is gone; for whoever hears the kernel's events.
#[derive(Clone, Debug)]
pub struct Line {
    cut: Arc<AtomicBool>,
    bell: Cap<Notification>,
}

impl Line {
    /// Nothing more comes. What has come can still be received.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        // Who does not sleep looks by himself.
        let _ = self.bell.signal(Bits(1));
    }
}

impl Channel {
    /// A channel over this window, which is this subOS's and the peer's alone; both sides do this. The window's doorbell
    /// must not be listened to already.
    ///
    /// # Errors
    /// Those of [`memory::Mapping::of`](crate::memory::Mapping::of), of making a notification and of `Region.listen`; `BadSize`: the window is too small;
    /// `InvalidArgument`: nobody is his own peer.
    pub fn open(region: Cap<Region>, peer: SubOsNumber) -> Result<Self, Error> {
        Self::over(region, peer, Layout::default())
    }

    fn over(region: Cap<Region>, peer: SubOsNumber, layout: Layout) -> Result<Self, Error> {
        let own = environment().startup().subos;
        if own == peer.0 {
            return Err(Error::InvalidArgument);
        }
        let home = Home::new(region, own < peer.0, layout)?;
        let bell: Cap<Notification> = memory::create(0)?;
        region.listen(bell.handle(), Bits(1))?;
        let (home, sender, receiver) = (Arc::new(home), Sender::default(), Receiver::default());
        Ok(Self { home, bell, sender, receiver, books: Books::new(layout), cut: Arc::default() })
    }

    /// What to cut when the peer is gone.
    #[must_use]
    pub fn line(&self) -> Line {
        Line { cut: Arc::clone(&self.cut), bell: self.bell }
    }

    /// Sends a message; waits until there is room for it.
    ///
    /// # Errors
    /// `Closed`, `TooLong`, `TimedOut`, `Broken`.
    pub fn send(&mut self, message: &[u8], deadline: Deadline) -> Result<(), Failure> {
        let mut looks = 0;
        loop {
            if self.cut.load(Ordering::Relaxed) {
                return Err(Failure::Closed);
            }
            let out = self.home.outgoing().ok_or(Failure::Broken)?;
            match self.sender.send(&out, message) {
                Ok(wake) => return self.wake(wake),
                Err(Refused::Full) => {}
                Err(refused) => return Err(failure(refused)),
            }
            looks += 1;
            if looks < LOOKS {
                platform::pause();
            } else if self.sender.may_sleep(&out, message.len()) {
                self.sleep(deadline)?;
            }
        }
    }

    /// Receives the oldest message; waits until there is one. Answers with its length.
    ///
    /// # Errors
    /// `Closed`, `TooLong` (it stays), `TimedOut`, `Broken`.
    pub fn receive(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<usize, Failure> {
        let mut looks = 0;
        loop {
            // Looked at first: what came before the line was cut is received.
            let cut = self.cut.load(Ordering::Acquire);
            let lane = self.home.incoming().ok_or(Failure::Broken)?;
            match self.receiver.receive(&lane, buffer) {
                Ok((length, wake)) => return self.wake(wake).map(|()| length),
                Err(Refused::Empty) if cut => return Err(Failure::Closed),
                Err(Refused::Empty) => {}
                Err(refused) => return Err(failure(refused)),
            }
            looks += 1;
            if looks < LOOKS {
                platform::pause();
            } else if self.receiver.may_sleep(&lane) {
                self.sleep(deadline)?;
            }
        }
    }

    /// Says that this side sends and receives no more, and gives back what it took, the capability to the window included;
    /// if somebody still has a buffer, the memory when he drops it. (A channel that is only dropped says nothing, and
    /// leaves the capability.)
    ///
    /// # Errors
    /// Those of deleting and unmapping.
    pub fn close(mut self) -> Result<(), Error> {
        if let Some(out) = self.home.outgoing() {
            self.sender.end(&out);
        }
        self.books.end(&self.home);
        // The window may be gone, and the bell with it.
        let _ = self.home.region().ring();
        let _ = self.home.region().listen(Handle::NONE, Bits(0));
        slots::delete(self.bell.handle())?;
        Home::end(self.home)
    }

    fn wake(&self, wake: Wake) -> Result<(), Failure> {
        match wake {
            Wake::Nobody => Ok(()),
            Wake::Peer => Ok(self.home.region().ring()?),
        }
    }

    /// Sleeps until the doorbell rings, or the line is cut.
    fn sleep(&self, deadline: Deadline) -> Result<(), Failure> {
        if self.cut.load(Ordering::SeqCst) {
            return Ok(());
        }
        Ok(self.bell.wait(deadline).map(|_| ())?)
    }
}

const fn failure(refused: Refused) -> Failure {
    match refused {
        Refused::TooLong(bytes) => Failure::TooLong(bytes),
        Refused::Over => Failure::Closed,
        _ => Failure::Broken,
    }
}
