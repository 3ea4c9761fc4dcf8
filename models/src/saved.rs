//! Programs as files: JSON that a person can read and change.
//!
//! Steps are written by the names of what is done, not by the bytes that they
//! were decoded from: a file means the same after a change of the decoding.

use std::fmt::Write;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use crate::find::CONFIRMATIONS;
use crate::model::{ACTORS, DIRECTOR};
use crate::program::Step;
use crate::{Act, Actor, Finding, Model, Program};

/// The version of the format.
pub const SCHEMA: u32 = 1;

/// How a program is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// One step after the other.
    #[default]
    Turns,
    /// Each actor its own steps, all at the same time.
    Race,
}

/// What tells how the rest of a file is to be read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Head {
    /// The version of the format.
    pub schema: u32,
    /// The name of the mechanism.
    pub mechanism: String,
    /// How the program is played.
    #[serde(default)]
    pub mode: Mode,
}

/// A program, and what was found with it, if anything.
#[derive(Debug, Clone)]
pub struct Saved<M: Model> {
    /// How it is played.
    pub mode: Mode,
    /// What is done.
    pub program: Program<M>,
    /// What was found.
    pub found: Option<Found>,
}

/// What the model objected to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// At which step, from 1.
    pub step: usize,
    /// Of whom.
    pub actor: Actor,
    /// What the rule wants.
    pub wanted: String,
    /// What came.
    pub got: String,
    /// The rule, with its source in brackets.
    pub rule: String,
    /// How often it showed again...
    pub confirmed: u32,
    /// ...of so many times.
    pub of: u32,
    /// Where: system, release and machine.
    pub kernel: String,
    /// The seed of the run that found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "S: DeserializeOwned, O: crate::Op")]
struct File<S, O> {
    #[serde(rename = "schema")]
    _schema: u32,
    #[serde(rename = "mechanism")]
    _mechanism: String,
    #[serde(default)]
    mode: Mode,
    shape: S,
    #[serde(deserialize_with = "actors")]
    actors: usize,
    steps: Vec<Line<O>>,
    #[serde(default)]
    found: Option<Found>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "O: crate::Op")]
struct Line<O> {
    #[serde(deserialize_with = "actor")]
    actor: Actor,
    #[serde(deserialize_with = "act")]
    act: Act<O>,
}

/// Who does a step, as it is written.
#[derive(Deserialize)]
#[serde(untagged)]
enum Who {
    Number(u64),
    Name(String),
}

const THE_DIRECTOR: &str = "director";

fn actors<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    match usize::deserialize(from)? {
        count @ 1..=ACTORS => Ok(count),
        count => Err(D::Error::custom(format!("{count} actors, where 1 to {ACTORS} can be"))),
    }
}

fn actor<'de, D: Deserializer<'de>>(from: D) -> Result<Actor, D::Error> {
    let wanted = || format!("0 to {} or \"{THE_DIRECTOR}\"", ACTORS - 1);
    match Who::deserialize(from) {
        Ok(Who::Number(actor)) if actor < ACTORS as u64 => Ok(actor as Actor),
        Ok(Who::Name(name)) if name == THE_DIRECTOR => Ok(DIRECTOR),
        Ok(Who::Number(actor)) => {
            Err(D::Error::custom(format!("actor {actor} is out of range: {}", wanted())))
        }
        _ => Err(D::Error::custom(format!("an actor is {}", wanted()))),
    }
}

fn act<'de, D: Deserializer<'de>, O: crate::Op>(from: D) -> Result<Act<O>, D::Error> {
    let act = Act::deserialize(from)?;
    if let Act::Signal(op) = act
        && let Some(to) = op.receiver()
        && usize::from(to) >= ACTORS
    {
        let most = ACTORS - 1;
        return Err(D::Error::custom(format!("a signal to actor {to}, where 0 to {most} can be")));
    }
    Ok(act)
}

/// Reads the head of a file: the mechanism is one of those that are `known`.
/// `name` is what the file is called in the complaint.
pub fn peek(text: &str, name: &str, known: &[&str]) -> Result<Head, String> {
    let head: Head = serde_json::from_str(text).map_err(|error| complain(name, &error))?;
    if head.schema != SCHEMA {
        return Err(format!("{name}: schema {}, where {SCHEMA} can be read", head.schema));
    }
    if !known.contains(&head.mechanism.as_str()) {
        let known = known.join(", ");
        return Err(format!("{name}: unknown mechanism {:?}, not one of {known}", head.mechanism));
    }
    Ok(head)
}

/// `FILE:3:14: what is wrong`, in one line.
fn complain(name: &str, error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string().replace('\n', " ");
    let what = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    format!("{name}:{line}:{column}: {what}")
}

impl<M: Model> Saved<M> {
    /// Reads a file. `name` is what it is called in the complaint, which is
    /// one line and says what is wrong where.
    pub fn read(text: &str, name: &str) -> Result<Self, String> {
        peek(text, name, &[M::NAME])?;
        let file: File<M::Shape, M::Op> =
            serde_json::from_str(text).map_err(|error| complain(name, &error))?;
        let most = Program::<M>::STEPS;
        if file.steps.len() > most {
            return Err(format!("{name}: {} steps, where {most} can be", file.steps.len()));
        }
        let can = |line: &Line<M::Op>| {
            let sends = matches!(line.act, Act::Signal(op) if op.receiver().is_some());
            line.actor != DIRECTOR || sends
        };
        if let Some(step) = file.steps.iter().position(|line| !can(line)) {
            return Err(format!(
                "{name}: step {}: the director does nothing but send signals",
                step + 1
            ));
        }
        if let Some(flaw) = crate::Shape::flaw(&file.shape) {
            return Err(format!("{name}: shape: {flaw}"));
        }
        for (index, line) in file.steps.iter().enumerate() {
            if let Act::Own(op) = &line.act
                && let Some(flaw) = crate::Op::flaw(op)
            {
                return Err(format!("{name}: step {}: {flaw}", index + 1));
            }
        }
        let step = |line: &Line<M::Op>| Step { actor: line.actor, act: line.act, seed: None };
        let steps = file.steps.iter().map(step).collect();
        let program = Program { shape: file.shape, actors: file.actors, steps };
        Ok(Self { mode: file.mode, program, found: file.found })
    }

    /// The text of the file: a step a line.
    pub fn to_text(&self) -> String {
        fn json(value: &impl Serialize) -> String {
            serde_json::to_string(value).expect("what was decoded can be written")
        }
        let mut text = String::from("{\n");
        let _ = writeln!(text, "  \"schema\": {SCHEMA},");
        let _ = writeln!(text, "  \"mechanism\": {},", json(&M::NAME));
        let _ = writeln!(text, "  \"mode\": {},", json(&self.mode));
        let _ = writeln!(text, "  \"shape\": {},", json(&self.program.shape));
        let _ = writeln!(text, "  \"actors\": {},", self.program.actors);
        let lines: Vec<String> = self
            .program
            .steps
            .iter()
            .map(|step| {
                let actor = match step.actor {
                    DIRECTOR => json(&THE_DIRECTOR),
                    actor => actor.to_string(),
                };
                format!("\n    {{\"actor\": {actor}, \"act\": {}}}", json(&step.act))
            })
            .collect();
        let end = if lines.is_empty() { "]" } else { "\n  ]" };
        let _ = write!(text, "  \"steps\": [{}{end}", lines.join(","));
        if let Some(found) = &self.found {
            let found = serde_json::to_string_pretty(found).expect("plain data can be written");
            let _ = write!(text, ",\n  \"found\": {}", found.replace('\n', "\n  "));
        }
        text + "\n}\n"
    }

    /// A program that nothing was found with.
    pub fn of(program: Program<M>) -> Self {
        Self { mode: Mode::Turns, program, found: None }
    }
}

impl<M: Model> From<&Finding<M>> for Saved<M> {
    /// A finding of this kernel.
    fn from(finding: &Finding<M>) -> Self {
        let found = Found {
            step: finding.program.steps.len(),
            actor: finding.objection.actor,
            wanted: finding.objection.wanted.clone(),
            got: finding.objection.got.clone(),
            rule: finding.objection.rule.to_string(),
            confirmed: finding.confirmed,
            of: CONFIRMATIONS,
            kernel: kernel(),
            seed: None,
        };
        Self { mode: Mode::Turns, program: finding.program.clone(), found: Some(found) }
    }
}

/// The kernel that this is: `Linux 6.18.0 x86_64`.
pub fn kernel() -> String {
    nix::sys::utsname::uname().map_or_else(
        |_| "unknown".to_owned(),
        |names| {
            let parts = [names.sysname(), names.release(), names.machine()];
            parts.map(|part| part.to_string_lossy().into_owned()).join(" ")
        },
    )
}
