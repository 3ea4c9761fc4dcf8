//! What a fault sees of a system call and of a signal, and what it makes of
//! them.
#![allow(unsafe_code)]

use std::cell::{RefCell, RefMut};
use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;

use libc::{c_int, c_long, siginfo_t, user_regs_struct};
use nix::Result;
use nix::errno::Errno;
use nix::unistd::Pid;

use crate::tracer::{RESTARTING, SYSCALL, peek, poke, registers, set_registers};

/// What a function may use below its stack pointer.
const RED_ZONE: u64 = 128;

/// What looks at the result of a call.
pub(crate) type Then = Box<dyn FnOnce(&mut Call) -> Result<Effect>>;

/// What becomes of a call.
pub enum Effect {
    /// It happens, with the arguments as they are now; or, once it has
    /// happened, its result stands.
    Proceed,
    /// It does not happen and gives this, a negative errno among others; or,
    /// once it has happened, this is its result.
    Return(i64),
    /// It happens, and this looks at its result.
    Then(Then),
    /// Another call happens in its place, or after it.
    Instead {
        /// The number of that call.
        number: c_long,
        /// Its arguments.
        arguments: [u64; 6],
        /// What looks at its result.
        then: Then,
    },
}

/// What a wrong kernel keeps in mind from one call to the next.
#[derive(Debug, Default)]
pub struct Notes {
    numbers: HashMap<u64, Option<i64>>,
    lists: HashMap<u64, Vec<i64>>,
    bytes: HashMap<u64, Vec<u8>>,
    held: Vec<OwnedFd>,
    kept: HashMap<u64, OwnedFd>,
}

impl Notes {
    /// The number under `key`, if there is one.
    pub fn of(&mut self, key: u64) -> &mut Option<i64> {
        self.numbers.entry(key).or_default()
    }

    /// The key that stands for this text.
    pub fn key(text: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        hasher.finish()
    }

    /// The bytes under `key`, none at first.
    pub fn bytes(&mut self, key: u64) -> &mut Vec<u8> {
        self.bytes.entry(key).or_default()
    }

    /// How many times it was asked before under `key`.
    pub fn count(&mut self, key: u64) -> i64 {
        let number = self.of(key).get_or_insert(0);
        *number += 1;
        *number - 1
    }

    /// The list under `key`.
    pub fn list(&mut self, key: u64) -> &mut Vec<i64> {
        self.lists.entry(key).or_default()
    }

    /// Keeps a descriptor open to the end of the case.
    pub fn hold(&mut self, fd: OwnedFd) {
        self.held.push(fd);
    }

    /// Keeps a descriptor under `key`, in the place of the one before.
    pub fn keep(&mut self, key: u64, fd: OwnedFd) {
        self.kept.insert(key, fd);
    }

    /// The descriptor under `key`.
    pub fn kept(&self, key: u64) -> Option<&OwnedFd> {
        self.kept.get(&key)
    }

    /// Whether this key has a number.
    pub fn has(&self, key: u64) -> bool {
        self.numbers.get(&key).is_some_and(Option::is_some)
    }
}

/// What a descriptor of a traced process refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fd {
    /// The descriptor.
    pub number: i32,
    /// Tells one object from another: the inode.
    pub inode: u64,
    /// What kind of object it is.
    pub kind: Kind,
    /// The open file description's flags.
    pub flags: i32,
}

/// Kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A pipe without a name.
    Pipe,
    /// A pipe with a name.
    Fifo,
    /// A socket.
    Socket,
    /// A regular file.
    File,
    /// An eventfd.
    Eventfd,
    /// An epoll instance.
    Epoll,
    /// Anything else.
    Other,
}

impl Fd {
    /// Whether it is a pipe, with or without a name.
    pub fn is_pipe(&self) -> bool {
        matches!(self.kind, Kind::Pipe | Kind::Fifo)
    }

    /// Whether it is open for writing only.
    pub fn is_write_end(&self) -> bool {
        self.flags & libc::O_ACCMODE == libc::O_WRONLY
    }

    /// Whether it is nonblocking.
    pub fn is_nonblocking(&self) -> bool {
        self.flags & libc::O_NONBLOCK != 0
    }
}

/// A system call of a traced thread, on the way in and on the way out.
pub struct Call {
    thread: Pid,
    /// As the thread made it.
    entry: user_regs_struct,
    /// As it is now.
    now: user_regs_struct,
    /// What to write back when it is over.
    borrowed: Vec<(u64, Vec<u8>)>,
    /// Where the scratch memory begins that it has taken so far.
    scratch: u64,
    over: bool,
    replaced: bool,
    notes: Rc<RefCell<Notes>>,
}

impl Call {
    pub(crate) fn entered(thread: Pid, notes: Rc<RefCell<Notes>>) -> Result<Self> {
        let now = registers(thread)?;
        let (borrowed, scratch) = (vec![], now.rsp - RED_ZONE);
        Ok(Self { thread, entry: now, now, borrowed, scratch, over: false, replaced: false, notes })
    }

    /// The thread that makes it.
    pub fn thread(&self) -> Pid {
        self.thread
    }

    /// The process that makes it.
    pub fn process(&self) -> Pid {
        process_of(self.thread)
    }

    /// The parent of that process.
    pub fn parent(&self) -> Result<Pid> {
        number_in_status(self.thread, "PPid", 10).map(|number| Pid::from_raw(number as i32))
    }

    /// The file mode creation mask of that process.
    pub fn umask(&self) -> Result<u64> {
        number_in_status(self.thread, "Umask", 8)
    }

    /// Its number: `SYS_read`.
    pub fn number(&self) -> c_long {
        self.entry.orig_rax as c_long
    }

    /// What this wrong kernel keeps in mind.
    pub fn notes(&self) -> RefMut<'_, Notes> {
        self.notes.borrow_mut()
    }

    /// An argument, counted from 0, as the thread gave it.
    pub fn argument(&self, index: usize) -> u64 {
        let e = &self.entry;
        [e.rdi, e.rsi, e.rdx, e.r10, e.r8, e.r9][index]
    }

    /// Changes an argument on the way in.
    pub fn set_argument(&mut self, index: usize, value: u64) {
        let n = &mut self.now;
        *[&mut n.rdi, &mut n.rsi, &mut n.rdx, &mut n.r10, &mut n.r8, &mut n.r9][index] = value;
    }

    /// All arguments, as the thread gave them.
    pub fn arguments(&self) -> [u64; 6] {
        std::array::from_fn(|index| self.argument(index))
    }

    /// The result on the way out: a count or a negative errno.
    pub fn result(&self) -> i64 {
        self.now.rax as i64
    }

    /// Whether it failed with this.
    pub fn failed_with(&self, errno: Errno) -> bool {
        self.result() == -i64::from(errno as i32)
    }

    /// What the descriptor in this argument refers to.
    pub fn fd(&self, index: usize) -> Result<Fd> {
        self.descriptor(self.argument(index) as i32)
    }

    /// What this descriptor of the thread refers to.
    pub fn descriptor(&self, number: i32) -> Result<Fd> {
        let path = format!("/proc/{}/fd/{number}", self.thread);
        let link = fs::read_link(&path).map_err(|_| Errno::EBADF)?;
        let link = link.to_string_lossy();
        let status = fs::metadata(&path).map_err(|_| Errno::EBADF)?;
        let kind = match (status.mode() & libc::S_IFMT, &*link) {
            (libc::S_IFIFO, link) if link.starts_with("pipe:") => Kind::Pipe,
            (libc::S_IFIFO, _) => Kind::Fifo,
            (libc::S_IFSOCK, _) => Kind::Socket,
            (libc::S_IFREG, _) => Kind::File,
            (_, "anon_inode:[eventfd]") => Kind::Eventfd,
            (_, "anon_inode:[eventpoll]") => Kind::Epoll,
            _ => Kind::Other,
        };
        let info = fs::read_to_string(format!("/proc/{}/fdinfo/{number}", self.thread))
            .map_err(|_| Errno::EBADF)?;
        let flags = info
            .lines()
            .find_map(|line| i32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok())
            .unwrap_or(0);
        Ok(Fd { number, inode: status.ino(), kind, flags })
    }

    /// The same, for an argument that has to be a pipe's; else the fault has
    /// nothing to do here.
    pub fn pipe(&self, index: usize) -> Result<Fd> {
        self.fd(index).and_then(|fd| if fd.is_pipe() { Ok(fd) } else { Err(Errno::ENOTSUP) })
    }

    /// The path of the file behind the descriptor in this argument, as /proc
    /// tells it.
    pub fn path(&self, index: usize) -> Result<String> {
        let link =
            fs::read_link(format!("/proc/{}/fd/{}", self.thread, self.argument(index) as i32));
        link.map(|path| path.to_string_lossy().into_owned()).map_err(|_| Errno::EBADF)
    }

    /// A copy of a descriptor of the thread.
    pub fn copy(&self, number: i32) -> Result<OwnedFd> {
        // SAFETY: numbers only; what they give is ours alone.
        unsafe {
            let process =
                Errno::result(libc::syscall(libc::SYS_pidfd_open, self.process().as_raw(), 0))?;
            let process = OwnedFd::from_raw_fd(process as c_int);
            let copy = libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0);
            Ok(OwnedFd::from_raw_fd(Errno::result(copy)? as c_int))
        }
    }

    /// A path, or any text that ends in a NUL, in the thread's memory.
    pub fn text(&self, address: u64) -> Result<String> {
        let mut text = vec![];
        while text.len() < libc::PATH_MAX as usize {
            match self.number_at::<u8>(address + text.len() as u64)? {
                0 => return String::from_utf8(text).map_err(|_| Errno::EILSEQ),
                byte => text.push(byte),
            }
        }
        Err(Errno::ENAMETOOLONG)
    }

    /// Memory of the thread.
    pub fn memory(&self, address: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        peek(self.thread, address, &mut bytes)?;
        Ok(bytes)
    }

    /// A number in the thread's memory.
    pub fn number_at<N: Number>(&self, address: u64) -> Result<N> {
        Ok(N::from_bytes(&self.memory(address, size_of::<N>())?))
    }

    /// Changes the thread's memory: on the way in until the call is over, on
    /// the way out for good.
    pub fn set_memory(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        if !self.over {
            self.borrowed.push((address, self.memory(address, bytes.len())?));
        }
        poke(self.thread, address, bytes)
    }

    /// Memory for the arguments of other calls, with these bytes in it: on the
    /// thread's stack, below all that it uses, until the call is over.
    pub fn scratch(&mut self, bytes: &[u8]) -> Result<u64> {
        let address = (self.scratch - bytes.len() as u64) & !15;
        self.borrowed.push((address, self.memory(address, bytes.len())?));
        self.scratch = address;
        poke(self.thread, address, bytes)?;
        Ok(address)
    }

    /// Changes the thread's memory for good, on the way in too.
    pub fn keep_memory(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        poke(self.thread, address, bytes)
    }

    /// Changes a number in the thread's memory.
    pub fn set_number_at<N: Number>(&mut self, address: u64, number: N) -> Result<()> {
        self.set_memory(address, &number.bytes())
    }

    /// Memory of the thread that it does not use now, below its stack; room
    /// for a page.
    pub fn room_below(&self) -> u64 {
        (self.entry.rsp - 0x2000) & !0xf
    }

    /// It happens as it stands; its result stands.
    pub fn proceed(&self) -> Result<Effect> {
        Ok(Effect::Proceed)
    }

    /// It does not happen, and this is its result; or: this is its result.
    pub fn give(&self, result: impl TryInto<i64>) -> Result<Effect> {
        Ok(Effect::Return(result.try_into().map_err(|_| Errno::EOVERFLOW)?))
    }

    /// It does not happen and fails; or: it fails.
    pub fn fail(&self, errno: Errno) -> Result<Effect> {
        Ok(Effect::Return(-i64::from(errno as i32)))
    }

    /// It happens; then this looks at its result. Not asked when a signal
    /// interrupts the call and the kernel has yet to decide how it goes on.
    pub fn then(&self, look: impl FnOnce(&mut Self) -> Result<Effect> + 'static) -> Result<Effect> {
        Ok(Effect::Then(Box::new(look)))
    }

    /// Another call in its place, or after it; then this looks at its result.
    pub fn instead(
        &self,
        number: c_long,
        arguments: [u64; 6],
        look: impl FnOnce(&mut Self) -> Result<Effect> + 'static,
    ) -> Result<Effect> {
        Ok(Effect::Instead { number, arguments, then: Box::new(look) })
    }

    /// The same call once more; then this looks at its result.
    pub fn once_more(
        &self,
        look: impl FnOnce(&mut Self) -> Result<Effect> + 'static,
    ) -> Result<Effect> {
        self.instead(self.number(), self.arguments(), look)
    }

    /// Other calls in its place, or after it, one after the other; then this
    /// looks at the result of the last.
    pub fn instead_all(
        &self,
        mut calls: Vec<(c_long, [u64; 6])>,
        look: impl FnOnce(&mut Self) -> Result<Effect> + 'static,
    ) -> Result<Effect> {
        let last = calls.pop().ok_or(Errno::EINVAL)?;
        let look: Then = Box::new(look);
        let all = calls.into_iter().rev().fold((last, look), |(next, look), call| {
            let (number, arguments) = next;
            (
                call,
                Box::new(move |_: &mut Self| Ok(Effect::Instead { number, arguments, then: look })),
            )
        });
        let ((number, arguments), then) = all;
        Ok(Effect::Instead { number, arguments, then })
    }

    /// It happens; then this looks at its result, also when a signal
    /// interrupts it: at -512 to -516, from which the kernel tells whether it
    /// begins anew.
    pub fn then_always(
        &self,
        look: impl FnOnce(&mut Self) -> Result<Effect> + 'static,
    ) -> Result<Effect> {
        self.once_more(look)
    }

    /// It happens, and fails with EINTR when a signal interrupts its sleep,
    /// whatever the kernel would make of that.
    pub fn then_interrupted(&self) -> Result<Effect> {
        self.then_always(|call| match call.result() {
            answer if RESTARTING.contains(&answer) => call.fail(Errno::EINTR),
            _ => call.proceed(),
        })
    }

    /// It sleeps until a signal comes: the wake-up never does.
    pub fn sleep(&self) -> Result<Effect> {
        self.instead(libc::SYS_ppoll, [0; 6], |call| call.fail(Errno::EINTR))
    }

    /// On the way out: a signal has interrupted it, and the kernel begins it
    /// anew unless a handler without SA_RESTART runs.
    pub fn restart(&self) -> Result<Effect> {
        self.give(-512)
    }

    pub(crate) fn is_changed(&self) -> bool {
        let arguments = |r: &user_regs_struct| [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9];
        self.replaced || !self.borrowed.is_empty() || arguments(&self.now) != arguments(&self.entry)
    }

    pub(crate) fn is_replaced(&self) -> bool {
        self.replaced
    }

    /// On the way in: the call does not happen and gives this.
    pub(crate) fn skip(&mut self, result: i64) -> Result<()> {
        self.give_back()?;
        self.now = self.entry;
        self.now.orig_rax = u64::MAX;
        self.now.rax = result as u64;
        set_registers(self.thread, &self.now)
    }

    fn put(&mut self, arguments: [u64; 6]) {
        for (index, value) in arguments.into_iter().enumerate() {
            self.set_argument(index, value);
        }
    }

    /// On the way in: another call.
    pub(crate) fn replace(&mut self, number: c_long, arguments: [u64; 6]) {
        self.replaced = true;
        self.now.orig_rax = number as u64;
        self.put(arguments);
    }

    /// On the way in: what was changed takes effect.
    pub(crate) fn commit(&mut self) -> Result<()> {
        if self.is_changed() { set_registers(self.thread, &self.now) } else { Ok(()) }
    }

    /// On the way out.
    pub(crate) fn leave(&mut self) -> Result<()> {
        self.over = true;
        self.now = registers(self.thread)?;
        Ok(())
    }

    pub(crate) fn set_result(&mut self, result: i64) {
        self.now.rax = result as u64;
    }

    /// On the way out, and before the kernel decides whether it begins anew.
    pub(crate) fn restore_arguments(&mut self) -> Result<()> {
        self.give_back()?;
        let result = self.now.rax;
        self.now = self.entry;
        self.now.rax = result;
        set_registers(self.thread, &self.now)
    }

    /// On the way out: once more through the door, with this call.
    pub(crate) fn again(&mut self, number: c_long, arguments: [u64; 6]) -> Result<()> {
        self.replaced = true;
        self.now = self.entry;
        self.now.rip = self.entry.rip - SYSCALL;
        self.now.rax = number as u64;
        self.now.orig_rax = u64::MAX;
        self.put(arguments);
        set_registers(self.thread, &self.now)
    }

    /// On the way out, for good.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.give_back()?;
        let result = self.now.rax;
        let back =
            user_regs_struct { rax: result, rcx: self.now.rcx, r11: self.now.r11, ..self.entry };
        self.now = back;
        set_registers(self.thread, &self.now)
    }

    fn give_back(&mut self) -> Result<()> {
        for (address, bytes) in self.borrowed.drain(..).rev() {
            poke(self.thread, address, &bytes)?;
        }
        Ok(())
    }
}

/// Numbers in a traced thread's memory.
pub trait Number: Sized {
    /// Of its bytes.
    fn from_bytes(bytes: &[u8]) -> Self;
    /// Its bytes.
    fn bytes(self) -> Vec<u8>;
}

macro_rules! numbers {
    ($($number:ty)*) => { $(
        impl Number for $number {
            fn from_bytes(bytes: &[u8]) -> Self {
                Self::from_ne_bytes(bytes.try_into().expect("as long as the number"))
            }
            fn bytes(self) -> Vec<u8> {
                self.to_ne_bytes().to_vec()
            }
        }
    )* };
}

numbers!(u8 u16 i16 u32 i32 u64 i64);

fn process_of(thread: Pid) -> Pid {
    number_in_status(thread, "Tgid", 10).map_or(thread, |id| Pid::from_raw(id as i32))
}

/// The number behind `name` in /proc/PID/status.
fn number_in_status(thread: Pid, name: &str, base: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).map_err(|_| Errno::ESRCH)?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|text| u64::from_str_radix(text.trim(), base).ok()).ok_or(Errno::EINVAL)
}

/// The set behind `name` in /proc/PID/status.
pub(crate) fn signals_in_status(thread: Pid, name: &str) -> u64 {
    number_in_status(thread, name, 16).unwrap_or(0)
}

/// Whether the thread would never notice the signal.
pub(crate) fn is_ignored(thread: Pid, signal: c_int) -> bool {
    let is_in = |name| signals_in_status(thread, name) & 1 << (signal - 1) != 0;
    let by_default = [libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH].contains(&signal);
    is_in("SigIgn") || (by_default && !is_in("SigCgt"))
}

/// What becomes of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is delivered, with the information as it is now.
    Deliver,
    /// It never comes.
    Drop,
    /// It comes once more.
    Twice,
    /// It ends the process, whatever that does about it.
    Kill,
    /// It never comes, and the thread sleeps from now on.
    Sleep,
    /// It is delivered, and the call in which it came fails with EINTR.
    Interrupt,
    /// It is delivered, and the call in which it came goes on afterwards.
    Restart,
    /// It stops the process in name only: its parent is told, and the thread
    /// runs on.
    RunOn,
}

/// A siginfo_t that tells of readiness.
#[derive(Debug)]
#[repr(C)]
pub struct Readiness {
    signal: c_int,
    errno: c_int,
    /// `si_code`: POLL_IN and the like.
    pub code: c_int,
    /// `si_band`
    pub band: c_long,
    /// `si_fd`
    pub fd: c_int,
}

/// A signal that is about to be delivered to a traced thread, whatever its
/// disposition is. SIGKILL never is, and what is accepted with sigtimedwait or
/// read from a signalfd is not either.
pub struct Arrival {
    thread: Pid,
    info: siginfo_t,
    notes: Rc<RefCell<Notes>>,
}

impl Arrival {
    pub(crate) fn new(thread: Pid, info: siginfo_t, notes: Rc<RefCell<Notes>>) -> Self {
        Self { thread, info, notes }
    }

    /// The thread that gets it.
    pub fn thread(&self) -> Pid {
        self.thread
    }

    /// The process that gets it.
    pub fn process(&self) -> Pid {
        process_of(self.thread)
    }

    /// Its number.
    pub fn signal(&self) -> c_int {
        self.info.si_signo
    }

    /// Whether the process ignores it, or does so by default.
    pub fn is_ignored(&self) -> bool {
        is_ignored(self.thread, self.signal())
    }

    /// Whether the process has a handler for it.
    pub fn is_caught(&self) -> bool {
        signals_in_status(self.thread, "SigCgt") & 1 << (self.signal() - 1) != 0
    }

    /// The call that it interrupts in its sleep.
    pub fn interrupted(&self) -> Option<Call> {
        let call = Call::entered(self.thread, self.notes.clone()).ok()?;
        let wakes = RESTARTING.contains(&call.result()) || call.failed_with(Errno::EINTR);
        (wakes && call.number() >= 0).then_some(call)
    }

    /// What comes with it. Another number makes it another signal.
    pub fn info(&mut self) -> &mut siginfo_t {
        &mut self.info
    }

    /// What comes with it when readiness raised it.
    pub fn readiness(&mut self) -> Option<&mut Readiness> {
        let faults = [libc::SIGILL, libc::SIGTRAP, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV];
        let others = faults.contains(&self.signal()) || self.signal() == libc::SIGCHLD;
        if others || !(1..=6).contains(&self.info.si_code) {
            return None;
        }
        // SAFETY: the kernel's structure begins like this for such a code, and
        // any bits are a value of each field.
        Some(unsafe { &mut *(&raw mut self.info).cast::<Readiness>() })
    }

    /// The number at this offset of what comes with it.
    pub fn field<N: Number>(&self, offset: usize) -> N {
        type Bytes = [u8; size_of::<siginfo_t>()];
        // SAFETY: the kernel has written every byte.
        let all: Bytes = unsafe { std::mem::transmute_copy(&self.info) };
        N::from_bytes(&all[offset..offset + size_of::<N>()])
    }

    /// Changes that.
    pub fn set_field<N: Number>(&mut self, offset: usize, number: N) {
        let bytes = number.bytes();
        assert!(offset + bytes.len() <= size_of::<siginfo_t>());
        // SAFETY: within the structure, every bit pattern of which is good.
        unsafe {
            let place = (&raw mut self.info).cast::<u8>().add(offset);
            place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    /// What this wrong kernel keeps in mind.
    pub fn notes(&self) -> RefMut<'_, Notes> {
        self.notes.borrow_mut()
    }
}
