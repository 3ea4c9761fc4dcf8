//! FIFOs: how they are made, and the names that lead to them.

use std::fs::{
    Permissions, create_dir, hard_link, remove_file, rename, set_permissions, write as write_file,
};
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use nix::fcntl::{AT_FDCWD, open};
use nix::sys::stat::{Mode, SFlag, fstat, makedev, mknod, mknodat, stat, umask};
use nix::unistd::{PathconfVar, getcwd, getegid, geteuid, mkfifo, mkfifoat, pathconf};

use crate::prelude::*;
use crate::sys::descriptors::closed_fd;
use crate::sys::files::{filesystem, make_read_only};
use crate::sys::pipes::Fifo;

/// The cases of this module.
pub const CASES: &[Case] = &[
    strangers_meet_at_a_path,
    every_name_of_an_inode_leads_to_one_pipe,
    waiting_opener_stays_with_its_inode,
    renamed_fifo_is_the_same_pipe,
    removed_fifo_serves_those_who_have_it_open,
    link_count_counts_names,
    new_fifo_is_its_creators,
    directory_may_hand_down_its_group,
    umask_cuts_the_mode,
    anyone_makes_a_fifo_with_mknod,
    path_is_relative_to_the_directory,
    full_filesystem_takes_no_fifo,
    read_only_filesystem_takes_no_fifo,
    existing_name_is_refused,
    missing_directory_is_refused,
    file_as_directory_is_refused,
    long_name_is_refused,
    locked_directory_is_refused,
    relative_to_no_descriptor_is_refused,
    relative_to_a_file_is_refused,
];

/// Two processes that share no descriptor talk through a name whose file type is FIFO.
#[case(FIFO_7, "DESCRIPTION", also = [(PIPE_7, "DESCRIPTION")], settles = ["A06"])]
fn strangers_meet_at_a_path() -> Verdict {
    let fifo = Fifo::new("meeting")?;
    check!(SFlag::from_bits_truncate(fifo.stat()?.st_mode) & SFlag::S_IFMT == SFlag::S_IFIFO);
    let writer = Child::spawn(|| say(fifo.writer()?, "hello"))?;
    let reader = Child::spawn(|| {
        let r = fifo.reader()?;
        check!(text(&r, 16) == Ok("hello"));
        check!(text(&r, 16) == Ok(""));
        Ok(())
    })?;
    writer.join()?;
    reader.join()
}

/// A FIFO has an inode before it is open, and all that open it, by whatever name, share one pipe.
#[case(FIFO_7, "DESCRIPTION", settles = ["B10"])]
fn every_name_of_an_inode_leads_to_one_pipe() -> Verdict {
    let fifo = Fifo::new("first")?;
    hard_link("first", "second")?;
    let inode = fifo.stat()?.st_ino;
    let (r, w) = (fifo.early_reader()?, Fifo { name: "second" }.writer()?);
    write(&w, b"through")?;
    check!(text(&r, 16) == Ok("through"));
    check!((fstat(&r)?.st_ino, fstat(&w)?.st_ino) == (inode, inode));
    Ok(())
}

/// Who waits in open waits for the inode: rename and a new FIFO of its name change nothing, and any other name leads to it.
#[case(FIFO_7, "DESCRIPTION", also = [(OPEN_2, "DESCRIPTION"), (RENAME_2, "DESCRIPTION"), (UNLINK_2, "DESCRIPTION")])]
fn waiting_opener_stays_with_its_inode() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    hard_link("fifo", "second")?;
    for removed in [false, true] {
        let reader = Child::spawn(|| holds!(text(fifo.reader()?, 8) == Ok("found")))?;
        reader.blocked_in(OPEN)?;
        if removed {
            remove_file("fifo")?;
        } else {
            rename("fifo", "moved")?;
        }
        let new = Fifo::new("fifo")?;
        check!(new.early_writer().map(drop) == Err(ENXIO));
        drop(new.open(OFlag::O_RDWR)?);
        reader.blocked_in(OPEN)?;
        say(Fifo { name: if removed { "second" } else { "moved" } }.writer()?, "found")?;
        reader.join()?;
        rename("second", "fifo")?;
        hard_link("fifo", "second")?;
    }
    Ok(())
}

/// A FIFO that is renamed while it is open is the same pipe under its new name, with the data that was in it.
#[case(RENAME_2, "DESCRIPTION", also = [(FIFO_7, "DESCRIPTION")])]
fn renamed_fifo_is_the_same_pipe() -> Verdict {
    let (fifo, other) = (Fifo::new("fifo")?, Fifo::new("other")?);
    let (r, w) = fifo.ends()?;
    let (other_r, other_w) = other.ends()?;
    write(&w, b"before ")?;
    rename("fifo", "other")?;
    check!(fifo.writer().map(drop) == Err(ENOENT));
    say(other.writer()?, "after")?;
    check!(text(&r, 16) == Ok("before after"));
    write(&other_w, b"replaced")?;
    check!(text(&other_r, 16) == Ok("replaced"));
    Ok(())
}

/// A FIFO that was removed works on for those who have it open, and a new one of its name is another.
#[case(UNLINK_2, "DESCRIPTION", also = [(FIFO_7, "DESCRIPTION")])]
fn removed_fifo_serves_those_who_have_it_open() -> Verdict {
    let (r, w) = Fifo::new("fifo")?.ends()?;
    remove_file("fifo")?;
    let (new_r, new_w) = Fifo::new("fifo")?.ends()?;
    write(&w, b"old")?;
    write(&new_w, b"new")?;
    check!(text(&r, 8) == Ok("old"));
    check!(text(&new_r, 8) == Ok("new"));
    Ok(())
}

/// The link count of a FIFO is the number of its names, 0 for one that is only open.
#[case(INODE_7, "DESCRIPTION", also = [(LINK_2, "DESCRIPTION"), (UNLINK_2, "DESCRIPTION")])]
fn link_count_counts_names() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let r = fifo.early_reader()?;
    check!(fifo.stat()?.st_nlink == 1);
    hard_link("fifo", "second")?;
    check!((fstat(&r)?.st_nlink, stat("second")?.st_nlink) == (2, 2));
    remove_file("fifo")?;
    check!(fstat(&r)?.st_nlink == 1);
    remove_file("second")?;
    check!(fstat(&r)?.st_nlink == 0);
    Ok(())
}

/// A new FIFO belongs to the effective user and group of its creator.
#[case(INODE_7, "DESCRIPTION", also = [(MKNOD_2, "DESCRIPTION")], needs = [Need::Unprivileged])]
fn new_fifo_is_its_creators() -> Verdict {
    create_dir("own")?;
    let file = Fifo::new("own/fifo")?.stat()?;
    check!((file.st_uid, file.st_gid) == (geteuid().as_raw(), getegid().as_raw()));
    Ok(())
}

/// A FIFO in a directory with the set-group-ID bit gets the group of the directory, elsewhere that of its creator.
#[case(MKNOD_2, "DESCRIPTION", also = [(INODE_7, "The file type and mode")], needs = [Need::OtherUsers])]
fn directory_may_hand_down_its_group() -> Verdict {
    const GROUP: u32 = 40_001;
    for (directory, mode) in [("keeps/fifo", 0o755), ("hands-down/fifo", 0o2755)] {
        let parent = directory.trim_end_matches("/fifo");
        create_dir(parent)?;
        chown(parent, None, Some(GROUP))?;
        set_permissions(parent, Permissions::from_mode(mode))?;
        let wanted = if mode == 0o2755 { GROUP } else { getegid().as_raw() };
        check!(Fifo::new(directory)?.stat()?.st_gid == wanted, "{directory}");
    }
    Ok(())
}

/// The permissions of a new FIFO are its mode without the bits of the umask.
#[case(MKFIFO_3, "DESCRIPTION")]
fn umask_cuts_the_mode() -> Verdict {
    umask(Mode::from_bits_truncate(0o035));
    mkfifo("fifo", ANYONE)?;
    check!(stat("fifo")?.st_mode & 0o7777 == 0o642);
    Ok(())
}

/// Without privilege mknod makes a FIFO, whatever device number it is given, and cuts the mode by the umask.
#[case(MKNOD_2, "DESCRIPTION", needs = [Need::Unprivileged])]
fn anyone_makes_a_fifo_with_mknod() -> Verdict {
    umask(Mode::from_bits_truncate(0o027));
    let null_device = makedev(1, 3);
    mknod("fifo", SFlag::S_IFIFO, ANYONE, null_device)?;
    mknodat(AT_FDCWD, "second", SFlag::S_IFIFO, ANYONE, null_device)?;
    for fifo in [Fifo { name: "fifo" }, Fifo { name: "second" }] {
        check!(fifo.stat()?.st_mode == libc::S_IFIFO | 0o640);
        let (r, w) = fifo.ends()?;
        write(&w, b"x")?;
        check!(text(&r, 8) == Ok("x"));
    }
    Ok(())
}

/// mkfifoat and mknodat start at the directory they are given, wherever it has moved, and ignore it for an absolute path.
#[case(MKFIFO_3, "mkfifoat()", also = [(MKNOD_2, "mknodat()")])]
fn path_is_relative_to_the_directory() -> Verdict {
    create_dir("directory")?;
    let directory = open("directory", OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())?;
    rename("directory", "moved")?;
    mkfifoat(&directory, "fifo", ANYONE)?;
    mknodat(&directory, "second", SFlag::S_IFIFO, ANYONE, 0)?;
    mkfifoat(AT_FDCWD, "here", ANYONE)?;
    let absolute = |name| getcwd().map(|path| path.join(name));
    check!(mkfifoat(&directory, &absolute("third")?, ANYONE) == Ok(()));
    check!(mkfifoat(closed_fd(), &absolute("fourth")?, ANYONE) == Ok(()));
    check!(mknodat(closed_fd(), &absolute("fifth")?, SFlag::S_IFIFO, ANYONE, 0) == Ok(()));
    for name in ["moved/fifo", "moved/second", "here", "third", "fourth", "fifth"] {
        let kind = stat(name).map(|file| file.st_mode & libc::S_IFMT);
        check!(kind == Ok(libc::S_IFIFO), "{name}");
    }
    Ok(())
}

/// A filesystem without room for a further inode takes no FIFO, until one is removed.
#[case(MKFIFO_3, "ERRORS", settles = ["mkfifo.3 ENOSPC"], needs = [Need::CanUnshare(Namespaces::MOUNT)])]
fn full_filesystem_takes_no_fifo() -> Verdict {
    // One of the three is the directory itself.
    filesystem("small", "nr_inodes=3")?;
    check!(mkfifo("small/one", ANYONE) == Ok(()));
    check!(mkfifo("small/two", ANYONE) == Ok(()));
    check!(mkfifo("small/three", ANYONE) == Err(ENOSPC));
    check!(stat("small/three").map(drop) == Err(ENOENT));
    remove_file("small/one")?;
    check!(mkfifo("small/three", ANYONE) == Ok(()));
    Ok(())
}

/// A filesystem that is mounted read-only takes no FIFO, not even from root.
#[case(MKFIFO_3, "ERRORS", settles = ["mkfifo.3 EROFS"], needs = [Need::CanUnshare(Namespaces::MOUNT)])]
fn read_only_filesystem_takes_no_fifo() -> Verdict {
    filesystem("fixed", "mode=755")?;
    check!(mkfifo("fixed/one", ANYONE) == Ok(()));
    make_read_only("fixed")?;
    check!(mkfifo("fixed/two", ANYONE) == Err(EROFS));
    check!(stat("fixed/two").map(drop) == Err(ENOENT));
    Ok(())
}

const ANYONE: Mode = Mode::from_bits_truncate(0o666);

refusals! {
    MKFIFO_3, "ERRORS";

    /// A name that exists is refused, though it be a symbolic link that leads nowhere.
    ["mkfifo.3 EEXIST"] existing_name_is_refused => EEXIST: {
        symlink("nowhere", "dangling")?;
        write_file("file", "")?;
        check!(mkfifo("file", ANYONE) == Err(EEXIST));
        check!(mkfifo(".", ANYONE) == Err(EEXIST));
        mkfifo("dangling", ANYONE)
    };

    /// A directory of the path that does not exist, or is a symbolic link that leads nowhere, is refused.
    ["mkfifo.3 ENOENT"] missing_directory_is_refused => ENOENT: {
        symlink("nowhere", "dangling")?;
        check!(mkfifo("missing/fifo", ANYONE) == Err(ENOENT));
        mkfifo("dangling/fifo", ANYONE)
    };

    /// A file where the path has a directory is refused.
    ["mkfifo.3 ENOTDIR 1"] file_as_directory_is_refused => ENOTDIR: {
        write_file("file", "")?;
        mkfifo("file/fifo", ANYONE)
    };

    /// A name longer than NAME_MAX is refused, and so is a path longer than PATH_MAX.
    ["mkfifo.3 ENAMETOOLONG"] long_name_is_refused => ENAMETOOLONG: {
        let path = "./".repeat(libc::PATH_MAX as usize / 2) + "fifo";
        check!(mkfifo(path.as_str(), ANYONE) == Err(ENAMETOOLONG));
        let most = pathconf(".", PathconfVar::NAME_MAX)?.unwrap_or(255) as usize;
        check!(mkfifo("n".repeat(most).as_str(), ANYONE) == Ok(()));
        mkfifo("n".repeat(most + 1).as_str(), ANYONE)
    };

    /// A relative path and a number that is no descriptor are refused.
    ["mkfifo.3 EBADF"] relative_to_no_descriptor_is_refused => EBADF: mkfifoat(closed_fd(), "fifo", ANYONE);

    /// A relative path and a descriptor that is no directory are refused.
    ["mkfifo.3 ENOTDIR 2"] relative_to_a_file_is_refused => ENOTDIR: mkfifoat(pipe()?.0, "fifo", ANYONE);
}

refusals! {
    MKFIFO_3, "ERRORS", needs = [Need::Unprivileged];

    /// A directory that may not be searched is refused.
    ["mkfifo.3 EACCES"] locked_directory_is_refused => EACCES: {
        create_dir("locked")?;
        set_permissions("locked", Permissions::from_mode(0o600))?;
        mkfifo("locked/fifo", ANYONE)
    };
}
