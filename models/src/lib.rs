//! Executable specifications of Linux inter-process communication, and the
//! random programs of several processes that kernels are judged by with them.
//!
//! One folder a mechanism: its operations, the rules that it goes by with the
//! sentences that they come from, and models of it that are wrong on purpose.

mod answer;
mod cover;
mod find;
mod mechanism;
mod model;
mod program;
pub mod race;
mod reach;
pub mod replay;
pub mod saved;
mod seed;
pub mod stage;
mod turns;
pub mod world;

pub mod eventfd;
pub mod msgqueue;
pub mod pipe;
pub mod sem;
pub mod signal;

pub use answer::{Answer, Body, Facts, Rule, Step};
pub use find::*;
pub use mechanism::{DRIVER, Found, MECHANISMS, Mechanism, Order, Replaying, Tally, Task};
pub use model::{ACTORS, Actor, Cast, Cut, DIRECTOR, Model, Op, Part, Props, Shape};
pub use program::{Bytes, Program, random_bytes};
pub use race::{Explained, History, Raced, explain, minimise_race, play_race};
pub use reach::{Outcome, Reach};
pub use replay::{Form, Replayed};
pub use seed::Seed;
pub use turns::{Onlooker, Played, play};
pub use world::{Act, Canary, End, Judge, Objection, Place, Sight, Sights, Twist, World, Worlds};
