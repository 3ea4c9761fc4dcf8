//! The stream of events: version 1, one JSON object a line, described in
//! `docs/events.md` and `docs/events.schema.json`.

use std::fs::File;
use std::io::{self, Write};

use ipcspec_harness::{Case, Evidence, Isolation, Outcome, Report, Source, show, target::Target};
use serde::{Deserialize, Serialize};

use crate::{Result, Trouble};

/// The version of the stream.
pub const SCHEMA: u32 = 1;

/// One line of the stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
#[allow(clippy::large_enum_variant)]
pub enum Event {
    /// The first line.
    Start(Start),
    /// One case, as it ends.
    Case(CaseRecord),
    /// The last line; without it the run is incomplete.
    End(End),
}

/// What runs where.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Start {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of ipcspec.
    pub suite: String,
    /// The kernel under test.
    pub target: Target,
    /// The isolation that cases have.
    pub isolation: IsolationRecord,
    /// Seed for cases that draw random numbers.
    pub seed: u64,
    /// Workers that run side by side.
    pub jobs: usize,
    /// Factor on every deadline.
    pub timeout_factor: f64,
    /// Names of the cases to run, in order.
    pub plan: Vec<String>,
}

/// An [`Isolation`] as it is reported.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IsolationRecord {
    /// Name of the level.
    pub level: String,
    /// The namespaces that cases have for themselves.
    pub namespaces: Vec<String>,
    /// Whether they were entered through a user namespace.
    pub user_namespace: bool,
    /// Why each better level was refused.
    pub refused: Vec<String>,
}

impl From<&Isolation> for IsolationRecord {
    fn from(isolation: &Isolation) -> Self {
        let names = isolation.namespaces.names();
        Self {
            level: isolation.level.clone(),
            namespaces: names
                .split(", ")
                .filter(|name| *name != "none")
                .map(str::to_owned)
                .collect(),
            user_namespace: isolation.user,
            refused: isolation.refused.clone(),
        }
    }
}

/// A place in the documentation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The page, as `pipe.7`.
    pub page: String,
    /// The heading.
    pub section: String,
}

impl From<&Source> for SourceRecord {
    fn from(source: &Source) -> Self {
        Self { page: source.page.0.to_owned(), section: source.section.to_owned() }
    }
}

/// What an entry of an expectations file says of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// The expected verdict.
    pub outcome: Outcome,
    /// Why it is expected.
    pub reason: String,
    /// Where it is written about; empty when nowhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
}

/// How one case went. Empty fields are left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseRecord {
    /// The path of the case.
    pub name: String,
    /// The first folder of the path.
    pub mechanism: String,
    /// The verdict.
    pub verdict: Outcome,
    /// The claim.
    pub claim: String,
    /// Where it is documented.
    pub sources: Vec<SourceRecord>,
    /// Claims and documented items that the case decides.
    pub settles: Vec<String>,
    /// Microseconds that it took.
    pub micros: u64,
    /// The weakest evidence of blocking that it relied on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// The call or expression that is spoken of.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub call: String,
    /// What was wanted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub expected: String,
    /// What came.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub observed: String,
    /// `file:line`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub at: String,
    /// Requirements that were not met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Warnings that the kernel printed meanwhile, and taints that it took on,
    /// whoever caused them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel: Vec<String>,
    /// The head of what the case wrote; told when it did not hold.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// The expectation that applied, met or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expectation: Option<Expectation>,
}

impl CaseRecord {
    /// The record of a report.
    pub fn new(case: &Case, report: Report, expectation: Option<Expectation>) -> Self {
        let mut output = report.output;
        if report.output_lost > 0 {
            output += &format!("\n… and {} bytes more", report.output_lost);
        }
        let details = report.details;
        let text = |get: fn(&ipcspec_harness::Details) -> &String| {
            details.as_ref().map(get).cloned().unwrap_or_default()
        };
        Self {
            name: case.path(),
            mechanism: case.mechanism().to_owned(),
            verdict: report.outcome,
            claim: case.claim.to_owned(),
            sources: case.sources.iter().map(SourceRecord::from).collect(),
            settles: case.settles.iter().map(|item| (*item).to_owned()).collect(),
            micros: report.micros,
            evidence: report.evidence,
            call: text(|details| &details.call),
            expected: text(|details| &details.expected),
            observed: text(|details| &details.observed),
            at: text(|details| &details.at),
            missing: details.as_ref().map(|details| details.missing.clone()).unwrap_or_default(),
            kernel: vec![],
            output: if report.outcome == Outcome::Held { String::new() } else { output },
            expectation,
        }
    }

    /// Whether an expectation applied and was not met. One that could not be
    /// asked about is not stale.
    pub fn is_stale(&self) -> bool {
        let expected = self.expectation.as_ref().map(|expectation| expectation.outcome);
        expected.is_some_and(|outcome| {
            outcome != self.verdict && !matches!(self.verdict, Outcome::Skipped | Outcome::Broken)
        })
    }

    /// Whether the verdict is one that nobody expected: violated or broken,
    /// or not what an expectation said.
    pub fn is_unexpected(&self) -> bool {
        let expected = self.expectation.as_ref().map(|expectation| expectation.outcome);
        self.is_stale()
            || matches!(self.verdict, Outcome::Violated | Outcome::Broken | Outcome::Killed)
                && expected != Some(self.verdict)
    }

    /// Why it was skipped or is absent, in one line.
    pub fn missing_line(&self) -> String {
        let mut line = self.missing.join("; ");
        if self.verdict == Outcome::Absent && !self.observed.is_empty() {
            line += &format!(" ({})", self.observed);
        }
        line
    }

    /// The lines that tell a case that did not hold: what was called, what
    /// was wanted, what came, where, and how to run it alone.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let sources: Vec<_> = self.sources.iter().map(ToString::to_string).collect();
        let alone = format!("ipcspec run {}", self.name);
        let missing = self.missing.join("; ");
        let expectation = self.expectation.as_ref().map_or_else(String::new, |expectation| {
            let reference = if expectation.reference.is_empty() {
                String::new()
            } else {
                format!(" ({})", expectation.reference)
            };
            format!("{}: {}{reference}", expectation.outcome, expectation.reason)
        });
        [
            ("claim", self.claim.clone()),
            ("source", sources.join("; ")),
            ("call", self.call.clone()),
            ("wanted", self.expected.clone()),
            ("got", self.observed.clone()),
            ("missing", missing),
            ("at", self.at.clone()),
            ("kernel", self.kernel.join("\n")),
            ("output", self.output.trim_end().to_owned()),
            ("expected", expectation),
            ("alone", alone),
        ]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .collect()
    }
}

impl std::fmt::Display for SourceRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}", show::page(&self.page), self.section)
    }
}

/// How many cases had each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Held.
    pub held: usize,
    /// Violated.
    pub violated: usize,
    /// Absent.
    pub absent: usize,
    /// Skipped.
    pub skipped: usize,
    /// Broken.
    pub broken: usize,
    /// Killed the target.
    #[serde(default, skip_serializing_if = "is_none")]
    pub killed: usize,
}

/// Most runs have none, and say nothing of it.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_none(count: &usize) -> bool {
    *count == 0
}

impl Counts {
    /// Counts records.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a CaseRecord>) -> Self {
        let mut counts = Self::default();
        for record in records {
            *counts.field(record.verdict) += 1;
        }
        counts
    }

    fn field(&mut self, outcome: Outcome) -> &mut usize {
        match outcome {
            Outcome::Held => &mut self.held,
            Outcome::Violated => &mut self.violated,
            Outcome::Absent => &mut self.absent,
            Outcome::Skipped => &mut self.skipped,
            Outcome::Broken => &mut self.broken,
            Outcome::Killed => &mut self.killed,
        }
    }

    /// The count of one verdict.
    pub fn get(mut self, outcome: Outcome) -> usize {
        *self.field(outcome)
    }

    /// The verdicts that are worth a column: that a case killed the target is
    /// told only where one did.
    pub fn told(self) -> Vec<Outcome> {
        let told = |outcome: &Outcome| *outcome != Outcome::Killed || self.killed > 0;
        Outcome::ALL.into_iter().filter(told).collect()
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let told: Vec<_> =
            self.told().into_iter().map(|it| format!("{} {it}", self.get(it))).collect();
        f.write_str(&told.join(", "))
    }
}

/// The last line of the stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct End {
    /// How many cases had each verdict.
    pub counts: Counts,
    /// Cases that were planned and not run.
    pub not_run: usize,
    /// Names of the cases with a verdict that nobody expected.
    pub unexpected: Vec<String>,
    /// Expectations that no longer apply, each in a line.
    pub stale: Vec<String>,
    /// Microseconds from the first case to the last.
    pub micros: u64,
    /// Exit status of the program.
    pub status: u8,
}

/// Where events go, flushed as they happen.
#[derive(Debug)]
pub enum Sink {
    /// Nowhere.
    None,
    /// Standard output.
    Stdout,
    /// A file, with its name.
    File(String, File),
}

impl Sink {
    /// `-` is standard output.
    pub fn open(name: Option<&str>) -> Result<Self> {
        match name {
            None => Ok(Self::None),
            Some("-") => Ok(Self::Stdout),
            Some(name) => File::create(name)
                .map(|file| Self::File(name.to_owned(), file))
                .map_err(|error| Trouble::with(name, error)),
        }
    }

    /// Writes one line.
    pub fn write(&mut self, event: &Event) -> Result {
        let mut line = serde_json::to_string(event).expect("events can be serialized");
        line.push('\n');
        match self {
            Self::None => Ok(()),
            Self::Stdout => crate::print(&line),
            Self::File(name, file) => file
                .write_all(line.as_bytes())
                .and_then(|()| file.flush())
                .map_err(|error| Trouble::with(name, error)),
        }
    }
}

/// A run as its stream tells it.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The start record.
    pub start: Start,
    /// The cases, in the order in which they ended.
    pub cases: Vec<CaseRecord>,
    /// The end record; none when the run is incomplete.
    pub end: Option<End>,
}

impl Recorded {
    /// Reads a stream.
    pub fn read(name: &str) -> Result<Self> {
        let text = std::fs::read_to_string(name).map_err(|error| Trouble::with(name, error))?;
        let mut start = None;
        let mut cases = vec![];
        let mut end = None;
        for (index, line) in text.lines().enumerate() {
            let event: Event = serde_json::from_str(line)
                .map_err(|error| Trouble::with(format!("{name}, line {}", index + 1), error))?;
            match event {
                Event::Start(record) if record.schema != SCHEMA => {
                    let told =
                        format!("schema version {}, this program reads {SCHEMA}", record.schema);
                    return Err(Trouble::with(name, told));
                }
                Event::Start(record) => start = Some(record),
                Event::Case(record) => cases.push(record),
                Event::End(record) => end = Some(record),
            }
        }
        let start =
            start.ok_or_else(|| Trouble::with(name, io::Error::other("no start record")))?;
        Ok(Self { start, cases, end })
    }
}
