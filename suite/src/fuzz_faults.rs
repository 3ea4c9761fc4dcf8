//! `ipcspec faults --fuzz`: which wrong kernels the fuzzer finds by itself,
//! without any case.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ipcspec_faults::{ACTED_MARK, Fault, none};
use ipcspec_harness::{Pool, Settings};
use ipcspec_models::{DRIVER, MECHANISMS, Order, Tally};
use serde::{Deserialize, Serialize};

use crate::faults::unseen;
use crate::{Result, Trouble, fuzz, print};

/// Seconds for each mechanism without a fault, before anything is believed.
const BASELINE: u64 = 4;
/// Programs are played so long before it is asked whether the fault did
/// anything at all.
const SLICE: Duration = Duration::from_secs(2);
/// A fault that has done nothing for so many slices is out of reach.
const SLICES_WITHOUT: u64 = 2;

/// What became of one fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Came {
    /// It was found.
    Found {
        /// By this many milliseconds of playing.
        millis: u64,
        /// The smallest program that was found to show it.
        steps: Vec<String>,
        /// What the model wanted, and what it saw.
        told: String,
    },
    /// It did something, and the model objected to nothing.
    Missed,
    /// It did something that shows in no operation of the programs, for this
    /// reason.
    Unseen(String),
    /// It did nothing: no operation of the programs meets it.
    OutOfReach,
    /// The actors could not be directed under it.
    Broken(String),
}

/// One fault, and what became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// Its path.
    pub name: String,
    /// What this kernel does wrong.
    pub says: String,
    /// The mechanism whose programs were played.
    pub mechanism: String,
    /// What became of it.
    pub came: Came,
}

/// Plays programs under each fault whose mechanism has a model; exit status 1
/// when one was missed, or found though it is said to be unseen.
pub(crate) fn run(
    faults: &[&'static Fault],
    workers: usize,
    seconds: u64,
    json: Option<&str>,
) -> Result<u8> {
    if let Some(file) = json {
        // Better now than after the run.
        std::fs::File::create(file).map_err(|error| Trouble::with(file, error))?;
    }
    let began = Instant::now();
    let faults: Vec<_> = faults.iter().filter_map(|fault| Some((*fault, model(fault)?))).collect();
    let settings = Settings { workers, ..Settings::default() };
    let pool = Pool::start(&settings)
        .map_err(|error| Trouble::with("no worker could be started", error))?;
    let driver = crate::served().len() - 1;
    for mechanism in MECHANISMS {
        match look_for(&pool, driver, &none::everything, mechanism.name, BASELINE) {
            Came::Missed | Came::OutOfReach => {}
            came => return Err(Trouble(format!("{}, without a fault: {came:?}", mechanism.name))),
        }
    }
    let next = AtomicUsize::new(0);
    let (tell, told) = mpsc::channel();
    let mut rows: Vec<(usize, Row)> = vec![];
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (tell, pool, faults, next) = (tell.clone(), &pool, &faults, &next);
            scope.spawn(move || {
                while let Some((place, (fault, mechanism))) = {
                    let place = next.fetch_add(1, SeqCst);
                    faults.get(place).map(|one| (place, *one))
                } {
                    let row = Row {
                        name: fault.path(),
                        says: fault.says.to_owned(),
                        mechanism: mechanism.to_owned(),
                        came: look_for(pool, driver, fault, mechanism, seconds),
                    };
                    if tell.send((place, row)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(tell);
        for row in told {
            rows.push(row);
            if std::io::stderr().is_terminal() {
                let _ = write!(std::io::stderr(), "\r\x1b[K{}/{}", rows.len(), faults.len());
            }
        }
    });
    rows.sort_by_key(|(place, _)| *place);
    let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
    if let Some(file) = json {
        let text = serde_json::to_string_pretty(&rows).expect("rows can be serialized");
        std::fs::write(file, text + "\n").map_err(|error| Trouble::with(file, error))?;
    }
    print(&summary(&rows, began))?;
    Ok(u8::from(rows.iter().any(|row| row.came == Came::Missed || row.is_stale())))
}

impl Row {
    /// Whether it was found though it is said to be unseen.
    fn is_stale(&self) -> bool {
        matches!(self.came, Came::Found { .. }) && why_unseen(&self.name).is_some()
    }
}

/// Why no random program shows this fault, if that is known.
fn why_unseen(fault: &str) -> Option<&'static str> {
    unseen().find(|(name, _)| *name == fault).map(|(_, why)| why)
}

/// What signals do to calls that can be restarted, which programs of nothing
/// but signals do not make.
const RESTARTS: [&str; 2] =
    ["signal::interruption::restart_is_forgotten", "signal::interruption::every_handler_restarts"];

/// The model whose programs may meet this fault.
fn model(fault: &Fault) -> Option<&'static str> {
    let path = fault.path();
    let name = if path.starts_with("readiness::eventfd") {
        "eventfd"
    } else if path.starts_with("readiness::poll") || RESTARTS.contains(&path.as_str()) {
        "pipe"
    } else {
        fault.mechanism()
    };
    MECHANISMS.iter().map(|mechanism| mechanism.name).find(|known| *known == name)
}

fn look_for(pool: &Pool, driver: usize, fault: &Fault, mechanism: &str, seconds: u64) -> Came {
    let mut played = 0;
    let mut acted = false;
    let mut broken = None;
    let mut aside = vec![];
    let unseen = why_unseen(&fault.path());
    // What is known to be unseen has a short look, lest it is no longer so.
    let seconds = if unseen.is_some() { BASELINE } else { seconds };
    for slice in 0.. {
        if played >= seconds * 1000 || !acted && broken.is_none() && slice >= SLICES_WITHOUT {
            break;
        }
        let order = Order {
            mechanism: mechanism.to_owned(),
            seed: slice,
            programs: u64::MAX,
            millis: SLICE.as_millis() as u64,
            actors: None,
            steps: 40,
            race: false,
            // A tracer stops actors: to be off the processor is not to sleep.
            place: None,
            minimising: 3_000,
            traced: true,
            canary: None,
            aside: aside.clone(),
        };
        let with = fuzz::told_to(&order, Some(fault.path()));
        let report = pool.run_with(driver, &DRIVER, &with);
        acted |= report.marks.contains(&ACTED_MARK);
        match fuzz::tally(&report) {
            Ok(tally) => {
                played += tally.millis.max(1);
                if let Some((shape, _)) = tally.unmade.into_iter().next() {
                    return Came::Broken(shape);
                }
                if let Some(found) = tally.found {
                    // A tracer alone changes some answers: the same programs
                    // without the fault are the proof.
                    let same = Order { programs: tally.programs, millis: 40_000, ..order };
                    let with = fuzz::told_to(&same, Some(none::everything.path()));
                    match fuzz::tally(&pool.run_with(driver, &DRIVER, &with)) {
                        Ok(Tally { found: None, .. }) => {}
                        Ok(Tally { found: Some(found), .. }) => {
                            aside.push(found.rule);
                            continue;
                        }
                        Err(why) => return Came::Broken(why),
                    }
                    let told = format!("wanted {}, got {}", found.wanted, found.got);
                    let millis = played - tally.millis + found.millis;
                    return Came::Found { millis, steps: found.steps, told };
                }
            }
            // Some wrong kernels leave nobody who could be directed.
            Err(why) => {
                played += report.micros / 1000;
                if broken.replace(why).is_some() {
                    break;
                }
            }
        }
    }
    match broken {
        Some(why) => Came::Broken(why.lines().next().unwrap_or_default().to_owned()),
        None if acted => unseen.map_or(Came::Missed, |why| Came::Unseen(why.to_owned())),
        None => Came::OutOfReach,
    }
}

fn summary(rows: &[Row], began: Instant) -> String {
    let mut text = String::new();
    let mut counts: BTreeMap<&str, [usize; 5]> = BTreeMap::new();
    for row in rows {
        let _ = writeln!(text, "{}\n    {}", row.name, row.says);
        let place = match &row.came {
            Came::Found { millis, steps, told } => {
                let _ = writeln!(text, "    found after {millis} ms: {told}");
                for step in steps {
                    let _ = writeln!(text, "        {step}");
                }
                if row.is_stale() {
                    let _ = writeln!(text, "    STALE: unseen.tsv says that no program shows it");
                }
                0
            }
            Came::Missed => {
                let _ = writeln!(text, "    MISSED");
                1
            }
            Came::Unseen(why) => {
                let _ = writeln!(text, "    unseen: {why}");
                2
            }
            Came::OutOfReach => {
                let _ = writeln!(text, "    out of reach");
                3
            }
            Came::Broken(why) => {
                let _ = writeln!(text, "    broken: {why}");
                4
            }
        };
        counts.entry(&row.mechanism).or_default()[place] += 1;
    }
    let _ = writeln!(text, "\nmechanism      found    missed    unseen   out of reach   broken");
    for (mechanism, [found, missed, unseen, out, broken]) in counts {
        let _ =
            writeln!(text, "{mechanism:12}{found:>8}{missed:>10}{unseen:>10}{out:>15}{broken:>9}");
    }
    let _ = writeln!(text, "\n{} faults in {:.0} s", rows.len(), began.elapsed().as_secs_f32());
    text
}
