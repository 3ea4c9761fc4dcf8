//! Pipes, FIFOs and splicing, and the signals that come with them.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use ipcspec_harness::{Facility, Verdict};
use libc::c_int;
use nix::Result;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, open, vmsplice};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::stat::{FileStat, Mode, stat};
use nix::unistd::{SysconfVar, mkfifo, pipe, pipe2, read, sysconf, write};

use super::answer;

/// The largest write that is atomic, in bytes.
pub const PIPE_BUF: usize = libc::PIPE_BUF;

/// Pipes in packet mode: `pipe2(O_DIRECT)`.
pub const PACKET_MODE: Facility =
    Facility { name: "O_DIRECT pipes", probe: || pipe2(OFlag::O_DIRECT).map(drop) };

/// `vmsplice`, asked to map nothing.
pub const VMSPLICE_CALL: Facility = Facility {
    name: "vmsplice",
    probe: || pipe().and_then(|(_r, w)| vmsplice(w, &[], SpliceFFlags::empty())).map(drop),
};

/// `pidfd_getfd`, asked for this process's own standard input.
pub const PIDFD_GETFD: Facility =
    Facility { name: "pidfd_getfd", probe: || foreign_fd(std::process::id() as i32, 0).map(drop) };

/// The limit of a single pipe, in bytes.
pub const MAX_SIZE: Facility = Facility {
    name: "/proc/sys/fs/pipe-max-size",
    probe: || readable("/proc/sys/fs/pipe-max-size"),
};

/// The limit of all pipes of a user, in pages, above which new ones are
/// small; 0 is none.
pub const SOFT_LIMIT: Facility = Facility {
    name: "/proc/sys/fs/pipe-user-pages-soft",
    probe: || readable("/proc/sys/fs/pipe-user-pages-soft"),
};

fn readable(path: &str) -> Result<()> {
    open(path, OFlag::O_RDONLY, Mode::empty()).map(drop)
}

/// The size of a page, in bytes.
pub fn page() -> usize {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, |bytes| bytes as usize)
}

/// `pipe2` into a place of the caller's; what it holds after a failure is
/// part of what some cases are about. `None` is the null pointer.
pub fn pipe_into(place: Option<&mut [c_int; 2]>, flags: c_int) -> Result<()> {
    let place = place.map_or(std::ptr::null_mut(), |place| place.as_mut_ptr());
    // SAFETY: the array holds two descriptors; a null pointer is refused.
    answer(unsafe { libc::pipe2(place, flags) }).map(drop)
}

/// The capacity of a pipe in bytes: `F_GETPIPE_SZ`, on either end.
pub fn capacity(end: impl AsFd) -> Result<usize> {
    fcntl(end, FcntlArg::F_GETPIPE_SZ).map(|bytes| bytes as usize)
}

/// Asks for a capacity of at least so many bytes: `F_SETPIPE_SZ`, on either
/// end. The capacity that came of it.
pub fn set_capacity(end: impl AsFd, bytes: usize) -> Result<usize> {
    // SAFETY: the argument is a number.
    answer(unsafe { libc::fcntl(end.as_fd().as_raw_fd(), libc::F_SETPIPE_SZ, bytes) })
        .map(|bytes| bytes as usize)
}

/// Unread bytes in a pipe: `FIONREAD`, on either end.
pub fn unread(end: impl AsFd) -> Result<usize> {
    let mut bytes: c_int = -1;
    // SAFETY: FIONREAD stores an int.
    answer(unsafe { libc::ioctl(end.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut bytes) })?;
    usize::try_from(bytes).map_err(|_| Errno::ERANGE)
}

/// Switches `O_NONBLOCK` of an open file description.
pub fn set_nonblocking(fd: impl AsFd, on: bool) -> Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
    let flags = if on { flags | OFlag::O_NONBLOCK } else { flags - OFlag::O_NONBLOCK };
    fcntl(&fd, FcntlArg::F_SETFL(flags)).map(drop)
}

/// Writes to a pipe until not one byte more fits; the number of bytes
/// written. The description is nonblocking meanwhile, blocking afterwards.
pub fn fill_pipe(w: impl AsFd) -> Result<usize> {
    set_nonblocking(&w, true)?;
    let mut total = 0;
    for block in [vec![b'.'; page()], vec![b'.']] {
        loop {
            match write(&w, &block) {
                Ok(bytes) => total += bytes,
                Err(Errno::EAGAIN) => break,
                Err(errno) => return Err(errno),
            }
        }
    }
    set_nonblocking(&w, false)?;
    Ok(total)
}

/// Writes some words in one write.
pub fn say(w: impl AsFd, words: &str) -> Verdict {
    match write(w, words.as_bytes())? {
        written if written == words.len() => Ok(()),
        written => Err(format!("wrote {written} bytes of {}", words.len()))?,
    }
}

/// Reads exactly so many bytes, in as many reads as it takes; fewer when the
/// end comes first.
pub fn read_all(r: impl AsFd, bytes: usize) -> Result<Vec<u8>> {
    let mut all = vec![0; bytes];
    let mut done = 0;
    while done < bytes {
        match read(&r, &mut all[done..])? {
            0 => break,
            more => done += more,
        }
    }
    all.truncate(done);
    Ok(all)
}

/// One read of up to so many bytes, as text: `Ok("")` is the end of file.
pub fn text(r: impl AsFd, bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    let count = read(r, &mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
}

/// A descriptor number that is not open in this process.
pub fn closed_fd() -> BorrowedFd<'static> {
    // SAFETY: only the kernel looks at it, and says EBADF: no process can
    // have so many descriptors.
    unsafe { BorrowedFd::borrow_raw(c_int::MAX) }
}

/// An address that no process can have mapped.
fn nowhere() -> *mut libc::c_void {
    std::ptr::without_provenance_mut(usize::MAX - 0xffff)
}

/// `read` of so many bytes to an address outside the address space.
pub fn read_to_nowhere(fd: impl AsFd, bytes: usize) -> Result<usize> {
    // SAFETY: nothing is mapped there that the kernel could overwrite.
    answer(unsafe { libc::read(fd.as_fd().as_raw_fd(), nowhere(), bytes) }).map(|n| n as usize)
}

/// `write` of so many bytes from an address outside the address space.
pub fn write_from_nowhere(fd: impl AsFd, bytes: usize) -> Result<usize> {
    // SAFETY: the kernel only reads, and finds nothing there.
    answer(unsafe { libc::write(fd.as_fd().as_raw_fd(), nowhere(), bytes) }).map(|n| n as usize)
}

/// Leaves this process room for so many further descriptors until dropped:
/// `RLIMIT_NOFILE`. Every number below the lowest free one has to be in use.
#[derive(Debug)]
pub struct DescriptorLimit {
    soft: rlim_t,
    hard: rlim_t,
}

impl DescriptorLimit {
    /// Sets the limit.
    pub fn leave(room: u64) -> Result<Self> {
        let lowest = open(".", OFlag::O_PATH, Mode::empty())?.as_raw_fd();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, lowest as rlim_t + room, hard)?;
        Ok(Self { soft, hard })
    }
}

impl Drop for DescriptorLimit {
    fn drop(&mut self) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, self.soft, self.hard);
    }
}

/// A copy of another process's descriptor, taken with `pidfd_getfd`.
pub fn foreign_fd(process: i32, fd: c_int) -> Result<OwnedFd> {
    // SAFETY: both calls take numbers; what they give is ours alone.
    unsafe {
        let pidfd = answer(libc::syscall(libc::SYS_pidfd_open, process, 0))?;
        let pidfd = OwnedFd::from_raw_fd(pidfd as c_int);
        let copy = answer(libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0))?;
        Ok(OwnedFd::from_raw_fd(copy as c_int))
    }
}

/// A FIFO in the working directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fifo {
    /// Its name.
    pub name: &'static str,
}

impl Fifo {
    /// `mkfifo(name, 0600)`.
    pub fn new(name: &'static str) -> Verdict<Self> {
        mkfifo(name, Mode::S_IRUSR | Mode::S_IWUSR)?;
        Ok(Self { name })
    }

    /// Opens it.
    pub fn open(self, flags: OFlag) -> Result<OwnedFd> {
        open(self.name, flags, Mode::empty())
    }

    /// Opens the read end: sleeps until there is a writer.
    pub fn reader(self) -> Result<OwnedFd> {
        self.open(OFlag::O_RDONLY)
    }

    /// Opens the write end: sleeps until there is a reader.
    pub fn writer(self) -> Result<OwnedFd> {
        self.open(OFlag::O_WRONLY)
    }

    /// Opens the read end without waiting for a writer; it stays nonblocking.
    pub fn early_reader(self) -> Result<OwnedFd> {
        self.open(OFlag::O_RDONLY | OFlag::O_NONBLOCK)
    }

    /// Opens the write end, which fails when there is no reader; it stays
    /// nonblocking.
    pub fn early_writer(self) -> Result<OwnedFd> {
        self.open(OFlag::O_WRONLY | OFlag::O_NONBLOCK)
    }

    /// Both ends in this process, blocking, as `pipe` gives them.
    pub fn ends(self) -> Result<(OwnedFd, OwnedFd)> {
        let r = self.early_reader()?;
        let w = self.writer()?;
        set_nonblocking(&r, false)?;
        Ok((r, w))
    }

    /// What `stat` tells of it.
    pub fn stat(self) -> Result<FileStat> {
        stat(self.name)
    }
}

/// `F_SETOWN` to this process, then `O_ASYNC`: signals tell of input.
pub fn signal_input(r: impl AsFd) -> Result<()> {
    let fd = r.as_fd().as_raw_fd();
    // SAFETY: the arguments are numbers.
    unsafe {
        answer(libc::fcntl(fd, libc::F_SETOWN, libc::getpid()))?;
        let flags = answer(libc::fcntl(fd, libc::F_GETFL))?;
        answer(libc::fcntl(fd, libc::F_SETFL, flags | libc::O_ASYNC)).map(drop)
    }
}

/// Makes this process less important by so much: `nice`.
pub fn nice(by: i32) -> Result<()> {
    Errno::clear();
    // SAFETY: takes a number.
    match unsafe { libc::nice(by) } {
        -1 if Errno::last_raw() != 0 => Err(Errno::last()),
        _ => Ok(()),
    }
}

/// `vmsplice` from the read end of a pipe to memory; the number of bytes.
pub fn vmsplice_out(r: impl AsFd, memory: &mut [u8]) -> Result<usize> {
    let range = libc::iovec { iov_base: memory.as_mut_ptr().cast(), iov_len: memory.len() };
    // SAFETY: the range is that of the slice.
    answer(unsafe { libc::vmsplice(r.as_fd().as_raw_fd(), &raw const range, 1, 0) })
        .map(|bytes| bytes as usize)
}

/// A descriptor that another thread uses while this one may close it.
pub fn lent(fd: &OwnedFd) -> BorrowedFd<'static> {
    // SAFETY: only the kernel looks at it, and what it does with a number
    // that is closed meanwhile is what the case is about.
    unsafe { BorrowedFd::borrow_raw(fd.as_raw_fd()) }
}

/// Closes a descriptor; its number, which is now that of nothing.
pub fn just_closed(fd: OwnedFd) -> BorrowedFd<'static> {
    let number = fd.as_raw_fd();
    drop(fd);
    // SAFETY: only the kernel looks at it, and says EBADF or POLLNVAL.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// `epoll_ctl(epoll, EPOLL_CTL_ADD, fd)` for input; for what may be no epoll
/// instance.
pub fn epoll_add(epoll: impl AsFd, fd: impl AsFd) -> Result<()> {
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
    let (epoll, fd) = (epoll.as_fd().as_raw_fd(), fd.as_fd().as_raw_fd());
    // SAFETY: the event is on this stack.
    answer(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) }).map(drop)
}
