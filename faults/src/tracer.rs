//! The interposer: traces a tree of processes, stops where a fault looks, and
//! lets everything else pass at full speed.
//!
//! Calls that no fault looks at are let through by a seccomp filter, in the
//! kernel. The tracer is not the parent of what it traces, so that the
//! parents see their children's ends, stops and continuations as ever.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use ipcspec_harness::mark;
use libc::{c_int, c_long, c_void, siginfo_t};
use nix::Result;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{ForkResult, Pid, execvp, fork, pipe2, read};

use crate::call::{Arrival, Call, Effect, Fate, Notes, Then, is_ignored};
use crate::filter::Filter;
use crate::{ACTED_MARK, Fault, On, SIGNAL_MARK};

/// What is traced besides the calls of a fault: it goes on with a call that
/// was interrupted.
const RESTART: c_long = libc::SYS_restart_syscall;

/// The length of the instruction `syscall`, in bytes.
pub(crate) const SYSCALL: u64 = 2;

/// `ERESTARTSYS` to `ERESTARTNOHAND`: the kernel has not decided yet whether
/// the call is restarted.
pub(crate) const RESTARTING: std::ops::RangeInclusive<i64> = -514..=-512;
/// `ERESTARTNOINTR`: the call is restarted, whatever the handler asked for.
const RESTART_ANYWAY: i64 = -513;
/// `ERESTART_RESTARTBLOCK`: the call goes on through `restart_syscall`.
const RESTART_BLOCK: i64 = -516;

const OPTIONS: c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_EXITKILL;

/// Has the kernel stop this process and its descendants for their tracer at
/// the calls that `fault` looks at. Without a tracer those fail with ENOSYS.
pub fn filter(fault: &Fault) -> Result<()> {
    let others = match fault.on {
        On::All => libc::SECCOMP_RET_TRACE,
        On::Calls(..) | On::Signals(_) | On::Both(..) => libc::SECCOMP_RET_ALLOW,
    };
    Filter::new(fault.on.numbers().chain([RESTART]), libc::SECCOMP_RET_TRACE, others).install()
}

/// Makes this process the tracer of `pid` and of all that come from it.
pub fn seize(pid: Pid) -> Result<()> {
    request(libc::PTRACE_SEIZE, pid, 0, OPTIONS as usize).map(drop)
}

fn request(what: libc::c_uint, pid: Pid, address: usize, data: usize) -> Result<c_long> {
    // SAFETY: each caller passes what `what` asks for.
    Errno::result(unsafe {
        libc::ptrace(
            what,
            pid.as_raw(),
            std::ptr::without_provenance_mut::<c_void>(address),
            std::ptr::with_exposed_provenance_mut::<c_void>(data),
        )
    })
}

fn information(pid: Pid) -> Result<siginfo_t> {
    // SAFETY: plain data, filled by the kernel.
    unsafe {
        let mut info: siginfo_t = std::mem::zeroed();
        request(libc::PTRACE_GETSIGINFO, pid, 0, (&raw mut info).expose_provenance())?;
        Ok(info)
    }
}

/// What is under way in one traced thread, when somebody looks at it.
enum Doing {
    /// The call happens; this looks at its result.
    Calling(Call, Then),
    /// A signal interrupted the call, which goes on by `restart_syscall`
    /// unless a handler runs.
    Interrupted(Call, Then),
    /// Another call comes after it, and is not at the door yet.
    Entering(Call, Then),
    /// That call happens; where a fault looks at calls of its kind, the filter
    /// tells of it.
    Inside(Call, Then),
}

/// A fault at work on the processes that this process traces.
pub struct Tracer {
    fault: &'static Fault,
    notes: Rc<RefCell<Notes>>,
    threads: HashMap<Pid, Doing>,
    /// Signals that this process sent a second time, with what came first.
    repeated: HashMap<(Pid, c_int), siginfo_t>,
    /// Threads whose next stop is one in name only.
    unstopped: HashSet<Pid>,
    /// The end of this process is what [`Tracer::run`] waits for.
    first: Pid,
}

impl Tracer {
    /// For the process `first`, which is seized already.
    pub fn new(fault: &'static Fault, first: Pid) -> Self {
        Self {
            fault,
            notes: Rc::default(),
            threads: HashMap::new(),
            repeated: HashMap::new(),
            unstopped: HashSet::new(),
            first,
        }
    }

    /// Serves until nothing is left to trace; the wait status of the first
    /// process.
    pub fn run(mut self) -> Option<c_int> {
        let mut end = None;
        loop {
            let mut status = 0;
            // SAFETY: `status` is on this stack.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
            if pid < 0 {
                match Errno::last() {
                    Errno::EINTR => continue,
                    _ => return end,
                }
            }
            let pid = Pid::from_raw(pid);
            if libc::WIFSTOPPED(status) {
                // A thread that was killed while it was stopped says ESRCH;
                // its end is told next.
                let _ = self.stopped(pid, status);
            } else {
                self.threads.remove(&pid);
                if pid == self.first {
                    end = Some(status);
                }
            }
        }
    }

    fn stopped(&mut self, pid: Pid, status: c_int) -> Result<()> {
        let signal = libc::WSTOPSIG(status);
        match status >> 16 {
            libc::PTRACE_EVENT_SECCOMP => self.entered(pid),
            libc::PTRACE_EVENT_STOP => match signal {
                libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU
                    if !self.unstopped.remove(&pid) =>
                {
                    request(libc::PTRACE_LISTEN, pid, 0, 0).map(drop)
                }
                _ => self.go_on(pid, 0),
            },
            libc::PTRACE_EVENT_EXEC => {
                self.threads.remove(&pid);
                go(pid, 0)
            }
            0 if signal == libc::SIGTRAP | 0x80 => self.passed(pid),
            0 => self.arrived(pid, signal),
            // A child or thread was made: it is traced by itself.
            _ => self.go_on(pid, 0),
        }
    }

    /// Lets it run, up to the end of its call when somebody looks at that.
    fn go_on(&mut self, pid: Pid, signal: c_int) -> Result<()> {
        match self.threads.get(&pid) {
            None | Some(Doing::Interrupted(..)) => go(pid, signal),
            Some(_) => go_to_call(pid, signal),
        }
    }

    /// It is about to enter a call that the filter told.
    fn entered(&mut self, pid: Pid) -> Result<()> {
        match self.threads.remove(&pid) {
            Some(Doing::Inside(call, then)) => {
                self.threads.insert(pid, Doing::Inside(call, then));
                return go_to_call(pid, 0);
            }
            Some(Doing::Interrupted(call, then)) if registers(pid)?.orig_rax == RESTART as u64 => {
                self.threads.insert(pid, Doing::Calling(call, then));
                return go_to_call(pid, 0);
            }
            _ => {}
        }
        let mut call = Call::entered(pid, self.notes.clone())?;
        if call.number() == RESTART {
            return go(pid, 0);
        }
        let effect = match self.fault.on {
            // What the fault cannot make out is none of its business.
            On::Calls(_, body) | On::Both(_, body, _) => body(&mut call).unwrap_or(Effect::Proceed),
            On::Signals(_) => Effect::Proceed,
            On::All => {
                mark(call.number() as usize);
                Effect::Proceed
            }
        };
        if call.is_changed() || matches!(effect, Effect::Return(_) | Effect::Instead { .. }) {
            mark(ACTED_MARK);
        }
        match effect {
            Effect::Proceed if !call.is_changed() => go(pid, 0),
            Effect::Proceed => self.call(call, Box::new(|_| Ok(Effect::Proceed))),
            Effect::Return(value) => {
                call.skip(value)?;
                go(pid, 0)
            }
            Effect::Then(then) => self.call(call, then),
            Effect::Instead { number, arguments, then } => {
                call.replace(number, arguments);
                self.call(call, then)
            }
        }
    }

    fn call(&mut self, mut call: Call, then: Then) -> Result<()> {
        let pid = call.thread();
        call.commit()?;
        self.threads.insert(pid, Doing::Calling(call, then));
        go_to_call(pid, 0)
    }

    /// It is at the door of a call, on the way in or out.
    fn passed(&mut self, pid: Pid) -> Result<()> {
        match self.threads.remove(&pid) {
            Some(Doing::Calling(call, then) | Doing::Inside(call, then)) => {
                self.returned(call, then)
            }
            Some(Doing::Entering(call, then)) => {
                self.threads.insert(pid, Doing::Inside(call, then));
                go_to_call(pid, 0)
            }
            _ => go(pid, 0),
        }
    }

    fn returned(&mut self, mut call: Call, then: Then) -> Result<()> {
        let pid = call.thread();
        call.leave()?;
        if RESTARTING.contains(&call.result()) && !call.is_replaced() {
            // If it is restarted, it begins anew, as it was.
            call.restore_arguments()?;
            return go(pid, 0);
        }
        if call.result() == RESTART_BLOCK && !call.is_replaced() {
            call.restore_arguments()?;
            self.threads.insert(pid, Doing::Interrupted(call, then));
            return go(pid, 0);
        }
        let effect = then(&mut call).unwrap_or(Effect::Proceed);
        if matches!(effect, Effect::Return(_) | Effect::Instead { .. }) {
            mark(ACTED_MARK);
        }
        match effect {
            Effect::Proceed | Effect::Then(_) => {}
            Effect::Return(value) => call.set_result(value),
            Effect::Instead { number, arguments, then } => {
                call.again(number, arguments)?;
                self.threads.insert(pid, Doing::Entering(call, then));
                return go_to_call(pid, 0);
            }
        }
        call.finish()?;
        go(pid, 0)
    }

    /// A signal is about to be delivered to it.
    fn arrived(&mut self, pid: Pid, signal: c_int) -> Result<()> {
        if is_ignored(pid, signal) {
            resume_call(pid)?;
        }
        let body = match self.fault.on {
            On::Signals(body) | On::Both(_, _, body) => body,
            On::Calls(..) => return self.go_on(pid, signal),
            On::All => {
                mark(SIGNAL_MARK);
                return self.go_on(pid, signal);
            }
        };
        let repeated = self.repeated.remove(&(pid, signal));
        let is_first = repeated.is_none();
        let info = repeated.map_or_else(|| information(pid), Ok)?;
        let mut arrival = Arrival::new(pid, info, self.notes.clone());
        let fate = body(&mut arrival);
        if fate != Fate::Deliver || bytes(&info) != bytes(arrival.info()) {
            mark(ACTED_MARK);
        }
        match fate {
            Fate::Drop => return self.go_on(pid, 0),
            Fate::Kill => return self.go_on(pid, libc::SIGKILL),
            Fate::Sleep => {
                sleep(pid)?;
                return self.go_on(pid, 0);
            }
            Fate::Interrupt => decide(pid, -i64::from(libc::EINTR))?,
            Fate::Restart => decide(pid, RESTART_ANYWAY)?,
            Fate::RunOn => _ = self.unstopped.insert(pid),
            Fate::Deliver | Fate::Twice => {}
        }
        let (process, info) = (arrival.process().as_raw(), *arrival.info());
        request(libc::PTRACE_SETSIGINFO, pid, 0, (&raw const info).expose_provenance())?;
        if fate == Fate::Twice && is_first {
            self.repeated.insert((pid, signal), info);
            // What the kernel or kill sends, nobody else may send.
            let mut queued = info;
            queued.si_code = libc::SI_QUEUE;
            // SAFETY: a whole siginfo_t.
            unsafe {
                libc::syscall(
                    libc::SYS_rt_tgsigqueueinfo,
                    process,
                    pid.as_raw(),
                    signal,
                    &raw const queued,
                );
            }
        }
        self.go_on(pid, info.si_signo)
    }
}

/// What comes with a signal, as the kernel has it.
fn bytes(info: &libc::siginfo_t) -> [u8; size_of::<libc::siginfo_t>()] {
    // SAFETY: plain data, every byte of which the kernel or a zero wrote.
    unsafe { std::mem::transmute_copy(info) }
}

/// A signal that is ignored wakes a traced thread all the same. A call that
/// gave EINTR for that, or would go on under another number, begins anew, as
/// if it had slept on; those that the kernel restarts by itself need no help.
fn resume_call(pid: Pid) -> Result<()> {
    let mut registers = registers(pid)?;
    let number = registers.orig_rax;
    let interrupted = [-i64::from(libc::EINTR), RESTART_BLOCK];
    if number as i64 >= 0 && interrupted.contains(&(registers.rax as i64)) {
        registers.rax = number;
        registers.rip -= SYSCALL;
        set_registers(pid, &registers)?;
    }
    Ok(())
}

/// Takes from the kernel the choice whether an interrupted call is restarted.
fn decide(pid: Pid, result: i64) -> Result<()> {
    let mut registers = registers(pid)?;
    if registers.orig_rax as i64 >= 0 && RESTARTING.contains(&(registers.rax as i64)) {
        registers.rax = result as u64;
        set_registers(pid, &registers)?;
    }
    Ok(())
}

/// Has a thread that has just come out of a call sleep in ppoll.
fn sleep(pid: Pid) -> Result<()> {
    let mut r = registers(pid)?;
    (r.rax, r.orig_rax, r.rip) = (libc::SYS_ppoll as u64, u64::MAX, r.rip - SYSCALL);
    (r.rdi, r.rsi, r.rdx, r.r10) = (0, 0, 0, 0);
    set_registers(pid, &r)
}

fn go(pid: Pid, signal: c_int) -> Result<()> {
    request(libc::PTRACE_CONT, pid, 0, signal as usize).map(drop)
}

fn go_to_call(pid: Pid, signal: c_int) -> Result<()> {
    request(libc::PTRACE_SYSCALL, pid, 0, signal as usize).map(drop)
}

/// Copies memory of a traced thread that is stopped.
pub(crate) fn peek(pid: Pid, address: u64, into: &mut [u8]) -> Result<()> {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let there = std::ptr::without_provenance_mut(address as usize);
    let remote = libc::iovec { iov_base: there, iov_len: into.len() };
    // SAFETY: the local range is that of the slice.
    let read = unsafe {
        libc::process_vm_readv(pid.as_raw(), &raw const local, 1, &raw const remote, 1, 0)
    };
    if read == into.len() as isize { Ok(()) } else { Err(Errno::EFAULT) }
}

/// Writes memory of a traced thread that is stopped.
pub(crate) fn poke(pid: Pid, address: u64, bytes: &[u8]) -> Result<()> {
    mark(ACTED_MARK);
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let there = std::ptr::without_provenance_mut(address as usize);
    let remote = libc::iovec { iov_base: there, iov_len: bytes.len() };
    // SAFETY: the local range is that of the slice.
    let written = unsafe {
        libc::process_vm_writev(pid.as_raw(), &raw const local, 1, &raw const remote, 1, 0)
    };
    if written == bytes.len() as isize {
        return Ok(());
    }
    // Memory that the thread may only read is written through its file.
    let file = std::fs::File::options().write(true).open(format!("/proc/{pid}/mem"));
    let written = file.and_then(|file| file.write_all_at(bytes, address));
    written.map_err(|_| Errno::EFAULT)
}

/// The registers of a traced thread that is stopped.
pub(crate) fn registers(pid: Pid) -> Result<libc::user_regs_struct> {
    // SAFETY: plain data, filled by the kernel.
    unsafe {
        let mut registers: libc::user_regs_struct = std::mem::zeroed();
        request(libc::PTRACE_GETREGS, pid, 0, (&raw mut registers).expose_provenance())?;
        Ok(registers)
    }
}

/// Sets the registers of a traced thread that is stopped.
pub(crate) fn set_registers(pid: Pid, registers: &libc::user_regs_struct) -> Result<()> {
    let address = std::ptr::from_ref(registers).expose_provenance();
    request(libc::PTRACE_SETREGS, pid, 0, address).map(drop)
}

/// Sets the mask of a traced thread that is stopped, for good: also where a
/// call would have put another one back.
pub(crate) fn set_mask(pid: Pid, mask: u64) -> Result<()> {
    const SETSIGMASK: libc::c_uint = 0x420b;
    let address = (&raw const mask).expose_provenance();
    request(SETSIGMASK, pid, size_of::<u64>(), address).map(drop)
}

/// Lets a process leave no core.
pub(crate) fn leave_no_core(pid: Pid) -> Result<()> {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: one structure to be read.
    let set = unsafe {
        libc::prlimit(pid.as_raw(), libc::RLIMIT_CORE, &raw const none, std::ptr::null_mut())
    };
    Errno::result(set).map(drop)
}

/// Runs a program under `fault`, with all that comes of it; its exit status,
/// or 128 and the number of the signal that ended it.
pub fn exec(fault: &'static Fault, command: &[CString]) -> Result<u8> {
    let (gate, key) = pipe2(OFlag::O_CLOEXEC)?;
    // SAFETY: the caller has one thread.
    match unsafe { fork() }? {
        ForkResult::Child => {
            drop(key);
            let _ = read(&gate, &mut [0]);
            let result = filter(fault).and_then(|()| execvp(&command[0], command));
            let errno = result.map_or_else(|errno| errno, |never| match never {});
            eprintln!("ipcspec: {}: {errno}", command[0].to_string_lossy());
            // SAFETY: nothing of this process is left to run.
            unsafe { libc::_exit(127) }
        }
        ForkResult::Parent { child } => {
            drop(gate);
            seize(child)?;
            drop(key);
            // What a terminal says is for the program.
            for signal in [libc::SIGINT, libc::SIGQUIT] {
                // SAFETY: ignoring a signal runs no code.
                unsafe { libc::signal(signal, libc::SIG_IGN) };
            }
            let status = Tracer::new(fault, child).run().unwrap_or_default();
            Ok(if libc::WIFSIGNALED(status) {
                128 + libc::WTERMSIG(status) as u8
            } else {
                libc::WEXITSTATUS(status) as u8
            })
        }
    }
}
