//! Who a process is: numbers, groups, sessions, users.

use alloc::vec::Vec;

use crate::error::{Errno, Result};
use crate::linux::Linux;
use crate::memory::address::UserPtr;
use crate::outcome::{DONE, Outcome, Reply, count};
use crate::platform::Platform;
use crate::process::{Credentials, Pid, Tid};

/// Supplementary groups of a process at most.
const MAX_GROUPS: u32 = 32;

fn number(value: u32) -> Reply {
    Ok(Outcome::Value(u64::from(value)))
}

impl<P: Platform> Linux<P> {
    pub(super) fn call_getpid(&self, t: Tid) -> Reply {
        number(self.task(t).process.0)
    }

    pub(super) fn call_gettid(&self, t: Tid) -> Reply {
        number(t.0)
    }

    pub(super) fn call_getppid(&self, t: Tid) -> Reply {
        number(self.process(self.task(t).process).parent.0)
    }

    /// The process that a call means; zero is the caller's own.
    fn meant(&self, t: Tid, pid: u32) -> Result<Pid> {
        let pid = if pid == 0 { self.task(t).process } else { Pid(pid) };
        if self.processes.contains_key(&pid) { Ok(pid) } else { Err(Errno::ESRCH) }
    }

    pub(super) fn call_getpgid(&self, t: Tid, pid: u32) -> Reply {
        number(self.process(self.meant(t, pid)?).group.0)
    }

    pub(super) fn call_setpgid(&mut self, t: Tid, pid: u32, group: u32) -> Reply {
        if group > i32::MAX.unsigned_abs() {
            return Err(Errno::EINVAL);
        }
        let caller = self.task(t).process;
        let pid = self.meant(t, pid)?;
        let group = if group == 0 { pid } else { Pid(group) };
        let (session, own_session) = (self.process(pid).session, self.process(caller).session);
        if pid != caller {
            let process = self.process(pid);
            if process.parent != caller {
                return Err(Errno::ESRCH);
            }
            if process.executed {
                return Err(Errno::EACCES);
            }
        }
        if session != own_session || session == pid {
            return Err(Errno::EPERM);
        }
        let exists =
            self.processes.values().any(|process| process.group == group && process.session == session);
        if group != pid && !exists {
            return Err(Errno::EPERM);
        }
        self.process_mut(pid).group = group;
        DONE
    }

    pub(super) fn call_getsid(&self, t: Tid, pid: u32) -> Reply {
        number(self.process(self.meant(t, pid)?).session.0)
    }

    pub(super) fn call_setsid(&mut self, t: Tid) -> Reply {
        let pid = self.task(t).process;
        if self.processes.values().any(|process| process.group == pid) {
            return Err(Errno::EPERM);
        }
        let process = self.process_mut(pid);
        process.session = pid;
        process.group = pid;
        number(pid.0)
    }

    pub(super) fn call_id(&self, t: Tid, choose: impl Fn(&Credentials) -> u32) -> Reply {
        number(choose(&self.process(self.task(t).process).credentials))
    }

    pub(super) fn call_getres(
        &mut self,
        t: Tid,
        choose: impl Fn(&Credentials) -> [u32; 3],
        out: [UserPtr; 3],
    ) -> Reply {
        let ids = choose(&self.process(self.task(t).process).credentials);
        for (pointer, id) in out.into_iter().zip(ids) {
            self.put(t, pointer, &id)?;
        }
        DONE
    }

    /// All ones leave an identity as it is. Root may become anybody; who is not root any more may
    /// only swap among the identities it has.
    pub(super) fn call_set_ids(
        &mut self,
        t: Tid,
        choose: impl Fn(&mut Credentials) -> &mut [u32; 3],
        wanted: [u32; 3],
    ) -> Reply {
        let pid = self.task(t).process;
        let credentials = &mut self.process_mut(pid).credentials;
        let root = credentials.uid[1] == 0;
        let ids = choose(credentials);
        let allowed = |id: u32| id == u32::MAX || root || ids.contains(&id);
        if !wanted.iter().all(|&id| allowed(id)) {
            return Err(Errno::EPERM);
        }
        for (id, wanted) in ids.iter_mut().zip(wanted) {
            if wanted != u32::MAX {
                *id = wanted;
            }
        }
        DONE
    }

    pub(super) fn call_getgroups(&mut self, t: Tid, size: i32, out: UserPtr) -> Reply {
        let groups = self.process(self.task(t).process).credentials.groups.clone();
        let size = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
        if size == 0 {
            return count(groups.len());
        }
        if size < groups.len() {
            return Err(Errno::EINVAL);
        }
        let bytes: Vec<u8> = groups.iter().flat_map(|group| group.to_le_bytes()).collect();
        self.copy_out(t, out, &bytes)?;
        count(groups.len())
    }

    pub(super) fn call_setgroups(&mut self, t: Tid, size: u32, list: UserPtr) -> Reply {
        if size > MAX_GROUPS {
            return Err(Errno::EINVAL);
        }
        let pid = self.task(t).process;
        if self.process(pid).credentials.uid[1] != 0 {
            return Err(Errno::EPERM);
        }
        let mut groups = Vec::new();
        for index in 0..u64::from(size) {
            groups.push(self.get::<u32>(t, list.plus(4 * index))?);
        }
        self.process_mut(pid).credentials.groups = groups;
        DONE
    }
}
