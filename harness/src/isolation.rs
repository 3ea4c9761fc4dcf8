//! The namespaces in which cases run, and what replaces them where the
//! kernel refuses.
#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};

/// Kinds of namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Namespaces(i32);

impl Namespaces {
    /// None.
    pub const NONE: Self = Self(0);
    /// Process ids, with a /proc of its own.
    pub const PID: Self = Self(libc::CLONE_NEWPID);
    /// Mounts, with /tmp and /dev/shm of its own.
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS);
    /// System V objects and POSIX queues; a fresh one for every case.
    pub const IPC: Self = Self(libc::CLONE_NEWIPC);
    /// Network, with its loopback up.
    pub const NET: Self = Self(libc::CLONE_NEWNET);
    /// Users.
    pub const USER: Self = Self(libc::CLONE_NEWUSER);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags for `unshare`.
    pub const fn bits(self) -> i32 {
        self.0
    }

    /// `pid, mount, ipc, net`, or `none`.
    pub fn names(self) -> String {
        let kinds = [
            (Self::USER, "user"),
            (Self::PID, "pid"),
            (Self::MOUNT, "mount"),
            (Self::IPC, "ipc"),
            (Self::NET, "net"),
        ];
        let names: Vec<_> =
            kinds.iter().filter(|(kind, _)| self.contains(*kind)).map(|(_, name)| *name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

/// How far cases are kept apart, the best first. A run starts at the level it
/// is told and goes down as far as the kernel makes it.
pub const LEVELS: [(&str, Namespaces); 6] = [
    ("full", Namespaces::PID.and(Namespaces::MOUNT).and(Namespaces::IPC).and(Namespaces::NET)),
    ("no-net", Namespaces::PID.and(Namespaces::MOUNT).and(Namespaces::IPC)),
    ("no-pid", Namespaces::MOUNT.and(Namespaces::IPC).and(Namespaces::NET)),
    ("no-mount", Namespaces::IPC.and(Namespaces::NET)),
    ("ipc", Namespaces::IPC),
    ("process-group", Namespaces::NONE),
];

/// What isolation a worker has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// The level's name, one of [`LEVELS`].
    pub level: String,
    /// The namespaces that are its own.
    pub namespaces: Namespaces,
    /// Whether it had to go through a user namespace.
    pub user: bool,
    /// Why each better level was refused, in the order of the attempts.
    pub refused: Vec<String>,
    /// The directory in which cases work.
    pub scratch: PathBuf,
}

impl Isolation {
    /// Whether a case may write this sysctl: only one that belongs to a
    /// namespace of its own.
    pub(crate) fn may_write_sysctl(&self, name: &str) -> Result<(), String> {
        let ipc = ["kernel/msg", "kernel/sem", "kernel/shm", "kernel/auto_msgmni", "fs/mqueue/"];
        let kind = if ipc.iter().any(|prefix| name.starts_with(prefix)) {
            Namespaces::IPC
        } else if name.starts_with("net/") {
            Namespaces::NET
        } else {
            return Err(format!("a namespace that owns /proc/sys/{name}"));
        };
        if !self.namespaces.contains(kind.and(Namespaces::MOUNT)) {
            return Err(format!("own namespaces for /proc/sys/{name}: mount, {}", kind.names()));
        }
        Ok(())
    }
}

/// An error of one step, as text.
fn step<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error}"))
}

/// Tells one mount namespace from another.
const OWN_MOUNTS: &str = "/proc/self/ns/mnt";

/// Enters `namespaces`, through a user namespace when `user`. The PID
/// namespace takes effect for the next child.
pub(crate) fn enter(namespaces: Namespaces, user: bool) -> Result<(), String> {
    if namespaces == Namespaces::NONE {
        return Ok(());
    }
    let (uid, gid) = (Uid::effective(), Gid::effective());
    let mut flags = CloneFlags::from_bits_truncate(namespaces.bits());
    if user {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    let mounts_before = fs::read_link(OWN_MOUNTS);
    step("unshare", unshare(flags))?;
    if namespaces.contains(Namespaces::MOUNT) {
        // Some kernels take the flag and share the mounts all the same.
        match (mounts_before, fs::read_link(OWN_MOUNTS)) {
            (Ok(before), Ok(after)) if before != after => {}
            _ => return Err("unshare: no sign of a mount namespace of its own".to_owned()),
        }
    }
    if user {
        let denied =
            fs::write("/proc/self/setgroups", "deny").or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            });
        step("setgroups", denied)?;
        step("uid_map", fs::write("/proc/self/uid_map", format!("0 {uid} 1")))?;
        step("gid_map", fs::write("/proc/self/gid_map", format!("0 {gid} 1")))?;
    }
    if namespaces.contains(Namespaces::MOUNT) {
        let none = None::<&str>;
        if let Err(errno) = mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none) {
            // Refused in a chroot, and where mounts never propagate. It is
            // needless if none of them would.
            let shared = fs::read_to_string("/proc/self/mountinfo")
                .map_or(true, |mounts| mounts.contains(" shared:"));
            if shared {
                return Err(format!("private mounts: {errno}"));
            }
        }
    }
    Ok(())
}

/// Places in which cases may leave files, in a mount namespace of their own.
const OWN_DIRECTORIES: [&str; 2] = ["/tmp", "/dev/shm"];

/// Inside the namespaces: mounts, the loopback. What it returns is the
/// directory in which cases work; `fallback` is used when nothing was mounted.
pub(crate) fn furnish(namespaces: Namespaces, fallback: &Path) -> Result<PathBuf, String> {
    let mut scratch = None;
    if namespaces.contains(Namespaces::MOUNT) {
        scratch = furnish_mounts(namespaces)?;
    }
    if namespaces.contains(Namespaces::NET) {
        step("loopback", raise_loopback())?;
    }
    if namespaces.contains(Namespaces::IPC) {
        // Every case gets one of its own.
        step("unshare of a second IPC namespace", unshare(CloneFlags::CLONE_NEWIPC))?;
    }
    let scratch = match scratch {
        Some(own) => own,
        None => {
            // What is there already may be somebody's, or a link to it.
            step("directory for cases", fs::create_dir(fallback))?;
            let open = fs::Permissions::from_mode(0o1777);
            step("directory for cases", fs::set_permissions(fallback, open))?;
            fallback.to_path_buf()
        }
    };
    step("directory for cases", std::env::set_current_dir(&scratch))?;
    Ok(scratch)
}

/// /proc, /tmp and /dev/shm of the cases' own; the first that they can work
/// in.
fn furnish_mounts(namespaces: Namespaces) -> Result<Option<PathBuf>, String> {
    let none = None::<&str>;
    if namespaces.contains(Namespaces::PID) && Path::new("/proc").is_dir() {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        step("mount of /proc", mount(Some("proc"), "/proc", Some("proc"), flags, none))?;
    }
    // Not every target can bind a part of /proc; there the cases' own
    // restraint has to do.
    let sysctls = Some("/proc/sys");
    let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    let _ = mount(sysctls, "/proc/sys", none, MsFlags::MS_BIND, none)
        .and_then(|()| mount(sysctls, "/proc/sys", none, read_only, none));
    let mut scratch = None;
    for directory in OWN_DIRECTORIES.map(Path::new).iter().filter(|path| path.is_dir()) {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        let size = Some("size=256m,mode=1777");
        let mounted = mount(Some("tmpfs"), *directory, Some("tmpfs"), flags, size);
        step(&format!("mount of {}", directory.display()), mounted)?;
        scratch.get_or_insert(directory.to_path_buf());
    }
    Ok(scratch)
}

/// Lifts the read-only cover of /proc/sys, in a mount namespace of this case
/// alone.
pub(crate) fn open_sysctls() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    match nix::mount::umount("/proc/sys") {
        // EINVAL: it was never covered, or is open already.
        Ok(()) | Err(nix::errno::Errno::EINVAL) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes what a case left behind in the directories of its own.
pub(crate) fn sweep(isolation: &Isolation) {
    if isolation.namespaces.contains(Namespaces::MOUNT) {
        for directory in OWN_DIRECTORIES {
            empty(Path::new(directory));
        }
    } else {
        empty(&isolation.scratch);
    }
}

fn empty(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let removed = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(&path),
            _ => fs::remove_file(&path),
        };
        let _ = removed;
    }
}

/// A directory that this process may write to, for what needs one: `TMPDIR`,
/// or the first that is found.
pub fn writable_directory() -> Option<PathBuf> {
    let usual = ["/tmp", "/dev/shm", "/var/tmp", "/run", "/"].map(PathBuf::from);
    std::env::var_os("TMPDIR").map(PathBuf::from).into_iter().chain(usual).find(|directory| {
        let flags = nix::unistd::AccessFlags::W_OK | nix::unistd::AccessFlags::X_OK;
        directory.is_dir() && nix::unistd::access(directory, flags).is_ok()
    })
}

/// Brings the loopback interface of this network namespace up, if it is not.
pub fn raise_loopback() -> io::Result<()> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    use std::os::fd::AsRawFd;
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: ifreq is plain data; the kernel reads and writes one of them.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        let get = libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request);
        nix::errno::Errno::result(get)?;
        if i32::from(request.ifr_ifru.ifru_flags) & libc::IFF_UP != 0 {
            return Ok(());
        }
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        let set = libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request);
        nix::errno::Errno::result(set)?;
    }
    Ok(())
}
