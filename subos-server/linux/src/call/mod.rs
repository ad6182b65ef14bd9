//! The system calls: numbers to handlers, with typed arguments.
//!
//! Each handler decodes nothing itself: the table below says what the words of a call mean, and
//! whoever wants to know which calls there are reads it.

mod directory;
mod file;
mod futex;
mod identity;
mod info;
mod memory;
mod path;
mod poll;
mod process;
mod records;
mod signal;
mod socket;
mod stat;
mod time;
mod transfer;

use linux_raw_sys::general as g;

use crate::error::{Errno, Result};
use crate::file::{At, Fd};
use crate::linux::Linux;
use crate::memory::address::UserPtr;
use crate::outcome::{DONE, Reply};
use crate::platform::Platform;
use crate::process::{Call, Tid};
use file::Offset;
use poll::SelectTimeout;
use transfer::Direction;

/// The words of a call, read as what the call says they are. Narrow types take the low bits, as the
/// kernel's own prototypes do.
#[derive(Clone, Copy)]
#[allow(clippy::cast_possible_truncation, reason = "narrow arguments take the low bits")]
struct Arguments([u64; 6]);

#[allow(clippy::cast_possible_truncation, reason = "narrow arguments take the low bits")]
impl Arguments {
    const fn wide(&self, index: usize) -> u64 {
        self.0[index]
    }
    const fn word(&self, index: usize) -> u32 {
        self.0[index] as u32
    }
    const fn int(&self, index: usize) -> i32 {
        self.0[index] as i32
    }
    const fn long(&self, index: usize) -> i64 {
        self.0[index].cast_signed()
    }
    const fn fd(&self, index: usize) -> Fd {
        Fd(self.int(index))
    }
    fn at(&self, index: usize) -> At {
        At::from(self.fd(index))
    }
    const fn pointer(&self, index: usize) -> UserPtr {
        UserPtr(self.0[index])
    }
}

impl<P: Platform> Linux<P> {
    /// Makes a call, once; a call that waits is made again with the same words.
    pub(crate) fn dispatch(&mut self, t: Tid, call: &Call) -> Reply {
        let a = Arguments(call.arguments);
        if call.progress == 0 && call.deadline.is_none() {
            self.report.calls += 1;
        }
        match call.number {
            g::__NR_read
            | g::__NR_write
            | g::__NR_pread64
            | g::__NR_pwrite64
            | g::__NR_readv
            | g::__NR_writev
            | g::__NR_preadv
            | g::__NR_pwritev
            | g::__NR_sendfile
            | g::__NR_copy_file_range => self.dispatch_transfer(t, call.number, &a),
            number => self
                .dispatch_file(t, number, &a)
                .or_else(|| self.dispatch_path(t, number, &a))
                .or_else(|| self.dispatch_memory(t, number, &a))
                .or_else(|| self.dispatch_process(t, number, &a))
                .or_else(|| self.dispatch_signal(t, number, &a))
                .or_else(|| self.dispatch_time(t, number, &a))
                .or_else(|| self.dispatch_identity(t, number, &a))
                .or_else(|| self.dispatch_info(t, number, &a))
                .unwrap_or_else(|| {
                    self.report.missing(number);
                    Err(Errno::ENOSYS)
                }),
        }
    }

    fn dispatch_transfer(&mut self, t: Tid, number: u32, a: &Arguments) -> Reply {
        let (fd, base, length) = (a.fd(0), a.pointer(1), a.wide(2));
        match number {
            g::__NR_read => self.call_transfer(t, Direction::In, fd, base, length, None),
            g::__NR_write => self.call_transfer(t, Direction::Out, fd, base, length, None),
            g::__NR_pread64 => self.call_transfer(t, Direction::In, fd, base, length, Some(a.long(3))),
            g::__NR_pwrite64 => self.call_transfer(t, Direction::Out, fd, base, length, Some(a.long(3))),
            g::__NR_readv => self.call_vector(t, Direction::In, fd, base, length, None),
            g::__NR_writev => self.call_vector(t, Direction::Out, fd, base, length, None),
            g::__NR_preadv => self.call_vector(t, Direction::In, fd, base, length, Some(a.long(3))),
            g::__NR_pwritev => self.call_vector(t, Direction::Out, fd, base, length, Some(a.long(3))),
            g::__NR_sendfile => self.call_sendfile(t, fd, a.fd(1), a.pointer(2), a.wide(3)),
            _ => self.call_copy_file_range(t, (fd, base), (a.fd(2), a.pointer(3)), a.wide(4), a.word(5)),
        }
    }

    fn dispatch_file(&mut self, t: Tid, number: u32, a: &Arguments) -> Option<Reply> {
        Some(match number {
            g::__NR_open => self.call_open(t, At::Cwd, a.pointer(0), a.word(1), a.word(2)),
            g::__NR_creat => {
                self.call_open(t, At::Cwd, a.pointer(0), g::O_CREAT | g::O_WRONLY | g::O_TRUNC, a.word(1))
            }
            g::__NR_openat => self.call_open(t, a.at(0), a.pointer(1), a.word(2), a.word(3)),
            g::__NR_close => self.close_fd(t, a.fd(0)).and(DONE),
            g::__NR_close_range => self.call_close_range(t, a.word(0), a.word(1), a.word(2)),
            g::__NR_dup => self.call_dup(t, a.fd(0)),
            g::__NR_dup2 => self.call_dup2(t, a.fd(0), a.fd(1)),
            g::__NR_dup3 => self.call_dup3(t, a.fd(0), a.fd(1), a.word(2)),
            g::__NR_fcntl => self.call_fcntl(t, a.fd(0), a.word(1), a.wide(2)),
            g::__NR_ioctl => self.call_ioctl(t, a.fd(0), a.word(1), a.pointer(2)),
            g::__NR_lseek => self.call_lseek(t, a.fd(0), Offset(a.long(1)), a.word(2)),
            g::__NR_ftruncate => self.call_ftruncate(t, a.fd(0), a.long(1)),
            g::__NR_fallocate => self.call_fallocate(t, a.fd(0), a.word(1), a.long(2), a.long(3)),
            g::__NR_fsync | g::__NR_fdatasync => self.file_of(t, a.fd(0)).and(DONE),
            g::__NR_sync => DONE,
            g::__NR_fadvise64 => self.file_of(t, a.fd(0)).and(DONE),
            g::__NR_flock => self.file_of(t, a.fd(0)).and(DONE),
            g::__NR_pipe => self.call_pipe(t, a.pointer(0), 0),
            g::__NR_pipe2 => self.call_pipe(t, a.pointer(0), a.word(1)),
            g::__NR_socketpair => self.call_socketpair(t, a.word(0), a.word(1), a.pointer(3)),
            g::__NR_socket => self.call_socket(a.word(0)),
            g::__NR_getsockname | g::__NR_getpeername => {
                self.call_socket_name(t, a.fd(0), a.pointer(1), a.pointer(2))
            }
            g::__NR_setsockopt => self.call_setsockopt(t, a.fd(0)),
            g::__NR_getsockopt
            | g::__NR_bind
            | g::__NR_listen
            | g::__NR_accept
            | g::__NR_accept4
            | g::__NR_connect
            | g::__NR_shutdown => self.call_not_for_pairs(t, a.fd(0)),
            g::__NR_eventfd => self.call_eventfd(t, a.word(0), 0),
            g::__NR_eventfd2 => self.call_eventfd(t, a.word(0), a.word(1)),
            g::__NR_getdents64 => self.call_getdents(t, a.fd(0), a.pointer(1), a.word(2)),
            g::__NR_poll => self.call_poll(t, a.pointer(0), a.wide(1), a.int(2)),
            g::__NR_ppoll => {
                self.call_ppoll(t, a.pointer(0), a.wide(1), a.pointer(2), a.pointer(3), a.wide(4))
            }
            g::__NR_select => {
                let sets = [a.pointer(1), a.pointer(2), a.pointer(3)];
                self.call_select(t, a.int(0), sets, SelectTimeout::Micros(a.pointer(4)), UserPtr::NULL)
            }
            g::__NR_pselect6 => {
                let sets = [a.pointer(1), a.pointer(2), a.pointer(3)];
                self.call_select(t, a.int(0), sets, SelectTimeout::Nanos(a.pointer(4)), a.pointer(5))
            }
            _ => return None,
        })
    }

    fn dispatch_path(&mut self, t: Tid, number: u32, a: &Arguments) -> Option<Reply> {
        let keep = g::AT_SYMLINK_NOFOLLOW;
        Some(match number {
            g::__NR_stat => self.call_stat(t, At::Cwd, a.pointer(0), a.pointer(1), 0),
            g::__NR_lstat => self.call_stat(t, At::Cwd, a.pointer(0), a.pointer(1), keep),
            g::__NR_fstat => self.call_fstat(t, a.fd(0), a.pointer(1)),
            g::__NR_newfstatat => self.call_stat(t, a.at(0), a.pointer(1), a.pointer(2), a.word(3)),
            g::__NR_statx => self.call_statx(t, a.at(0), a.pointer(1), a.word(2), a.pointer(4)),
            g::__NR_statfs => self.call_statfs(t, a.pointer(0), a.pointer(1)),
            g::__NR_fstatfs => self.call_fstatfs(t, a.fd(0), a.pointer(1)),
            g::__NR_access => self.call_access(t, At::Cwd, a.pointer(0), a.word(1), 0),
            g::__NR_faccessat => self.call_access(t, a.at(0), a.pointer(1), a.word(2), 0),
            g::__NR_faccessat2 => self.call_access(t, a.at(0), a.pointer(1), a.word(2), a.word(3)),
            g::__NR_readlink => self.call_readlink(t, At::Cwd, a.pointer(0), a.pointer(1), a.int(2)),
            g::__NR_readlinkat => self.call_readlink(t, a.at(0), a.pointer(1), a.pointer(2), a.int(3)),
            g::__NR_mkdir => self.call_mkdir(t, At::Cwd, a.pointer(0), a.word(1)),
            g::__NR_mkdirat => self.call_mkdir(t, a.at(0), a.pointer(1), a.word(2)),
            g::__NR_mknod => self.call_mknod(t, At::Cwd, a.pointer(0), a.word(1), a.wide(2)),
            g::__NR_mknodat => self.call_mknod(t, a.at(0), a.pointer(1), a.word(2), a.wide(3)),
            g::__NR_rmdir => self.call_unlink(t, At::Cwd, a.pointer(0), g::AT_REMOVEDIR),
            g::__NR_unlink => self.call_unlink(t, At::Cwd, a.pointer(0), 0),
            g::__NR_unlinkat => self.call_unlink(t, a.at(0), a.pointer(1), a.word(2)),
            g::__NR_rename => self.call_rename(t, (At::Cwd, a.pointer(0)), (At::Cwd, a.pointer(1)), 0),
            g::__NR_renameat => self.call_rename(t, (a.at(0), a.pointer(1)), (a.at(2), a.pointer(3)), 0),
            g::__NR_renameat2 => {
                self.call_rename(t, (a.at(0), a.pointer(1)), (a.at(2), a.pointer(3)), a.word(4))
            }
            g::__NR_link => self.call_link(t, (At::Cwd, a.pointer(0)), (At::Cwd, a.pointer(1)), 0),
            g::__NR_linkat => self.call_link(t, (a.at(0), a.pointer(1)), (a.at(2), a.pointer(3)), a.word(4)),
            g::__NR_symlink => self.call_symlink(t, a.pointer(0), At::Cwd, a.pointer(1)),
            g::__NR_symlinkat => self.call_symlink(t, a.pointer(0), a.at(1), a.pointer(2)),
            g::__NR_chmod => self.call_chmod(t, At::Cwd, a.pointer(0), a.word(1)),
            g::__NR_fchmodat => self.call_chmod(t, a.at(0), a.pointer(1), a.word(2)),
            g::__NR_fchmod => self.call_fchmod(t, a.fd(0), a.word(1)),
            g::__NR_chown => self.call_chown(t, At::Cwd, a.pointer(0), [a.word(1), a.word(2)], 0),
            g::__NR_lchown => self.call_chown(t, At::Cwd, a.pointer(0), [a.word(1), a.word(2)], keep),
            g::__NR_fchownat => self.call_chown(t, a.at(0), a.pointer(1), [a.word(2), a.word(3)], a.word(4)),
            g::__NR_fchown => self.call_fchown(t, a.fd(0), [a.word(1), a.word(2)]),
            g::__NR_utimensat => self.call_utimensat(t, a.at(0), a.pointer(1), a.pointer(2), a.word(3)),
            g::__NR_truncate => self.call_truncate(t, a.pointer(0), a.long(1)),
            g::__NR_chdir => self.call_chdir(t, a.pointer(0)),
            g::__NR_fchdir => self.call_fchdir(t, a.fd(0)),
            g::__NR_getcwd => self.call_getcwd(t, a.pointer(0), a.wide(1)),
            g::__NR_umask => self.call_umask(t, a.word(0)),
            // No file has extended attributes, and none can be given any.
            g::__NR_getxattr | g::__NR_lgetxattr | g::__NR_fgetxattr => Err(Errno::ENODATA),
            g::__NR_setxattr | g::__NR_lsetxattr | g::__NR_fsetxattr => Err(Errno::EOPNOTSUPP),
            g::__NR_listxattr | g::__NR_llistxattr | g::__NR_flistxattr => DONE,
            _ => return None,
        })
    }

    fn dispatch_memory(&mut self, t: Tid, number: u32, a: &Arguments) -> Option<Reply> {
        Some(match number {
            g::__NR_brk => self.call_brk(t, a.wide(0)),
            g::__NR_mmap => {
                let (prot, flags) = (a.word(2), a.word(3));
                self.call_mmap(t, a.wide(0), a.wide(1), prot, flags, a.fd(4), a.wide(5))
            }
            g::__NR_munmap => self.call_munmap(t, a.wide(0), a.wide(1)),
            g::__NR_mprotect => self.call_mprotect(t, a.wide(0), a.wide(1), a.word(2)),
            g::__NR_mremap => self.call_mremap(t, a.wide(0), [a.wide(1), a.wide(2)], a.word(3), a.wide(4)),
            g::__NR_madvise => self.call_madvise(t, a.wide(0), a.wide(1), a.word(2)),
            g::__NR_msync => self.call_msync(t, a.wide(0), a.wide(1)),
            // Nothing is ever paged out, so all of memory is locked already.
            g::__NR_mlock | g::__NR_munlock | g::__NR_mlock2 => self.call_msync(t, a.wide(0), a.wide(1)),
            g::__NR_mlockall | g::__NR_munlockall => DONE,
            _ => return None,
        })
    }

    fn dispatch_process(&mut self, t: Tid, number: u32, a: &Arguments) -> Option<Reply> {
        Some(match number {
            g::__NR_fork => self.call_fork(t),
            g::__NR_vfork => self.call_vfork(t),
            g::__NR_clone => {
                self.call_clone(t, a.wide(0), a.pointer(1), a.pointer(2), a.pointer(3), a.wide(4))
            }
            g::__NR_clone3 => self.call_clone3(t, a.pointer(0), a.wide(1)),
            g::__NR_execve => self.call_exec(t, a.pointer(0), a.pointer(1), a.pointer(2)),
            g::__NR_exit => self.call_exit(t, a.int(0)),
            g::__NR_exit_group => self.call_exit_group(t, a.int(0)),
            g::__NR_wait4 => self.call_wait4(t, a.int(0), a.pointer(1), a.word(2), a.pointer(3)),
            g::__NR_waitid => self.call_waitid(t, a.word(0), a.word(1), a.pointer(2), a.word(3)),
            g::__NR_set_tid_address => self.call_set_tid_address(t, a.pointer(0)),
            g::__NR_set_robust_list => self.call_set_robust_list(t, a.pointer(0), a.wide(1)),
            g::__NR_get_robust_list => self.call_get_robust_list(t, a.word(0), a.pointer(1), a.pointer(2)),
            g::__NR_arch_prctl => self.call_arch_prctl(t, a.word(0), a.wide(1)),
            g::__NR_prctl => self.call_prctl(t, a.word(0), a.pointer(1)),
            g::__NR_futex => {
                self.call_futex(t, a.pointer(0), a.word(1), a.word(2), [a.wide(3), a.wide(4)], a.word(5))
            }
            g::__NR_sched_yield => self.call_sched_yield(t),
            g::__NR_sched_getaffinity => self.call_sched_getaffinity(t, a.word(0), a.wide(1), a.pointer(2)),
            g::__NR_sched_setaffinity => self.known_task(t, a.word(0)).and(DONE),
            g::__NR_sched_getscheduler | g::__NR_getpriority | g::__NR_setpriority => DONE,
            g::__NR_sched_getparam => self.call_sched_getparam(t, a.pointer(1)),
            g::__NR_getrlimit => self.call_prlimit(t, 0, a.word(0), UserPtr::NULL, a.pointer(1)),
            g::__NR_setrlimit => self.call_prlimit(t, 0, a.word(0), a.pointer(1), UserPtr::NULL),
            g::__NR_prlimit64 => self.call_prlimit(t, a.word(0), a.word(1), a.pointer(2), a.pointer(3)),
            // Restartable sequences and membarrier are optional; programs do without.
            g::__NR_rseq | g::__NR_membarrier => Err(Errno::ENOSYS),
            _ => return None,
        })
    }

    fn dispatch_signal(&mut self, t: Tid, number: u32, a: &Arguments) -> Option<Reply> {
        Some(match number {
            g::__NR_rt_sigaction => self.call_sigaction(t, a.wide(0), a.pointer(1), a.pointer(2), a.wide(3)),
            g::__NR_rt_sigprocmask => {
                self.call_sigprocmask(t, a.word(0), a.pointer(1), a.pointer(2), a.wide(3))
            }
            g::__NR_rt_sigreturn => self.call_sigreturn(t),
            g::__NR_rt_sigsuspend => self.call_sigsuspend(t, a.pointer(0), a.wide(1)),
            g::__NR_rt_sigpending => self.call_sigpending(t, a.pointer(0), a.wide(1)),
            g::__NR_rt_sigtimedwait => {
                self.call_sigtimedwait(t, a.pointer(0), a.pointer(1), a.pointer(2), a.wide(3))
            }
            g::__NR_sigaltstack => self.call_sigaltstack(t, a.pointer(0), a.pointer(1)),
            g::__NR_pause => self.call_pause(t),
            g::__NR_kill => self.call_kill(t, a.int(0), a.wide(1)),
            g::__NR_tkill => self.call_tgkill(t, None, a.word(0), a.wide(1)),
            g::__NR_tgkill => self.call_tgkill(t, Some(a.word(0)), a.word(1), a.wide(2)),
            _ => return None,
        })
    }

    fn dispatch_time(&mut self, t: Tid, number: u32, a: &Arguments) -> Option<Reply> {
        Some(match number {
            g::__NR_nanosleep => self.call_nanosleep(t, g::CLOCK_MONOTONIC, 0, a.pointer(0), a.pointer(1)),
            g::__NR_clock_nanosleep => {
                self.call_nanosleep(t, a.word(0), a.word(1), a.pointer(2), a.pointer(3))
            }
            g::__NR_clock_gettime => self.call_clock_gettime(t, a.word(0), a.pointer(1)),
            g::__NR_clock_getres => self.call_clock_getres(t, a.word(0), a.pointer(1)),
            g::__NR_gettimeofday => self.call_gettimeofday(t, a.pointer(0), a.pointer(1)),
            g::__NR_time => self.call_time(t, a.pointer(0)),
            g::__NR_times => self.call_times(t, a.pointer(0)),
            g::__NR_alarm => self.call_alarm(t, a.word(0)),
            g::__NR_setitimer => self.call_setitimer(t, a.word(0), a.pointer(1), a.pointer(2)),
            g::__NR_getitimer => self.call_getitimer(t, a.word(0), a.pointer(1)),
            _ => return None,
        })
    }

    fn dispatch_identity(&mut self, t: Tid, number: u32, a: &Arguments) -> Option<Reply> {
        Some(match number {
            g::__NR_getpid => self.call_getpid(t),
            g::__NR_gettid => self.call_gettid(t),
            g::__NR_getppid => self.call_getppid(t),
            g::__NR_getpgrp => self.call_getpgid(t, 0),
            g::__NR_getpgid => self.call_getpgid(t, a.word(0)),
            g::__NR_setpgid => self.call_setpgid(t, a.word(0), a.word(1)),
            g::__NR_getsid => self.call_getsid(t, a.word(0)),
            g::__NR_setsid => self.call_setsid(t),
            g::__NR_getuid => self.call_id(t, |ids| ids.uid[0]),
            g::__NR_geteuid => self.call_id(t, |ids| ids.uid[1]),
            g::__NR_getgid => self.call_id(t, |ids| ids.gid[0]),
            g::__NR_getegid => self.call_id(t, |ids| ids.gid[1]),
            g::__NR_getresuid => {
                self.call_getres(t, |ids| ids.uid, [a.pointer(0), a.pointer(1), a.pointer(2)])
            }
            g::__NR_getresgid => {
                self.call_getres(t, |ids| ids.gid, [a.pointer(0), a.pointer(1), a.pointer(2)])
            }
            g::__NR_setuid => self.call_set_ids(t, |ids| &mut ids.uid, [a.word(0); 3]),
            g::__NR_setgid => self.call_set_ids(t, |ids| &mut ids.gid, [a.word(0); 3]),
            g::__NR_setreuid => self.call_set_ids(t, |ids| &mut ids.uid, [a.word(0), a.word(1), a.word(1)]),
            g::__NR_setregid => self.call_set_ids(t, |ids| &mut ids.gid, [a.word(0), a.word(1), a.word(1)]),
            g::__NR_setresuid => self.call_set_ids(t, |ids| &mut ids.uid, [a.word(0), a.word(1), a.word(2)]),
            g::__NR_setresgid => self.call_set_ids(t, |ids| &mut ids.gid, [a.word(0), a.word(1), a.word(2)]),
            g::__NR_getgroups => self.call_getgroups(t, a.int(0), a.pointer(1)),
            g::__NR_setgroups => self.call_setgroups(t, a.word(0), a.pointer(1)),
            _ => return None,
        })
    }

    fn dispatch_info(&mut self, t: Tid, number: u32, a: &Arguments) -> Option<Reply> {
        Some(match number {
            g::__NR_uname => self.call_uname(t, a.pointer(0)),
            g::__NR_sysinfo => self.call_sysinfo(t, a.pointer(0)),
            g::__NR_getrusage => self.call_getrusage(t, a.int(0), a.pointer(1)),
            g::__NR_getrandom => self.call_getrandom(t, a.pointer(0), a.wide(1), a.word(2)),
            g::__NR_getcpu => self.call_getcpu(t, a.pointer(0), a.pointer(1)),
            _ => return None,
        })
    }

    /// Reads a path argument.
    fn path(&mut self, t: Tid, pointer: UserPtr) -> Result<alloc::vec::Vec<u8>> {
        self.string(t, pointer, crate::limits::PATH_MAX, Errno::ENAMETOOLONG)
    }
}
