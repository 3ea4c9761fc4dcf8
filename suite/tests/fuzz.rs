//! `cargo test`: random programs of every mechanism that has a model, by
//! proptest, in the keepers that `ipcspec fuzz` uses; the programs of
//! `fuzz/regressions`; and the fuzzer itself: that it reaches everything, and
//! notices models that are wrong on purpose.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ipcspec_harness::{
    Case, Failure, Outcome, Page, Pool, Report, Settings, Source, Verdict, serve_if_asked,
    told_to_case,
};
use ipcspec_models::{DRIVER, Form, MECHANISMS, Mechanism, Order, Replaying, Tally, Task};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// Programs of one property.
const PROGRAMS: u32 = 64;
/// Steps of the longest of them.
const STEPS: usize = 40;
/// Programs in which every canary has to be noticed, from each seed: about as
/// many as are played by priority in 10 s. A time would ask how busy the
/// machine is.
const NOTICING: u64 = 4_000;
/// How many of them are played at one go.
const AT_ONE_GO: u64 = 250;
/// Where the search for a canary begins: 1, 2 and 3, or as many as the
/// environment says.
fn seeds() -> std::ops::RangeInclusive<u64> {
    let most = std::env::var("IPCSPEC_SEEDS").unwrap_or_else(|_| "3".to_owned());
    1..=most.parse().expect("IPCSPEC_SEEDS is a number")
}
/// Programs that reach all that a mechanism can come to.
const REACHING: u64 = 20_000;

/// Programs that once showed something.
const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/regressions");

/// The case of every property: it is told which.
const PROPERTY: Case = Case {
    module: "fuzz::property",
    name: "random_programs_get_only_allowed_answers",
    claim: "Whatever a few processes do with it, each gets an answer that the model allows.",
    sources: &[Source { page: Page("ipcspec, models"), section: "rules" }],
    settles: &[],
    needs: &[],
    deadline_seconds: 120,
    file: file!(),
    line: line!(),
    run: property,
};

/// Has proptest look for a program that the model objects to, and shrink it.
fn property() -> Verdict {
    let order = told_to_case().ok_or("the property was told nothing")?;
    let task: Task = serde_json::from_str(&order).map_err(|error| error.to_string())?;
    let Task::Fuzz(order) = task else { return Err("a property replays nothing".into()) };
    let mechanism = Mechanism::named(&order.mechanism).ok_or("no such mechanism")?;
    let config = Config { cases: PROGRAMS, failure_persistence: None, ..Config::default() };
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &[order.seed as u8; 32]);
    let seeds = prop::collection::vec(any::<[u8; 8]>(), 1..STEPS);
    let mut runner = TestRunner::new_with_rng(config, random);
    let result = runner.run(&seeds, |seeds| match mechanism.play(seeds.as_flattened(), &order) {
        Ok(None) => Ok(()),
        Ok(Some(found)) => {
            let steps = found.steps.join("\n");
            let told = format!("{steps}\n{}\n{}\n{}", found.wanted, found.got, found.rule);
            Err(TestCaseError::fail(told))
        }
        Err(failure) if failure.outcome() == Outcome::Absent => {
            Err(TestCaseError::reject(failure.to_string()))
        }
        Err(failure) => Err(TestCaseError::fail(format!("broken: {failure}"))),
    });
    match result {
        Ok(()) => Ok(()),
        Err(TestError::Fail(why, _)) => match why.message().strip_prefix("broken: ") {
            Some(broken) => Err(Failure::broken(broken)),
            None => Err(Failure::violated("a program", "", "allowed answers", why.message())),
        },
        Err(TestError::Abort(why)) => Err(Failure::broken(why.message())),
    }
}

fn main() -> std::process::ExitCode {
    let cases: Vec<&'static Case> = vec![&DRIVER, &PROPERTY];
    serve_if_asked(&cases, None);
    let arguments = Arguments::from_args();
    let settings = Settings {
        workers: arguments.test_threads.unwrap_or(Settings::default().workers),
        ..Settings::default()
    };
    let desk = Arc::new(Desk { settings, pool: OnceLock::new() });
    let mut trials = vec![];
    for mechanism in MECHANISMS {
        let name = mechanism.name;
        let order = |race| Order {
            mechanism: name.to_owned(),
            seed: 1,
            programs: u64::MAX,
            millis: 0,
            actors: None,
            steps: STEPS,
            race,
            place: (!race).then_some(0),
            minimising: 0,
            traced: false,
            canary: None,
            aside: vec![],
        };
        for race in [false, true] {
            let (desk, order) = (Arc::clone(&desk), order(race));
            let how = if race { "races" } else { "turns" };
            trials.push(Trial::ignorable_test(format!("{name}::programs_in_{how}"), move || {
                verdict(&desk.run(1, &order)?)
            }));
        }
        let (asks, reaching) =
            (Arc::clone(&desk), Order { programs: REACHING / 20, millis: 30_000, ..order(false) });
        trials.push(Trial::test(format!("{name}::everything_is_reached"), move || {
            everything_is_reached(&asks, mechanism, &reaching)
        }));
        let (asks, racing) =
            (Arc::clone(&desk), Order { programs: AT_ONE_GO, millis: 20_000, ..order(true) });
        trials.push(Trial::test(format!("{name}::races_notice_a_canary"), move || {
            races_notice_a_canary(&asks, mechanism, &racing)
        }));
        for (number, says) in (mechanism.canaries)().into_iter().enumerate() {
            let (desk, order) = (Arc::clone(&desk), order(false));
            let order = Order {
                canary: Some(number),
                programs: AT_ONE_GO,
                millis: 40_000,
                steps: 60,
                ..order
            };
            let name = format!("{name}::canary::{}", says.trim_end_matches('.').replace(' ', "_"));
            trials.push(Trial::test(name, move || canary_is_noticed(&desk, &order)));
        }
    }
    for file in regressions() {
        let desk = Arc::clone(&desk);
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        trials.push(Trial::test(format!("regressions::{name}"), move || holds(&desk, &file)));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(desk);
    conclusion.exit_code()
}

/// Where trials have their cases run.
struct Desk {
    settings: Settings,
    pool: OnceLock<Result<Pool, String>>,
}

impl Desk {
    fn run(&self, index: usize, order: &Order) -> Result<Report, Failed> {
        let with = ipcspec_suite::fuzz::told_to(order, None);
        let case = if index == 0 { &DRIVER } else { &PROPERTY };
        Ok(self.pool()?.run_with(index, case, &with))
    }

    /// Has a worker play a saved program.
    fn replay(&self, what: Replaying) -> Result<Report, Failed> {
        Ok(self.pool()?.run_with(0, &DRIVER, &ipcspec_suite::fuzz::told_to_replay(what)))
    }

    fn pool(&self) -> Result<&Pool, Failed> {
        let start = || Pool::start(&self.settings).map_err(|error| error.to_string());
        self.pool.get_or_init(start).as_ref().map_err(Failed::from)
    }

    fn tally(&self, order: &Order) -> Result<Tally, Failed> {
        ipcspec_suite::fuzz::tally(&self.run(0, order)?).map_err(Failed::from)
    }
}

fn verdict(report: &Report) -> Result<Completion, Failed> {
    let lines = report.details.iter().flat_map(ipcspec_harness::Details::lines);
    let text: String = lines.map(|(word, line)| format!("  {word}: {line}\n")).collect();
    match report.outcome {
        Outcome::Held => Ok(Completion::Completed),
        Outcome::Skipped | Outcome::Absent => Ok(Completion::ignored_with(text)),
        Outcome::Violated | Outcome::Broken | Outcome::Killed => {
            Err(Failed::from(format!("{}\n{text}", report.outcome)))
        }
    }
}

/// Random programs come to all that the model lists, and to nothing else.
fn everything_is_reached(desk: &Desk, mechanism: &Mechanism, order: &Order) -> Result<(), Failed> {
    let mut listed: BTreeSet<(String, String)> = mechanism.listed().collect();
    let all = listed.clone();
    let own = |name: &str| mechanism.outcomes.iter().any(|(known, _)| *known == name);
    let mut programs = 0;
    for seed in 0.. {
        let tally = desk.tally(&Order { seed, ..order.clone() })?;
        if let Some(found) = tally.found {
            return Err(Failed::from(format!("{}: {}", found.rule, found.steps.join("; "))));
        }
        for (name, came, _) in tally.reached {
            if own(&name) && !all.contains(&(name.clone(), came.clone())) {
                return Err(Failed::from(format!("not listed: {name} came to {came}")));
            }
            listed.remove(&(name, came));
        }
        programs += tally.programs;
        if listed.is_empty() {
            return Ok(());
        }
        if programs >= REACHING {
            break;
        }
    }
    Err(Failed::from(format!("after {programs} programs, not reached: {listed:?}")))
}

/// The fuzzer notices this wrong model in time, wherever it begins.
fn canary_is_noticed(desk: &Desk, order: &Order) -> Result<(), Failed> {
    for seed in seeds() {
        let mut programs = 0;
        for part in 0.. {
            let tally = desk.tally(&Order { seed: seed << 32 | part, ..order.clone() })?;
            programs += tally.programs;
            if tally.found.is_some() {
                break;
            }
            if programs >= NOTICING {
                let told = format!("seed {seed}: {programs} programs noticed nothing");
                return Err(Failed::from(told));
            }
        }
    }
    Ok(())
}

/// Not every wrong model shows in races, which have neither deaths nor
/// handlers in them; one of each mechanism has to.
fn races_notice_a_canary(desk: &Desk, mechanism: &Mechanism, order: &Order) -> Result<(), Failed> {
    for number in 0..(mechanism.canaries)().len() {
        if desk.tally(&Order { canary: Some(number), ..order.clone() })?.found.is_some() {
            return Ok(());
        }
    }
    Err(Failed::from("races notice none"))
}

/// Every file of [`REGRESSIONS`], by name.
fn regressions() -> Vec<PathBuf> {
    let files = std::fs::read_dir(REGRESSIONS).expect("fuzz/regressions can be read");
    let files = files.map(|file| file.expect("fuzz/regressions can be read").path());
    let mut files: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|end| end == "json")).collect();
    files.sort();
    files
}

/// The model allows all that this saved program comes to.
fn holds(desk: &Desk, file: &Path) -> Result<(), Failed> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
    let known: Vec<_> = MECHANISMS.iter().map(|mechanism| mechanism.name).collect();
    ipcspec_models::saved::peek(&text, &name, &known)?;
    let report = desk.replay(Replaying { text, name, form: Form::Table, canary: None })?;
    let replayed = ipcspec_suite::fuzz::replayed(&report)?;
    if replayed.differs { Err(Failed::from(replayed.text)) } else { Ok(()) }
}
