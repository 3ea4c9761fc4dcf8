//! Writes the man pages and the shell completions that a package carries into
//! the directory that is named: `man/`, `bash/`, `zsh/`, `fish/`.
#![forbid(unsafe_code)]

use std::fs::create_dir_all;
use std::io::{Error, Result};
use std::path::Path;

use clap_complete::Shell;

fn main() -> Result<()> {
    let directory = std::env::args_os().nth(1).ok_or_else(|| Error::other("which directory?"))?;
    let directory = Path::new(&directory);
    let mut command = ipcspec_suite::cli::command().disable_help_subcommand(true);
    for (shell, place) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")] {
        let place = directory.join(place);
        create_dir_all(&place)?;
        clap_complete::generate_to(shell, &mut command, "ipcspec", place)?;
    }
    let pages = directory.join("man");
    create_dir_all(&pages)?;
    clap_mangen::generate_to(command, pages)
}
