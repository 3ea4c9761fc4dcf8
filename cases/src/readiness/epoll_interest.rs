//! epoll: an instance, and which descriptors it watches.

use std::fs::{self, File};

use nix::fcntl::FdFlag;
use nix::unistd::dup2;

use crate::prelude::*;
use crate::sys::descriptors::{DescriptorLimit, PIDFD_GETFD, closed_fd, foreign_fd, just_closed};
use crate::sys::epoll::{
    EDGE, ERR, EXCLUSIVE, Epoll, HUP, IN, NONE, ONE_SHOT, OUT, PARAMETERS, PRI, Parameters, RDHUP,
    WAKEUP, control,
};
use crate::sys::privilege::become_lone_user;
use crate::sys::program::{A_PROGRAM, Program};
use crate::sys::sockets::Socket;
use crate::sys::sysctl::sysctl;

/// The cases of this module.
pub const CASES: &[Case] = &[
    // The instance.
    size_is_ignored,
    close_on_exec_is_set_on_request,
    program_does_not_inherit_an_instance_that_closes_on_exec,
    instance_lives_as_long_as_a_copy_of_its_descriptor,
    refused_creation_takes_no_descriptor,
    // Additions, changes and deletions.
    data_comes_back_as_each_registration_gave_it,
    readiness_from_before_the_registration_counts,
    change_replaces_events_and_data,
    change_looks_again_at_what_is_ready,
    deletion_takes_back_what_was_ready,
    child_shares_the_interest_list,
    interest_list_is_shown_in_proc,
    // Copies and numbers.
    copies_are_registered_with_masks_of_their_own,
    closed_descriptor_is_watched_while_it_has_a_copy,
    copy_of_another_process_keeps_a_descriptor_watched,
    number_used_again_is_a_registration_of_its_own,
    // The limit.
    registrations_of_a_user_are_limited,
    // Flags.
    wakeup_flag_is_accepted_from_the_unprivileged,
    exclusive_registration_takes_these_events_and_no_others,
    // Polling of network devices.
    parameters_belong_to_the_instance,
    parameters_out_of_range_are_refused,
    budget_beyond_the_weight_needs_privilege,
    // Refusals.
    size_that_is_not_positive_is_refused,
    unknown_flag_is_refused,
    second_registration_is_refused,
    unregistered_descriptor_is_refused,
    file_and_directory_are_refused,
    closed_descriptor_is_refused,
    what_cannot_be_asked_is_refused,
    change_to_exclusive_is_refused,
    change_of_an_exclusive_registration_is_refused,
];

/// Whatever its size argument, epoll_create makes an instance that watches more descriptors than that.
#[case(EPOLL_CREATE_2, "DESCRIPTION")]
fn size_is_ignored() -> Verdict {
    let pipes = [pipe()?, pipe()?, pipe()?];
    for size in [1, i32::MAX] {
        let epoll = Epoll::with_size(size)?;
        for (data, (_, w)) in pipes.iter().enumerate() {
            check!(epoll.add(w, OUT, data as u64) == Ok(()), "size {size}");
        }
        check!(epoll.ready() == Ok(vec![0, 1, 2]), "size {size}");
    }
    Ok(())
}

/// EPOLL_CLOEXEC sets the close-on-exec flag, which is not set otherwise.
#[case(EPOLL_CREATE_2, "DESCRIPTION")]
fn close_on_exec_is_set_on_request() -> Verdict {
    let closes = |epoll: Epoll| {
        fcntl(epoll, FcntlArg::F_GETFD).map(|flags| flags == FdFlag::FD_CLOEXEC.bits())
    };
    check!(closes(Epoll::with_flags(libc::EPOLL_CLOEXEC)?) == Ok(true));
    check!(closes(Epoll::with_flags(0)?) == Ok(false));
    check!(closes(Epoll::with_size(1)?) == Ok(false));
    Ok(())
}

/// A program that is executed has the instances of the process but for those made with EPOLL_CLOEXEC.
#[case(EPOLL_CREATE_2, "DESCRIPTION", needs = [A_PROGRAM, Need::Facility(PIDFD_GETFD)], settles = ["epoll_create.2 EPOLL_CLOEXEC"])]
fn program_does_not_inherit_an_instance_that_closes_on_exec() -> Verdict {
    let (_r, w) = pipe()?;
    let (kept, closed) = (Epoll::watching(&w, OUT)?, Epoll::with_flags(libc::EPOLL_CLOEXEC)?);
    let program = Program::start(|| Ok(()))?;
    let inherited = |epoll: &Epoll| foreign_fd(program.pid().as_raw(), epoll.as_fd().as_raw_fd());
    check!(inherited(&kept).and_then(|fd| Epoll::from(fd).now()) == Ok(Some(OUT)));
    check!(inherited(&closed).map(drop) == Err(EBADF));
    program.finish()
}

/// An instance and what it watches stay until the last copy of its descriptor is closed.
#[case(EPOLL_CREATE_2, "DESCRIPTION")]
fn instance_lives_as_long_as_a_copy_of_its_descriptor() -> Verdict {
    let (_r, w) = pipe()?;
    let epoll = Epoll::watching(&w, OUT)?;
    let copy = Epoll::from(dup(&epoll)?);
    drop(epoll);
    check!(copy.now() == Ok(Some(OUT)));
    check!(copy.add(&w, OUT, 0) == Err(EEXIST));
    Ok(())
}

/// With no descriptor to spare both calls fail with EMFILE, and a call that is refused takes none.
#[case(EPOLL_CREATE_2, "ERRORS", settles = ["epoll_create.2 EMFILE"])]
fn refused_creation_takes_no_descriptor() -> Verdict {
    {
        let _limit = DescriptorLimit::leave(0)?;
        check!(Epoll::new().map(drop) == Err(EMFILE));
        check!(Epoll::with_size(1).map(drop) == Err(EMFILE));
    }
    let _limit = DescriptorLimit::leave(1)?;
    check!(Epoll::with_size(0).map(drop) == Err(EINVAL));
    check!(Epoll::with_flags(!0).map(drop) == Err(EINVAL));
    let last = Epoll::new();
    check!(last.as_ref().map(drop) == Ok(()));
    check!(dup(last?).map(drop) == Err(EMFILE));
    Ok(())
}

/// An event has all 64 bits of the data with which its own descriptor was added.
#[case(EPOLL_WAIT_2, "DESCRIPTION", settles = ["epoll_ctl.2 EPOLL_CTL_ADD"], also = [(EPOLL_CTL_2, "DESCRIPTION")])]
fn data_comes_back_as_each_registration_gave_it() -> Verdict {
    let epoll = Epoll::new()?;
    let numbers = [0, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, u64::MAX];
    let pipes = numbers.iter().map(|_| pipe()).collect::<nix::Result<Vec<_>>>()?;
    for ((r, _), number) in pipes.iter().zip(numbers) {
        check!(epoll.add(r, IN, number) == Ok(()));
    }
    check!(epoll.ready() == Ok(vec![]));
    for ((r, w), number) in pipes.iter().zip(numbers) {
        write(w, b"x")?;
        check!(epoll.wait(8, 0) == Ok(vec![(number, IN)]));
        check!(text(r, 1) == Ok("x"));
    }
    Ok(())
}

/// A descriptor that is ready when it is added is reported, edge-triggered or not.
#[case(EPOLL_7, "Level-triggered and edge-triggered")]
fn readiness_from_before_the_registration_counts() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"x")?;
    for events in [IN, IN | EDGE, IN | ONE_SHOT, IN | EXCLUSIVE] {
        check!(Epoll::watching(&r, events)?.now() == Ok(Some(IN)), "{events:?}");
    }
    Ok(())
}

/// EPOLL_CTL_MOD replaces the events, the flags and the data of that one descriptor.
#[case(EPOLL_CTL_2, "DESCRIPTION", settles = ["epoll_ctl.2 EPOLL_CTL_MOD"], also = [(EPOLL_WAIT_2, "DESCRIPTION")])]
fn change_replaces_events_and_data() -> Verdict {
    let (ours, _theirs) = Socket::pair(libc::SOCK_STREAM)?;
    let (_r, w) = pipe()?;
    let epoll = Epoll::watching(&ours, IN | EDGE)?;
    epoll.add(&w, OUT, 1)?;
    check!(epoll.wait(8, 0) == Ok(vec![(1, OUT)]));
    check!(epoll.modify(&ours, OUT, u64::MAX) == Ok(()));
    for _ in 0..2 {
        check!(epoll.ready() == Ok(vec![1, u64::MAX]));
    }
    check!(epoll.modify(&w, NONE, 1) == Ok(()));
    check!(epoll.wait(8, 0) == Ok(vec![(u64::MAX, OUT)]));
    Ok(())
}

/// EPOLL_CTL_MOD reports anew what is still ready, and takes back what is ready but no longer asked for.
#[case(EPOLL_7, "Questions and answers")]
fn change_looks_again_at_what_is_ready() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"x")?;
    let epoll = Epoll::watching(&r, IN | EDGE)?;
    for _ in 0..2 {
        check!(epoll.now() == Ok(Some(IN)));
        check!(epoll.now() == Ok(None));
        check!(epoll.modify(&r, IN | EDGE, 0) == Ok(()));
    }
    check!(epoll.modify(&r, PRI, 0) == Ok(()));
    check!(epoll.now() == Ok(None));
    Ok(())
}

/// EPOLL_CTL_DEL needs no event, ends the reports of that one descriptor, takes back what was ready, and lets it be added again.
#[case(EPOLL_CTL_2, "DESCRIPTION", settles = ["epoll_ctl.2 EPOLL_CTL_DEL"], also = [(EPOLL_CTL_2, "BUGS")])]
fn deletion_takes_back_what_was_ready() -> Verdict {
    let ((r, w), (other_r, other_w)) = (pipe()?, pipe()?);
    for events in [IN, IN | EDGE, IN | ONE_SHOT] {
        let epoll = Epoll::watching(&r, events)?;
        epoll.add(&other_r, IN, 1)?;
        write(&w, b"x")?;
        write(&other_w, b"x")?;
        check!(epoll.delete(&r) == Ok(()), "{events:?}");
        check!(epoll.ready() == Ok(vec![1]), "{events:?}");
        write(&w, b"x")?;
        check!(epoll.ready() == Ok(vec![1]), "{events:?}");
        check!(epoll.add(&r, events, 2) == Ok(()), "{events:?}");
        check!(epoll.ready() == Ok(vec![1, 2]), "{events:?}");
    }
    Ok(())
}

/// What a child adds to an instance that it inherited, its parent waits for too.
#[case(EPOLL_7, "Level-triggered and edge-triggered", also = [(FORK_2, "DESCRIPTION")])]
fn child_shares_the_interest_list() -> Verdict {
    let (_r, w) = pipe()?;
    let epoll = Epoll::new()?;
    Child::spawn(|| Ok(epoll.add(&w, OUT, 7)?))?.join()?;
    check!(epoll.wait(8, 0) == Ok(vec![(7, OUT)]));
    check!(epoll.add(&w, OUT, 8) == Err(EEXIST));
    Ok(())
}

/// The instance's entry in /proc/self/fdinfo has the number and the data of each descriptor that it watches.
#[case(EPOLL_7, "NOTES", needs = [Need::Proc], also = [(PROC_PID_FDINFO_5, "DESCRIPTION")])]
fn interest_list_is_shown_in_proc() -> Verdict {
    let (r, w) = pipe()?;
    let epoll = Epoll::new()?;
    epoll.add(&r, IN, 0xabc)?;
    epoll.add(&w, OUT, u64::MAX)?;
    let path = format!("/proc/self/fdinfo/{}", epoll.as_fd().as_raw_fd());
    let shown = || -> Verdict<Vec<(String, String)>> {
        let words: Vec<_> =
            fs::read_to_string(&path)?.split_whitespace().map(str::to_owned).collect();
        let entries = words.windows(6).filter(|entry| entry[0] == "tfd:" && entry[4] == "data:");
        let mut list: Vec<_> = entries.map(|entry| (entry[1].clone(), entry[5].clone())).collect();
        list.sort();
        Ok(list)
    };
    let line = |fd: &OwnedFd, data: &str| (fd.as_raw_fd().to_string(), data.to_owned());
    let mut both = vec![line(&r, "abc"), line(&w, "ffffffffffffffff")];
    both.sort();
    check!(shown()? == both);
    epoll.delete(&r)?;
    check!(shown()? == [line(&w, "ffffffffffffffff")]);
    Ok(())
}

/// A descriptor and its copy are registered side by side, each with events and data of its own.
#[case(EPOLL_7, "Questions and answers")]
fn copies_are_registered_with_masks_of_their_own() -> Verdict {
    let (ours, theirs) = Socket::pair(libc::SOCK_STREAM)?;
    let copy = dup(&ours)?;
    let epoll = Epoll::watching(&ours, IN)?;
    check!(epoll.add(&copy, OUT, 1) == Ok(()));
    check!(epoll.wait(8, 0) == Ok(vec![(1, OUT)]));
    theirs.send(b"x")?;
    let mut both = epoll.wait(8, 0)?;
    both.sort_by_key(|event| event.0);
    check!(both == [(0, IN), (1, OUT)]);
    epoll.delete(&copy)?;
    check!(epoll.wait(8, 0) == Ok(vec![(0, IN)]));
    Ok(())
}

/// A descriptor that was closed stays watched while a copy of it is open, and no longer.
#[case(EPOLL_7, "Questions and answers")]
fn closed_descriptor_is_watched_while_it_has_a_copy() -> Verdict {
    for events in [IN, IN | EDGE] {
        let (r, w) = pipe()?;
        let copy = dup(&r)?;
        let epoll = Epoll::watching(&r, events)?;
        let gone = just_closed(r);
        write(&w, b"x")?;
        check!(epoll.now() == Ok(Some(IN)), "{events:?}");
        check!(epoll.delete(gone) == Err(EBADF), "{events:?}");
        write(&w, b"x")?;
        drop(copy);
        check!(epoll.now() == Ok(None), "{events:?}");
    }
    Ok(())
}

/// A descriptor that a process closed stays watched while another process has a copy, until that ends.
#[case(EPOLL_7, "Questions and answers")]
fn copy_of_another_process_keeps_a_descriptor_watched() -> Verdict {
    let ((r, w), gate) = (pipe()?, Latch::new()?);
    let epoll = Epoll::watching(&r, IN)?;
    let holder = Child::spawn(|| gate.wait())?;
    drop(r);
    check!(epoll.now() == Ok(None));
    write(&w, b"x")?;
    check!(epoll.now() == Ok(Some(IN)));
    gate.open();
    holder.join()?;
    check!(epoll.now() == Ok(None));
    Ok(())
}

/// A number used again for another description is added beside the old registration, and is alone in being changed and deleted by it.
#[case(EPOLL_7, "Questions and answers")]
fn number_used_again_is_a_registration_of_its_own() -> Verdict {
    let ((mut r, w), (new_r, new_w)) = (pipe()?, pipe()?);
    let _copy = dup(&r)?;
    let epoll = Epoll::new()?;
    epoll.add(&r, IN, 1)?;
    dup2(&new_r, &mut r)?;
    check!(epoll.modify(&r, IN, 2) == Err(ENOENT));
    check!(epoll.add(&r, IN, 2) == Ok(()));
    write(&w, b"x")?;
    check!(epoll.ready() == Ok(vec![1]));
    write(&new_w, b"x")?;
    check!(epoll.ready() == Ok(vec![1, 2]));
    check!(epoll.modify(&r, IN, 3) == Ok(()));
    check!(epoll.ready() == Ok(vec![1, 3]));
    check!(epoll.delete(&r) == Ok(()));
    check!(epoll.ready() == Ok(vec![1]));
    Ok(())
}

/// A user whose instances have max_user_watches registrations gets ENOSPC for another, and one again for each that is given back.
#[case(EPOLL_7, "/proc interfaces", also = [(EPOLL_CTL_2, "ERRORS")], settles = ["epoll_ctl.2 ENOSPC", "epoll.7 /proc/sys/fs/epoll/max_user_watches"], needs = [Need::OtherUsers], deadline = 60)]
fn registrations_of_a_user_are_limited() -> Verdict {
    /// More would take too much of the kernel's memory: it is 160 bytes each.
    const NEAR: usize = 200_000;
    let limit = sysctl("fs/epoll/max_user_watches")? as usize;
    if limit > NEAR {
        return Err(Failure::skipped(vec![format!("at most {NEAR} registrations (have {limit})")]));
    }
    become_lone_user(0)?;
    let (_r, w) = pipe()?;
    let copies: Vec<_> = (0..450).map(|_| dup(&w)).collect::<Result<_, _>>()?;
    let mut instances = vec![];
    for _ in 0..limit / copies.len() {
        let epoll = Epoll::new()?;
        copies.iter().try_for_each(|copy| epoll.add(copy, OUT, 0))?;
        instances.push(epoll);
    }
    let (last, mut made) = (Epoll::new()?, instances.len() * copies.len());
    while made <= limit && last.add(&copies[made % copies.len()], OUT, 0).is_ok() {
        made += 1;
    }
    check!(made == limit);
    check!(last.add(&w, OUT, 0) == Err(ENOSPC));
    check!(Epoll::new()?.add(&w, OUT, 0) == Err(ENOSPC));
    check!(instances[0].modify(&copies[0], NONE, 1) == Ok(()));
    instances[0].delete(&copies[0])?;
    check!(last.add(&w, OUT, 0) == Ok(()));
    check!(Epoll::new()?.add(&w, OUT, 0) == Err(ENOSPC));
    drop(instances.pop());
    check!(Epoll::new()?.add(&w, OUT, 0) == Ok(()));
    Ok(())
}

/// EPOLLWAKEUP without CAP_BLOCK_SUSPEND is no error, changes no report and is in none.
#[case(EPOLL_CTL_2, "BUGS", needs = [Need::Unprivileged])]
fn wakeup_flag_is_accepted_from_the_unprivileged() -> Verdict {
    let (r, w) = pipe()?;
    let epoll = Epoll::new()?;
    check!(epoll.add(&r, WAKEUP | IN, 0) == Ok(()));
    check!(epoll.now() == Ok(None));
    write(&w, b"x")?;
    check!(epoll.now() == Ok(Some(IN)));
    check!(epoll.modify(&r, WAKEUP | IN, 0) == Ok(()));
    check!(epoll.now() == Ok(Some(IN)));
    Ok(())
}

/// EPOLLEXCLUSIVE goes with the events and flags that the page lists, and with any other the descriptor is not added.
#[case(EPOLL_CTL_2, "DESCRIPTION", settles = ["epoll_ctl.2 EINVAL 2"], also = [(EPOLL_CTL_2, "ERRORS")])]
fn exclusive_registration_takes_these_events_and_no_others() -> Verdict {
    let (r, _w) = pipe()?;
    let epoll = Epoll::new()?;
    for others in [ONE_SHOT, PRI, RDHUP, IN | EDGE | ONE_SHOT, IN | RDHUP] {
        check!(epoll.add(&r, EXCLUSIVE | others, 0) == Err(EINVAL), "{others:?}");
        check!(epoll.delete(&r) == Err(ENOENT), "{others:?}");
    }
    for others in [NONE, IN, OUT, EDGE, WAKEUP, HUP, ERR, IN | OUT | EDGE | WAKEUP | HUP | ERR] {
        check!(epoll.add(&r, EXCLUSIVE | others, 0) == Ok(()), "{others:?}");
        epoll.delete(&r)?;
    }
    Ok(())
}

/// An instance keeps the parameters that it was given and tells them whole, of which a new one has none set.
#[case(IOCTL_EVENTPOLL_2, "DESCRIPTION", needs = [Need::Facility(PARAMETERS)])]
fn parameters_belong_to_the_instance() -> Verdict {
    let (one, other) = (Epoll::new()?, Epoll::new()?);
    let given = Parameters { usecs: 25, budget: 8, prefer: 1, pad: 0 };
    check!(one.parameters() == Ok(Parameters::default()));
    check!(one.set_parameters(given) == Ok(()));
    check!(one.parameters() == Ok(given));
    check!(other.parameters() == Ok(Parameters::default()));
    Ok(())
}

/// Padding that is not zero, more than INT_MAX microseconds and a preference that is neither 0 nor 1 are refused, and change nothing.
#[case(IOCTL_EVENTPOLL_2, "ERRORS", needs = [Need::Facility(PARAMETERS)])]
fn parameters_out_of_range_are_refused() -> Verdict {
    let epoll = Epoll::new()?;
    let given = Parameters { usecs: i32::MAX as u32, budget: 8, prefer: 1, pad: 0 };
    check!(epoll.set_parameters(given) == Ok(()));
    for wrong in [
        Parameters { pad: 1, ..Parameters::default() },
        Parameters { usecs: 1 << 31, ..Parameters::default() },
        Parameters { prefer: 2, ..Parameters::default() },
    ] {
        check!(epoll.set_parameters(wrong) == Err(EINVAL), "{wrong:?}");
    }
    check!(epoll.parameters() == Ok(given));
    Ok(())
}

/// A budget beyond NAPI_POLL_WEIGHT takes CAP_NET_ADMIN.
#[case(IOCTL_EVENTPOLL_2, "ERRORS", needs = [Need::Facility(PARAMETERS), Need::Unprivileged])]
fn budget_beyond_the_weight_needs_privilege() -> Verdict {
    const NAPI_POLL_WEIGHT: u16 = 64;
    let epoll = Epoll::new()?;
    let most = Parameters { budget: NAPI_POLL_WEIGHT, ..Parameters::default() };
    check!(epoll.set_parameters(most) == Ok(()));
    let more = Parameters { budget: NAPI_POLL_WEIGHT + 1, ..most };
    check!(epoll.set_parameters(more) == Err(EPERM));
    check!(epoll.parameters() == Ok(most));
    Ok(())
}

refusals! {
    EPOLL_CREATE_2, "ERRORS";

    /// The size of epoll_create has to be positive.
    ["epoll_create.2 EINVAL 1"] size_that_is_not_positive_is_refused => EINVAL: {
        check!(Epoll::with_size(0).map(drop) == Err(EINVAL));
        check!(Epoll::with_size(i32::MIN).map(drop) == Err(EINVAL));
        Epoll::with_size(-1)
    };

    /// A flag of epoll_create1 that does not exist is refused, also beside one that does.
    ["epoll_create.2 EINVAL 2"] unknown_flag_is_refused => EINVAL: {
        for bit in (0..32).map(|bit| 1 << bit).filter(|bit| *bit != libc::EPOLL_CLOEXEC) {
            check!(Epoll::with_flags(bit).map(drop) == Err(EINVAL), "{bit:#x}");
        }
        Epoll::with_flags(libc::EPOLL_CLOEXEC | 1)
    };
}

refusals! {
    EPOLL_CTL_2, "ERRORS";

    /// A descriptor that is registered already is not added again, whatever the events, and stays as it was.
    ["epoll_ctl.2 EEXIST"] second_registration_is_refused => EEXIST: {
        let (_r, w) = pipe()?;
        let epoll = Epoll::watching(&w, OUT)?;
        check!(epoll.add(&w, NONE, 1) == Err(EEXIST));
        check!(epoll.wait(8, 0) == Ok(vec![(0, OUT)]));
        epoll.add(&w, OUT, 0)
    };

    /// A descriptor that is not registered, or no longer, is neither changed nor removed.
    ["epoll_ctl.2 ENOENT"] unregistered_descriptor_is_refused => ENOENT: {
        let ((r, w), epoll) = (pipe()?, Epoll::new()?);
        check!(epoll.delete(&w) == Err(ENOENT));
        check!(epoll.modify(&w, OUT, 0) == Err(ENOENT));
        check!(epoll.now() == Ok(None));
        epoll.add(&r, IN, 0)?;
        check!(epoll.modify(dup(&r)?, IN, 0) == Err(ENOENT));
        epoll.delete(&r)?;
        epoll.delete(&r)
    };

    /// A regular file and a directory cannot be watched.
    ["epoll_ctl.2 EPERM"] file_and_directory_are_refused => EPERM: {
        check!(Epoll::new()?.add(File::open(".")?, IN, 0) == Err(EPERM));
        Epoll::new()?.add(File::create("file")?, IN, 0)
    };

    /// What is not open can neither be watched nor watch.
    ["epoll_ctl.2 EBADF"] closed_descriptor_is_refused => EBADF: {
        let ((r, _w), epoll) = (pipe()?, Epoll::new()?);
        for operation in [libc::EPOLL_CTL_ADD, libc::EPOLL_CTL_MOD, libc::EPOLL_CTL_DEL] {
            check!(control(closed_fd(), operation, &r, Some((0, IN))) == Err(EBADF), "{operation}");
            check!(control(&epoll, operation, closed_fd(), Some((0, IN))) == Err(EBADF), "{operation}");
        }
        epoll.delete(just_closed(dup(&r)?))
    };

    /// Only an epoll instance watches, it cannot watch itself, and there are no operations but three.
    ["epoll_ctl.2 EINVAL 1"] what_cannot_be_asked_is_refused => EINVAL: {
        let ((r, w), epoll) = (pipe()?, Epoll::new()?);
        for operation in [libc::EPOLL_CTL_ADD, libc::EPOLL_CTL_MOD, libc::EPOLL_CTL_DEL] {
            check!(control(&w, operation, &r, Some((0, IN))) == Err(EINVAL), "{operation}");
            check!(control(&epoll, operation, &epoll, Some((0, IN))) == Err(EINVAL), "{operation}");
        }
        for operation in [i32::MIN, -1, 0, 4] {
            check!(control(&epoll, operation, &w, Some((0, OUT))) == Err(EINVAL), "{operation}");
        }
        check!(epoll.now() == Ok(None));
        epoll.add(&w, OUT, 0)?;
        control(&epoll, 4, &w, Some((0, OUT)))
    };

    /// A registration cannot be made exclusive later, and stays as it was.
    ["epoll_ctl.2 EINVAL 3"] change_to_exclusive_is_refused => EINVAL: {
        let (_r, w) = pipe()?;
        let epoll = Epoll::watching(&w, OUT)?;
        check!(epoll.modify(&w, EXCLUSIVE, 1) == Err(EINVAL));
        check!(epoll.wait(8, 0) == Ok(vec![(0, OUT)]));
        epoll.modify(&w, OUT | EXCLUSIVE, 0)
    };

    /// An exclusive registration cannot be changed, and stays as it was.
    ["epoll_ctl.2 EINVAL 4"] change_of_an_exclusive_registration_is_refused => EINVAL: {
        let (_r, w) = pipe()?;
        let epoll = Epoll::watching(&w, OUT | EXCLUSIVE)?;
        check!(epoll.modify(&w, OUT | EXCLUSIVE, 0) == Err(EINVAL));
        check!(epoll.modify(&w, NONE, 1) == Err(EINVAL));
        check!(epoll.wait(8, 0) == Ok(vec![(0, OUT)]));
        epoll.modify(&w, OUT, 0)
    };
}
