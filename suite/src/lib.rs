//! The program `ipcspec`: selection, progress and reports over the cases of
//! `ipcspec-cases`, run by `ipcspec-harness`.
#![forbid(unsafe_code)]

pub mod cli;
pub mod coverage;
pub mod diff;
pub mod document;
pub mod expect;
pub mod faults;
pub mod fuzz;
#[cfg(target_arch = "x86_64")]
mod fuzz_faults;
pub mod human;
pub mod init;
pub mod junit;
mod kmsg;
pub mod ktap;
pub mod listing;
pub mod one_or_more;
pub mod record;
pub mod report;
pub mod run;
pub mod select;

use std::fmt;

use ipcspec_harness::Case;

/// What workers of this program serve: the suite's cases, and behind them the
/// driver of random programs.
pub fn served() -> Vec<&'static Case> {
    let mut cases = ipcspec_cases::all();
    cases.push(&ipcspec_models::DRIVER);
    cases
}

/// Why the program stops with exit status 2: one line that says what and
/// where.
#[derive(Debug)]
pub struct Trouble(pub String);

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.replace('\n', " "))
    }
}

impl Trouble {
    /// Trouble with a file or another named thing.
    pub fn with(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self(format!("{what}: {error}"))
    }
}

/// `Ok`, or trouble.
pub type Result<T = ()> = std::result::Result<T, Trouble>;

/// Writes to standard output. A reader that went away ends the program
/// without a word, as it ends other programs.
pub fn print(text: &str) -> Result {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(2),
        other => other.map_err(|error| Trouble::with("standard output", error)),
    }
}
