//! The runner's side of the workers.
#![allow(unsafe_code)]

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::child::await_exit;
use crate::isolation::{Isolation, LEVELS, writable_directory};
use crate::keeper::{ORDERS, Orders, Ready, Report, Request};
use crate::{Case, show};

/// How a run treats its cases.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Workers that run cases side by side.
    pub workers: usize,
    /// Name of the best isolation to use, one of [`LEVELS`].
    pub isolation: String,
    /// Factor on every deadline, for slow targets.
    pub factor: f64,
    /// Seed for cases that draw random numbers.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            isolation: LEVELS[0].0.to_owned(),
            factor: 1.0,
            seed: 0,
        }
    }
}

/// What goes with a case.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Accompanied {
    /// The name of the companion beside it, one that the program knows.
    pub companion: Option<String>,
    /// What the case is told, for it to ask with [`crate::told_to_case`].
    pub order: Option<String>,
}

struct Job {
    index: usize,
    case: &'static Case,
    with: Accompanied,
    answer: mpsc::Sender<Report>,
}

/// Workers, each with a keeper of its own, that take cases as they come.
#[derive(Debug)]
pub struct Pool {
    jobs: Option<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    isolation: Arc<OnceLock<Isolation>>,
}

/// Seconds that a keeper has beyond the deadline of a case to tell its report.
const GRACE: Duration = Duration::from_secs(30);

impl Pool {
    /// Starts the workers. Fails when `settings` names no level, or when the
    /// first worker cannot be started at all.
    pub fn start(settings: &Settings) -> io::Result<Self> {
        let level = LEVELS.iter().position(|(name, _)| *name == settings.isolation);
        let level = level.ok_or_else(|| {
            let names = LEVELS.map(|(name, _)| name).join(", ");
            io::Error::other(format!(
                "no isolation level {:?}; there are {names}",
                settings.isolation
            ))
        })?;
        if let Some(directory) = writable_directory() {
            // The first override of a process stays; it is the same each time.
            let _ = tempfile::env::override_temp_dir(Box::leak(directory.into_boxed_path()));
        }
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let isolation = Arc::new(OnceLock::new());
        let (ready, readied) = mpsc::channel();
        let threads = (0..settings.workers.max(1))
            .map(|_| {
                let worker = Worker {
                    orders: Orders { level },
                    settings: settings.clone(),
                    queue: queue.clone(),
                    isolation: isolation.clone(),
                    ready: ready.clone(),
                };
                std::thread::spawn(move || worker.work())
            })
            .collect();
        readied.recv().map_err(|_| io::Error::other("no worker started"))??;
        Ok(Self { jobs: Some(jobs), threads, isolation })
    }

    /// The isolation that the workers have.
    pub fn isolation(&self) -> &Isolation {
        self.isolation.get().expect("start waits for the first worker")
    }

    /// Runs one case and waits for its report. `index` is its place in the
    /// list given to [`crate::serve_if_asked`].
    pub fn run(&self, index: usize, case: &'static Case) -> Report {
        self.run_with(index, case, &Accompanied::default())
    }

    /// Runs one case in this company.
    pub fn run_with(&self, index: usize, case: &'static Case, with: &Accompanied) -> Report {
        let with = with.clone();
        let (answer, answered) = mpsc::channel();
        let jobs = self.jobs.as_ref().expect("jobs are taken until the pool is dropped");
        if jobs.send(Job { index, case, with, answer }).is_err() {
            return Report::broken("no worker is left".to_owned());
        }
        answered.recv().unwrap_or_else(|_| Report::broken("the worker was lost".to_owned()))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

struct Worker {
    orders: Orders,
    settings: Settings,
    queue: Arc<Mutex<mpsc::Receiver<Job>>>,
    isolation: Arc<OnceLock<Isolation>>,
    ready: mpsc::Sender<io::Result<()>>,
}

impl Worker {
    fn next(&self) -> Option<Job> {
        self.queue.lock().ok()?.recv().ok()
    }

    /// Takes jobs until there are no more, with as many keepers as it costs.
    fn work(self) {
        let mut waiting = None;
        loop {
            let served = with_supervisor(&self.orders, |stream| self.serve(stream, &mut waiting));
            match served {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    let text = error.to_string();
                    let _ = self.ready.send(Err(error));
                    let job = waiting.take().or_else(|| self.next());
                    match job {
                        Some(job) => {
                            let report =
                                Report::broken(format!("no worker could be started: {text}"));
                            let _ = job.answer.send(report);
                        }
                        None => return,
                    }
                }
            }
        }
    }

    /// Serves jobs with one keeper; whether there are no more jobs.
    fn serve(&self, stream: UnixStream, waiting: &mut Option<Job>) -> io::Result<bool> {
        stream.set_read_timeout(Some(GRACE))?;
        let mut stream = BufReader::new(stream);
        let isolation = match read(&mut stream)? {
            Ready::Isolation(isolation) => isolation,
            Ready::Refused(refused) => return Err(io::Error::other(refused.join("; "))),
        };
        let _ = self.isolation.set(isolation);
        let _ = self.ready.send(Ok(()));
        while let Some(job) = waiting.take().or_else(|| self.next()) {
            let request = Request {
                case: job.index,
                path: job.case.path(),
                factor: self.settings.factor,
                seed: self.settings.seed,
                with: job.with.clone(),
            };
            let deadline = job.case.deadline().mul_f64(self.settings.factor);
            stream.get_ref().set_read_timeout(Some(deadline + GRACE))?;
            let started = Instant::now();
            let asked =
                serde_json::to_vec(&request).map_err(io::Error::other).and_then(|mut line| {
                    line.push(b'\n');
                    stream.get_ref().write_all(&line)
                });
            if asked.is_err() {
                // The keeper died between two cases; this one never started.
                *waiting = Some(job);
                return Ok(false);
            }
            match read(&mut stream) {
                Ok(report) => {
                    let _ = job.answer.send(report);
                }
                Err(error) => {
                    let mut report = Report::broken(match error.kind() {
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                            "the keeper did not answer in time".to_owned()
                        }
                        _ => format!(
                            "the keeper died during this case ({})",
                            show::shorten(&error.to_string(), 200)
                        ),
                    });
                    report.micros = started.elapsed().as_micros() as u64;
                    let _ = job.answer.send(report);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

fn read<T: serde::de::DeserializeOwned>(from: &mut impl BufRead) -> io::Result<T> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_str(&line).map_err(io::Error::other)
}

/// How long a supervisor may take to clear away before it is killed.
const PARTING: Duration = Duration::from_secs(15);

/// Starts a supervisor, hands its socket to `body`, and sees it off.
fn with_supervisor<R>(
    orders: &Orders,
    body: impl FnOnce(UnixStream) -> io::Result<R>,
) -> io::Result<R> {
    let (ours, theirs) = UnixStream::pair()?;
    let orders = serde_json::to_string(orders).map_err(io::Error::other)?;
    let their_end = theirs.as_raw_fd();
    let dress = |command: &mut Command| {
        command.env(ORDERS, orders);
        // Not null: a bare root has no /dev/null. The worker turns away from
        // our output by itself.
        command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
        // Not `stdin(theirs)`: a Command keeps what it is given, and as long
        // as this process has a copy, a dead worker is not seen as such.
        // SAFETY: dup2 is async-signal-safe.
        unsafe {
            command.pre_exec(move || match libc::dup2(their_end, 0) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
    };
    let serve = |child: u32| {
        drop(theirs);
        let result = body(ours);
        let _ = await_exit(Pid::from_raw(child as i32), PARTING);
        result
    };
    // rusty-fork finds the program through /proc and needs a temporary file.
    let emulator = emulator();
    if emulator.is_some() || std::env::current_exe().is_err() || writable_directory().is_none() {
        let mut command = match emulator {
            Some(emulator) => {
                let mut command = Command::new(emulator);
                command.arg(program()?);
                command
            }
            None => Command::new(program()?),
        };
        dress(&mut command);
        let mut child = command.spawn()?;
        let result = serve(child.id());
        let _ = child.kill();
        let _ = child.wait();
        return result;
    }
    rusty_fork::fork(
        "ipcspec-worker",
        rusty_fork::rusty_fork_id!(),
        dress,
        |child, _| {
            let result = serve(child.id());
            let _ = child.kill();
            let _ = child.wait();
            result
        },
        || unreachable!("a worker is told by {ORDERS}"),
    )
    .map_err(|error| io::Error::other(error.to_string()))?
}

/// The emulator that runs this program, such as qemu-user: it answers for
/// /proc/self, and the kernel for /proc/thread-self. Executed without it, a
/// worker would run on the kernel below, and the emulator would not be asked.
fn emulator() -> Option<std::path::PathBuf> {
    let really = std::fs::read_link("/proc/thread-self/exe").ok()?;
    (really != std::env::current_exe().ok()?).then_some(really)
}

/// This program's file, where /proc does not tell.
fn program() -> io::Result<std::path::PathBuf> {
    std::env::current_exe().or_else(|_| {
        let name = std::env::args_os().next().ok_or(io::ErrorKind::NotFound)?;
        std::fs::canonicalize(name)
    })
}
