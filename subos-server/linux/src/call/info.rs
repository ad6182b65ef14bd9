//! What programs ask about the system.

use super::records::{SysInfo, TimeSpec, Usage, UtsName};
use crate::error::Errno;
use crate::limits::PAGE_U64;
use crate::linux::Linux;
use crate::memory::address::UserPtr;
use crate::outcome::{DONE, Reply};
use crate::platform::Platform;
use crate::process::{State, Tid};

/// Bytes of one field of `struct new_utsname`.
const FIELD: usize = 65;

impl<P: Platform> Linux<P> {
    pub(super) fn call_uname(&mut self, t: Tid, out: UserPtr) -> Reply {
        use crate::vfs::{HOSTNAME, RELEASE};
        let fields = ["Linux", HOSTNAME, RELEASE, "#1 SMP", "x86_64", "(none)"];
        let mut bytes = [0u8; size_of::<UtsName>()];
        for (place, field) in bytes.chunks_exact_mut(FIELD).zip(fields) {
            place[..field.len()].copy_from_slice(field.as_bytes());
        }
        self.copy_out(t, out, &bytes).and(DONE)
    }

    pub(super) fn call_sysinfo(&mut self, t: Tid, out: UserPtr) -> Reply {
        let counts = self.pool();
        let now = self.machine.platform.now();
        let record = SysInfo {
            uptime: (now / 1_000_000_000).cast_signed(),
            total: u64::from(counts.general + counts.cache) * PAGE_U64,
            free: u64::from(counts.general_free + counts.cache_free) * PAGE_U64,
            processes: u16::try_from(self.tasks.len()).unwrap_or(u16::MAX),
            unit: 1,
            ..SysInfo::default()
        };
        self.put(t, out, &record).and(DONE)
    }

    pub(super) fn call_getrusage(&mut self, t: Tid, who: i32, out: UserPtr) -> Reply {
        let times = self.process(self.task(t).process).times;
        let user = match who {
            0 | 1 => times.user,
            -1 => times.children_user,
            _ => return Err(Errno::EINVAL),
        };
        self.put(t, out, &Usage { user: TimeSpec::micros_from_nanos(user), ..Usage::default() }).and(DONE)
    }

    pub(super) fn call_getcpu(&mut self, t: Tid, cpu: UserPtr, node: UserPtr) -> Reply {
        // The executor that the task ran on is the core it sees; it is at one while it makes a call.
        let executors = &self.scheduler.executors;
        let at = executors.iter().position(|executor| executor.current == Some(t)).unwrap_or(0);
        debug_assert!(matches!(self.task(t).state, State::Ready));
        if let Some(cpu) = cpu.non_null() {
            self.put(t, cpu, &u32::try_from(at).unwrap_or(0))?;
        }
        if let Some(node) = node.non_null() {
            self.put(t, node, &0u32)?;
        }
        DONE
    }
}
