//! The program `ipcspec`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    // Before any argument is read: this process may be a worker.
    #[cfg(target_arch = "x86_64")]
    let companion = Some(ipcspec_faults::COMPANION);
    #[cfg(not(target_arch = "x86_64"))]
    let companion = None;
    ipcspec_harness::serve_if_asked(&ipcspec_suite::served(), companion);
    match ipcspec_suite::cli::main() {
        Ok(status) => status.into(),
        Err(trouble) => {
            eprintln!("ipcspec: {trouble}");
            2.into()
        }
    }
}
