//! Signals: numbers, sets and actions, and what a handler was told.

pub mod faults;

use std::cell::UnsafeCell;
use std::fmt;
use std::mem::zeroed;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use ipcspec_harness::{Latch, Verdict, show};
use libc::{c_int, c_void, siginfo_t};
use nix::Result;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::answer;

/// Values of `si_code` that the C library's binding lacks.
#[allow(missing_docs)]
pub mod code {
    pub const FPE_INTDIV: i32 = 1;
    pub const POLL_IN: i32 = 1;
    pub const POLL_OUT: i32 = 2;
    pub const POLL_HUP: i32 = 6;
    pub const SEGV_MAPERR: i32 = 1;
    pub const SEGV_ACCERR: i32 = 2;
    pub use libc::{
        BUS_ADRERR, CLD_CONTINUED, CLD_DUMPED, CLD_EXITED, CLD_KILLED, CLD_STOPPED, SI_KERNEL,
        SI_QUEUE, SI_TIMER, SI_TKILL, SI_USER,
    };
}

/// A signal by its number. nix's enumeration has no real-time signals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sig(pub i32);

impl Sig {
    /// `SIGRTMIN+n`.
    pub fn rt(n: i32) -> Self {
        Self(libc::SIGRTMIN() + n)
    }

    /// Every signal of the kernel: 1 to SIGRTMAX, among them those that a C
    /// library keeps to itself.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=libc::SIGRTMAX()).map(Self)
    }

    /// Every signal that a program may have a handler for: not SIGKILL and
    /// SIGSTOP, and not those that a C library keeps to itself.
    pub fn catchable() -> impl Iterator<Item = Self> {
        let unusual = [libc::SIGKILL, libc::SIGSTOP];
        Self::all().filter(move |signal| {
            !unusual.contains(&signal.0) && !(32..libc::SIGRTMIN()).contains(&signal.0)
        })
    }
}

impl fmt::Debug for Sig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show::signal(self.0))
    }
}

impl From<Signal> for Sig {
    fn from(signal: Signal) -> Self {
        Self(signal as i32)
    }
}

impl PartialEq<Signal> for Sig {
    fn eq(&self, other: &Signal) -> bool {
        self.0 == *other as i32
    }
}

/// A set of signals, as the kernel has it: 64 bits, none reserved.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Signals(u64);

impl Signals {
    /// No signal.
    pub const NONE: Self = Self(0);
    /// All 64.
    pub const ALL: Self = Self(!0);

    /// With this signal too.
    #[must_use]
    pub fn and(self, signal: impl Into<Sig>) -> Self {
        Self(self.0 | bit(signal.into()))
    }

    /// Without this signal.
    #[must_use]
    pub fn but(self, signal: impl Into<Sig>) -> Self {
        Self(self.0 & !bit(signal.into()))
    }

    /// What is in either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether this signal is in it.
    pub fn has(self, signal: impl Into<Sig>) -> bool {
        self.0 & bit(signal.into()) != 0
    }

    /// The set behind `NAME` in the text of a `/proc/PID/status`.
    pub fn in_status(text: &str, name: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        u64::from_str_radix(line.trim(), 16).ok().map(Self)
    }

    /// As the C library has it.
    pub(super) fn as_c(self) -> libc::sigset_t {
        // SAFETY: plain data that begins with the kernel's 64 bits. What the
        // C library offers refuses its own signals.
        unsafe {
            let mut set: libc::sigset_t = zeroed();
            (&raw mut set).cast::<u64>().write_unaligned(self.0);
            set
        }
    }
}

impl<S: Into<Sig>> From<S> for Signals {
    fn from(signal: S) -> Self {
        Self::NONE.and(signal)
    }
}

impl<S: Into<Sig>> FromIterator<S> for Signals {
    fn from_iter<I: IntoIterator<Item = S>>(signals: I) -> Self {
        signals.into_iter().fold(Self::NONE, Self::and)
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("{all}");
        }
        f.debug_set().entries((1..=64).map(Sig).filter(|signal| self.has(*signal))).finish()
    }
}

fn bit(signal: Sig) -> u64 {
    1 << (signal.0 - 1)
}

/// `rt_sigprocmask`, past the C library, which leaves out signals of its own.
fn change_mask(how: c_int, set: Option<Signals>) -> Result<Signals> {
    let mut old = 0_u64;
    let new = set.map(|set| set.0);
    let new = new.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: two sets of eight bytes, as told.
    answer(unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, new, &raw mut old, 8) })?;
    Ok(Signals(old))
}

/// Blocks these signals too; the mask before.
pub fn block(set: impl Into<Signals>) -> Result<Signals> {
    change_mask(libc::SIG_BLOCK, Some(set.into()))
}

/// Unblocks these signals; the mask before.
pub fn unblock(set: impl Into<Signals>) -> Result<Signals> {
    change_mask(libc::SIG_UNBLOCK, Some(set.into()))
}

/// Blocks these signals and no other; the mask before.
pub fn set_mask(set: impl Into<Signals>) -> Result<Signals> {
    change_mask(libc::SIG_SETMASK, Some(set.into()))
}

/// The signals that are blocked.
pub fn mask() -> Result<Signals> {
    change_mask(libc::SIG_BLOCK, None)
}

/// `sigprocmask` with a `how` that does not exist.
pub fn change_mask_in_no_known_way() -> Result<Signals> {
    change_mask(1000, Some(Signals::NONE))
}

/// The signals that are pending for this thread or its process.
pub fn pending() -> Result<Signals> {
    let mut set = 0_u64;
    // SAFETY: a set of eight bytes, as told.
    answer(unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut set, 8) })?;
    Ok(Signals(set))
}

/// `kill`, with any signal number.
pub fn send(pid: Pid, signal: impl Into<Sig>) -> Result<()> {
    // SAFETY: takes no pointer.
    answer(unsafe { libc::kill(pid.as_raw(), signal.into().0) }).map(drop)
}

/// `kill` with signal 0: whether the process could be sent one.
pub fn probe(pid: Pid) -> Result<()> {
    send(pid, Sig(0))
}

/// `tgkill`: to one thread of a process.
pub fn send_thread(pid: Pid, tid: Pid, signal: impl Into<Sig>) -> Result<()> {
    let (pid, tid) = (pid.as_raw(), tid.as_raw());
    // SAFETY: takes no pointer.
    answer(unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, signal.into().0) }).map(drop)
}

/// `sigqueue`: with a number for the receiver.
pub fn queue(pid: Pid, signal: impl Into<Sig>, value: i32) -> Result<()> {
    let value = libc::sigval { sival_ptr: value as usize as *mut c_void };
    // SAFETY: the pointer is a number in disguise; nobody follows it.
    answer(unsafe { libc::sigqueue(pid.as_raw(), signal.into().0, value) }).map(drop)
}

/// `pause`; always an error.
pub fn pause() -> Result<()> {
    // SAFETY: takes no pointer.
    answer(unsafe { libc::pause() }).map(drop)
}

/// `_exit`: ends this process at once, from a handler too.
pub fn exit(status: i32) -> ! {
    // SAFETY: nothing of this process is left to run.
    unsafe { libc::_exit(status) }
}

/// `sigsuspend`; always an error.
pub fn suspend(mask: impl Into<Signals>) -> Result<()> {
    let mask = mask.into().0;
    // SAFETY: a set of eight bytes, as told.
    answer(unsafe { libc::syscall(libc::SYS_rt_sigsuspend, &raw const mask, 8) }).map(drop)
}

/// `sigtimedwait`; without a limit, `sigwaitinfo`.
pub fn accept(set: impl Into<Signals>, limit: Option<Duration>) -> Result<Delivery> {
    let set = set.into().0;
    let limit = limit.map(timespec);
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: a set of eight bytes, as told, a siginfo_t and a timespec.
    unsafe {
        let mut info: siginfo_t = zeroed();
        let signal = answer(libc::syscall(
            libc::SYS_rt_sigtimedwait,
            &raw const set,
            &raw mut info,
            limit,
            8,
        ))?;
        Ok(Delivery::read(signal as c_int, &info))
    }
}

/// Takes what is pending of `set`, which is blocked; EAGAIN when nothing is.
pub fn accept_pending(set: impl Into<Signals>) -> Result<Delivery> {
    accept(set, Some(Duration::ZERO))
}

/// Catches a signal with a handler that notes what it is told, and restarts
/// no call.
pub fn catch(signal: impl Into<Sig>) -> Result<()> {
    Action::record().on(signal)
}

/// Catches a signal with a handler that opens the latch, and has interrupted
/// calls restarted: SA_RESTART.
pub fn restart(signal: impl Into<Sig>) -> Verdict<Latch> {
    let handled = Latch::new()?;
    Action::run(move |_| handled.open()).flags(libc::SA_RESTART).on(signal)?;
    Ok(handled)
}

/// Ignores a signal.
pub fn ignore(signal: impl Into<Sig>) -> Result<()> {
    Action::ignore().on(signal)
}

/// `nanosleep`: its answer, and the time that was left when a handler
/// interrupted it.
pub fn nanosleep(time: Duration) -> (Result<()>, Duration) {
    let time = timespec(time);
    let mut left = timespec(Duration::ZERO);
    // SAFETY: one structure to be read and one to be written.
    let answer = answer(unsafe { libc::nanosleep(&raw const time, &raw mut left) }).map(drop);
    (answer, Duration::new(left.tv_sec as u64, left.tv_nsec as u32))
}

fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: time.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(time.subsec_nanos() as i32),
    }
}

/// What came with a signal, to a handler or to [`accept`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The signal, as the first argument of the handler tells it.
    pub signal: Sig,
    /// `si_signo`.
    pub number: i32,
    /// `si_code`: one of [`code`].
    pub code: i32,
    /// `si_pid`; meaningless for a fault or a timer.
    pub pid: Pid,
    /// `si_uid`; meaningless for a fault or a timer.
    pub uid: u32,
    /// `si_status`: exit status or signal, of SIGCHLD alone.
    pub status: i32,
    /// `si_value`, as a number.
    pub value: i32,
    /// `si_addr`, of a fault.
    pub address: usize,
    /// `si_fd`, of a descriptor's signal.
    pub fd: i32,
    /// `si_band`, of a descriptor's signal: as `revents` of poll.
    pub band: libc::c_long,
    /// The mask in the handler, when it began.
    pub mask: Signals,
    /// What was pending when the handler began.
    pub pending: Signals,
    /// An address on the stack on which the handler ran.
    pub stack: usize,
}

impl Delivery {
    const NONE: Self = Self {
        signal: Sig(0),
        number: 0,
        code: 0,
        pid: Pid::from_raw(0),
        uid: 0,
        status: 0,
        value: 0,
        address: 0,
        fd: 0,
        band: 0,
        mask: Signals::NONE,
        pending: Signals::NONE,
        stack: 0,
    };

    fn read(signal: c_int, info: &siginfo_t) -> Self {
        // SAFETY: every field lies within the structure.
        unsafe {
            let io = &*std::ptr::from_ref(info).cast::<IoInfo>();
            Self {
                signal: Sig(signal),
                number: info.si_signo,
                code: info.si_code,
                pid: Pid::from_raw(info.si_pid()),
                uid: info.si_uid(),
                status: info.si_status(),
                value: info.si_value().sival_ptr as usize as i32,
                address: info.si_addr() as usize,
                fd: io.fd,
                band: io.band,
                ..Self::NONE
            }
        }
    }
}

/// The fields of a `siginfo_t` that the C library's binding lacks.
#[repr(C)]
struct IoInfo {
    head: [c_int; 3],
    band: libc::c_long,
    fd: c_int,
}

/// Handlers that are remembered, the first so many.
const KEPT: usize = 256;

struct Log([UnsafeCell<Delivery>; KEPT]);

// SAFETY: each cell is written once, by the handler call that took its
// number, and read after that.
unsafe impl Sync for Log {}

static LOG: Log = Log([const { UnsafeCell::new(Delivery::NONE) }; KEPT]);
static LOGGED: AtomicUsize = AtomicUsize::new(0);

type Body = Box<dyn Fn(&Delivery)>;
static BODIES: [AtomicPtr<Body>; 65] = [const { AtomicPtr::new(null_mut()) }; 65];

/// What this process's handlers were told, in the order in which they began.
/// A forked child begins with what its parent had.
pub fn deliveries() -> Vec<Delivery> {
    let count = LOGGED.load(SeqCst).min(KEPT);
    // SAFETY: the handlers that took these numbers have written them, unless
    // one of them is running now.
    LOG.0[..count].iter().map(|cell| unsafe { *cell.get() }).collect()
}

/// How many times handlers of this process have begun. Async-signal-safe.
pub fn handled() -> usize {
    LOGGED.load(SeqCst)
}

/// The signals of [`deliveries`].
pub fn delivered() -> Vec<Sig> {
    deliveries().iter().map(|delivery| delivery.signal).collect()
}

extern "C" fn handler(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    let errno = Errno::last_raw();
    // SAFETY: the kernel passes a siginfo_t, as SA_SIGINFO asks for.
    let mut delivery = Delivery::read(signal, unsafe { &*info });
    delivery.stack = (&raw const delivery) as usize;
    delivery.mask = mask().unwrap_or_default();
    delivery.pending = pending().unwrap_or_default();
    let number = LOGGED.fetch_add(1, SeqCst);
    if let Some(cell) = LOG.0.get(number) {
        // SAFETY: nobody else has this number.
        unsafe { *cell.get() = delivery };
    }
    // SAFETY: a body is never freed.
    if let Some(body) = unsafe { BODIES[signal as usize].load(SeqCst).as_ref() } {
        body(&delivery);
    }
    Errno::set_raw(errno);
}

/// What a process does about a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// SIG_DFL
    Default,
    /// SIG_IGN
    Ignored,
    /// A handler.
    Caught,
}

impl Disposition {
    fn of(handler: usize) -> Self {
        match handler {
            libc::SIG_DFL => Self::Default,
            libc::SIG_IGN => Self::Ignored,
            _ => Self::Caught,
        }
    }
}

/// An action to be set for a signal.
pub struct Action {
    disposition: Disposition,
    body: Option<Body>,
    flags: c_int,
    mask: Signals,
}

impl Action {
    const fn new(disposition: Disposition) -> Self {
        Self { disposition, body: None, flags: 0, mask: Signals::NONE }
    }

    /// The default action.
    pub const fn default() -> Self {
        Self::new(Disposition::Default)
    }

    /// Nothing at all.
    pub const fn ignore() -> Self {
        Self::new(Disposition::Ignored)
    }

    /// A handler that notes what it is told, for [`deliveries`].
    pub const fn record() -> Self {
        Self::new(Disposition::Caught)
    }

    /// A handler that notes what it is told and then runs `body`, which does
    /// only what is async-signal-safe: it does not allocate.
    pub fn run(body: impl Fn(&Delivery) + 'static) -> Self {
        Self { body: Some(Box::new(body)), ..Self::record() }
    }

    /// With these `SA_…` flags.
    #[must_use]
    pub fn flags(mut self, flags: c_int) -> Self {
        self.flags |= flags;
        self
    }

    /// With these signals blocked while the handler runs.
    #[must_use]
    pub fn mask(mut self, mask: impl Into<Signals>) -> Self {
        self.mask = mask.into();
        self
    }

    /// `sigaction`: sets this for `signal`.
    pub fn on(self, signal: impl Into<Sig>) -> Result<()> {
        self.replace(signal).map(drop)
    }

    /// The same; what was set before, its flags and its mask.
    pub fn replace(self, signal: impl Into<Sig>) -> Result<(Disposition, c_int, Signals)> {
        /// The C library's own affair.
        const SA_RESTORER: c_int = 0x0400_0000;
        let signal = signal.into().0;
        if let Some(slot) = BODIES.get(signal as usize) {
            let body = self.body.map_or(null_mut(), |body| Box::into_raw(Box::new(body)));
            slot.store(body, SeqCst);
        }
        // SAFETY: plain data; the handler takes what SA_SIGINFO passes. A set
        // of the C library begins with the kernel's 64 bits.
        unsafe {
            let (mut action, mut old): (libc::sigaction, libc::sigaction) = (zeroed(), zeroed());
            action.sa_sigaction = match self.disposition {
                Disposition::Default => libc::SIG_DFL,
                Disposition::Ignored => libc::SIG_IGN,
                Disposition::Caught => handler as *const () as usize,
            };
            action.sa_flags = self.flags | libc::SA_SIGINFO;
            action.sa_mask = self.mask.as_c();
            answer(libc::sigaction(signal, &raw const action, &raw mut old))?;
            let mask = (&raw const old.sa_mask).cast::<u64>().read_unaligned();
            let disposition = Disposition::of(old.sa_sigaction);
            Ok((disposition, old.sa_flags & !SA_RESTORER, Signals(mask)))
        }
    }
}

/// What this process does about `signal`, past the C library, which hides
/// signals of its own.
pub fn disposition(signal: impl Into<Sig>) -> Result<Disposition> {
    let mut action = [0_usize; 8];
    let none = std::ptr::null::<usize>();
    // SAFETY: the kernel's structure is four words, the handler first.
    answer(unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal.into().0, none, action.as_mut_ptr(), 8)
    })?;
    Ok(Disposition::of(action[0]))
}

/// An alternate signal stack of this thread, while it lives.
#[derive(Debug)]
pub struct SignalStack(Vec<u8>);

impl SignalStack {
    /// A stack of this many bytes, set with `sigaltstack` and these flags.
    pub fn new(bytes: usize, flags: c_int) -> Result<Self> {
        let mut memory = vec![0; bytes];
        set_signal_stack(memory.as_mut_ptr().cast(), bytes, flags)?;
        Ok(Self(memory))
    }

    /// Whether an address lies on it.
    pub fn has(&self, address: usize) -> bool {
        self.0.as_ptr_range().contains(&(address as *const u8))
    }

    /// `SS_ONSTACK`, `SS_DISABLE` or 0: the state of this thread's stack.
    pub fn state() -> Result<c_int> {
        // SAFETY: one structure to be written.
        unsafe {
            let mut stack: libc::stack_t = zeroed();
            answer(libc::sigaltstack(std::ptr::null(), &raw mut stack))?;
            Ok(stack.ss_flags)
        }
    }

    /// `SS_DISABLE`.
    pub fn disable() -> Result<()> {
        set_signal_stack(null_mut(), 0, libc::SS_DISABLE)
    }
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        let _ = Self::disable();
    }
}

fn set_signal_stack(base: *mut c_void, bytes: usize, flags: c_int) -> Result<()> {
    let stack = libc::stack_t { ss_sp: base, ss_flags: flags, ss_size: bytes };
    // SAFETY: the memory outlives the setting.
    answer(unsafe { libc::sigaltstack(&raw const stack, null_mut()) }).map(drop)
}

/// `setitimer`; `which` is `ITIMER_REAL` and the like. Zero disarms.
pub fn interval_timer(which: c_int, first: Duration, interval: Duration) -> Result<()> {
    let timeval = |time: Duration| libc::timeval {
        tv_sec: time.as_secs() as libc::time_t,
        tv_usec: libc::suseconds_t::from(time.subsec_micros() as i32),
    };
    let value = libc::itimerval { it_value: timeval(first), it_interval: timeval(interval) };
    // SAFETY: one structure to be read. The type of `which` differs between
    // C libraries, so the system call is made.
    answer(unsafe {
        libc::syscall(libc::SYS_setitimer, which, &raw const value, null_mut::<libc::itimerval>())
    })
    .map(drop)
}

/// A POSIX timer that sends this process a signal.
#[derive(Debug)]
pub struct Timer(libc::timer_t);

impl Timer {
    /// A disarmed timer on CLOCK_MONOTONIC that sends `signal` with `value`.
    pub fn new(signal: impl Into<Sig>, value: i32) -> Result<Self> {
        // SAFETY: both structures are plain data on this stack.
        unsafe {
            let mut event: libc::sigevent = zeroed();
            event.sigev_notify = libc::SIGEV_SIGNAL;
            event.sigev_signo = signal.into().0;
            event.sigev_value = libc::sigval { sival_ptr: value as usize as *mut c_void };
            let mut timer: libc::timer_t = zeroed();
            answer(libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer))?;
            Ok(Self(timer))
        }
    }

    /// Expires after `first` and then every `interval`, unless that is zero.
    pub fn set(&self, first: Duration, interval: Duration) -> Result<()> {
        let value = libc::itimerspec { it_value: timespec(first), it_interval: timespec(interval) };
        // SAFETY: one structure to be read.
        answer(unsafe { libc::timer_settime(self.0, 0, &raw const value, null_mut()) }).map(drop)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: it is deleted once.
        unsafe { libc::timer_delete(self.0) };
    }
}
