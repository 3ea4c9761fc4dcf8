//! The command line.

use clap::{CommandFactory, Parser, Subcommand};

use crate::{Result, Trouble, coverage, diff, document, faults, fuzz, init, listing, report, run};

/// Does this kernel keep what the documentation of Linux inter-process
/// communication promises?
///
/// Exit status: 0 all as expected; 1 something was violated that was not
/// expected, or an expectation is stale; 2 usage, or the run is broken or
/// incomplete.
#[derive(Debug, Parser)]
#[command(name = "ipcspec", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run cases on the running kernel (what happens without a command, too)
    Run(run::Options),
    /// List cases with claim and source
    List(listing::ListOptions),
    /// Tell everything about one case
    Show(listing::ShowOptions),
    /// Count which claims and documented items are settled, and by what
    Coverage(coverage::Options),
    /// Write CONFORMANCE.md from recorded runs
    Document(document::Options),
    /// Show recorded runs side by side: HTML, Markdown, JUnit, KCIDB
    Report(report::Options),
    /// Tell what changed from one recorded run to another
    Diff(diff::Options),
    /// Try the cases on kernels that are wrong on purpose
    Faults(faults::Options),
    /// Play random programs of several processes, and judge them by a model
    Fuzz(fuzz::Options),
    /// Play a saved program again, or print it as C or as a case
    Replay(fuzz::ReplayOptions),
    /// Be the first process of a machine: prepare it, run a command, turn it off
    Init(init::Options),
}

/// The command line, for who makes pages and completions of it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Reads the arguments and does what they say; the exit status.
pub fn main() -> Result<u8> {
    let cases = ipcspec_cases::all();
    if let Some(argument) = std::env::args_os().find(|argument| argument.to_str().is_none()) {
        return Err(Trouble(format!("argument {} is not UTF-8", argument.display())));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are not errors, and go to standard output.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            let text = error.to_string();
            // What follows the blank line is usage.
            let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
            let told = lines.collect::<Vec<_>>().join(" ");
            return Err(Trouble(told.trim_start_matches("error: ").to_owned()));
        }
    };
    match cli.command {
        None => run::run(&cases, &cli.run),
        Some(Command::Run(options)) => run::run(&cases, &options),
        Some(Command::List(options)) => listing::list(&cases, &options).map(|()| 0),
        Some(Command::Show(options)) => listing::show(&cases, &options).map(|()| 0),
        Some(Command::Coverage(options)) => coverage::print(&cases, &options).map(|()| 0),
        Some(Command::Report(options)) => report::run(&cases, &options),
        Some(Command::Diff(options)) => diff::run(&cases, &options),
        Some(Command::Faults(options)) => faults::run(&cases, &options),
        Some(Command::Fuzz(options)) => fuzz::run(&crate::served(), &options),
        Some(Command::Replay(options)) => fuzz::replay(&crate::served(), &options),
        Some(Command::Init(options)) => init::run(&options),
        Some(Command::Document(options)) => document::write(&cases, &options).map(|()| 0),
    }
}
