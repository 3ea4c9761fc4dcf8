//! The static program, and the archive that a machine starts from.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use ipcspec_suite::{Result, Trouble};

/// The root of this project.
pub fn workspace() -> Result<PathBuf> {
    let cargo = Command::new("cargo")
        .args(["locate-project", "--workspace", "--message-format", "plain"])
        .output()
        .map_err(|error| Trouble::with("cargo", error))?;
    let manifest = PathBuf::from(String::from_utf8_lossy(&cargo.stdout).trim());
    let root = manifest.parent().filter(|root| root.join("suite/Cargo.toml").is_file());
    let told =
        || Trouble("this is not the source tree of ipcspec: --program names a program".into());
    root.map(Path::to_owned).ok_or_else(told)
}

/// Builds the static program for a triple; its path.
pub fn build(triple: &str) -> Result<PathBuf> {
    let root = workspace()?;
    // Of the sources as they are, with a directory of its own: flags differ.
    let target = root.join("target");
    let status = Command::new("cargo")
        .args(["build", "--release", "--locked", "--package", "ipcspec", "--target", triple])
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(&root)
        .status()
        .map_err(|error| Trouble::with("cargo", error))?;
    if !status.success() {
        let told = format!(
            "the program could not be built for {triple}: `rustup target add {triple}`, and a linker with its libraries, are needed"
        );
        return Err(Trouble(told));
    }
    Ok(target.join(triple).join("release/ipcspec"))
}

/// The triple that a program was built for, by its ELF header; of an
/// architecture that no target names, a name that no other has.
pub fn triple(program: &Path) -> Result<String> {
    let mut head = [0; 20];
    File::open(program)
        .and_then(|mut file| io::Read::read_exact(&mut file, &mut head))
        .map_err(|error| Trouble::with(program.display(), error))?;
    let [0x7f, b'E', b'L', b'F', class, ..] = head else {
        return Err(Trouble(format!("{}: no ELF program", program.display())));
    };
    let architecture = match (class, u16::from_le_bytes([head[18], head[19]])) {
        (1, 3) => "i686",
        (2, 62) => "x86_64",
        (2, 183) => "aarch64",
        (class, machine) => return Ok(format!("ELF class {class}, machine {machine}")),
    };
    Ok(format!("{architecture}-unknown-linux-gnu"))
}

/// Writes an archive that holds the program as /ipcspec, and nothing else.
pub fn initramfs(program: &Path, archive: &Path) -> Result {
    let trouble = |error: io::Error| Trouble::with(archive.display(), error);
    let bytes = fs::read(program).map_err(|error| Trouble::with(program.display(), error))?;
    let size = u32::try_from(bytes.len())
        .map_err(|_| Trouble(format!("{}: too large", program.display())))?;
    let file = File::create(archive).map_err(trouble)?;
    let entry = cpio::NewcBuilder::new("ipcspec").mode(0o100_755);
    let mut writer = entry.write(io::BufWriter::new(file), size);
    io::copy(&mut bytes.as_slice(), &mut writer).map_err(trouble)?;
    let file = writer.finish().map_err(trouble)?;
    cpio::newc::trailer(file).and_then(|mut file| io::Write::flush(&mut file)).map_err(trouble)
}
