//! The process that keeps a worker's cases: it forks one process per case,
//! gives it known surroundings, waits for its verdict under a deadline, and
//! leaves nothing behind.
//!
//! A worker is a line of processes. The *supervisor* is started clean by
//! rusty-fork. It tries one level of isolation after the other; in each it
//! forks a process that enters the namespaces and, with a PID namespace,
//! forks once more, so that the *keeper* is the namespace's init. When the
//! runner dies, its end of the socket closes, and all of them end.
#![allow(unsafe_code)]

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::socket::{self, MsgFlags};
use nix::sys::stat::{Mode, umask};
use nix::sys::time::TimeSpec;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, setsid};
use serde::{Deserialize, Serialize};

use crate::arena::{self, Arena};
use crate::child::{End, finish};
use crate::companion::{Companion, Escort, dismiss};
use crate::evidence::{Doing, Evidence, Task};
use crate::isolation::{self, Isolation, LEVELS, Namespaces};
use crate::needs;
use crate::verdict::{Details, Outcome};
use crate::{Accompanied, Case, Failure, Verdict, show};

/// Says to a freshly started process that it is a supervisor, and carries its
/// [`Orders`].
pub(crate) const ORDERS: &str = "IPCSPEC_WORKER_ORDERS";

/// Bytes of output that are kept of one case.
const OUTPUT_KEPT: usize = 128 * 1024;
/// Address space of one process of a case.
const MEMORY: rlim_t = 1 << 30;
/// Descriptors of one process of a case.
const DESCRIPTORS: rlim_t = 1024;
/// How long a killed process may take to go.
const REAPING: Duration = Duration::from_secs(10);

/// What the runner tells a new worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// Index into [`LEVELS`] at which to start.
    pub(crate) level: usize,
}

/// What a worker says once it is ready, or never will be.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ready {
    /// It takes requests, at this isolation.
    Isolation(Isolation),
    /// Every level was refused, for these reasons.
    Refused(Vec<String>),
}

/// One case to run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) case: usize,
    pub(crate) path: String,
    pub(crate) factor: f64,
    pub(crate) seed: u64,
    pub(crate) with: Accompanied,
}

/// How a case went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The verdict.
    pub outcome: Outcome,
    /// What did not hold; none when it held.
    pub details: Option<Details>,
    /// Microseconds from the fork of its first process to the end of its last.
    pub micros: u64,
    /// The head of what it wrote to standard output and standard error.
    pub output: String,
    /// Bytes of output that were not kept.
    pub output_lost: u64,
    /// The weakest evidence of blocking that it relied on, if any.
    pub evidence: Option<Evidence>,
    /// The marks that its companion left.
    pub marks: Vec<usize>,
}

impl Report {
    pub(crate) fn broken(observed: String) -> Self {
        Self {
            outcome: Outcome::Broken,
            details: Some(Failure::broken(observed).at_the_case().details().clone()),
            micros: 0,
            output: String::new(),
            output_lost: 0,
            evidence: None,
            marks: vec![],
        }
    }
}

/// Exit status of a process that could not enter its level.
const REFUSED: i32 = 75;

/// Serves as a worker and never returns, if this process was started as one.
/// The first thing that `main` of a program with cases does, before any
/// argument is read. `companion` is what may be asked to accompany a case.
pub fn serve_if_asked(cases: &[&'static Case], companion: Option<Companion>) {
    let Some(orders) = std::env::var_os(ORDERS) else {
        forgive_arguments();
        return;
    };
    match orders.to_str().and_then(|text| serde_json::from_str(text).ok()) {
        Some(orders) => supervise(&orders, Service { cases, companion }),
        None => {
            eprintln!("ipcspec: environment variable {ORDERS}, for workers only, cannot be read");
            exit(2)
        }
    }
}

/// rusty-fork copies the arguments of this process for a new worker and stops
/// at one it does not know. A worker reads none of them, so all of this
/// process's own are declared as ones to drop.
fn forgive_arguments() {
    for argument in std::env::args_os() {
        let Some(argument) = argument.to_str() else { continue };
        let flag = argument.split('=').next().unwrap_or_default();
        let names: Vec<String> = match flag.strip_prefix("--") {
            Some(name) => vec![name.to_uppercase().replace('-', "_")],
            None if flag.starts_with('-') => {
                flag.chars().skip(1).map(|c| c.to_uppercase().to_string()).collect()
            }
            None => vec![],
        };
        for name in names.iter().filter(|name| !name.is_empty() && !name.contains('\0')) {
            // SAFETY: called first in main, before any thread.
            unsafe { std::env::set_var(format!("RUSTY_FORK_FLAG_{name}"), "drop") };
        }
    }
}

fn exit(status: i32) -> ! {
    // SAFETY: nothing of this process is left to run.
    unsafe { libc::_exit(status) }
}

extern "C" fn wake(_: libc::c_int) {}

/// Descriptors and state of a worker's own processes.
struct Desk {
    runner: UnixStream,
    output: OwnedFd,
    output_end: OwnedFd,
    arena: &'static Arena,
    fallback: PathBuf,
}

/// A copy of `fd` out of the way of cases, as far as the limit allows.
fn aside(fd: impl AsFd) -> nix::Result<OwnedFd> {
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let copy = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC((limit / 2).min(600) as RawFd))?;
    // SAFETY: fresh from F_DUPFD.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// What a worker can do.
#[derive(Clone, Copy)]
struct Service<'c> {
    cases: &'c [&'static Case],
    companion: Option<Companion>,
}

fn supervise(orders: &Orders, service: Service) -> ! {
    let desk = match prepare() {
        Ok(desk) => desk,
        Err(error) => {
            eprintln!("ipcspec: a worker cannot start: {error}");
            exit(1)
        }
    };
    let last = LEVELS.len() - 1;
    let attempts = (orders.level.min(last)..=last).flat_map(|level| {
        // Directly first; through a user namespace where that is refused.
        let ways: &[bool] =
            if LEVELS[level].1 == Namespaces::NONE { &[false] } else { &[false, true] };
        ways.iter().map(move |user| (level, *user))
    });
    let mut status = 0;
    let mut refused = vec![];
    for (level, user) in attempts {
        let slot = desk.arena.slot().expect("no slot is in use between two attempts");
        // SAFETY: this process has one thread.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => {
                let error = enter_level(&desk, level, user, refused.clone(), service);
                slot.leave(&Err(Failure::broken(error)));
                exit(REFUSED)
            }
            Ok(ForkResult::Parent { child }) => {
                status = watch(&desk, child);
                clear_away(&desk);
                if status != REFUSED {
                    break;
                }
                let way = if user { "in a user namespace" } else { "directly" };
                let error = match slot.taken() {
                    Some(Err(failure)) => failure.details().observed.clone(),
                    _ => "no reason told".to_owned(),
                };
                refused.push(format!("{} {way}: {error}", LEVELS[level].0));
                slot.free();
            }
            Err(errno) => {
                eprintln!("ipcspec: a worker cannot fork: {errno}");
                exit(1)
            }
        }
    }
    if status == REFUSED {
        send(&desk, &Ready::Refused(refused));
    }
    exit(status)
}

fn prepare() -> std::io::Result<Desk> {
    let runner = aside(std::io::stdin())?;
    let (output, output_end) = pipe2(OFlag::O_CLOEXEC)?;
    let (output, output_end) = (aside(output)?, aside(output_end)?);
    fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    match fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        Ok(null) => dup2_stdin(null)?,
        // No /dev: the read end of a pipe that nobody writes to.
        Err(_) => dup2_stdin(pipe2(OFlag::O_CLOEXEC)?.0)?,
    }
    // Nothing of a worker's own belongs into the runner's output.
    dup2_stdout(&output_end)?;
    // A terminal's signals are for the runner.
    let _ = setsid();
    let _ = nix::sys::prctl::set_child_subreaper(true);
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    reset_signals();
    umask(Mode::from_bits_truncate(0o022));
    // SAFETY: this process has one thread.
    unsafe {
        let handler = SigAction::new(SigHandler::Handler(wake), SaFlags::empty(), SigSet::empty());
        sigaction(Signal::SIGCHLD, &handler)?;
        for (name, _) in std::env::vars_os() {
            std::env::remove_var(name);
        }
        std::env::set_var("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        std::env::set_var("LC_ALL", "C");
    }
    SigSet::from(Signal::SIGCHLD).thread_block()?;
    let limit = |resource, soft: rlim_t| {
        let (_, hard) = getrlimit(resource)?;
        setrlimit(resource, soft.min(hard), hard)
    };
    // 1 byte forbids a core file and, unlike 0, a core handed to a program.
    let _ = limit(Resource::RLIMIT_CORE, 1);
    let _ = limit(Resource::RLIMIT_NOFILE, DESCRIPTORS);
    let fallback = isolation::writable_directory()
        .unwrap_or_else(|| PathBuf::from("/"))
        .join(format!("ipcspec-{}-{}", Pid::this(), nanos()));
    WORKER.store(Pid::this().as_raw(), std::sync::atomic::Ordering::SeqCst);
    Ok(Desk {
        runner: UnixStream::from(runner),
        output,
        output_end,
        arena: arena::map()?,
        fallback,
    })
}

/// The nanoseconds of the clock: they keep a directory's name from being one
/// that an earlier process of this id left.
fn nanos() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |time| time.subsec_nanos())
}

/// What the case that runs was told.
static ORDER: std::sync::Mutex<Option<String>> = std::sync::Mutex::new(None);

/// What this case was told by who runs it, if anything.
pub fn told_to_case() -> Option<String> {
    ORDER.lock().ok()?.clone()
}

static WORKER: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(0);

/// A number that no other worker on this machine has now: the supervisor's
/// process id.
pub fn worker_id() -> i32 {
    WORKER.load(std::sync::atomic::Ordering::SeqCst)
}

/// Every signal at its default, none blocked, no alternate stack: the Rust
/// runtime ignores SIGPIPE and handles SIGSEGV and SIGBUS.
fn reset_signals() {
    // SAFETY: plain data; a signal that cannot be changed says EINVAL. C
    // libraries hide two signals of theirs, so the system call is made.
    unsafe {
        let default: [u64; 4] = [0; 4];
        for signal in 1..=64_i32 {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), 0, 8);
        }
        let mut stack: libc::stack_t = std::mem::zeroed();
        stack.ss_flags = libc::SS_DISABLE;
        libc::sigaltstack(&raw const stack, std::ptr::null_mut());
    }
    let _ = SigSet::empty().thread_set_mask();
}

/// Waits for `child`, which leads to the keeper, and ends it when the runner
/// is gone and it does not go by itself.
fn watch(desk: &Desk, child: Pid) -> i32 {
    let mut gone_since: Option<Instant> = None;
    loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, status)) => return status,
            Ok(WaitStatus::Signaled(_, signal, _)) => return 128 + signal as i32,
            Err(Errno::ECHILD) => return 1,
            _ => {}
        }
        let hung_up = match gone_since {
            Some(since) => {
                if since.elapsed() > Duration::from_secs(3) {
                    let _ = kill(child, Signal::SIGKILL);
                }
                wait_for_event(&[], Some(Duration::from_millis(200)));
                true
            }
            None => wait_for_event(&[(desk.runner.as_fd(), PollFlags::empty())], None)[0]
                .intersects(PollFlags::POLLHUP | PollFlags::POLLERR),
        };
        if hung_up {
            gone_since.get_or_insert_with(Instant::now);
        }
    }
}

/// Waits for an event on one of `fds`, a SIGCHLD, or the limit.
fn wait_for_event(fds: &[(BorrowedFd, PollFlags)], limit: Option<Duration>) -> Vec<PollFlags> {
    let mut poll: Vec<_> = fds.iter().map(|(fd, flags)| PollFd::new(*fd, *flags)).collect();
    let _ = ppoll(&mut poll, limit.map(TimeSpec::from_duration), Some(SigSet::empty()));
    poll.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty())).collect()
}

/// In a fresh process: enters the level and keeps cases there. Returns the
/// reason where the kernel does not let it.
fn enter_level(
    desk: &Desk,
    level: usize,
    user: bool,
    refused: Vec<String>,
    service: Service,
) -> String {
    let (name, namespaces) = LEVELS[level];
    if let Err(error) = isolation::enter(namespaces, user) {
        return error;
    }
    if namespaces.contains(Namespaces::PID) {
        die_with_parent();
        // SAFETY: this process has one thread.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => die_with_parent(),
            Ok(ForkResult::Parent { child }) => exit(watch(desk, child)),
            Err(errno) => return format!("fork: {errno}"),
        }
    }
    let _ = nix::sys::prctl::set_child_subreaper(true);
    let scratch = match isolation::furnish(namespaces, &desk.fallback) {
        Ok(scratch) => scratch,
        Err(error) => return error,
    };
    let isolation = Isolation { level: name.to_owned(), namespaces, user, refused, scratch };
    keep(desk, &isolation, service)
}

fn die_with_parent() {
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
}

fn send(desk: &Desk, message: &impl Serialize) {
    let mut line = serde_json::to_vec(message).expect("messages can be serialized");
    line.push(b'\n');
    let mut left = &line[..];
    while !left.is_empty() {
        // SIGPIPE has its default here, for the cases' sake.
        match socket::send(desk.runner.as_raw_fd(), left, MsgFlags::MSG_NOSIGNAL) {
            Ok(sent) => left = &left[sent..],
            Err(Errno::EINTR) => {}
            // The runner is gone: the next read shows it as end of file.
            Err(_) => return,
        }
    }
}

fn keep(desk: &Desk, isolation: &Isolation, service: Service) -> ! {
    send(desk, &Ready::Isolation(isolation.clone()));
    let mut buffered = Vec::new();
    loop {
        let Some(line) = read_line(&desk.runner, &mut buffered) else { leave(desk, isolation) };
        let report = match serde_json::from_slice::<Request>(&line) {
            Ok(request) => match service.cases.get(request.case) {
                Some(case) if case.path() == request.path => {
                    run(desk, isolation, case, &request, service.companion)
                }
                _ => Report::broken(format!("the worker has no case {}", request.path)),
            },
            Err(error) => Report::broken(format!("unreadable request: {error}")),
        };
        send(desk, &report);
    }
}

fn leave(desk: &Desk, isolation: &Isolation) -> ! {
    kill_all(isolation.namespaces);
    desk.arena.clean_up();
    isolation::sweep(isolation);
    exit(0)
}

fn read_line(mut from: &UnixStream, buffered: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(end) = buffered.iter().position(|byte| *byte == b'\n') {
            return Some(buffered.drain(..=end).collect());
        }
        let mut chunk = [0; 1024];
        match from.read(&mut chunk) {
            Ok(0) => return None,
            Ok(length) => buffered.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// What a case wrote.
#[derive(Default)]
struct Output {
    kept: Vec<u8>,
    lost: u64,
}

impl Output {
    /// Takes what is there; whether there was something.
    fn drain(&mut self, from: &OwnedFd) -> bool {
        let mut any = false;
        let mut chunk = [0; 8192];
        while let Ok(length) = nix::unistd::read(from, &mut chunk) {
            if length == 0 {
                break;
            }
            any = true;
            let keep = length.min(OUTPUT_KEPT - self.kept.len());
            self.kept.extend_from_slice(&chunk[..keep]);
            self.lost += (length - keep) as u64;
            if self.lost > 0 && length == chunk.len() {
                // Endless output must not keep the keeper from its deadline.
                break;
            }
        }
        any
    }
}

fn run(
    desk: &Desk,
    isolation: &Isolation,
    case: &'static Case,
    request: &Request,
    companion: Option<Companion>,
) -> Report {
    let deadline = case.deadline().mul_f64(request.factor);
    desk.arena.reset(deadline.as_millis() as u64, request.factor, request.seed);
    let slot = match desk.arena.slot() {
        Ok(slot) => slot,
        Err(failure) => return Report::broken(failure.to_string()),
    };
    if let Ok(mut order) = ORDER.lock() {
        order.clone_from(&request.with.order);
    }
    let escort = match (&request.with.companion, companion) {
        (None, _) => None,
        (Some(name), Some(companion)) => match Escort::new(companion, name) {
            Ok(escort) => Some(escort),
            Err(failure) => return Report::broken(failure.to_string()),
        },
        (Some(name), None) => {
            return Report::broken(format!("the worker has no companion for {name}"));
        }
    };
    let start = Instant::now();
    // SAFETY: this process has one thread.
    let first = match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            let readied = surround(desk, isolation);
            finish(slot, || {
                readied?;
                needs::meet(case.needs, isolation)?;
                if let Some(escort) = escort {
                    escort.meet()?;
                }
                (case.run)()?;
                no_descriptor_left()
            })
        }
        Ok(ForkResult::Parent { child }) => child,
        Err(errno) => return Report::broken(format!("cannot fork: {errno}")),
    };
    let attendant = match escort.map(|escort| escort.start(first, || leave_keeper(desk))) {
        None => None,
        Some(Ok(pid)) => Some(pid),
        Some(Err(errno)) => {
            kill_all(isolation.namespaces);
            return Report::broken(format!("cannot fork: {errno}"));
        }
    };
    let mut output = Output::default();
    let mut overdue = None;
    let mut end = None;
    while end.is_none() {
        let left = deadline.saturating_sub(start.elapsed());
        if left.is_zero() {
            output.drain(&desk.output);
            let mut seen = Overdue::seen(attendant);
            // Who talks may sleep for the keeper, who reads what it says: then
            // there was more to read while it was looked at.
            seen.asleep &= !output.drain(&desk.output);
            overdue = Some(seen);
            kill_all(isolation.namespaces);
            break;
        }
        let events = wait_for_event(
            &[(desk.runner.as_fd(), PollFlags::empty()), (desk.output.as_fd(), PollFlags::POLLIN)],
            Some(left),
        );
        if events[0].intersects(PollFlags::POLLHUP | PollFlags::POLLERR) {
            leave(desk, isolation);
        }
        if !events[1].is_empty() {
            output.drain(&desk.output);
        }
        end = reap(Some(first));
    }
    if let Some(attendant) = attendant {
        dismiss(attendant);
    }
    let leaked = end.is_some() && reap_zombies();
    let leak = leaked.then(|| {
        let told = describe(&tasks(None));
        kill_all(isolation.namespaces);
        told
    });
    desk.arena.clean_up();
    let micros = start.elapsed().as_micros() as u64;
    output.drain(&desk.output);
    isolation::sweep(isolation);

    let verdict = judge(slot.taken(), end, leak, overdue.map(|overdue| (deadline, overdue)));
    let (outcome, details) = match verdict {
        Ok(()) => (Outcome::Held, None),
        Err(failure) => {
            let mut details = failure.details().clone();
            if details.at.is_empty() {
                details.at = format!("{}:{}", case.file, case.line);
            }
            (failure.outcome(), Some(details))
        }
    };
    Report {
        outcome,
        details,
        micros,
        output: String::from_utf8_lossy(&output.kept).into_owned(),
        output_lost: output.lost,
        evidence: Evidence::used(),
        marks: desk.arena.marks(),
    }
}

/// Puts together what the case said and what the keeper saw.
fn judge(
    said: Option<Verdict>,
    end: Option<End>,
    leak: Option<String>,
    overdue: Option<(Duration, Overdue)>,
) -> Verdict {
    let nowhere = |observed: String| Err(Failure::broken(observed).at_the_case());
    if let Some((deadline, Overdue { told, asleep })) = overdue {
        let told = format!("no end after {} s: {told}", deadline.as_secs_f32());
        return match said.and_then(Verdict::err).or_else(|| arena::arena().failure()) {
            Some(failure) => Err(failure),
            _ if asleep => Err(Failure::violated("the case", "", "to end", told).at_the_case()),
            _ => nowhere(told),
        };
    }
    match (said, end) {
        (Some(Err(failure)), _) => Err(failure),
        (Some(Ok(())), Some(End::Exited(0))) => match leak {
            None => Ok(()),
            Some(processes) => nowhere(format!("left processes behind: {processes}")),
        },
        (_, Some(end)) => nowhere(format!("ended without a verdict: {end:?}")),
        (_, None) => nowhere("ended without a verdict".to_owned()),
    }
}

/// In a process beside the case's: gives up what is the keeper's alone.
fn leave_keeper(desk: &Desk) {
    die_with_parent();
    let _ = dup2_stderr(&desk.output_end);
    close_from_3(desk);
    let _ = SigSet::empty().thread_set_mask();
}

/// Closes the keeper's own descriptors, which this process does not use again
/// and whose owners it never drops.
fn close_from_3(desk: &Desk) {
    // SAFETY: as said.
    unsafe {
        if libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) != 0 {
            let ends: [RawFd; 3] =
                [desk.runner.as_raw_fd(), desk.output.as_raw_fd(), desk.output_end.as_raw_fd()];
            for fd in ends {
                libc::close(fd);
            }
        }
    }
}

/// In the case's first process: descriptors, session, IPC namespace, limits.
fn surround(desk: &Desk, isolation: &Isolation) -> Verdict {
    let _ = setsid();
    if !isolation.namespaces.contains(Namespaces::PID) {
        die_with_parent();
    }
    dup2_stdout(&desk.output_end)?;
    dup2_stderr(&desk.output_end)?;
    close_from_3(desk);
    // SAFETY: plain data.
    unsafe {
        let default: [u64; 4] = [0; 4];
        libc::syscall(libc::SYS_rt_sigaction, libc::SIGCHLD, default.as_ptr(), 0, 8);
    }
    SigSet::empty().thread_set_mask()?;
    if isolation.namespaces.contains(Namespaces::IPC) {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWIPC)?;
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_AS)?;
    setrlimit(Resource::RLIMIT_AS, MEMORY.min(hard), hard)?;
    Ok(())
}

/// Descriptors above 2 that are looked for after a case.
const DESCRIPTORS_SEEN: RawFd = 256;

/// Broken when the case left a descriptor open.
fn no_descriptor_left() -> Verdict {
    let mut all: [libc::pollfd; DESCRIPTORS_SEEN as usize] =
        std::array::from_fn(|index| libc::pollfd { fd: 3 + index as RawFd, events: 0, revents: 0 });
    // SAFETY: the array is as long as told. A closed descriptor says POLLNVAL.
    let count = unsafe { libc::poll(all.as_mut_ptr(), all.len() as libc::nfds_t, 0) };
    // A low RLIMIT_NOFILE makes poll refuse the array: then nothing is told.
    let open = all.iter().filter(|fd| count >= 0 && fd.revents & libc::POLLNVAL == 0);
    let left: Vec<_> = open
        .map(|fd| {
            let link = fs::read_link(format!("/proc/self/fd/{}", fd.fd));
            format!(
                "{} ({})",
                fd.fd,
                link.map_or_else(|_| "?".into(), |path| path.display().to_string())
            )
        })
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    Err(Failure::broken(format!("left descriptors open: {}", left.join(", "))).at_the_case())
}

/// The end of `child` (of any child, when none is named), if it has ended.
fn reap(child: Option<Pid>) -> Option<End> {
    let mut status = 0;
    // SAFETY: `status` is on this stack.
    let got = unsafe {
        libc::waitpid(child.map_or(-1, Pid::as_raw), &raw mut status, libc::WNOHANG | libc::__WALL)
    };
    (got > 0).then(|| End::from_raw(status)).flatten()
}

/// Reaps what has ended; whether something is still alive.
fn reap_zombies() -> bool {
    while reap(None).is_some() {}
    has_children()
}

fn has_children() -> bool {
    !matches!(waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)), Err(Errno::ECHILD))
}

/// Ends and reaps every process below this one.
fn kill_all(namespaces: Namespaces) {
    let limit = Instant::now() + REAPING;
    while has_children() && Instant::now() < limit {
        if namespaces.contains(Namespaces::PID) {
            // As init, this reaches all of the namespace and nothing else.
            let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
        } else {
            for (pid, _) in descendants() {
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
        while reap(None).is_some() {}
        if has_children() {
            wait_for_event(&[], Some(Duration::from_millis(20)));
        }
    }
}

/// Process id and name of everything below this process, as /proc tells it.
fn descendants() -> Vec<(Pid, String)> {
    let mut all = vec![];
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let (Some(open), Some(close)) = (stat.find('('), stat.rfind(')')) else { continue };
        let parent = stat[close + 1..].split_ascii_whitespace().nth(1).and_then(|n| n.parse().ok());
        all.push((pid, parent.unwrap_or(0), stat[open + 1..close].to_owned()));
    }
    let mut below = vec![Pid::this().as_raw()];
    let mut found = vec![];
    while let Some(parent) = below.pop() {
        for (pid, _, name) in all.iter().filter(|(_, p, _)| *p == parent) {
            below.push(*pid);
            found.push((Pid::from_raw(*pid), name.clone()));
        }
    }
    found
}

/// What every process of the case is doing; `but` is none of it.
fn tasks(but: Option<Pid>) -> Vec<(Pid, Doing)> {
    let all = descendants().into_iter().map(|(pid, _)| pid).filter(|pid| Some(*pid) != but);
    all.map(|pid| (pid, Task::process(pid).doing())).collect()
}

fn describe(tasks: &[(Pid, Doing)]) -> String {
    let told: Vec<_> =
        tasks.iter().take(8).map(|(pid, doing)| format!("process {pid} is {doing}")).collect();
    if told.is_empty() { "no /proc to tell which".to_owned() } else { told.join(", ") }
}

/// A case that was not over at its deadline.
struct Overdue {
    told: String,
    /// Every process that has not ended sleeps in a system call: nobody but
    /// the kernel is left who could wake one.
    asleep: bool,
}

impl Overdue {
    fn seen(attendant: Option<Pid>) -> Self {
        let tasks = tasks(attendant);
        // A zombie wakes nobody.
        let mut left = tasks.iter().filter(|(_, doing)| *doing != Doing::Gone).peekable();
        let asleep = |(pid, doing): &(Pid, Doing)| {
            matches!(doing, Doing::Call(_)) && Task::process(*pid).state() == Some('S')
        };
        let all = left.peek().is_some() && left.all(asleep);
        Self { told: describe(&tasks), asleep: all }
    }
}

/// What the supervisor does when a keeper has ended, however it ended.
fn clear_away(desk: &Desk) {
    kill_all(Namespaces::NONE);
    desk.arena.clean_up();
    let _ = fs::remove_dir_all(&desk.fallback);
}

impl Details {
    /// The lines that tell a failure, in the order of the design: what was
    /// called, what was wanted, what came, where.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![];
        let mut tell = |word, text: &str| {
            if !text.is_empty() {
                lines.push((word, show::shorten(text, 2000)));
            }
        };
        tell("call", &self.call);
        tell("wanted", &self.expected);
        tell("got", &self.observed);
        tell("missing", &self.missing.join("; "));
        tell("at", &self.at);
        lines
    }
}
