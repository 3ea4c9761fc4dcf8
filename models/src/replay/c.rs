//! A program in C that does the same, for a bug report.

use std::fmt::Write;

use super::{ERRORS, Trace, expected, name, wrap};
use crate::model::{ACTORS, DIRECTOR};
use crate::saved::Found;
use crate::{Act, Model};

/// The part that is the same in every program.
const STAGE: &str = include_str!("actors.c");

const HEADERS: &str = "\
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* No program uses all that there is. */
#pragma GCC diagnostic ignored \"-Wunused-function\"
#pragma GCC diagnostic ignored \"-Wunused-variable\"

";

/// The text of a C program of one file that makes the same steps, each once
/// nobody moves any more, and compares what came of them: exit status 1 when
/// it is something else than what was seen, or, at the step that the model
/// objected to, than what the rule wants. `found` is what was found when the
/// program was saved. Bytes and numbers that a call tells besides its result
/// are printed at most.
pub fn c<M: Model>(trace: &Trace<M>, found: Option<&Found>) -> String {
    let program = &trace.program;
    let columns = trace.actors();
    let mut text = comment(trace, found);
    text += HEADERS;
    let _ = writeln!(text, "/* {} */", uncomment(&program.shape.to_string()));
    let _ = writeln!(text, "{}\n", crate::Shape::c(&program.shape).trim_end());
    text += M::C.trim_matches('\n');
    text += "\n\n";
    // A model whose object outlives its processes takes it away there.
    let outlives = M::C.contains("tear_down(void)");
    if !outlives {
        text += "static void tear_down(void) {}\n\n";
    }
    let _ = writeln!(text, "enum {{ OUTLIVES = {} }}; /* its processes */", u8::from(outlives));
    let _ = writeln!(text, "enum {{ DIRECTOR = -1, FIRST_ACTORS = {}, ", program.actors);
    let _ = writeln!(text, "       MOST_ACTORS = {ACTORS}, STEPS = {} }};\n", program.steps.len());
    text += "/* Who does what, and what is then expected of each actor. */\n";
    text += "static const struct step {\n    int actor;\n    const char *call;\n";
    text += "    const char *expected[MOST_ACTORS];\n";
    text += "    int calm; /* milliseconds in which nobody may move */\n} steps[STEPS + 1] = {\n";
    let since = trace.asleep_since();
    for (index, step) in program.steps.iter().enumerate() {
        let actor = if step.actor == DIRECTOR { -1 } else { step.actor as i64 };
        let columns: Vec<String> = expected(trace, index)
            .into_iter()
            .enumerate()
            .map(|(actor, wanted)| match wanted {
                _ if actor >= columns => quote("-"),
                Some(wanted) => quote(&wanted.join(" or ")),
                None => quote("any"),
            })
            .collect();
        // Whoever is in a call with a short timeout is waited for.
        let mut acts: Vec<&Act<M::Op>> = vec![&step.act];
        acts.extend(since[index].iter().flatten().map(|at| &program.steps[*at].act));
        let timeout = acts.iter().filter_map(|act| act.timeout()).max().unwrap_or_default();
        let call = quote(&step.act.c());
        let (columns, calm) = (columns.join(", "), timeout.as_millis() * 10);
        let _ = writeln!(text, "    /* {:>3} */ {{{actor}, {call},", index + 1);
        let _ = writeln!(text, "              {{{columns}}}, {calm}}},");
    }
    text += "    {0, \"\", {\"\"}, 0}\n};\n\n";
    let errors: Vec<String> =
        ERRORS.iter().map(|errno| format!("    case {errno:?}: return \"{errno:?}\";")).collect();
    text += &STAGE.replace("ERRORS", &errors.join("\n"));
    text += "\n";
    text += crate::signal::C;
    text += "\nstatic long make_step(unsigned number) {\n    switch (number) {\n";
    for (index, step) in program.steps.iter().enumerate() {
        let _ = writeln!(text, "    case {}: return {};", index + 1, step.act.c());
    }
    text += "    }\n    return 0;\n}\n";
    text
}

/// What the program is about.
fn comment<M: Model>(trace: &Trace<M>, found: Option<&Found>) -> String {
    let program = &trace.program;
    let mut text = format!("/*\n * {}: {}, {} actors.\n", M::NAME, program.shape, program.actors);
    match trace.claim(found) {
        Some(claim) => {
            let rule = claim.rule.trim_end_matches(']');
            let (says, source) = rule.rsplit_once(" [").unwrap_or((rule, ""));
            let step = format!("{}, {}", claim.step, name(claim.actor));
            let confirmed = match claim.of {
                0 => String::new(),
                of => format!(" ({} of {of} times)", claim.confirmed),
            };
            text += " *\n";
            for (word, told) in [
                ("Claim", says),
                ("Source", source),
                ("At step", &step),
                ("Expected", &claim.wanted),
                ("Came", &format!("{}{confirmed}", claim.got)),
                ("On", &claim.kernel),
            ] {
                for (at, line) in wrap(told, 76).iter().enumerate() {
                    let word = if at == 0 { format!("{word}:") } else { String::new() };
                    let _ = writeln!(text, " * {word:<10}{}", uncomment(line));
                }
            }
        }
        None => text += " * Nothing was found with it: the answers are those that were seen.\n",
    }
    text += " *\n * Actors are processes that act in turns: each step is made when all others\n";
    text += " * sleep, are stopped, or wait for their turn. Exit status 0 if every answer is\n";
    text += " * as expected, 1 if one is not.\n";
    if let Some(step) = trace.choice() {
        let _ = writeln!(
            text,
            " *\n * At step {step} some of several sleepers went on: where no rule says which,"
        );
        text += " * others may be as right.\n";
    }
    text += " *\n *     cc -Wall -Wextra -o replay replay.c && ./replay\n */\n";
    text
}

fn uncomment(text: &str) -> String {
    text.replace("*/", "* /")
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
