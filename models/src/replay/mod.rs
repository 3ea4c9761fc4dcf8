//! Programs for people: what a program did as a table, as a C program for a
//! bug report, and as a case to add.

use ipcspec_harness::{Verdict, show};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::model::{ACTORS, Cast, DIRECTOR};
use crate::reach::Reach;
use crate::saved::{Found, Mode, Saved, kernel};
use crate::signal::Sig;
use crate::stage::Stage;
use crate::world::{End, Handled, Place, Sight, Sights};
use crate::{Act, Actor, Canary, Explained, Judge, Model, Objection, Program, play, play_race};

mod c;
mod rust;
mod table;

pub use c::c;
pub(crate) use rust::poll_in_rust;
pub use rust::rust;
pub use table::table;

/// A program and what came of each step.
#[derive(Debug)]
pub struct Trace<M: Model> {
    /// What was played: its steps are those that were made.
    pub program: Program<M>,
    /// What was seen of everybody after each step.
    pub sights: Vec<Sights>,
    /// What the model objected to at the last of them.
    pub objection: Option<Objection>,
}

/// What a program is turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// A table of steps by actors.
    Table,
    /// A C program.
    C,
    /// A case.
    Rust,
}

/// A program that was played again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Replayed {
    /// What it was turned into.
    pub text: String,
    /// Whether the model objected.
    pub differs: bool,
}

/// Reads a file, plays what is in it on a stage at this place (as in
/// [`Stage::new`]), and turns it into this form. `canary` makes the model
/// wrong. Errors are one line.
pub fn from_text<M: Model>(
    text: &str,
    name: &str,
    form: Form,
    place: Option<usize>,
    canary: Option<usize>,
) -> Result<Replayed, String> {
    let saved = Saved::<M>::read(text, name)?;
    let canary = match canary {
        Some(number) => Some(M::CANARIES.get(number).ok_or_else(|| format!("no canary {number}"))?),
        None => None,
    };
    let told = |error| format!("{name}: {error}");
    if saved.mode == Mode::Race {
        if form != Form::Table {
            return Err(format!("{name}: a race has no order in which it could be written down"));
        }
        return race_again(&saved, canary).map_err(told);
    }
    let mut stage = Stage::new(place).map_err(told)?;
    replay(&mut stage, &saved, form, canary).map_err(told)
}

/// How often a saved race is run again.
const RACES: u32 = 500;

/// Runs a saved race again and again, until the model allows it no more.
fn race_again<M: Model>(saved: &Saved<M>, canary: Option<&'static Canary<M>>) -> Verdict<Replayed> {
    let mut stage = Stage::new(None)?;
    let judge = Judge { canary };
    for number in 1..=RACES {
        let raced = play_race(&mut stage, &judge, &saved.program, &mut Reach::default())?;
        if let Explained::No(unexplained) = raced.explained {
            let text = format!("Race {number}:\n{}", unexplained.tell(&raced.history));
            return Ok(Replayed { text, differs: true });
        }
    }
    let text = format!("{:?}The model allows each of {RACES} races.\n", saved.program);
    Ok(Replayed { text, differs: false })
}

/// Plays a saved program, and turns it into this form.
pub fn replay<M: Model>(
    stage: &mut Stage<M>,
    saved: &Saved<M>,
    form: Form,
    canary: Option<&'static Canary<M>>,
) -> Verdict<Replayed> {
    let trace = trace(stage, &Judge { canary }, &saved.program)?;
    let found = saved.found.as_ref();
    let text = match form {
        Form::Table => table(&trace, found),
        Form::C => c(&trace, found),
        Form::Rust => rust(&trace, found),
    };
    Ok(Replayed { text, differs: trace.objection.is_some() })
}

/// Plays a program and keeps what was seen at each step.
pub fn trace<M: Model>(
    stage: &mut Stage<M>,
    judge: &Judge<M>,
    program: &Program<M>,
) -> Verdict<Trace<M>> {
    let mut sights = vec![];
    let mut reach = Reach::default();
    let played = play(
        stage,
        judge,
        program,
        &mut reach,
        Some(&mut |_, _, seen, _| sights.push(seen.clone())),
    )?;
    let program = Program { steps: played.steps, ..program.clone() };
    Ok(Trace { program, sights, objection: played.objection })
}

impl<M: Model> Trace<M> {
    /// How many actors there ever were.
    fn actors(&self) -> usize {
        let there = |actor: &Actor| {
            let seen = |sights: &Sights| sights[*actor].place != Place::Absent;
            *actor < self.program.actors || self.sights.iter().any(seen)
        };
        (0..ACTORS).filter(there).max().map_or(0, |last| last + 1)
    }

    /// By step and actor, the step with the call that the actor was in before:
    /// what it told since is the answer to that.
    fn asleep_since(&self) -> Vec<[Option<usize>; ACTORS]> {
        let mut since = [None; ACTORS];
        let mut all = vec![];
        for (index, (step, sights)) in self.program.steps.iter().zip(&self.sights).enumerate() {
            all.push(since);
            if step.actor != DIRECTOR {
                since[step.actor] = Some(index);
            }
            for (actor, sight) in sights.iter().enumerate() {
                if sight.answer.is_some() || matches!(sight.place, Place::Ended(_)) {
                    since[actor] = None;
                }
            }
        }
        all
    }

    /// The first step, from 1, at which one of several sleepers went on and
    /// another did not: where no rule says who is next, the other may be as
    /// right, and what follows depends on it.
    pub fn choice(&self) -> Option<usize> {
        let asleep = |sight: &Sight| sight.place == Place::Asleep;
        let steps = self.sights.windows(2).position(|pair| {
            let before: Vec<Actor> = (0..ACTORS).filter(|at| asleep(&pair[0][*at])).collect();
            let stay = before.iter().filter(|at| asleep(&pair[1][**at])).count();
            before.len() > 1 && stay < before.len()
        });
        steps.map(|before| before + 2)
    }

    /// What is told of the objection, or of what was found when the program
    /// was saved.
    fn claim(&self, found: Option<&Found>) -> Option<Found> {
        let live = self.objection.as_ref().map(|objection| Found {
            step: self.program.steps.len(),
            actor: objection.actor,
            wanted: objection.wanted.clone(),
            got: objection.got.clone(),
            rule: objection.rule.to_string(),
            confirmed: 0,
            of: 0,
            kernel: kernel(),
            seed: None,
        });
        live.or_else(|| found.cloned())
    }
}

/// An actor, or the director.
fn name(actor: Actor) -> String {
    if actor == DIRECTOR { "director".to_owned() } else { format!("actor {actor}") }
}

/// What was seen of an actor, as C programs tell it: `-`, `3`, `EAGAIN`,
/// `asleep`, `killed by 9`, and after it the handlers that ran.
fn told(sight: &Sight) -> String {
    let mut text = match (&sight.answer, sight.place) {
        (Some(answer), _) => match answer.result {
            Ok(number) => number.to_string(),
            Err(number) => errno(number),
        },
        (None, place) => told_place(place),
    };
    for info in &sight.handled {
        text += &told_handler(info.signal, info.code, info.value);
    }
    text
}

fn told_place(place: Place) -> String {
    match place {
        Place::Absent | Place::Idle => "-".to_owned(),
        Place::Asleep => "asleep".to_owned(),
        Place::Stopped => "stopped".to_owned(),
        Place::Ended(End::Exited(status)) => format!("exited with {status}"),
        Place::Ended(End::Killed(signal)) => format!("killed by {signal}"),
        Place::Ended(End::Unknown) => "ended".to_owned(),
    }
}

fn told_handler(signal: i32, code: i32, value: i64) -> String {
    match code {
        libc::SI_QUEUE => format!(" + handler {signal} value {value}"),
        _ => format!(" + handler {signal}"),
    }
}

/// The errors that a C program knows by name.
const ERRORS: &[Errno] = &[
    Errno::EPERM,
    Errno::ENOENT,
    Errno::ESRCH,
    Errno::EINTR,
    Errno::EIO,
    Errno::ENXIO,
    Errno::E2BIG,
    Errno::EBADF,
    Errno::ECHILD,
    Errno::EAGAIN,
    Errno::ENOMEM,
    Errno::EACCES,
    Errno::EFAULT,
    Errno::EBUSY,
    Errno::EEXIST,
    Errno::ENODEV,
    Errno::EINVAL,
    Errno::ENFILE,
    Errno::EMFILE,
    Errno::EFBIG,
    Errno::ENOSPC,
    Errno::ESPIPE,
    Errno::EPIPE,
    Errno::ERANGE,
    Errno::EDEADLK,
    Errno::ENOSYS,
    Errno::ENOMSG,
    Errno::EIDRM,
    Errno::EOVERFLOW,
    Errno::EMSGSIZE,
    Errno::EOPNOTSUPP,
    Errno::ENOTCONN,
    Errno::ECONNRESET,
    Errno::ETIMEDOUT,
];

fn errno(number: i32) -> String {
    let known = ERRORS.iter().find(|known| **known as i32 == number);
    known.map_or_else(|| format!("errno {number}"), |known| format!("{known:?}"))
}

/// What an objection wants, as C programs tell it; none when it cannot be told
/// so. `seen` is what came, of which the wish may change one part.
fn wanted(objection: &Objection, seen: &Sight) -> Option<Vec<String>> {
    let wanted = objection.wanted.as_str();
    let handlers: String =
        seen.handled.iter().map(|info| told_handler(info.signal, info.code, info.value)).collect();
    if wanted == "no handler runs" {
        return Some(vec![told(&Sight { handled: Handled::new(), ..seen.clone() })]);
    }
    if let Some(list) = wanted.strip_prefix("handlers run for ") {
        let bare = told(&Sight { handled: Handled::new(), ..seen.clone() });
        let handlers: Option<String> = list.split("), ").map(wanted_handler).collect();
        return Some(vec![bare + &handlers?]);
    }
    let states = [Place::Idle, Place::Asleep, Place::Stopped, Place::Ended(End::Exited(0))];
    let kills = (1..=libc::SIGRTMAX()).map(|signal| Place::Ended(End::Killed(signal)));
    let mut places = states.into_iter().chain(kills);
    if let Some(place) = places.find(|place| place.to_string() == wanted) {
        return Some(vec![told_place(place) + &handlers]);
    }
    wanted
        .split(" or ")
        .map(|answer| {
            // Numbers and bytes that are told besides are not compared.
            let word = answer.split(' ').next()?;
            let known = ERRORS.iter().any(|known| format!("{known:?}") == word);
            (known || word.parse::<i64>().is_ok()).then(|| word.to_owned() + &handlers)
        })
        .collect()
}

/// `Usr1 from 1 (code 0, value 0)`.
fn wanted_handler(text: &str) -> Option<String> {
    let (name, rest) = text.split_once(" from ")?;
    let (_, numbers) = rest.split_once("(code ")?;
    let (code, value) = numbers.trim_end_matches(')').split_once(", value ")?;
    let signal = Sig::ALL.into_iter().find(|signal| format!("{signal:?}") == name)?;
    Some(told_handler(signal.number(), code.parse().ok()?, value.parse().ok()?))
}

/// By actor, what is expected after the step of this index: none is for what
/// is not compared.
fn expected<M: Model>(trace: &Trace<M>, index: usize) -> [Option<Vec<String>>; ACTORS] {
    let sights = &trace.sights[index];
    let last = index + 1 == trace.program.steps.len();
    match trace.objection.as_ref().filter(|_| last) {
        // What came of the others came of a kernel that is thought wrong.
        Some(objection) => {
            let of = objection.actor;
            let wanted = wanted(objection, &sights[of]);
            std::array::from_fn(|actor| if actor == of { wanted.clone() } else { None })
        }
        None => std::array::from_fn(|actor| Some(vec![told(&sights[actor])])),
    }
}

/// Lines of at most so many characters, cut at spaces where there are any.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let mut word: Vec<char> = word.chars().collect();
        let used = lines.last().map_or(0, |line| line.chars().count());
        let length = word.iter().collect::<String>().trim_end().chars().count();
        if used > 0 && used + length > width {
            lines.push(String::new());
        }
        while word.iter().collect::<String>().trim_end().chars().count() > width {
            let rest = word.split_off(width);
            lines.last_mut().expect("there is one").extend(word);
            lines.push(String::new());
            word = rest;
        }
        lines.last_mut().expect("there is one").extend(word);
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// The handlers that ran, for people.
fn handlers(sight: &Sight) -> String {
    let one = |info: &crate::signal::Info| {
        let from = match info.from {
            Cast::NOBODY => "outside".to_owned(),
            from => format!("actor {from}"),
        };
        let value = match info.code {
            libc::SI_QUEUE => format!(" with {}", info.value),
            _ => String::new(),
        };
        format!("handler of {} from {from}{value}", show::signal(info.signal))
    };
    sight.handled.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Whether this step is made by an actor that then sleeps.
fn sleeps<M: Model>(act: &Act<M::Op>, sight: &Sight) -> bool {
    !matches!(act, Act::Exit | Act::Fork) && sight.place == Place::Asleep
}
