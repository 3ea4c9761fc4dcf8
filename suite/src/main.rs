//! The program `ipcspec`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    // Before any argument is read: this process may be a worker.
    ipcspec_harness::serve_if_asked(&ipcspec_suite::served(), Some(ipcspec_faults::COMPANION));
    match ipcspec_suite::cli::main() {
        Ok(status) => status.into(),
        Err(trouble) => {
            eprintln!("ipcspec: {trouble}");
            2.into()
        }
    }
}
