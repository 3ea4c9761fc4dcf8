//! What programs are turned into as cases compiles, and holds: the files in
//! `data/cases` are as `ipcspec replay --rust` prints them, which the tests in
//! `replay.rs` see to.
#![allow(missing_docs)]
// Whether an end is owned or only borrowed, the printer does not ask.
#![allow(clippy::needless_borrows_for_generic_args)]

use ipcspec_cases::{prelude, sys};
use ipcspec_harness::{Case, Outcome, Pool, Settings, serve_if_asked};
use libtest_mimic::{Arguments, Failed, Trial};

macro_rules! printed {
    ($($mechanism:ident: $case:ident),+ $(,)?) => {
        $(mod $mechanism {
            include!(concat!("data/cases/", stringify!($mechanism), ".rs"));
            pub const CASE: &Case = &$case;
        })+
        const CASES: &[&Case] = &[$($mechanism::CASE),+];
    };
}

printed! {
    eventfd: a_read_takes_what_was_added,
    fifo: a_fifo_opens_for_both_ends,
    msgqueue: messages_are_received_in_order,
    pipe: what_was_written_is_read_in_order,
    sem: the_operations_of_a_list_are_done_together,
    signal: a_pending_signal_is_delivered_or_taken,
}

fn main() -> std::process::ExitCode {
    serve_if_asked(CASES, None);
    let arguments = Arguments::from_args();
    let pool = Pool::start(&Settings { workers: 1, ..Settings::default() }).expect("a worker");
    let pool = std::sync::Arc::new(pool);
    let trials = CASES.iter().enumerate().map(|(index, case)| {
        let pool = std::sync::Arc::clone(&pool);
        Trial::test(case.path(), move || {
            let report = pool.run(index, case);
            if matches!(report.outcome, Outcome::Held | Outcome::Absent | Outcome::Skipped) {
                return Ok(());
            }
            Err(Failed::from(format!("{}: {:?}", report.outcome, report.details)))
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    drop(pool);
    conclusion.exit_code()
}
