//! What every libFuzzer target does: plays the program that the bytes mean,
//! tells libFuzzer what it reached, and panics when the model objects.
//!
//! The bytes are those of `ipcspec fuzz`: both decode them alike.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::{RefCell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ipcspec_models::stage::Stage;
use ipcspec_models::{Bytes, Canary, Judge, Model, Outcome, Program, Reach, play};
use nix::sched::{CloneFlags, unshare};

/// Counters that libFuzzer reads beside those of its own instrumentation.
const COUNTERS: usize = 1 << 14;

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
    // SAFETY: one thread, and the place is inside.
    unsafe {
        let counter = &mut (&mut *REACHED.0.get())[hash as usize % COUNTERS];
        *counter = counter.saturating_add(1);
    }
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
    judged_by::<M>(bytes, None);
}

/// The same, judged by a model that is wrong on purpose: a target that finds
/// nothing here tests nothing.
///
/// # Panics
/// When the wrong model objects.
pub fn in_turns_wrongly<M: Model>(bytes: &Bytes) {
    judged_by::<M>(bytes, M::CANARIES.first());
}

fn judged_by<M: Model>(bytes: &Bytes, canary: Option<&'static Canary<M>>) {
    STAGE.with_borrow_mut(|stage| {
        let stage = stage.get_or_insert_with(|| {
            // Objects are its own, where it may have a namespace.
            let _ = unshare(CloneFlags::CLONE_NEWIPC);
            Box::new(Stage::<M>::new(Some(0)).expect("actors can be forked"))
        });
        let stage = stage.downcast_mut::<Stage<M>>().expect("a target has one model");
        let program = Program::<M>::decode(&bytes.0, None);
        let mut reach = Reach::telling(count);
        let played = play(stage, &Judge { canary }, &program, &mut reach, None);
        let played = played.expect("programs can be played");
        if let Some(objection) = played.objection {
            let program = Program { steps: played.steps, ..program };
            let text = serde_json::to_string(&program).expect("a program is plain data");
            eprintln!("{program:?}{objection:?}\n{text}");
            // Nobody else ends the actors of a process that aborts.
            let _ = catch_unwind(AssertUnwindSafe(|| stage.end()));
            panic!("the model objects");
        }
    });
}
