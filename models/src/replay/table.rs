//! What came of a program, as a table: a column an actor, a row a step.

use std::fmt::Write;

use super::{Trace, handlers, name, wrap};
use crate::model::{ACTORS, DIRECTOR};
use crate::saved::Found;
use crate::world::{Place, Sight};
use crate::{Actor, Model};

/// The widest line.
const WIDTH: usize = 100;
/// The number of a step, and what parts it from the rest.
const NUMBER: usize = 5;

/// A table of what came of each step, and whether the model agrees.
/// `found` is what was found when the program was saved.
pub fn table<M: Model>(trace: &Trace<M>, found: Option<&Found>) -> String {
    let program = &trace.program;
    let mut text = format!("{}: {}, {}\n\n", M::NAME, program.shape, actors(program.actors));
    let mut columns: Vec<Actor> = (0..trace.actors()).collect();
    if program.steps.iter().any(|step| step.actor == DIRECTOR) {
        columns.push(DIRECTOR);
    }
    let width = (WIDTH - NUMBER) / columns.len().max(1) - 2;
    let heads = columns.iter().map(|actor| vec![name(*actor)]).collect();
    row(&mut text, "step", &heads, width);
    let since = trace.asleep_since();
    let mut before: [Option<Sight>; ACTORS] = Default::default();
    for (index, (step, sights)) in program.steps.iter().zip(&trace.sights).enumerate() {
        let cells = columns
            .iter()
            .map(|column| {
                let own = *column == step.actor;
                let mut parts = vec![];
                if *column != DIRECTOR {
                    let (sight, last) = (&sights[*column], before[*column].as_ref());
                    let asleep = since[index][*column].is_some();
                    parts = came(sight, last, own, asleep);
                }
                if own {
                    let call = step.act.c();
                    // On one line where there is room.
                    let with = |told: &String| format!("{call} {told}");
                    match parts.first().map(with).filter(|line| line.chars().count() <= width) {
                        Some(line) => parts[0] = line,
                        None => parts.insert(0, call),
                    }
                }
                parts.iter().flat_map(|part| wrap(part, width)).collect()
            })
            .collect();
        row(&mut text, &(index + 1).to_string(), &cells, width);
        before = sights.clone().map(Some);
    }
    text.push('\n');
    match (&trace.objection, trace.claim(found)) {
        (Some(_), Some(claim)) => {
            let _ = writeln!(text, "DIFFERS at step {}, {}", claim.step, name(claim.actor));
            tell(&mut text, &claim);
        }
        (_, found) => {
            text += "The model agrees with every step.\n";
            if let Some(found) = found {
                let (step, of) = (found.step, name(found.actor));
                let _ = writeln!(text, "\nFOUND at step {step}, {of}, on {}", found.kernel);
                tell(&mut text, &found);
            }
        }
    }
    text
}

fn actors(count: usize) -> String {
    if count == 1 { "1 actor".to_owned() } else { format!("{count} actors") }
}

fn tell(text: &mut String, claim: &Found) {
    for (word, told) in [("wanted", &claim.wanted), ("got", &claim.got), ("rule", &claim.rule)] {
        for (at, line) in wrap(told, WIDTH - 11).iter().enumerate() {
            let word = if at == 0 { word } else { "" };
            let _ = writeln!(text, "  {word:<9}{line}");
        }
    }
}

/// What is new about an actor.
fn came(sight: &Sight, before: Option<&Sight>, own: bool, asleep: bool) -> Vec<String> {
    let mut parts = vec![];
    if !sight.handled.is_empty() {
        parts.push(handlers(sight));
    }
    let same = before.is_some_and(|before| before.place == sight.place);
    match (&sight.answer, sight.place) {
        (Some(answer), _) if own => parts.push(format!("= {answer}")),
        (Some(answer), _) if asleep => parts.push(format!("woken: {answer}")),
        (Some(answer), _) => parts.push(answer.to_string()),
        (None, Place::Asleep) if own => parts.push("sleeps".to_owned()),
        (None, Place::Asleep) if same => parts.push("…".to_owned()),
        (None, Place::Idle | Place::Absent) => {
            if before.is_some_and(|before| before.place == Place::Stopped) {
                parts.push("goes on".to_owned());
            }
        }
        (None, _) if same => {}
        (None, place) => parts.push(place.to_string()),
    }
    parts
}

/// One row: as many lines as the highest cell.
fn row(text: &mut String, number: &str, cells: &Vec<Vec<String>>, width: usize) {
    let height = cells.iter().map(Vec::len).max().unwrap_or(0).max(1);
    for at in 0..height {
        let number = if at == 0 { number } else { "" };
        let mut line = format!("{number:>4} ");
        for cell in cells {
            let part = cell.get(at).map_or("", String::as_str);
            let _ = write!(line, " {part:<width$} ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}
