//! Programs of nothing but signals.

use std::fmt;
use std::hash::Hash;

use ipcspec_harness::Syscalls;
use serde::{Deserialize, Serialize};

use crate::{Actor, Answer, Canary, Cast, Cut, Model, Props, Seed, Step};

/// No mechanism at all: what is left are the signals in whose company every
/// model plays.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Alone;

/// There is one way to make nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing;

/// No operation: there is none to decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Never {}

impl crate::Shape for Nothing {
    fn decode(_: &mut Seed) -> Self {
        Self
    }

    fn c(&self) -> String {
        String::new()
    }

    fn rust(&self) -> [String; 2] {
        [String::new(), String::new()]
    }
}

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("processes")
    }
}

impl crate::Op for Never {
    type Hands = ();

    fn decode(_: &mut Seed) -> Self {
        unreachable!("every operation of these programs is company")
    }

    fn name(&self) -> &'static str {
        match *self {}
    }

    fn perform(&self, (): &mut (), _: &Cast) -> Answer {
        match *self {}
    }

    fn sleeps_in(&self) -> Syscalls {
        match *self {}
    }

    fn c(&self) -> String {
        match *self {}
    }

    fn rust(&self) -> String {
        match *self {}
    }
}

impl Model for Alone {
    const NAME: &'static str = "signal";
    const ABOUT: &'static str = "signals, handlers, masks, stops and ends of processes";
    const COMPANY: usize = 16;
    const OUTCOMES: &'static [(&'static str, &'static [&'static str])] = super::OUTCOMES;
    const C: &'static str = "static void set_up(void) {}\n";
    const RUST: &'static [(&'static str, &'static [&'static str])] = &[];
    const CANARIES: &'static [Canary<Self>] = super::canaries::CANARIES;
    type Shape = Nothing;
    type Op = Never;
    type Hands = ();

    fn make(_: &Nothing) -> nix::Result<Props> {
        Ok(Props::default())
    }

    fn remove(_: &Props) {}

    fn take(_: Props) {}

    fn new(_: &Nothing) -> Self {
        Self
    }

    fn attempt(&mut self, _: Actor, op: &Never, _: Option<&Answer>) -> Step {
        match *op {}
    }

    fn cut(&mut self, _: Actor, op: &Never, _: Cut) -> Step {
        match *op {}
    }

    fn forked(&mut self, _: Actor, _: Actor) {}

    fn ended(&mut self, _: Actor) {}
}
