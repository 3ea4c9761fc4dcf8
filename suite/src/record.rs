//! The stream of events: version 1, one JSON object a line, described in
//! `docs/events.md` and `docs/events.schema.json`.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write;

use ipcspec_harness::{Case, Evidence, Isolation, Outcome, Report, Source, show, target::Target};
use serde::{Deserialize, Serialize};

use crate::one_or_more::OneOrMore;
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
    /// The architecture that the program was built for, which need not be
    /// that of the kernel; empty in older streams.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub architecture: String,
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
    /// Whether this is the compact form: a planned case without a record held.
    #[serde(default, skip_serializing_if = "is_false")]
    pub compact: bool,
    /// In the compact form, names of the planned cases that were not run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_run: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // what serde calls
fn is_false(value: &bool) -> bool {
    !value
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
    /// The expected verdict; several where a kernel is not of one mind.
    pub outcome: OneOrMore<Outcome>,
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

    /// A case that held, where only its name was kept: the rest as the suite
    /// knows it, if it still does.
    fn held(name: &str, case: Option<&'static Case>) -> Self {
        Self {
            name: name.to_owned(),
            mechanism: name.split("::").next().unwrap_or_default().to_owned(),
            verdict: Outcome::Held,
            claim: case.map_or_else(String::new, |case| case.claim.to_owned()),
            sources: case.map_or_else(Vec::new, |case| {
                case.sources.iter().map(SourceRecord::from).collect()
            }),
            settles: case.map_or_else(Vec::new, |case| {
                case.settles.iter().map(|item| (*item).to_owned()).collect()
            }),
            micros: 0,
            evidence: None,
            call: String::new(),
            expected: String::new(),
            observed: String::new(),
            at: String::new(),
            missing: vec![],
            kernel: vec![],
            output: String::new(),
            expectation: None,
        }
    }

    /// Whether there is nothing to tell of it but that it held.
    fn simply_held(&self) -> bool {
        self.verdict == Outcome::Held && self.expectation.is_none() && self.kernel.is_empty()
    }

    /// Whether an expectation names the verdict.
    fn is_expected(&self) -> bool {
        let expectation = self.expectation.as_ref();
        expectation.is_some_and(|it| it.outcome.as_slice().contains(&self.verdict))
    }

    /// Whether an expectation applied and was not met. One that could not be
    /// asked about is not stale.
    pub fn is_stale(&self) -> bool {
        let asked = !matches!(self.verdict, Outcome::Skipped | Outcome::Broken);
        asked && self.expectation.is_some() && !self.is_expected()
    }

    /// Whether the verdict is one that nobody expected: violated or broken,
    /// or not what an expectation said.
    pub fn is_unexpected(&self) -> bool {
        let red = matches!(self.verdict, Outcome::Violated | Outcome::Broken | Outcome::Killed);
        self.is_stale() || red && !self.is_expected()
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
    /// The cases, in the order of the plan.
    pub cases: Vec<CaseRecord>,
    /// The end record; none when the run is incomplete.
    pub end: Option<End>,
}

impl Recorded {
    /// Reads a stream, whole or compact; what the compact form leaves out
    /// comes from the suite. A last line that was cut short is left out: such a
    /// stream has no end record. Any other line that is no event, or stands
    /// where it cannot, is trouble that names it.
    pub fn read(name: &str) -> Result<Self> {
        let bytes = std::fs::read(name).map_err(|error| Trouble::with(name, error))?;
        Self::parse(&ipcspec_cases::all(), &bytes)
            .map_err(|(line, told)| Trouble::with(format!("{name}, line {line}"), told))
    }

    /// The same, from memory; trouble with the number of its line.
    fn parse(cases: &[&'static Case], bytes: &[u8]) -> std::result::Result<Self, (usize, String)> {
        let mut start: Option<Start> = None;
        let mut records: Vec<CaseRecord> = vec![];
        let mut seen = HashSet::new();
        let mut end: Option<End> = None;
        let mut last = 1;
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            last = index + 1;
            let event = match serde_json::from_slice(line) {
                Ok(event) => event,
                Err(_) if start.is_some() && !line.ends_with(b"\n") => break,
                Err(error) => return Err((last, no_event(&error))),
            };
            let misplaced = match (&event, &start, &end) {
                (Event::Start(_), Some(_), _) => Some("a second start record"),
                (Event::Case(_) | Event::End(_), None, _) => Some("no start record before it"),
                (_, _, Some(_)) => Some("a record after the end record"),
                _ => None,
            };
            if let Some(told) = misplaced {
                return Err((last, told.to_owned()));
            }
            match event {
                Event::Start(record) if record.schema != SCHEMA => {
                    let version = record.schema;
                    let told = format!("schema version {version}, this program reads {SCHEMA}");
                    return Err((last, told));
                }
                Event::Start(record) => start = Some(record),
                Event::Case(record) if !seen.insert(record.name.clone()) => {
                    return Err((last, format!("{} a second time", record.name)));
                }
                Event::Case(record) => records.push(record),
                Event::End(record) => end = Some(record),
            }
        }
        let Some(mut start) = start else {
            return Err((last, "no start record: not a stream of events".to_owned()));
        };
        if std::mem::take(&mut start.compact) {
            let not_run: HashSet<_> = std::mem::take(&mut start.not_run).into_iter().collect();
            let known: HashMap<_, _> = cases.iter().map(|case| (case.path(), *case)).collect();
            let left_out =
                start.plan.iter().filter(|name| !seen.contains(*name) && !not_run.contains(*name));
            records.extend(left_out.map(|name| CaseRecord::held(name, known.get(name).copied())));
        }
        if let Some(End { counts, .. }) = &end
            && *counts != Counts::of(&records)
        {
            let told = "the end record counts other cases than the stream has";
            return Err((last, told.to_owned()));
        }
        let places: HashMap<_, _> =
            start.plan.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
        records.sort_by_key(|record| places.get(record.name.as_str()).copied());
        Ok(Self { start, cases: records, end })
    }

    /// The compact form: start, what did not simply hold, and end.
    pub fn compact(&self) -> String {
        let run: HashSet<_> = self.cases.iter().map(|record| &record.name).collect();
        let plan = self.start.plan.iter();
        let start = Start {
            compact: true,
            not_run: plan.filter(|name| !run.contains(name)).cloned().collect(),
            ..self.start.clone()
        };
        let told = self.cases.iter().filter(|record| !record.simply_held());
        let events = std::iter::once(Event::Start(start))
            .chain(told.cloned().map(Event::Case))
            .chain(self.end.clone().map(Event::End));
        events
            .map(|event| serde_json::to_string(&event).expect("events can be serialized") + "\n")
            .collect()
    }
}

/// Why a line is no event. The place is within the line, where the reader
/// would look for it in the file.
fn no_event(error: &serde_json::Error) -> String {
    let told = error.to_string();
    let told = told.split(" at line ").next().unwrap_or_default();
    format!("not an event: {told}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = r#"{"event":"start","schema":1,"suite":"0.1.0","target":{"sysname":"Linux","release":"1","version":"","machine":"","distribution":"","uid":0,"gid":0,"capabilities":[],"processors":1,"sysctls":{}},"isolation":{"level":"full","namespaces":[],"user_namespace":false,"refused":[]},"seed":0,"jobs":1,"timeout_factor":1.0,"plan":["a::a::one","a::a::two","a::a::three"]}"#;

    fn case(name: &str, verdict: &str) -> String {
        format!(
            r#"{{"event":"case","name":"{name}","mechanism":"a","verdict":"{verdict}","claim":"So it is.","sources":[{{"page":"pipe.7","section":"NOTES"}}],"settles":[],"micros":1}}"#
        )
    }

    fn end(held: usize, violated: usize) -> String {
        format!(
            r#"{{"event":"end","counts":{{"held":{held},"violated":{violated},"absent":0,"skipped":0,"broken":0}},"not_run":1,"unexpected":[],"stale":[],"micros":1,"status":0}}"#
        )
    }

    fn read(lines: &[&str]) -> std::result::Result<Recorded, String> {
        Recorded::parse(&[], lines.join("\n").as_bytes())
            .map_err(|(line, told)| format!("line {line}: {told}"))
    }

    #[test]
    fn a_stream_is_cut_short_anywhere() {
        let (one, two) = (case("a::a::two", "violated"), case("a::a::one", "held"));
        let whole = [START, &one, &two, &end(1, 1), ""].join("\n");
        assert!(Recorded::parse(&[], whole.as_bytes()).unwrap().end.is_some());
        for length in START.len()..whole.len() - 2 {
            let recorded = Recorded::parse(&[], &whole.as_bytes()[..length]).unwrap();
            assert!(recorded.end.is_none(), "{length}");
            let wanted = [&one, &two].map(|line| whole.find(line).unwrap() + line.len());
            assert_eq!(recorded.cases.len(), wanted.iter().filter(|at| **at <= length).count());
        }
        assert!(Recorded::parse(&[], &whole.as_bytes()[..START.len() - 1]).is_err());
    }

    #[test]
    fn what_cannot_be_is_named_by_its_line() {
        let (one, held) = (case("a::a::one", "violated"), case("a::a::one", "held"));
        for (lines, told) in [
            (&[""] as &[&str], "line 1: no start record"),
            (&["hello"], "line 1: not an event: expected value"),
            (&["{}"], "line 1: not an event: missing field `event`"),
            (&[&one, START], "line 1: no start record before it"),
            (&[START, START], "line 2: a second start record"),
            (&[START, &one, "hello", &end(0, 1)], "line 3: not an event"),
            (&[START, &one, &held, ""], "line 3: a::a::one a second time"),
            (&[START, &end(0, 0), &one], "line 3: a record after the end"),
            (&[START, &one, &end(1, 0)], "line 3: the end record counts other cases"),
            (
                &[START, &case("a::a::one", "odd"), ""],
                "line 2: not an event: unknown variant `odd`",
            ),
            (&[&START.replace(":1,\"suite", ":2,\"suite")], "line 1: schema version 2"),
        ] {
            let trouble = read(lines).unwrap_err();
            assert!(trouble.starts_with(told), "{trouble}");
        }
    }

    #[test]
    fn the_compact_form_tells_the_same() {
        let (one, two) = (case("a::a::two", "violated"), case("a::a::one", "held"));
        let mut whole = read(&[START, &one, &two, &end(1, 1)]).unwrap();
        let compact = whole.compact();
        assert_eq!(compact.lines().count(), 3);
        assert!(compact.contains(r#""compact":true,"not_run":["a::a::three"]}"#), "{compact}");
        let again = Recorded::parse(&[], compact.as_bytes()).unwrap();
        assert_eq!(again.compact(), compact);
        // Of a case that held, and is not known any more, name and verdict are left.
        let held = &mut whole.cases[0];
        (held.claim, held.sources, held.micros) = (String::new(), vec![], 0);
        assert_eq!(format!("{again:?}"), format!("{whole:?}"));
    }
}
