//! SIGKILL to the runner at random moments leaves nothing behind: no process,
//! System V object, POSIX object, file, mount or namespace.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Moments per level of isolation; `IPCSPEC_KILLS` says another number.
const KILLS: u32 = 6;
/// How long the workers may take to notice.
const LIMIT: Duration = Duration::from_secs(30);

/// What a run could leave behind, each in a line.
fn leavings(program: &Path) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for kind in ["msg", "sem", "shm"] {
        let table = fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        all.extend(table.lines().skip(1).map(|line| {
            let mut words = line.split_ascii_whitespace();
            format!("{kind} key {:?} id {:?}", words.next(), words.next())
        }));
    }
    for directory in ["/tmp", "/dev/shm", "/dev/mqueue"] {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("ipcspec-") || name.starts_with("sem.ipcspec-") {
                all.insert(format!("file {directory}/{name}"));
            }
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    all.extend(mounts.lines().map(|line| format!("mount {line}")));
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let path = entry.path();
        if fs::read_link(path.join("exe")).is_ok_and(|exe| exe == program) {
            all.insert(format!("process {}", entry.file_name().to_string_lossy()));
            for kind in ["ipc", "mnt", "net", "pid", "user"] {
                if let Ok(namespace) = fs::read_link(path.join("ns").join(kind)) {
                    all.insert(format!("namespace {}", namespace.display()));
                }
            }
        }
    }
    all
}

/// Some number below `limit`, from a seed that changes.
fn below(limit: u64, seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % limit
}

fn kill_at_random_moments(level: &str) {
    // A copy of its own, so that other tests' processes do not count.
    let program =
        std::env::temp_dir().join(format!("ipcspec-killed-{level}-{}", std::process::id()));
    fs::copy(env!("CARGO_BIN_EXE_ipcspec"), &program).expect("the program can be copied");
    let start = || {
        Command::new(&program)
            .args(["-q", "--isolation", level])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts")
    };
    let began = Instant::now();
    let whole = start().wait().expect("the program ends");
    let length = began.elapsed().as_micros() as u64;
    assert_eq!(whole.code(), Some(0), "a whole run at level {level}");

    let kills = std::env::var("IPCSPEC_KILLS").map_or(KILLS, |number| number.parse().unwrap());
    let mut seed = u64::from(std::process::id());
    let before = leavings(&program);
    for round in 0..kills {
        let mut run = start();
        let moment = Duration::from_micros(below(length, &mut seed));
        std::thread::sleep(moment);
        let _ = run.kill();
        run.wait().expect("the killed program is reaped");
        let limit = Instant::now() + LIMIT;
        loop {
            let left: Vec<_> = leavings(&program).difference(&before).cloned().collect();
            if left.is_empty() {
                break;
            }
            assert!(
                Instant::now() < limit,
                "round {round}, killed after {moment:?}, left: {left:#?}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    fs::remove_file(&program).expect("the copy is removed");
}

// One test: a program cannot be started while a fork of another thread still
// has the copy open for writing.
#[test]
fn nothing_is_left() {
    for level in ["full", "process-group"] {
        kill_at_random_moments(level);
    }
}
