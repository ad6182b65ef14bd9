//! Threads.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::mem::size_of;

use caps::{Error, Handle, Rights};
use idl::abi::{PAGE_SIZE, STACK_SIZE};
use idl::types::{Deadline, PageIndex, Pages, Priority, UserAddress};

use crate::block::{self, BLOCK_BYTES, Block};
use crate::cap::{Cap, Core, Notification, Region, Thread, cap};
use crate::sync::Mutex;
use crate::{environment, memory, platform};

/// Pages of a stack.
#[allow(clippy::cast_possible_truncation, reason = "sixteen")]
const STACK_PAGES: u32 = (STACK_SIZE / PAGE_SIZE) as u32;

/// The calling thread.
#[must_use]
pub fn current() -> Cap<Thread> {
    cap(block::current().thread())
}

/// Lets other threads of the same priority run.
pub fn yield_now() {
    // The only refusal is that the handle is not this thread's, and then there is nothing to do about it.
    let _ = current().yield_();
}

/// Ends the calling thread: it stops for good, and what it held stays as it is.
pub fn exit() -> ! {
    loop {
        if current().suspend().is_err() {
            platform::halt();
        }
    }
}

/// Gives the first thread a notification to sleep on.
pub(crate) fn prepare_first() {
    if let Ok(notification) = memory::create::<Notification>(0) {
        block::current().set_notification(notification.handle());
    }
}

/// How to make a thread.
#[derive(Clone, Copy, Debug)]
pub struct Builder {
    priority: Priority,
    core: Handle,
    faults: Option<(Handle, idl::types::Badge)>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// A thread of ordinary priority, on the core where the first thread runs.
    #[must_use]
    pub const fn new() -> Self {
        Self { priority: Priority::ORDINARY, core: Handle::NONE, faults: None }
    }

    /// With this priority.
    #[must_use]
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// On this core.
    #[must_use]
    pub const fn core(mut self, core: Cap<Core>) -> Self {
        self.core = core.handle();
        self
    }

    /// With this handler of its faults.
    #[must_use]
    pub const fn faults(mut self, endpoint: Handle, badge: idl::types::Badge) -> Self {
        self.faults = Some((endpoint, badge));
        self
    }

    /// Makes the thread and starts it.
    ///
    /// # Errors
    /// Those of making and mapping a stack and a message page, and of the methods of Thread.
    pub fn spawn<F, T>(self, function: F) -> Result<Join<T>, Error>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let done = memory::create::<Notification>(0)?;
        let result = Arc::new(Mutex::new(None));
        let packet = Arc::clone(&result);
        let work: Work = Box::new(move || {
            let value = function();
            *packet.lock() = Some(value);
            // Whoever joins finds the value even if this signal is lost with its notification.
            let _ = done.signal(idl::types::Bits(1));
        });
        let thread = self.start(work)?;
        Ok(Join { thread, done, result })
    }

    fn start(self, work: Work) -> Result<Cap<Thread>, Error> {
        let environment = environment();
        let thread = memory::create::<Thread>(0)?;
        let notification = memory::create::<Notification>(0)?;
        let page = memory::Mapping::new(Pages(1))?;
        let block = Block::new(page.address(), thread.handle(), notification.handle());
        let stack = stack(block)?;
        thread.configure(
            environment.cspace().handle(),
            environment.space().handle(),
            page.region().handle(),
            PageIndex(0),
        )?;
        thread.schedule(self.priority, self.core)?;
        if let Some((endpoint, badge)) = self.faults {
            thread.fault_handler(endpoint, badge)?;
        }
        let argument = Box::into_raw(Box::new(work));
        let entry = UserAddress(platform::thread_entry());
        if let Err(error) = thread.start(entry, UserAddress(stack), argument as u64) {
            // SAFETY: the thread did not start, so the box is still only ours.
            drop(unsafe { Box::from_raw(argument) });
            return Err(error);
        }
        Ok(thread)
    }
}

type Work = Box<dyn FnOnce() + Send>;

/// Maps a stack with this block at its end; gives the stack pointer to start with. The page below the stack is
/// never mapped, so that running over the end faults.
fn stack(block: Block) -> Result<u64, Error> {
    let region = memory::create::<Region>(u64::from(STACK_PAGES))?;
    let base = memory::reserve(Pages(2 * STACK_PAGES), STACK_SIZE).ok_or(Error::BadRange)?;
    let bottom = base.checked_add(Pages(STACK_PAGES)).ok_or(Error::BadRange)?;
    let space = environment().space();
    let binding = memory::bind(region, space)?;
    let rights = Rights::READ | Rights::WRITE;
    memory::map_pages(space, binding, PageIndex(0), bottom, Pages(STACK_PAGES), rights)?;
    let pointer = bottom.address() + STACK_SIZE - BLOCK_BYTES;
    // SAFETY: the last bytes of a stack that was just mapped, aligned, and that nobody else knows of.
    unsafe { (pointer as *mut Block).write(block) };
    Ok(pointer)
}

/// Where the assembly of `platform` goes on in a new thread.
#[allow(dead_code, reason = "the host has no assembly that calls it")]
pub(crate) extern "C" fn body(work: *mut Work) -> ! {
    // SAFETY: `start` made the pointer from a box and passes it to this thread alone.
    let work = unsafe { Box::from_raw(work) };
    work();
    exit()
}

/// Makes a thread like [`Builder::new`] and starts it.
///
/// # Errors
/// Those of [`Builder::spawn`].
pub fn spawn<F, T>(function: F) -> Result<Join<T>, Error>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(function)
}

/// A thread that was started. Dropping it lets the thread go on.
pub struct Join<T> {
    thread: Cap<Thread>,
    done: Cap<Notification>,
    result: Arc<Mutex<Option<T>>>,
}

impl<T> Join<T> {
    /// The thread.
    #[must_use]
    pub const fn thread(&self) -> Cap<Thread> {
        self.thread
    }

    /// Whether its function has returned.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.result.lock().is_some()
    }

    /// Waits until its function returns, and gives what it returned.
    ///
    /// # Errors
    /// `TimedOut`; what it returns then is lost.
    pub fn join(self, deadline: Deadline) -> Result<T, Error> {
        loop {
            if let Some(value) = self.result.lock().take() {
                return Ok(value);
            }
            self.done.wait(deadline)?;
        }
    }
}

static_assertions::const_assert!(size_of::<Block>() as u64 <= STACK_SIZE);
