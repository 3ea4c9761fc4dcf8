//! Pseudo-terminals.

use std::os::fd::{AsRawFd, OwnedFd};

use ipcspec_harness::Verdict;
use nix::fcntl::{OFlag, open};
use nix::pty::{posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::Signal::{SIGHUP, SIGTTOU};
use nix::sys::stat::Mode;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use nix::unistd::{Pid, tcsetpgrp, write};

use super::answer;
use super::signals::{Action, block};

/// The interrupt key.
pub const CTRL_C: u8 = 3;
/// The suspend key.
pub const CTRL_Z: u8 = 26;
/// The quit key.
pub const CTRL_BACKSLASH: u8 = 28;

/// The terminal of a session, with the hand that types at it.
#[derive(Debug)]
pub struct Terminal {
    /// The end at which a person would sit.
    pub master: OwnedFd,
    /// The end that programs see.
    pub slave: OwnedFd,
}

impl Terminal {
    /// A new pseudo-terminal as the controlling terminal of this process,
    /// which leads a session without one. The process ignores its hangup, and
    /// blocks SIGTTOU so that it may always choose the foreground.
    pub fn controlling() -> Verdict<Self> {
        Action::ignore().on(SIGHUP)?;
        block(SIGTTOU)?;
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let master = posix_openpt(flags)?;
        unlockpt(&master)?;
        let slave = open(ptsname_r(&master)?.as_str(), flags, Mode::empty())?;
        // SAFETY: takes no pointer.
        answer(unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) })?;
        Ok(Self { master: master.into(), slave })
    }

    /// Types one key.
    pub fn key(&self, key: u8) -> nix::Result<usize> {
        write(&self.master, &[key])
    }

    /// Makes this process group the foreground.
    pub fn foreground(&self, group: Pid) -> nix::Result<()> {
        tcsetpgrp(&self.slave, group)
    }

    /// Sets or clears flags such as TOSTOP and ISIG.
    pub fn local(&self, flags: LocalFlags, on: bool) -> nix::Result<()> {
        let mut settings = tcgetattr(&self.slave)?;
        settings.local_flags.set(flags, on);
        tcsetattr(&self.slave, SetArg::TCSANOW, &settings)
    }

    /// `TIOCSWINSZ`.
    pub fn resize(&self, rows: u16, columns: u16) -> nix::Result<()> {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: one structure to be read.
        answer(unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })
            .map(drop)
    }

    /// `TIOCPKT`: lets reads of the master tell what becomes of the slave.
    pub fn packet_mode(&self, on: bool) -> nix::Result<()> {
        let on = libc::c_int::from(on);
        // SAFETY: one number to be read.
        answer(unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCPKT, &raw const on) })
            .map(drop)
    }
}
