//! A case that asks the same.

use std::fmt::Write;

use nix::poll::PollFlags;

use super::{Trace, errno, sleeps, wrap};
use crate::model::{ACTORS, DIRECTOR};
use crate::saved::Found;
use crate::world::{End, Place};
use crate::{Act, Actor, Answer, Model, Objection, Op, Shape, signal};

/// What cases use for signals, besides the prelude.
const SIGNALS: [(&str, &[&str]); 2] = [
    ("crate::sys", &["signals"]),
    (
        "crate::sys::signals",
        &[
            "Action",
            "Sig",
            "Signals",
            "accept",
            "block",
            "change_mask_in_no_known_way",
            "pause",
            "pending",
            "send",
            "send_thread",
            "set_mask",
            "suspend",
            "unblock",
        ],
    ),
];

/// The text of a case that makes the same steps: actors are children that
/// take turns through latches. It is a file of its own that compiles, but for
/// programs in which actors fork: those children are forked at the start, and
/// a comment says so. The claim is that of the rule, for a person to sharpen.
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
    let body = body(trace, claim.as_ref());
    for (name, statement) in M::RUST_HELPERS {
        if body.contains(name) && !body.contains(&format!("let {name} = ")) {
            let _ = writeln!(text, "    {statement}");
        }
    }
    text += &body;
    text += "}\n";
    uses::<M>(&text) + &text
}

fn body<M: Model>(trace: &Trace<M>, claim: Option<&Found>) -> String {
    let mut text = String::new();
    if let Some(claim) = claim {
        let _ = writeln!(
            text,
            "    // On {}, step {} gave {} where {} is wanted.",
            claim.kernel, claim.step, claim.got, claim.wanted
        );
    }
    if let Some(step) = trace.choice() {
        let _ = writeln!(
            text,
            "    // At step {step} one of several sleepers goes on: where no rule says which,\n    \
             // another may be as right, and this case is no good."
        );
    }
    let program = &trace.program;
    let [made, left] = program.shape.rust();
    for line in made.lines() {
        let _ = writeln!(text, "    {line}");
    }
    if program.steps.iter().any(|step| matches!(step.act, Act::Signal(_))) {
        text += "    Action::record().mask(Signals::ALL).on(SIGUSR1)?;\n    \
                 Action::record().mask(Signals::ALL).on(Sig::rt(0))?;\n    \
                 Action::record().mask(Signals::ALL).flags(libc::SA_RESTART).on(SIGUSR2)?;\n";
    }
    let latches = |name: &str, wanted: &dyn Fn(&Act<M::Op>) -> bool| {
        let count = program.steps.iter().rposition(|step| wanted(&step.act));
        count.map_or(String::new(), |last| {
            let count = last + 1;
            format!("    let {name} = (0..{count}).map(|_| Latch::new()).collect::<Verdict<Vec<_>>>()?;\n")
        })
    };
    text += "    let over = Latch::new()?;\n";
    text += &latches("turns", &|act| !by_director(act));
    text += &latches("done", &|act| !by_director(act) && !matches!(act, Act::Exit));
    for actor in 0..trace.actors() {
        text += &child(trace, actor);
    }
    if !left.is_empty() {
        let _ = writeln!(text, "    {left}");
    }
    text += &director(trace);
    text + "    Ok(())\n"
}

/// What a case like this has to use: what of it occurs in its text.
fn uses<M: Model>(text: &str) -> String {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut lines = vec![];
    for (module, names) in M::RUST.iter().chain(&SIGNALS) {
        let used: Vec<_> = names.iter().copied().filter(|name| occurs(&code, name)).collect();
        match &used[..] {
            [] => {}
            [one] => lines.push(format!("use {module}::{one};\n")),
            several => lines.push(format!("use {module}::{{{}}};\n", several.join(", "))),
        }
    }
    lines.push("use crate::prelude::*;\n".to_owned());
    lines.sort();
    lines.concat() + "\n"
}

/// Whether a name stands for something that is used: a type or constant, or a
/// function that is called, or a module.
fn occurs(code: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    code.match_indices(name).any(|(at, _)| {
        let after = &code[at + name.len()..];
        let whole = !code[..at].ends_with(part) && !after.starts_with(|c| part(c) && c != '.');
        let a_value = name.starts_with(char::is_lowercase) && !name.starts_with("c_");
        whole && (!a_value || after.starts_with('(') || after.starts_with("::"))
    })
}

/// Flags of poll, as cases name them.
pub fn poll_in_rust(bits: i64) -> String {
    let flags = PollFlags::from_bits_retain(bits as i16);
    let names = flags.iter_names().map(|(name, _)| name.replacen("POLL", "poll::", 1));
    match names.collect::<Vec<_>>() {
        none if none.is_empty() => "poll::NONE".to_owned(),
        names => names.join(" | "),
    }
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
            Act::Own(op) => text += &check(trace, index, actor, op),
            Act::Signal(op) => text += &check(trace, index, actor, op),
            Act::Fork => text += "        // Forks the next actor.\n",
            Act::Exit => return text + "        Ok(())\n    })?;\n",
        }
        let _ = writeln!(text, "        done[{index}].open();");
    }
    // An actor that has nothing to do any more is there until the end.
    text + "        over.wait()\n    })?;\n"
}

/// Signals are sent by the director, which knows every process.
fn by_director<O>(act: &Act<O>) -> bool {
    matches!(act, Act::Signal(op) if op.receiver().is_some())
}

/// The call of a step, with what it is to answer.
fn check<M: Model>(trace: &Trace<M>, index: usize, actor: Actor, op: &impl Op) -> String {
    let last = trace.program.steps.len() - 1;
    let answered = (index..=last).find_map(|at| {
        let answer = trace.sights[at][actor].answer.as_ref()?;
        Some((at, answer))
    });
    let objection = trace.objection.as_ref().filter(|objection| objection.actor == actor);
    let asked = answered.is_none_or(|(at, _)| at == last);
    let wanted = match (objection.filter(|_| asked), answered) {
        (Some(objection), _) => wanted_answers(objection),
        (None, Some((_, answer))) => vec![answer.clone()],
        (None, None) => vec![],
    };
    let call = op.rust();
    let line = match &wanted[..] {
        [Answer { result: Err(number), .. }] => {
            format!("check!({call} == Err({}));", errno(*number))
        }
        [answer] => match op.rust_gives(answer) {
            Some((call, value)) => format!("check!({call} == Ok({value}));"),
            None => op.rust_succeeds(answer).unwrap_or_else(|| format!("check!({call}.is_ok());")),
        },
        [] => format!("let _ = {call};"),
        several => {
            let mut call = call;
            let mut value = |answer: &Answer| match (answer.result, op.rust_gives(answer)) {
                (Err(number), _) => format!("Err({})", errno(number)),
                (Ok(_), None) => "Ok(())".to_owned(),
                (Ok(_), Some((compared, value))) => {
                    call = compared;
                    format!("Ok({value})")
                }
            };
            let values = several.iter().map(&mut value).collect::<Vec<_>>().join(", ");
            format!("check!([{values}].contains(&{call}));")
        }
    };
    format!("        {line}\n")
}

/// What an objection wants of a call that comes back.
fn wanted_answers(objection: &Objection) -> Vec<Answer> {
    match &objection.instead {
        Some(answer) => vec![(**answer).clone()],
        None => objection.wanted.split(" or ").filter_map(answer_of).collect(),
    }
}

/// `3` and `EAGAIN` of an objection; none for what is no answer.
fn answer_of(text: &str) -> Option<Answer> {
    let word = text.split(' ').next()?;
    let known = || super::ERRORS.iter().find(|known| format!("{known:?}") == word);
    word.parse().ok().map(Answer::number).or_else(|| known().copied().map(Answer::error))
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
            Act::Signal(op) if by_director(&step.act) => text += &send(*op, trace.actors(), ended),
            _ => {
                let _ = writeln!(text, "    turns[{index}].open();");
            }
        }
        for actor in 0..trace.actors() {
            let sight = &sights[actor];
            let own = actor == step.actor && step.actor != DIRECTOR && !by_director(&step.act);
            let at = if own { Some(index) } else { since[index][actor] };
            // Who signals itself is told of it when it goes on; here the
            // director was.
            let at = at.filter(|at| !by_director(&program.steps[*at].act));
            let wish = disputed.filter(|objection| objection.actor == actor);
            let to_sleep =
                wish.map_or(sleeps::<M>(&step.act, sight) && own, |wish| wish.wanted == "asleep");
            let to_answer =
                wish.map_or(sight.answer.is_some(), |wish| !wanted_answers(wish).is_empty());
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
                            let signal = match number - libc::SIGRTMIN() {
                                real_time @ 0.. => format!("SIGRTMIN() + {real_time}"),
                                _ => ipcspec_harness::show::signal(number),
                            };
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
    text += "    over.open();\n";
    for (actor, ended) in ended.iter().enumerate().take(trace.actors()) {
        if !ended && stays(trace, actor) {
            let _ = writeln!(text, "    drop(actor_{actor}); // asleep or stopped");
        } else if !ended {
            let _ = writeln!(text, "    actor_{actor}.join()?;");
        }
    }
    text
}

/// Sends a signal to who is there. Nothing can be sent to who never was, and
/// who has ended is reaped in a case.
fn send(op: signal::Op, actors: usize, ended: [bool; ACTORS]) -> String {
    let to = op.receiver().map_or(ACTORS, usize::from);
    if to >= actors || ended[to] {
        return String::new();
    }
    match op {
        signal::Op::Check { number, .. } if number != 0 => {
            format!("    check!({} == Err(EINVAL));\n", op.rust())
        }
        _ => format!("    {}?;\n", op.rust()),
    }
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
        return "PAGE, \"SECTION\"".to_owned();
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
