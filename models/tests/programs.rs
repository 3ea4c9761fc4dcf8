//! Random programs come from a seed, and from nothing else.

use ipcspec_models::{Model, Program, eventfd, msgqueue, pipe, sem, signal};

/// The first programs of this seed, as text.
fn programs<M: Model>(seed: u64) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..50).map(|_| format!("{:?}", Program::<M>::random(&mut random, 64, None))).collect()
}

fn repeats<M: Model>() {
    assert_eq!(programs::<M>(7), programs::<M>(7));
    assert_ne!(programs::<M>(7), programs::<M>(8));
}

#[test]
fn a_seed_gives_the_same_programs_again() {
    repeats::<pipe::Pipe>();
    repeats::<sem::Set>();
    repeats::<msgqueue::Queue>();
    repeats::<signal::Alone>();
    repeats::<eventfd::Event>();
}
