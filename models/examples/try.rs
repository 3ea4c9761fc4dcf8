use ipcspec_models::*;
use std::time::*;
fn go<M: Model>(place: Option<usize>, actors: Option<usize>, n: usize, steps: usize, seed: usize) {
    let mut stage = stage::Stage::<M>::new(place).unwrap();
    println!("{} {:?}", M::NAME, stage.scheduling());
    let judge = Judge { canary: None };
    let mut random = fastrand::Rng::with_seed(seed as u64);
    let mut reach = Reach::default();
    let t = Instant::now();
    for i in 0..n {
        let program = Program::<M>::decode(&random_bytes(&mut random, steps), actors);
        let played = play(&mut stage, &judge, &program, &mut reach, None).unwrap();
        if let Some(o) = played.objection {
            println!("program {i}: {o:?}");
            let f = minimise(
                &mut stage,
                &judge,
                Program { steps: played.steps, ..program },
                o,
                Duration::from_secs(5),
            )
            .unwrap();
            println!(
                "{:?}{} wanted {} got {} because {} ({})",
                f.program, f.actor, f.wanted, f.got, f.rule, f.confirmed
            );
            return;
        }
    }
    let e = t.elapsed();
    println!(
        "{n} programs, {} ops, {:.0} ops/s, {:.1} us/program",
        reach.operations(),
        reach.operations() as f64 / e.as_secs_f64(),
        e.as_secs_f64() * 1e6 / n as f64
    );
    println!("{:?}", reach.table());
}
fn canaries<M: Model>(actors: Option<usize>, steps: usize) {
    let mut stage = stage::Stage::<M>::new(Some(1)).unwrap();
    for canary in M::CANARIES {
        let judge = Judge { canary: Some(canary) };
        let mut random = fastrand::Rng::with_seed(1);
        let t = Instant::now();
        let mut i = 0;
        loop {
            if t.elapsed().as_secs() > 10 {
                println!("NOT CAUGHT: {}", canary.says);
                break;
            }
            i += 1;
            let program = Program::<M>::decode(&random_bytes(&mut random, steps), actors);
            let played = play(&mut stage, &judge, &program, &mut Reach::default(), None).unwrap();
            if let Some(o) = played.objection {
                let at = t.elapsed();
                let f = minimise(
                    &mut stage,
                    &judge,
                    Program { steps: played.steps, ..program },
                    o,
                    Duration::from_secs(5),
                )
                .unwrap();
                println!(
                    "{}\n  caught by program {i} after {:?}, {} steps\n{:?}{} wanted {} got {} because {} ({})",
                    canary.says,
                    at,
                    f.program.steps.len(),
                    f.program,
                    f.actor,
                    f.wanted,
                    f.got,
                    f.rule,
                    f.confirmed
                );
                break;
            }
        }
    }
}
/// Races for so many seconds.
fn races<M: Model>(
    canary: Option<&'static Canary<M>>,
    seconds: u64,
    steps: usize,
    seed: u64,
) -> bool {
    let mut stage = stage::Stage::<M>::new(None).unwrap();
    let judge = Judge { canary };
    let mut random = fastrand::Rng::with_seed(seed);
    let mut reach = Reach::default();
    let (mut n, mut overlap, mut undecided, mut asleep, mut longest) =
        (0u32, 0, 0, 0, Duration::ZERO);
    let (t, mut judged) = (Instant::now(), Duration::ZERO);
    while t.elapsed().as_secs() < seconds {
        let actors = random.usize(2..=4);
        let program = Program::<M>::decode(&random_bytes(&mut random, steps), Some(actors));
        let raced = play_race(&mut stage, &Judge { canary: None }, &program, &mut reach).unwrap();
        let before = Instant::now();
        let explained = explain(&judge, &raced.history, race::MOST_STATES);
        judged += before.elapsed();
        longest = longest.max(before.elapsed());
        n += 1;
        overlap += u32::from(raced.history.overlaps());
        asleep += u32::from(raced.history.places.contains(&Place::Asleep));
        match explained {
            Explained::Yes => {}
            Explained::Undecided => undecided += 1,
            Explained::No(why) => {
                println!("race {n} after {:?}", t.elapsed());
                let found = minimise_race(
                    &mut stage,
                    &judge,
                    program,
                    raced.history,
                    why,
                    Duration::from_secs(5),
                )
                .unwrap();
                println!(
                    "{:?}{}{} of {}",
                    found.program,
                    found.tells,
                    found.confirmed,
                    race::RACE_CONFIRMATIONS
                );
                return true;
            }
        }
    }
    println!(
        "{n} races in {seconds} s, seed {seed}: {overlap} overlap, {asleep} with sleepers, {undecided} undecided; {:.1} us judging each, {longest:?} the longest",
        judged.as_secs_f64() * 1e6 / f64::from(n)
    );
    println!("{:?}", reach.table());
    false
}
/// try MECHANISM [canaries|turns|polled] [programs] [steps] [seed]
/// try MECHANISM [race|racecanaries] [seconds] [steps] [seed]
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments[1].as_str() {
        "eventfd" => both::<eventfd::Event>(&arguments[2..]),
        "signal" => both::<signal::Alone>(&arguments[2..]),
        _ => panic!(),
    }
}
fn both<M: Model>(a: &[String]) {
    let number = |at: usize, other: usize| a.get(at).map_or(other, |text| text.parse().unwrap());
    match a.first().map(String::as_str) {
        Some("canaries") => canaries::<M>(None, number(2, 60)),
        Some("race") => {
            races::<M>(None, number(1, 10) as u64, number(2, 16), number(3, 1) as u64);
        }
        Some("racecanaries") => {
            for canary in M::CANARIES {
                println!("# {}", canary.says);
                if !races::<M>(
                    Some(canary),
                    number(1, 10) as u64,
                    number(2, 16),
                    number(3, 1) as u64,
                ) {
                    println!("NOT CAUGHT");
                }
            }
        }
        Some("polled") => go::<M>(None, None, number(1, 200), number(2, 60), number(3, 1)),
        _ => go::<M>(Some(1), None, number(1, 2000), number(2, 60), number(3, 1)),
    }
}
