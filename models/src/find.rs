//! Finding programs to which a model objects, and making them small.

use std::time::{Duration, Instant};

use ipcspec_harness::Verdict;

use crate::program::Step;
use crate::reach::Reach;
use crate::stage::Stage;
use crate::turns::play_on;
use crate::{Judge, Model, Objection, Program, Seed};

/// A program to which the model objects, as small as it could be made.
#[derive(Debug)]
pub struct Finding<M: Model> {
    /// The program: the objection is to its last step.
    pub program: Program<M>,
    /// The objection.
    pub objection: Objection,
    /// How often it showed again, of [`CONFIRMATIONS`] times.
    pub confirmed: u32,
}

/// How often a finding is tried again.
pub const CONFIRMATIONS: u32 = 5;

/// Whether the model objects to this program.
fn objects<M: Model>(
    stage: &mut Stage<M>,
    judge: &Judge<M>,
    program: &Program<M>,
    aside: &[String],
) -> Verdict<Option<(Vec<Step<M>>, Objection)>> {
    let played = play_on(stage, judge, program, &mut Reach::default(), None, aside)?;
    Ok(played.objection.map(|objection| (played.steps, objection)))
}

/// Makes a program that the model objects to as small as it can within the
/// time, and tries again what is left. It stays a program of what was found:
/// one to which another rule objects is no smaller one of it. Rules that stand
/// `aside` are known not to be kept.
pub fn minimise<M: Model>(
    stage: &mut Stage<M>,
    judge: &Judge<M>,
    program: Program<M>,
    objection: Objection,
    time: Duration,
    aside: &[String],
) -> Verdict<Finding<M>> {
    let limit = Instant::now() + time;
    let rule = objection.rule;
    let mut again = |candidate: &Program<M>| {
        let found = objects(stage, judge, candidate, aside)?;
        Ok(found.filter(|(_, now)| now.rule == rule))
    };
    let (best, why) = shrink(program, objection, limit, &mut again)?;
    let mut confirmed = 0;
    for _ in 0..CONFIRMATIONS {
        confirmed += u32::from(again(&best)?.is_some());
    }
    Ok(Finding { program: best, objection: why, confirmed })
}

/// The smallest program that fails, found from one that does until `limit`,
/// and why it does. `fails` gives the steps that were made, and why.
pub(crate) fn shrink<M: Model, W>(
    program: Program<M>,
    mut why: W,
    limit: Instant,
    mut fails: impl FnMut(&Program<M>) -> Verdict<Option<(Vec<Step<M>>, W)>>,
) -> Verdict<(Program<M>, W)> {
    let mut best = program;
    // Most findings need no more than the last few steps.
    let mut last = 1;
    while last < best.steps.len() && Instant::now() < limit {
        let steps = best.steps[best.steps.len() - last..].to_vec();
        let candidate = Program { steps, ..best.clone() };
        if let Some((steps, now)) = fails(&candidate)? {
            best = Program { steps, ..candidate };
            why = now;
            break;
        }
        last *= 2;
    }
    let mut smaller = true;
    while smaller && Instant::now() < limit {
        smaller = false;
        let mut part = best.steps.len().next_power_of_two() / 2;
        while part > 0 && Instant::now() < limit {
            let mut at = 0;
            while at < best.steps.len() {
                let mut candidate = best.clone();
                candidate.steps.drain(at..(at + part).min(best.steps.len()));
                if let Some((steps, now)) = fails(&candidate)? {
                    best = Program { steps, ..candidate };
                    why = now;
                    smaller = true;
                } else {
                    at += part;
                }
            }
            part /= 2;
        }
        for candidate in simpler(&best) {
            if Instant::now() > limit {
                break;
            }
            if let Some((steps, now)) = fails(&candidate)? {
                best = Program { steps, ..candidate };
                why = now;
                smaller = true;
                break;
            }
        }
    }
    Ok((best, why))
}

/// Programs of as many steps that are simpler: fewer actors, and steps from
/// simpler bytes.
fn simpler<M: Model>(program: &Program<M>) -> Vec<Program<M>> {
    let mut simpler = vec![];
    if program.actors > 1 {
        simpler.push(Program { actors: program.actors - 1, ..program.clone() });
    }
    for (index, step) in program.steps.iter().enumerate() {
        let mut push = |step: Step<M>| {
            let mut candidate = program.clone();
            candidate.steps[index] = step;
            simpler.push(candidate);
        };
        if step.actor > 0 {
            push(Step { actor: 0, ..*step });
        }
        let Some(seed) = step.seed else { continue };
        for place in 1..Seed::BYTES {
            for byte in [0, seed[place] / 2, seed[place].saturating_sub(1)] {
                let mut bytes = seed;
                bytes[place] = byte;
                let decoded = Step::<M>::decode(bytes);
                if byte < seed[place] && decoded.act != step.act {
                    push(Step { actor: step.actor, ..decoded });
                }
            }
        }
    }
    simpler
}
