//! Races: the actors of a program run freely, on all processors, and
//! afterwards an order is looked for that explains what they were answered.
//!
//! Each call takes effect at a moment, or for one that moves things in parts,
//! at moments, between its call and its return (linearizability). So a call
//! may be entered in the model only when every call that had come back before
//! it was made has taken effect. A call that never came back was entered, and
//! sleeps in the end, when nobody in the model can move any more.
//!
//! The model is asked in the same way as in turns, but who sleeps may go on
//! at any time later, not at once: others can get in between. That allows
//! more than a model that hands things over to who has slept longest, and
//! never less.

use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ipcspec_harness::Verdict;
use serde::{Deserialize, Serialize};

use crate::find::shrink;
use crate::model::{ACTORS, Part};
use crate::reach::{Outcome, Reach};
use crate::stage::Stage;
use crate::world::{Life, Seen, show_answers};
use crate::{Act, Actor, Answer, Judge, Model, Objection, Op, Place, Program, World, signal};

/// Most calls of one actor in a race.
pub const RACE_CALLS: usize = 8;
/// States after which the search for an order is given up.
pub const MOST_STATES: usize = 100_000;
/// How often a smaller program is raced before it passes for one that does
/// not fail.
pub const RACE_TRIES: u32 = 30;
/// How often what was found is raced again.
pub const RACE_CONFIRMATIONS: u32 = 100;

/// One call as it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call<O> {
    /// What was called.
    pub act: Act<O>,
    /// When, by a clock that ticks at each call and return.
    pub called: u64,
    /// What came back, and when, if anything did.
    pub back: Option<(Answer, u64)>,
}

/// What was seen of a race.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct History<M: Model> {
    /// How the object was made.
    pub shape: M::Shape,
    /// The calls of each actor, in order.
    pub calls: Vec<Vec<Call<M::Op>>>,
    /// Where each actor was in the end.
    pub places: Vec<Place>,
}

/// What the search for an order came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explained {
    /// There is one.
    Yes,
    /// The search was given up: neither a pass nor a finding.
    Undecided,
    /// There is none.
    No(Unexplained),
}

/// How far a history can be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexplained {
    /// What happened in an order that explains as many answers as any does.
    pub prefix: Vec<Moment>,
    /// What the model says of each that could come next.
    pub refused: Vec<Refusal>,
}

/// One thing that happens in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// To whom.
    pub actor: Actor,
    /// In which of its calls.
    pub call: usize,
    /// What.
    pub what: Happens,
}

/// What can happen to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Happens {
    /// It takes effect.
    Returns,
    /// It goes to sleep, perhaps having moved a part.
    Sleeps,
    /// It has moved a part, and will go on.
    Parts,
    /// It is over, and its caller will be told of a signal.
    Raises,
    /// Its caller ends.
    Ends,
}

/// What could not come next, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The call of [`Objection::actor`].
    pub call: usize,
    /// What the model says.
    pub objection: Objection,
}

/// How a race went.
#[derive(Debug)]
pub struct Raced<M: Model> {
    /// What was seen.
    pub history: History<M>,
    /// Whether the model allows it.
    pub explained: Explained,
}

/// What each actor does before a race: one of signals has all of them blocked,
/// for a delivery is not over in one moment, and what is pending is so at one.
fn before<M: Model>() -> Option<Act<M::Op>> {
    let block = signal::Op::Mask { how: signal::How::Set, set: signal::Set::ALL };
    M::ALONE.then_some(Act::Signal(block))
}

/// Whether actors can do this in a race: nobody knows when a death was, or
/// when the time of a call was over.
fn races<M: Model>(act: &Act<M::Op>) -> bool {
    match act {
        Act::Own(_) => act.timeout().is_none(),
        Act::Signal(op) => M::ALONE && op.races(),
        Act::Fork | Act::Exit => false,
    }
}

/// Deals the steps of a program to its actors, each keeping its order, without
/// those that cannot be raced. At most [`RACE_CALLS`] each.
pub fn deal<M: Model>(program: &Program<M>) -> Vec<Vec<Act<M::Op>>> {
    let mut lists = vec![vec![]; program.actors];
    for step in program.steps.iter().filter(|step| races::<M>(&step.act)) {
        let list = &mut lists[step.actor % program.actors];
        if list.len() < RACE_CALLS {
            list.push(step.act);
        }
    }
    lists
}

/// Has the actors of a program race, and looks for an order that explains
/// what was seen. The stage is one without priorities.
pub fn play_race<M: Model>(
    stage: &mut Stage<M>,
    judge: &Judge<M>,
    program: &Program<M>,
    reach: &mut Reach,
) -> Verdict<Raced<M>> {
    let lists = deal(program);
    stage.begin(&program.shape, program.actors)?;
    if let Some(before) = before::<M>() {
        for actor in 0..program.actors {
            stage.run(actor, &[before])?;
        }
    }
    stage.race(&lists)?;
    let history = look(stage, program.shape, &lists);
    stage.end()?;
    let class = World::<M>::new(&program.shape, program.actors).class();
    for call in history.calls.iter().flatten() {
        let outcome = match &call.back {
            Some((answer, _)) => answer.result.map_or_else(Outcome::Error, |_| Outcome::Ok),
            None => Outcome::Sleeps,
        };
        reach.note(call.act.name(), outcome, class);
    }
    let explained = explain(judge, &history, MOST_STATES);
    Ok(Raced { history, explained })
}

/// The history of the race that a stage has just seen.
fn look<M: Model>(stage: &Stage<M>, shape: M::Shape, lists: &[Vec<Act<M::Op>>]) -> History<M> {
    let calls = lists.iter().enumerate().map(|(actor, list)| {
        let answers =
            stage.answers(actor).map(|(answer, called, back)| (called, Some((answer, back))));
        let last = stage.called(actor).map(|called| (called, None));
        let made = answers.chain(last);
        list.iter()
            .zip(made)
            .map(|(act, (called, back))| Call { act: *act, called, back })
            .collect()
    });
    let places = (0..lists.len()).map(|actor| stage.place(actor)).collect();
    History { shape, calls: calls.collect(), places }
}

/// Looks for an order that the model allows and that explains this history,
/// in at most so many states.
pub fn explain<M: Model>(judge: &Judge<M>, history: &History<M>, most: usize) -> Explained {
    let start = Rc::new(State { world: start(judge, history), entered: [0; ACTORS], within: None });
    let mut search = Search { judge, history, seen: HashSet::new(), trail: vec![] };
    let mut open = vec![(start.clone(), NOWHERE)];
    let mut best = ((0, 0), start, NOWHERE);
    while let Some((state, at)) = open.pop() {
        if !search.seen.insert(state.clone()) {
            continue;
        }
        if search.seen.len() > most {
            return Explained::Undecided;
        }
        let reached = history.reached(&state);
        if reached > best.0 {
            best = (reached, state.clone(), at);
        }
        let first = open.len();
        for (next, moment) in search.moves(&state, None) {
            search.trail.push((at, moment));
            open.push((Rc::new(next), search.trail.len() - 1));
        }
        if open.len() == first && search.is_over(&state) {
            return Explained::Yes;
        }
        // Whose answer came first is tried first: it is on top.
        let soonest =
            |(_, at): &(Rc<State<M>>, usize)| std::cmp::Reverse(history.back(&search.trail[*at].1));
        open[first..].sort_by_key(soonest);
    }
    let (_, state, at) = best;
    let mut refused = vec![];
    search.moves(&state, Some(&mut refused)).for_each(drop);
    Explained::No(Unexplained { prefix: search.way_to(at), refused })
}

/// The world as the race begins.
fn start<M: Model>(judge: &Judge<M>, history: &History<M>) -> World<M> {
    let actors = history.calls.len();
    let mut world = World::new(&history.shape, actors);
    if let Some(before) = before::<M>() {
        for actor in 0..actors {
            world.attempt(judge, actor, before, None);
            world.come_back(actor);
        }
    }
    world
}

/// A state of the search.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State<M: Model> {
    world: World<M>,
    /// How many calls each actor has entered.
    entered: [u8; ACTORS],
    /// Who has done a part of a call, between which and the next others can
    /// only look.
    within: Option<Actor>,
}

/// Where the search begins, in its trail.
const NOWHERE: usize = usize::MAX;

struct Search<'s, M: Model> {
    judge: &'s Judge<M>,
    history: &'s History<M>,
    seen: HashSet<Rc<State<M>>>,
    /// What happened, each after what; states refer to it.
    trail: Vec<(usize, Moment)>,
}

impl<M: Model> Search<'_, M> {
    /// All that can happen in a state. `refused` gets what cannot.
    fn moves(
        &self,
        state: &State<M>,
        mut refused: Option<&mut Vec<Refusal>>,
    ) -> impl Iterator<Item = (State<M>, Moment)> + use<M> {
        let mut moves = smallvec::SmallVec::<[_; 2 * ACTORS]>::new();
        for actor in (0..self.history.calls.len()).filter(|actor| self.may_move(state, *actor)) {
            moves.extend(self.fall_asleep(state, actor));
            moves.extend(self.do_a_part(state, actor));
            match self.go_on(state, actor) {
                Ok(Some(next)) => moves.push(next),
                Ok(None) => {}
                Err(refusal) => {
                    if let Some(refused) = &mut refused {
                        refused.push(refusal);
                    }
                }
            }
        }
        moves.into_iter()
    }

    /// Whether anybody who is in the middle of a call lets this actor move.
    fn may_move(&self, state: &State<M>, actor: Actor) -> bool {
        state.within.is_none_or(|within| {
            let next = self.history.calls[actor].get(usize::from(state.entered[actor]));
            let looks = next.is_some_and(|call| matches!(call.act, Act::Own(op) if op.looks()));
            within == actor || looks && matches!(state.world.life(actor), Life::Idle)
        })
    }

    /// The state in which this actor is in a call, which it enters now if it
    /// may and is in none; with the number of the call.
    fn in_call(&self, state: &State<M>, actor: Actor) -> Option<(State<M>, usize)> {
        let entered = usize::from(state.entered[actor]);
        let (call, begins) = match state.world.life(actor) {
            Life::Idle if entered < self.history.calls[actor].len() => (entered, true),
            Life::Busy { .. } => (entered - 1, false),
            _ => return None,
        };
        if begins && !self.history.may_enter(state, actor, call) {
            return None;
        }
        let mut next = state.clone();
        next.entered[actor] += u8::from(begins);
        next.within = state.within.filter(|within| *within != actor);
        Some((next, call))
    }

    /// What comes of it when this actor enters its next call and sleeps, or
    /// goes on with one and sleeps again, where that is left to the kernel:
    /// what it answered in the end does not tell whether it slept before.
    fn fall_asleep(&self, state: &State<M>, actor: Actor) -> Option<(State<M>, Moment)> {
        let (mut next, call) = self.in_call(state, actor)?;
        let made = &self.history.calls[actor][call];
        made.back.as_ref()?;
        let moved = next.world.attempt(self.judge, actor, made.act, None);
        let asleep = matches!(next.world.life(actor), Life::Busy { .. });
        let begins = next.entered != state.entered;
        let what = Happens::Sleeps;
        (asleep && (begins || moved)).then_some((next, Moment { actor, call, what }))
    }

    /// What comes of it when this actor does a part of its call that others
    /// can see.
    fn do_a_part(&self, state: &State<M>, actor: Actor) -> Option<(State<M>, Moment)> {
        let (mut next, call) = self.in_call(state, actor)?;
        let made = &self.history.calls[actor][call];
        let part = next.world.part(actor, made.act, made.answer())?;
        if matches!(part, Part::Shut(_)) {
            next.within = Some(actor);
        }
        Some((next, Moment { actor, call, what: Happens::Parts }))
    }

    /// What comes of it when this actor goes on, if it can.
    fn go_on(&self, state: &State<M>, actor: Actor) -> Result<Option<(State<M>, Moment)>, Refusal> {
        if let Life::Back { .. } = state.world.life(actor) {
            let mut next = state.clone();
            next.world.deliver_to(self.judge, actor, Seen::default());
            return self.follow(next, actor, usize::from(state.entered[actor]) - 1).map(Some);
        }
        let Some((mut next, call)) = self.in_call(state, actor) else { return Ok(None) };
        let made = &self.history.calls[actor][call];
        let moved = next.world.attempt(self.judge, actor, made.act, made.answer());
        if !moved && next.entered == state.entered {
            // That it sleeps is refused when nobody else can move.
            let asleep = || "asleep".to_owned();
            return match made.answer() {
                Some(got) => Err(refuse(&next.world, actor, call, asleep(), got.to_string())),
                None => Ok(None),
            };
        }
        self.follow(next, actor, call).map(Some)
    }

    /// Whether what the model now has of this call is what was seen.
    fn follow(
        &self,
        mut next: State<M>,
        actor: Actor,
        call: usize,
    ) -> Result<(State<M>, Moment), Refusal> {
        let seen = self.history.calls[actor][call].answer();
        let place = self.history.places[actor];
        let what = match next.world.life(actor) {
            // The signal is its own moment.
            Life::Back { .. } if next.world.signals.is_pending(actor) => Happens::Raises,
            Life::Back { answers, .. } => {
                if !seen.is_some_and(|seen| answers.contains(seen)) {
                    let got = seen.map_or_else(|| place.to_string(), ToString::to_string);
                    return Err(refuse(&next.world, actor, call, show_answers(answers), got));
                }
                next.world.come_back(actor);
                Happens::Returns
            }
            Life::Ended(end) => {
                let wanted = Place::Ended(*end);
                if seen.is_some() || place != wanted {
                    let got = seen.map_or_else(|| place.to_string(), ToString::to_string);
                    return Err(refuse(&next.world, actor, call, wanted.to_string(), got));
                }
                Happens::Ends
            }
            _ => Happens::Sleeps,
        };
        Ok((next, Moment { actor, call, what }))
    }

    /// Whether a state in which nobody can move is as it was seen in the end.
    fn is_over(&self, state: &State<M>) -> bool {
        self.history.calls.iter().enumerate().all(|(actor, calls)| {
            let answered = calls.last().is_none_or(|call| call.back.is_some());
            let place = self.history.places[actor];
            let mut again = state.world.clone();
            usize::from(state.entered[actor]) == calls.len()
                && match state.world.life(actor) {
                    Life::Idle => answered && place == Place::Idle,
                    // Nor may it be one that could move, but not as was seen.
                    Life::Busy { act, .. } => {
                        !answered
                            && place == Place::Asleep
                            && !again.attempt(self.judge, actor, *act, None)
                    }
                    Life::Ended(end) => !answered && place == Place::Ended(*end),
                    Life::Back { .. } | Life::Absent => false,
                }
        })
    }

    fn way_to(&self, mut at: usize) -> Vec<Moment> {
        let mut way = vec![];
        while let Some((before, moment)) = self.trail.get(at) {
            way.push(*moment);
            at = *before;
        }
        way.reverse();
        way
    }
}

/// What the model wants of an actor in this state, and what was seen.
fn refuse<M: Model>(
    world: &World<M>,
    actor: Actor,
    call: usize,
    wanted: String,
    got: String,
) -> Refusal {
    Refusal {
        call,
        objection: Objection { actor, wanted, got, rule: world.rule(actor), instead: None },
    }
}

impl<O: Op> Call<O> {
    fn answer(&self) -> Option<&Answer> {
        self.back.as_ref().map(|(answer, _)| answer)
    }
}

impl<M: Model> History<M> {
    /// When the call came back that a moment belongs to; at the end of all
    /// times if it never did.
    fn back(&self, moment: &Moment) -> u64 {
        let call = &self.calls[moment.actor][moment.call];
        call.back.as_ref().map_or(u64::MAX, |(_, back)| *back)
    }

    /// How many calls of an actor have taken effect.
    fn done(state: &State<M>, actor: Actor) -> usize {
        let under_way = matches!(state.world.life(actor), Life::Busy { .. } | Life::Back { .. });
        usize::from(state.entered[actor]) - usize::from(under_way)
    }

    /// Whether all has taken effect that had come back before this call was
    /// made.
    fn may_enter(&self, state: &State<M>, actor: Actor, call: usize) -> bool {
        let called = self.calls[actor][call].called;
        self.calls.iter().enumerate().all(|(other, calls)| {
            // Those of one actor come back in order.
            let first = calls.get(Self::done(state, other));
            first.and_then(|first| first.back.as_ref()).is_none_or(|(_, back)| *back > called)
        })
    }

    /// How much of it is explained: calls that took effect, then those that
    /// were entered.
    fn reached(&self, state: &State<M>) -> (usize, usize) {
        let done = (0..self.calls.len()).map(|actor| Self::done(state, actor)).sum();
        (done, state.entered.iter().map(|entered| usize::from(*entered)).sum())
    }

    /// Whether any two calls of it were under way at the same time.
    pub fn overlaps(&self) -> bool {
        let until = |call: &Call<M::Op>| call.back.as_ref().map_or(u64::MAX, |(_, back)| *back);
        let mut calls: Vec<_> =
            self.calls.iter().flatten().map(|call| (call.called, until(call))).collect();
        calls.sort_unstable();
        calls.windows(2).any(|pair| pair[1].0 < pair[0].1)
    }

    /// A line that tells one call.
    fn line(&self, actor: Actor, call: usize) -> String {
        let made = &self.calls[actor][call];
        match &made.back {
            Some((answer, _)) => format!("{actor}: {} = {answer}", made.act),
            None => format!("{actor}: {} does not return ({})", made.act, self.places[actor]),
        }
    }
}

/// The calls in the order in which they were made, each with a line from its
/// call to its return.
impl<M: Model> fmt::Display for History<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of {} actors", self.shape, self.calls.len())?;
        let all = |(actor, calls): (Actor, &Vec<Call<M::Op>>)| {
            let called = |(call, made): (usize, &Call<M::Op>)| (made.called, actor, call);
            calls.iter().enumerate().map(called).collect::<Vec<_>>()
        };
        let mut order: Vec<_> = self.calls.iter().enumerate().flat_map(all).collect();
        order.sort_unstable();
        let mut times: Vec<u64> = order.iter().map(|(called, ..)| *called).collect();
        times
            .extend(self.calls.iter().flatten().filter_map(|call| call.back.as_ref()).map(|b| b.1));
        times.sort_unstable();
        let column = |time: u64| times.partition_point(|earlier| *earlier < time);
        for (called, actor, call) in order {
            let from = column(called);
            let back = self.calls[actor][call].back.as_ref().map(|(_, back)| column(*back));
            let to = back.unwrap_or(times.len());
            let end = if back.is_some() { '|' } else { '>' };
            let line = format!("|{}{end}", "-".repeat(to - from - 1));
            let width = times.len() + 2 - from;
            writeln!(f, "{}{line:<width$}{}", " ".repeat(from), self.line(actor, call))?;
        }
        Ok(())
    }
}

impl Unexplained {
    /// How far the history is explained, and what could not come next.
    pub fn tell<M: Model>(&self, history: &History<M>) -> String {
        use fmt::Write as _;
        let mut text = history.to_string();
        let _ = writeln!(text, "No order explains this. As far as any does:");
        for Moment { actor, call, what } in &self.prefix {
            let act = &history.calls[*actor][*call].act;
            let _ = match what {
                Happens::Returns => writeln!(text, "  {}", history.line(*actor, *call)),
                Happens::Sleeps => writeln!(text, "  {actor}: {act} sleeps"),
                Happens::Parts => writeln!(text, "  {actor}: {act} does a part"),
                Happens::Raises => writeln!(text, "  {actor}: {act} raises a signal"),
                Happens::Ends => writeln!(text, "  {actor} ends"),
            };
        }
        let _ = writeln!(text, "then none of these:");
        for Refusal { call, objection } in &self.refused {
            let Objection { actor, wanted, got, rule, .. } = objection;
            let act = &history.calls[*actor][*call].act;
            let _ = writeln!(text, "  {actor}: {act} = {got}, not {wanted}: {rule}");
        }
        if self.refused.is_empty() {
            let _ = writeln!(text, "  (nobody can do anything more)");
        }
        text
    }
}

/// A program of which a race came to what the model does not allow, as small
/// as it could be made.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct RaceFinding<M: Model> {
    /// The program.
    pub program: Program<M>,
    /// A history that no order explains.
    pub history: History<M>,
    /// The history, how far it can be explained, and what could not come
    /// next.
    pub tells: String,
    /// How often it failed again, of [`RACE_CONFIRMATIONS`] times.
    pub confirmed: u32,
}

/// Races a program up to so many times, until one race is not explained.
fn fails<M: Model>(
    stage: &mut Stage<M>,
    judge: &Judge<M>,
    program: &Program<M>,
    tries: u32,
) -> Verdict<Option<(History<M>, Unexplained)>> {
    for _ in 0..tries {
        let raced = play_race(stage, judge, program, &mut Reach::default())?;
        if let Explained::No(unexplained) = raced.explained {
            return Ok(Some((raced.history, unexplained)));
        }
    }
    Ok(None)
}

/// Makes a program of which a race failed as small as it can within the time,
/// and races again what is left. A smaller one fails when one of
/// [`RACE_TRIES`] races does.
pub fn minimise_race<M: Model>(
    stage: &mut Stage<M>,
    judge: &Judge<M>,
    program: Program<M>,
    history: History<M>,
    unexplained: Unexplained,
    time: Duration,
) -> Verdict<RaceFinding<M>> {
    let limit = Instant::now() + time;
    let try_out = |candidate: &Program<M>| {
        let why = fails(stage, judge, candidate, RACE_TRIES)?;
        Ok(why.map(|why| (candidate.steps.clone(), why)))
    };
    let mut program = program;
    program.steps.retain(|step| races::<M>(&step.act));
    let (program, (history, unexplained)) =
        shrink(program, (history, unexplained), limit, try_out)?;
    let mut confirmed = 0;
    for _ in 0..RACE_CONFIRMATIONS {
        confirmed += u32::from(fails(stage, judge, &program, 1)?.is_some());
    }
    let tells = unexplained.tell(&history);
    Ok(RaceFinding { program, history, tells, confirmed })
}

// Derived, these would ask the model for the same.
impl<M: Model> Clone for History<M> {
    fn clone(&self) -> Self {
        Self { shape: self.shape, calls: self.calls.clone(), places: self.places.clone() }
    }
}

impl<M: Model> fmt::Debug for History<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
