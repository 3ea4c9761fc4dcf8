//! Every mechanism that has a model, without the types: what drivers ask for
//! by name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ipcspec_harness::{Case, Details, Evidence, Failure, Page, Source, Verdict, told_to_case};
use serde::{Deserialize, Serialize};

use crate::find::{CONFIRMATIONS, Finding, minimise};
use crate::model::ACTORS;
use crate::race::{RACE_CONFIRMATIONS, RaceFinding};
use crate::reach::Reach;
use crate::replay::{Form, Replayed, from_text};
use crate::saved::{Mode, Saved, peek};
use crate::stage::{Scheduling, Stage};
use crate::turns::play_on;
use crate::{
    Explained, Judge, Model, Program, eventfd, minimise_race, msgqueue, pipe, play, play_race, sem,
    signal,
};

/// Every mechanism that has a model.
pub const MECHANISMS: &[Mechanism] = &[
    Mechanism::of::<pipe::Pipe>(),
    Mechanism::of::<sem::Set>(),
    Mechanism::of::<msgqueue::Queue>(),
    Mechanism::of::<signal::Alone>(),
    Mechanism::of::<eventfd::Event>(),
];

/// One mechanism.
#[derive(Debug, Clone, Copy)]
pub struct Mechanism {
    /// Its name, by which its folder is found.
    pub name: &'static str,
    /// What programs do with it.
    pub about: &'static str,
    /// Its operations, each with all that it can come to.
    pub outcomes: &'static [(&'static str, &'static [&'static str])],
    /// What each of its wrong models gets wrong.
    pub canaries: fn() -> Vec<&'static str>,
    /// Plays random programs.
    run: fn(&Order) -> Verdict<Tally>,
    /// Plays one program.
    bytes: fn(&[u8], &Order) -> Verdict<Option<Found>>,
    /// Reads a saved one.
    check: fn(&str, &str) -> Result<(), String>,
    /// Plays a saved one.
    replay: fn(&Replaying) -> Result<Replayed, String>,
}

/// What programs to play.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Of which mechanism.
    pub mechanism: String,
    /// Where random programs begin.
    pub seed: u64,
    /// At most so many.
    pub programs: u64,
    /// For at most so long, in milliseconds.
    pub millis: u64,
    /// Of so many actors; else each program chooses.
    pub actors: Option<usize>,
    /// Of at most so many steps.
    pub steps: usize,
    /// Freely on all processors, instead of in turns.
    pub race: bool,
    /// In turns: on this one of the processors, and where the kernel lets it,
    /// by priority. Else the director looks until nobody moves.
    pub place: Option<usize>,
    /// How long a finding is made smaller, in milliseconds at most.
    pub minimising: u64,
    /// Under a tracer: signals that do nothing are not sent, because they
    /// wake who is traced.
    pub traced: bool,
    /// Judged by this one of the wrong models.
    pub canary: Option<usize>,
    /// Rules that are known not to be kept: an answer that shows it once more
    /// is overlooked, or the step taken out of its program, so that what lies
    /// behind it is found.
    pub aside: Vec<String>,
}

/// What a worker is told to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Task {
    /// To play random programs; it prints a [`Tally`].
    Fuzz(Order),
    /// To play a saved program; it prints a [`Replayed`].
    Replay(Replaying),
}

/// A saved program to be played.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Replaying {
    /// The text of the file.
    pub text: String,
    /// What it is called.
    pub name: String,
    /// What the program is turned into.
    pub form: Form,
    /// Judged by this one of the wrong models.
    pub canary: Option<usize>,
}

/// What came of an [`Order`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tally {
    /// Programs that were played.
    pub programs: u64,
    /// Operations that they made.
    pub operations: u64,
    /// How long they took, in milliseconds.
    pub millis: u64,
    /// Whether the director had its promise from the scheduler.
    pub by_priority: bool,
    /// The weakest evidence of sleep.
    pub evidence: Evidence,
    /// How often each operation came to what.
    pub reached: Vec<(String, String, u64)>,
    /// Addresses of the kernel that actors passed, where it tells them (KCOV):
    /// the lowest, and the distance from each to the next.
    pub covered: Vec<u64>,
    /// Races that took too long to judge.
    pub undecided: u64,
    /// Programs that were not played, since the kernel makes no object of
    /// their shape, by shape and answer.
    pub unmade: BTreeMap<String, u64>,
    /// What the model objected to; then no further program was played.
    pub found: Option<Found>,
}

/// A program that the model objects to, as text and to be replayed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Found {
    /// After how many milliseconds it was found, before it was made small.
    pub millis: u64,
    /// Of which actor.
    pub actor: usize,
    /// What the model wants.
    pub wanted: String,
    /// What was seen.
    pub got: String,
    /// Why it wants that.
    pub rule: String,
    /// How often it showed again, and how often it was tried.
    pub confirmed: (u32, u32),
    /// The steps as text; of a race, what happened when.
    pub steps: Vec<String>,
    /// The text of the file to be saved and replayed.
    pub saved: String,
}

impl Tally {
    /// Addresses of the kernel that actors passed.
    pub fn addresses(&self) -> impl Iterator<Item = u64> {
        self.covered.iter().scan(0, |address, distance| {
            *address += distance;
            Some(*address)
        })
    }
}

impl Mechanism {
    /// The mechanism of this model.
    pub const fn of<M: Model>() -> Self {
        Self {
            name: M::NAME,
            about: M::ABOUT,
            outcomes: M::OUTCOMES,
            canaries: || M::CANARIES.iter().map(|canary| canary.says).collect(),
            run: run::<M>,
            bytes: play_bytes::<M>,
            check: |text, name| Saved::<M>::read(text, name).map(drop),
            replay: |what| from_text::<M>(&what.text, &what.name, what.form, Some(0), what.canary),
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        MECHANISMS.iter().find(|mechanism| mechanism.name == name)
    }

    /// Each operation with each outcome that it lists, by name.
    pub fn listed(&self) -> impl Iterator<Item = (String, String)> + use<> {
        let all = |(name, came): &'static (&'static str, &'static [&'static str])| {
            came.iter().map(|came| ((*name).to_owned(), (*came).to_owned()))
        };
        self.outcomes.iter().flat_map(all)
    }

    /// Plays random programs as ordered, in this process and its children,
    /// until the model objects to one.
    pub fn run(&self, order: &Order) -> Verdict<Tally> {
        (self.run)(order)
    }

    /// Whether this is the text of a saved program of it; else one line that
    /// says what is wrong, where `name` stands for the file.
    pub fn check(&self, text: &str, name: &str) -> Result<(), String> {
        (self.check)(text, name)
    }

    /// Plays a saved program.
    pub fn replay(&self, what: &Replaying) -> Result<Replayed, String> {
        (self.replay)(what)
    }

    /// Plays the program that these bytes mean, once. What is found is not made
    /// smaller, nor tried again.
    pub fn play(&self, bytes: &[u8], order: &Order) -> Verdict<Option<Found>> {
        (self.bytes)(bytes, order)
    }
}

fn judge<M: Model>(order: &Order) -> Verdict<Judge<M>> {
    let Some(number) = order.canary else { return Ok(Judge { canary: None }) };
    let canary = M::CANARIES.get(number);
    let canary = canary.ok_or_else(|| Failure::broken(format!("no canary {number}")))?;
    Ok(Judge { canary: Some(canary) })
}

fn run<M: Model>(order: &Order) -> Verdict<Tally> {
    let judge = judge::<M>(order)?;
    let mut stage = Stage::<M>::new(order.place.filter(|_| !order.race))?;
    stage.traced = order.traced;
    // Few kernels have it.
    let covers = stage.cover().is_ok();
    let mut covered = BTreeSet::new();
    let mut random = fastrand::Rng::with_seed(order.seed);
    let mut reach = Reach::default();
    let mut undecided = 0;
    let mut unmade = BTreeMap::new();
    let began = Instant::now();
    let time = Duration::from_millis(order.millis);
    let mut programs = 0;
    let mut found = None;
    while found.is_none() && programs < order.programs && began.elapsed() < time {
        let program = Program::random(&mut random, order.steps, order.actors);
        let minimising = Duration::from_millis(order.minimising);
        let (stage, judge, reach) = (&mut stage, &judge, &mut reach);
        let mut attempt = Attempt { stage, judge, reach, began, minimising };
        let came = if order.race {
            attempt.race(program, &mut undecided)
        } else {
            attempt.turns(program, &order.aside)
        };
        match came {
            Err(failure) if failure.outcome() == ipcspec_harness::Outcome::Absent => {
                let Details { expected, observed, .. } = failure.details();
                *unmade.entry(format!("{expected}: {observed}")).or_default() += 1;
            }
            came => {
                programs += 1;
                if covers {
                    covered.extend((0..ACTORS).flat_map(|actor| stage.covered(actor)));
                }
                found = came?;
            }
        }
    }
    Ok(Tally {
        programs,
        operations: reach.operations(),
        millis: began.elapsed().as_millis() as u64,
        by_priority: stage.scheduling() == Scheduling::Priority,
        evidence: stage.evidence(),
        reached: reach.table().into_iter().map(|((op, came), n)| (op, came, n)).collect(),
        covered: distances(&covered),
        undecided,
        unmade,
        found,
    })
}

/// The first of these, and the distance from each to the next.
fn distances(addresses: &BTreeSet<u64>) -> Vec<u64> {
    let before = std::iter::once(&0).chain(addresses);
    addresses.iter().zip(before).map(|(address, before)| address - before).collect()
}

struct Attempt<'a, M: Model> {
    stage: &'a mut Stage<M>,
    judge: &'a Judge<M>,
    reach: &'a mut Reach,
    began: Instant,
    minimising: Duration,
}

impl<M: Model> Attempt<'_, M> {
    fn turns(&mut self, mut program: Program<M>, aside: &[String]) -> Verdict<Option<Found>> {
        loop {
            let played = play_on(self.stage, self.judge, &program, self.reach, None, aside)?;
            let Some(objection) = played.objection else { return Ok(None) };
            if aside.contains(&objection.rule.to_string()) {
                // What follows is not as it would be: it goes on without all
                // that is alike.
                let act = program.steps[played.at].act;
                let mut at = 0..;
                program.steps.retain(|step| at.next() < Some(played.at) || step.act != act);
                continue;
            }
            let millis = self.began.elapsed().as_millis() as u64;
            let program = Program { steps: played.steps, ..program };
            let finding =
                minimise(self.stage, self.judge, program, objection, self.minimising, aside)?;
            return Ok(Some(Found::of(&finding, millis)));
        }
    }

    fn race(&mut self, program: Program<M>, undecided: &mut u64) -> Verdict<Option<Found>> {
        let raced = play_race(self.stage, self.judge, &program, self.reach)?;
        let unexplained = match raced.explained {
            Explained::Yes => return Ok(None),
            Explained::Undecided => {
                *undecided += 1;
                return Ok(None);
            }
            Explained::No(unexplained) => unexplained,
        };
        let millis = self.began.elapsed().as_millis() as u64;
        let history = raced.history;
        let finding =
            minimise_race(self.stage, self.judge, program, history, unexplained, self.minimising)?;
        Ok(Some(Found::of_race(&finding, millis)))
    }
}

fn play_bytes<M: Model>(bytes: &[u8], order: &Order) -> Verdict<Option<Found>> {
    let judge = judge(order)?;
    let program = Program::<M>::decode(bytes, order.actors);
    let mut stage = Stage::<M>::new(order.place.filter(|_| !order.race))?;
    if order.race {
        let raced = play_race(&mut stage, &judge, &program, &mut Reach::default())?;
        let Explained::No(unexplained) = raced.explained else { return Ok(None) };
        let tells = unexplained.tell(&raced.history);
        let finding = RaceFinding { program, history: raced.history, tells, confirmed: 1 };
        return Ok(Some(Found::of_race(&finding, 0)));
    }
    let played = play(&mut stage, &judge, &program, &mut Reach::default(), None)?;
    let Some(objection) = played.objection else { return Ok(None) };
    let program = Program { steps: played.steps, ..program };
    Ok(Some(Found::of(&Finding { program, objection, confirmed: 1 }, 0)))
}

impl Found {
    fn of<M: Model>(finding: &Finding<M>, millis: u64) -> Self {
        let Finding { program, objection, confirmed } = finding;
        Self {
            millis,
            actor: objection.actor,
            wanted: objection.wanted.clone(),
            got: objection.got.clone(),
            rule: objection.rule.to_string(),
            confirmed: (*confirmed, CONFIRMATIONS),
            steps: format!("{program:?}").lines().map(str::to_owned).collect(),
            saved: Saved::from(finding).to_text(),
        }
    }

    fn of_race<M: Model>(finding: &RaceFinding<M>, millis: u64) -> Self {
        let program = finding.program.clone();
        Self {
            millis,
            actor: 0,
            wanted: "an order of the calls that the model allows".to_owned(),
            got: "a history that none explains".to_owned(),
            rule: "Whatever happens at the same time happens in some order.".to_owned(),
            confirmed: (finding.confirmed, RACE_CONFIRMATIONS),
            steps: finding.tells.lines().map(str::to_owned).collect(),
            saved: Saved { mode: Mode::Race, program, found: None }.to_text(),
        }
    }
}

/// The case in which workers play programs: it is told a [`Task`], and prints
/// what came of it, both as JSON. It is not one of the suite's, since it
/// asserts what it is told.
pub const DRIVER: Case = Case {
    module: "ipcspec_models::driver",
    name: "programs",
    claim: "Random programs get only answers that the model allows.",
    sources: &[Source { page: Page("ipcspec, models"), section: "DRIVER" }],
    settles: &[],
    needs: &[],
    deadline_seconds: 60,
    file: file!(),
    line: line!(),
    run: drive,
};

fn drive() -> Verdict {
    let task = told_to_case().ok_or("the driver was told nothing")?;
    let task: Task = serde_json::from_str(&task).map_err(std::io::Error::from)?;
    let known = |name: &str| {
        Mechanism::named(name).ok_or_else(|| Failure::broken(format!("no model of {name}")))
    };
    let told = match task {
        Task::Fuzz(order) => serde_json::to_string(&known(&order.mechanism)?.run(&order)?),
        Task::Replay(what) => {
            let names: Vec<_> = MECHANISMS.iter().map(|mechanism| mechanism.name).collect();
            let head = peek(&what.text, &what.name, &names)?;
            serde_json::to_string(&known(&head.mechanism)?.replay(&what)?)
        }
    };
    println!("{}", told.map_err(std::io::Error::from)?);
    Ok(())
}
