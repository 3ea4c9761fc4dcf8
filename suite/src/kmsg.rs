//! What the kernel prints of itself while a case runs.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// Words of a message that is worth telling.
const GRAVE: [&str; 7] = [
    "BUG:",
    "Oops",
    "WARNING:",
    "general protection fault",
    "Kernel panic",
    "kernel NULL pointer",
    "UBSAN:",
];
/// Most messages that are told at once.
const MOST: usize = 20;
/// Bytes of the longest record of /dev/kmsg.
const RECORD: usize = 8192;

/// A reader of the kernel's log from now on. Where the log cannot be read it
/// sees nothing.
#[derive(Debug)]
pub struct Kmsg {
    log: Option<File>,
    taint: Option<u64>,
}

impl Kmsg {
    /// Begins behind what was printed so far.
    pub fn from_now_on() -> Self {
        let options = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).clone();
        let log = options.open("/dev/kmsg").ok().and_then(|mut log| {
            log.seek(SeekFrom::End(0)).ok()?;
            Some(log)
        });
        Self { log, taint: taint() }
    }

    /// The grave messages since it was last asked, a line each.
    pub fn grave(&mut self) -> Vec<String> {
        let mut told = vec![];
        let mut record = [0; RECORD];
        while let Some(log) = &mut self.log {
            match log.read(&mut record) {
                Ok(0) => break,
                Ok(count) => {
                    let text = String::from_utf8_lossy(&record[..count]);
                    let grave = message(&text).filter(|text| is_grave(text));
                    told.extend(grave.filter(|_| told.len() < MOST).map(str::to_owned));
                }
                // Overwritten before it was read: the next one is there.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.log = None,
            }
        }
        let taint = taint();
        if let (Some(before), Some(now)) = (self.taint, taint)
            && before != now
        {
            told.push(format!("tainted: {before:#x}, now {now:#x}"));
        }
        self.taint = taint;
        told
    }
}

fn taint() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/kernel/tainted").ok()?.trim().parse().ok()
}

/// The text of a record of /dev/kmsg: what is behind the first semicolon of
/// its first line.
fn message(record: &str) -> Option<&str> {
    record.lines().next()?.split_once(';').map(|(_, text)| text)
}

fn is_grave(text: &str) -> bool {
    GRAVE.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_and_weighed() {
        let warning = "4,1203,99,-;WARNING: CPU: 0 PID: 1 at ipc/sem.c:1 sem_exit\n SUBSYSTEM=x\n";
        assert!(is_grave(message(warning).unwrap()));
        let fault = "6,18242,33265959226,-;prog[18665]: segfault at 7eff3d41b000 ip 0000\n";
        assert!(!is_grave(message(fault).unwrap()));
        assert_eq!(message("no record"), None);
    }
}
