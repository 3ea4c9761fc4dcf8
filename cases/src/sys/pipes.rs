//! Pipes, FIFOs and splicing.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use ipcspec_harness::{Facility, Failure, Verdict};
use libc::c_int;
use nix::Result;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::{FileStat, Mode, stat};
use nix::unistd::{mkfifo, pipe, pipe2, write};

use super::answer;
use super::descriptors::set_nonblocking;
use super::memory::{Memory, page_size};
use super::sysctl::sysctl;

/// The largest write that is atomic, in bytes.
pub const PIPE_BUF: usize = libc::PIPE_BUF;

/// Pipes in packet mode: `pipe2(O_DIRECT)`.
pub const PACKET_MODE: Facility =
    Facility { name: "O_DIRECT pipes", probe: || pipe2(OFlag::O_DIRECT).map(drop) };

/// `O_NOTIFICATION_PIPE`, which the C library's binding lacks.
pub const NOTIFICATIONS: OFlag = OFlag::O_EXCL;

/// Kernels that know what `O_NOTIFICATION_PIPE` asks for, whether or not they
/// can do it.
pub const KNOWN_NOTIFICATIONS: Facility = Facility {
    name: "O_NOTIFICATION_PIPE",
    probe: || match pipe2(NOTIFICATIONS) {
        Err(Errno::EINVAL) => Err(Errno::EINVAL),
        _ => Ok(()),
    },
};

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

/// What the pipes of one user may hold before new ones are small, in bytes.
/// Skips the case where there is no such limit, or the hard one is too near.
pub fn soft_limit() -> Verdict<usize> {
    let (soft, hard) = (sysctl("fs/pipe-user-pages-soft")?, sysctl("fs/pipe-user-pages-hard")?);
    match soft as usize {
        0 => Err(Failure::skipped(vec!["a soft limit".to_owned()])),
        _ if (1..soft + 16).contains(&hard) => {
            Err(Failure::skipped(vec!["a soft limit well below the hard limit".to_owned()]))
        }
        pages => Ok(pages * page_size()),
    }
}

/// The limit of all pipes of a user, in pages, above which there are no more;
/// 0 is none.
pub const HARD_LIMIT: Facility = Facility {
    name: "/proc/sys/fs/pipe-user-pages-hard",
    probe: || readable("/proc/sys/fs/pipe-user-pages-hard"),
};

/// What the pipes of one user may hold before there are no more, in bytes.
/// Skips the case where there is no such limit, or the soft one comes first.
pub fn hard_limit() -> Verdict<usize> {
    let (hard, soft) = (sysctl("fs/pipe-user-pages-hard")?, sysctl("fs/pipe-user-pages-soft")?);
    match hard as usize {
        0 => Err(Failure::skipped(vec!["a hard limit".to_owned()])),
        _ if (1..hard).contains(&soft) => {
            Err(Failure::skipped(vec!["a hard limit not above the soft limit".to_owned()]))
        }
        pages => Ok(pages * page_size()),
    }
}

/// Pipes that carry nothing and take up what a user may have. One end of
/// each is open until this is dropped.
#[derive(Debug)]
pub struct Hoard(#[allow(dead_code)] Vec<OwnedFd>);

impl Hoard {
    /// Pipes of so many bytes in sum, whole pages, and not a page more. Skips
    /// the case where this process may not have descriptors enough.
    pub fn of(bytes: usize) -> Verdict<Self> {
        let largest = sysctl("fs/pipe-max-size")? as usize;
        let mut sizes = vec![];
        let mut size = page_size();
        // The smallest first: a new pipe has its usual size before another.
        while size < largest {
            sizes.extend(((bytes % largest) & size != 0).then_some(size));
            size *= 2;
        }
        sizes.resize(sizes.len() + bytes / largest, largest);
        let count = sizes.len();
        sizes.into_iter().map(|size| Self::piece(size, count)).collect::<Verdict<_>>().map(Self)
    }

    fn piece(bytes: usize, count: usize) -> Verdict<OwnedFd> {
        let (r, _w) = match pipe() {
            Err(Errno::EMFILE) => {
                return Err(Failure::skipped(vec![format!("{count} descriptors to spare")]));
            }
            made => made?,
        };
        match set_capacity(&r, bytes)? {
            given if given == bytes => Ok(r),
            given => Err(format!("asked for {bytes} bytes and got {given}"))?,
        }
    }
}

fn readable(path: &str) -> Result<()> {
    open(path, OFlag::O_RDONLY, Mode::empty()).map(drop)
}

/// `pipe2` into a place of the caller's; what it holds after a failure is
/// part of what some cases are about. `None` is the null pointer.
pub fn pipe_into(place: Option<&mut [c_int; 2]>, flags: c_int) -> Result<()> {
    let place = place.map_or(std::ptr::null_mut(), |place| place.as_mut_ptr());
    // SAFETY: the array holds two descriptors; a null pointer is refused.
    answer(unsafe { libc::pipe2(place, flags) }).map(drop)
}

/// `pipe2` into memory that may end before the second descriptor.
pub fn pipe_at(place: Memory) -> Result<()> {
    // SAFETY: the case mapped the memory, and a guard page is behind it.
    answer(unsafe { libc::pipe2(place.pointer(), 0) }).map(drop)
}

/// Makes room for so many notifications in a pipe that takes some:
/// `IOC_WATCH_QUEUE_SET_SIZE`.
pub fn set_notifications(end: impl AsFd, count: c_int) -> Result<()> {
    const SET_SIZE: libc::Ioctl = 0x5760;
    // SAFETY: the argument is a number.
    answer(unsafe { libc::ioctl(end.as_fd().as_raw_fd(), SET_SIZE, count) }).map(drop)
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

/// Writes to a pipe until not one byte more fits; the number of bytes
/// written. The description is nonblocking meanwhile, blocking afterwards.
pub fn fill_pipe(w: impl AsFd) -> Result<usize> {
    set_nonblocking(&w, true)?;
    let mut total = 0;
    for block in [vec![b'.'; page_size()], vec![b'.']] {
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
