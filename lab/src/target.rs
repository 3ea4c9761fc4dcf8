//! What a target is: data, read from `targets.toml` and files like it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ipcspec_suite::{Result, Trouble};
use serde::Deserialize;

/// The targets that come with the program.
const SHIPPED: &str = include_str!("../targets.toml");

/// Where a kernel is in its package, if the target does not say.
const KERNELS: [&str; 2] = ["boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz*"];

/// How a program is run on a kind of target.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The command, with placeholders.
    pub command: Vec<String>,
    /// Commands that it needs, each with the package that has it.
    #[serde(default)]
    pub needs: BTreeMap<String, String>,
    /// What `ipcspec run` is told besides.
    #[serde(default)]
    pub run: Vec<String>,
    /// Seconds in which nothing may come.
    #[serde(default = "silence")]
    pub silence: u64,
}

fn silence() -> u64 {
    180
}

/// One target.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What it is called, and its files.
    pub name: String,
    /// What it is.
    #[serde(default)]
    pub about: String,
    /// The name of a [`Start`].
    pub start: String,
    /// The release that its packages are of.
    #[serde(default)]
    pub suite: String,
    /// Its packages: a regular expression each.
    #[serde(default)]
    pub packages: Vec<String>,
    /// The kernel: a path, or a glob below the target's root.
    #[serde(default)]
    pub kernel: String,
    /// The triple of the program, if it is not that of this one.
    #[serde(default)]
    pub program: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    start: BTreeMap<String, Start>,
    #[serde(default)]
    target: Vec<Target>,
}

/// All targets that are known, and how they are started.
#[derive(Debug)]
pub struct Targets {
    starts: BTreeMap<String, Start>,
    all: Vec<Target>,
}

impl Targets {
    /// The shipped ones.
    pub fn shipped() -> Self {
        let mut targets = Self { starts: BTreeMap::new(), all: vec![] };
        targets.add("targets.toml", SHIPPED).expect("the shipped targets are sound");
        targets
    }

    /// Adds those of a file.
    pub fn read(&mut self, file: &str) -> Result {
        let text = std::fs::read_to_string(file).map_err(|error| Trouble::with(file, error))?;
        self.add(file, &text)
    }

    fn add(&mut self, file: &str, text: &str) -> Result {
        let read: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            Trouble::with(format!("{file}, line {line}"), error.message())
        })?;
        for (name, start) in read.start {
            if start.command.is_empty() {
                return Err(Trouble(format!("{file}: start {name:?} has no command")));
            }
            self.starts.insert(name, start);
        }
        for target in read.target {
            self.push(target).map_err(|trouble| Trouble::with(file, trouble))?;
        }
        Ok(())
    }

    /// Adds one.
    pub fn push(&mut self, target: Target) -> Result {
        let Target { name, start, suite, .. } = &target;
        if name.is_empty()
            || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-._+~".contains(c))
        {
            return Err(Trouble(format!(
                "target {name:?}: letters, digits, - . _ + and ~ are needed"
            )));
        }
        if self.all.iter().any(|known| known.name == *name) {
            return Err(Trouble(format!("target {name:?} is there twice")));
        }
        if !self.starts.contains_key(start) {
            return Err(Trouble(format!("target {name:?}: there is no start {start:?}")));
        }
        if suite.is_empty() && !target.packages.is_empty() {
            return Err(Trouble(format!("target {name:?}: packages, and no suite")));
        }
        self.all.push(target);
        Ok(())
    }

    /// A start that nobody named: a command of the user's.
    pub fn start(&mut self, name: &str, command: Vec<String>) {
        let run = vec![];
        let start = Start { command, needs: BTreeMap::new(), run, silence: silence() };
        self.starts.insert(name.to_owned(), start);
    }

    /// Those of these names, all when there is none.
    pub fn select(&self, names: &[String]) -> Result<Vec<&Target>> {
        let known = |name: &String| {
            self.all.iter().find(|target| target.name == *name).ok_or_else(|| {
                Trouble(format!("no target {name:?}; `ipcspec-lab list` names them all"))
            })
        };
        if names.is_empty() {
            return Ok(self.all.iter().collect());
        }
        names.iter().map(known).collect()
    }

    /// How a target is started.
    pub fn start_of(&self, target: &Target) -> &Start {
        &self.starts[&target.start]
    }
}

impl Target {
    /// Where its packages are unpacked.
    pub fn root(&self, cache: &Path) -> PathBuf {
        cache.join("targets").join(&self.name)
    }

    /// Whether what it is made of is there.
    pub fn is_fetched(&self, cache: &Path) -> bool {
        self.packages.is_empty() || self.root(cache).is_dir()
    }

    /// Its kernel, where it has one.
    pub fn kernel(&self, cache: &Path) -> Result<Option<PathBuf>> {
        let root = self.root(cache);
        let find = |pattern: &str| {
            let pattern = root.join(pattern);
            let mut found: Vec<_> = glob::glob(&pattern.to_string_lossy())
                .map(|paths| paths.flatten().collect())
                .unwrap_or_default();
            alphanumeric_sort::sort_path_slice(&mut found);
            found.pop()
        };
        if self.kernel.is_empty() {
            return Ok(KERNELS.iter().find_map(|pattern| find(pattern)));
        }
        match find(&self.kernel) {
            Some(kernel) => Ok(Some(kernel)),
            None => Err(Trouble(format!("{}: no kernel {}", self.name, self.kernel))),
        }
    }

    /// The triple that its program is built for.
    pub fn triple(&self) -> String {
        let ours = || format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        self.program.clone().unwrap_or_else(ours)
    }
}

impl Start {
    /// What a placeholder occurs in.
    pub fn uses(&self, placeholder: &str) -> bool {
        self.command.iter().any(|word| word.contains(placeholder))
    }

    /// Commands that are missing, each with the package that has it.
    pub fn missing(&self) -> Vec<(&str, &str)> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let there =
            |name: &str| std::env::split_paths(&path).any(|place| place.join(name).is_file());
        let words = self.needs.iter().map(|(name, package)| (name.as_str(), package.as_str()));
        words.filter(|(name, _)| !there(name)).collect()
    }
}

/// What stands for the placeholders of a command.
#[derive(Debug, Clone)]
pub struct Filling {
    /// Each placeholder with its braces, and its value.
    pub values: Vec<(&'static str, String)>,
    /// What the program is told.
    pub arguments: Vec<String>,
}

impl Filling {
    /// The command with everything in its place.
    pub fn fill(&self, command: &[String]) -> Vec<String> {
        const ARGUMENTS: &str = "{arguments}";
        let mut filled = vec![];
        for word in command {
            if word == ARGUMENTS {
                filled.extend(self.arguments.iter().cloned());
                continue;
            }
            let mut word = word.replace(ARGUMENTS, &self.arguments.join(" "));
            for (placeholder, value) in &self.values {
                word = word.replace(placeholder, value);
            }
            filled.push(word);
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_spliced_or_joined() {
        let arguments = vec!["run".to_owned(), "-q".to_owned()];
        let filling = Filling { values: vec![("{program}", "/p".to_owned())], arguments };
        let command = ["{program}", "{arguments}", "-append", "x -- {program} {arguments}"];
        let filled = filling.fill(&command.map(str::to_owned));
        assert_eq!(filled, ["/p", "run", "-q", "-append", "x -- /p run -q"]);
    }

    #[test]
    fn shipped_targets_are_sound() {
        let targets = Targets::shipped();
        assert!(targets.select(&[]).unwrap().len() >= 9);
        for target in targets.select(&[]).unwrap() {
            assert!(targets.start_of(target).uses("{arguments}"), "{}", target.name);
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let mut targets = Targets::shipped();
        let told = targets.add("f", "[[target]]\nname = 1\n").unwrap_err().to_string();
        assert!(told.starts_with("f, line 2: "), "{told}");
        let told = targets.add("f", "[[target]]\nname = 'a'\nstart = 'b'").unwrap_err().to_string();
        assert_eq!(told, "f: target \"a\": there is no start \"b\"");
        let told = targets.add("f", "[[target]]\nname = '../a'\nstart = 'qemu'").unwrap_err();
        assert!(told.to_string().starts_with("f: target \"../a\": letters, "), "{told}");
        // As Debian names kernels.
        let name = "vmlinuz-6.12.107+deb13-amd64";
        targets.add("f", &format!("[[target]]\nname = '{name}'\nstart = 'qemu'")).unwrap();
    }
}
