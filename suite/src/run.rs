//! `ipcspec run`.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::Instant;

use ipcspec_harness::{Case, Outcome, Pool, Report, Settings, target::Target};

use crate::expect::Expectations;
use crate::kmsg::Kmsg;
use crate::record::{CaseRecord, Counts, End, Event, SCHEMA, Sink, Start};
use crate::select::{Selected, select};
use crate::{Result, Trouble, human, junit, ktap, print};

/// What `ipcspec run` was asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Cases to run: paths, prefixes of paths, or globs; all when there is none
    #[arg(value_name = "PATTERN")]
    pub patterns: Vec<String>,
    /// Leave out what comes before CASE: a run that was cut short goes on there
    #[arg(long, value_name = "CASE")]
    pub from: Option<String>,
    /// Cases to run side by side [default: the number of processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,
    /// Write the stream of events to FILE (`-` for standard output)
    #[arg(long, value_name = "FILE")]
    pub events: Option<String>,
    /// Write a JUnit report to FILE
    #[arg(long, value_name = "FILE")]
    pub junit: Option<String>,
    /// Print KTAP instead of the summary
    #[arg(long)]
    pub ktap: bool,
    /// Read expectations from FILE
    #[arg(long, value_name = "FILE")]
    pub expect: Option<String>,
    /// Multiply every deadline by X, for slow targets
    #[arg(long, value_name = "X", default_value = "1", value_parser = factor)]
    pub timeout_factor: f64,
    /// Seed for cases that draw random numbers
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Best isolation to use; lower levels follow where it is refused
    #[arg(long, value_name = "LEVEL", default_value = "full",
          value_parser = clap::builder::PossibleValuesParser::new(levels()))]
    pub isolation: String,
    /// Print only what is unexpected and one line of counts
    #[arg(short, long)]
    pub quiet: bool,
    /// Stop at the first unexpected verdict
    #[arg(long)]
    pub fail_fast: bool,
    /// For `git bisect run`: exit with 125 when the question could not be asked
    #[arg(long)]
    pub bisect: bool,
}

fn levels() -> Vec<&'static str> {
    ipcspec_harness::LEVELS.iter().map(|(name, _)| *name).collect()
}

/// A factor on deadlines.
pub(crate) fn factor(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.1..=1000.0).contains(&factor) => Ok(factor),
        _ => Err("a number from 0.1 to 1000 is needed".to_owned()),
    }
}

/// Runs, reports, and gives the exit status.
pub fn run(cases: &[&'static Case], options: &Options) -> Result<u8> {
    if options.ktap && options.events.as_deref() == Some("-") {
        return Err(Trouble("--ktap and --events - both want standard output".to_owned()));
    }
    let mut selected = select(cases, &options.patterns)?;
    if let Some(from) = &options.from {
        let begin = selected.iter().position(|(_, case)| case.path() == *from);
        let begin = begin.ok_or_else(|| Trouble(format!("--from {from}: no such case to run")))?;
        selected.drain(..begin);
    }
    let settings = Settings {
        workers: options
            .jobs
            .map_or(Settings::default().workers, usize::from)
            .min(selected.len().max(1)),
        isolation: options.isolation.clone(),
        factor: options.timeout_factor,
        seed: options.seed,
    };
    let mut sink = Sink::open(options.events.as_deref())?;
    if let Some(file) = &options.junit {
        // Better now than after the run.
        junit_is_writable(file)?;
    }
    let pool = Pool::start(&settings)
        .map_err(|error| Trouble::with("no worker could be started", error))?;
    let start = Start {
        schema: SCHEMA,
        suite: env!("CARGO_PKG_VERSION").to_owned(),
        architecture: std::env::consts::ARCH.to_owned(),
        target: Target::running(),
        isolation: pool.isolation().into(),
        seed: options.seed,
        jobs: settings.workers,
        timeout_factor: options.timeout_factor,
        plan: selected.iter().map(|(_, case)| case.path()).collect(),
        compact: false,
        not_run: vec![],
    };
    let expectations = match &options.expect {
        Some(file) => Expectations::read(file, cases, &start)?,
        None => Expectations::default(),
    };
    sink.write(&Event::Start(start.clone()))?;

    let began = Instant::now();
    let mut records = vec![];
    let mut kmsg = Kmsg::from_now_on();
    let mut progress = Progress::new(selected.len(), options.quiet);
    for_each_report(&pool, &selected, settings.workers, |position, report| {
        let (_, case) = selected[position];
        let expectation = expectations.of(&case.path()).cloned();
        let mut record = CaseRecord::new(case, report, expectation);
        record.kernel = kmsg.grave();
        progress.show(&record);
        sink.write(&Event::Case(record.clone()))?;
        let go_on = !(options.fail_fast && record.is_unexpected());
        records.push((position, record));
        Ok(go_on)
    })?;
    progress.clear();
    let micros = began.elapsed().as_micros() as u64;
    drop(pool);
    records.sort_by_key(|(position, _)| *position);
    let records: Vec<_> = records.into_iter().map(|(_, record)| record).collect();

    let stale = expectations.stale(&records);
    let not_run = selected.len() - records.len();
    let status = status(&records, &stale, not_run, options.bisect);
    let end = End {
        counts: Counts::of(&records),
        not_run,
        unexpected: records
            .iter()
            .filter(|record| record.is_unexpected())
            .map(|record| record.name.clone())
            .collect(),
        stale,
        micros,
        status,
    };
    sink.write(&Event::End(end.clone()))?;
    if let Some(file) = &options.junit {
        junit::write(file, &start, &records)?;
    }
    let summary = human::summary(&start, &records, &end, options.quiet);
    if options.ktap {
        print(&ktap::render(&human::place(&start), &records))?;
    } else if matches!(sink, Sink::Stdout) {
        eprint!("{summary}");
    } else {
        print(&summary)?;
    }
    Ok(status)
}

fn junit_is_writable(file: &str) -> Result {
    std::fs::File::create(file).map(drop).map_err(|error| Trouble::with(file, error))
}

/// 1 before 2: a violation that was seen is one, whatever else went wrong.
fn status(records: &[CaseRecord], stale: &[String], not_run: usize, bisect: bool) -> u8 {
    let unexpected =
        |outcome| records.iter().any(|record| record.verdict == outcome && record.is_unexpected());
    let could_not_ask = records.iter().any(|record| {
        matches!(record.verdict, Outcome::Skipped | Outcome::Absent | Outcome::Broken)
    });
    if records.iter().any(|record| record.verdict != Outcome::Broken && record.is_unexpected())
        || !stale.is_empty()
    {
        1
    } else if bisect && could_not_ask {
        125
    } else if unexpected(Outcome::Broken) || not_run > 0 {
        2
    } else {
        0
    }
}

/// Runs all cases, each as soon as a worker is free, and hands over the
/// reports as they come, with the place of the case in `selected`. Stops
/// starting cases once `take` says `false`.
fn for_each_report(
    pool: &Pool,
    selected: &[Selected],
    workers: usize,
    mut take: impl FnMut(usize, Report) -> Result<bool>,
) -> Result {
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let tell = tell.clone();
            let (next, stopped) = (&next, &stopped);
            scope.spawn(move || {
                while !stopped.load(SeqCst) {
                    let position = next.fetch_add(1, SeqCst);
                    let Some((index, case)) = selected.get(position) else { break };
                    if tell.send((position, pool.run(*index, case))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(tell);
        let mut result = Ok(());
        for (position, report) in told {
            if result.is_ok() {
                match take(position, report) {
                    Ok(true) => {}
                    Ok(false) => stopped.store(true, SeqCst),
                    Err(trouble) => {
                        stopped.store(true, SeqCst);
                        result = Err(trouble);
                    }
                }
            }
        }
        result
    })
}

/// The line that moves on a terminal.
struct Progress {
    total: usize,
    done: usize,
    failed: usize,
    shown: bool,
}

impl Progress {
    fn new(total: usize, quiet: bool) -> Self {
        Self { total, done: 0, failed: 0, shown: !quiet && std::io::stderr().is_terminal() }
    }

    fn show(&mut self, record: &CaseRecord) {
        self.done += 1;
        self.failed += usize::from(record.is_unexpected());
        if self.shown {
            let failed = if self.failed > 0 {
                format!(", {} unexpected", self.failed)
            } else {
                String::new()
            };
            let mut line = format!("{}/{}{failed} {}", self.done, self.total, record.name);
            line.truncate(line.char_indices().nth(79).map_or(line.len(), |(index, _)| index));
            let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
        }
    }

    fn clear(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
