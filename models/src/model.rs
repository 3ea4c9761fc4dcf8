//! What a mechanism has to say for itself to be fuzzed.

use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::os::fd::OwnedFd;
use std::time::Duration;

use ipcspec_harness::Syscalls;
use nix::unistd::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Answer, Canary, Rule, Seed, Step};

/// Most actors of a program, those that are forked on the way included.
pub const ACTORS: usize = 4;

/// One of the processes of a program: a number below [`ACTORS`].
pub type Actor = usize;

/// Who directs the actors. When none of them can do anything any more, it
/// sends a signal to one.
pub const DIRECTOR: Actor = ACTORS;

/// An executable specification of one mechanism: what a call may answer, and
/// what is so after it.
///
/// The model is asked about a call when it is made, again whenever it sleeps
/// and something happened, and when it is cut short. The judge explores every
/// order in which sleepers may go on, so a model that knows who is next says
/// of the others that they sleep; one that does not know lets any.
pub trait Model: Clone + PartialEq + Eq + Hash + Debug + Sized + 'static {
    /// The name of the mechanism, by which its folder, its cases and its fuzz
    /// targets are found.
    const NAME: &'static str;
    /// What programs do with it, in a line.
    const ABOUT: &'static str;
    /// How often, of 16 operations, one is about signals or processes rather
    /// than about the mechanism.
    const COMPANY: usize = 3;
    /// Whether there is nothing but company.
    const ALONE: bool = Self::COMPANY == 16;
    /// Every operation by name, with all that it can come to: `ok`, names of
    /// errors, and `sleeps`. A test reaches each of them, and nothing else.
    const OUTCOMES: &'static [(&'static str, &'static [&'static str])];
    /// What a C program that replays a program needs: includes, globals and
    /// functions. It defines `static void set_up(void)`, called once before
    /// any actor is forked, and, for models whose shape matters, is preceded
    /// by what [`Shape::c`] gives.
    const C: &'static str;
    /// What a case of it may use besides the prelude, by module.
    const RUST: &'static [(&'static str, &'static [&'static str])];
    /// Names that a case of it may use, each with the statement that makes it
    /// where it does and the shape does not.
    const RUST_HELPERS: &'static [(&'static str, &'static str)] = &[];
    /// Models of it that are wrong on purpose, each in a subtle way: fuzzing
    /// has to notice every one.
    const CANARIES: &'static [Canary<Self>];

    /// How the object is made that a program works on.
    type Shape: Shape;
    /// What an actor may do with it.
    type Op: Op<Hands = Self::Hands>;
    /// What an actor has in hand to do it: identifiers, descriptors.
    type Hands;

    /// Makes the object, in the process that directs the actors.
    fn make(shape: &Self::Shape) -> nix::Result<Props>;
    /// Takes the object away, however the program left it.
    fn remove(props: &Props);
    /// Takes the object in hand, in an actor.
    fn take(props: Props) -> Self::Hands;

    /// The object as a program finds it.
    fn new(shape: &Self::Shape) -> Self;
    /// `actor` makes this call, or has made it and slept. `seen` is what came
    /// back in the end, if anything did: where the documentation leaves a
    /// choice, the model follows it.
    fn attempt(&mut self, actor: Actor, op: &Self::Op, seen: Option<&Answer>) -> Step;
    /// Does a part of a call that is not the last one, if others can see it
    /// before the next; [`Model::attempt`] then goes on from there. `seen` is
    /// what comes back in the end. Where there is no such part, nobody looks at
    /// what is left of the state. Only races ask: in turns nobody comes in
    /// between.
    fn part(&mut self, _actor: Actor, _op: &Self::Op, _seen: Option<&Answer>) -> Option<Part> {
        None
    }
    /// The call in which `actor` sleeps is cut short.
    fn cut(&mut self, actor: Actor, op: &Self::Op, by: Cut) -> Step;
    /// An actor was forked by another one.
    fn forked(&mut self, parent: Actor, child: Actor);
    /// An actor has ended, by itself or killed; it may have been asleep in a
    /// call.
    fn ended(&mut self, actor: Actor);
    /// A word or two for the kind of state that this is: fuzzers look for
    /// programs that reach others.
    fn class(&self) -> u32 {
        0
    }
}

/// What others can do between one part of a call and the next.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// Anything.
    Open(&'static Rule),
    /// Nothing but look: see [`Op::looks`].
    Shut(&'static Rule),
}

/// What cuts a sleeping call short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cut {
    /// A handler, set with SA_RESTART or without.
    Handler {
        /// With SA_RESTART.
        restart: bool,
    },
    /// A stop; the call goes on or fails when the process is continued.
    Stop,
    /// Its own timeout.
    Time,
}

/// How an object is made.
pub trait Shape:
    Copy + Debug + Display + PartialEq + Serialize + DeserializeOwned + Send + 'static
{
    /// Any bytes are a shape; zeroes are the simplest.
    fn decode(seed: &mut Seed) -> Self;
    /// C definitions by which [`Model::C`] knows the shape.
    fn c(&self) -> String;
    /// Rust statements of a case that make the object, and those that let go
    /// of it once every actor has its own copy.
    fn rust(&self) -> [String; 2];
    /// What is wrong with one that a person wrote: none that is decoded has
    /// anything.
    fn flaw(&self) -> Option<String> {
        None
    }
}

/// An operation: a system call and its arguments. Plain data, without a
/// pointer: it is copied to the actor through shared memory.
pub trait Op: Copy + Debug + Eq + Hash + Serialize + DeserializeOwned + Send + 'static {
    /// What an actor has in hand.
    type Hands;

    /// Any bytes are an operation; zeroes are the simplest.
    fn decode(seed: &mut Seed) -> Self;
    /// Its name in [`Model::OUTCOMES`].
    fn name(&self) -> &'static str;
    /// Makes the call, in the actor.
    fn perform(&self, hands: &mut Self::Hands, cast: &Cast) -> Answer;
    /// The calls in which it may sleep.
    fn sleeps_in(&self) -> Syscalls;
    /// Whether the kernel may send its caller a signal that ends it: who dies
    /// of one may sleep on the way out, and seem to be in the call.
    fn may_end(&self) -> bool {
        false
    }
    /// How long it may sleep, where that is short: who directs waits for its
    /// end before anybody does anything else.
    fn timeout(&self) -> Option<Duration> {
        None
    }
    /// A C expression of type `long` that makes the call and is -1 with
    /// `errno` when it fails. It may print what else the call told.
    fn c(&self) -> String;
    /// Whether it only looks, and may find what others have done in part.
    fn looks(&self) -> bool {
        false
    }
    /// A Rust expression that makes the call, for the case to add.
    fn rust(&self) -> String;
    /// What a case compares where the call succeeds with this answer: an
    /// expression, [`Op::rust`] or something made of it, and the value that it
    /// then has. None where there is no more to say than that it succeeds.
    fn rust_gives(&self, answer: &Answer) -> Option<(String, String)> {
        Some((self.rust(), answer.result.ok()?.to_string()))
    }
    /// What a case does where there is nothing to compare, if that is more
    /// than to see that the call succeeds.
    fn rust_succeeds(&self, _answer: &Answer) -> Option<String> {
        None
    }
    /// What is wrong with one that a person wrote: none that is decoded has
    /// anything.
    fn flaw(&self) -> Option<String> {
        None
    }
}

/// What a program's object is known by in other processes.
#[derive(Debug, Default)]
pub struct Props {
    /// Identifiers.
    pub numbers: [i64; 4],
    /// Descriptors, at most 8; each actor gets copies, and the director keeps
    /// none.
    pub files: Vec<OwnedFd>,
}

/// Who plays: the process ids of the actors, as the processes themselves see
/// them.
#[derive(Debug, Clone, Copy)]
pub struct Cast {
    /// By actor; 0 where there was never one.
    pub pids: [i32; ACTORS],
    /// The actor that makes the call.
    pub me: Actor,
}

impl Cast {
    /// What stands in an answer for a process that is no actor.
    pub const NOBODY: i64 = -1;

    /// The actor that has this process id, or [`Cast::NOBODY`].
    pub fn actor(&self, pid: impl Into<i64>) -> i64 {
        let pid = pid.into();
        let known = self.pids.iter().position(|known| pid != 0 && i64::from(*known) == pid);
        known.map_or(Self::NOBODY, |actor| actor as i64)
    }

    /// The process id of an actor, if there ever was one.
    pub fn pid(&self, actor: Actor) -> Option<Pid> {
        self.pids.get(actor).copied().filter(|pid| *pid != 0).map(Pid::from_raw)
    }
}
