//! How fast programs are played and judged, against the same system calls
//! bare: one actor in a loop, and two that put each other to sleep and wake
//! each other.
//!
//! Times on a busy machine mean little: the two are measured in turns, on one
//! processor and by the same scheduling, and the ratio is the median of those
//! of the rounds.
#![allow(unsafe_code, missing_docs)]

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ipcspec_models::stage::{Scheduling, Stage};
use ipcspec_models::{
    ACTORS, Act, Cast, Judge, Model, Onlooker, Op as _, Program, Props, Reach, Seed, eventfd,
    msgqueue, pipe, play, sem,
};

const ROUNDS: usize = 41;
/// Programs of one actor in a round.
const PROGRAMS: usize = 4;
/// Rounds in which a fuzz target plays, and how often it plays one program.
const TARGET_ROUNDS: usize = 7;
const RUNS: usize = 1000;
/// Calls of two actors in a round.
const CALLS: usize = 4 * Program::<sem::Set>::STEPS;
/// The priority of who is interrupted by whom it wakes; the director has a
/// higher one.
const LOW: i32 = 5;

fn main() {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().unwrap_or_default().replace("MemTotal:", "");
    println!("{processors} processors, {} of memory; {ROUNDS} rounds, medians", memory.trim());

    heading("one actor, random programs that do not sleep");
    alone::<sem::Set>();
    alone::<msgqueue::Queue>();
    alone::<pipe::Pipe>();
    alone::<eventfd::Event>();

    if let Ok(targets) = std::env::var("IPCSPEC_FUZZ_TARGETS") {
        heading("the same programs, played by fuzz targets");
        let targets = Path::new(&targets);
        target::<sem::Set>(targets);
        target::<msgqueue::Queue>(targets);
        target::<pipe::Pipe>(targets);
        target::<eventfd::Event>(targets);
    }

    heading("two actors: one sleeps, one wakes it");
    let p = |number| format!("semop(set, (struct sembuf[]){{{{{number}, -1, 0}}}}, 1)");
    let v = |number| format!("semop(set, (struct sembuf[]){{{{{number}, 1, 0}}}}, 1)");
    let take = |kind| format!("take(12, {kind}, 0)");
    let give = |kind| format!("give('a', {kind}, 1, 0)");
    pair::<sem::Set>("semaphores [0, 0, 0]", &[(0, &p(0)), (1, &v(0))]);
    pair::<msgqueue::Queue>("a queue", &[(0, &take(1)), (1, &give(1))]);
    pair::<pipe::Pipe>("pipe, 1 pages", &[(0, "get(0, 1)"), (1, "put(1, 1, 0)")]);
    pair::<eventfd::Event>("eventfd(0, 0 | 0)", &[(0, "take()"), (1, "add(1ULL)")]);

    heading("two actors: each wakes the other and sleeps");
    pair::<sem::Set>("semaphores [0, 0, 0]", &[(0, &p(0)), (1, &v(0)), (1, &p(1)), (0, &v(1))]);
    pair::<msgqueue::Queue>(
        "a queue",
        &[(0, &take(1)), (1, &give(1)), (1, &take(2)), (0, &give(2))],
    );
}

fn heading(what: &str) {
    println!("\n{what:<46}{:>12}{:>12}{:>8}", "driven op/s", "bare op/s", "ratio");
}

/// Calls per second of each round, and the ratios.
#[derive(Default)]
struct Row {
    driven: Vec<f64>,
    bare: Vec<f64>,
    ratios: Vec<f64>,
}

impl Row {
    fn round(&mut self, calls: usize, driven: Duration, bare: Duration) {
        self.driven.push(calls as f64 / driven.as_secs_f64());
        self.bare.push(calls as f64 / bare.as_secs_f64());
        self.ratios.push(bare.as_secs_f64() / driven.as_secs_f64());
    }

    fn print(self, name: &str) {
        let [driven, bare, ratio] = [self.driven, self.bare, self.ratios].map(median);
        println!("{name:<46}{driven:>12.0}{bare:>12.0}{ratio:>8.2}");
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A stage; with it, this process has one processor and the priority of a
/// director.
fn stage<M: Model>() -> Stage<M> {
    let stage = Stage::new(Some(0)).expect("a stage");
    if stage.scheduling() != Scheduling::Priority {
        println!("(no priorities: the director looks until nobody moves)");
    }
    stage
}

/// What the built-in driver does with a program: decodes, plays and judges it.
fn drive<M: Model>(stage: &mut Stage<M>, bytes: &[u8], actors: usize) -> Duration {
    let start = Instant::now();
    let program = Program::<M>::decode(bytes, Some(actors));
    let judge = Judge { canary: None };
    let played = play(stage, &judge, &program, &mut Reach::default(), None).expect("it plays");
    assert!(played.objection.is_none(), "{:?}", played.objection);
    assert_eq!(played.steps.len(), program.steps.len(), "nobody was to be nudged");
    start.elapsed()
}

/// One actor, and random programs of operations of the mechanism.
fn alone<M: Model>() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut stage = stage::<M>();
    let programs: Vec<_> = (0..PROGRAMS).map(|_| awake(&mut stage, &mut random)).collect();
    let calls = programs.iter().map(|bytes| bytes.len() / Seed::BYTES - 1).sum();
    let mut row = Row::default();
    for _ in 0..ROUNDS {
        let driven = programs.iter().map(|bytes| drive(&mut stage, bytes, 1)).sum();
        let bare = programs.iter().map(|bytes| perform_all::<M>(bytes)).sum();
        row.round(calls, driven, bare);
    }
    row.print(&format!("{}, {calls} calls", M::NAME));
}

/// A random program of operations of the mechanism, played by its fuzz target:
/// libFuzzer tells how long it took.
fn target<M: Model>(targets: &Path) {
    let mut stage = stage::<M>();
    let bytes = awake(&mut stage, &mut fastrand::Rng::with_seed(1));
    let file = std::env::temp_dir().join(format!("ipcspec-speed-{}", std::process::id()));
    std::fs::write(&file, &bytes).expect("the program is written");
    let played = || {
        let output = Command::new(targets.join(M::NAME))
            .arg(format!("-runs={RUNS}"))
            .arg("-rss_limit_mb=0")
            .arg(&file)
            .output()
            .expect("a fuzz target");
        let told = String::from_utf8_lossy(&output.stderr);
        let told = told.lines().find(|line| line.starts_with("Executed "));
        let millis = told.and_then(|line| line.split_whitespace().nth_back(1)?.parse().ok());
        Duration::from_millis(millis.expect("libFuzzer tells how long it took"))
    };
    let calls = bytes.len() / Seed::BYTES - 1;
    let mut row = Row::default();
    for _ in 0..TARGET_ROUNDS {
        let bare = (0..RUNS).map(|_| perform_all::<M>(&bytes)).sum();
        row.round(RUNS * calls, played(), bare);
    }
    let _ = std::fs::remove_file(&file);
    row.print(&format!("{}, {calls} calls", M::NAME));
}

/// A program of one actor that never sleeps, nor dies, nor removes the object:
/// what is left of a random one.
fn awake<M: Model>(stage: &mut Stage<M>, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = vec![0; (1 + Program::<M>::STEPS) * Seed::BYTES];
    random.fill(&mut bytes);
    // One actor, to whoever decodes it.
    let alone = |first: &u8| Program::<M>::decode(&[*first], None).actors == 1;
    bytes[0] = (0..=u8::MAX).find(alone).expect("there are programs of one actor");
    let mut program = Program::<M>::decode(&bytes, None);
    program.steps.retain(|step| match &step.act {
        Act::Own(op) => op.timeout().is_none_or(|time| time.is_zero()) && op.name() != "IPC_RMID",
        _ => false,
    });
    loop {
        let mut came_back = vec![];
        let judge = Judge { canary: None };
        let reach = &mut Reach::default();
        let onlooker: Onlooker<'_, M> = &mut |_, act, sights, _| {
            came_back.push(matches!(act, Act::Own(_)) && sights[0].answer.is_some());
        };
        let played = play(stage, &judge, &program, reach, Some(onlooker)).expect("it plays");
        program.steps = played
            .steps
            .into_iter()
            .zip(&came_back)
            .filter_map(|(s, back)| back.then_some(s))
            .collect();
        if came_back.iter().all(|back| *back) {
            break;
        }
    }
    let seeds = program.steps.iter().map(|step| step.seed.expect("it was decoded"));
    bytes[..Seed::BYTES].iter().copied().chain(seeds.flatten()).collect()
}

/// The same calls, on an object made the same way, one after the other.
fn perform_all<M: Model>(bytes: &[u8]) -> Duration {
    let program = Program::<M>::decode(bytes, Some(1));
    let start = Instant::now();
    let (kept, props) = make::<M>(&program.shape);
    let mut hands = M::take(props);
    for step in &program.steps {
        if let Act::Own(op) = &step.act {
            black_box(op.perform(&mut hands, &cast(0)));
        }
    }
    M::remove(&kept);
    drop(hands);
    start.elapsed()
}

/// An object, and what it takes to remove it.
fn make<M: Model>(shape: &M::Shape) -> (Props, Props) {
    let props = M::make(shape).expect("the object is made");
    (Props { numbers: props.numbers, files: vec![] }, props)
}

fn cast(me: usize) -> Cast {
    Cast { pids: [1; ACTORS], me }
}

/// Two actors that make these calls over and over: actor 0 sleeps in the
/// first. What an object and calls are is told as they are shown.
fn pair<M: Model>(shape: &str, calls: &[(usize, &str)]) {
    let bytes = bytes_that_mean::<M>(shape, calls);
    let program = Program::<M>::decode(&bytes, Some(2));
    let mut stage = stage::<M>();
    let mut row = Row::default();
    for _ in 0..ROUNDS {
        let times = CALLS / program.steps.len();
        let driven = (0..times).map(|_| drive(&mut stage, &bytes, 2)).sum();
        let bare = perform_both(&program, times, calls.len() == 2);
        row.round(times * program.steps.len(), driven, bare);
    }
    row.print(&format!("{}, {}", M::NAME, if calls.len() == 2 { "one way" } else { "both ways" }));
}

fn bytes_that_mean<M: Model>(shape: &str, calls: &[(usize, &str)]) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut seed = |actor: usize, fits: &dyn Fn(&Program<M>) -> bool, head: bool| loop {
        let mut bytes = [0; 2 * Seed::BYTES];
        let part = if head { &mut bytes[..Seed::BYTES] } else { &mut bytes[Seed::BYTES..] };
        random.fill(part);
        part[0] = actor as u8;
        let part = part.to_vec();
        if fits(&Program::decode(&bytes, Some(2))) {
            break part;
        }
    };
    let head = seed(0, &|program| program.shape.to_string() == shape, true);
    let mut cycle = vec![];
    for (actor, call) in calls {
        let is_it = |program: &Program<M>| {
            let act = &program.steps[0].act;
            matches!(act, Act::Own(_)) && act.to_string() == *call
        };
        cycle.extend(seed(*actor, &is_it, false));
    }
    let times = Program::<M>::STEPS / calls.len();
    [head, cycle.repeat(times)].concat()
}

/// The same calls in two processes. One way, the one that wakes the other is
/// interrupted by it; both ways, they have the same priority.
fn perform_both<M: Model>(program: &Program<M>, times: usize, one_way: bool) -> Duration {
    let (kept, props) = make::<M>(&program.shape);
    // SAFETY: this process has one thread.
    let child = unsafe { libc::fork() };
    let me = usize::from(child == 0);
    if child == 0 && one_way {
        // SAFETY: a complete structure of plain data.
        unsafe {
            let mut parameters: libc::sched_param = std::mem::zeroed();
            parameters.sched_priority = LOW;
            libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters);
        }
    }
    let mut hands = M::take(props);
    let start = Instant::now();
    for _ in 0..times {
        for step in program.steps.iter().filter(|step| step.actor == me) {
            if let Act::Own(op) = &step.act {
                let answer = black_box(op.perform(&mut hands, &cast(me)));
                assert!(answer.result.is_ok(), "{answer}");
            }
        }
    }
    let took = start.elapsed();
    if child == 0 {
        // SAFETY: ends this process at once, and waits for it.
        unsafe { libc::_exit(0) };
    }
    // SAFETY: waits for a child.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    M::remove(&kept);
    took
}
