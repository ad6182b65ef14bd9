//! The platform of host tests: frames in a memory file, spaces in tracees, executors in turn.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use linux::platform::{ExecutorId, Frame, OutOfTables, Platform, Prot, Space, Stream, VirtualPage};
use linux::registers::Context;
use linux::{Linux, PoolUse, Work};

use super::Finished;
use super::tracee::Tracee;

/// Spaces in the stock.
const SPACES: usize = 64;

/// A platform of this machine's processes.
pub(crate) struct Host {
    fd: i32,
    memory: *mut u8,
    frames: u32,
    spaces: Vec<Option<Tracee>>,
    /// Tracees that were given back, ready for the next.
    stock: Vec<Tracee>,
    installed: BTreeMap<Space, BTreeMap<u64, Prot>>,
    start: Instant,
    pub(crate) output: Vec<u8>,
    pub(crate) error: Vec<u8>,
    /// The most bytes that the console takes at once; what it refuses is offered again.
    pub(crate) console_takes: usize,
    random: u64,
}

impl Host {
    /// A platform with so many frames.
    pub(crate) fn new(frames: u32) -> Self {
        let bytes = frames as usize * 4096;
        // SAFETY: the name is a C string.
        let fd = unsafe { libc::memfd_create(c"frames".as_ptr(), libc::MFD_CLOEXEC) };
        assert!(fd >= 0, "a memory file: {}", std::io::Error::last_os_error());
        // SAFETY: our own file.
        let sized = unsafe { libc::ftruncate(fd, i64::try_from(bytes).expect("a sane size")) };
        assert_eq!(sized, 0);
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping at an address the system chooses.
        let memory = unsafe { libc::mmap(std::ptr::null_mut(), bytes, rights, libc::MAP_SHARED, fd, 0) };
        assert_ne!(memory, libc::MAP_FAILED);
        Self {
            fd,
            memory: memory.cast(),
            frames,
            spaces: Vec::new(),
            stock: Vec::new(),
            installed: BTreeMap::new(),
            start: Instant::now(),
            output: Vec::new(),
            error: Vec::new(),
            console_takes: usize::MAX,
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Where bytes of a frame lie.
    fn at(&self, frame: Frame, offset: usize, length: usize) -> *mut u8 {
        assert!(frame.0 < self.frames, "{frame:?} is in the pool");
        assert!(offset <= 4096 && length <= 4096 - offset, "the range lies in the frame");
        // SAFETY: the offset lies within the mapping, as was just checked.
        unsafe { self.memory.add(frame.0 as usize * 4096 + offset) }
    }

    fn tracee(&mut self, space: Space) -> &mut Tracee {
        self.spaces[space.0 as usize].as_mut().expect("the space is in use")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SAFETY: the mapping and the file are ours and nobody uses them any more.
        unsafe { libc::munmap(self.memory.cast(), self.frames as usize * 4096) };
        // SAFETY: as above.
        unsafe { libc::close(self.fd) };
    }
}

impl Platform for Host {
    fn read(&self, frame: Frame, offset: usize, out: &mut [u8]) {
        let from = self.at(frame, offset, out.len());
        // SAFETY: the range is mapped, as `at` checked, and a slice of our own does not overlap it.
        unsafe { std::ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len()) };
    }

    fn write(&mut self, frame: Frame, offset: usize, bytes: &[u8]) {
        let to = self.at(frame, offset, bytes.len());
        // SAFETY: as for `read`.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    fn new_space(&mut self) -> Option<Space> {
        let index = self.spaces.iter().position(Option::is_none).unwrap_or(self.spaces.len());
        if index >= SPACES {
            return None;
        }
        if index == self.spaces.len() {
            self.spaces.push(None);
        }
        let tracee = self.stock.pop().unwrap_or_else(Tracee::start);
        self.spaces[index] = Some(tracee);
        let space = Space(u32::try_from(index).expect("few spaces"));
        self.installed.insert(space, BTreeMap::new());
        Some(space)
    }

    fn drop_space(&mut self, space: Space) {
        let installed = self.installed.remove(&space).expect("the space is in use");
        assert!(installed.is_empty(), "a space that is given back is empty: {installed:x?}");
        let tracee = self.spaces[space.0 as usize].take().expect("the space is in use");
        self.stock.push(tracee);
    }

    fn map(&mut self, space: Space, page: VirtualPage, frame: Frame, prot: Prot) -> Result<(), OutOfTables> {
        let fd = self.fd;
        self.tracee(space).map(page, fd, frame, prot);
        let before = self.installed.get_mut(&space).expect("the space is in use").insert(page.0, prot);
        assert_eq!(before, None, "{page:?} showed nothing");
        Ok(())
    }

    fn unmap(&mut self, space: Space, first: VirtualPage, count: u64) {
        self.tracee(space).unmap(first, count);
        let installed = self.installed.get_mut(&space).expect("the space is in use");
        for page in first.0..first.0 + count {
            installed.remove(&page);
        }
    }

    fn protect(&mut self, space: Space, first: VirtualPage, count: u64, prot: Prot) {
        let installed = self.installed.get_mut(&space).expect("the space is in use");
        for page in first.0..first.0 + count {
            let rights = installed.get_mut(&page).expect("every page of the range shows something");
            *rights = prot;
        }
        self.tracee(space).protect(first, count, prot);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).expect("a short test")
    }

    fn epoch(&self) -> u64 {
        1_700_000_000_000_000_000
    }

    fn console(&mut self, stream: Stream, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.console_takes);
        match stream {
            Stream::Output => self.output.extend(&bytes[..taken]),
            Stream::Error => self.error.extend(&bytes[..taken]),
        }
        taken
    }

    fn entropy(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (self.random >> 56) as u8;
        }
    }
}

/// A system with a general pool and a page cache, and nothing in it.
pub(crate) fn system(general: u32, cache: u32) -> Linux<Host> {
    let mut linux = Linux::new(Host::new(general + cache));
    linux.add_pool(0..general, PoolUse::General);
    linux.add_pool(general..general + cache, PoolUse::Cache);
    linux
}

/// Runs the system to its end with so many executors. `between` is called after each round.
pub(crate) fn run(
    mut linux: Linux<Host>,
    executors: u8,
    mut between: impl FnMut(&mut Linux<Host>),
) -> Finished {
    let deadline = Instant::now() + Duration::from_secs(240);
    linux.set_cores(u32::from(executors));
    let mut contexts = vec![Context::default(); usize::from(executors)];
    loop {
        assert!(Instant::now() < deadline, "the system takes too long; so far:\n{}", so_far(&linux));
        let mut running = Vec::new();
        let mut idle_until = Vec::new();
        // Everybody is given work before anybody runs: each call is made while other guests "run".
        for (number, context) in (0..executors).zip(&mut contexts) {
            match linux.next(ExecutorId(number), context) {
                Work::Run { space, .. } => running.push((number, space)),
                Work::Idle(until) => idle_until.push(until),
                Work::Finished(status) => {
                    linux.audit().expect("every count adds up");
                    let output = std::mem::take(&mut linux.platform_mut().output);
                    let error = std::mem::take(&mut linux.platform_mut().error);
                    return Finished { output, error, status, linux };
                }
            }
        }
        if running.is_empty() {
            let until = idle_until.into_iter().flatten().min();
            let until =
                until.unwrap_or_else(|| panic!("everybody waits for ever; so far:\n{}", so_far(&linux)));
            let now = linux.platform().now();
            std::thread::sleep(Duration::from_nanos(until.saturating_sub(now)));
        }
        for (number, space) in running {
            let context = &mut contexts[usize::from(number)];
            let trap = {
                let host = linux.platform_mut();
                let installed = host.installed.remove(&space).expect("the space is in use");
                let rights = |page: VirtualPage| installed.get(&page.0).copied().unwrap_or(Prot::empty());
                let trap = host.tracee(space).run(context, rights);
                host.installed.insert(space, installed);
                trap
            };
            linux.trapped(ExecutorId(number), trap, context);
        }
        between(&mut linux);
    }
}

fn so_far(linux: &Linux<Host>) -> String {
    let host = linux.platform();
    format!("{}{}", String::from_utf8_lossy(&host.output), String::from_utf8_lossy(&host.error))
}
