//! What the harness costs: an empty case against bare fork and wait, and a
//! run of all cases against what the cases take themselves.
//!
//! Times on a busy machine mean little; the ratios are taken between rounds
//! that alternate, and are medians.
#![allow(unsafe_code, missing_docs)]

use std::time::{Duration, Instant};

use ipcspec_harness::{Case, LEVELS, Page, Pool, Settings, Verdict, case, serve_if_asked};

const NOTHING: Page = Page("nothing.7");

/// Nothing happens.
#[case(NOTHING, "NAME")]
fn empty() -> Verdict {
    Ok(())
}

const ROUNDS: usize = 41;
const PER_ROUND: u32 = 100;

/// Time of one of `PER_ROUND` calls.
fn time(mut call: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..PER_ROUND {
        call();
    }
    start.elapsed() / PER_ROUND
}

fn fork_and_wait() {
    // SAFETY: the child does nothing.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(0);
        }
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e3
}

fn main() {
    let real = ipcspec_cases::all();
    let mut cases: Vec<&'static Case> = vec![&empty];
    cases.extend(&real);
    serve_if_asked(&cases, None);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{processors} processors, {ROUNDS} rounds of {PER_ROUND}, medians\n");
    println!("{:<40}{:>10}{:>10}", "", "µs", "ratio");
    // Forks cost what the forking process weighs: the baseline forks before
    // the pool's threads exist, and between its cases.
    let mut bare = vec![];
    let mut isolated: Vec<(String, Vec<f64>, Vec<f64>)> = vec![];
    for (level, _) in LEVELS {
        let settings = Settings { workers: 1, isolation: level.to_owned(), ..Settings::default() };
        let pool = Pool::start(&settings).expect("a worker starts");
        let got = pool.isolation().level.clone();
        if got != level {
            continue;
        }
        let (mut costs, mut ratios) = (vec![], vec![]);
        for _ in 0..ROUNDS {
            let base = micros(time(fork_and_wait));
            let cost = micros(time(|| {
                pool.run(0, &empty);
            }));
            bare.push(base);
            costs.push(cost);
            ratios.push(cost / base);
        }
        isolated.push((format!("empty case, isolation {got}"), costs, ratios));
    }
    println!("{:<40}{:>10.1}{:>10.2}", "bare fork and wait", median(bare), 1.0);
    for (name, costs, ratios) in isolated {
        println!("{name:<40}{:>10.1}{:>10.2}", median(costs), median(ratios));
    }

    println!("\n{:<40}{:>10}{:>10}{:>10}", "all cases", "wall ms", "own ms", "ratio");
    for workers in [1, processors] {
        let start = Instant::now();
        let pool =
            Pool::start(&Settings { workers, ..Settings::default() }).expect("workers start");
        let own = run_all(&pool, &real, workers);
        drop(pool);
        let wall = start.elapsed();
        let (wall, own) = (micros(wall) / 1e3, micros(own) / 1e3);
        let name = format!("{} cases, {workers} at a time", real.len());
        println!("{name:<40}{wall:>10.1}{own:>10.1}{:>10.2}", wall / own);
    }
}

/// The sum of what the cases say they took.
fn run_all(pool: &Pool, cases: &[&'static Case], workers: usize) -> Duration {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let own = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    let Some(case) = cases.get(index) else { break };
                    let report = pool.run(index + 1, case);
                    own.fetch_add(report.micros, std::sync::atomic::Ordering::SeqCst);
                }
            });
        }
    });
    Duration::from_micros(own.into_inner())
}
