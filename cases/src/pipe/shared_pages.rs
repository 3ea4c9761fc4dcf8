//! Pages that a pipe shares with a file, with memory or with another pipe, and that writing to the
//! pipe must not change.

use std::fs::{self, File, Permissions};
use std::io::IoSlice;
use std::os::unix::fs::PermissionsExt;

use nix::fcntl::{splice, tee, vmsplice};
use nix::sys::sendfile::sendfile64 as sendfile;

use crate::prelude::*;
use crate::sys::descriptors::{pattern, read_all};
use crate::sys::memory::{Memory, page_size};
use crate::sys::splice::{HINTS, NONE, SPLICE_FROM_ZERO, VMSPLICE_CALL, splice_all, used_pipe};

/// The cases of this module.
pub const CASES: &[Case] = &[
    writing_after_a_splice_leaves_the_file_alone,
    writing_after_a_tee_leaves_file_and_copy_alone,
    writing_after_a_splice_on_leaves_file_and_rest_alone,
    writing_after_a_sendfile_leaves_the_file_alone,
    writing_after_a_vmsplice_leaves_the_memory_alone,
    writing_after_zeros_leaves_zeros,
];

/// Where pieces of the file begin, and their lengths: at a page, within one, across two, and up to its end.
fn pieces() -> [(i64, usize); 5] {
    let page = page_size();
    [(0, 1), (7, 100), (page as i64 - 3, 1), (page as i64 - 3, 10), (2 * page as i64, 100)]
}

/// A file of two pages and a bit that nobody may write, open for reading, and what it holds.
fn private_file() -> Verdict<(File, Vec<u8>)> {
    let data = pattern(2 * page_size() + 100);
    let _ = fs::remove_file("private");
    fs::write("private", &data)?;
    fs::set_permissions("private", Permissions::from_mode(0o444))?;
    Ok((File::open("private")?, data))
}

/// The file as it is, seen by another opening.
fn private_content() -> Verdict<Vec<u8>> {
    Ok(fs::read("private")?)
}

const INTRUDER: &[u8] = b"INTRUDER";

/// What is written to a pipe after any piece of a file was spliced into it, with any hint, does not get into that file.
#[case(SPLICE_2, "NOTES", also = [(INODE_7, "The file type and mode")])]
fn writing_after_a_splice_leaves_the_file_alone() -> Verdict {
    let (file, data) = private_file()?;
    for flags in HINTS.into_iter().chain([NONE]) {
        for (start, bytes) in pieces() {
            let ((r, w), mut offset) = (used_pipe()?, start);
            check!(splice(&file, Some(&mut offset), &w, None, bytes, flags) == Ok(bytes));
            check!(write(&w, INTRUDER) == Ok(8));
            check!(private_content()? == data, "after {bytes} bytes from {start}, {flags:?}");
            let piece = &data[start as usize..][..bytes];
            check!(read_all(&r, bytes + 8)? == [piece, INTRUDER].concat());
        }
    }
    Ok(())
}

/// What is written to either pipe after tee copied spliced data from one to the other gets neither into the file nor into the other pipe.
#[case(TEE_2, "DESCRIPTION", also = [(TEE_2, "NOTES")])]
fn writing_after_a_tee_leaves_file_and_copy_alone() -> Verdict {
    let (file, data) = private_file()?;
    for (start, bytes) in pieces() {
        let ((r, w), (copy, to), mut offset) = (used_pipe()?, used_pipe()?, start);
        check!(splice(&file, Some(&mut offset), &w, None, bytes, NONE) == Ok(bytes));
        check!(tee(&r, &to, bytes, NONE) == Ok(bytes));
        check!(write(&to, INTRUDER) == Ok(8));
        check!(write(&w, b"intruder") == Ok(8));
        check!(private_content()? == data, "after {bytes} bytes from {start}");
        let piece = &data[start as usize..][..bytes];
        check!(read_all(&copy, bytes + 8)? == [piece, INTRUDER].concat());
        check!(read_all(&r, bytes + 8)? == [piece, b"intruder"].concat());
    }
    Ok(())
}

/// What is written to a pipe after a part of spliced data went on into it gets neither into the file nor into the part that stayed.
#[case(SPLICE_2, "DESCRIPTION", also = [(SPLICE_2, "NOTES")])]
fn writing_after_a_splice_on_leaves_file_and_rest_alone() -> Verdict {
    let (file, data) = private_file()?;
    for part in [1, 50, 100] {
        let ((r, w), (end, to), mut offset) = (used_pipe()?, used_pipe()?, 7);
        check!(splice(&file, Some(&mut offset), &w, None, 100, NONE) == Ok(100));
        check!(splice(&r, None, &to, None, part, NONE) == Ok(part));
        check!(write(&to, INTRUDER) == Ok(8));
        check!(write(&w, b"intruder") == Ok(8));
        check!(private_content()? == data, "after {part} bytes went on");
        check!(read_all(&end, part + 8)? == [&data[7..7 + part], INTRUDER].concat());
        check!(read_all(&r, 108 - part)? == [&data[7 + part..107], b"intruder"].concat());
    }
    Ok(())
}

/// What is written to a pipe after sendfile brought a piece of a file does not get into that file.
#[case(SENDFILE_2, "DESCRIPTION")]
fn writing_after_a_sendfile_leaves_the_file_alone() -> Verdict {
    let (file, data) = private_file()?;
    for (start, bytes) in pieces() {
        let ((r, w), mut offset) = (used_pipe()?, start);
        check!(sendfile(&w, &file, Some(&mut offset), bytes) == Ok(bytes));
        check!(write(&w, INTRUDER) == Ok(8));
        check!(private_content()? == data, "after {bytes} bytes from {start}");
        let piece = &data[start as usize..][..bytes];
        check!(read_all(&r, bytes + 8)? == [piece, INTRUDER].concat());
    }
    Ok(())
}

/// What is written to a pipe that memory was spliced into, or to one that got it by splice or tee, does not get into that memory.
#[case(VMSPLICE_2, "DESCRIPTION", also = [(SPLICE_2, "NOTES")], needs = [Need::Facility(VMSPLICE_CALL)])]
fn writing_after_a_vmsplice_leaves_the_memory_alone() -> Verdict {
    let memory = pattern(3 * page_size());
    for (start, bytes) in pieces() {
        let ((r, w), (_end, to), (_copy, third)) = (used_pipe()?, used_pipe()?, used_pipe()?);
        let range = IoSlice::new(&memory[start as usize..][..bytes]);
        check!(vmsplice(&w, &[range], NONE) == Ok(bytes));
        check!(tee(&r, &third, bytes, NONE) == Ok(bytes));
        check!(splice(&r, None, &to, None, bytes, NONE) == Ok(bytes));
        check!(vmsplice(&w, &[range], NONE) == Ok(bytes));
        for end in [&w, &to, &third] {
            check!(write(end, INTRUDER) == Ok(8));
        }
        check!(memory == pattern(memory.len()), "after {bytes} bytes from {start}");
        check!(read_all(&r, bytes + 8)? == [&range, INTRUDER].concat());
    }
    Ok(())
}

/// What is written to a pipe after zeros came from /dev/zero gets into no memory or file that is still zero.
#[case(NULL_4, "DESCRIPTION", needs = [Need::File("/dev/zero"), Need::Facility(SPLICE_FROM_ZERO)])]
fn writing_after_zeros_leaves_zeros() -> Verdict {
    let fresh = Memory::anonymous(page_size(), libc::MAP_PRIVATE)?;
    let zero = File::open("/dev/zero")?;
    for bytes in [1, 100, page_size() + 1] {
        let (r, w) = used_pipe()?;
        check!(splice_all(&zero, &w, bytes) == Ok(bytes));
        check!(write(&w, INTRUDER) == Ok(8));
        check!(fresh.is_zero());
        check!(read_all(&zero, page_size())? == vec![0; page_size()]);
        check!(read_all(&r, bytes + 8)? == [&vec![0; bytes][..], INTRUDER].concat());
    }
    Ok(())
}
