//! Makes the seeds of the libFuzzer targets anew, after a change of what the
//! bytes of a program mean:
//!
//! ```sh
//! cargo run --release -p ipcspec-models --example seeds -- fuzz/seeds [MECHANISM…]
//! ```
//!
//! Of random programs it keeps those that reach what few do, without the steps
//! that they do not need for it. A file is named after the rarest of that.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;

use ipcspec_models::stage::Stage;
use ipcspec_models::{
    Judge, Model, Program, Reach, Seed, eventfd, msgqueue, pipe, play, random_bytes, sem, signal,
};

/// Random programs of each mechanism.
const PROGRAMS: usize = 3000;
/// Steps of the longest of them.
const STEPS: usize = 12;
/// Most seeds of a mechanism.
const SEEDS: usize = 12;

/// An operation, and what it came to.
type Came = (String, String);
type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("usage: seeds DIRECTORY [MECHANISM…]")?;
    let wanted: Vec<String> = arguments.collect();
    let directory = Path::new(&directory);
    seed::<pipe::Pipe>(directory, &wanted)?;
    seed::<sem::Set>(directory, &wanted)?;
    seed::<msgqueue::Queue>(directory, &wanted)?;
    seed::<signal::Alone>(directory, &wanted)?;
    seed::<eventfd::Event>(directory, &wanted)
}

fn seed<M: Model>(directory: &Path, wanted: &[String]) -> Result<()> {
    if !wanted.is_empty() && !wanted.iter().any(|name| name == M::NAME) {
        return Ok(());
    }
    let mut stage = Stage::<M>::new(Some(0)).map_err(|failure| failure.to_string())?;
    let mut random = fastrand::Rng::with_seed(1);
    let mut programs = vec![];
    let mut counts: BTreeMap<Came, usize> = BTreeMap::new();
    for _ in 0..PROGRAMS {
        let bytes = random_bytes(&mut random, STEPS);
        let reached = reached::<M>(&mut stage, &bytes)?;
        for came in &reached {
            *counts.entry(came.clone()).or_default() += 1;
        }
        programs.push((bytes, reached));
    }
    let directory = directory.join(M::NAME);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory)?;
    let mut rarest: Vec<_> = counts.into_iter().map(|(came, count)| (count, came)).collect();
    rarest.sort();
    let mut have = BTreeSet::new();
    let mut seeds = 0;
    for (_, came) in rarest {
        if have.contains(&came) || seeds == SEEDS {
            continue;
        }
        let those = programs.iter().filter(|(_, reached)| reached.contains(&came));
        let Some((bytes, _)) = those.min_by_key(|(bytes, _)| bytes.len()) else { continue };
        let bytes = without_idle_steps::<M>(&mut stage, bytes, &came)?;
        have.extend(reached::<M>(&mut stage, &bytes)?);
        let name = format!("{} {}", came.0, came.1).replace(|c: char| !c.is_alphanumeric(), "-");
        std::fs::write(directory.join(name), &bytes)?;
        seeds += 1;
    }
    println!("{}: {seeds} seeds", M::NAME);
    Ok(())
}

/// What the program that these bytes mean comes to.
fn reached<M: Model>(stage: &mut Stage<M>, bytes: &[u8]) -> Result<BTreeSet<Came>> {
    let mut reach = Reach::default();
    let program = Program::<M>::decode(bytes, None);
    play(stage, &Judge { canary: None }, &program, &mut reach, None)
        .map_err(|failure| failure.to_string())?;
    Ok(reach.table().into_keys().collect())
}

/// The same program without the steps that it does not need to come to this.
fn without_idle_steps<M: Model>(
    stage: &mut Stage<M>,
    bytes: &[u8],
    came: &Came,
) -> Result<Vec<u8>> {
    let mut best = bytes.to_vec();
    let mut at = Seed::BYTES;
    while at < best.len() {
        let mut shorter = best.clone();
        shorter.drain(at..at + Seed::BYTES);
        if reached::<M>(stage, &shorter)?.contains(came) {
            best = shorter;
        } else {
            at += Seed::BYTES;
        }
    }
    Ok(best)
}
