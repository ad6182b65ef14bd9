//! Threads that make calls for a server that must not wait itself.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;

use caps::Error;
use futures_channel::oneshot;
use idl::types::{Bits, Deadline};

use crate::cap::{Cap, Notification};
use crate::sync::Mutex;
use crate::{memory, thread};

type Work = Box<dyn FnOnce() + Send>;

/// What is to be done, and what workers sleep on.
struct Queue {
    work: Mutex<VecDeque<Work>>,
    bell: Cap<Notification>,
}

impl Queue {
    /// Signals that there is work. A worker that finds more than it takes signals again, since bits that are set twice before
    /// somebody wakes are set once.
    fn ring(&self) {
        let _ = self.bell.signal(Bits(1));
    }

    fn take(&self) -> Option<Work> {
        let mut all = self.work.lock();
        let work = all.pop_front();
        let more = !all.is_empty();
        drop(all);
        if more {
            self.ring();
        }
        work
    }
}

/// Threads that make calls for a server that must not wait itself. As many calls can be under way as there are threads; what is
/// more waits its turn, and nobody who asks for something else waits for that.
#[derive(Clone)]
pub struct Workers(Arc<Queue>);

impl Workers {
    /// So many threads.
    ///
    /// # Errors
    /// Those of making a notification and threads; what was made by then stays.
    pub fn new(count: usize) -> Result<Self, Error> {
        let bell = memory::create::<Notification>(0)?;
        let queue = Arc::new(Queue { work: Mutex::new(VecDeque::new()), bell });
        for _ in 0..count {
            let queue = Arc::clone(&queue);
            thread::spawn(move || work(&queue))?;
        }
        Ok(Self(queue))
    }

    /// Has a thread do this, and waits for what comes of it, as an `async` method of a server does. Nothing if it panics or is
    /// never done. The call should have a deadline: nobody else ends it.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (done, result) = oneshot::channel();
        let work = Box::new(move || {
            // Who asked may wait no more.
            let _ = done.send(work());
        });
        self.0.work.lock().push_back(work);
        self.0.ring();
        result.await.ok()
    }
}

fn work(queue: &Queue) {
    loop {
        while let Some(work) = queue.take() {
            work();
        }
        if queue.bell.wait(Deadline::NEVER).is_err() {
            return;
        }
    }
}
