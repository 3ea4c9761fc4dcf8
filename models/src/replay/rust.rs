//! A case that asks the same, for a person to complete.

use std::fmt::Write;

use super::{Trace, errno, sleeps, wrap};
use crate::model::{ACTORS, DIRECTOR};
use crate::saved::Found;
use crate::signal::Sig;
use crate::world::{End, Place};
use crate::{Act, Actor, Answer, Model, Op, signal};

/// The text of a case that makes the same steps: actors are children that
/// take turns through latches. What the object is made with, and the name,
/// are left to a person.
pub fn rust<M: Model>(trace: &Trace<M>, found: Option<&Found>) -> String {
    let mut text = String::new();
    let claim = trace.claim(found);
    let rule = claim.as_ref().map_or("", |claim| claim.rule.trim_end_matches(']'));
    let (says, source) = rule.rsplit_once(" [").unwrap_or((rule, ""));
    let says = if says.is_empty() { "CLAIM: one sentence that could be false." } else { says };
    for line in wrap(says, 95) {
        let _ = writeln!(text, "/// {line}");
    }
    let _ = writeln!(text, "#[case({})]", source_in_rust(source));
    let _ = writeln!(text, "fn {}() -> Verdict {{", name_of(says));
    if let Some(claim) = &claim {
        let _ = writeln!(
            text,
            "    // On {}, step {} gave {} where {} is wanted.",
            claim.kernel, claim.step, claim.got, claim.wanted
        );
    }
    let _ = writeln!(text, "    /* setup: {} */", trace.program.shape);
    if trace.program.steps.iter().any(|step| matches!(step.act, Act::Signal(_))) {
        text += "    /* setup: actors handle SIGUSR1, SIGRTMIN, and SIGUSR2 with SA_RESTART */\n";
    }
    let count = trace.program.steps.len();
    let _ = writeln!(
        text,
        "    let turns = (0..{count}).map(|_| Latch::new()).collect::<Verdict<Vec<_>>>()?;\n    \
         let done = (0..{count}).map(|_| Latch::new()).collect::<Verdict<Vec<_>>>()?;"
    );
    for actor in 0..trace.actors() {
        text += &child(trace, actor);
    }
    text += &director(trace);
    text + "    Ok(())\n}\n"
}

/// What one actor does in its turns.
fn child<M: Model>(trace: &Trace<M>, actor: Actor) -> String {
    let mut text = String::new();
    let forked = if actor < trace.program.actors { "" } else { " // forked on the way" };
    let _ = writeln!(text, "\n    let actor_{actor} = Child::spawn(|| {{{forked}");
    for (index, step) in trace.program.steps.iter().enumerate() {
        if step.actor != actor || by_director(&step.act) {
            continue;
        }
        let _ = writeln!(text, "        turns[{index}].wait()?;");
        match &step.act {
            Act::Own(op) => {
                let _ = writeln!(text, "        {}", check(trace, index, actor, &op.rust()));
            }
            Act::Signal(op) => {
                let call = op.rust();
                let _ = writeln!(text, "        /* setup: {call} */");
            }
            Act::Fork => text += "        /* setup: fork: the next actor is its child */\n",
            Act::Exit => {
                text += "        return Ok(());\n";
                break;
            }
        }
        let _ = writeln!(text, "        done[{index}].open();");
    }
    if !text.trim_end().ends_with("return Ok(());") {
        text += "        Ok(())\n";
    }
    text + "    })?;\n"
}

/// Signals are sent by the director, which knows every process.
fn by_director<O>(act: &Act<O>) -> bool {
    matches!(act, Act::Signal(op) if op.receiver().is_some())
}

/// The call of a step, with what it is to answer.
fn check<M: Model>(trace: &Trace<M>, index: usize, actor: Actor, call: &str) -> String {
    let last = trace.program.steps.len() - 1;
    let answered = (index..=last).find_map(|at| {
        let answer = trace.sights[at][actor].answer.as_ref()?;
        Some((at, answer))
    });
    let objection = trace.objection.as_ref().filter(|objection| objection.actor == actor);
    let asked = answered.is_none_or(|(at, _)| at == last);
    if let Some(objection) = objection
        && asked
    {
        let wanted = objection.wanted.split(" or ").map(wanted_in_rust).collect::<Option<Vec<_>>>();
        return match wanted.as_deref() {
            Some([one]) => comparison(call, one),
            Some(several) => format!("check!([{}].contains(&{call}));", several.join(", ")),
            None => format!("let _ = {call};"),
        };
    }
    match answered {
        Some((_, Answer { result: Ok(number), .. })) => comparison(call, &format!("Ok({number})")),
        Some((_, Answer { result: Err(number), .. })) => {
            comparison(call, &format!("Err({})", errno(*number)))
        }
        None => format!("let _ = {call};"),
    }
}

fn comparison(call: &str, wanted: &str) -> String {
    // What it gives when it succeeds with 0 may well be ().
    if wanted == "Ok(0)" {
        return format!("check!({call}.is_ok());");
    }
    format!("check!({call} == {wanted});")
}

/// `3` and `EAGAIN` of an objection; none for what is no answer.
fn wanted_in_rust(text: &str) -> Option<String> {
    let word = text.split(' ').next()?;
    match word.parse::<i64>() {
        Ok(number) => Some(format!("Ok({number})")),
        Err(_) if word.starts_with('E') => Some(format!("Err({word})")),
        Err(_) => None,
    }
}

/// Gives turns, and waits for what is to come of each.
fn director<M: Model>(trace: &Trace<M>) -> String {
    let program = &trace.program;
    let mut text = String::from("\n");
    let since = trace.asleep_since();
    let mut ended = [false; ACTORS];
    for (index, step) in program.steps.iter().enumerate() {
        let sights = &trace.sights[index];
        let last = index + 1 == program.steps.len();
        let disputed = trace.objection.as_ref().filter(|_| last);
        match &step.act {
            Act::Signal(signal::Op::Kill { to, signal })
                if !matches!(signal, Sig::Rt0 | Sig::Rt1) =>
            {
                let signal = ipcspec_harness::show::signal(signal.number());
                let _ = writeln!(text, "    actor_{to}.kill({signal})?;");
            }
            act if by_director(act) => {
                let _ = writeln!(text, "    /* setup: {act} */");
            }
            _ => {
                let _ = writeln!(text, "    turns[{index}].open();");
            }
        }
        for actor in 0..trace.actors() {
            let sight = &sights[actor];
            let own = actor == step.actor && step.actor != DIRECTOR && !by_director(&step.act);
            let at = if own { Some(index) } else { since[index][actor] };
            let wish = disputed.filter(|objection| objection.actor == actor);
            let to_sleep =
                wish.map_or(sleeps::<M>(&step.act, sight) && own, |wish| wish.wanted == "asleep");
            let to_answer =
                wish.map_or(sight.answer.is_some(), |wish| wanted_in_rust(&wish.wanted).is_some());
            if let Some(at) = at.filter(|_| to_sleep) {
                let calls = program.steps[at].act.sleeps_in().name;
                let calls = calls.split(',').next().unwrap_or_default().to_uppercase();
                let _ = writeln!(text, "    actor_{actor}.blocked_in({calls})?;");
            } else if let Some(at) = at.filter(|_| to_answer) {
                let _ = writeln!(text, "    done[{at}].wait()?;");
            }
            match sight.place {
                _ if ended[actor] || wish.is_some() => {}
                Place::Stopped if is_new(trace, index, actor) => {
                    let _ = writeln!(text, "    actor_{actor}.wait_stopped()?;");
                }
                Place::Ended(end) => {
                    ended[actor] = true;
                    let end = match end {
                        End::Exited(status) => format!("End::Exited({status})"),
                        End::Killed(number) => {
                            let signal = ipcspec_harness::show::signal(number);
                            format!("End::Killed(libc::{signal})")
                        }
                        End::Unknown => "/* how it ended was not told */".to_owned(),
                    };
                    let _ = writeln!(text, "    check!(actor_{actor}.wait()? == {end});");
                }
                _ => {}
            }
        }
    }
    for (actor, ended) in ended.iter().enumerate().take(trace.actors()) {
        if !ended && stays(trace, actor) {
            let _ = writeln!(text, "    drop(actor_{actor}); // asleep or stopped");
        } else if !ended {
            let _ = writeln!(text, "    actor_{actor}.join()?;");
        }
    }
    text
}

/// Whether it is to be asleep or stopped when the program is over.
fn stays<M: Model>(trace: &Trace<M>, actor: Actor) -> bool {
    let wish = trace.objection.as_ref().filter(|objection| objection.actor == actor);
    let place = trace.sights.last().map(|sights| sights[actor].place);
    match wish {
        Some(wish) => wish.wanted == "asleep" || wish.wanted == "stopped",
        None => matches!(place, Some(Place::Asleep | Place::Stopped)),
    }
}

fn is_new<M: Model>(trace: &Trace<M>, index: usize, actor: Actor) -> bool {
    index == 0 || trace.sights[index - 1][actor].place != trace.sights[index][actor].place
}

/// `eventfd(2), DESCRIPTION` as `EVENTFD_2, "DESCRIPTION"`.
fn source_in_rust(source: &str) -> String {
    let Some((page, section)) = source.split_once(", ").filter(|_| source.contains('(')) else {
        return format!("/* the page of {source:?} */");
    };
    let page: String = page
        .trim_end_matches(')')
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    format!("{page}, {section:?}")
}

/// A name to begin with: the words of the claim.
fn name_of(says: &str) -> String {
    let words: Vec<String> = says
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(8)
        .map(str::to_ascii_lowercase)
        .collect();
    let name = words.join("_");
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { format!("_{name}") }
}
