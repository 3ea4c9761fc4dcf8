//! `ipcspec-lab run`: the suite on each target, once more where a target died,
//! until there is a whole stream of events.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use ipcspec_harness::{Case, Outcome};
use ipcspec_suite::expect::Expectations;
use ipcspec_suite::record::{CaseRecord, Counts, End, Event, SCHEMA, Start as StartRecord};
use ipcspec_suite::{Result, Trouble};

use crate::attempt::{Attempt, Came};
use crate::target::{Filling, Start, Target};

/// How often a target may fail to come as far as its first case, or lose a
/// line on the way.
const TRIES: u32 = 4;
/// How often a target dies in a case until the case is said to have killed it.
const DEATHS: u32 = 2;
/// How often a target may die at all.
const ALL_DEATHS: u32 = 60;

/// Everything that is needed to start a target.
#[derive(Debug)]
pub struct Ready<'t> {
    /// The target.
    pub target: &'t Target,
    /// How it is started.
    pub start: &'t Start,
    /// What stands for the placeholders, but for arguments and console.
    pub values: Vec<(&'static str, String)>,
}

impl Ready<'_> {
    /// Starts the program with these arguments. The console goes to a file,
    /// if it does not come with the rest.
    pub fn attempt(&self, arguments: Vec<String>, console: &Path) -> Result<Attempt> {
        let mut values = self.values.clone();
        values.push(("{console}", console.display().to_string()));
        let command = Filling { values, arguments }.fill(&self.start.command);
        Attempt::start(&command, Duration::from_secs(self.start.silence))
    }
}

/// Where results go, and what they are held against.
#[derive(Debug)]
pub struct Places {
    /// The directory of results.
    pub output: PathBuf,
    /// The directory of expectations.
    pub expectations: Option<PathBuf>,
}

/// How a target did.
#[derive(Debug)]
pub struct Done {
    /// Its counts.
    pub counts: Counts,
    /// Verdicts that nobody expected.
    pub unexpected: Vec<String>,
    /// Expectations that no longer apply.
    pub stale: Vec<String>,
    /// Cases that were not run.
    pub not_run: usize,
    /// What happened besides.
    pub notes: Vec<String>,
    /// Seconds that it took.
    pub seconds: u64,
}

/// Runs the cases on one target, and writes its stream of events.
pub fn run(
    ready: &Ready,
    cases: &[&'static Case],
    patterns: &[String],
    places: &Places,
    bars: &MultiProgress,
) -> Result<Done> {
    let name = &ready.target.name;
    let began = Instant::now();
    let bar = bars.add(ProgressBar::new(cases.len() as u64));
    let style = ProgressStyle::with_template("{prefix:16} {bar:30} {pos}/{len} {msg}");
    bar.set_style(style.expect("a sound template"));
    bar.set_prefix(name.clone());
    let mut recording = Recording::create(ready.target, cases, places, bar)?;
    let mut tries = TRIES;
    let mut deaths: HashMap<usize, u32> = HashMap::new();
    while tries > 0 && !recording.is_whole() {
        let came_in = recording.records.len();
        let fate = recording.go_on(ready, patterns)?;
        if recording.records.len() > came_in {
            tries = TRIES;
        }
        let (how, died) = match fate {
            Fate::Ended => continue,
            Fate::Dead(how) => (how, true),
            Fate::Lost(how) => (how, false),
        };
        let all: u32 = deaths.values().sum();
        let Some(case) = recording.suspect().filter(|_| died && all < ALL_DEATHS) else {
            tries -= 1;
            recording.note(if died { format!("came to no case: {how}") } else { how });
            continue;
        };
        let times = deaths.entry(recording.records.len()).or_default();
        *times += 1;
        recording.note(format!("died during {case}: {how}"));
        if *times >= DEATHS {
            recording.killed(&how)?;
        }
    }
    recording.finish(began)
}

/// How an attempt went.
enum Fate {
    /// It came to the end of its stream.
    Ended,
    /// It did not: why, in words.
    Dead(String),
    /// A line was lost on the way, which is no fault of the case: in words.
    Lost(String),
}

/// The stream of a target, as it grows.
struct Recording<'t> {
    name: String,
    file: File,
    console: PathBuf,
    cases: &'t [&'static Case],
    expectations_file: Option<PathBuf>,
    expectations: Expectations,
    start: Option<StartRecord>,
    /// Of the first cases of the plan, in its order: the next one is to come.
    records: Vec<CaseRecord>,
    ended: bool,
    last_words: Vec<String>,
    notes: Vec<String>,
    bar: ProgressBar,
}

impl<'t> Recording<'t> {
    fn create(
        target: &Target,
        cases: &'t [&'static Case],
        places: &Places,
        bar: ProgressBar,
    ) -> Result<Self> {
        let name = target.name.clone();
        let path = places.output.join(format!("{name}.jsonl"));
        let file = File::create(&path).map_err(|error| Trouble::with(path.display(), error))?;
        let expectations = places.expectations.as_ref();
        let expectations_file = expectations
            .map(|place| place.join(format!("{name}.toml")))
            .filter(|file| file.is_file());
        Ok(Self {
            console: places.output.join(format!("{name}.console")),
            name,
            file,
            cases,
            expectations_file,
            expectations: Expectations::default(),
            start: None,
            records: vec![],
            ended: false,
            last_words: vec![],
            notes: vec![],
            bar,
        })
    }

    fn plan(&self) -> &[String] {
        self.start.as_ref().map_or(&[], |start| &start.plan)
    }

    fn is_whole(&self) -> bool {
        self.ended || self.start.is_some() && self.records.len() >= self.plan().len()
    }

    /// The case that was to come.
    fn suspect(&self) -> Option<String> {
        self.plan().get(self.records.len()).cloned()
    }

    fn note(&mut self, note: String) {
        self.bar.set_message(note.clone());
        self.notes.push(note);
    }

    fn write(&mut self, event: &Event) -> Result {
        let line = serde_json::to_string(event).expect("events can be serialized") + "\n";
        self.file
            .write_all(line.as_bytes())
            .map_err(|error| Trouble::with(format!("{}.jsonl", self.name), error))
    }

    /// One attempt, from the case that comes next.
    fn go_on(&mut self, ready: &Ready, patterns: &[String]) -> Result<Fate> {
        let mut arguments = vec!["run".to_owned()];
        arguments.extend(["--events", "-", "--quiet", "--jobs", "1"].map(str::to_owned));
        arguments.extend(ready.start.run.iter().cloned());
        if let Some(case) = self.suspect() {
            arguments.extend(["--from".to_owned(), case]);
        }
        arguments.extend(patterns.iter().cloned());
        let mut attempt = ready.attempt(arguments, &self.console)?;
        let (mut ended, mut lost) = (false, false);
        let mut how = None;
        loop {
            let line = match attempt.next() {
                Came::Line(line) => line,
                Came::Ended => break,
                Came::Silence => {
                    how = Some(format!("nothing came for {} s", ready.start.silence));
                    break;
                }
            };
            match serde_json::from_str(&line) {
                Ok(Event::Start(start)) => self.started(start)?,
                Ok(Event::Case(record)) if Some(&record.name) == self.suspect().as_ref() => {
                    self.take(record)?;
                }
                Ok(Event::Case(record)) => {
                    lost = true;
                    how = Some(format!("{} came too early: a line is lost", record.name));
                    break;
                }
                Ok(Event::End(_)) if self.is_whole() => ended = true,
                Ok(Event::End(_)) => {
                    lost = true;
                    how = Some("the end came too early: a line is lost".to_owned());
                    break;
                }
                Err(_) => attempt.keep(line),
            }
        }
        if ended && how.is_none() {
            self.ended = true;
            let _ = attempt.end();
            return Ok(Fate::Ended);
        }
        let status = if how.is_some() { attempt.kill() } else { attempt.end() };
        let how = how.unwrap_or_else(|| {
            status.map_or_else(|trouble| trouble.0, |status| status.to_string())
        });
        let console = fs::read(&self.console).unwrap_or_default();
        let console = String::from_utf8_lossy(&console).into_owned();
        let told = console.lines().map(str::to_owned).chain(std::mem::take(&mut attempt.log));
        self.last_words = told.filter(|line| !line.trim().is_empty()).collect();
        let cut = self.last_words.len().saturating_sub(40);
        self.last_words.drain(..cut);
        let last = self.last_words.last().map_or(String::new(), |line| format!("; last: {line}"));
        Ok(if lost { Fate::Lost(how) } else { Fate::Dead(how + &last) })
    }

    /// The first start record is that of the stream; others are of attempts
    /// that go on.
    fn started(&mut self, mut start: StartRecord) -> Result {
        if start.schema != SCHEMA {
            return Err(Trouble(format!("schema version {}, not {SCHEMA}", start.schema)));
        }
        if self.start.is_some() {
            return Ok(());
        }
        if let Some(file) = &self.expectations_file {
            let file = file.display().to_string();
            self.expectations = Expectations::read(&file, self.cases, &start)?;
        }
        start.jobs = 1;
        self.bar.set_length(start.plan.len() as u64);
        self.write(&Event::Start(start.clone()))?;
        self.start = Some(start);
        Ok(())
    }

    fn take(&mut self, mut record: CaseRecord) -> Result {
        record.expectation = self.expectations.of(&record.name).cloned();
        self.write(&Event::Case(record.clone()))?;
        self.records.push(record);
        self.bar.set_position(self.records.len() as u64);
        Ok(())
    }

    /// Says of the case that comes next that it killed the target.
    fn killed(&mut self, how: &str) -> Result {
        let Some(name) = self.suspect() else { return Ok(()) };
        let case = self.cases.iter().find(|case| case.path() == name);
        let Some(case) = case else {
            return Err(Trouble(format!("{name}: this program does not know the case")));
        };
        let record = CaseRecord {
            name,
            mechanism: case.mechanism().to_owned(),
            verdict: Outcome::Killed,
            claim: case.claim.to_owned(),
            sources: case.sources.iter().map(Into::into).collect(),
            settles: case.settles.iter().map(|item| (*item).to_owned()).collect(),
            micros: 0,
            evidence: None,
            call: String::new(),
            expected: "a target that lives".to_owned(),
            observed: how.to_owned(),
            at: format!("{}:{}", case.file, case.line),
            missing: vec![],
            kernel: vec![],
            output: self.last_words.join("\n"),
            expectation: None,
        };
        self.take(record)
    }

    fn finish(mut self, began: Instant) -> Result<Done> {
        self.bar.finish_and_clear();
        let counts = Counts::of(&self.records);
        let not_run = self.plan().len().saturating_sub(self.records.len());
        let unexpected: Vec<_> =
            self.records.iter().filter(|record| record.is_unexpected()).collect();
        let unexpected: Vec<_> = unexpected.iter().map(|record| record.name.clone()).collect();
        let stale = self.expectations.stale(&self.records);
        if self.is_whole() {
            let status = u8::from(!unexpected.is_empty() || !stale.is_empty());
            let end = End {
                counts,
                not_run,
                unexpected: unexpected.clone(),
                stale: stale.clone(),
                micros: began.elapsed().as_micros() as u64,
                status,
            };
            self.write(&Event::End(end))?;
        } else {
            let log = self.console.with_extension("log");
            let text = self.last_words.join("\n") + "\n";
            fs::write(&log, text).map_err(|error| Trouble::with(log.display(), error))?;
            let why = self.notes.pop().unwrap_or_default();
            let begun = if self.start.is_some() { "incomplete" } else { "not run" };
            return Err(Trouble(format!("{begun} ({} cases): {why}", self.records.len())));
        }
        let seconds = began.elapsed().as_secs();
        Ok(Done { counts, unexpected, stale, not_run, notes: self.notes, seconds })
    }
}

/// Whether a target of this start comes to the end of one case in time with
/// the accelerator that its values name.
pub fn probe(ready: &Ready, limit: Duration, console: &Path) -> bool {
    let case = "pipe::ends::pipe_takes_two_descriptors";
    let arguments = ["run", "--events", "-", "--quiet", "--jobs", "1", case];
    let Ok(mut attempt) = ready.attempt(arguments.map(str::to_owned).to_vec(), console) else {
        return false;
    };
    let limit = Instant::now() + limit;
    attempt.until(limit, |line| matches!(serde_json::from_str(line), Ok(Event::End(_))))
}

/// Where bars are drawn: nowhere, if nobody looks.
pub fn bars(quiet: bool) -> MultiProgress {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    MultiProgress::with_draw_target(target)
}
