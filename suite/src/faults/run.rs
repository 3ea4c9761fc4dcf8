//! The cases under each fault, side by side.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt::Write;
use std::io::{IsTerminal, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::Instant;

use ipcspec_faults::{Fault, none};
use ipcspec_harness::{Accompanied, Case, Outcome, Pool, Report, Settings};

use super::{CaseRow, FaultRow, Matrix, markdown};
use crate::select::Pattern;
use crate::{Result, Trouble, fuzz_faults, print};

/// What `ipcspec faults` was asked to do.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    matrix: MatrixOptions,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the faults
    List,
    /// Tell everything about one fault
    Show {
        /// The path of the fault
        fault: String,
    },
    /// Run a program under a fault; the exit status is the program's
    Exec {
        /// The path of the fault
        fault: String,
        /// The program and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
struct MatrixOptions {
    /// Faults to try: paths, prefixes of paths, or globs; all when there is none
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Run every case, not only those of the fault's mechanism
    #[arg(long)]
    all: bool,
    /// Run these cases alone: a path, a prefix of one, or a glob; may be repeated
    #[arg(long, value_name = "PATTERN", conflicts_with = "all")]
    cases: Vec<String>,
    /// Cases to run side by side [default: eight times the number of processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Multiply every deadline by X: what hangs is most of what the matrix costs
    #[arg(long, value_name = "X", default_value = "0.2", value_parser = crate::run::factor)]
    timeout_factor: f64,
    /// Ask the fuzzer instead of the cases: does it find the fault by itself?
    #[arg(long, conflicts_with_all = ["all", "cases", "markdown"])]
    fuzz: bool,
    /// With --fuzz: seconds for each fault
    #[arg(long, value_name = "S", default_value_t = 30, requires = "fuzz",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Write the matrix as JSON to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<String>,
    /// Write the matrix as Markdown to FILE
    #[arg(long, value_name = "FILE")]
    markdown: Option<String>,
}

/// Does what was asked; the exit status.
pub fn run(cases: &[&'static Case], options: &Options) -> Result<u8> {
    match &options.command {
        None if options.matrix.fuzz => {
            let MatrixOptions { patterns, jobs, seconds, json, .. } = &options.matrix;
            let workers = jobs.map_or(2 * Settings::default().workers, usize::from);
            fuzz_faults::run(&select(patterns)?, workers, *seconds, json.as_deref())
        }
        None => matrix(cases, &options.matrix),
        Some(Command::List) => {
            let mut text = String::new();
            for fault in ipcspec_faults::all() {
                let _ =
                    writeln!(text, "{}\n    {}\n    {}\n", fault.path(), fault.says, fault.source);
            }
            print(&text).map(|()| 0)
        }
        Some(Command::Show { fault }) => {
            let fault = find(fault)?;
            let text = format!(
                "{}\n  says      {}\n  violates  {}\n  calls     {}\n",
                fault.path(),
                fault.says,
                fault.source,
                fault.on.names().join(", ")
            );
            print(&text).map(|()| 0)
        }
        Some(Command::Exec { fault, command }) => {
            let fault = find(fault)?;
            let words = command
                .iter()
                .map(|word| CString::new(word.as_str()))
                .collect::<std::result::Result<Vec<_>, _>>()
                .map_err(|error| Trouble::with("COMMAND", error))?;
            ipcspec_faults::tracer::exec(fault, &words)
                .map_err(|errno| Trouble::with("the program cannot be traced", errno))
        }
    }
}

fn find(path: &str) -> Result<&'static Fault> {
    ipcspec_faults::find(path)
        .ok_or_else(|| Trouble(format!("no fault {path:?}; `ipcspec faults list` names them all")))
}

/// The faults that the patterns mean; those without a fault only by name.
fn select(patterns: &[String]) -> Result<Vec<&'static Fault>> {
    let mut chosen = vec![];
    let all: Vec<_> = ipcspec_faults::all();
    let patterns = patterns.iter().map(|text| Pattern::new(text)).collect::<Result<Vec<_>>>()?;
    for pattern in &patterns {
        if !all.iter().copied().chain(none::FAULTS).any(|fault| pattern.matches(&fault.path())) {
            return Err(Trouble(format!(
                "no fault matches {pattern}; `ipcspec faults list` names them all"
            )));
        }
    }
    for fault in all.iter().copied().chain(none::FAULTS.iter().filter(|_| !patterns.is_empty())) {
        if patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(&fault.path())) {
            chosen.push(fault);
        }
    }
    Ok(chosen)
}

fn matrix(cases: &[&'static Case], options: &MatrixOptions) -> Result<u8> {
    let faults = select(&options.patterns)?;
    for file in options.json.iter().chain(&options.markdown) {
        // Better now than after the run.
        std::fs::File::create(file).map_err(|error| Trouble::with(file, error))?;
    }
    let began = Instant::now();
    let matrix = try_all(cases, &faults, options)?;
    if let Some(file) = &options.json {
        let text = serde_json::to_string(&matrix).expect("a matrix can be serialized");
        std::fs::write(file, text + "\n").map_err(|error| Trouble::with(file, error))?;
    }
    if let Some(file) = &options.markdown {
        std::fs::write(file, markdown(&matrix)).map_err(|error| Trouble::with(file, error))?;
    }
    print(&told(&matrix, began))?;
    let whole = options.patterns.is_empty();
    let missed = !matrix.unnoticed().is_empty()
        || whole && !(matrix.unfailed().is_empty() && matrix.not_beyond().is_empty());
    Ok(u8::from(missed))
}

/// Runs the cases under each fault.
fn try_all(
    cases: &[&'static Case],
    faults: &[&'static Fault],
    options: &MatrixOptions,
) -> Result<Matrix> {
    let settings = Settings {
        workers: options.jobs.map_or(8 * Settings::default().workers, usize::from),
        factor: options.timeout_factor,
        ..Settings::default()
    };
    let pool = Pool::start(&settings)
        .map_err(|error| Trouble::with("no worker could be started", error))?;
    let chosen = crate::select::select(cases, &options.cases)?;
    let wanted = |fault: &Fault, case: &Case| {
        if !options.cases.is_empty() {
            return chosen.iter().any(|(_, chosen)| chosen.path() == case.path());
        }
        options.all || fault.mechanism() == "none" || is_judged_by(fault, case.mechanism())
    };
    // Only what holds without a fault can fail because of one.
    let plan: Vec<_> = (0..cases.len())
        .filter(|case| faults.iter().any(|fault| wanted(fault, cases[*case])))
        .map(|case| (None, case))
        .collect();
    let mut sound = vec![false; cases.len()];
    run_all(&pool, &settings, cases, faults, &plan, |job, report| {
        sound[plan[job].1] = report.outcome == Outcome::Held;
    });
    // And only through what it does.
    let mut touched = vec![None; cases.len()];
    let looks = [&none::everything];
    let plan: Vec<_> = plan.into_iter().map(|(_, case)| (Some(0), case)).collect();
    run_all(&pool, &settings, cases, &looks, &plan, |job, report| {
        // Its marks are all of them only if it came to its end.
        touched[plan[job].1] = (report.outcome == Outcome::Held).then_some(report.marks);
    });
    let plan: Vec<_> = (0..faults.len())
        .flat_map(|fault| (0..cases.len()).map(move |case| (fault, case)))
        .filter(|(fault, case)| sound[*case] && wanted(faults[*fault], cases[*case]))
        .filter(|(fault, case)| {
            touched[*case].as_ref().is_none_or(|marks| faults[*fault].may_touch(marks))
        })
        .map(|(fault, case)| (Some(fault), case))
        .collect();
    let mut failures = BTreeMap::new();
    let mut broken = BTreeMap::new();
    let mut ask = |plan: &[(Option<usize>, usize)], workers| {
        let settings = Settings { workers, ..settings.clone() };
        run_all(&pool, &settings, cases, faults, plan, |job, report| {
            let place = (plan[job].0.unwrap_or_default(), plan[job].1);
            let told = report.details.as_ref().map(first_line).unwrap_or_default();
            broken.remove(&place);
            match report.outcome {
                Outcome::Violated | Outcome::Absent => failures.insert(place, told),
                Outcome::Broken | Outcome::Killed => broken.insert(place, told),
                Outcome::Held | Outcome::Skipped => None,
            };
        });
        // What broke says nothing, and many at a time may be why it did.
        let alone = broken.keys().filter(|(fault, case)| {
            let says = |failed: &(usize, usize)| failed.0 == *fault;
            let asks = |failed: &(usize, usize)| failed.1 == *case;
            !failures.keys().any(says) || !failures.keys().any(asks)
        });
        alone.map(|(fault, case)| (Some(*fault), *case)).collect::<Vec<_>>()
    };
    let alone = ask(&plan, settings.workers);
    ask(&alone, 1);
    let row = |(index, fault): (usize, &&'static Fault)| {
        let of = |all: &BTreeMap<(usize, usize), String>| -> Vec<(String, String)> {
            all.range((index, 0)..(index + 1, 0))
                .map(|((_, case), told)| (cases[*case].path(), told.clone()))
                .collect()
        };
        let failures = of(&failures);
        FaultRow {
            name: fault.path(),
            says: fault.says.to_owned(),
            violates: fault.source.to_string(),
            noticed_by: failures.iter().map(|(case, _)| case.clone()).collect(),
            failure: failures.first().map(|(_, told)| told.clone()).unwrap_or_default(),
            failures,
            broke: of(&broken).into_iter().map(|(case, _)| case).collect(),
            breaks: of(&broken),
        }
    };
    let failed_by = |case: usize| {
        let places = failures.keys().filter(move |(_, failed)| *failed == case);
        places.map(|(fault, _)| faults[*fault].path()).collect()
    };
    Ok(Matrix {
        faults: faults.iter().enumerate().map(row).collect(),
        cases: (0..cases.len())
            .filter(|case| sound[*case] && faults.iter().any(|fault| wanted(fault, cases[*case])))
            .map(|case| CaseRow { name: cases[case].path(), failed_by: failed_by(case) })
            .collect(),
    })
}

/// Whether the cases of this mechanism are there to notice the fault.
fn is_judged_by(fault: &Fault, mechanism: &str) -> bool {
    let own = fault.mechanism();
    own == mechanism || (own == "pipe" && mechanism == "readiness")
}

fn first_line(details: &ipcspec_harness::Details) -> String {
    let text = if details.expected.is_empty() {
        format!("{}: {}", details.call, details.observed)
    } else {
        format!("{}: wanted {}, got {}", details.call, details.expected, details.observed)
    };
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(160).collect()
}

fn told(matrix: &Matrix, began: Instant) -> String {
    let mut text = String::new();
    for row in &matrix.faults {
        let _ = writeln!(text, "{}\n    {}\n    violates {}", row.name, row.says, row.violates);
        for (case, failure) in &row.failures {
            let _ = writeln!(text, "    noticed by {case}\n        {failure}");
        }
        for (case, reason) in &row.breaks {
            let _ = writeln!(text, "    broke {case}\n        {reason}");
        }
        if row.noticed_by.is_empty() {
            let _ = writeln!(text, "    NOBODY NOTICED");
        }
    }
    let mut list = |what: &str, names: &[&str]| {
        if !names.is_empty() {
            let _ = writeln!(text, "\n{what}:");
            for name in names {
                let _ = writeln!(text, "  {name}");
            }
        }
    };
    list("faults that no case noticed", &matrix.unnoticed());
    let unfailed: Vec<_> = matrix.unfailed().into_iter().map(|case| broke(matrix, case)).collect();
    list("cases that no fault failed", &unfailed.iter().map(String::as_str).collect::<Vec<_>>());
    list("cases that beyond.tsv says no fault can fail, and one did", &matrix.not_beyond());
    let _ = writeln!(
        text,
        "\n{} faults, {} not noticed; {} cases, {} failed by no fault; {:.1} s",
        matrix.faults.len(),
        matrix.unnoticed().len(),
        matrix.cases.len(),
        matrix.unfailed().len(),
        began.elapsed().as_secs_f32()
    );
    text
}

/// The name of a case, and under which faults it broke, a line each.
fn broke(matrix: &Matrix, case: &str) -> String {
    let mut text = case.to_owned();
    for row in &matrix.faults {
        for (_, why) in row.breaks.iter().filter(|(broken, _)| broken == case) {
            let _ = write!(text, "\n    broke under {}: {why}", row.name);
        }
    }
    text
}

/// Runs each case of the plan under its fault, side by side.
fn run_all(
    pool: &Pool,
    settings: &Settings,
    cases: &[&'static Case],
    faults: &[&'static Fault],
    plan: &[(Option<usize>, usize)],
    mut take: impl FnMut(usize, Report),
) {
    let names: Vec<_> = faults.iter().map(|fault| fault.path()).collect();
    let next = AtomicUsize::new(0);
    let (tell, reports) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..settings.workers {
            let (tell, next, names) = (tell.clone(), &next, &names);
            scope.spawn(move || {
                while let Some((job, (fault, case))) = {
                    let job = next.fetch_add(1, SeqCst);
                    plan.get(job).map(|planned| (job, *planned))
                } {
                    let companion = fault.map(|fault| names[fault].clone());
                    let with = Accompanied { companion, order: None };
                    if tell.send((job, pool.run_with(case, cases[case], &with))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(tell);
        let shown = std::io::stderr().is_terminal();
        for (done, (job, report)) in reports.into_iter().enumerate() {
            if shown && done % 50 == 0 {
                let _ = write!(std::io::stderr(), "\r\x1b[K{done}/{}", plan.len());
            }
            take(job, report);
        }
        if shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    });
}
