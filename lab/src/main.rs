//! The program `ipcspec-lab`: starts other kernels, runs ipcspec there, and
//! keeps what came of it.
#![forbid(unsafe_code)]

mod attempt;
mod fetch;
mod program;
mod run;
mod target;

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use clap::{Parser, Subcommand};
use ipcspec_suite::{Result, Trouble, init, print};

use crate::attempt::Came;
use crate::run::{Done, Places, Ready};
use crate::target::{Target, Targets};

/// Runs ipcspec on other kernels.
///
/// Exit status: 0 all as expected; 1 something was violated that was not
/// expected, or an expectation is stale; 2 usage, or a target that could not
/// be run to its end.
#[derive(Debug, Parser)]
#[command(name = "ipcspec-lab", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Targets besides those that are known, in the form of lab/targets.toml
    #[arg(long, global = true, value_name = "FILE")]
    targets: Vec<String>,
    /// Where packages are kept [default: ipcspec-lab in the user's cache]
    #[arg(long, global = true, value_name = "DIR")]
    cache: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List targets, and what is missing to run them
    List,
    /// Fetch the packages that targets are made of
    Fetch(fetch::Options),
    /// Run the suite on targets, each to a stream of events
    Run(RunOptions),
    /// Run one command of ipcspec on a target, such as `fuzz all --seconds 60`:
    /// the exit status is that of the command, or 2
    Exec(ExecOptions),
}

/// A target of the user's own, and the program that runs there.
#[derive(Debug, clap::Args)]
struct Own {
    /// A kernel to be started in QEMU
    #[arg(long, value_name = "FILE")]
    kernel: Vec<PathBuf>,
    /// A User Mode Linux to be started
    #[arg(long, value_name = "FILE")]
    uml: Vec<PathBuf>,
    /// A command that runs the program somewhere, with {program} and
    /// {arguments}: 'ssh board /tmp/ipcspec {arguments}'
    #[arg(long, value_name = "COMMAND")]
    command: Vec<String>,
    /// The static program, instead of one built from the sources, for targets
    /// of its architecture; several for several, the first for one's own target
    #[arg(long, value_name = "FILE")]
    program: Vec<PathBuf>,
    /// The accelerator of QEMU, instead of the one that works
    #[arg(long, value_name = "NAME", value_parser = ["kvm", "tcg"])]
    accel: Option<String>,
}

#[derive(Debug, clap::Args)]
struct RunOptions {
    /// Targets to run on; all that are ready when there is none
    #[arg(value_name = "TARGET")]
    names: Vec<String>,
    /// Cases to run, as `ipcspec run` takes them
    #[arg(last = true, value_name = "PATTERN")]
    patterns: Vec<String>,
    #[command(flatten)]
    own: Own,
    /// Directory for the streams of events, TARGET.jsonl each
    #[arg(short, long, value_name = "DIR", default_value = "lab-results")]
    output: PathBuf,
    /// Directory of expectations, TARGET.toml each [default: suite/expectations]
    #[arg(long, value_name = "DIR")]
    expectations: Option<PathBuf>,
    /// Targets to run side by side [default: one for two processors and 2 GiB]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: Option<u16>,
}

#[derive(Debug, clap::Args)]
struct ExecOptions {
    /// The target
    #[arg(value_name = "TARGET")]
    name: String,
    #[command(flatten)]
    own: Own,
    /// Seconds after which it is ended
    #[arg(long, value_name = "S", default_value_t = 3600)]
    limit: u64,
    /// Arguments of ipcspec
    #[arg(last = true, required = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

fn main() -> std::process::ExitCode {
    match told() {
        Ok(status) => status.into(),
        Err(trouble) => {
            eprintln!("ipcspec-lab: {trouble}");
            2.into()
        }
    }
}

fn told() -> Result<u8> {
    let cli = Cli::parse();
    let cache = cli.cache.clone().map_or_else(usual_cache, Ok)?;
    let mut targets = Targets::shipped();
    for file in &cli.targets {
        targets.read(file)?;
    }
    match cli.command {
        Command::List => list(&targets, &cache).map(|()| 0),
        Command::Fetch(options) => {
            let chosen = targets.select(&options.names)?;
            say_what_to_install(&chosen, &targets);
            Ok(tell(&fetch::fetch(&chosen, &options, &cache)?))
        }
        Command::Run(options) => run_all(targets, &options, &cache),
        Command::Exec(options) => exec(targets, &options, &cache),
    }
}

fn usual_cache() -> Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let place = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    let told = || Trouble("there is no HOME for a cache: --cache names one".to_owned());
    place
        .filter(|place| place.is_absolute())
        .map(|place| place.join("ipcspec-lab"))
        .ok_or_else(told)
}

/// Prints each trouble on a line of its own; the exit status.
fn tell(troubles: &[Trouble]) -> u8 {
    for trouble in troubles {
        eprintln!("ipcspec-lab: {trouble}");
    }
    if troubles.is_empty() { 0 } else { 2 }
}

/// What is missing to run a target, in words; nothing when it is ready.
fn missing(target: &Target, targets: &Targets, cache: &Path) -> Option<String> {
    let start = targets.start_of(target);
    let mut words: Vec<_> = start
        .missing()
        .into_iter()
        .map(|(command, package)| format!("no {command} (apt-get install {package})"))
        .collect();
    if !target.is_fetched(cache) {
        words.push(format!("not fetched (ipcspec-lab fetch {})", target.name));
    }
    (!words.is_empty()).then(|| words.join(", "))
}

fn say_what_to_install(chosen: &[&Target], targets: &Targets) {
    let missing = chosen.iter().flat_map(|target| targets.start_of(target).missing());
    let mut packages: Vec<_> = missing.map(|(_, package)| package).collect();
    packages.sort_unstable();
    packages.dedup();
    if !packages.is_empty() {
        eprintln!("ipcspec-lab: to run them: apt-get install {}", packages.join(" "));
    }
}

fn list(targets: &Targets, cache: &Path) -> Result {
    for target in targets.select(&[])? {
        let state = missing(target, targets, cache).unwrap_or_else(|| "ready".to_owned());
        print(&format!("{:<16} {:<46} {state}\n", target.name, target.about))?;
    }
    Ok(())
}

/// Adds what the user brought; the names of it.
fn add_own(targets: &mut Targets, own: &Own) -> Result<Vec<String>> {
    let mut names = vec![];
    // What runs there is what the user brought, whatever it was built for.
    let program = own.program.first().map(|program| program::triple(program)).transpose()?;
    let mut add = |targets: &mut Targets, name: String, start: &str, kernel: String| {
        let about = String::new();
        let (suite, packages, program) = (String::new(), vec![], program.clone());
        let start = start.to_owned();
        names.push(name.clone());
        targets.push(Target { name, about, start, suite, packages, kernel, program })
    };
    for (kernels, start) in [(&own.kernel, "qemu"), (&own.uml, "uml-own")] {
        for kernel in kernels {
            let full =
                fs::canonicalize(kernel).map_err(|error| Trouble::with(kernel.display(), error))?;
            let name = full.file_name().unwrap_or_default().to_string_lossy().into_owned();
            add(targets, name, start, full.display().to_string())?;
        }
    }
    for (number, command) in own.command.iter().enumerate() {
        let words = shell_words::split(command)
            .map_err(|error| Trouble::with(format!("--command {command:?}"), error))?;
        if !words.iter().any(|word| word.contains("{arguments}")) {
            return Err(Trouble(format!("--command {command:?}: no {{arguments}} in it")));
        }
        let name = if number == 0 { "command".to_owned() } else { format!("command-{number}") };
        targets.start(&name, words);
        add(targets, name.clone(), &name, String::new())?;
    }
    Ok(names)
}

/// What the targets have in common, made once.
struct Workshop<'t> {
    targets: &'t Targets,
    cache: &'t Path,
    /// For archives and consoles of this run.
    scratch: PathBuf,
    programs: BTreeMap<String, PathBuf>,
    accel: Option<String>,
}

impl Drop for Workshop<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

impl<'t> Workshop<'t> {
    fn open(targets: &'t Targets, cache: &'t Path, own: &'t Own) -> Result<Self> {
        let mut programs = BTreeMap::new();
        for program in &own.program {
            let full = fs::canonicalize(program)
                .map_err(|error| Trouble::with(program.display(), error))?;
            let triple = program::triple(program)?;
            if programs.insert(triple.clone(), full).is_some() {
                return Err(Trouble(format!(
                    "{}: a second --program for {triple}",
                    program.display()
                )));
            }
        }
        sweep(cache);
        let scratch = cache.join(format!("run-{}", std::process::id()));
        fs::create_dir_all(&scratch).map_err(|error| Trouble::with(scratch.display(), error))?;
        Ok(Self { targets, cache, scratch, programs, accel: own.accel.clone() })
    }

    /// The program for a triple: one that was named, or built once.
    fn program(&mut self, triple: &str) -> Result<PathBuf> {
        if let Some(program) = self.programs.get(triple) {
            return Ok(program.clone());
        }
        let program = program::build(triple)?;
        self.programs.insert(triple.to_owned(), program.clone());
        Ok(program)
    }

    /// All that a target needs to be started.
    fn prepare(&mut self, target: &'t Target) -> Result<Ready<'t>> {
        if let Some(missing) = missing(target, self.targets, self.cache) {
            return Err(Trouble(missing));
        }
        let start = self.targets.start_of(target);
        let triple = target.triple();
        let program = self.program(&triple)?;
        let mut values = vec![
            ("{program}", program.display().to_string()),
            ("{root}", target.root(self.cache).display().to_string()),
        ];
        if start.uses("{kernel}") {
            let kernel = target.kernel(self.cache)?;
            let kernel = kernel.ok_or_else(|| Trouble("no kernel in its packages".to_owned()))?;
            values.push(("{kernel}", kernel.display().to_string()));
        }
        if start.uses("{initramfs}") {
            let archive = self.scratch.join(format!("{triple}.cpio"));
            if !archive.is_file() {
                program::initramfs(&program, &archive)?;
            }
            values.push(("{initramfs}", archive.display().to_string()));
        }
        let mut ready = Ready { target, start, values };
        if start.uses("{accel}") {
            let accel = self.accelerator(&ready);
            ready.values.push(("{accel}", accel));
        }
        Ok(ready)
    }

    /// KVM, if the device is there and a guest comes to its end with it.
    fn accelerator(&mut self, ready: &Ready) -> String {
        /// A guest with KVM is there in less than two.
        const LIMIT: Duration = Duration::from_secs(20);
        if let Some(known) = &self.accel {
            return known.clone();
        }
        let device = fs::OpenOptions::new().read(true).write(true).open("/dev/kvm");
        let mut works = false;
        if device.is_ok() {
            let mut values = ready.values.clone();
            values.push(("{accel}", "kvm".to_owned()));
            let probed = Ready { target: ready.target, start: ready.start, values };
            works = run::probe(&probed, LIMIT, &self.scratch.join("probe"));
            if !works {
                eprintln!(
                    "ipcspec-lab: /dev/kvm is there, and no guest reaches its end with it: emulating"
                );
            }
        }
        let name = if works { "kvm" } else { "tcg" }.to_owned();
        self.accel = Some(name.clone());
        name
    }
}

/// Removes what runs left that were killed.
fn sweep(cache: &Path) {
    let left = glob::glob(&cache.join("run-*").to_string_lossy());
    for place in left.into_iter().flatten().flatten() {
        let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let process = name.trim_start_matches("run-");
        if !Path::new("/proc").join(process).exists() {
            let _ = fs::remove_dir_all(&place);
        }
    }
}

fn run_all(mut targets: Targets, options: &RunOptions, cache: &Path) -> Result<u8> {
    let mut names = options.names.clone();
    names.extend(add_own(&mut targets, &options.own)?);
    let cases = ipcspec_cases::all();
    // Better now than on every target.
    ipcspec_suite::select::select(&cases, &options.patterns)?;
    let mut chosen = targets.select(&names)?;
    if names.is_empty() {
        for target in &chosen {
            if let Some(missing) = missing(target, &targets, cache) {
                eprintln!("ipcspec-lab: {}: left out: {missing}", target.name);
            }
        }
        chosen.retain(|target| missing(target, &targets, cache).is_none());
    }
    let output = &options.output;
    fs::create_dir_all(output).map_err(|error| Trouble::with(output.display(), error))?;
    let usual = || program::workspace().ok().map(|root| root.join("suite/expectations"));
    let expectations = options.expectations.clone().or_else(usual);
    let places = Places { output: output.clone(), expectations };

    let mut workshop = Workshop::open(&targets, cache, &options.own)?;
    let mut troubles = vec![];
    let mut ready = vec![];
    for target in chosen {
        match workshop.prepare(target) {
            Ok(prepared) => ready.push(prepared),
            Err(trouble) => troubles.push(Trouble::with(&target.name, trouble)),
        }
    }
    let mut status = tell(&troubles);
    let bars = run::bars(!std::io::stderr().is_terminal());
    let queue = Mutex::new(ready.iter());
    let done = Mutex::new(vec![]);
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.map_or_else(usual_jobs, usize::from) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no thread panics").next();
                    let Some(ready) = next else { break };
                    let result = run::run(ready, &cases, &options.patterns, &places, &bars);
                    bars.suspend(|| report(&ready.target.name, &result));
                    done.lock().expect("no thread panics").push(result);
                }
            });
        }
    });
    for result in done.into_inner().expect("no thread panics") {
        match result {
            Err(_) => status = 2,
            Ok(done) if done.unexpected.is_empty() && done.stale.is_empty() => {}
            Ok(_) => status = if status == 2 { 2 } else { 1 },
        }
    }
    Ok(status)
}

/// One target for two processors, and as many as the memory has room for.
fn usual_jobs() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let free = free.and_then(|text| text.split_whitespace().next()?.parse::<usize>().ok());
    let room = free.map_or(1, |kib| kib / (2 << 20));
    (processors / 2).min(room).max(1)
}

fn report(name: &str, result: &Result<Done>) {
    match result {
        Err(trouble) => eprintln!("ipcspec-lab: {name}: {trouble}"),
        Ok(done) => {
            let Done { counts, unexpected, stale, not_run, notes, seconds } = done;
            let more = if *not_run > 0 { format!(", {not_run} not run") } else { String::new() };
            println!("{name:<16} {counts}{more}, {} unexpected in {seconds} s", unexpected.len());
            for note in notes {
                println!("  {note}");
            }
            for name in unexpected {
                println!("  unexpected: {name}");
            }
            for stale in stale {
                println!("  stale expectation: {stale}");
            }
        }
    }
}

fn exec(mut targets: Targets, options: &ExecOptions, cache: &Path) -> Result<u8> {
    add_own(&mut targets, &options.own)?;
    let target = targets.select(std::slice::from_ref(&options.name))?[0];
    let mut workshop = Workshop::open(&targets, cache, &options.own)?;
    let ready = workshop.prepare(target)?;
    let console = workshop.scratch.join("console");
    let mut attempt = ready.attempt(options.arguments.clone(), &console)?;
    attempt.patience(Duration::from_secs(options.limit));
    let mut told = None;
    loop {
        match attempt.next() {
            Came::Line(line) => match line.strip_prefix(init::STATUS) {
                Some(status) => told = status.parse().ok(),
                None => print(&format!("{line}\n"))?,
            },
            Came::Silence => {
                return Err(Trouble(format!("{}: no end in {} s", target.name, options.limit)));
            }
            Came::Ended => break,
        }
    }
    for line in &attempt.log {
        eprintln!("{line}");
    }
    let left = attempt.end()?;
    // A machine is turned off, whatever was done on it.
    let status = if ready.start.uses("{initramfs}") { told } else { left.code() };
    let status = status.and_then(|status: i32| status.try_into().ok());
    status.ok_or_else(|| Trouble(format!("{}: it did not come to its end: {left}", target.name)))
}
