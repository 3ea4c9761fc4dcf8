//! What programs are turned into does what they did: C programs are compiled
//! and run, files are read again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use ipcspec_models::eventfd::Event;
use ipcspec_models::msgqueue::Queue;
use ipcspec_models::pipe::Pipe;
use ipcspec_models::replay::{self, Form, Trace, table, trace};
use ipcspec_models::saved::{Mode, Saved, peek};
use ipcspec_models::sem::Set;
use ipcspec_models::signal::Alone;
use ipcspec_models::stage::Stage;
use ipcspec_models::{Canary, Finding, Judge, Model, Program, Reach, minimise, play};
use nix::sched::{CloneFlags, unshare};

/// Programs that are compiled; `IPCSPEC_REPLAYS` for another number.
const PROGRAMS: usize = 25;
/// Most steps of one.
const STEPS: usize = 30;

fn main() {
    // FIFOs are made in the working directory.
    std::env::set_current_dir(std::env::temp_dir()).expect("there is a directory for files");
    let checks: &[(&str, fn())] = &[
        ("files_come_back", files_come_back),
        ("bad_files_give_one_line_that_says_where", bad_files_give_one_line_that_says_where),
        ("a_table_and_a_case_read_like_this", a_table_and_a_case_read_like_this),
        ("cases_are_printed_as_they_are_tried", cases_are_printed_as_they_are_tried),
        ("tables_are_narrow", tables_are_narrow),
        ("c_programs_get_the_same_answers", c_programs_get_the_same_answers),
        ("c_programs_name_the_step_that_differs", c_programs_name_the_step_that_differs),
    ];
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    for (name, check) in checks {
        if asked.is_empty() || asked.iter().any(|part| name.contains(part.as_str())) {
            println!("test {name} ...");
            check();
            println!("test {name} ... ok");
        }
    }
}

// What is compiled and run must not inherit priority and processor of actors.
fn stage<M: Model>() -> Stage<M> {
    Stage::new(None).expect("a stage that is looked at")
}

fn programs<M: Model>(seed: u64, count: usize) -> Vec<Program<M>> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| Program::random(&mut random, STEPS, None)).collect()
}

/// A program that a canary makes the model object to, and the canary.
fn caught<M: Model>(stage: &mut Stage<M>, canary: &'static Canary<M>) -> Finding<M> {
    let judge = Judge { canary: Some(canary) };
    for program in programs::<M>(1, 20_000) {
        let played = play(stage, &judge, &program, &mut Reach::default(), None).expect("a play");
        let Some(objection) = played.objection else { continue };
        let program = Program { steps: played.steps, ..program };
        let time = Duration::from_secs(2);
        return minimise(stage, &judge, program, objection, time, &[]).expect("plays");
    }
    panic!("not caught: {}", canary.says);
}

fn files_come_back() {
    for program in programs::<Event>(7, 200) {
        let saved = Saved::of(program);
        let text = saved.to_text();
        let read = Saved::<Event>::read(&text, "file").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(text, read.to_text());
        assert_eq!(format!("{:?}", saved.program), format!("{:?}", read.program));
    }
    let text = fs::read_to_string(data("found.json")).expect("a file");
    let saved = Saved::<Event>::read(&text, "found.json").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(saved.to_text(), text);
    assert_eq!(saved.mode, Mode::Turns);
    assert_eq!(saved.found.as_ref().map(|found| found.step), Some(4));
}

fn bad_files_give_one_line_that_says_where() {
    let good = fs::read_to_string(data("found.json")).expect("a file");
    let mut wrong = vec![];
    let many = format!("\"steps\": [{}", r#"{"actor": 0, "act": "Fork"},"#.repeat(1025));
    for (from, to, says) in [
        ("\"schema\": 1", "\"schema\": 2", "file: schema 2, where 1 can be read"),
        ("\"schema\": 1,", "", "missing field `schema`"),
        ("eventfd\"", "eventfs\"", "file: unknown mechanism \"eventfs\", not one of eventfd"),
        (
            "{\"actor\": 1",
            "{\"actor\": 9",
            "file:9:15: actor 9 is out of range: 0 to 3 or \"director\"",
        ),
        ("{\"actor\": 1", "{\"actor\": -1", "an actor is 0 to 3 or \"director\""),
        ("{\"actor\": 1", "{\"actor\": \"director\"", "step 2: the director does nothing but"),
        (
            r#"{"actor": 1, "act": {"Own":"Read"}}"#,
            r#"{"actor": "director", "act": {"Signal":"Pause"}}"#,
            "step 2: the director does nothing but",
        ),
        ("\"actors\": 2", "\"actors\": 5", "file:6:13: 5 actors, where 1 to 4 can be"),
        ("{\"Own\":\"Read\"}", "{\"Own\":\"Reed\"}", "unknown variant `Reed`"),
        (
            "{\"Own\":\"Read\"}",
            r#"{"Signal":{"Kill":{"to":9,"signal":"Usr1"}}}"#,
            "a signal to actor 9",
        ),
        ("\"mode\": \"turns\"", "\"mode\": \"tunrs\"", "file:4:17: unknown variant `tunrs`"),
        ("\"steps\": [", &many, "1029 steps, where 1024 can be"),
        ("\"shape\"", "\"shap\"", "unknown field `shap`"),
        ("  \"found\"", "  found", "file:13:3: key must be a string"),
    ] {
        assert!(good.contains(from), "{from}");
        let bad = good.replacen(from, to, 1);
        let error = Saved::<Event>::read(&bad, "file").expect_err(to);
        if !error.contains(says) || error.contains('\n') {
            wrong.push(format!("{error:?} does not say {says:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for text in ["", "[]", "null", "{", "\u{0}", "{\"schema\": 1e99}"] {
        let error = peek(text, "file", &["eventfd"]).expect_err(text);
        assert!(error.starts_with("file:1:"), "{error}");
    }
}

fn a_table_and_a_case_read_like_this() {
    let text = fs::read_to_string(data("found.json")).expect("a file");
    let saved = Saved::<Event>::read(&text, "found.json").unwrap_or_else(|error| panic!("{error}"));
    let mut stage = stage();
    for (form, file) in [(Form::Table, "found.txt"), (Form::Rust, "found.rs.txt")] {
        let got = replay::replay(&mut stage, &saved, form, None).expect("a play");
        assert!(!got.differs, "{}", got.text);
        reads_like(&got.text, file);
    }
}

/// Whether a text is that of this file.
fn reads_like(text: &str, file: &str) {
    let path = data(file);
    if std::env::var_os("IPCSPEC_BLESS").is_some() {
        fs::write(&path, text).expect("written");
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, wanted, "{file}; IPCSPEC_BLESS=1 writes it anew");
}

fn cases_are_printed_as_they_are_tried() {
    printed_as_tried::<Event>("eventfd");
    printed_as_tried::<Queue>("msgqueue");
    printed_as_tried::<Pipe>("pipe");
    printed_as_tried::<Pipe>("fifo");
    printed_as_tried::<Set>("sem");
    printed_as_tried::<Alone>("signal");
}

fn printed_as_tried<M: Model>(name: &str) {
    let text = fs::read_to_string(data(&format!("cases/{name}.json"))).expect("a file");
    let saved = Saved::<M>::read(&text, name).unwrap_or_else(|error| panic!("{error}"));
    let got = replay::replay(&mut stage(), &saved, Form::Rust, None).expect("a play");
    assert!(!got.differs, "{}", got.text);
    reads_like(&got.text, &format!("cases/{name}.rs"));
}

fn tables_are_narrow() {
    let mut stage = stage::<Event>();
    for program in programs(3, 50) {
        let trace = trace(&mut stage, &Judge { canary: None }, &program).expect("a play");
        let text = table(&trace, None);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(100), "{text}");
        assert!(text.ends_with("The model agrees with every step.\n"), "{text}");
    }
}

fn c_programs_get_the_same_answers() {
    let count = std::env::var("IPCSPEC_REPLAYS").ok().and_then(|n| n.parse().ok());
    let count = count.unwrap_or(PROGRAMS);
    same_answers::<Event>(count);
    same_answers::<Pipe>(count);
    let alone = unshare(CloneFlags::CLONE_NEWIPC).is_ok();
    same_answers::<Set>(count);
    same_answers::<Queue>(count);
    same_answers::<Alone>(count);
    // Others may make some meanwhile, but not in a namespace of our own.
    let left = objects_of_system_v();
    assert!(!alone || left.is_empty(), "left behind: {left:#?}");
}

/// The lines of /proc about semaphores and message queues.
fn objects_of_system_v() -> Vec<String> {
    let files = ["/proc/sysvipc/sem", "/proc/sysvipc/msg"];
    let texts = files.map(|file| fs::read_to_string(file).unwrap_or_default());
    texts.iter().flat_map(|text| text.lines().skip(1)).map(str::to_owned).collect()
}

fn same_answers<M: Model>(count: usize) {
    let Some(place) = Workshop::new() else { return };
    let mut stage = stage::<M>();
    let (mut steps, mut open) = (0, 0);
    for (index, program) in programs(11, count).iter().enumerate() {
        let trace = trace(&mut stage, &Judge { canary: None }, program).expect("a play");
        assert!(trace.objection.is_none(), "{}", table(&trace, None));
        let (status, told) = place.run(&replay::c(&trace, None));
        if status != 0 && within_choice(&trace, &told) {
            open += 1;
            continue;
        }
        let told_all = || format!("program {index}: {status}\n{told}\n{}", table(&trace, None));
        assert_eq!(status, 0, "{}", told_all());
        assert!(told.ends_with("as expected\n"), "{}", told_all());
        steps += trace.program.steps.len();
        for (number, (step, sights)) in trace.program.steps.iter().zip(&trace.sights).enumerate() {
            let Some(answer) = sights.get(step.actor).and_then(|sight| sight.answer.as_ref())
            else {
                continue;
            };
            let begin = format!("step {:>3}  actor {}  {}  ", number + 1, step.actor, step.act);
            let line = told.lines().find_map(|line| line.strip_prefix(&begin));
            // A process id is an actor's number in the answer.
            if step.act.to_string().contains("GETPID") {
                continue;
            }
            // What else the call told stands before it.
            let line = line.and_then(|line| Some(line.rsplit_once("= ")?.1));
            let result = answer.result.map_or_else(|_| answer.outcome(), |n| n.to_string());
            let word = line.and_then(|line| line.split(' ').next());
            assert_eq!(word, Some(result.as_str()), "step {}, {}", number + 1, told_all());
        }
    }
    println!("{}: {steps} steps came out the same; {open} programs were left to a choice", M::NAME);
}

/// Whether it differs where any of several sleepers may go on.
fn within_choice<M: Model>(trace: &Trace<M>, told: &str) -> bool {
    let Some(choice) = trace.choice() else { return false };
    let last = told.lines().last().unwrap_or_default();
    let step = last.strip_prefix("differs at step ").and_then(|rest| rest.split(':').next());
    step.and_then(|step| step.parse().ok()).is_some_and(|step: usize| step >= choice)
}

fn c_programs_name_the_step_that_differs() {
    let Some(place) = Workshop::new() else { return };
    let mut stage = stage::<Event>();
    for (number, canary) in Event::CANARIES.iter().enumerate() {
        let finding = caught(&mut stage, canary);
        let file = Saved::from(&finding).to_text();
        let program = finding.program;
        let judge = Judge { canary: Some(canary) };
        let wrong = trace(&mut stage, &judge, &program).expect("a play");
        let objection = wrong.objection.as_ref().expect("it was caught");
        let (status, told) = place.run(&replay::c(&wrong, None));
        let step = wrong.program.steps.len();
        let last = told.lines().last().unwrap_or_default();
        let says = format!("differs at step {step}: actor {}: expected ", objection.actor);
        assert!(status == 1 && last.starts_with(&says), "{}: {status}\n{told}", canary.says);

        let right = trace(&mut stage, &Judge { canary: None }, &program).expect("a play");
        let (status, told) = place.run(&replay::c(&right, None));
        assert_eq!(status, 0, "{}: {told}", canary.says);

        // What was saved says the same by itself.
        for (canary, differs) in [(Some(number), true), (None, false)] {
            let again = replay::from_text::<Event>(&file, "finding", Form::Table, None, canary);
            let again = again.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(again.differs, differs, "{}", again.text);
            assert!(again.text.contains(&objection.wanted), "{}", again.text);
        }
    }
}

fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)
}

/// Where C programs are compiled.
struct Workshop(PathBuf);

impl Workshop {
    fn new() -> Option<Self> {
        let there = Command::new("cc").arg("--version").stdout(Stdio::null()).status().is_ok();
        if !there {
            println!("skipped: there is no cc");
            return None;
        }
        let name = format!("ipcspec-replay-{}", std::process::id());
        let place = std::env::temp_dir().join(name);
        fs::create_dir_all(&place).expect("a directory");
        Some(Self(place))
    }

    /// Compiles without a warning, runs; exit status and what it printed.
    fn run(&self, source: &str) -> (i32, String) {
        let (file, program) = (self.0.join("replay.c"), self.0.join("replay"));
        fs::write(&file, source).expect("written");
        let flags = ["-O0", "-Wall", "-Wextra", "-Werror", "-o"];
        let output = Command::new("cc").args(flags).arg(&program).arg(&file).output();
        let output = output.expect("a compiler");
        assert!(output.status.success(), "{}\n{source}", text(&output));
        let mut run = Command::new(&program);
        // FIFOs are made where it runs.
        run.current_dir(&self.0).stdin(Stdio::null());
        let output = run.output().expect("a program");
        (output.status.code().unwrap_or(-1), text(&output))
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
