//! Proof that a task sleeps in a system call, without sleeping oneself.
//!
//! `/proc/PID/syscall` gives a number only when the task stayed off the
//! processor, not runnable, while it was read: one match proves that it
//! sleeps in that very call. Where the file is missing or denied, a state of
//! `S` that lasts is weaker evidence; without /proc, a bounded wait is the
//! weakest. The weakest that a case used is part of its report.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use nix::sched::sched_yield;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::arena::arena;
use crate::meet::patience;
use crate::{Failure, Verdict};

/// A system call by the name that the documentation gives it, and all the
/// numbers under which a C library may enter it.
#[derive(Debug, Clone, Copy)]
pub struct Syscalls {
    /// `semop`.
    pub name: &'static str,
    /// `[SYS_semop, SYS_semtimedop]`, or what [`multiplexed`] gives.
    pub numbers: &'static [libc::c_long],
}

/// The number by which a call is told here that is entered as call `which` of
/// ipc(2) or socketcall(2), as C libraries of i386 do.
pub const fn multiplexed(multiplexer: libc::c_long, which: libc::c_long) -> libc::c_long {
    which << 16 | multiplexer
}

/// The calls whose first argument says which call is meant.
const MULTIPLEXERS: &[libc::c_long] = &[
    #[cfg(target_arch = "x86")]
    (libc::SYS_ipc),
    #[cfg(target_arch = "x86")]
    (libc::SYS_socketcall),
];

/// How it is known that a task sleeps; each is weaker than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// /proc/PID/syscall named the call.
    Syscall,
    /// /proc/PID/stat said `S`, again and again.
    State,
    /// It had not come back after a while.
    Wait,
}

impl Evidence {
    pub(crate) fn used() -> Option<Self> {
        [None, Some(Self::Syscall), Some(Self::State), Some(Self::Wait)]
            [arena().evidence() as usize]
    }

    fn note(self) {
        arena().weaken_evidence(self as u32 + 1);
    }
}

/// Consecutive reads of state `S` that count as sleeping.
const STATE_READS: u32 = 50;
/// The wait of last resort.
const BOUNDED_WAIT: Duration = Duration::from_millis(50);

/// What a task is doing, as far as /proc tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Asleep in this system call.
    Call(libc::c_long),
    /// On a processor, or about to be.
    Running,
    /// Asleep, but not in a system call (a page fault, a stop).
    Elsewhere,
    /// Asleep, and /proc does not tell in what.
    Asleep,
    /// No such task, or a zombie.
    Gone,
    /// /proc does not say.
    Unknown,
}

impl std::fmt::Display for Doing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Call(number) => write!(f, "asleep in {}", syscall_name(*number)),
            Self::Running => f.write_str("running"),
            Self::Elsewhere => f.write_str("asleep outside any system call"),
            Self::Asleep => f.write_str("asleep"),
            Self::Gone => f.write_str("gone"),
            Self::Unknown => f.write_str("doing something that /proc does not tell"),
        }
    }
}

/// One task: a process's only thread, or one thread of several.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task {
    pub(crate) pid: Pid,
    pub(crate) tid: Pid,
}

impl Task {
    pub(crate) fn process(pid: Pid) -> Self {
        Self { pid, tid: pid }
    }

    fn file(self, name: &str) -> String {
        if self.pid == self.tid {
            format!("/proc/{}/{name}", self.pid)
        } else {
            format!("/proc/{}/task/{}/{name}", self.pid, self.tid)
        }
    }

    /// The state letter of /proc/PID/stat.
    pub(crate) fn state(self) -> Option<char> {
        let stat = fs::read_to_string(self.file("stat")).ok()?;
        stat[stat.rfind(')')? + 1..].trim_start().chars().next()
    }

    /// How often it went to sleep by itself, as /proc/PID/status tells.
    fn sleeps(self) -> Option<String> {
        let status = fs::read_to_string(self.file("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        Some(line.trim().to_owned())
    }

    /// Whether it ran within a moment.
    pub(crate) fn moves(self) -> bool {
        let before = self.sleeps();
        std::thread::sleep(BOUNDED_WAIT);
        self.sleeps() != before
    }

    /// What it does now.
    pub(crate) fn doing(self) -> Doing {
        match File::open(self.file("syscall")) {
            Ok(file) => match parse(&file) {
                // That is what /proc says of a zombie.
                Doing::Elsewhere if matches!(self.state(), Some('Z' | 'X')) => Doing::Gone,
                doing => doing,
            },
            Err(_) => match self.state() {
                None if !std::path::Path::new("/proc/self/stat").exists() => Doing::Unknown,
                None | Some('Z' | 'X') => Doing::Gone,
                Some('R') => Doing::Running,
                Some('S') => Doing::Asleep,
                Some(_) => Doing::Unknown,
            },
        }
    }

    /// Waits for proof that it sleeps in one of `calls`. `ended` tells whether
    /// the task has ended, and how.
    #[track_caller]
    pub(crate) fn blocked_in(self, calls: Syscalls, ended: impl Fn() -> Option<String>) -> Verdict {
        // A closure has no caller's place of its own.
        let mut failure =
            Failure::violated(calls.name, "", format!("asleep in {}", calls.name), "");
        let mut refuse = |got: String| {
            failure.details_mut().observed = got;
            Err(failure.clone())
        };
        let limit = Instant::now() + patience();
        let file = File::open(self.file("syscall"));
        let readable = file.as_ref().is_ok_and(|file| parse(file) != Doing::Unknown);
        let mut asleep = 0;
        let mut round = 0_u32;
        loop {
            let doing = match &file {
                Ok(file) if readable => parse(file),
                _ => Doing::Unknown,
            };
            match doing {
                // A task that has just been woken, but is not on a run queue yet,
                // still passes for asleep here; its state is `R` by then. One that a
                // tracer holds at the door of the call is in state `t`.
                Doing::Call(number) if calls.numbers.contains(&number) => {
                    let still = || file.as_ref().is_ok_and(|file| parse(file) == doing);
                    if matches!(self.state(), None | Some('S' | 'D')) && still() {
                        Evidence::Syscall.note();
                        return Ok(());
                    }
                }
                Doing::Unknown => match self.state() {
                    Some('S') => asleep += 1,
                    Some(_) => asleep = 0,
                    None => {
                        if let Some(end) = ended() {
                            return refuse(end);
                        }
                        std::thread::sleep(BOUNDED_WAIT.mul_f64(arena().factor()));
                        if let Some(end) = ended() {
                            return refuse(end);
                        }
                        Evidence::Wait.note();
                        return Ok(());
                    }
                },
                _ => {}
            }
            if asleep >= STATE_READS {
                Evidence::State.note();
                return Ok(());
            }
            if round.is_multiple_of(8)
                && let Some(end) = ended()
            {
                return refuse(end);
            }
            if round.is_multiple_of(64) && Instant::now() > limit {
                return refuse(doing.to_string());
            }
            round = round.wrapping_add(1);
            let _ = sched_yield();
        }
    }
}

/// What one look at a process shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It sleeps in one of the calls, as far as evidence of this kind tells:
    /// one look is enough for [`Evidence::Syscall`], many that agree for the
    /// others.
    Asleep(Evidence),
    /// It does something else.
    Elsewhere,
}

/// Looks at one process again and again, to see whether it sleeps.
#[derive(Debug)]
pub struct Observer {
    task: Task,
    file: Option<File>,
}

impl Observer {
    /// An observer of the only thread of this process.
    pub fn new(pid: Pid) -> Self {
        let task = Task::process(pid);
        let file = File::open(task.file("syscall")).ok();
        Self { task, file: file.filter(|file| parse(file) != Doing::Unknown) }
    }

    /// One look: does it sleep in one of these system calls?
    pub fn look(&self, numbers: &[libc::c_long]) -> Look {
        let Some(file) = &self.file else {
            return match self.task.state() {
                Some('S') => Look::Asleep(Evidence::State),
                None => Look::Asleep(Evidence::Wait),
                Some(_) => Look::Elsewhere,
            };
        };
        match parse(file) {
            Doing::Call(number) if numbers.contains(&number) => {
                // As in `blocked_in`: one that was just woken still passes for
                // asleep. So does one that was killed and sleeps on its way
                // out, but not in state `S`.
                match self.task.state() {
                    None | Some('S') => Look::Asleep(Evidence::Syscall),
                    Some(_) => Look::Elsewhere,
                }
            }
            _ => Look::Elsewhere,
        }
    }

    /// As [`Observer::look`], where nobody can be between waking and running.
    pub fn glance(&self, numbers: &[libc::c_long]) -> Look {
        match &self.file {
            Some(file) => match parse(file) {
                Doing::Call(number) if numbers.contains(&number) => Look::Asleep(Evidence::Syscall),
                _ => Look::Elsewhere,
            },
            None => self.look(numbers),
        }
    }

    /// Whether it sleeps, in whatever: one look.
    pub fn sleeps(&self) -> bool {
        self.task.state() == Some('S')
    }

    /// Whether it has ended.
    pub fn is_gone(&self) -> bool {
        self.task.doing() == Doing::Gone
    }

    /// What it does now, in words.
    pub fn doing(&self) -> String {
        self.task.doing().to_string()
    }
}

/// Reads `/proc/…/syscall`: `running`, `-1 sp pc`, or `number args… sp pc`.
fn parse(file: &File) -> Doing {
    let mut buffer = [0; 256];
    match file.read_at(&mut buffer, 0) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Doing::Gone,
        Err(_) => Doing::Unknown,
        Ok(length) => {
            let text = std::str::from_utf8(&buffer[..length]).unwrap_or_default();
            let mut words = text.split_ascii_whitespace();
            match words.next() {
                Some("running") => Doing::Running,
                Some(number) => match number.parse() {
                    Ok(-1) => Doing::Elsewhere,
                    Ok(number) if MULTIPLEXERS.contains(&number) => {
                        let which = words.next().and_then(|word| word.strip_prefix("0x"));
                        match which.map(|digits| libc::c_long::from_str_radix(digits, 16)) {
                            Some(Ok(which)) => Doing::Call(multiplexed(number, which)),
                            _ => Doing::Unknown,
                        }
                    }
                    Ok(number) => Doing::Call(number),
                    Err(_) => Doing::Unknown,
                },
                None => Doing::Unknown,
            }
        }
    }
}

macro_rules! name_syscalls {
    ($number:expr; $( $(#[$only:meta])* $name:ident )*) => {
        match $number {
            $(
                $(#[$only])*
                n if n == libc::$name => stringify!($name).trim_start_matches("SYS_").to_owned(),
            )*
            other if other >> 16 > 0 => {
                format!("call {} of {}", other >> 16, syscall_name(other & 0xffff))
            }
            other => format!("system call {other}"),
        }
    };
}

/// The name of a system call in which processes sleep, or its number.
fn syscall_name(number: libc::c_long) -> String {
    name_syscalls!(number;
        SYS_read SYS_write SYS_readv SYS_writev SYS_openat SYS_close SYS_ioctl SYS_fcntl
        SYS_futex SYS_wait4 SYS_waitid SYS_nanosleep SYS_clock_nanosleep SYS_ppoll SYS_pselect6
        SYS_epoll_pwait SYS_splice SYS_tee SYS_vmsplice SYS_sendfile
        SYS_mq_timedsend SYS_mq_timedreceive SYS_rt_sigtimedwait SYS_rt_sigsuspend
        SYS_accept4 SYS_connect SYS_sendto SYS_recvfrom SYS_sendmsg SYS_recvmsg
        SYS_sendmmsg SYS_recvmmsg SYS_exit_group SYS_exit SYS_execve SYS_munmap SYS_mmap
        SYS_sched_yield SYS_flock SYS_fsync SYS_getpid SYS_restart_syscall
        #[cfg(not(target_arch = "x86"))] SYS_semop
        #[cfg(not(target_arch = "x86"))] SYS_semtimedop
        #[cfg(not(target_arch = "x86"))] SYS_semctl
        #[cfg(not(target_arch = "x86"))] SYS_msgsnd
        #[cfg(not(target_arch = "x86"))] SYS_msgrcv
        #[cfg(not(target_arch = "x86"))] SYS_shmat
        #[cfg(not(target_arch = "x86"))] SYS_accept
        #[cfg(target_arch = "x86")] SYS_ipc
        #[cfg(target_arch = "x86")] SYS_socketcall
        #[cfg(not(target_arch = "aarch64"))] SYS_open
        #[cfg(not(target_arch = "aarch64"))] SYS_pause
        #[cfg(not(target_arch = "aarch64"))] SYS_poll
        #[cfg(not(target_arch = "aarch64"))] SYS_select
        #[cfg(not(target_arch = "aarch64"))] SYS_epoll_wait
    )
}
