//! What is known of the kernel under test and of this run's place on it.

use std::collections::BTreeMap;
use std::fs;

use nix::sys::utsname::uname;
use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};

/// The target of a run, as the start record tells it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Target {
    /// `uname -s`.
    pub sysname: String,
    /// `uname -r`.
    pub release: String,
    /// `uname -v`.
    pub version: String,
    /// `uname -m`.
    pub machine: String,
    /// Name and version of the distribution, from os-release; empty when
    /// there is none.
    pub distribution: String,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Names of the effective capabilities, or their numbers.
    pub capabilities: Vec<String>,
    /// Processors that this process may use.
    pub processors: usize,
    /// Sysctls that limit inter-process communication, by name below
    /// /proc/sys; those that cannot be read are left out.
    pub sysctls: BTreeMap<String, String>,
}

const SYSCTLS: [&str; 27] = [
    "fs/file-max",
    "fs/mqueue/msg_default",
    "fs/mqueue/msg_max",
    "fs/mqueue/msgsize_default",
    "fs/mqueue/msgsize_max",
    "fs/mqueue/queues_max",
    "fs/nr_open",
    "fs/pipe-max-size",
    "fs/pipe-user-pages-hard",
    "fs/pipe-user-pages-soft",
    "kernel/auto_msgmni",
    "kernel/core_pattern",
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/pid_max",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
    "kernel/yama/ptrace_scope",
    "net/core/rmem_max",
    "net/core/somaxconn",
    "net/core/wmem_max",
    "net/unix/max_dgram_qlen",
    "user/max_user_namespaces",
];

const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

impl Target {
    /// Asks the running kernel.
    pub fn running() -> Self {
        let name = uname().ok();
        let text = |get: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
            name.as_ref().map_or_else(String::new, |name| get(name).to_string_lossy().into_owned())
        };
        let caps = crate::effective_caps();
        let sysctl = |name: &&str| {
            let value = fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
            Some(((*name).to_owned(), value.trim().replace('\t', " ")))
        };
        Self {
            sysname: text(|name| name.sysname()),
            release: text(|name| name.release()),
            version: text(|name| name.version()),
            machine: text(|name| name.machine()),
            distribution: distribution(),
            uid: Uid::effective().as_raw(),
            gid: Gid::effective().as_raw(),
            capabilities: (0..64)
                .filter(|bit| caps >> bit & 1 == 1)
                .map(|bit| match CAPABILITIES.get(bit) {
                    Some(name) => format!("CAP_{name}"),
                    None => format!("capability {bit}"),
                })
                .collect(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            sysctls: SYSCTLS.iter().filter_map(sysctl).collect(),
        }
    }
}

fn distribution() -> String {
    let text = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
        .unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map(|name| name.trim_matches(['"', '\'']).to_owned())
        .unwrap_or_default()
}
