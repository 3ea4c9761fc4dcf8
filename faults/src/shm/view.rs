//! What a fault sees of memory that is mapped and of segments.

use std::fs;

use ipcspec_cases::sys::memory::page_size;
use libc::{MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE, c_int};

use crate::prelude::*;

/// In `shmid_ds`: the mode.
pub(crate) const MODE: u64 = 20;
/// In `shmid_ds`: the size.
pub(crate) const SIZE: u64 = 48;
/// In `shmid_ds`: the time of the last attach.
pub(crate) const ATTACHED: u64 = 56;
/// In `shmid_ds`: the time of the last detach.
pub(crate) const DETACHED: u64 = 64;
/// In `shmid_ds`: the time of the last change.
pub(crate) const CHANGED: u64 = 72;
/// In `shmid_ds`: who attached or detached last.
pub(crate) const LAST: u64 = 84;
/// In `shmid_ds`: how often it is attached.
pub(crate) const ATTACHES: u64 = 88;
/// The size of `shmid_ds`.
pub(crate) const STATUS: usize = 112;

/// A mapping of a traced process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mapping {
    /// Where it begins.
    pub(crate) start: u64,
    /// Where it ends.
    pub(crate) end: u64,
    /// Where in its file it begins.
    pub(crate) offset: u64,
    /// Its file; of a segment the identifier.
    pub(crate) inode: u64,
    /// Whether it is a segment.
    pub(crate) is_segment: bool,
}

impl Mapping {
    /// Its length in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.end - self.start
    }
}

/// Up to whole pages.
pub(crate) fn whole_pages(bytes: u64) -> u64 {
    bytes.next_multiple_of(page_size() as u64)
}

impl Call {
    /// What the process has mapped.
    pub(crate) fn mappings(&self) -> Result<Vec<Mapping>> {
        let text =
            fs::read_to_string(format!("/proc/{}/maps", self.thread())).map_err(|_| ESRCH)?;
        let hex = |word: &str| u64::from_str_radix(word, 16).ok();
        let mapping = |line: &str| {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            let (start, end) = words[0].split_once('-')?;
            let is_segment = words.get(5).is_some_and(|path| path.starts_with("/SYSV"));
            let (offset, inode) = (hex(words[2])?, words[4].parse().ok()?);
            Some(Mapping { start: hex(start)?, end: hex(end)?, offset, inode, is_segment })
        };
        Ok(text.lines().filter_map(mapping).collect())
    }

    /// What is mapped at this address.
    pub(crate) fn mapping(&self, address: u64) -> Result<Mapping> {
        let all = self.mappings()?;
        all.into_iter().find(|m| (m.start..m.end).contains(&address)).ok_or(ENOMEM)
    }

    /// Where the process has this segment attached.
    pub(crate) fn attaches(&self, segment: u64) -> Result<Vec<Mapping>> {
        let mut all = self.mappings()?;
        all.retain(|m| m.is_segment && m.inode == segment && m.offset == 0);
        Ok(all)
    }

    /// The segment that a shmdt is about.
    pub(crate) fn detached(&self) -> Result<u64> {
        let mapping = self.mapping(self.argument(0))?;
        if mapping.is_segment { Ok(mapping.inode) } else { Err(EINVAL) }
    }

    /// Whether it is a shmctl with this command.
    pub(crate) fn controls(&self, command: c_int) -> bool {
        self.number() == libc::SYS_shmctl && self.argument(1) as c_int == command
    }

    /// An IPC_STAT of a segment happens; then this looks at the segment and at
    /// the address of what it tells.
    pub(crate) fn then_status(
        &self,
        look: impl FnOnce(&mut Self, u64, u64) -> Result<()> + 'static,
    ) -> Result<Effect> {
        let [segment, _, status, ..] = self.arguments();
        if !self.controls(libc::IPC_STAT) {
            return self.proceed();
        }
        self.then(move |call| {
            if call.result() == 0 {
                look(call, segment, status)?;
            }
            call.proceed()
        })
    }

    /// A number of the status is not what it should be.
    pub(crate) fn then_alter(
        &self,
        field: u64,
        alter: impl FnOnce(&mut Self, u64, i64) -> Option<i64> + 'static,
    ) -> Result<Effect> {
        self.then_status(move |call, segment, status| {
            let number = call.number_at(status + field)?;
            match alter(call, segment, number) {
                Some(other) => call.set_number_at(status + field, other),
                None => Ok(()),
            }
        })
    }

    /// Memory of the process's own takes the place of what is mapped there;
    /// then this is the result.
    pub(crate) fn cover(&self, start: u64, length: u64, result: u64) -> Result<Effect> {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
        let arguments = [start, length, (PROT_READ | PROT_WRITE) as u64, flags as u64, u64::MAX, 0];
        self.instead(libc::SYS_mmap, arguments, move |call| call.give(result))
    }
}
