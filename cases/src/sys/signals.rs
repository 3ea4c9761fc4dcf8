//! Signals: numbers, sets and actions, what a handler was told, and the
//! machine instructions that raise signals.

use std::cell::UnsafeCell;
use std::fmt;
use std::mem::zeroed;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use ipcspec_harness::show;
use libc::{c_int, c_void, siginfo_t};
use nix::Result;
use nix::errno::Errno;
use nix::sys::mman::ProtFlags;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::answer;

/// Values of `si_code` that the C library's binding lacks.
#[allow(missing_docs)]
pub mod code {
    pub const FPE_INTDIV: i32 = 1;
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

    fn as_c(self) -> libc::sigset_t {
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
        tv_nsec: libc::c_long::from(time.subsec_nanos()),
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
        mask: Signals::NONE,
        pending: Signals::NONE,
        stack: 0,
    };

    fn read(signal: c_int, info: &siginfo_t) -> Self {
        // SAFETY: every field lies within the structure.
        unsafe {
            Self {
                signal: Sig(signal),
                number: info.si_signo,
                code: info.si_code,
                pid: Pid::from_raw(info.si_pid()),
                uid: info.si_uid(),
                status: info.si_status(),
                value: info.si_value().sival_ptr as usize as i32,
                address: info.si_addr() as usize,
                ..Self::NONE
            }
        }
    }
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
        let signal = signal.into().0;
        if let (Some(body), Some(slot)) = (self.body, BODIES.get(signal as usize)) {
            slot.store(Box::into_raw(Box::new(body)), SeqCst);
        }
        // SAFETY: plain data; the handler takes what SA_SIGINFO passes.
        unsafe {
            let mut action: libc::sigaction = zeroed();
            action.sa_sigaction = match self.disposition {
                Disposition::Default => libc::SIG_DFL,
                Disposition::Ignored => libc::SIG_IGN,
                Disposition::Caught => handler as *const () as usize,
            };
            action.sa_flags = self.flags | libc::SA_SIGINFO;
            action.sa_mask = self.mask.as_c();
            answer(libc::sigaction(signal, &raw const action, null_mut())).map(drop)
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
    Ok(match action[0] {
        libc::SIG_DFL => Disposition::Default,
        libc::SIG_IGN => Disposition::Ignored,
        _ => Disposition::Caught,
    })
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
        tv_usec: time.subsec_micros().into(),
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

/// Pages of memory that are there to be touched wrongly.
#[derive(Debug)]
pub struct Pages {
    base: *mut c_void,
    bytes: usize,
}

impl Pages {
    /// One private page with this protection.
    pub fn new(protection: ProtFlags) -> Result<Self> {
        let bytes = page_size();
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: the kernel chooses the place.
        let base = unsafe { libc::mmap(null_mut(), bytes, protection.bits(), flags, -1, 0) };
        if base == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(Self { base, bytes }) }
    }

    /// One shared page of `file`, which may end before it.
    pub fn of_file(file: &std::fs::File) -> Result<Self> {
        use std::os::fd::AsRawFd;
        let bytes = page_size();
        let (protection, flags) = (libc::PROT_READ, libc::MAP_SHARED);
        // SAFETY: the kernel chooses the place.
        let base = unsafe { libc::mmap(null_mut(), bytes, protection, flags, file.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(Self { base, bytes }) }
    }

    /// Its first address.
    pub fn address(&self) -> usize {
        self.base as usize
    }

    /// `munmap`: it keeps the address, with nothing there.
    pub fn unmap(&self) -> Result<()> {
        // SAFETY: nothing of Rust lives there.
        answer(unsafe { libc::munmap(self.base, self.bytes) }).map(drop)
    }

    /// Maps a fresh page of zeros there again. Async-signal-safe.
    pub fn map_again(base: usize) -> Result<()> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the page was this case's own.
        let got = unsafe { libc::mmap(base as *mut c_void, page_size(), protection, flags, -1, 0) };
        if got == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(()) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let _ = self.unmap();
    }
}

fn page_size() -> usize {
    // SAFETY: takes no pointer.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// Reads a byte, wherever that is. The case has a handler for what comes of it.
pub fn load(address: usize) -> u8 {
    // SAFETY: a fault is what the case is about.
    unsafe { (address as *const u8).read_volatile() }
}

/// Writes a byte, wherever that is. The case has a handler for what comes of it.
pub fn store(address: usize, byte: u8) {
    // SAFETY: a fault is what the case is about.
    unsafe { (address as *mut u8).write_volatile(byte) }
}

/// Divides by zero. `at` gets the address of the instruction before it runs.
#[cfg(target_arch = "x86_64")]
pub fn divide_by_zero(at: &AtomicUsize) {
    // SAFETY: the registers are told; the fault is what the case is about.
    unsafe {
        std::arch::asm!(
            "lea {place}, [rip + 2f]",
            "mov [{at}], {place}",
            "2: div {zero:e}",
            at = in(reg) at.as_ptr(),
            place = out(reg) _,
            zero = in(reg) 0,
            inout("eax") 1 => _,
            inout("edx") 0 => _,
        );
    }
}

/// An instruction that does not exist.
#[cfg(target_arch = "x86_64")]
pub fn illegal_instruction() {
    // SAFETY: touches nothing.
    unsafe { std::arch::asm!("ud2") };
}

/// Handlers that have to interrupt [`registers_across_handlers`].
#[cfg(target_arch = "x86_64")]
const HANDLERS: u32 = 10;
#[cfg(target_arch = "x86_64")]
static ROUNDS: AtomicUsize = AtomicUsize::new(0);
#[cfg(target_arch = "x86_64")]
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// The registers of an x86-64 processor, as [`registers_across_handlers`] saw them.
#[derive(Debug, Clone, PartialEq)]
pub struct Registers {
    /// rax, rcx, rdx, rsi, rdi, r8 to r15, rsp (against its value before).
    pub general: [u64; 14],
    /// xmm0 to xmm15, the low half of each.
    pub vector: [u64; 16],
    /// rbp.
    pub base: u64,
    /// The control and status register of SSE.
    pub mxcsr: u32,
    /// Whether the direction flag was set.
    pub direction: bool,
    /// The double at the top of the x87 stack.
    pub top: f64,
}

/// Loads known values into the registers, goes round in user mode until
/// several handlers that call [`scramble`] have interrupted it there, and tells
/// what was loaded and what the registers hold then.
#[cfg(target_arch = "x86_64")]
pub fn registers_across_handlers() -> (Registers, Registers) {
    use std::arch::asm;
    #[repr(C, align(16))]
    struct Frame {
        general: [u64; 14],
        vector: [u64; 16],
        mxcsr: u32,
        saved_mxcsr: u32,
        flags: u64,
        top: f64,
        base: u64,
    }
    const BASE: u64 = 0xbbbb_bbbb_bbbb_bbbb;
    let general = std::array::from_fn(|n| 0x0101_0101_0101_0101 * (n as u64 + 1));
    let vector = std::array::from_fn(|n| 0x1111_1111_1111_1111 ^ (n as u64) << 56);
    let mut frame = Frame {
        general,
        vector,
        mxcsr: 0x7f80,
        saved_mxcsr: 0,
        flags: 0,
        top: 1.0 / 3.0,
        base: BASE,
    };
    ROUNDS.store(0, SeqCst);
    INSIDE.store(0, SeqCst);
    // SAFETY: the frame is as laid out; all that is changed is told or put
    // back. rbx holds the frame that the registers are compared with.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "mov rbx, rax",
            "mov [rbx + 104], rsp",
            "stmxcsr [rbx + 244]",
            "ldmxcsr [rbx + 240]",
            "fld qword ptr [rbx + 256]",
            "movq xmm0, [rbx + 112]", "movq xmm1, [rbx + 120]",
            "movq xmm2, [rbx + 128]", "movq xmm3, [rbx + 136]",
            "movq xmm4, [rbx + 144]", "movq xmm5, [rbx + 152]",
            "movq xmm6, [rbx + 160]", "movq xmm7, [rbx + 168]",
            "movq xmm8, [rbx + 176]", "movq xmm9, [rbx + 184]",
            "movq xmm10, [rbx + 192]", "movq xmm11, [rbx + 200]",
            "movq xmm12, [rbx + 208]", "movq xmm13, [rbx + 216]",
            "movq xmm14, [rbx + 224]", "movq xmm15, [rbx + 232]",
            "mov rax, [rbx]", "mov rcx, [rbx + 8]", "mov rdx, [rbx + 16]",
            "mov rsi, [rbx + 24]", "mov rdi, [rbx + 32]", "mov r8, [rbx + 40]",
            "mov r9, [rbx + 48]", "mov r10, [rbx + 56]", "mov r11, [rbx + 64]",
            "mov r12, [rbx + 72]", "mov r13, [rbx + 80]", "mov r14, [rbx + 88]",
            "mov r15, [rbx + 96]",
            "mov rbp, [rbx + 264]",
            "std",
            "mov qword ptr [rip + {inside}], 1",
            "2: cmp qword ptr [rip + {rounds}], {handlers}",
            "jb 2b",
            "mov qword ptr [rip + {inside}], 0",
            "mov [rbx], rax",
            "pushfq", "pop rax", "mov [rbx + 248], rax",
            "cld",
            "mov [rbx + 8], rcx", "mov [rbx + 16], rdx",
            "mov [rbx + 24], rsi", "mov [rbx + 32], rdi", "mov [rbx + 40], r8",
            "mov [rbx + 48], r9", "mov [rbx + 56], r10", "mov [rbx + 64], r11",
            "mov [rbx + 72], r12", "mov [rbx + 80], r13", "mov [rbx + 88], r14",
            "mov [rbx + 96], r15",
            "sub [rbx + 104], rsp",
            "movq [rbx + 112], xmm0", "movq [rbx + 120], xmm1",
            "movq [rbx + 128], xmm2", "movq [rbx + 136], xmm3",
            "movq [rbx + 144], xmm4", "movq [rbx + 152], xmm5",
            "movq [rbx + 160], xmm6", "movq [rbx + 168], xmm7",
            "movq [rbx + 176], xmm8", "movq [rbx + 184], xmm9",
            "movq [rbx + 192], xmm10", "movq [rbx + 200], xmm11",
            "movq [rbx + 208], xmm12", "movq [rbx + 216], xmm13",
            "movq [rbx + 224], xmm14", "movq [rbx + 232], xmm15",
            "mov [rbx + 264], rbp",
            "fstp qword ptr [rbx + 256]",
            "stmxcsr [rbx + 240]",
            "ldmxcsr [rbx + 244]",
            "pop rbp",
            "pop rbx",
            inside = sym INSIDE,
            rounds = sym ROUNDS,
            handlers = const HANDLERS,
            inout("rax") &raw mut frame => _,
            out("rcx") _, out("rdx") _, out("rsi") _, out("rdi") _, out("r8") _, out("r9") _,
            out("r10") _, out("r11") _, out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _,
            out("xmm5") _, out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _,
            out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _,
            out("xmm15") _, out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
        );
    }
    let mut loaded = general;
    loaded[13] = 0;
    let before = Registers {
        general: loaded,
        vector,
        base: BASE,
        mxcsr: 0x7f80,
        direction: true,
        top: 1.0 / 3.0,
    };
    let after = Registers {
        general: frame.general,
        vector: frame.vector,
        base: frame.base,
        mxcsr: frame.mxcsr,
        direction: frame.flags >> 10 & 1 == 1,
        top: frame.top,
    };
    (before, after)
}

/// In a handler: overwrites every register that a function may overwrite, and
/// counts when it has interrupted [`registers_across_handlers`] in its loop.
#[cfg(target_arch = "x86_64")]
pub fn scramble() {
    use std::arch::asm;
    let mxcsr = 0x1f80_u32;
    // SAFETY: all that is overwritten is told; 0x1f80 is what Rust expects.
    unsafe {
        asm!(
            "ldmxcsr [{mxcsr}]",
            "fldz", "fstp st(0)",
            "pcmpeqd xmm0, xmm0", "movdqa xmm1, xmm0", "movdqa xmm2, xmm0",
            "movdqa xmm3, xmm0", "movdqa xmm4, xmm0", "movdqa xmm5, xmm0",
            "movdqa xmm6, xmm0", "movdqa xmm7, xmm0", "movdqa xmm8, xmm0",
            "movdqa xmm9, xmm0", "movdqa xmm10, xmm0", "movdqa xmm11, xmm0",
            "movdqa xmm12, xmm0", "movdqa xmm13, xmm0", "movdqa xmm14, xmm0",
            "movdqa xmm15, xmm0",
            "xor ecx, ecx", "xor edx, edx", "xor esi, esi", "xor edi, edi",
            "xor r8d, r8d", "xor r9d, r9d", "xor r10d, r10d", "xor r11d, r11d",
            "xor r12d, r12d", "xor r13d, r13d", "xor r14d, r14d", "xor r15d, r15d",
            mxcsr = in(reg) &raw const mxcsr,
            out("rcx") _, out("rdx") _, out("rsi") _, out("rdi") _, out("r8") _, out("r9") _,
            out("r10") _, out("r11") _, out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _,
            out("xmm5") _, out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _,
            out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _,
            out("xmm15") _, out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
        );
    }
    if INSIDE.load(SeqCst) == 1 {
        ROUNDS.fetch_add(1, SeqCst);
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod elsewhere {
    //! Cases that call these need an x86-64.
    #![allow(missing_docs)]

    pub fn divide_by_zero(_: &super::AtomicUsize) {}
    pub fn illegal_instruction() {}
    pub fn scramble() {}
    pub fn registers_across_handlers() -> (super::Registers, super::Registers) {
        unreachable!("the case needs an x86-64")
    }
}
#[cfg(not(target_arch = "x86_64"))]
pub use elsewhere::*;
