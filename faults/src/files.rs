//! Views of calls that name a file, tell of one or pass descriptors on.

use std::fs::{self, File, OpenOptions};
use std::mem::offset_of;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::PathBuf;

use libc::c_long;
use nix::Result;
use nix::errno::Errno;

use crate::{Call, Fd};

/// An open of a FIFO.
#[derive(Debug, Clone)]
pub struct Opening {
    /// A path by which this process has it too.
    pub path: PathBuf,
    /// The flags.
    pub flags: i32,
    /// Which argument has the flags.
    pub index: usize,
}

impl Opening {
    /// Whether all these flags are set.
    pub fn has(&self, flags: i32) -> bool {
        self.flags & flags == flags
    }

    /// `O_RDONLY`, `O_WRONLY` or `O_RDWR`; O_PATH is none of them.
    pub fn mode(&self) -> Option<i32> {
        (!self.has(libc::O_PATH)).then_some(self.flags & libc::O_ACCMODE)
    }

    /// Whether it waits for somebody at the other end.
    pub fn waits(&self) -> bool {
        !self.has(libc::O_NONBLOCK) && self.mode().is_some_and(|mode| mode != libc::O_RDWR)
    }
}

impl Call {
    /// Which argument is the path of a call that has one; the one before it,
    /// if any, is a directory.
    fn path_index(&self) -> usize {
        const AT: [c_long; 7] = [
            libc::SYS_openat,
            libc::SYS_mknodat,
            libc::SYS_newfstatat,
            libc::SYS_linkat,
            libc::SYS_unlinkat,
            libc::SYS_renameat,
            libc::SYS_renameat2,
        ];
        usize::from(AT.contains(&self.number()))
    }

    /// Which argument has the flags of an open.
    pub fn flags_index(&self) -> usize {
        self.path_index() + 1
    }

    /// The path as the call has it.
    pub fn own_path(&self) -> Result<String> {
        self.text(self.argument(self.path_index()))
    }

    /// The same file by a path that leads this process to it.
    pub fn named_path(&self) -> Result<PathBuf> {
        let (path, thread) = (self.own_path()?, self.thread());
        if let Some(rest) = path.strip_prefix("/proc/self/") {
            return Ok(format!("/proc/{thread}/{rest}").into());
        }
        if path.starts_with("/proc/") {
            return Ok(path.into());
        }
        if path.starts_with('/') {
            return Ok(format!("/proc/{thread}/root{path}").into());
        }
        Ok(match self.path_index() {
            1 if self.argument(0) as i32 != libc::AT_FDCWD => {
                format!("/proc/{thread}/fd/{}/{path}", self.argument(0) as i32).into()
            }
            _ => format!("/proc/{thread}/cwd/{path}").into(),
        })
    }

    /// The path, which has to lead to a FIFO with a name.
    pub fn fifo(&self) -> Result<PathBuf> {
        let path = self.named_path()?;
        let file = fs::symlink_metadata(&path).map_err(|_| Errno::ENOENT)?;
        if file.file_type().is_fifo() { Ok(path) } else { Err(Errno::ENOTSUP) }
    }

    /// An open of a FIFO by its name.
    pub fn opening(&self) -> Result<Opening> {
        let index = self.flags_index();
        Ok(Opening { path: self.fifo()?, flags: self.argument(index) as i32, index })
    }

    /// The number of the descriptor whose name under /proc/PID/fd the path is,
    /// if that is a pipe without a name.
    pub fn pipe_under_proc(&self) -> Result<i32> {
        let path = self.named_path()?;
        let link = fs::read_link(&path).map_err(|_| Errno::EINVAL)?;
        let number = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        if link.to_string_lossy().starts_with("pipe:") {
            number.ok_or(Errno::EINVAL)
        } else {
            Err(Errno::ENOTSUP)
        }
    }

    /// What a descriptor of the thread refers to, opened anew by this process
    /// without waiting.
    pub fn opened_anew(&self, number: i32, for_writing: bool) -> Result<File> {
        let path = format!("/proc/{}/fd/{number}", self.thread());
        let mut how = OpenOptions::new();
        how.read(!for_writing).write(for_writing).custom_flags(libc::O_NONBLOCK);
        how.open(path).map_err(|_| Errno::EACCES)
    }

    /// The descriptors of the process for this end of the pipe, or the other.
    pub fn ends(&self, pipe: &Fd, for_writing: bool) -> Vec<i32> {
        let numbers = fs::read_dir(format!("/proc/{}/fd", self.thread()));
        let numbers = numbers.into_iter().flatten().flatten();
        numbers
            .filter_map(|number| number.file_name().to_str()?.parse().ok())
            .filter(|number| {
                self.descriptor(*number).is_ok_and(|fd| {
                    fd.is_pipe() && fd.inode == pipe.inode && fd.is_write_end() == for_writing
                })
            })
            .collect()
    }

    /// Where a stat stores what it tells.
    pub fn status(&self) -> u64 {
        self.argument(if self.number() == libc::SYS_newfstatat { 2 } else { 1 })
    }

    /// Where a stat that has succeeded stored this field, if it tells of a
    /// FIFO: `offset_of!(libc::stat, st_ino)`.
    pub fn status_of_fifo(&self, field: usize) -> Result<u64> {
        let mode: u32 = self.number_at(self.status() + offset_of!(libc::stat, st_mode) as u64)?;
        if self.result() == 0 && mode & libc::S_IFMT == libc::S_IFIFO {
            Ok(self.status() + field as u64)
        } else {
            Err(Errno::ENOTSUP)
        }
    }

    /// The descriptors that a sendmsg passes on.
    pub fn descriptors_sent(&self) -> Result<Vec<i32>> {
        if self.number() != libc::SYS_sendmsg {
            return Ok(vec![]);
        }
        let message = self.argument(1);
        let control: u64 =
            self.number_at(message + offset_of!(libc::msghdr, msg_control) as u64)?;
        let head = self.memory(control, size_of::<libc::cmsghdr>())?;
        let length: u64 = self.number_at(control)?;
        let rights = [libc::SOL_SOCKET, libc::SCM_RIGHTS].map(i32::to_ne_bytes).concat();
        if head[8..] != rights[..] {
            return Ok(vec![]);
        }
        let first = head.len() as u64;
        (first..length).step_by(4).map(|offset| self.number_at(control + offset)).collect()
    }

    /// The real user of the process.
    pub fn real_user(&self) -> Result<u32> {
        let path = format!("/proc/{}/status", self.thread());
        let text = fs::read_to_string(path).map_err(|_| Errno::ESRCH)?;
        let line = text.lines().find_map(|line| line.strip_prefix("Uid:"));
        let real = line.and_then(|line| line.split_whitespace().next()).ok_or(Errno::EINVAL)?;
        real.parse().map_err(|_| Errno::EINVAL)
    }

    /// How unimportant the thread is: -20 to 19.
    pub fn niceness(&self) -> Result<i64> {
        let path = format!("/proc/{}/stat", self.thread());
        let text = fs::read_to_string(path).map_err(|_| Errno::ESRCH)?;
        let (_, fields) = text.rsplit_once(") ").ok_or(Errno::EINVAL)?;
        fields.split(' ').nth(16).and_then(|field| field.parse().ok()).ok_or(Errno::EINVAL)
    }

    /// The largest file that the process may write.
    pub fn largest_file(&self) -> Result<u64> {
        let path = format!("/proc/{}/limits", self.thread());
        let text = fs::read_to_string(path).map_err(|_| Errno::ESRCH)?;
        let line = text.lines().find_map(|line| line.strip_prefix("Max file size"));
        let soft = line.and_then(|line| line.split_whitespace().next()).ok_or(Errno::EINVAL)?;
        Ok(soft.parse().unwrap_or(u64::MAX))
    }
}
