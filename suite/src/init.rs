//! `ipcspec init`: the program as the first process of a machine of its own,
//! with nothing else in it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::{Result, Trouble, print};

/// What `ipcspec init` was asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Give the command this device or file as its standard output
    #[arg(long, value_name = "FILE")]
    output: Option<String>,
    /// Tell the exit status to the port of QEMU's isa-debug-exit: QEMU then
    /// ends with 2 * (16 + status) + 1
    #[arg(long, value_name = "PORT", value_parser = port)]
    exit_port: Option<u16>,
    /// What to do: arguments of ipcspec
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

fn port(text: &str) -> std::result::Result<u16, String> {
    let digits = text.strip_prefix("0x").ok_or("a number like 0xf4 is needed")?;
    u16::from_str_radix(digits, 16).map_err(|error| error.to_string())
}

/// What the last line of the output begins with; the exit status of the command
/// follows. Not every machine can hand over a status when it is turned off.
pub const STATUS: &str = "ipcspec init: exit status ";

/// Where kernels that are built for it tell of themselves; others have no such
/// place, and none can be made.
const DEBUGFS: &str = "/sys/kernel/debug";

/// File systems of a machine that has none, with type and options.
const MOUNTS: [(&str, &str, &str); 9] = [
    ("/proc", "proc", ""),
    ("/sys", "sysfs", ""),
    (DEBUGFS, "debugfs", ""),
    ("/dev", "devtmpfs", ""),
    ("/dev/pts", "devpts", "mode=0620,ptmxmode=0666"),
    ("/dev/shm", "tmpfs", "mode=1777"),
    ("/dev/mqueue", "mqueue", ""),
    ("/tmp", "tmpfs", "mode=1777"),
    ("/run", "tmpfs", "mode=0755"),
];

/// Prepares the machine, runs the command, and turns the machine off.
pub fn run(options: &Options) -> Result<u8> {
    let me = std::process::id();
    if me != 1 {
        let told = format!("init is for the first process of a machine; this is process {me}");
        return Err(Trouble(told));
    }
    prepare();
    let status = command(options).unwrap_or_else(|trouble| {
        eprintln!("ipcspec: {trouble}");
        2
    });
    leave(options, status)
}

/// Mounts what there is, and brings loopback up. What fails is told, and no
/// reason to stop: a case that needs it says so.
fn prepare() {
    for (place, kind, data) in MOUNTS {
        if place == DEBUGFS && !Path::new(place).exists() {
            continue;
        }
        let made = fs::create_dir_all(place);
        let data = Some(data).filter(|data| !data.is_empty());
        let flags = MsFlags::MS_NOSUID;
        match mount(Some(kind), place, Some(kind), flags, data) {
            // The kernel had done it.
            Ok(()) | Err(Errno::EBUSY) => {}
            Err(errno) => eprintln!("ipcspec: mount {place}: {errno} ({made:?})"),
        }
    }
    if let Err(error) = ipcspec_harness::raise_loopback() {
        eprintln!("ipcspec: loopback: {error}");
    }
}

/// Runs this program with the arguments, and reaps whoever else ends; its
/// exit status.
fn command(options: &Options) -> Result<u8> {
    let mut command = Command::new("/proc/self/exe");
    command.args(&options.arguments).stdin(Stdio::null());
    let output = match &options.output {
        Some(name) => {
            let open = OpenOptions::new()
                .write(true)
                .custom_flags(nix::libc::O_NOCTTY)
                .open(name)
                .map_err(|error| Trouble::with(name, error))?;
            command.stdout(open.try_clone().map_err(|error| Trouble::with(name, error))?);
            Some(open)
        }
        None => None,
    };
    let child = command.spawn().map_err(|error| Trouble::with("/proc/self/exe", error))?;
    let child = Pid::from_raw(child.id() as i32);
    let status = loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => break status as u8,
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Err(Trouble(format!("the command was killed by {signal}")));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Trouble::with("waitpid", errno)),
        }
    };
    let told = format!("{STATUS}{status}\n");
    match output {
        Some(mut output) => {
            output.write_all(told.as_bytes()).map_err(|error| Trouble::with("output", error))?;
            // What is a file, or has nothing to drain, says so.
            let _ = nix::sys::termios::tcdrain(output.as_fd());
        }
        None => print(&told)?,
    }
    Ok(status)
}

fn leave(options: &Options, status: u8) -> Result<u8> {
    let _ = nix::sys::termios::tcdrain(std::io::stderr());
    if let Some(port) = options.exit_port
        && let Err(error) = ipcspec_harness::write_port(port, 16 + status)
    {
        eprintln!("ipcspec: port {port:#x}: {error}");
    }
    let Err(errno) = reboot(RebootMode::RB_POWER_OFF);
    Err(Trouble::with("power off", errno))
}
