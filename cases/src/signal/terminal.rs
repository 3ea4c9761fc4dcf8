//! The keys of a terminal, and the job control behind them, at a real
//! pseudo-terminal whose session the case leads.

use nix::sys::termios::LocalFlags;
use nix::unistd::setpgid;

use super::idle;
use crate::prelude::*;
use crate::sys::signals::{Action, Signals, accept, block, delivered, pause, set_mask};
use crate::sys::terminal::{CTRL_BACKSLASH, CTRL_C, CTRL_Z, Terminal};

/// The cases of this module.
pub const CASES: &[Case] = &[
    ctrl_c_interrupts_the_foreground_group,
    ctrl_z_stops_the_foreground_group,
    ctrl_z_can_be_caught,
    without_isig_the_keys_are_input,
    a_background_read_stops_the_group,
    a_background_write_stops_the_group_with_tostop,
    a_resized_window_tells_the_foreground_group,
    a_hangup_is_told_to_the_session_leader,
];

/// Ctrl-C sends SIGINT, and Ctrl-\ SIGQUIT, to every process of the foreground group and to nobody else.
#[case(PTY_7, "DESCRIPTION", settles = ["A30", "signal.7 SIGINT", "signal.7 SIGQUIT"], needs = [Need::File("/dev/ptmx")], also = [(CREDENTIALS_7, "Process group ID and session ID")])]
fn ctrl_c_interrupts_the_foreground_group() -> Verdict {
    let terminal = Terminal::controlling()?;
    for (key, signal) in [(CTRL_C, SIGINT), (CTRL_BACKSLASH, SIGQUIT)] {
        let (leader, member, background) = (idle()?, idle()?, idle()?);
        setpgid(member.pid(), leader.pid())?;
        terminal.foreground(leader.pid())?;
        terminal.key(key)?;
        check!(leader.wait()?.signal() == Some(signal as i32));
        check!(member.wait()?.signal() == Some(signal as i32));
        // The key's signal would be delivered before the higher number.
        background.kill(SIGPROF)?;
        check!(background.wait()?.signal() == Some(libc::SIGPROF));
    }
    Ok(())
}

/// Ctrl-Z stops every process of the foreground group with SIGTSTP, until SIGCONT, and nobody else.
#[case(CREDENTIALS_7, "Process group ID and session ID", settles = ["A31", "signal.7 SIGTSTP"], needs = [Need::File("/dev/ptmx")], also = [(SIGNAL_7, "Standard signals")])]
fn ctrl_z_stops_the_foreground_group() -> Verdict {
    let terminal = Terminal::controlling()?;
    let (leader, member, background) = (idle()?, idle()?, idle()?);
    setpgid(member.pid(), leader.pid())?;
    terminal.foreground(leader.pid())?;
    terminal.key(CTRL_Z)?;
    check!(leader.wait_stopped()? == libc::SIGTSTP);
    check!(member.wait_stopped()? == libc::SIGTSTP);
    leader.kill(SIGCONT)?;
    leader.wait_continued()?;
    for running in [leader, background] {
        running.kill(SIGTERM)?;
        check!(running.wait()? == End::Killed(libc::SIGTERM));
    }
    Ok(())
}

/// The signal of Ctrl-Z can be caught, unlike SIGSTOP: the handler runs and nothing stops.
#[case(SIGNAL_7, "Standard signals", settles = ["A31"], needs = [Need::File("/dev/ptmx")])]
fn ctrl_z_can_be_caught() -> Verdict {
    let terminal = Terminal::controlling()?;
    let child = Child::spawn(|| {
        setpgid(getpid(), getpid())?;
        Action::record().on(SIGTSTP)?;
        check!(pause() == Err(EINTR));
        check!(delivered() == [SIGTSTP]);
        Ok(())
    })?;
    child.blocked_in(PAUSE)?;
    terminal.foreground(child.pid())?;
    terminal.key(CTRL_Z)?;
    child.join()
}

/// With the terminal's ISIG off, the keys are input like any other.
#[case(PTY_7, "DESCRIPTION", settles = ["A30", "A31"], needs = [Need::File("/dev/ptmx")])]
fn without_isig_the_keys_are_input() -> Verdict {
    let terminal = Terminal::controlling()?;
    terminal.local(LocalFlags::ISIG | LocalFlags::ICANON, false)?;
    for (key, signal) in [(CTRL_C, SIGINT), (CTRL_Z, SIGTSTP)] {
        Action::record().on(signal)?;
        let mut buf = [0];
        // The signal would discard the key, but not what is typed after it.
        check!(write(&terminal.master, &[key, b'x']) == Ok(2));
        for typed in [key, b'x'] {
            check!(read(&terminal.slave, &mut buf) == Ok(1));
            check!(buf == [typed]);
        }
    }
    check!(delivered().is_empty());
    Ok(())
}

/// A background process that reads from the terminal is stopped by SIGTTIN, and once it is in the foreground its read goes on.
#[case(CREDENTIALS_7, "Process group ID and session ID", settles = ["signal.7 SIGTTIN"], needs = [Need::File("/dev/ptmx")])]
fn a_background_read_stops_the_group() -> Verdict {
    let terminal = Terminal::controlling()?;
    let reader = Child::spawn(|| {
        setpgid(getpid(), getpid())?;
        check!(read(&terminal.slave, &mut [0; 8]) == Ok(2));
        Ok(())
    })?;
    check!(reader.wait_stopped()? == libc::SIGTTIN);
    terminal.foreground(reader.pid())?;
    reader.kill(SIGCONT)?;
    reader.blocked_in(READ)?;
    write(&terminal.master, b"a\n")?;
    reader.join()
}

/// A background process that writes to the terminal is stopped by SIGTTOU where TOSTOP is set, and only there.
#[case(CREDENTIALS_7, "Process group ID and session ID", settles = ["signal.7 SIGTTOU"], needs = [Need::File("/dev/ptmx")])]
fn a_background_write_stops_the_group_with_tostop() -> Verdict {
    let terminal = Terminal::controlling()?;
    for (tostop, text) in [(false, b"free"), (true, b"stop")] {
        terminal.local(LocalFlags::TOSTOP, tostop)?;
        let writer = Child::spawn(|| {
            setpgid(getpid(), getpid())?;
            set_mask(Signals::NONE)?;
            check!(write(&terminal.slave, text) == Ok(4));
            Ok(())
        })?;
        if tostop {
            check!(writer.wait_stopped()? == libc::SIGTTOU);
            terminal.foreground(writer.pid())?;
            writer.kill(SIGCONT)?;
        }
        writer.join()?;
        let mut buf = [0; 4];
        check!(read(&terminal.master, &mut buf) == Ok(4));
        check!(buf == *text);
    }
    Ok(())
}

/// When the size of the window changes, SIGWINCH goes to the foreground group.
#[case(SIGNAL_7, "Standard signals", settles = ["signal.7 SIGWINCH"], needs = [Need::File("/dev/ptmx")])]
fn a_resized_window_tells_the_foreground_group() -> Verdict {
    let terminal = Terminal::controlling()?;
    Action::record().on(SIGWINCH)?;
    let child = Child::spawn(|| {
        setpgid(getpid(), getpid())?;
        check!(pause() == Err(EINTR));
        check!(delivered() == [SIGWINCH]);
        Ok(())
    })?;
    child.blocked_in(PAUSE)?;
    terminal.foreground(child.pid())?;
    terminal.resize(30, 100)?;
    child.join()?;
    check!(delivered().is_empty());
    Ok(())
}

/// When the other end of its terminal is closed, the session leader gets SIGHUP.
#[case(SETSID_2, "NOTES", settles = ["signal.7 SIGHUP"], needs = [Need::File("/dev/ptmx")], also = [(SIGNAL_7, "Standard signals")])]
fn a_hangup_is_told_to_the_session_leader() -> Verdict {
    let terminal = Terminal::controlling()?;
    Action::record().on(SIGHUP)?;
    block(SIGHUP)?;
    drop(terminal.master);
    check!(accept(SIGHUP, Some(Duration::from_secs(4))).is_ok());
    Ok(())
}
