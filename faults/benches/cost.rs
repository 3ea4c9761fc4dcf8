//! What interposition costs: a call that no fault looks at, and one that a
//! fault looks at on the way in, or on both ways.
//!
//! Times on a busy machine mean little; the ratios are taken between rounds
//! that alternate, and are medians.
#![allow(unsafe_code, missing_docs)]

use std::io::{Read, Write};
use std::time::Instant;

use ipcspec_faults::{Fault, find, tracer};
use nix::unistd::{ForkResult, fork};

/// What is measured, under which fault, by which call.
type Row = (&'static str, Option<&'static Fault>, fn());

const ROUNDS: usize = 21;
const CALLS: u32 = 20_000;

/// Nanoseconds of one system call, as a process under `fault` measures it.
fn nanos(fault: Option<&'static Fault>, call: fn()) -> f64 {
    let (mut told, mut tell) = std::io::pipe().expect("a pipe");
    let (mut gate, key) = std::io::pipe().expect("a pipe");
    // SAFETY: this process has one thread.
    match unsafe { fork() }.expect("a process") {
        ForkResult::Child => {
            drop(key);
            let _ = gate.read(&mut [0]);
            if let Some(fault) = fault {
                tracer::filter(fault).expect("a filter");
            }
            let start = Instant::now();
            (0..CALLS).for_each(|_| call());
            let each = start.elapsed().as_nanos() as f64 / f64::from(CALLS);
            let _ = tell.write_all(&each.to_ne_bytes());
            // SAFETY: nothing of this process is left to run.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            if let Some(fault) = fault {
                tracer::seize(child).expect("a tracee");
                drop((gate, key));
                tracer::Tracer::new(fault, child).run();
            } else {
                drop((gate, key));
                nix::sys::wait::waitpid(child, None).expect("its end");
            }
            drop(tell);
            let mut bytes = [0; 8];
            told.read_exact(&mut bytes).expect("a number");
            f64::from_ne_bytes(bytes)
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let not_looked_at = || {
        nix::unistd::getppid();
    };
    let looked_at = || {
        let _ = nix::unistd::read(std::io::stdin(), &mut []);
    };
    let [on_the_way_in, both_ways] =
        ["none::nothing", "none::nothing_in_and_out"].map(|name| find(name).expect("a fault"));
    let rows: [Row; 4] = [
        ("a call that no fault looks at", Some(on_the_way_in), not_looked_at),
        ("looked at on the way in", Some(on_the_way_in), looked_at),
        ("looked at on both ways", Some(both_ways), looked_at),
        ("without interposition, twice", None, not_looked_at),
    ];
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{processors} processors, {ROUNDS} rounds of {CALLS} calls, medians\n");
    println!("{:<40}{:>10}{:>10}{:>10}", "", "ns", "alone", "ratio");
    for (what, fault, call) in rows {
        let pairs: Vec<_> = (0..ROUNDS).map(|_| (nanos(fault, call), nanos(None, call))).collect();
        let under = median(pairs.iter().map(|(under, _)| *under).collect());
        let alone = median(pairs.iter().map(|(_, alone)| *alone).collect());
        let ratio = median(pairs.iter().map(|(under, alone)| under / alone).collect());
        println!("{what:<40}{under:>10.0}{alone:>10.0}{ratio:>10.2}");
    }
}
