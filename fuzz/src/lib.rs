//! What every libFuzzer target does: plays the program that the bytes mean,
//! tells libFuzzer what it reached, and panics when the model objects.
//!
//! The bytes are those of `ipcspec fuzz`: both decode them alike. What is found
//! is printed as the JSON of `ipcspec replay`, and written into the directory
//! that `IPCSPEC_FINDINGS` names, if it does.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::{RefCell, UnsafeCell};
use std::hash::{DefaultHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ipcspec_models::saved::{Mode, Saved};
use ipcspec_models::stage::Stage;
use ipcspec_models::{
    ACTORS, Bytes, Canary, Explained, Finding, Judge, Model, Outcome, Program, Reach, play,
    play_race,
};
use nix::sched::{CloneFlags, unshare};

/// Counters that libFuzzer reads beside those of its own instrumentation: for
/// what operations came to, and for ways through the kernel.
const COUNTERS: usize = OUTCOMES + (1 << 16);
const OUTCOMES: usize = 1 << 14;

#[repr(transparent)]
struct Counters(UnsafeCell<[u8; COUNTERS]>);

// SAFETY: one thread writes; libFuzzer reads between two runs.
unsafe impl Sync for Counters {}

#[unsafe(link_section = "__libfuzzer_extra_counters")]
static REACHED: Counters = Counters(UnsafeCell::new([0; COUNTERS]));

/// Counts an operation, what it came to and the kind of state that it met.
fn count(name: &'static str, outcome: Outcome, class: u32) {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut mix = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    name.bytes().for_each(&mut mix);
    outcome.number().to_le_bytes().into_iter().for_each(&mut mix);
    class.to_le_bytes().into_iter().for_each(&mut mix);
    raise(hash as usize % OUTCOMES);
}

/// Counts each way from one place of the kernel to the next.
fn count_ways(addresses: impl Iterator<Item = u64>) {
    let mut before = 0_u64;
    for address in addresses {
        let way = (address ^ before.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        raise(OUTCOMES + (way >> 48) as usize);
        before = address;
    }
}

fn raise(place: usize) {
    // SAFETY: one thread.
    let counter = unsafe { &mut (&mut *REACHED.0.get())[place] };
    *counter = counter.saturating_add(1);
}

thread_local! {
    /// The stage, which outlives a program. Of one target, so of one model.
    static STAGE: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

/// Plays the program that these bytes mean in turns.
///
/// # Panics
/// When the model objects: libFuzzer then keeps the bytes.
pub fn in_turns<M: Model>(bytes: &Bytes) {
    turns_judged_by::<M>(bytes, None);
}

/// The same as [`in_turns`], judged by a model that is wrong on purpose: what
/// finds nothing here tests nothing.
///
/// # Panics
/// When the wrong model objects.
pub fn must_fail<M: Model>(bytes: &Bytes) {
    turns_judged_by::<M>(bytes, M::CANARIES.first());
}

/// Has the actors of the program that these bytes mean race.
///
/// # Panics
/// When the model allows no order of what happened.
pub fn in_races<M: Model>(bytes: &Bytes) {
    on_stage::<M>(None, |stage| {
        let program = Program::<M>::decode(&bytes.0, None);
        let judge = Judge { canary: None };
        let raced = play_race(stage, &judge, &program, &mut Reach::telling(count));
        let raced = raced.expect("programs can be raced");
        let Explained::No(unexplained) = raced.explained else { return None };
        let saved = Saved { mode: Mode::Race, program, found: None };
        Some((unexplained.tell(&raced.history), saved))
    });
}

fn turns_judged_by<M: Model>(bytes: &Bytes, canary: Option<&'static Canary<M>>) {
    on_stage::<M>(Some(0), |stage| {
        let program = Program::<M>::decode(&bytes.0, None);
        let mut reach = Reach::telling(count);
        let played = play(stage, &Judge { canary }, &program, &mut reach, None);
        let played = played.expect("programs can be played");
        let objection = played.objection?;
        let program = Program { steps: played.steps, ..program };
        let tells = format!(
            "{program:?}wanted   actor {}: {}\ngot      {}\nbecause  {}\n",
            objection.actor, objection.wanted, objection.got, objection.rule
        );
        // Seen once; whoever replays it sees how often.
        let finding = Finding { program, objection, confirmed: 1 };
        Some((tells, Saved::from(&finding)))
    });
}

/// Does this on the stage of this target, and panics with what was found.
fn on_stage<M: Model>(
    place: Option<usize>,
    plays: impl FnOnce(&mut Stage<M>) -> Option<(String, Saved<M>)>,
) {
    STAGE.with_borrow_mut(|stage| {
        let stage = stage.get_or_insert_with(|| {
            // Objects are its own, where it may have a namespace.
            let _ = unshare(CloneFlags::CLONE_NEWIPC);
            let mut stage = Stage::<M>::new(place).expect("actors can be forked");
            match stage.cover() {
                Ok(()) => eprintln!("INFO: coverage of the kernel: KCOV"),
                Err(errno) => eprintln!("INFO: coverage of the kernel: none ({errno})"),
            }
            Box::new(stage)
        });
        let stage = stage.downcast_mut::<Stage<M>>().expect("a target has one model");
        let found = plays(stage);
        (0..ACTORS).for_each(|actor| count_ways(stage.covered(actor)));
        if let Some((tells, mut saved)) = found {
            if let Some(found) = &mut saved.found {
                (found.confirmed, found.of) = (1, 1);
            }
            let text = saved.to_text();
            eprintln!("{tells}\n{text}");
            keep(M::NAME, &text);
            // Nobody else ends the actors of a process that aborts.
            let _ = catch_unwind(AssertUnwindSafe(|| stage.end()));
            panic!("the model objects");
        }
    });
}

/// Writes a finding into the directory that is named for them. It has been
/// printed, whether that works or not.
fn keep(mechanism: &str, text: &str) {
    let Some(directory) = std::env::var_os("IPCSPEC_FINDINGS") else { return };
    let mut hash = DefaultHasher::new();
    hash.write(text.as_bytes());
    let name = format!("{mechanism}-{:016x}.json", hash.finish());
    let file = Path::new(&directory).join(name);
    match std::fs::write(&file, text) {
        Ok(()) => eprintln!("saved {}", file.display()),
        Err(error) => eprintln!("{}: {error}", file.display()),
    }
}
