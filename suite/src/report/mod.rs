//! `ipcspec report`: recorded runs side by side, in forms for people and for
//! other programs.

mod html;
mod kcidb;
mod markdown;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use ipcspec_harness::{Case, Outcome};

use crate::record::{CaseRecord, Counts, Recorded};
use crate::{Result, Trouble, junit, print};

pub use html::html;
pub use markdown::{cell, divergences, matrix, reason};

/// What to read, and what to write.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Streams of events, whole or compact; a target is named by its file
    /// without the extension, and they are told in this order
    #[arg(value_name = "EVENTS", required = true)]
    events: Vec<String>,
    /// Write one page for a browser, that needs no other file
    #[arg(long, value_name = "FILE")]
    html: Option<String>,
    /// Write the matrix and the list of divergences as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<String>,
    /// Write JUnit XML, a test suite for each target
    #[arg(long, value_name = "FILE")]
    junit: Option<String>,
    /// Write a report in the KCIDB I/O schema, version 5.3
    #[arg(long, value_name = "FILE")]
    kcidb: Option<String>,
    /// Write each stream in its compact form to DIR/TARGET.jsonl
    #[arg(long, value_name = "DIR")]
    compact: Option<String>,
}

/// Reads the streams and writes the reports; the exit status. A stream that
/// cannot be read is told of, and the others are reported without it.
pub fn run(cases: &[&'static Case], options: &Options) -> Result<u8> {
    let mut runs: Vec<Run> = vec![];
    let mut troubles = 0;
    for file in &options.events {
        match Run::read(file) {
            Ok(run) if runs.iter().any(|known| known.name == run.name) => {
                return Err(Trouble::with(file, format!("a second target named {}", run.name)));
            }
            Ok(run) => runs.push(run),
            Err(trouble) => {
                eprintln!("ipcspec: {trouble}");
                troubles += 1;
            }
        }
    }
    if runs.is_empty() {
        // Each was told of.
        return Ok(2);
    }
    let table = Table::new(cases, &runs);
    let whole = |text: String| Ok(text);
    let write = |file: &Option<String>, text: &dyn Fn() -> Result<String>| match file {
        Some(file) => std::fs::write(file, text()?).map_err(|error| Trouble::with(file, error)),
        None => Ok(()),
    };
    write(&options.html, &|| whole(html(&table)))?;
    write(&options.markdown, &|| whole(markdown::page(&table)))?;
    write(&options.junit, &|| junit::targets(&runs))?;
    write(&options.kcidb, &|| whole(kcidb::render(&runs)))?;
    if let Some(directory) = &options.compact {
        for run in &runs {
            let file = Path::new(directory).join(format!("{}.jsonl", run.name));
            std::fs::write(&file, run.recorded.compact())
                .map_err(|error| Trouble::with(file.display(), error))?;
        }
    }
    let lines = runs.iter().map(|run| {
        let incomplete = if run.recorded.end.is_none() { ", incomplete" } else { "" };
        format!("{}: {}{incomplete}\n", run.name, run.counts())
    });
    print(&lines.collect::<String>())?;
    Ok(if troubles > 0 { 2 } else { 0 })
}

/// A recorded run, and the name of its target.
#[derive(Debug)]
pub struct Run {
    /// The file's name without its extension.
    pub name: String,
    /// What was recorded.
    pub recorded: Recorded,
}

impl Run {
    /// Reads a stream, whole or compact.
    pub fn read(file: &str) -> Result<Self> {
        let name = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, recorded: Recorded::read(file)? })
    }

    /// How many cases had each verdict.
    pub fn counts(&self) -> Counts {
        Counts::of(&self.recorded.cases)
    }

    /// The planned cases without a verdict.
    pub fn not_run(&self) -> Vec<&str> {
        let run: HashSet<_> = self.recorded.cases.iter().map(|record| &record.name).collect();
        let plan = self.recorded.start.plan.iter();
        plan.filter(|name| !run.contains(name)).map(String::as_str).collect()
    }
}

/// Cases by targets.
#[derive(Debug)]
pub struct Table<'a> {
    /// The targets.
    pub runs: &'a [Run],
    /// One row a case: by mechanism and module, in the order of the suite.
    pub rows: Vec<Row<'a>>,
}

/// What every target said to one case.
#[derive(Debug)]
pub struct Row<'a> {
    /// A record of it that has the claim, if one does.
    pub case: &'a CaseRecord,
    /// The records, in the order of the targets; none where it was not run.
    pub records: Vec<Option<&'a CaseRecord>>,
}

impl<'a> Table<'a> {
    /// All cases that a target has a record of.
    pub fn new(cases: &[&'static Case], runs: &'a [Run]) -> Self {
        let known = cases.iter().map(|case| case.path());
        let mut places: HashMap<String, usize> =
            known.enumerate().map(|(place, name)| (name, place)).collect();
        let mut rows: HashMap<&str, Row> = HashMap::new();
        for (column, run) in runs.iter().enumerate() {
            for record in &run.recorded.cases {
                let next = places.len();
                places.entry(record.name.clone()).or_insert(next);
                let row = rows
                    .entry(&record.name)
                    .or_insert_with(|| Row { case: record, records: vec![None; runs.len()] });
                row.records[column] = Some(record);
                if row.case.claim.is_empty() {
                    row.case = record;
                }
            }
        }
        let mut rows: Vec<_> = rows.into_values().collect();
        rows.sort_by_key(|row| places[&row.case.name]);
        // Cases that the suite does not know stand with their module.
        let mut firsts: HashMap<&str, usize> = HashMap::new();
        for (place, row) in rows.iter().enumerate() {
            firsts.entry(&row.case.mechanism).or_insert(place);
            firsts.entry(row.module()).or_insert(place);
        }
        rows.sort_by_key(|row| (firsts[row.case.mechanism.as_str()], firsts[row.module()]));
        Self { runs, rows }
    }

    /// The mechanisms in order, each with its rows.
    pub fn by_mechanism(&self) -> Vec<(&'a str, &[Row<'a>])> {
        self.rows
            .chunk_by(|one, next| one.case.mechanism == next.case.mechanism)
            .map(|rows| (rows[0].case.mechanism.as_str(), rows))
            .collect()
    }
}

impl<'a> Row<'a> {
    /// The path of the case without its last part.
    pub fn module(&self) -> &'a str {
        self.case.name.rsplit_once("::").map_or("", |(module, _)| module)
    }

    /// Whether a target had another answer than that it holds.
    pub fn diverges(&self) -> bool {
        self.records.iter().flatten().any(|record| is_divergence(record.verdict))
    }
}

/// Neither held nor unasked.
fn is_divergence(verdict: Outcome) -> bool {
    !matches!(verdict, Outcome::Held | Outcome::Skipped)
}

/// Counts of one column of some rows.
fn counts(rows: &[Row], column: usize) -> Counts {
    Counts::of(rows.iter().filter_map(|row| row.records[column]))
}
