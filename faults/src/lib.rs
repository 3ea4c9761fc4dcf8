//! Kernels that are wrong on purpose. Each fault violates one documented
//! sentence, by standing between the processes of a case and the kernel; so
//! the cases are judged, and the fuzzer.

// Numbers of calls, registers and layouts are those of x86-64.
#![cfg(target_arch = "x86_64")]

// So that what #[fault] writes finds its way here too.
extern crate self as ipcspec_faults;

mod call;
mod files;
pub mod filter;
pub mod tracer;

pub mod ipc;
pub mod msgqueue;
pub mod none;
pub mod pipe;
pub mod prelude;
pub mod readiness;
pub mod sem;
pub mod shm;
pub mod signal;
pub mod socket;

use ipcspec_harness::{Companion, Failure, Source, Syscalls, Verdict};
use libc::c_long;
use nix::Result;
use nix::unistd::Pid;

pub use call::{Arrival, Call, Effect, Fate, Fd, Kind, Notes, Number};
pub use files::Opening;

/// What a fault looks at.
#[derive(Debug, Clone, Copy)]
pub enum On {
    /// These calls.
    Calls(&'static [Syscalls], fn(&mut Call) -> Result<Effect>),
    /// Every signal that is delivered.
    Signals(fn(&mut Arrival) -> Fate),
    /// Both.
    Both(&'static [Syscalls], fn(&mut Call) -> Result<Effect>, fn(&mut Arrival) -> Fate),
    /// Every call and every signal, of which [`mark`](ipcspec_harness::mark)s
    /// are left in the report.
    All,
}

impl On {
    /// The names of the calls, or `signals`.
    pub fn names(self) -> Vec<&'static str> {
        match self {
            Self::Calls(calls, _) => calls.iter().map(|calls| calls.name).collect(),
            Self::Signals(_) => vec!["signals"],
            Self::Both(calls, ..) => {
                calls.iter().map(|calls| calls.name).chain(["signals"]).collect()
            }
            Self::All => vec!["all"],
        }
    }

    /// The numbers of the calls.
    pub fn numbers(self) -> impl Iterator<Item = c_long> {
        let calls = match self {
            Self::Calls(calls, _) | Self::Both(calls, ..) => calls,
            Self::Signals(_) | Self::All => &[],
        };
        calls.iter().flat_map(|calls| calls.numbers).copied()
    }
}

/// The mark of a signal, beside the numbers of the calls.
pub const SIGNAL_MARK: usize = 1000;
/// The mark of a fault that did something, beside those.
pub const ACTED_MARK: usize = 1001;

impl Fault {
    /// Whether it could make a difference to a case that left these marks
    /// under [`none::everything`].
    pub fn may_touch(&self, marks: &[usize]) -> bool {
        match self.on {
            On::All => true,
            On::Signals(_) => marks.contains(&SIGNAL_MARK),
            On::Both(..) => {
                marks.contains(&SIGNAL_MARK)
                    || self.on.numbers().any(|n| marks.contains(&(n as usize)))
            }
            On::Calls(..) => self.on.numbers().any(|n| marks.contains(&(n as usize))),
        }
    }
}

/// A wrong kernel. Written with `#[fault]`, never by hand.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The module path, the crate's name included.
    pub module: &'static str,
    /// The function's name, which says what is wrong.
    pub name: &'static str,
    /// What this kernel does wrong: one sentence.
    pub says: &'static str,
    /// The sentence that it violates.
    pub source: Source,
    /// What it looks at, and what it makes of that.
    pub on: On,
}

impl Fault {
    /// The path by which it is selected and reported: `pipe::eof_is_late`.
    pub fn path(&self) -> String {
        let (_, folders) = self.module.split_once("::").unwrap_or_default();
        format!("{folders}::{}", self.name)
    }

    /// The mechanism whose cases should notice it: `pipe`.
    pub fn mechanism(&self) -> &'static str {
        self.module.split("::").nth(1).unwrap_or(self.module)
    }
}

/// The catalogue: every fault, by mechanism.
pub fn all() -> Vec<&'static Fault> {
    const MECHANISMS: [&[&[Fault]]; 8] = [
        pipe::FAULTS,
        msgqueue::FAULTS,
        shm::FAULTS,
        sem::FAULTS,
        signal::FAULTS,
        socket::FAULTS,
        ipc::FAULTS,
        readiness::FAULTS,
    ];
    MECHANISMS.iter().flat_map(|modules| modules.iter()).flat_map(|faults| faults.iter()).collect()
}

/// The fault of this path; those of [`none`] too.
pub fn find(path: &str) -> Option<&'static Fault> {
    all().into_iter().chain(none::FAULTS).find(|fault| fault.path() == path)
}

/// Puts a case under the fault that is named.
pub const COMPANION: Companion = Companion { prepare, attend };

fn prepare(name: &str) -> Verdict {
    let fault = find(name).ok_or_else(|| Failure::broken(format!("no fault {name}")))?;
    Ok(tracer::filter(fault)?)
}

fn attend(name: &str, case: Pid, ready: &dyn Fn()) {
    if let Some(fault) = find(name)
        && tracer::seize(case).is_ok()
    {
        ready();
        tracer::Tracer::new(fault, case).run();
    }
}
