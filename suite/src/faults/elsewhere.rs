//! What is left of `ipcspec faults` where no fault can be made.

use ipcspec_harness::Case;

use crate::{Result, Trouble};

/// What `ipcspec faults` was asked to do.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Whatever it was
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// Says that it cannot.
pub fn run(_: &[&'static Case], _: &Options) -> Result<u8> {
    Err(Trouble(format!(
        "kernels that are wrong on purpose are made on x86_64 alone, and this program is for {}",
        std::env::consts::ARCH
    )))
}
