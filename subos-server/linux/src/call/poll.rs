//! poll and select: waiting for any of several files.

use alloc::vec::Vec;
use linux_raw_sys::general as g;

use super::records::{PollRecord, TimeSpec};
use crate::error::{Errno, Result};
use crate::file::Fd;
use crate::file::ready::Events;
use crate::limits::{MAX_FDS, MAX_POLL};
use crate::linux::Linux;
use crate::memory::address::UserPtr;
use crate::outcome::{OnSignal, Outcome, Reply, Wait, WaitKey, count};
use crate::platform::Platform;
use crate::process::Tid;
use crate::signal::SigSet;

/// The timeout argument of select, which has two forms.
#[derive(Clone, Copy, Debug)]
pub(super) enum SelectTimeout {
    /// `struct timeval`.
    Micros(UserPtr),
    /// `struct timespec`.
    Nanos(UserPtr),
}

/// One descriptor to look at.
struct Item {
    fd: Fd,
    wanted: Events,
}

/// What looking at all of them gave.
enum Looked {
    /// Some are ready: the events of each.
    Ready(Vec<Events>),
    /// None is: wait so.
    Wait(Outcome),
    TimedOut,
}

impl<P: Platform> Linux<P> {
    pub(super) fn call_poll(&mut self, t: Tid, records: UserPtr, length: u64, millis: i32) -> Reply {
        let timeout = u64::try_from(millis).ok().map(|millis| millis * 1_000_000);
        self.poll(t, records, length, timeout)
    }

    pub(super) fn call_ppoll(
        &mut self,
        t: Tid,
        records: UserPtr,
        length: u64,
        timeout: UserPtr,
        mask: UserPtr,
        size: u64,
    ) -> Reply {
        let timeout = self.timeout(t, SelectTimeout::Nanos(timeout))?;
        if let Some(mask) = mask.non_null() {
            self.use_mask(t, mask, size)?;
        }
        let reply = self.poll(t, records, length, timeout);
        self.keep_mask_only_while_waiting(t, reply)
    }

    fn use_mask(&mut self, t: Tid, mask: UserPtr, size: u64) -> Result<()> {
        if size != 8 {
            return Err(Errno::EINVAL);
        }
        let mask = SigSet(self.get(t, mask)?);
        self.borrow_mask(t, mask);
        Ok(())
    }

    /// A call that is over gives the mask back; one that waits keeps it until a handler has run.
    fn keep_mask_only_while_waiting(&mut self, t: Tid, reply: Reply) -> Reply {
        if !matches!(reply, Ok(Outcome::Wait(_))) {
            self.return_mask(t);
        }
        reply
    }

    fn timeout(&mut self, t: Tid, timeout: SelectTimeout) -> Result<Option<u64>> {
        let (pointer, micros) = match timeout {
            SelectTimeout::Micros(pointer) => (pointer, true),
            SelectTimeout::Nanos(pointer) => (pointer, false),
        };
        let Some(pointer) = pointer.non_null() else { return Ok(None) };
        let value: TimeSpec = self.get(t, pointer)?;
        let nanos = if micros { value.micros_to_nanos() } else { value.to_nanos() };
        nanos.map(Some).ok_or(Errno::EINVAL)
    }

    fn poll(&mut self, t: Tid, records: UserPtr, length: u64, timeout: Option<u64>) -> Reply {
        let length =
            usize::try_from(length).ok().filter(|&length| length <= MAX_POLL).ok_or(Errno::EINVAL)?;
        let mut polled: Vec<PollRecord> = Vec::new();
        for index in 0..length {
            polled.push(self.get(t, records.plus(8 * index as u64))?);
        }
        let items: Vec<Item> = polled
            .iter()
            .map(|record| Item { fd: Fd(record.fd), wanted: Events(u32::from(record.events)) })
            .collect();
        let answers = match self.look(t, &items, timeout) {
            Looked::Ready(answers) => answers,
            Looked::TimedOut => alloc::vec![Events::default(); length],
            Looked::Wait(outcome) => return Ok(outcome),
        };
        let mut ready = 0;
        for (index, (record, answer)) in polled.iter_mut().zip(answers).enumerate() {
            record.answered = u16::try_from(answer.0).unwrap_or(0);
            ready += usize::from(record.answered != 0);
            self.put(t, records.plus(8 * index as u64), record)?;
        }
        count(ready)
    }

    /// Looks at each descriptor once.
    fn look(&mut self, t: Tid, items: &[Item], timeout: Option<u64>) -> Looked {
        let always = Events::ERROR.0 | Events::HANG_UP.0 | g::POLLNVAL;
        let mut any = false;
        let mut keys: Vec<WaitKey> = Vec::new();
        let mut answers = Vec::new();
        for item in items {
            let events = if item.fd.0 < 0 {
                Events::default()
            } else {
                match self.file_of(t, item.fd) {
                    Ok(file) => {
                        self.readiness_keys(file, &mut keys);
                        Events(self.readiness(file).0 & (item.wanted.0 | always))
                    }
                    Err(_) => Events(g::POLLNVAL),
                }
            };
            any |= events != Events::default();
            answers.push(events);
        }
        if any {
            return Looked::Ready(answers);
        }
        let deadline = self.deadline(t, timeout);
        if self.is_past(deadline) {
            return Looked::TimedOut;
        }
        keys.sort_unstable();
        keys.dedup();
        Looked::Wait(Outcome::Wait(Wait { keys, deadline, on_signal: OnSignal::Interrupt }))
    }

    /// `sets` are what to read, to write and to look for exceptions of; `mask` is pselect's pair of
    /// a mask's address and size.
    pub(super) fn call_select(
        &mut self,
        t: Tid,
        count: i32,
        sets: [UserPtr; 3],
        timeout: SelectTimeout,
        mask: UserPtr,
    ) -> Reply {
        let limit = usize::try_from(count).map_err(|_| Errno::EINVAL)?.min(MAX_FDS);
        let nanos = self.timeout(t, timeout)?;
        if let Some(mask) = mask.non_null() {
            let [mask, size]: [u64; 2] = self.get(t, mask)?;
            if mask != 0 {
                self.use_mask(t, UserPtr(mask), size)?;
            }
        }
        let reply = self.select(t, limit, sets, nanos);
        self.keep_mask_only_while_waiting(t, reply)
    }

    fn select(&mut self, t: Tid, limit: usize, sets: [UserPtr; 3], timeout: Option<u64>) -> Reply {
        let bytes = limit.div_ceil(64) * 8;
        let mut asked = [const { Vec::new() }; 3];
        for (bits, pointer) in asked.iter_mut().zip(sets) {
            bits.resize(bytes, 0u8);
            if let Some(pointer) = pointer.non_null() {
                self.copy_in(t, pointer, bits)?;
            }
        }
        let has = |bits: &[u8], fd: usize| bits[fd / 8] & 1 << (fd % 8) != 0;
        let mut items = Vec::new();
        for fd in 0..limit {
            let [read, write, except] = [0, 1, 2].map(|set| has(&asked[set], fd));
            if read || write || except {
                let number = Fd(i32::try_from(fd).map_err(|_| Errno::EINVAL)?);
                self.file_of(t, number)?;
                let wanted = (u32::from(read) * Events::IN.0) | (u32::from(write) * Events::OUT.0);
                items.push(Item { fd: number, wanted: Events(wanted) });
            }
        }
        let answers = match self.look(t, &items, timeout) {
            Looked::Ready(answers) => answers,
            Looked::TimedOut => alloc::vec![Events::default(); items.len()],
            Looked::Wait(outcome) => return Ok(outcome),
        };
        let mut answered = [const { Vec::new() }; 3];
        for bits in &mut answered {
            bits.resize(bytes, 0u8);
        }
        let mut ready = 0;
        for (item, events) in items.iter().zip(answers) {
            let fd = usize::try_from(item.fd.0).unwrap_or(0);
            // A hang-up is the end of the file to a reader, an error is news to a writer.
            let to_read = events.0 & (Events::IN.0 | Events::HANG_UP.0 | Events::ERROR.0) != 0;
            let to_write = events.0 & (Events::OUT.0 | Events::ERROR.0) != 0;
            for (set, happened) in [(0, to_read), (1, to_write)] {
                if happened && has(&asked[set], fd) {
                    answered[set][fd / 8] |= 1 << (fd % 8);
                    ready += 1;
                }
            }
        }
        for (bits, pointer) in answered.iter().zip(sets) {
            if let Some(pointer) = pointer.non_null() {
                self.copy_out(t, pointer, bits)?;
            }
        }
        count(ready)
    }
}
