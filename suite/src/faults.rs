//! `ipcspec faults`: which case notices which wrong kernel.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt::Write;
use std::io::{IsTerminal, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::Instant;

use ipcspec_faults::{Fault, none};
use ipcspec_harness::{Case, Outcome, Pool, Report, Settings};
use serde::Serialize;

use crate::select::Pattern;
use crate::{Result, Trouble, print};

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
    /// Cases to run side by side [default: four times the number of processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Write the matrix as JSON to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<String>,
    /// Write the matrix as Markdown to FILE
    #[arg(long, value_name = "FILE")]
    markdown: Option<String>,
}

/// What one fault did.
#[derive(Debug, Serialize)]
struct FaultRow {
    name: String,
    says: &'static str,
    violates: String,
    noticed_by: Vec<String>,
    #[serde(skip)]
    failures: Vec<(String, String)>,
    broke: Vec<String>,
}

/// What one case noticed.
#[derive(Debug, Serialize)]
struct CaseRow {
    name: String,
    failed_by: Vec<String>,
}

/// Who noticed what.
#[derive(Debug, Serialize)]
struct Matrix {
    faults: Vec<FaultRow>,
    cases: Vec<CaseRow>,
}

/// Does what was asked; the exit status.
pub fn run(cases: &[&'static Case], options: &Options) -> Result<u8> {
    match &options.command {
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

/// The deadline of a case here, in parts of its own: what hangs is most of
/// what the matrix costs.
const FACTOR: f64 = 0.2;

fn matrix(cases: &[&'static Case], options: &MatrixOptions) -> Result<u8> {
    let faults = select(&options.patterns)?;
    let settings = Settings {
        workers: options.jobs.map_or(4 * Settings::default().workers, usize::from),
        factor: FACTOR,
        ..Settings::default()
    };
    let began = Instant::now();
    let pool = Pool::start(&settings)
        .map_err(|error| Trouble::with("no worker could be started", error))?;
    // Only what holds without a fault can fail because of one.
    let plan: Vec<_> = (0..cases.len()).map(|case| (None, case)).collect();
    let mut sound = vec![false; cases.len()];
    run_all(&pool, &settings, cases, &faults, &plan, |job, report| {
        sound[plan[job].1] = report.outcome == Outcome::Held;
    });
    let plan: Vec<_> = faults
        .iter()
        .enumerate()
        .flat_map(|(fault, it)| {
            let wanted = |case: &Case| {
                options.all || it.mechanism() == "none" || is_judged_by(it, case.mechanism())
            };
            let cases = (0..cases.len()).filter(move |case| wanted(cases[*case]));
            cases.map(move |case| (Some(fault), case)).collect::<Vec<_>>()
        })
        .filter(|(_, case)| sound[*case])
        .collect();
    let mut failures: BTreeMap<(usize, usize), String> = BTreeMap::new();
    let mut broken: BTreeMap<(usize, usize), String> = BTreeMap::new();
    run_all(&pool, &settings, cases, &faults, &plan, |job, report| {
        let (fault, case) = (plan[job].0.unwrap_or_default(), plan[job].1);
        let told = report.details.as_ref().map(first_line).unwrap_or_default();
        match report.outcome {
            Outcome::Violated | Outcome::Absent => failures.insert((fault, case), told),
            Outcome::Broken => broken.insert((fault, case), told),
            Outcome::Held | Outcome::Skipped => None,
        };
    });
    drop(pool);
    let matrix = Matrix {
        faults: faults
            .iter()
            .enumerate()
            .map(|(index, fault)| {
                let of = |all: &BTreeMap<(usize, usize), String>| {
                    all.range((index, 0)..(index + 1, 0))
                        .map(|((_, case), told)| (cases[*case].path(), told.clone()))
                        .collect::<Vec<_>>()
                };
                FaultRow {
                    name: fault.path(),
                    says: fault.says,
                    violates: fault.source.to_string(),
                    noticed_by: of(&failures).into_iter().map(|(case, _)| case).collect(),
                    failures: of(&failures),
                    broke: of(&broken)
                        .into_iter()
                        .map(|(case, told)| format!("{case}: {told}"))
                        .collect(),
                }
            })
            .collect(),
        cases: cases
            .iter()
            .enumerate()
            .filter(|(case, _)| plan.iter().any(|(_, planned)| planned == case))
            .map(|(case, it)| CaseRow {
                name: it.path(),
                failed_by: failures
                    .keys()
                    .filter(|(_, failed)| *failed == case)
                    .map(|(fault, _)| faults[*fault].path())
                    .collect(),
            })
            .collect(),
    };
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&matrix).expect("a matrix can be serialized");
        std::fs::write(file, text + "\n").map_err(|error| Trouble::with(file, error))?;
    }
    let unnoticed = matrix.faults.iter().filter(|row| row.noticed_by.is_empty()).count();
    print(&told(&matrix, began))?;
    Ok(u8::from(unnoticed > 0))
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
        for broken in &row.broke {
            let _ = writeln!(text, "    broke {broken}");
        }
        if row.noticed_by.is_empty() {
            let _ = writeln!(text, "    NOBODY NOTICED");
        }
    }
    let mut list = |what: &str, names: Vec<&String>| {
        if !names.is_empty() {
            let _ = writeln!(text, "\n{what}:");
            for name in names {
                let _ = writeln!(text, "  {name}");
            }
        }
    };
    let unnoticed: Vec<_> =
        matrix.faults.iter().filter(|row| row.noticed_by.is_empty()).map(|row| &row.name).collect();
    let idle: Vec<_> =
        matrix.cases.iter().filter(|row| row.failed_by.is_empty()).map(|row| &row.name).collect();
    let (unnoticed_count, idle_count) = (unnoticed.len(), idle.len());
    list("faults that no case noticed", unnoticed);
    list("cases that no fault failed", idle);
    let _ = writeln!(
        text,
        "\n{} faults, {unnoticed_count} not noticed; {} cases, {idle_count} failed by no fault; {:.1} s",
        matrix.faults.len(),
        matrix.cases.len(),
        began.elapsed().as_secs_f32()
    );
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
                    let companion = fault.map(|fault| names[fault].as_str());
                    if tell.send((job, pool.run_with(case, cases[case], companion))).is_err() {
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
