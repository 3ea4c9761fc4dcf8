//! Packages of other releases, by apt-get, without touching the system's own
//! lists: what is downloaded was verified by apt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ipcspec_suite::{Result, Trouble, print};
use regex::Regex;

use crate::target::Target;

/// Where packages come from, if the system does not say.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Targets to fetch; all when there is none
    #[arg(value_name = "TARGET")]
    pub names: Vec<String>,
    /// The mirror of Debian [default: the one that this system uses]
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// The keyring that its releases are signed by
    #[arg(long, value_name = "FILE", default_value = KEYRING)]
    keyring: PathBuf,
    /// Look for newer packages where a target is there already
    #[arg(long)]
    newer: bool,
}

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Fetches and unpacks; one trouble a target at most, and the others are
/// there all the same.
pub fn fetch(targets: &[&Target], options: &Options, cache: &Path) -> Result<Vec<Trouble>> {
    let missing: Vec<_> = targets
        .iter()
        .filter(|target| options.newer || !target.is_fetched(cache))
        .filter(|target| !target.packages.is_empty())
        .collect();
    if missing.is_empty() {
        print("everything is there\n")?;
        return Ok(vec![]);
    }
    if !options.keyring.is_file() {
        let told = format!(
            "{}: not there; the package debian-archive-keyring has one",
            options.keyring.display()
        );
        return Err(Trouble(told));
    }
    let mirror = options.mirror.clone().map_or_else(mirror_of_this_system, Ok)?;
    let mut troubles = vec![];
    let mut updated: Vec<(String, bool)> = vec![];
    for target in missing {
        let release = Release { name: &target.suite, place: cache.join("apt").join(&target.suite) };
        let known = updated.iter().find(|(name, _)| *name == target.suite).map(|(_, well)| *well);
        let ready = known.map_or_else(
            || {
                print(&format!("{}: lists\n", target.suite))?;
                release.update(&mirror, &options.keyring)
            },
            |well| if well { Ok(()) } else { Err(Trouble("no lists".to_owned())) },
        );
        if known.is_none() {
            updated.push((target.suite.clone(), ready.is_ok()));
        }
        if let Err(trouble) = ready.and_then(|()| fetch_one(target, &release, cache)) {
            troubles.push(Trouble::with(&target.name, trouble));
        }
    }
    Ok(troubles)
}

fn fetch_one(target: &Target, release: &Release, cache: &Path) -> Result {
    let root = target.root(cache);
    let fresh = cache.join("targets").join(format!("{}.new", target.name));
    remove(&fresh)?;
    make(&fresh)?;
    let packages = cache.join("packages");
    make(&packages)?;
    for pattern in &target.packages {
        let package = release.newest(pattern)?;
        print(&format!("{}: {package}\n", target.name))?;
        let file = release.download(&package, &packages)?;
        let unpack = Command::new("dpkg-deb").arg("--extract").arg(&file).arg(&fresh).output();
        well("dpkg-deb", unpack)?;
    }
    remove(&root)?;
    fs::rename(&fresh, &root).map_err(|error| Trouble::with(root.display(), error))
}

fn make(directory: &Path) -> Result {
    fs::create_dir_all(directory).map_err(|error| Trouble::with(directory.display(), error))
}

fn remove(directory: &Path) -> Result {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Trouble::with(directory.display(), error))
        }
        _ => Ok(()),
    }
}

/// What a command printed; trouble with the last line of its complaint, if it
/// failed.
fn well(what: &str, output: std::io::Result<std::process::Output>) -> Result<String> {
    let output = output.map_err(|error| Trouble::with(what, error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = complaint.lines().find(|line| line.starts_with("E: "));
    let told = told.or_else(|| complaint.lines().find(|line| !line.trim().is_empty()));
    Err(Trouble::with(what, told.unwrap_or("failed without a word")))
}

/// The mirror in the system's own sources, whatever their form.
fn mirror_of_this_system() -> Result<String> {
    let sources = Command::new("apt-get")
        .args(["indextargets", "--format", "$(ORIGIN) $(CODENAME) $(SITE)", "Created-By: Packages"])
        .output();
    let sources = well("apt-get indextargets", sources)?;
    let mirrors = sources.lines().filter_map(|line| {
        let (origin, rest) = line.split_once(' ')?;
        let (codename, site) = rest.split_once(' ')?;
        (origin == "Debian" && !codename.contains("-security")).then(|| site.to_owned())
    });
    mirrors.into_iter().next().ok_or_else(|| {
        let told = "this system's sources name no mirror of Debian (apt-get update makes them known); --mirror does";
        Trouble(told.to_owned())
    })
}

/// One release of Debian, with lists of its own.
struct Release<'t> {
    name: &'t str,
    place: PathBuf,
}

impl Release<'_> {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let place = |what: &str| format!("{what}={}", self.place.display());
        command
            .args([
                "-o",
                "Dir::Etc::sourceparts=/dev/null",
                "-o",
                "Dir::Etc::preferencesparts=/dev/null",
            ])
            .args(["-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3"])
            .arg("-o")
            .arg(place("Dir::Etc::sourcelist") + "/sources")
            .arg("-o")
            .arg(place("Dir::State::Lists") + "/lists")
            .arg("-o")
            .arg(place("Dir::Cache") + "/cache")
            .arg("-o")
            .arg(place("Dir::State::status") + "/status")
            .stdin(Stdio::null());
        command
    }

    fn update(&self, mirror: &str, keyring: &Path) -> Result {
        make(&self.place.join("lists/partial"))?;
        make(&self.place.join("cache/archives/partial"))?;
        let sources =
            format!("deb [signed-by={}] {mirror} {} main\n", keyring.display(), self.name);
        for (name, text) in [("sources", sources.as_str()), ("status", "")] {
            let file = self.place.join(name);
            fs::write(&file, text).map_err(|error| Trouble::with(file.display(), error))?;
        }
        well("apt-get update", self.command("apt-get").args(["-q", "update"]).output())?;
        // Lists that could not be had are a warning to apt-get.
        match self.names("") {
            Ok(names) if names.is_empty() => {
                Err(Trouble(format!("apt-get update: no packages of {}", self.name)))
            }
            other => other.map(drop),
        }
    }

    fn names(&self, start: &str) -> Result<Vec<String>> {
        let names =
            well("apt-cache", self.command("apt-cache").args(["pkgnames", start]).output())?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// The newest package of a name like this.
    fn newest(&self, pattern: &str) -> Result<String> {
        let name = Regex::new(&format!("^(?:{pattern})$"))
            .map_err(|_| Trouble(format!("{pattern:?} is no regular expression")))?;
        let mut names = self.names("")?;
        names.retain(|known| name.is_match(known));
        alphanumeric_sort::sort_str_slice(&mut names);
        names.pop().ok_or_else(|| Trouble(format!("{} has no package {pattern}", self.name)))
    }

    /// Downloads a package, unless this version of it is there; its file.
    fn download(&self, package: &str, packages: &Path) -> Result<PathBuf> {
        let shown = self.command("apt-cache").args(["show", "--no-all-versions", package]).output();
        let shown = well("apt-cache show", shown)?;
        let version = shown.lines().find_map(|line| line.strip_prefix("Version: "));
        let version = version.ok_or_else(|| Trouble(format!("{package} has no version")))?;
        let name = format!("{package}_{}.deb", version.replace(['/', ':'], "_"));
        let file = packages.join(name);
        if file.is_file() {
            return Ok(file);
        }
        // Here apt-get goes on with what it had of it, and from here it is
        // moved only when it was verified.
        let partial = self.place.join("partial").join(package);
        make(&partial)?;
        let mut command = self.command("apt-get");
        let status = command.args(["-q", "download", package]).current_dir(&partial).status();
        let status = status.map_err(|error| Trouble::with("apt-get", error))?;
        if !status.success() {
            return Err(Trouble(format!("apt-get download {package}: {status}")));
        }
        let got = glob::glob(&partial.join("*.deb").to_string_lossy()).ok();
        let got = got.and_then(|mut files| files.next()?.ok());
        let got = got.ok_or_else(|| Trouble(format!("apt-get download {package}: no file")))?;
        fs::rename(&got, &file).map_err(|error| Trouble::with(file.display(), error))?;
        Ok(file)
    }
}
