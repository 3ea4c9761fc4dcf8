//! Every mechanism that has a model, without the types: what drivers ask for
//! by name.

use std::time::{Duration, Instant};

use ipcspec_harness::{Case, Evidence, Failure, Page, Source, Verdict, told_to_case};
use serde::{Deserialize, Serialize};

use crate::find::{CONFIRMATIONS, Finding, minimise, random_bytes};
use crate::reach::Reach;
use crate::stage::{Scheduling, Stage};
use crate::{Judge, Model, Program, eventfd, msgqueue, pipe, play, sem, signal};

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
    /// Races that took too long to judge.
    pub undecided: u64,
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
    /// The steps as text.
    pub steps: Vec<String>,
    /// The file to be saved and replayed.
    pub saved: serde_json::Value,
}

/// How long a finding is made smaller.
const MINIMISING: Duration = Duration::from_secs(8);

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
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        MECHANISMS.iter().find(|mechanism| mechanism.name == name)
    }

    /// Plays random programs as ordered, in this process and its children,
    /// until the model objects to one.
    pub fn run(&self, order: &Order) -> Verdict<Tally> {
        (self.run)(order)
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
    let mut stage = Stage::<M>::new(order.place)?;
    let mut random = fastrand::Rng::with_seed(order.seed);
    let mut reach = Reach::default();
    let began = Instant::now();
    let time = Duration::from_millis(order.millis);
    let mut programs = 0;
    let mut found = None;
    while found.is_none() && programs < order.programs && began.elapsed() < time {
        programs += 1;
        let program = Program::<M>::decode(&random_bytes(&mut random, order.steps), order.actors);
        found = attempt(&mut stage, &judge, program, &mut reach, began)?;
    }
    Ok(Tally {
        programs,
        operations: reach.operations(),
        millis: began.elapsed().as_millis() as u64,
        by_priority: stage.scheduling() == Scheduling::Priority,
        evidence: stage.evidence(),
        reached: reach.table().into_iter().map(|((op, came), n)| (op, came, n)).collect(),
        undecided: 0,
        found,
    })
}

fn attempt<M: Model>(
    stage: &mut Stage<M>,
    judge: &Judge<M>,
    program: Program<M>,
    reach: &mut Reach,
    began: Instant,
) -> Verdict<Option<Found>> {
    let played = play(stage, judge, &program, reach, None)?;
    let Some(objection) = played.objection else { return Ok(None) };
    let millis = began.elapsed().as_millis() as u64;
    let program = Program { steps: played.steps, ..program };
    let finding = minimise(stage, judge, program, objection, MINIMISING)?;
    Found::of(&finding, millis).map(Some)
}

fn play_bytes<M: Model>(bytes: &[u8], order: &Order) -> Verdict<Option<Found>> {
    let mut stage = Stage::<M>::new(order.place)?;
    let program = Program::<M>::decode(bytes, order.actors);
    let played = play(&mut stage, &judge(order)?, &program, &mut Reach::default(), None)?;
    let Some(objection) = played.objection else { return Ok(None) };
    let program = Program { steps: played.steps, ..program };
    Found::of(&Finding { program, objection, confirmed: 1 }, 0).map(Some)
}

impl Found {
    fn of<M: Model>(finding: &Finding<M>, millis: u64) -> Verdict<Self> {
        let Finding { program, objection, confirmed } = finding;
        Ok(Self {
            millis,
            actor: objection.actor,
            wanted: objection.wanted.clone(),
            got: objection.got.clone(),
            rule: objection.rule.to_string(),
            confirmed: (*confirmed, CONFIRMATIONS),
            steps: format!("{program:?}").lines().map(str::to_owned).collect(),
            saved: serde_json::to_value(program).map_err(std::io::Error::from)?,
        })
    }
}

/// The case in which workers play programs: it is told an [`Order`], and
/// prints a [`Tally`], both as JSON. It is not one of the suite's, since it
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
    let order = told_to_case().ok_or("the driver was told nothing")?;
    let order: Order = serde_json::from_str(&order).map_err(std::io::Error::from)?;
    let mechanism = Mechanism::named(&order.mechanism)
        .ok_or_else(|| Failure::broken(format!("no model of {}", order.mechanism)))?;
    let tally = mechanism.run(&order)?;
    println!("{}", serde_json::to_string(&tally).map_err(std::io::Error::from)?);
    Ok(())
}
