//! The ends of pipes and FIFOs in every state that the documentation tells
//! apart, and what is ready there: what poll and select are asked about.

use std::fs::remove_file;

use nix::poll::PollFlags;

use crate::prelude::*;
use crate::sys::descriptors::read_all;
use crate::sys::memory::page_size;
use crate::sys::pipes::{Fifo, fill_pipe};
use crate::sys::poll::{ERR, HUP, IN, NONE, OUT, RDNORM, WRNORM};

/// A descriptor in one of the states.
#[derive(Debug)]
pub struct State {
    /// `a pipe's read end, empty`.
    pub name: String,
    /// The descriptor.
    pub fd: OwnedFd,
    /// What is true of it: some of POLLIN, POLLOUT, POLLHUP and POLLERR, and
    /// the equivalents of the first two.
    pub ready: PollFlags,
    /// What may be reported besides: a write that fails does not block
    /// either.
    pub perhaps: PollFlags,
    _others: Vec<OwnedFd>,
}

impl State {
    fn new(name: String, ready: PollFlags, (fd, others): (OwnedFd, Vec<OwnedFd>)) -> Self {
        let when = |flag, then| if ready.contains(flag) { then } else { NONE };
        let perhaps = when(ERR, OUT | WRNORM);
        let ready = ready | when(IN, RDNORM) | when(OUT, WRNORM);
        Self { name, fd, ready, perhaps, _others: others }
    }
}

type Others = Verdict<Vec<OwnedFd>>;
type Row<F> = (&'static str, PollFlags, F);
/// Does what brings the end that is kept into the state, by what becomes of
/// the other.
type WithReadEnd = fn(&OwnedFd, OwnedFd) -> Others;
type WithWriteEnd = fn(OwnedFd, &OwnedFd) -> Others;
type WithFifo = fn(Fifo) -> Verdict<(OwnedFd, Vec<OwnedFd>)>;

const READ_ENDS: &[Row<WithReadEnd>] = &[
    ("empty", NONE, |_, w| Ok(vec![w])),
    ("holding a byte", IN, |_, w| write(&w, b"x").map(|_| Ok(vec![w]))?),
    ("full", IN, |_, w| fill_pipe(&w).map(|_| Ok(vec![w]))?),
    ("read empty", NONE, |r, w| {
        read_all(r, fill_pipe(&w)?)?;
        Ok(vec![w])
    }),
    ("whose writer left a copy", NONE, |_, w| Ok(vec![dup(w)?])),
    ("whose writer left", HUP, |_, _| Ok(vec![])),
    ("holding a byte whose writer left", IN.union(HUP), |_, w| {
        write(w, b"x").map(|_| Ok(vec![]))?
    }),
    ("full whose writer left", IN.union(HUP), |_, w| fill_pipe(w).map(|_| Ok(vec![]))?),
    ("read empty whose writer left", HUP, |r, w| {
        read_all(r, fill_pipe(w)?)?;
        Ok(vec![])
    }),
];

const WRITE_ENDS: &[Row<WithWriteEnd>] = &[
    ("empty", OUT, |r, _| Ok(vec![r])),
    ("holding a byte", OUT, |r, w| write(w, b"x").map(|_| Ok(vec![r]))?),
    ("full", NONE, |r, w| fill_pipe(w).map(|_| Ok(vec![r]))?),
    ("full but for a page", OUT, |r, w| {
        fill_pipe(w)?;
        read_all(&r, page_size())?;
        Ok(vec![r])
    }),
    ("read empty", OUT, |r, w| {
        read_all(&r, fill_pipe(w)?)?;
        Ok(vec![r])
    }),
    ("whose reader left a copy", OUT, |r, _| Ok(vec![dup(r)?])),
    ("whose reader left", ERR, |_, _| Ok(vec![])),
    ("full whose reader left", ERR, |_, w| fill_pipe(w).map(|_| Ok(vec![]))?),
];

const FIFO_READ_ENDS: &[Row<WithFifo>] = &[
    ("that never had a writer", NONE, |fifo| Ok((fifo.early_reader()?, vec![]))),
    ("with a new writer", NONE, |fifo| {
        let (r, w) = fifo.ends()?;
        drop(w);
        Ok((r, vec![fifo.writer()?]))
    }),
    ("with a new writer, holding what the old one wrote", IN, |fifo| {
        let (r, w) = fifo.ends()?;
        write(w, b"x")?;
        Ok((r, vec![fifo.writer()?]))
    }),
    ("whose new writer left too", HUP, |fifo| {
        let (r, w) = fifo.ends()?;
        drop(w);
        drop(fifo.writer()?);
        Ok((r, vec![]))
    }),
];

const FIFO_WRITE_ENDS: &[Row<WithFifo>] = &[
    ("with a new reader", OUT, |fifo| {
        let (r, w) = fifo.ends()?;
        drop(r);
        Ok((w, vec![fifo.early_reader()?]))
    }),
    ("whose new reader left too", ERR, |fifo| {
        let (r, w) = fifo.ends()?;
        drop(r);
        drop(fifo.early_reader()?);
        Ok((w, vec![]))
    }),
];

const BOTH_ENDS: &[Row<WithFifo>] = &[
    ("empty", OUT, |fifo| Ok((fifo.open(OFlag::O_RDWR)?, vec![]))),
    ("holding a byte", IN.union(OUT), |fifo| {
        let both = fifo.open(OFlag::O_RDWR)?;
        write(&both, b"x")?;
        Ok((both, vec![]))
    }),
    ("full", IN, |fifo| {
        let both = fifo.open(OFlag::O_RDWR)?;
        fill_pipe(&both)?;
        Ok((both, vec![]))
    }),
    ("whose other reader and writer left", OUT, |fifo| {
        let both = fifo.open(OFlag::O_RDWR)?;
        drop(fifo.ends()?);
        Ok((both, vec![]))
    }),
];

fn fifo<T>(take: impl FnOnce(Fifo) -> Verdict<T>) -> Verdict<T> {
    let taken = take(Fifo::new("fifo")?)?;
    remove_file("fifo")?;
    Ok(taken)
}

fn fifos(what: &str, rows: &[Row<WithFifo>]) -> Verdict<Vec<State>> {
    let state = |&(name, ready, make): &Row<WithFifo>| {
        Ok(State::new(format!("{what} {name}"), ready, fifo(make)?))
    };
    rows.iter().map(state).collect()
}

fn pipes_and_fifos() -> Verdict<[(&'static str, (OwnedFd, OwnedFd)); 2]> {
    Ok([("a pipe", pipe()?), ("a FIFO", fifo(|fifo| Ok(fifo.ends()?))?)])
}

/// Read ends of pipes and FIFOs.
pub fn read_ends() -> Verdict<Vec<State>> {
    let mut states = fifos("the read end of a FIFO", FIFO_READ_ENDS)?;
    for &(name, ready, make) in READ_ENDS {
        for (what, (r, w)) in pipes_and_fifos()? {
            let others = make(&r, w)?;
            states.push(State::new(format!("the read end of {what} {name}"), ready, (r, others)));
        }
    }
    Ok(states)
}

/// Write ends of pipes and FIFOs.
pub fn write_ends() -> Verdict<Vec<State>> {
    let mut states = fifos("the write end of a FIFO", FIFO_WRITE_ENDS)?;
    for &(name, ready, make) in WRITE_ENDS {
        for (what, (r, w)) in pipes_and_fifos()? {
            let others = make(r, &w)?;
            states.push(State::new(format!("the write end of {what} {name}"), ready, (w, others)));
        }
    }
    Ok(states)
}

/// Descriptors of FIFOs that are both ends in one.
pub fn both_ends() -> Verdict<Vec<State>> {
    fifos("both ends of a FIFO in one", BOTH_ENDS)
}

/// All of them.
pub fn all() -> Verdict<Vec<State>> {
    Ok([read_ends()?, write_ends()?, both_ends()?].into_iter().flatten().collect())
}
