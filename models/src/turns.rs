//! Programs in turns: one step after the other, and after each the model
//! judges what became of everybody.

use ipcspec_harness::Verdict;
use smallvec::smallvec;

use crate::model::{ACTORS, DIRECTOR};
use crate::program::Step;
use crate::reach::{Outcome, Reach};
use crate::stage::{LIST, Stage};
use crate::world::Place;
use crate::{Act, Actor, Answer, Judge, Model, Objection, Program, Sights, World, Worlds};

/// How a program went.
#[derive(Debug)]
pub struct Played<M: Model> {
    /// The steps that were made, each by who made it.
    pub steps: Vec<Step<M>>,
    /// What the model objected to at the last of them.
    pub objection: Option<Objection>,
    /// Which step of the program that was, from 0.
    pub at: usize,
}

/// Who looks at each step: what was done, what was seen, and the states that
/// explain it.
pub type Onlooker<'o, M> =
    &'o mut dyn FnMut(Actor, &Act<<M as Model>::Op>, &Sights, Result<&Worlds<M>, &Objection>);

/// Plays a program and judges every step. `onlooker` sees each: then steps
/// are made one at a time.
pub fn play<'p, M: Model>(
    stage: &'p mut Stage<M>,
    judge: &'p Judge<M>,
    program: &Program<M>,
    reach: &'p mut Reach,
    onlooker: Option<Onlooker<'p, M>>,
) -> Verdict<Played<M>> {
    play_on(stage, judge, program, reach, onlooker, &[])
}

/// As [`play`], where some rules are known not to be kept: an answer that one
/// of these objects to is taken for the one that it wants, if both succeed or
/// both fail.
pub fn play_on<'p, M: Model>(
    stage: &'p mut Stage<M>,
    judge: &'p Judge<M>,
    program: &Program<M>,
    reach: &'p mut Reach,
    onlooker: Option<Onlooker<'p, M>>,
    aside: &'p [String],
) -> Verdict<Played<M>> {
    stage.begin(&program.shape, program.actors)?;
    let world = World::new(&program.shape, program.actors);
    let worlds = smallvec![world];
    let mut turns = Turns { stage, judge, reach, onlooker, aside, worlds, steps: vec![], at: 0 };
    let objection = turns.all(&program.steps)?;
    turns.stage.end()?;
    Ok(Played { steps: turns.steps, objection, at: turns.at })
}

struct Turns<'p, M: Model> {
    stage: &'p mut Stage<M>,
    judge: &'p Judge<M>,
    reach: &'p mut Reach,
    onlooker: Option<Onlooker<'p, M>>,
    aside: &'p [String],
    worlds: Worlds<M>,
    steps: Vec<Step<M>>,
    at: usize,
}

impl<M: Model> Turns<'_, M> {
    fn all(&mut self, steps: &[Step<M>]) -> Verdict<Option<Objection>> {
        let mut next = 0;
        while next < steps.len() {
            if self.stage.traced
                && let Act::Signal(op) = &steps[next].act
                && self.worlds[0].signals.is_idle(op)
            {
                next += 1;
                continue;
            }
            let wish = steps[next].actor;
            let Some(actor) = self.whose_turn(wish) else {
                // Nobody is left who could do anything, or it is to be so.
                let told = (wish == DIRECTOR).then_some(steps[next].act);
                let Some(act) = told.or_else(|| self.worlds[0].nudge(wish)) else { break };
                self.steps.push(Step { actor: DIRECTOR, act, seed: None });
                self.at = next;
                if let Some(objection) = self.nudge(&act)? {
                    return Ok(Some(objection));
                }
                next += 1;
                continue;
            };
            let together = self.together(actor, &steps[next..]);
            let list = &steps[next..next + together];
            self.steps.extend(list.iter().map(|step| Step { actor, ..*step }));
            let before = self.steps.len() - together;
            let (made, objection) =
                if together == 1 { self.one(actor, list[0].act)? } else { self.many(actor, list)? };
            self.steps.truncate(before + made);
            self.at = next + made - 1;
            if objection.is_some() {
                return Ok(objection);
            }
            next += made;
        }
        Ok(None)
    }

    fn whose_turn(&self, wish: Actor) -> Option<Actor> {
        let world = &self.worlds[0];
        (0..ACTORS)
            .map(|more| (wish + more) % ACTORS)
            .find(|actor| wish != DIRECTOR && world.is_idle(*actor))
    }

    /// How many of the next steps can be made at one go: those of one actor
    /// that nobody else can notice at once.
    fn together(&self, actor: Actor, steps: &[Step<M>]) -> usize {
        let [world] = &self.worlds[..] else { return 1 };
        if self.onlooker.is_some() || world.somebody_waits() {
            return 1;
        }
        let alike = |step: &&Step<M>| {
            matches!(step.act, Act::Own(_)) && self.whose_turn(step.actor) == Some(actor)
        };
        steps.iter().take(LIST).take_while(alike).count().max(1)
    }

    /// The director does something.
    fn nudge(&mut self, act: &Act<M::Op>) -> Verdict<Option<Objection>> {
        let fresh = std::array::from_fn(|other| self.worlds[0].call_of(other).is_some());
        self.stage.direct(act)?;
        Ok(self.look(DIRECTOR, act, fresh))
    }

    /// One step, after which everybody is looked at.
    fn one(&mut self, actor: Actor, act: Act<M::Op>) -> Verdict<(usize, Option<Objection>)> {
        let fresh =
            std::array::from_fn(|other| other == actor || self.worlds[0].call_of(other).is_some());
        self.stage.run(actor, &[act])?;
        Ok((1, self.look(actor, &act, fresh)))
    }

    fn look(&mut self, actor: Actor, act: &Act<M::Op>, fresh: [bool; ACTORS]) -> Option<Objection> {
        let mut sights = self.stage.sights(&fresh);
        let class = self.worlds[0].class();
        for (other, sight) in sights.iter().enumerate() {
            let done = if other == actor { Some(act) } else { self.worlds[0].call_of(other) };
            if let (Some(done), Some(answer)) = (done, &sight.answer) {
                self.note(&done.clone(), answer, class);
            }
        }
        if actor != DIRECTOR && sights[actor].place == Place::Asleep {
            self.reach.note(act.name(), Outcome::Sleeps, class);
        }
        let kept = (!self.aside.is_empty()).then(|| self.worlds.clone());
        let mut judged = self.judge.step(std::mem::take(&mut self.worlds), actor, act, &sights);
        for _ in 0..ACTORS {
            let (Err(objection), Some(kept)) = (&judged, &kept) else { break };
            let Some(instead) = self.overlooked(objection) else { break };
            sights[objection.actor].answer = Some(instead);
            judged = self.judge.step(kept.clone(), actor, act, &sights);
        }
        if let Some(onlooker) = &mut self.onlooker {
            onlooker(actor, act, &sights, judged.as_ref());
        }
        match judged {
            Ok(worlds) => {
                self.worlds = worlds;
                None
            }
            Err(objection) => Some(objection),
        }
    }

    /// Several steps of one actor, while everybody else is idle.
    fn many(&mut self, actor: Actor, list: &[Step<M>]) -> Verdict<(usize, Option<Objection>)> {
        let acts: smallvec::SmallVec<[Act<M::Op>; LIST]> =
            list.iter().map(|step| step.act).collect();
        let done = self.stage.run(actor, &acts)?;
        let answers = self.stage.answers(actor);
        for (index, (answer, ..)) in answers.enumerate() {
            let class = self.worlds[0].class();
            self.note(&acts[index], &answer, class);
            if let Err(objection) =
                self.judge.answer(&mut self.worlds[0], actor, &acts[index], &answer)
            {
                if self.overlooked(&objection).is_some() {
                    self.worlds[0].come_back(actor);
                    continue;
                }
                return Ok((index + 1, Some(objection)));
            }
        }
        let nobody = [false; ACTORS];
        if done == acts.len() || self.stage.is_idle(actor) {
            let sights = self.stage.sights(&nobody);
            let judged = self.judge.rest(&mut self.worlds[0], &sights);
            return Ok((done, judged.err()));
        }
        Ok((done + 1, self.look(actor, &acts[done], nobody)))
    }

    /// What is taken for the answer, where this objection is known.
    fn overlooked(&self, objection: &Objection) -> Option<Answer> {
        let known = || self.aside.contains(&objection.rule.to_string());
        objection.instead.as_deref().filter(|_| known()).cloned()
    }

    fn note(&mut self, act: &Act<M::Op>, answer: &Answer, class: u32) {
        let outcome = answer.result.map_or_else(Outcome::Error, |_| Outcome::Ok);
        self.reach.note(act.name(), outcome, class);
    }
}
