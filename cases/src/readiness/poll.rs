//! poll: what is reported of pipes, FIFOs and files, and how the array is read and written.

use std::fs::{self, File};

use libc::{c_int, pollfd};
use nix::poll::PollFlags;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::states::{self, State};
use crate::prelude::*;
use crate::sys::descriptors::{closed_fd, just_closed, set_nonblocking};
use crate::sys::memory::{Memory, page_size};
use crate::sys::pipes::PIPE_BUF;
use crate::sys::poll::{
    ANY, ERR, HUP, IN, NONE, NVAL, OUT, PRI, RDNORM, WRNORM, entry, now, poll_array, poll_for,
    reported,
};

/// The cases of this module.
pub const CASES: &[Case] = &[
    read_ends_tell_data_and_that_the_writers_have_gone,
    write_ends_tell_room_and_that_the_readers_have_gone,
    both_ends_in_one_tell_data_and_room_and_never_part,
    hang_up_comes_beside_the_data_that_is_left,
    writable_pipe_has_room_for_a_byte,
    nonblocking_descriptors_are_ready_no_sooner,
    files_are_always_ready,
    closed_descriptor_is_invalid,
    negative_descriptor_is_ignored,
    poll_counts_descriptors_and_clears_what_is_over,
    descriptor_twice_in_the_array_is_reported_twice,
    every_element_of_a_long_array_is_looked_at,
    array_at_the_end_of_memory_is_enough,
    array_beyond_memory_is_a_fault,
    array_longer_than_the_descriptor_limit_is_refused,
];

/// What can be asked for: nothing, each event, each two of them, and all.
fn questions() -> impl Iterator<Item = PollFlags> {
    let choices = (0..=ANY.bits()).map(PollFlags::from_bits_retain);
    choices
        .filter(|asked| ANY.contains(*asked) && (asked.bits().count_ones() <= 2 || *asked == ANY))
}

/// Asks every question about this state, and with it for what need not be
/// asked.
fn answers_every_question(state: &State) -> Verdict {
    let unasked = HUP | ERR | NVAL;
    for asked in questions() {
        let wanted = state.ready & (asked | unasked);
        for events in [asked, asked | unasked] {
            let got = now(&state.fd, events)?;
            let certain = got - state.perhaps;
            check!(certain == wanted - state.perhaps, "{}, asked for {asked:?}", state.name);
            check!((asked | unasked).contains(got), "{}, asked for {asked:?}", state.name);
            if asked.contains(OUT | WRNORM) {
                check!(got.contains(OUT) == got.contains(WRNORM), "{}", state.name);
            }
        }
    }
    Ok(())
}

/// A read end reports POLLIN with POLLRDNORM for data and POLLHUP for writers that came and left, and no more.
#[case(POLL_2, "DESCRIPTION", also = [(FIFO_7, "DESCRIPTION")], settles = ["poll.2 POLLIN", "poll.2 POLLRDNORM", "poll.2 POLLHUP"])]
fn read_ends_tell_data_and_that_the_writers_have_gone() -> Verdict {
    states::read_ends()?.iter().try_for_each(answers_every_question)
}

/// A write end reports POLLOUT with POLLWRNORM for room and POLLERR for readers that left, and no more.
#[case(POLL_2, "DESCRIPTION", also = [(FIFO_7, "DESCRIPTION")], settles = ["poll.2 POLLOUT", "poll.2 POLLWRNORM", "poll.2 POLLERR"])]
fn write_ends_tell_room_and_that_the_readers_have_gone() -> Verdict {
    states::write_ends()?.iter().try_for_each(answers_every_question)
}

/// A FIFO opened for both reports data and room at once, and neither POLLHUP nor POLLERR, whoever leaves.
#[case(POLL_2, "DESCRIPTION", also = [(FIFO_7, "DESCRIPTION")])]
fn both_ends_in_one_tell_data_and_room_and_never_part() -> Verdict {
    states::both_ends()?.iter().try_for_each(answers_every_question)
}

/// POLLHUP comes beside POLLIN until the last byte that was left is read, and alone before the end of file.
#[case(POLL_2, "DESCRIPTION", also = [(POLL_2, "EXAMPLES")])]
fn hang_up_comes_beside_the_data_that_is_left() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"left")?;
    drop(w);
    for byte in ["l", "e", "f", "t"] {
        check!(now(&r, IN) == Ok(IN | HUP), "before {byte}");
        check!(text(&r, 1) == Ok(byte));
    }
    for _ in 0..2 {
        check!(now(&r, IN) == Ok(HUP));
        check!(text(&r, 1) == Ok(""));
    }
    Ok(())
}

/// POLLOUT is reported only while a byte goes in without blocking, and always while PIPE_BUF bytes do.
#[case(POLL_2, "DESCRIPTION", also = [(SELECT_2, "DESCRIPTION"), (PIPE_7, "PIPE_BUF")])]
fn writable_pipe_has_room_for_a_byte() -> Verdict {
    let (r, w) = pipe2(OFlag::O_NONBLOCK)?;
    let mut fills = [PIPE_BUF, 1, 1000, 1].into_iter().cycle();
    let mut inside = 0;
    loop {
        let bytes = fills.next().unwrap_or(1);
        let (writable, went) = (now(&w, OUT)? == OUT, write(&w, &vec![b'.'; bytes]));
        check!(writable || went != Ok(PIPE_BUF), "{inside} bytes inside");
        check!(!writable || went != Err(EAGAIN) || bytes > 1, "{inside} bytes inside");
        inside += went.unwrap_or(0);
        if bytes == 1 && went == Err(EAGAIN) {
            break;
        }
    }
    while text(&r, 1000)?.len() > 1 {
        let writable = now(&w, OUT)? == OUT;
        check!(!writable || write(&w, b".") == Ok(1), "as it is emptied");
    }
    check!(now(&w, OUT) == Ok(OUT));
    Ok(())
}

/// O_NONBLOCK changes nothing of what poll reports.
#[case(POLL_2, "NOTES")]
fn nonblocking_descriptors_are_ready_no_sooner() -> Verdict {
    for State { name, fd, .. } in states::all()? {
        set_nonblocking(&fd, false)?;
        let blocking = now(&fd, ANY)?;
        set_nonblocking(&fd, true)?;
        check!(now(&fd, ANY) == Ok(blocking), "{name}");
    }
    Ok(())
}

/// A regular file is ready to read and to write at once, though it is empty, at its end or open for one of both.
#[case(POLL_2, "DESCRIPTION")]
fn files_are_always_ready() -> Verdict {
    fs::write("full", "x")?;
    fs::write("empty", "")?;
    let files = [File::open("full")?, File::open("empty")?, File::create("new")?];
    text(&files[0], 1)?;
    for file in &files {
        check!(now(file, IN | OUT) == Ok(IN | OUT));
        check!(now(file, RDNORM | WRNORM) == Ok(RDNORM | WRNORM));
        check!(now(file, NONE) == Ok(NONE));
    }
    check!(now(File::open(".")?, IN | OUT) == Ok(IN | OUT));
    Ok(())
}

/// POLLNVAL is all that is reported of a descriptor that is not open; it ends the wait and spares the others.
#[case(POLL_2, "DESCRIPTION", settles = ["poll.2 POLLNVAL"])]
fn closed_descriptor_is_invalid() -> Verdict {
    let (r, w) = pipe()?;
    let gone = just_closed(dup(&r)?);
    for (number, asked) in [(gone, NONE), (gone, ANY), (closed_fd(), IN)] {
        let mut fds = [entry(&r, IN), entry(&number, asked), entry(&w, OUT)];
        check!(poll_for(&mut fds, 0) == Ok(2));
        check!(fds.map(|fd| reported(&fd)) == [NONE, NVAL, OUT], "asked for {asked:?}");
        let alone = Child::spawn(|| holds!(poll_for(&mut fds[1..2], -1) == Ok(1)))?;
        alone.join()?;
    }
    Ok(())
}

/// A negative descriptor is ignored: whatever is asked of it, nothing is reported and nothing counted.
#[case(POLL_2, "DESCRIPTION")]
fn negative_descriptor_is_ignored() -> Verdict {
    let (_r, w) = pipe()?;
    for number in [-1, !w.as_raw_fd(), c_int::MIN] {
        let ignored = pollfd { fd: number, events: -1, revents: -1 };
        let mut fds = [ignored, entry(&w, OUT), ignored];
        check!(poll_for(&mut fds, 0) == Ok(1));
        check!(fds.map(|fd| reported(&fd)) == [NONE, OUT, NONE], "descriptor {number}");
        check!((fds[0].fd, fds[0].events) == (number, -1), "the request");
        check!(poll_for(&mut fds[..1], 0) == Ok(0));
    }
    Ok(())
}

/// Poll returns how many descriptors have events, clears what the others reported, and leaves what was asked.
#[case(POLL_2, "RETURN VALUE", also = [(POLL_2, "DESCRIPTION")])]
fn poll_counts_descriptors_and_clears_what_is_over() -> Verdict {
    let (r, w) = pipe()?;
    let mut fds = [entry(&r, IN | RDNORM | PRI), entry(&w, OUT | WRNORM), entry(&w, IN)];
    let fields = fds.map(|fd| (fd.fd, fd.events));
    for (inside, count, wanted) in [(true, 2, IN | RDNORM), (false, 1, NONE)] {
        if inside { write(&w, b"x") } else { read(&r, &mut [0]) }?;
        for fd in &mut fds {
            fd.revents = -1;
        }
        check!(poll_for(&mut fds, 0) == Ok(count));
        check!(fds.map(|fd| reported(&fd)) == [wanted, OUT | WRNORM, NONE]);
        check!(fds.map(|fd| (fd.fd, fd.events)) == fields);
    }
    fds[2].revents = -1;
    check!(poll_for(&mut fds[2..], 0) == Ok(0));
    check!(reported(&fds[2]) == NONE, "when nothing is ready");
    Ok(())
}

/// A descriptor that stands in the array twice, or with a copy of it, is reported and counted each time as it was asked.
#[case(POLL_2, "RETURN VALUE")]
fn descriptor_twice_in_the_array_is_reported_twice() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"x")?;
    let copy = dup(&r)?;
    let mut fds = [entry(&r, IN), entry(&r, OUT), entry(&r, IN | RDNORM), entry(&copy, IN)];
    check!(poll_for(&mut fds, 0) == Ok(3));
    check!(fds.map(|fd| reported(&fd)) == [IN, NONE, IN | RDNORM, IN]);
    Ok(())
}

/// In an array of hundreds, the one that is ready is reported wherever it stands, and no other.
#[case(POLL_2, "DESCRIPTION")]
fn every_element_of_a_long_array_is_looked_at() -> Verdict {
    let ((r, w), (empty, _w)) = (pipe()?, pipe()?);
    write(&w, b"x")?;
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let mut fds = vec![entry(&empty, IN); limit.min(700) as usize];
    // The first, those about where the kernel cuts the array, and the last.
    let last = fds.len() - 1;
    for place in (0..last).filter(|place| place % 32 < 3 || place % 10 == 0).chain([last]) {
        fds[place].fd = r.as_raw_fd();
        check!(poll_for(&mut fds, 0) == Ok(1), "element {place}");
        let told: Vec<_> = (0..fds.len()).filter(|&other| fds[other].revents != 0).collect();
        check!(told == [place]);
        fds[place].fd = empty.as_raw_fd();
    }
    Ok(())
}

/// An array that ends with the last byte before inaccessible memory can be polled.
#[case(POLL_2, "DESCRIPTION")]
fn array_at_the_end_of_memory_is_enough() -> Verdict {
    for elements in [1, 3, page_size() / size_of::<pollfd>()] {
        let array = Memory::guarded(elements * size_of::<pollfd>())?;
        // Descriptor -1 in each, to be ignored.
        for byte in 0..array.length {
            array.set(byte, 0xff);
        }
        check!(poll_array(array, elements) == Ok(0), "{elements} elements");
        check!(array.get(array.length - 1) == 0, "the last byte of revents");
    }
    Ok(())
}

/// An array that does not lie within accessible memory to its last byte is EFAULT.
#[case(POLL_2, "ERRORS", settles = ["poll.2 EFAULT"])]
fn array_beyond_memory_is_a_fault() -> Verdict {
    for elements in [1, 3, page_size() / size_of::<pollfd>()] {
        let array = Memory::guarded(elements * size_of::<pollfd>())?;
        check!(poll_array(array, elements + 1) == Err(EFAULT), "after {elements} elements");
        let cut = array.part(1..array.length);
        check!(poll_array(cut, elements) == Err(EFAULT), "the last of {elements} cut off");
    }
    let nothing = Memory::free(page_size())?;
    check!(poll_array(nothing, 1) == Err(EFAULT));
    check!(poll_array(Memory { address: 0, length: 0 }, 1) == Err(EFAULT), "the null pointer");
    Ok(())
}

/// An array may have as many elements as RLIMIT_NOFILE says, though no descriptor is open, and not one more.
#[case(POLL_2, "ERRORS", settles = ["poll.2 EINVAL 1"])]
fn array_longer_than_the_descriptor_limit_is_refused() -> Verdict {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let fds = &mut [pollfd { fd: -1, events: 0, revents: 0 }; 41];
    for limit in [1, 10, 40] {
        setrlimit(Resource::RLIMIT_NOFILE, limit, hard)?;
        check!(poll_for(&mut fds[..limit as usize], 0) == Ok(0), "limit {limit}");
        check!(poll_for(&mut fds[..=limit as usize], 0) == Err(EINVAL), "limit {limit}");
    }
    Ok(())
}
