//! `cargo test`: every case is one trial, in the keepers that `ipcspec run`
//! uses.
#![forbid(unsafe_code)]

use std::sync::{Arc, OnceLock};

use ipcspec_harness::{Outcome, Pool, Settings, serve_if_asked};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

fn main() -> std::process::ExitCode {
    let cases = ipcspec_cases::all();
    serve_if_asked(&cases, None);
    let arguments = Arguments::from_args();
    let settings = Settings {
        workers: arguments.test_threads.unwrap_or(Settings::default().workers),
        ..Settings::default()
    };
    let show_output = arguments.nocapture || arguments.show_output;
    let pool = Arc::new(OnceLock::new());
    let trials = cases
        .iter()
        .enumerate()
        .map(|(index, case)| {
            let (case, settings, pool) = (*case, settings.clone(), Arc::clone(&pool));
            Trial::ignorable_test(case.path(), move || {
                let pool: &Result<Pool, String> =
                    pool.get_or_init(|| Pool::start(&settings).map_err(|error| error.to_string()));
                let report = pool.as_ref().map_err(Failed::from)?.run(index, case);
                let mut text = format!("{}\n  source: {}\n", case.claim, case.sources[0]);
                for (word, line) in report.details.iter().flat_map(ipcspec_harness::Details::lines)
                {
                    text += &format!("  {word}: {line}\n");
                }
                if show_output && !report.output.is_empty() {
                    eprintln!("--- {}\n{}", case.path(), report.output);
                }
                if !report.output.is_empty() {
                    text += &format!("  output:\n{}\n", report.output);
                }
                match report.outcome {
                    Outcome::Held => Ok(Completion::Completed),
                    Outcome::Skipped | Outcome::Absent => {
                        let missing =
                            report.details.map_or_else(Vec::new, |details| details.missing);
                        Ok(Completion::ignored_with(format!(
                            "{}: {}",
                            report.outcome,
                            missing.join("; ")
                        )))
                    }
                    Outcome::Violated | Outcome::Broken | Outcome::Killed => {
                        Err(Failed::from(format!("{}: {text}", report.outcome)))
                    }
                }
            })
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(pool);
    conclusion.exit_code()
}
