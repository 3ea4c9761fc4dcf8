//! One attempt: a command that runs the program on a target, and the lines
//! that come of it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use ipcspec_suite::{Result, Trouble};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Bytes of a line at most; what is longer is cut there.
const LINE: u64 = 1 << 20;
/// How long a command may take to leave once its output is closed.
const LEAVING: Duration = Duration::from_secs(10);
/// Lines of a console that are kept.
const KEPT: usize = 400;

/// What comes of it.
#[derive(Debug)]
pub enum Came {
    /// A line of standard output.
    Line(String),
    /// Nothing for as long as nothing may come.
    Silence,
    /// It ended.
    Ended,
}

enum Told {
    Output(String),
    Other(String),
}

/// A command on its way.
#[derive(Debug)]
pub struct Attempt {
    child: Child,
    told: Receiver<Told>,
    silence: Duration,
    /// The last lines of what was no event.
    pub log: VecDeque<String>,
}

impl Attempt {
    /// Starts a command. It dies with the thread that started it.
    pub fn start(command: &[String], silence: Duration) -> Result<Self> {
        let [program, ..] = command else { return Err(Trouble("an empty command".to_owned())) };
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args(command)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Trouble::with(program, error))?;
        let (tell, told) = channel();
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        if let (Some(output), Some(errors)) = (output, errors) {
            let other = tell.clone();
            std::thread::spawn(move || read_lines(output, &tell, Told::Output));
            std::thread::spawn(move || read_lines(errors, &other, Told::Other));
        }
        Ok(Self { child, told, silence, log: VecDeque::new() })
    }

    /// How long nothing may come.
    pub fn patience(&mut self, silence: Duration) {
        self.silence = silence;
    }

    /// Waits for what comes next.
    pub fn next(&mut self) -> Came {
        loop {
            match self.told.recv_timeout(self.silence) {
                Ok(Told::Output(line)) => return Came::Line(line),
                Ok(Told::Other(line)) => self.keep(line),
                Err(RecvTimeoutError::Timeout) => return Came::Silence,
                Err(RecvTimeoutError::Disconnected) => return Came::Ended,
            }
        }
    }

    /// Whether a line like this comes in time.
    pub fn until(&mut self, limit: Instant, wanted: impl Fn(&str) -> bool) -> bool {
        loop {
            self.silence = limit.saturating_duration_since(Instant::now());
            match self.next() {
                Came::Line(line) if wanted(&line) => return true,
                Came::Line(_) => {}
                Came::Silence | Came::Ended => return false,
            }
        }
    }

    /// Keeps a line that was no event.
    pub fn keep(&mut self, line: String) {
        if self.log.len() == KEPT {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }

    /// Lets it end by itself, once nothing more can come.
    pub fn end(&mut self) -> Result<ExitStatus> {
        let limit = Instant::now() + LEAVING;
        while Instant::now() < limit && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill()
    }

    /// Kills it, with all that it started in its group.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        self.child.wait().map_err(|error| Trouble::with("a target's command", error))
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Hands over each line, without what ends it and what was written over
/// (progress, on a terminal); bytes that are no text are replaced.
fn read_lines(from: impl Read, tell: &Sender<Told>, kind: fn(String) -> Told) {
    let mut from = BufReader::new(from);
    let mut line = vec![];
    loop {
        line.clear();
        match from.by_ref().take(LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end().rsplit('\r').next().unwrap_or_default();
                if tell.send(kind(text.to_owned())).is_err() {
                    return;
                }
            }
        }
    }
}
