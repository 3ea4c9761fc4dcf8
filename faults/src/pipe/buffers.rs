//! What the faults of pipes see of a pipe's content, of ranges of memory, and
//! of the two sides of splice and tee.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::fcntl::{OFlag, SpliceFFlags, open, tee};
use nix::poll::PollFlags;
use nix::sys::stat::Mode;
use nix::unistd::pipe2;

use crate::prelude::*;

/// A range of memory, as readv and writev have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub address: u64,
    pub length: u64,
}

/// Where splice and tee have their arguments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub from: usize,
    pub to: usize,
    pub length: usize,
    pub flags: usize,
}

impl Call {
    /// What this descriptor refers to, opened anew for reading and writing,
    /// whatever the descriptor is for.
    pub(super) fn reopen(&self, number: i32) -> Result<File> {
        let path = format!("/proc/{}/fd/{number}", self.thread());
        open(path.as_str(), OFlag::O_RDWR | OFlag::O_NONBLOCK, Mode::empty()).map(File::from)
    }

    /// The read end of the pipe that this descriptor is an end of.
    pub(super) fn reader(&self, number: i32) -> Result<OwnedFd> {
        let path = format!("/proc/{}/fd/{number}", self.thread());
        open(path.as_str(), OFlag::O_RDONLY | OFlag::O_NONBLOCK, Mode::empty())
    }

    /// The file in this argument; for anything else the fault has nothing to
    /// do here.
    pub(super) fn file(&self, index: usize) -> Result<Fd> {
        let fd = self.fd(index)?;
        if fd.kind == Kind::File { Ok(fd) } else { Err(EOPNOTSUPP) }
    }

    /// The ranges of readv, writev and vmsplice.
    pub(super) fn ranges(&self) -> Result<Vec<Range>> {
        let count = usize::try_from(self.argument(2) as i32).map_err(|_| EINVAL)?;
        let bytes = self.memory(self.argument(1), 16 * count)?;
        let number = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().expect("eight bytes"));
        let range =
            |entry: &[u8]| Range { address: number(&entry[..8]), length: number(&entry[8..]) };
        Ok(bytes.chunks(16).map(range).collect())
    }

    /// Changes the ranges, on the way in; there may be fewer.
    pub(super) fn set_ranges(&mut self, ranges: &[Range]) -> Result<()> {
        let bytes: Vec<u8> = ranges
            .iter()
            .flat_map(|range| [range.address.to_ne_bytes(), range.length.to_ne_bytes()])
            .flatten()
            .collect();
        self.set_memory(self.argument(1), &bytes)?;
        self.set_argument(2, ranges.len() as u64);
        Ok(())
    }

    /// Where this call, a splice or a tee, has its arguments.
    pub(super) fn places(&self) -> Places {
        match self.number() {
            libc::SYS_tee => Places { from: 0, to: 1, length: 2, flags: 3 },
            _ => Places { from: 0, to: 2, length: 4, flags: 5 },
        }
    }

    /// The pipe that a splice or tee takes from.
    pub(super) fn source(&self) -> Result<Fd> {
        self.pipe(self.places().from)
    }

    /// The pipe that a splice or tee gives to.
    pub(super) fn target(&self) -> Result<Fd> {
        self.pipe(self.places().to)
    }

    /// Whether a splice or tee has to wait for data.
    pub(super) fn lacks_data(&self) -> bool {
        self.source().is_ok_and(|pipe| self.reports_nothing(pipe, poll::IN))
    }

    /// Whether a splice or tee has to wait for room.
    pub(super) fn lacks_room(&self) -> bool {
        self.target().is_ok_and(|pipe| self.reports_nothing(pipe, poll::OUT))
    }

    /// Whether poll reports nothing of this end.
    pub(super) fn reports_nothing(&self, end: Fd, events: PollFlags) -> bool {
        let copy = self.copy(end.number);
        copy.and_then(|copy| poll::now(copy, events)).is_ok_and(|ready| ready.is_empty())
    }

    /// Takes a byte out of a pipe, if one is there.
    pub(super) fn lose_a_byte(&self, pipe: Fd) -> Result<()> {
        self.reopen(pipe.number)?.read(&mut [0]).map(drop).map_err(|_| EAGAIN)
    }

    /// Sets the status flags of a descriptor; `result` is that of the call.
    pub(super) fn set_flags(&self, number: i32, flags: i32) -> Result<Effect> {
        let result = self.result();
        let arguments = [number as u64, libc::F_SETFL as u64, flags as u64, 0, 0, 0];
        self.instead(libc::SYS_fcntl, arguments, move |call| call.give(result))
    }
}

/// The pipe that this is an end of, both its ends in one.
pub(super) fn whole(end: &OwnedFd) -> Result<File> {
    let path = format!("/proc/self/fd/{}", end.as_raw_fd());
    open(path.as_str(), OFlag::O_RDWR | OFlag::O_NONBLOCK, Mode::empty()).map(File::from)
}

/// What is in a pipe, packet by packet, or all at once where it has none; the
/// pipe keeps it.
pub(super) fn content(pipe: &File) -> Result<Vec<Vec<u8>>> {
    let (r, w) = pipe2(OFlag::O_NONBLOCK)?;
    match tee(pipe, w, 1 << 30, SpliceFFlags::SPLICE_F_NONBLOCK) {
        Err(EAGAIN) => Ok(vec![]),
        copied => copied.map(|_| take(&mut File::from(r))),
    }
}

/// Takes out what is in a pipe, packet by packet, or all at once where it has
/// none.
pub(super) fn take(pipe: &mut File) -> Vec<Vec<u8>> {
    let mut all = vec![];
    let mut packet = vec![0; 1 << 20];
    while let Ok(length @ 1..) = pipe.read(&mut packet) {
        all.push(packet[..length].to_vec());
    }
    all
}

/// Writes to a pipe, as far as there is room.
pub(super) fn put(pipe: &mut File, data: &[u8]) {
    let _ = pipe.write(data);
}

/// Puts data before what is in a pipe.
pub(super) fn put_first(pipe: &mut File, data: &[u8]) {
    let rest = take(pipe).concat();
    put(pipe, &[data, &rest].concat());
}
