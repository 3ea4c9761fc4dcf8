//! What a system call answers, and what a rule says that it may answer.

use std::fmt;

use ipcspec_harness::{Source, show};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// What a call returned, and what it wrote for its caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Answer {
    /// What it returned, or the number of the error.
    pub result: Result<i64, i32>,
    /// Numbers that it told besides: fields of a structure, values of a set.
    /// A process id stands as the number of the actor that has it.
    pub facts: Facts,
    /// Bytes that it transferred to its caller.
    pub body: Body,
}

/// Numbers of an [`Answer`].
pub type Facts = SmallVec<[i64; 8]>;
/// Bytes of an [`Answer`].
pub type Body = SmallVec<[u8; 32]>;

impl Answer {
    /// Returned 0 and told nothing else.
    pub fn zero() -> Self {
        Self::number(0)
    }

    /// Returned this number.
    pub fn number(number: i64) -> Self {
        Self { result: Ok(number), facts: Facts::new(), body: Body::new() }
    }

    /// Failed with this error.
    pub fn error(errno: Errno) -> Self {
        Self { result: Err(errno as i32), facts: Facts::new(), body: Body::new() }
    }

    /// With these numbers besides.
    #[must_use]
    pub fn with(mut self, facts: &[i64]) -> Self {
        self.facts = Facts::from_slice(facts);
        self
    }

    /// With these bytes.
    #[must_use]
    pub fn carrying(mut self, body: &[u8]) -> Self {
        self.body = Body::from_slice(body);
        self
    }

    /// How it went, in a word: `ok`, or the name of the error.
    pub fn outcome(&self) -> String {
        match self.result {
            Ok(_) => "ok".to_owned(),
            Err(errno) => format!("{:?}", Errno::from_raw(errno)),
        }
    }
}

impl From<nix::Result<i64>> for Answer {
    fn from(result: nix::Result<i64>) -> Self {
        result.map_or_else(Self::error, Self::number)
    }
}

impl From<nix::Result<()>> for Answer {
    fn from(result: nix::Result<()>) -> Self {
        result.map(|()| 0).into()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.result {
            Ok(number) => write!(f, "{number}")?,
            Err(errno) => write!(f, "{:?}", Errno::from_raw(errno))?,
        }
        if !self.facts.is_empty() {
            write!(f, " {:?}", &self.facts[..])?;
        }
        if !self.body.is_empty() {
            write!(f, " {}", show::bytes(&self.body))?;
        }
        Ok(())
    }
}

/// A sentence that a model goes by, and where it is documented. Written with
/// [`rules!`](crate::rules).
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The sentence.
    pub says: &'static str,
    /// Where it stands.
    pub source: Source,
}

/// The rules of a model: each a documented constant that says what holds and
/// where it stands.
///
/// ```ignore
/// rules! {
///     /// A decrement that would take the value below zero sleeps.
///     P_SLEEPS = SEMOP_2, "DESCRIPTION";
/// }
/// ```
#[macro_export]
macro_rules! rules {
    ($( $(#[doc = $says:literal])+ $name:ident = $page:ident, $section:literal; )+) => { $(
        $(#[doc = $says])+
        const $name: &$crate::Rule = &$crate::Rule {
            says: concat!($($says),+),
            source: ::ipcspec_harness::Source {
                page: ::ipcspec_cases::pages::$page,
                section: $section,
            },
        };
    )+ };
}

/// How a call goes on, as a model says, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It returns this.
    Returns(Answer, &'static Rule),
    /// It returns one of these; the state is the one that goes with what was
    /// seen.
    ReturnsOneOf(Vec<Answer>, &'static Rule),
    /// It returns this, and its caller gets this signal, sent by the kernel.
    Raises(Answer, i32, &'static Rule),
    /// It sleeps, and has changed nothing since it last went to sleep.
    Sleeps(&'static Rule),
    /// It has moved something, and sleeps (again).
    Moves(&'static Rule),
    /// It begins anew, once whatever cut it short is over.
    Restarts(&'static Rule),
}

impl Rule {
    /// By this rule, the call returns this.
    pub fn returns(&'static self, answer: Answer) -> Step {
        Step::Returns(answer, self)
    }

    /// By this rule, the call returns 0.
    pub fn succeeds(&'static self) -> Step {
        Step::Returns(Answer::zero(), self)
    }

    /// By this rule, the call fails.
    pub fn fails(&'static self, errno: Errno) -> Step {
        Step::Returns(Answer::error(errno), self)
    }

    /// By this rule, the call returns one of these.
    pub fn returns_one_of(&'static self, answers: Vec<Answer>) -> Step {
        Step::ReturnsOneOf(answers, self)
    }

    /// By this rule, the call sleeps.
    pub fn sleeps(&'static self) -> Step {
        Step::Sleeps(self)
    }

    /// By this rule, the call begins anew.
    pub fn restarts(&'static self) -> Step {
        Step::Restarts(self)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.says.trim(), self.source)
    }
}
