//! What a case needs of the run, probed by asking, never guessed from a
//! version.
#![allow(unsafe_code)]

use std::fmt;
use std::fs;
use std::path::Path;

use nix::unistd::{AccessFlags, Gid, Uid, eaccess, setgroups, setresgid, setresuid};

use crate::isolation::{Isolation, Namespaces};
use crate::{Failure, Verdict};

/// One requirement of a case. All that are not met are reported.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// User 0 of the initial user namespace.
    Root,
    /// A capability in the initial user namespace.
    Cap(Cap),
    /// A capability in the user namespace that owns the case's namespaces;
    /// an ordinary user has it in a user namespace of their own.
    OwnCap(Cap),
    /// No capability at all. Root becomes the overflow user for this case.
    Unprivileged,
    /// Several user ids to become: root, mapped more than itself.
    OtherUsers,
    /// A sysctl of the case's own namespaces that can be written, below
    /// /proc/sys: `kernel/msgmax`. Without this need /proc/sys is read-only.
    Sysctl(&'static str),
    /// The case runs in a namespace of its own of this kind.
    Own(Namespaces),
    /// The case can make a further namespace of this kind.
    CanUnshare(Namespaces),
    /// A facility of the kernel; a case whose facility is missing is
    /// *absent*, not skipped.
    Facility(Facility),
    /// A /proc that shows the case's own processes.
    Proc,
    /// A file or device that can be opened for reading.
    File(&'static str),
    /// A directory in which the user that the case runs as may make files.
    Directory(&'static str),
    /// This many processors that the case may run on.
    Processors(usize),
    /// This many bytes of available memory.
    Memory(u64),
    /// One of these architectures, as `std::env::consts::ARCH` spells them.
    Arch(&'static [&'static str]),
    /// A core file can be written: hard limit, and a pattern that is a file.
    CoreFiles,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Cap(cap) => f.write_str(&cap.name()),
            Self::OwnCap(cap) => write!(f, "{} over its own namespaces", cap.name()),
            Self::Unprivileged => f.write_str("no privilege"),
            Self::OtherUsers => f.write_str("other user ids to become (CAP_SETUID)"),
            Self::Sysctl(name) => write!(f, "writable /proc/sys/{name}"),
            Self::Own(kinds) => write!(f, "own namespaces: {}", kinds.names()),
            Self::CanUnshare(kinds) => write!(f, "new namespaces: {}", kinds.names()),
            Self::Facility(facility) => f.write_str(facility.name),
            Self::Proc => f.write_str("/proc"),
            Self::File(path) => f.write_str(path),
            Self::Directory(path) => write!(f, "writable {path}"),
            Self::Processors(count) => write!(f, "{count} processors"),
            Self::Memory(bytes) => write!(f, "{bytes} bytes of memory"),
            Self::Arch(names) => write!(f, "architecture {}", names.join(" or ")),
            Self::CoreFiles => f.write_str("core files"),
        }
    }
}

/// A facility of the kernel, probed by a call of its own.
#[derive(Debug, Clone, Copy)]
pub struct Facility {
    /// What it is called in reports.
    pub name: &'static str,
    /// Asks for it: how the kernel answered when it is not there.
    pub probe: fn() -> Result<(), nix::errno::Errno>,
}

/// A capability, by the number that the kernel gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Cap {
    Chown = 0,
    DacOverride = 1,
    Fowner = 3,
    Kill = 5,
    SetGid = 6,
    SetUid = 7,
    NetBindService = 10,
    NetAdmin = 12,
    NetRaw = 13,
    IpcLock = 14,
    IpcOwner = 15,
    SysPtrace = 19,
    SysAdmin = 21,
    SysNice = 23,
    SysResource = 24,
    SysTime = 25,
    Mknod = 27,
    AuditWrite = 29,
    CheckpointRestore = 40,
}

impl Cap {
    /// `CAP_SYS_ADMIN`.
    pub fn name(self) -> String {
        let mut name = String::from("CAP");
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        name
    }

    /// Whether this process's user namespace owns the namespaces of what the
    /// capability is about, as far as /proc tells.
    fn reaches_its_objects(self) -> bool {
        let kinds: &[&str] = match self {
            Self::NetAdmin | Self::NetBindService | Self::NetRaw => &["net"],
            Self::IpcOwner => &["ipc"],
            Self::SysAdmin => &["ipc", "mnt", "net", "pid"],
            _ => &[],
        };
        kinds.iter().all(|kind| is_owned(kind))
    }

    fn is_in(self, set: u64) -> bool {
        set >> (self as u32) & 1 == 1
    }
}

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const CAP_VERSION_3: u32 = 0x2008_0522;

/// The effective capabilities of this thread, bit by number.
pub fn effective_caps() -> u64 {
    let mut header = CapHeader { version: CAP_VERSION_3, pid: 0 };
    let mut data = [CapData::default(); 2];
    // SAFETY: header and data have the layout of version 3.
    let got = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    if got != 0 {
        return 0;
    }
    u64::from(data[1].effective) << 32 | u64::from(data[0].effective)
}

fn drop_caps() -> nix::Result<()> {
    let mut header = CapHeader { version: CAP_VERSION_3, pid: 0 };
    let data = [CapData::default(); 2];
    // SAFETY: as above; NOROOT keeps an exec from giving them back.
    unsafe {
        libc::prctl(libc::PR_SET_SECUREBITS, 1 /* SECBIT_NOROOT */, 0, 0, 0);
        nix::errno::Errno::result(libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()))?;
    }
    Ok(())
}

/// The user that root becomes for an unprivileged case.
const OVERFLOW_ID: u32 = 65534;

/// Gives up every privilege for good.
fn become_unprivileged() -> nix::Result<()> {
    if Uid::effective().is_root() && uid_map_is_whole() {
        setgroups(&[])?;
        let (user, group) = (Uid::from_raw(OVERFLOW_ID), Gid::from_raw(OVERFLOW_ID));
        setresgid(group, group, group)?;
        setresuid(user, user, user)?;
        // A change of user hides a process from its own kind.
        nix::sys::prctl::set_dumpable(true)?;
    }
    drop_caps()
}

/// Whether this user namespace maps more than one user id.
fn uid_map_is_whole() -> bool {
    fs::read_to_string("/proc/self/uid_map").map_or(true, |map| {
        map.lines()
            .filter_map(|line| line.split_ascii_whitespace().nth(2)?.parse::<u64>().ok())
            .sum::<u64>()
            > 1
    })
}

/// Whether this process's namespace of this kind is owned by its user
/// namespace. A kernel that cannot be asked is trusted.
fn is_owned(kind: &str) -> bool {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::os::unix::fs::MetadataExt;
    const NS_GET_USERNS: libc::Ioctl = 0xb701;
    let Ok(namespace) = fs::File::open(format!("/proc/self/ns/{kind}")) else { return true };
    // SAFETY: takes no argument; the new descriptor is owned from here on.
    let owner = unsafe {
        match libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS) {
            // Out of sight: an ancestor.
            -1 => return nix::errno::Errno::last() != nix::errno::Errno::EPERM,
            fd => fs::File::from(OwnedFd::from_raw_fd(fd)),
        }
    };
    match (owner.metadata(), fs::metadata("/proc/self/ns/user")) {
        (Ok(owner), Ok(own)) => owner.ino() == own.ino(),
        _ => true,
    }
}

/// Whether this is the initial user namespace, or one that maps every id to
/// itself, as far as /proc tells.
fn is_initial_user_namespace() -> bool {
    fs::read_to_string("/proc/self/uid_map")
        .map_or(true, |map| map.split_ascii_whitespace().eq(["0", "0", "4294967295"]))
}

/// Checks all needs, then takes on the privilege that they ask for.
pub(crate) fn meet(needs: &[Need], isolation: &Isolation) -> Verdict {
    let wants_caps = needs
        .iter()
        .any(|need| matches!(need, Need::OwnCap(_) | Need::Sysctl(_) | Need::CanUnshare(_)));
    let initial_user = !isolation.user && is_initial_user_namespace();
    let caps = effective_caps();
    let mut missing = vec![];
    let mut absent = None;
    for need in needs {
        let unless = |met: bool| (!met).then(|| need.to_string());
        let lacks = match *need {
            Need::Root => unless(initial_user && Uid::effective().is_root()),
            Need::Cap(cap) => unless(initial_user && cap.is_in(caps)),
            Need::OwnCap(cap) => {
                unless(cap.is_in(caps) && (initial_user || cap.reaches_its_objects()))
            }
            // Told apart below, once the case is who it will be.
            Need::Unprivileged | Need::Directory(_) => None,
            Need::OtherUsers => {
                unless(initial_user && Cap::SetUid.is_in(caps) && uid_map_is_whole())
            }
            Need::Sysctl(name) => match isolation.may_write_sysctl(name) {
                Err(reason) => Some(reason),
                Ok(()) => rewrite_sysctl(name).err().map(|error| format!("{need} ({error})")),
            },
            Need::Own(kinds) => unless(isolation.namespaces.contains(kinds)),
            Need::CanUnshare(kinds) => {
                can_unshare(kinds).err().map(|errno| format!("{need} ({errno:?})"))
            }
            Need::Facility(facility) => {
                if let Err(errno) = (facility.probe)() {
                    absent.get_or_insert((facility.name, errno));
                }
                None
            }
            Need::Proc => unless(Path::new("/proc/self/stat").exists()),
            Need::File(path) => fs::File::open(path).err().map(|error| format!("{need} ({error})")),
            Need::Processors(count) => {
                let have = std::thread::available_parallelism().map_or(1, usize::from);
                (have < count).then(|| format!("{need} (have {have})"))
            }
            Need::Memory(bytes) => {
                let have = available_memory();
                (have < bytes).then(|| format!("{need} (have {have})"))
            }
            Need::Arch(names) => unless(names.contains(&std::env::consts::ARCH)),
            Need::CoreFiles => core_files().err(),
        };
        missing.extend(lacks);
    }
    if !missing.is_empty() {
        return Err(Failure::skipped(missing));
    }
    if let Some((name, errno)) = absent {
        return Err(Failure::absent(name, crate::show::errno(errno)));
    }
    let unprivileged = needs.iter().any(|need| matches!(need, Need::Unprivileged));
    if unprivileged {
        become_unprivileged()?;
    } else if isolation.user && !wants_caps {
        // An ordinary user stays one: the privilege of the user namespace is
        // only for the cases that ask for it.
        drop_caps()?;
    }
    let closed = |need: &&Need| match need {
        Need::Directory(path) => eaccess(*path, AccessFlags::W_OK | AccessFlags::X_OK).is_err(),
        _ => false,
    };
    let missing: Vec<_> = needs.iter().filter(closed).map(Need::to_string).collect();
    if missing.is_empty() { Ok(()) } else { Err(Failure::skipped(missing)) }
}

/// Opens the sysctls of this case's own namespaces, and writes one as it is:
/// some kernels let it be opened and not written.
fn rewrite_sysctl(name: &str) -> std::io::Result<()> {
    crate::isolation::open_sysctls()?;
    let path = format!("/proc/sys/{name}");
    fs::write(&path, fs::read(&path)?)
}

/// Tries in a child, so that this process stays where it is.
fn can_unshare(kinds: Namespaces) -> nix::Result<()> {
    // SAFETY: the child makes two system calls.
    unsafe {
        match libc::fork() {
            -1 => Err(nix::errno::Errno::last()),
            0 => {
                let got = libc::unshare(kinds.bits());
                libc::_exit(if got == 0 { 0 } else { nix::errno::Errno::last_raw() })
            }
            child => {
                let mut status = 0;
                while libc::waitpid(child, &raw mut status, 0) < 0 {}
                match libc::WEXITSTATUS(status) {
                    0 => Ok(()),
                    errno => Err(nix::errno::Errno::from_raw(errno)),
                }
            }
        }
    }
}

fn available_memory() -> u64 {
    fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
            line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .map_or(u64::MAX, |kibibytes| kibibytes * 1024)
}

fn core_files() -> Result<(), String> {
    use nix::sys::resource::{Resource, getrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE).map_err(|errno| format!("{errno:?}"))?;
    if hard < 16 << 20 {
        return Err(format!("core files (hard limit of {hard} bytes)"));
    }
    match fs::read_to_string("/proc/sys/kernel/core_pattern") {
        Ok(pattern) if pattern.starts_with('|') || pattern.starts_with('@') => {
            Err("core files (core_pattern hands them to a program)".to_owned())
        }
        Ok(pattern) if pattern.starts_with('/') => {
            Err("core files (core_pattern puts them outside the working directory)".to_owned())
        }
        _ => Ok(()),
    }
}
