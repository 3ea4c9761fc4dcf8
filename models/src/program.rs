//! Programs: what a few processes do with one object, in order.

use std::fmt;

use arbitrary::{Arbitrary, Unstructured};
use serde::{Deserialize, Serialize};

use crate::model::ACTORS;
use crate::{Act, Actor, Model, Seed, Shape};

/// What so many actors do with an object of this shape.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Program<M: Model> {
    /// How the object is made.
    pub shape: M::Shape,
    /// Actors at the start, at least 1.
    pub actors: usize,
    /// What they do, in order.
    pub steps: Vec<Step<M>>,
}

/// One step of a program.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Step<M: Model> {
    /// Who does it: this actor, or if it sleeps, is stopped or gone, the next
    /// one that does not and is not.
    pub actor: Actor,
    /// What it does.
    pub act: Act<M::Op>,
    /// The bytes that it was decoded from, if it was: a simpler step is found
    /// by simpler bytes.
    #[serde(skip)]
    pub seed: Option<[u8; Seed::BYTES]>,
}

impl<M: Model> Program<M> {
    /// Most steps of a program: longer ones find nothing that shorter ones do
    /// not.
    pub const STEPS: usize = 1024;

    /// The program that these bytes mean. The first [`Seed::BYTES`] choose
    /// the actors and the shape, and each further as many one step; what is
    /// missing of the last is zero. With `actors`, so many of them; else the
    /// bytes choose.
    pub fn decode(bytes: &[u8], actors: Option<usize>) -> Self {
        let mut chunks = bytes.chunks(Seed::BYTES).map(|chunk| {
            let mut seed = [0; Seed::BYTES];
            seed[..chunk.len()].copy_from_slice(chunk);
            seed
        });
        let mut head = Seed::new(chunks.next().unwrap_or_default());
        let chosen = head.one_of(&[2, 2, 3, 1]);
        let shape = M::Shape::decode(&mut head);
        let steps = chunks.take(Self::STEPS).map(Step::decode).collect();
        Self { shape, actors: actors.unwrap_or(chosen).clamp(1, ACTORS), steps }
    }

    /// The program that [`random_bytes`] mean. What becomes of it may still
    /// differ: who of several sleepers is first is the kernel's to say.
    pub fn random(random: &mut fastrand::Rng, steps: usize, actors: Option<usize>) -> Self {
        Self::decode(&random_bytes(random, steps), actors)
    }
}

/// Random bytes for a program of up to so many steps.
pub fn random_bytes(random: &mut fastrand::Rng, steps: usize) -> Vec<u8> {
    let steps = 1 + random.usize(..steps);
    let mut bytes = vec![0; (1 + steps) * Seed::BYTES];
    random.fill(&mut bytes);
    bytes
}

impl<M: Model> Step<M> {
    /// The step that these bytes mean.
    pub fn decode(bytes: [u8; Seed::BYTES]) -> Self {
        let mut seed = Seed::new(bytes);
        let actor = seed.below(ACTORS);
        Self { actor, act: Act::decode::<M>(&mut seed), seed: Some(bytes) }
    }
}

/// The bytes of a program: a head, and so many steps. What `arbitrary` and
/// its users make are these.
#[derive(Debug, Clone)]
pub struct Bytes(pub Vec<u8>);

impl<'a> Arbitrary<'a> for Bytes {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Self(u.bytes(u.len())?.to_vec()))
    }

    fn arbitrary_take_rest(u: Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Self(u.take_rest().to_vec()))
    }
}

// Derived, these would ask of the model what its operations have.
impl<M: Model> Clone for Program<M> {
    fn clone(&self) -> Self {
        Self { shape: self.shape, actors: self.actors, steps: self.steps.clone() }
    }
}

#[allow(clippy::expl_impl_clone_on_copy)]
impl<M: Model> Clone for Step<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Model> Copy for Step<M> {}

impl<M: Model> fmt::Debug for Program<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of {} actors", self.shape, self.actors)?;
        for step in &self.steps {
            writeln!(f, "{}: {}", step.actor, step.act)?;
        }
        Ok(())
    }
}

impl<M: Model> fmt::Debug for Step<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.actor, self.act)
    }
}
