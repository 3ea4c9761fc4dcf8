//! One mechanism and the processes around it, as the model has them.

use std::fmt;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::model::{ACTORS, DIRECTOR, Part};
use crate::signal::{Delivery, Info, Sig, Signals};
use crate::{Actor, Answer, Cast, Cut, Model, Op, Rule, Seed, Step, rules, signal};

rules! {
    /// A process that exits is gone.
    EXITS = EXIT_GROUP_2, "DESCRIPTION";
    /// A fork gives a child.
    FORKS = FORK_2, "DESCRIPTION";
    /// A signal whose action is to end the process ends it.
    ENDED_BY_SIGNAL = SIGNAL_7, "Signal dispositions";
    /// A signal that stops a process stops it until SIGCONT.
    STOPPED_BY_SIGNAL = SIGNAL_7, "Signal dispositions";
    /// A handler runs once for each signal that is delivered to it.
    HANDLED = SIGNAL_7, "Signal dispositions";
    /// A process that nobody gave anything to do does nothing.
    IDLES = CREDENTIALS_7, "DESCRIPTION";
}

/// What an actor does at one step of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Act<O> {
    /// An operation of the mechanism.
    Own(O),
    /// Something with signals.
    Signal(signal::Op),
    /// Forks another actor, if there is room for one.
    Fork,
    /// Ends.
    Exit,
}

impl<O: Op> Act<O> {
    /// Any bytes are something to do, in programs of this model.
    pub fn decode<M: Model<Op = O>>(seed: &mut Seed) -> Self {
        let turn = seed.below(16);
        if turn + M::COMPANY < 16 {
            return Self::Own(O::decode(seed));
        }
        match seed.below(24) {
            23 => Self::Exit,
            21..23 => Self::Fork,
            // Programs of nothing but company have some that others can spare.
            _ => Self::Signal(signal::Op::of(seed, M::ALONE)),
        }
    }

    /// Its name among the outcomes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Own(op) => op.name(),
            Self::Signal(op) => op.name(),
            Self::Fork => "fork",
            Self::Exit => "exit",
        }
    }

    /// The system calls in which it may sleep.
    pub fn sleeps_in(&self) -> ipcspec_harness::Syscalls {
        match self {
            Self::Own(op) => op.sleeps_in(),
            Self::Signal(op) => op.sleeps_in(),
            Self::Fork | Self::Exit => ipcspec_harness::Syscalls { name: "nothing", numbers: &[] },
        }
    }

    /// Whether the kernel may send its caller a signal that ends it.
    pub fn may_end(&self) -> bool {
        matches!(self, Self::Own(op) if op.may_end())
    }

    /// How long it may sleep, where that is short.
    pub fn timeout(&self) -> Option<std::time::Duration> {
        match self {
            Self::Own(op) => op.timeout(),
            Self::Signal(op) => op.timeout(),
            Self::Fork | Self::Exit => None,
        }
    }

    /// The call in C.
    pub fn c(&self) -> String {
        match self {
            Self::Own(op) => op.c(),
            Self::Signal(op) => op.c(),
            Self::Fork => "fork_actor()".to_owned(),
            Self::Exit => "(_exit(0), 0L)".to_owned(),
        }
    }
}

impl<O: Op> fmt::Display for Act<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.c())
    }
}

/// How an actor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum End {
    /// Exited with this status.
    Exited(i32),
    /// Killed by this signal.
    Killed(i32),
    /// It has ended, and nobody was told how.
    Unknown,
}

/// Where an actor is when nobody moves any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Place {
    /// There is no such actor.
    Absent,
    /// Waits for something to do.
    Idle,
    /// Sleeps in a call.
    Asleep,
    /// Is stopped.
    Stopped,
    /// Has ended.
    Ended(End),
}

/// What was seen of one actor once nobody moved any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// Where it is.
    pub place: Place,
    /// What its call answered, if it came back in this step.
    pub answer: Option<Answer>,
    /// The signals that its handlers were told of in this step.
    pub handled: Handled,
}

/// What was seen of an actor, as far as a model may follow it: where the
/// documentation leaves a choice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen<'s> {
    /// What its call answered.
    pub answer: Option<&'s Answer>,
    /// The signals that its handlers were told of.
    pub handled: &'s [Info],
    /// The signal that killed it.
    pub killed_by: Option<i32>,
}

/// Signals that handlers were told of, in order.
pub type Handled = SmallVec<[Info; 2]>;

/// What was seen of all actors.
pub type Sights = [Sight; ACTORS];

impl Sight {
    /// What models may follow.
    pub fn seen(&self) -> Seen<'_> {
        let killed_by = match self.place {
            Place::Ended(End::Killed(signal)) => Some(signal),
            _ => None,
        };
        Seen { answer: self.answer.as_ref(), handled: &self.handled, killed_by }
    }

    /// Nobody there.
    pub fn absent() -> Self {
        Self { place: Place::Absent, answer: None, handled: SmallVec::new() }
    }
}

/// What the model says and what was seen are not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// Of whom.
    pub actor: Actor,
    /// What the rule wants.
    pub wanted: String,
    /// What was seen instead.
    pub got: String,
    /// The rule.
    pub rule: &'static Rule,
    /// The answer that the rule wants, if one came that goes as this does:
    /// both succeed, or both fail.
    pub instead: Option<Box<Answer>>,
}

/// How an actor stands in the model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Life<O> {
    Absent,
    Idle,
    /// In a call. `out` when it left the call for a stop or a handler, and
    /// will begin it anew.
    Busy {
        act: Act<O>,
        out: bool,
    },
    /// Has an answer that it has not yet been seen to have.
    Back {
        act: Act<O>,
        answers: SmallVec<[Answer; 1]>,
    },
    Ended(End),
}

/// A mechanism and the processes around it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World<M: Model> {
    /// The mechanism.
    pub model: M,
    /// The signals of its actors.
    pub signals: Signals,
    lives: [Life<M::Op>; ACTORS],
    handled: [Handled; ACTORS],
    /// By which rule each actor is where it is. Rules are told by address.
    rules: [ByAddress; ACTORS],
}

/// A rule, which is compared by where it is.
#[derive(Debug, Clone, Copy)]
struct ByAddress(&'static Rule);

// Why somebody is where he is makes no other state of it.
impl PartialEq for ByAddress {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for ByAddress {}

impl std::hash::Hash for ByAddress {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

/// A model that is wrong on purpose: who plants it sees whether anybody
/// notices.
#[derive(Debug)]
pub struct Canary<M: Model> {
    /// What it gets wrong.
    pub says: &'static str,
    /// Gets it wrong.
    pub twist: fn(Twist<'_, M>),
}

/// Where a model can be made wrong.
#[derive(Debug)]
pub enum Twist<'t, M: Model> {
    /// Before it is asked about a call.
    Before {
        /// The state.
        world: &'t World<M>,
        /// Who calls.
        actor: Actor,
        /// What: may be changed.
        act: &'t mut Act<M::Op>,
    },
    /// After it was asked.
    After {
        /// The state before.
        before: &'t World<M>,
        /// The state now: may be changed.
        world: &'t mut World<M>,
        /// Who calls.
        actor: Actor,
        /// What.
        act: &'t Act<M::Op>,
        /// What the model says: may be changed.
        step: &'t mut Step,
    },
    /// After an actor has ended.
    Ended {
        /// The state before.
        before: &'t World<M>,
        /// The state now: may be changed.
        world: &'t mut World<M>,
        /// Who ended.
        actor: Actor,
    },
}

/// Judges what was seen.
#[derive(Debug)]
pub struct Judge<M: Model> {
    /// What the model gets wrong on purpose.
    pub canary: Option<&'static Canary<M>>,
}

/// States that explain all that was seen so far; one, as a rule.
pub type Worlds<M> = SmallVec<[World<M>; 1]>;

/// More states than this are not followed.
const MOST_WORLDS: usize = 256;

impl<M: Model> World<M> {
    /// A fresh object, and so many idle actors.
    pub fn new(shape: &M::Shape, actors: usize) -> Self {
        let mut model = M::new(shape);
        // Whoever is not there has nothing in hand.
        (actors..ACTORS).for_each(|absent| model.ended(absent));
        Self {
            model,
            signals: Signals::new(actors),
            lives: std::array::from_fn(
                |actor| {
                    if actor < actors { Life::Idle } else { Life::Absent }
                },
            ),
            handled: Default::default(),
            rules: [ByAddress(IDLES); ACTORS],
        }
    }

    /// Whether this actor can be given something to do.
    pub fn is_idle(&self, actor: Actor) -> bool {
        matches!(self.lives[actor], Life::Idle) && !self.signals.is_stopped(actor)
    }

    /// Whether any actor sleeps in a call or is stopped: then what one does
    /// may show in another.
    pub fn somebody_waits(&self) -> bool {
        (0..ACTORS).any(|actor| match self.lives[actor] {
            Life::Busy { .. } | Life::Back { .. } => true,
            Life::Idle => self.signals.is_stopped(actor),
            _ => false,
        })
    }

    /// The call of this actor that has not yet been seen to come back.
    pub fn call_of(&self, actor: Actor) -> Option<&Act<M::Op>> {
        match &self.lives[actor] {
            Life::Busy { act, .. } | Life::Back { act, .. } => Some(act),
            _ => None,
        }
    }

    /// What the director does when no actor can do anything: it continues who
    /// is stopped, or interrupts who sleeps; `wish` is where it begins to look.
    pub fn nudge(&self, wish: Actor) -> Option<Act<M::Op>> {
        let waits = |actor: &Actor| {
            self.signals.is_stopped(*actor) || matches!(self.lives[*actor], Life::Busy { .. })
        };
        let to = (0..ACTORS).map(|more| (wish + more) % ACTORS).find(waits)?;
        let signal =
            if self.signals.is_stopped(to) { Sig::Cont } else { self.signals.that_wakes(to) };
        Some(Act::Signal(signal::Op::Kill { to: to as u8, signal }))
    }

    /// The place that the next forked actor gets, if there is room.
    pub fn room(&self) -> Option<Actor> {
        self.lives.iter().position(|life| matches!(life, Life::Absent))
    }

    /// A number for the kind of state that this is.
    pub fn class(&self) -> u32 {
        let mut class = self.model.class();
        for life in &self.lives {
            class = class * 4
                + match life {
                    Life::Busy { .. } => 1,
                    Life::Ended(_) => 2,
                    _ => 0,
                };
        }
        class
    }

    fn end(&mut self, judge: &Judge<M>, actor: Actor, end: End, rule: &'static Rule) {
        let before = judge.canary.map(|canary| (canary, self.clone()));
        self.lives[actor] = Life::Ended(end);
        self.rules[actor] = ByAddress(rule);
        self.model.ended(actor);
        self.signals.ended(actor);
        if let Some((canary, before)) = before {
            (canary.twist)(Twist::Ended { before: &before, world: self, actor });
        }
    }

    /// `actor` enters this call, or tries it again; whether anything changed.
    pub(crate) fn attempt(
        &mut self,
        judge: &Judge<M>,
        actor: Actor,
        mut act: Act<M::Op>,
        seen: Option<&Answer>,
    ) -> bool {
        let before = judge.canary.map(|canary| (canary, self.clone()));
        if let Some((canary, world)) = &before {
            (canary.twist)(Twist::Before { world, actor, act: &mut act });
        }
        let mut step = match &act {
            Act::Own(op) => self.model.attempt(actor, op, seen),
            Act::Signal(op) => self.signals.attempt(actor, op, seen),
            Act::Fork => match self.room() {
                Some(child) => {
                    self.lives[child] = Life::Idle;
                    self.model.forked(actor, child);
                    self.signals.forked(actor, child);
                    FORKS.returns(Answer::number(child as i64))
                }
                None => FORKS.returns(Answer::number(Cast::NOBODY)),
            },
            Act::Exit => {
                self.end(judge, actor, End::Exited(0), EXITS);
                return true;
            }
        };
        if let Some((canary, before)) = &before {
            let world = &mut *self;
            (canary.twist)(Twist::After { before, world, actor, act: &act, step: &mut step });
        }
        self.take(actor, act, step)
    }

    /// `actor` does a part of this call, if others can see it: whether they
    /// can do more than look.
    pub(crate) fn part(
        &mut self,
        actor: Actor,
        act: Act<M::Op>,
        seen: Option<&Answer>,
    ) -> Option<Part> {
        let Act::Own(op) = &act else { return None };
        let part = self.model.part(actor, op, seen)?;
        let (Part::Open(rule) | Part::Shut(rule)) = part;
        self.take(actor, act, Step::Moves(rule));
        Some(part)
    }

    /// Takes over what a model says of a call.
    fn take(&mut self, actor: Actor, act: Act<M::Op>, step: Step) -> bool {
        let (life, rule, changed) = match step {
            Step::Returns(answer, rule) => {
                (Life::Back { act, answers: SmallVec::from_elem(answer, 1) }, rule, true)
            }
            Step::ReturnsOneOf(answers, rule) => {
                (Life::Back { act, answers: answers.into() }, rule, true)
            }
            Step::Raises(answer, signal, rule) => {
                self.signals.send(actor, Info::by_kernel(signal));
                (Life::Back { act, answers: SmallVec::from_elem(answer, 1) }, rule, true)
            }
            // It sleeps for the reason for which it fell asleep.
            Step::Sleeps(_) if self.sleeps(actor) => return false,
            Step::Sleeps(rule) => (Life::Busy { act, out: false }, rule, false),
            Step::Moves(rule) => (Life::Busy { act, out: false }, rule, true),
            Step::Restarts(rule) => (Life::Busy { act, out: true }, rule, true),
        };
        self.lives[actor] = life;
        self.rules[actor] = ByAddress(rule);
        changed
    }

    fn sleeps(&self, actor: Actor) -> bool {
        matches!(self.lives[actor], Life::Busy { out: false, .. })
    }

    /// Nobody does anything else before a short time limit of a sleeper is
    /// over.
    fn let_time_pass(&mut self, actor: Actor) {
        if let Life::Busy { act, out: false } = self.lives[actor]
            && act.timeout().is_some()
        {
            self.cut(actor, Cut::Time);
        }
    }

    fn cut(&mut self, actor: Actor, by: Cut) {
        let Life::Busy { act, .. } = self.lives[actor] else { return };
        let step = match &act {
            Act::Own(op) => self.model.cut(actor, op, by),
            Act::Signal(op) => self.signals.cut(actor, op, by),
            Act::Fork | Act::Exit => return,
        };
        self.take(actor, act, step);
    }

    /// Delivers every signal that can be, and lets those who left a call for
    /// it begin anew.
    fn deliver<'s>(&mut self, judge: &Judge<M>, seen: impl Fn(Actor) -> Seen<'s>) {
        for actor in 0..ACTORS {
            let seen = seen(actor);
            // Who waits for a signal takes it before it is delivered.
            if let Life::Busy { act: act @ Act::Signal(_), out: false } = self.lives[actor]
                && !self.signals.is_stopped(actor)
            {
                self.attempt(judge, actor, act, seen.answer);
            }
            self.deliver_to(judge, actor, seen);
            while let Life::Busy { act, out: true } = self.lives[actor]
                && !self.signals.is_stopped(actor)
            {
                self.attempt(judge, actor, act, seen.answer);
                // The call may have raised a signal.
                self.deliver_to(judge, actor, seen);
            }
        }
    }

    /// Delivers every signal that this actor can get; whether there was any.
    /// Where no order is prescribed it is that of the handlers that were seen.
    pub(crate) fn deliver_to(&mut self, judge: &Judge<M>, actor: Actor, seen: Seen<'_>) -> bool {
        let mut any = false;
        let mut left_its_call = false;
        while let Some((info, delivery)) = {
            let handled = seen.handled.get(self.handled[actor].len()..).unwrap_or(&[]);
            self.signals.deliver(actor, Seen { handled, ..seen })
        } {
            any = true;
            match delivery {
                Delivery::Nothing => {}
                Delivery::Handler { restart } => {
                    self.handled[actor].push(info);
                    // It begins anew after the last handler, and the first
                    // one decides whether it does.
                    if !left_its_call {
                        self.cut(actor, Cut::Handler { restart });
                        left_its_call = true;
                    }
                }
                Delivery::Stop => {
                    if matches!(self.lives[actor], Life::Busy { out: false, .. }) {
                        self.cut(actor, Cut::Stop);
                    }
                }
                Delivery::End => {
                    self.end(judge, actor, End::Killed(info.signal), ENDED_BY_SIGNAL);
                }
            }
        }
        any
    }

    /// How an actor stands.
    pub(crate) fn life(&self, actor: Actor) -> &Life<M::Op> {
        &self.lives[actor]
    }

    /// An actor has been seen to have its answer.
    pub(crate) fn come_back(&mut self, actor: Actor) {
        self.lives[actor] = Life::Idle;
    }

    /// By which rule an actor is where it is.
    pub(crate) fn rule(&self, actor: Actor) -> &'static Rule {
        self.rules[actor].0
    }

    /// What is not as it was seen; else takes note of all of it.
    fn compare(&mut self, sights: &Sights) -> Result<(), Objection> {
        for (actor, sight) in sights.iter().enumerate() {
            let stopped = self.signals.is_stopped(actor);
            let rule = self.rules[actor].0;
            let differs = |wanted: String, rule| {
                Err(Objection { actor, wanted, got: sight.to_string(), rule, instead: None })
            };
            let place = match &self.lives[actor] {
                _ if stopped => Place::Stopped,
                Life::Absent => Place::Absent,
                Life::Idle | Life::Back { .. } => Place::Idle,
                Life::Busy { .. } => Place::Asleep,
                Life::Ended(end) => Place::Ended(*end),
            };
            match &self.lives[actor] {
                Life::Back { answers, .. } if !stopped => {
                    let fits = sight.answer.as_ref().is_some_and(|seen| answers.contains(seen));
                    if !fits {
                        let (wanted, got) = (show_answers(answers), sight.to_string());
                        let instead = sight.answer.as_ref().and_then(|seen| alike(answers, seen));
                        return Err(Objection {
                            actor,
                            wanted,
                            got,
                            rule,
                            instead: instead.map(Box::new),
                        });
                    }
                    self.lives[actor] = Life::Idle;
                }
                _ if !place.fits(sight.place) || sight.answer.is_some() => {
                    let rule = if stopped { STOPPED_BY_SIGNAL } else { rule };
                    return differs(place.to_string(), rule);
                }
                _ => {}
            }
            if !place.fits(sight.place) {
                return differs(place.to_string(), rule);
            }
            let alike = self.handled[actor].len() == sight.handled.len()
                && std::iter::zip(&self.handled[actor], &sight.handled)
                    .all(|(wanted, seen)| wanted.allows(seen));
            if !alike {
                let wanted = show_handled(&self.handled[actor]);
                let got = show_handled(&sight.handled);
                return Err(Objection { actor, wanted, got, rule: HANDLED, instead: None });
            }
            self.handled[actor].clear();
        }
        Ok(())
    }
}

impl<M: Model> Judge<M> {
    /// Judges one step: what came of `actor` doing this in one of these
    /// states, once nobody moved any more.
    pub fn step(
        &self,
        worlds: Worlds<M>,
        actor: Actor,
        act: &Act<M::Op>,
        sights: &Sights,
    ) -> Result<Worlds<M>, Objection> {
        let mut explained = Worlds::new();
        let mut objection = None;
        for mut world in worlds {
            match act {
                Act::Signal(op) if actor == DIRECTOR => {
                    world.signals.attempt(DIRECTOR, op, None);
                }
                _ => {
                    world.attempt(self, actor, *act, sights[actor].answer.as_ref());
                }
            }
            self.settle(world, sights, &mut explained, &mut objection);
        }
        if explained.is_empty() {
            return Err(objection.expect("a state that does not explain it has an objection"));
        }
        Ok(explained)
    }

    /// Judges an answer to a call that can show in nobody else, in a state
    /// that is the only one. What handlers were told is left to
    /// [`Judge::rest`].
    pub fn answer(
        &self,
        world: &mut World<M>,
        actor: Actor,
        act: &Act<M::Op>,
        seen: &Answer,
    ) -> Result<(), Objection> {
        world.attempt(self, actor, *act, Some(seen));
        world.deliver(self, |_| Seen { answer: Some(seen), ..Seen::default() });
        world.let_time_pass(actor);
        let rule = world.rules[actor].0;
        let differs =
            |wanted| Err(Objection { actor, wanted, got: seen.to_string(), rule, instead: None });
        match &world.lives[actor] {
            Life::Back { answers, .. } if answers.contains(seen) => {
                world.lives[actor] = Life::Idle;
                Ok(())
            }
            Life::Back { answers, .. } => {
                let (wanted, got) = (show_answers(answers), seen.to_string());
                Err(Objection {
                    actor,
                    wanted,
                    got,
                    rule,
                    instead: alike(answers, seen).map(Box::new),
                })
            }
            Life::Busy { .. } => differs("asleep".to_owned()),
            _ => differs("no answer".to_owned()),
        }
    }

    /// Judges what is to be seen when nobody has been asleep, once the
    /// answers are judged.
    pub fn rest(&self, world: &mut World<M>, sights: &Sights) -> Result<(), Objection> {
        world.compare(sights)
    }

    /// Follows every order in which those who sleep may go on, until nobody
    /// can.
    fn settle(
        &self,
        mut world: World<M>,
        sights: &Sights,
        explained: &mut Worlds<M>,
        objection: &mut Option<Objection>,
    ) {
        let seen = |actor: Actor| sights[actor].answer.as_ref();
        world.deliver(self, |actor| sights[actor].seen());
        let mut moved = false;
        let alone = (0..ACTORS).filter(|actor| world.sleeps(*actor)).count() == 1;
        for actor in 0..ACTORS {
            let Life::Busy { act, out: false } = world.lives[actor] else { continue };
            if alone {
                // There is no other order, and a call that still sleeps has
                // changed nothing.
                if world.attempt(self, actor, act, seen(actor)) {
                    return self.settle(world, sights, explained, objection);
                }
                break;
            }
            let mut next = world.clone();
            if next.attempt(self, actor, act, seen(actor)) {
                moved = true;
                self.settle(next, sights, explained, objection);
            }
        }
        if moved {
            return;
        }
        // The time of whoever has a short one is over before the step is.
        (0..ACTORS).for_each(|actor| world.let_time_pass(actor));
        match world.compare(sights) {
            Ok(()) => {
                if explained.len() < MOST_WORLDS && !explained.contains(&world) {
                    explained.push(world);
                }
            }
            Err(refused) => *objection = objection.take().or(Some(refused)),
        }
    }
}

/// The first of these that goes as what was seen: both succeed, or both fail.
fn alike(answers: &[Answer], seen: &Answer) -> Option<Answer> {
    answers.iter().find(|answer| answer.result.is_ok() == seen.result.is_ok()).cloned()
}

pub(crate) fn show_answers(answers: &[Answer]) -> String {
    answers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

fn show_handled(handled: &[Info]) -> String {
    let show = |info: &Info| {
        let name =
            Sig::of(info.signal).map_or_else(|| info.signal.to_string(), |s| format!("{s:?}"));
        format!("{name} from {} (code {}, value {})", info.from, info.code, info.value)
    };
    match handled {
        [] => "no handler runs".to_owned(),
        _ => {
            format!("handlers run for {}", handled.iter().map(show).collect::<Vec<_>>().join(", "))
        }
    }
}

impl Place {
    /// Whether it is what was seen, as far as that tells.
    fn fits(self, seen: Self) -> bool {
        self == seen || matches!((self, seen), (Self::Ended(_), Self::Ended(End::Unknown)))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::Idle => f.write_str("idle"),
            Self::Asleep => f.write_str("asleep"),
            Self::Stopped => f.write_str("stopped"),
            Self::Ended(End::Exited(status)) => write!(f, "exited with {status}"),
            Self::Ended(End::Unknown) => f.write_str("ended"),
            Self::Ended(End::Killed(signal)) => {
                write!(f, "killed by {}", ipcspec_harness::show::signal(*signal))
            }
        }
    }
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            Some(answer) => write!(f, "{answer}")?,
            None => write!(f, "{}", self.place)?,
        }
        if !self.handled.is_empty() {
            write!(f, ", {}", show_handled(&self.handled))?;
        }
        Ok(())
    }
}
