//! `ipcspec fuzz`: random programs of several processes, judged by models.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use ipcspec_harness::{Accompanied, Case, Outcome, Pool, Report, Settings};
use ipcspec_models::{
    DRIVER, Form, Found, MECHANISMS, Mechanism, Order, Replayed, Replaying, Tally, Task,
};

use crate::{Result, Trouble, print};

/// What `ipcspec fuzz` was asked to do.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Mechanisms whose models judge, or `all`
    #[arg(value_name = "MECHANISM", required = true)]
    mechanisms: Vec<String>,
    /// Go on for so many seconds [default: 10, unless --programs is given]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    seconds: Option<u64>,
    /// Play so many programs of each mechanism
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    programs: Option<u64>,
    /// Where random programs begin
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Processes of a program at its start [default: each program chooses 1 to 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=4))]
    actors: Option<u8>,
    /// Most steps of a program
    #[arg(long, value_name = "N", default_value_t = 60,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    steps: u16,
    /// Let the processes run freely on all processors, and look for an order that explains it
    #[arg(long)]
    race: bool,
    /// Programs to play side by side [default: one processor is left to others]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Save what is found into this directory, for `ipcspec replay`
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Do not use the scheduler's priorities to know who sleeps
    #[arg(long)]
    polling: bool,
    /// Judge by this one of the models that are wrong on purpose, from 0
    #[arg(long, value_name = "N")]
    canary: Option<usize>,
    /// Print what every operation came to
    #[arg(long)]
    reached: bool,
}

/// What `ipcspec replay` was asked to do.
#[derive(Debug, clap::Args)]
pub struct ReplayOptions {
    /// A program, as `ipcspec fuzz --save` writes it
    file: PathBuf,
    /// Print a C program that shows the same, for a bug report
    #[arg(long, conflicts_with = "rust")]
    c: bool,
    /// Print the case to add
    #[arg(long)]
    rust: bool,
    /// Judge by this one of the models that are wrong on purpose, from 0
    #[arg(long, value_name = "N")]
    canary: Option<usize>,
}

/// Plays one saved program and prints what came of it; exit status 1 when the
/// model objects.
pub fn replay(cases: &[&'static Case], options: &ReplayOptions) -> Result<u8> {
    let name = options.file.display().to_string();
    let text = std::fs::read_to_string(&options.file)
        .map_err(|error| Trouble::with(options.file.display(), error))?;
    let names: Vec<_> = MECHANISMS.iter().map(|mechanism| mechanism.name).collect();
    let head = ipcspec_models::saved::peek(&text, &name, &names).map_err(Trouble)?;
    let mechanism = Mechanism::named(&head.mechanism).expect("it is one of these");
    mechanism.check(&text, &name).map_err(Trouble)?;
    knows_canary(mechanism, options.canary)?;
    let form = match (options.c, options.rust) {
        (true, _) => Form::C,
        (_, true) => Form::Rust,
        _ => Form::Table,
    };
    let what = Replaying { text, name, form, canary: options.canary };
    let pool = Pool::start(&Settings { workers: 1, ..Settings::default() })
        .map_err(|error| Trouble::with("no worker could be started", error))?;
    let report = pool.run_with(driver(cases)?, &DRIVER, &told_to_replay(what));
    let replayed = replayed(&report).map_err(Trouble)?;
    print(&replayed.text)?;
    Ok(u8::from(replayed.differs))
}

/// Whether a mechanism has this wrong model, if one is asked for.
fn knows_canary(mechanism: &Mechanism, canary: Option<usize>) -> Result {
    let known = (mechanism.canaries)().len();
    match canary.filter(|number| *number >= known) {
        Some(number) => Err(Trouble(format!("--canary {number}: {} has {known}", mechanism.name))),
        None => Ok(()),
    }
}

/// Where the driver is among what workers serve.
fn driver(cases: &[&'static Case]) -> Result<usize> {
    let driver = cases.iter().position(|case| case.path() == DRIVER.path());
    driver.ok_or_else(|| Trouble("this program cannot play programs".to_owned()))
}

/// How long one worker plays before it tells how it went.
const BATCH: Duration = Duration::from_secs(1);
/// A mechanism is given up after so many findings that differ.
const ENOUGH: usize = 8;
/// It is also given up after so many batches in which somebody could not be
/// directed: a kernel may tell little of what its processes do.
const BREAKS: usize = 4;

/// What became of one mechanism.
#[derive(Default)]
struct Sum {
    programs: u64,
    operations: u64,
    millis: u64,
    covered: BTreeSet<u64>,
    undecided: u64,
    unmade: BTreeMap<String, u64>,
    polled: bool,
    evidence: Option<String>,
    reached: BTreeMap<(String, String), u64>,
    found: Vec<Found>,
    /// Why batches came to nothing.
    broken: Vec<String>,
}

/// Fuzzes, and gives the exit status: 1 with findings, 2 if a program could
/// not be played.
pub fn run(cases: &[&'static Case], options: &Options) -> Result<u8> {
    let mechanisms = chosen(&options.mechanisms)?;
    if let Some(directory) = &options.save {
        std::fs::create_dir_all(directory)
            .map_err(|error| Trouble::with(directory.display(), error))?;
    }
    for mechanism in &mechanisms {
        knows_canary(mechanism, options.canary)?;
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    // A race needs more than one processor for itself.
    let free = if options.race { 1 } else { processors.saturating_sub(1).max(1) };
    let workers = options.jobs.map_or(free, usize::from);
    let settings = Settings { workers, ..Settings::default() };
    let pool = Pool::start(&settings)
        .map_err(|error| Trouble::with("no worker could be started", error))?;
    let driver = driver(cases)?;
    let mut status = 0;
    for mechanism in mechanisms {
        let sum = fuzz(&pool, driver, mechanism, options, workers);
        print(&told(mechanism, &sum, options))?;
        if let Some(directory) = &options.save {
            save(directory, mechanism, &sum.found)?;
        }
        let incomplete = sum.programs == 0 || !sum.broken.is_empty();
        status = match (sum.found.is_empty(), incomplete) {
            (false, _) => 1,
            (true, true) => status.max(if status == 1 { 1 } else { 2 }),
            _ => status,
        };
    }
    Ok(status)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Mechanism>> {
    let mut chosen: Vec<&'static Mechanism> = vec![];
    for name in names {
        let known = MECHANISMS.iter().map(|known| known.name).collect::<Vec<_>>().join(", ");
        let found: Vec<_> =
            MECHANISMS.iter().filter(|known| name == "all" || known.name == name).collect();
        if found.is_empty() {
            return Err(Trouble(format!("no model of {name}; there are {known}")));
        }
        let new = found.into_iter().filter(|one| !chosen.iter().any(|old| old.name == one.name));
        chosen.extend(new.collect::<Vec<_>>());
    }
    Ok(chosen)
}

fn fuzz(
    pool: &Pool,
    driver: usize,
    mechanism: &Mechanism,
    options: &Options,
    workers: usize,
) -> Sum {
    let began = Instant::now();
    let seconds = options.seconds.or(options.programs.is_none().then_some(10));
    let limit = seconds.map(|seconds| began + Duration::from_secs(seconds));
    let batches = AtomicU64::new(0);
    let left = AtomicU64::new(options.programs.unwrap_or(u64::MAX));
    let stopped = AtomicBool::new(false);
    // Rules that are not kept: what lies behind one finding is another.
    let known: Mutex<Vec<String>> = Mutex::default();
    let (tell, told) = mpsc::channel();
    let mut sum = Sum::default();
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let tell = tell.clone();
            let (batches, left, stopped, known) = (&batches, &left, &stopped, &known);
            scope.spawn(move || {
                while !stopped.load(SeqCst) {
                    let time = limit.map_or(BATCH, |limit| {
                        limit.saturating_duration_since(Instant::now()).min(BATCH)
                    });
                    if time.is_zero() || left.load(SeqCst) == 0 {
                        break;
                    }
                    // With a number of programs, each batch has a fixed one, so
                    // that a seed gives the same programs again.
                    let most = options.programs.map_or(u64::MAX, |_| 200);
                    let take = |left: u64| Some(left.saturating_sub(most));
                    let before = match options.programs {
                        Some(_) => left.fetch_update(SeqCst, SeqCst, take).unwrap_or(0),
                        None => u64::MAX,
                    };
                    let batch = batches.fetch_add(1, SeqCst);
                    let order = Order {
                        mechanism: mechanism.name.to_owned(),
                        seed: options.seed.wrapping_mul(1 << 32).wrapping_add(batch),
                        programs: most.min(before),
                        millis: if options.programs.is_some() && limit.is_none() {
                            20_000
                        } else {
                            time.as_millis() as u64
                        },
                        actors: options.actors.map(usize::from),
                        steps: options.steps.into(),
                        race: options.race,
                        place: (!options.polling && !options.race).then_some(worker),
                        minimising: 20_000,
                        traced: false,
                        canary: options.canary,
                        aside: known.lock().map(|known| known.clone()).unwrap_or_default(),
                    };
                    let tally = tally(&pool.run_with(driver, &DRIVER, &told_to(&order, None)));
                    if let (Ok(Tally { found: Some(found), .. }), Ok(mut known)) =
                        (&tally, known.lock())
                        && !known.contains(&found.rule)
                    {
                        known.push(found.rule.clone());
                    }
                    if tell.send(tally).is_err() {
                        break;
                    }
                }
            });
        }
        drop(tell);
        let progress = std::io::stderr().is_terminal();
        for tally in told {
            match tally {
                Ok(tally) => sum.add(tally),
                Err(broken) => sum.broken.push(broken),
            }
            if sum.found.len() >= ENOUGH || sum.broken.len() >= BREAKS {
                stopped.store(true, SeqCst);
            }
            if progress {
                let _ = write!(
                    std::io::stderr(),
                    "\r\x1b[K{}: {} programs, {} operations, {} findings, {:.0} s",
                    mechanism.name,
                    sum.programs,
                    sum.operations,
                    sum.found.len(),
                    began.elapsed().as_secs_f64()
                );
            }
        }
        if progress {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    });
    sum
}

/// What goes with a driver that is to play programs as ordered, beside this
/// companion.
pub fn told_to(order: &Order, companion: Option<String>) -> Accompanied {
    let task = serde_json::to_string(&Task::Fuzz(order.clone())).expect("an order is plain data");
    Accompanied { companion, order: Some(task) }
}

/// What goes with a driver that is to play this saved program.
pub fn told_to_replay(what: Replaying) -> Accompanied {
    let task = serde_json::to_string(&Task::Replay(what)).expect("a task is plain data");
    Accompanied { companion: None, order: Some(task) }
}

/// What a worker told of a saved program; else why it told nothing.
pub fn replayed(report: &Report) -> std::result::Result<Replayed, String> {
    answer(report)
}

/// What a worker told of a batch; else why it told nothing.
pub fn tally(report: &Report) -> std::result::Result<Tally, String> {
    answer(report)
}

fn answer<T: serde::de::DeserializeOwned>(report: &Report) -> std::result::Result<T, String> {
    if report.outcome != Outcome::Held {
        let details = report.details.iter().flat_map(ipcspec_harness::Details::lines);
        let text = details.map(|(word, line)| format!("{word} {line}")).collect::<Vec<_>>();
        return Err(format!("{}: {}", report.outcome, text.join("; ")));
    }
    let line = report.output.lines().rfind(|line| line.starts_with('{'));
    let line = line.ok_or_else(|| "the worker told nothing".to_owned())?;
    serde_json::from_str(line).map_err(|error| format!("what the worker told: {error}"))
}

impl Sum {
    fn add(&mut self, tally: Tally) {
        self.programs += tally.programs;
        self.operations += tally.operations;
        self.millis += tally.millis;
        self.covered.extend(tally.addresses());
        self.undecided += tally.undecided;
        self.polled |= !tally.by_priority;
        self.evidence = Some(format!("{:?}", tally.evidence).to_lowercase());
        for (shape, count) in tally.unmade {
            *self.unmade.entry(shape).or_insert(0) += count;
        }
        for (operation, outcome, count) in tally.reached {
            *self.reached.entry((operation, outcome)).or_insert(0) += count;
        }
        if let Some(found) = tally.found {
            let same = |old: &Found| old.rule == found.rule;
            if !self.found.iter().any(same) {
                self.found.push(found);
            }
        }
    }
}

fn told(mechanism: &Mechanism, sum: &Sum, options: &Options) -> String {
    let mut text = String::new();
    for found in &sum.found {
        let _ = writeln!(text, "FOUND  {}", mechanism.name);
        for step in &found.steps {
            let _ = writeln!(text, "  {step}");
        }
        let _ = writeln!(text, "  wanted   actor {}: {}", found.actor, found.wanted);
        let _ = writeln!(text, "  got      {}", found.got);
        let _ = writeln!(text, "  because  {}", found.rule);
        let (again, of) = found.confirmed;
        let _ = writeln!(text, "  again    {again} of {of} times\n");
    }
    if options.reached {
        for ((operation, outcome), count) in &sum.reached {
            let _ = writeln!(text, "  {operation:24} {outcome:12} {count:>10}");
        }
    }
    let seconds = (sum.millis as f64 / 1000.0).max(0.001);
    let listed = mechanism.listed().count();
    let reached = mechanism.listed().filter(|came| sum.reached.contains_key(came)).count();
    let _ = write!(
        text,
        "{}: {} programs, {} operations, {:.0} operations a second{}, \
         {reached} of {listed} outcomes reached, {} found",
        mechanism.name,
        sum.programs,
        sum.operations,
        sum.operations as f64 / seconds,
        if sum.polled { " (polling)" } else { "" },
        sum.found.len(),
    );
    if sum.undecided > 0 {
        let _ = write!(text, ", {} undecided", sum.undecided);
    }
    if !sum.covered.is_empty() {
        let _ = write!(text, ", {} places of the kernel", sum.covered.len());
    }
    text.push('\n');
    for (shape, count) in &sum.unmade {
        let _ = writeln!(
            text,
            "{}: {count} programs not played, none to be had: {shape}",
            mechanism.name
        );
    }
    if let Some(broken) = sum.broken.last() {
        let count = sum.broken.len();
        let _ = writeln!(text, "{}: {count} batches came to nothing: {broken}", mechanism.name);
    }
    text
}

/// Writes each finding into a file of its own.
fn save(directory: &Path, mechanism: &Mechanism, found: &[Found]) -> Result {
    for (number, found) in found.iter().enumerate() {
        let file = directory.join(format!("{}-{number}.json", mechanism.name));
        std::fs::write(&file, &found.saved)
            .map_err(|error| Trouble::with(file.display(), error))?;
        print(&format!("saved {}\n", file.display()))?;
    }
    Ok(())
}
