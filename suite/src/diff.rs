//! `ipcspec diff`: what changed from one recorded run to another.

use std::fmt::Write;

use ipcspec_harness::{Case, Outcome};

use crate::report::{Row, Run, Table};
use crate::{Result, human, print};

/// What to compare.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The stream of events of the earlier run
    #[arg(value_name = "A")]
    from: String,
    /// The stream of events of the later run
    #[arg(value_name = "B")]
    to: String,
}

/// How a case differs between the runs, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    NewlyViolated,
    NewlyHeld,
    New,
    Gone,
    OtherVerdict,
}

impl Change {
    const ALL: [(Self, &str); 5] = [
        (Self::NewlyViolated, "newly violated"),
        (Self::NewlyHeld, "newly held"),
        (Self::New, "new"),
        (Self::Gone, "gone"),
        (Self::OtherVerdict, "other verdict"),
    ];

    /// None when both say the same.
    fn between(from: Option<Outcome>, to: Option<Outcome>) -> Option<Self> {
        match (from, to) {
            (from, to) if from == to => None,
            (None, _) => Some(Self::New),
            (_, None) => Some(Self::Gone),
            (_, Some(Outcome::Violated)) => Some(Self::NewlyViolated),
            (_, Some(Outcome::Held)) => Some(Self::NewlyHeld),
            _ => Some(Self::OtherVerdict),
        }
    }
}

/// Prints what changed. The exit status: 1 if something that held was asked
/// and no longer does; else 2 if B is incomplete, so that nobody knows; else 0.
pub fn run(cases: &[&'static Case], options: &Options) -> Result<u8> {
    let runs = [Run::read(&options.from)?, Run::read(&options.to)?];
    let table = Table::new(cases, &runs);
    let mut text = String::new();
    for (word, run) in ["from", "to"].into_iter().zip(&runs) {
        let place = human::place(&run.recorded.start);
        let incomplete = if run.recorded.end.is_none() { ", incomplete" } else { "" };
        let _ = writeln!(text, "{word:<5}{}: {place}{incomplete}", run.name);
    }
    let verdicts = |row: &Row| {
        let [from, to] = [0, 1].map(|column| row.records[column].map(|record| record.verdict));
        (from, to)
    };
    let mut totals = vec![];
    for (change, word) in Change::ALL {
        let rows = table.rows.iter().filter(|row| {
            let (from, to) = verdicts(row);
            Change::between(from, to) == Some(change)
        });
        let rows: Vec<_> = rows.collect();
        totals.push(format!("{} {word}", rows.len()));
        if !rows.is_empty() {
            let _ = writeln!(text, "\n{word}");
        }
        for row in rows {
            let told = match verdicts(row) {
                (Some(from), Some(to)) => format!("{from} → {to}"),
                (None, Some(only)) | (Some(only), None) => only.to_string(),
                (None, None) => continue,
            };
            let _ = writeln!(text, "  {} ({told})\n    {}", row.case.name, row.case.claim);
            if let Some(record) = row.records[1].filter(|record| record.verdict != Outcome::Held) {
                for (word, line) in record.lines() {
                    if matches!(word, "call" | "wanted" | "got" | "missing") {
                        let _ = writeln!(text, "    {word:<9}{}", line.replace('\n', " "));
                    }
                }
            }
        }
    }
    let _ = writeln!(text, "\n{}", totals.join(", "));
    print(&text)?;
    let lost = table.rows.iter().any(|row| {
        let (from, to) = verdicts(row);
        from == Some(Outcome::Held)
            && to.is_some_and(|to| !matches!(to, Outcome::Held | Outcome::Skipped))
    });
    Ok(match (lost, &runs[1].recorded.end) {
        (true, _) => 1,
        (false, None) => 2,
        (false, Some(_)) => 0,
    })
}
