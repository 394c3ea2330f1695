//! The command line, case by case: each folder of `cases/` is a platform, commands, and what they must answer.
//!
//! - `cmd`: a comment that says what holds, then commands, a line each: `dayfly …`, or `show REV`, `cat PATH`, `list
//!   PATH` to see the result; `| grep TEXT` keeps the lines that have the text
//! - `in/`: files put over the sample platform
//! - `setup.yaml`: what stored files cannot say, a step each (see [`SetupStep`])
//! - `out/`: the expected `stdout`, `stderr` and `code`; `DAYFLY_BLESS=1` writes them
//!
//! Commits are named by their branch (`[main~1]`), digests and keys are `[DIGEST]` and `[KEY]`, so that an answer stays the
//! same when a file of the sample changes that it does not depend on.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test fails loudly")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dayfly_tests::environment::{CommandOutput, TestEnvironment};
use git2::Repository;
use libtest_mimic::{Arguments, Failed, Trial};
use serde::Deserialize;
use similar::TextDiff;

/// One step of a `setup.yaml`. Paths are the platform's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum SetupStep {
    /// Removes a file or a folder; `.` for all that ships.
    Remove(String),
    /// Writes a text; `executable` for a script.
    #[serde(rename_all = "camelCase")]
    Write {
        path: String,
        text: String,
        #[serde(default)]
        executable: bool,
    },
    /// Replaces a text that stands exactly once in a file.
    Replace { path: String, from: String, to: String },
    /// Adds a text at a file's end.
    Append { path: String, text: String },
    /// Writes bytes: each character of the text is one byte, so `\xff` is the byte 255.
    Bytes { path: String, text: String },
    /// Writes a text many times, between two others.
    Repeat {
        path: String,
        #[serde(default)]
        before: String,
        text: String,
        times: usize,
        #[serde(default)]
        after: String,
    },
    /// Makes a symbolic link.
    Symlink { path: String, to: String },
    /// Makes a folder that git takes for a repository of its own.
    Submodule(String),
    /// Makes the repository, without a commit.
    Repository,
    /// Commits everything at a moment.
    Commit { at: String, message: String },
    /// Cuts the history off, as a shallow clone does.
    Shallow,
    /// Gives the default branch another name, without a word to HEAD.
    Rename(String),
    /// Writes rubbish in place of a committed file's object.
    Damage(String),
    /// Runs a command whose answer does not matter, but it must succeed.
    Dayfly(String),
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut names: Vec<_> = fs::read_dir(cases()).unwrap().map(|item| item.unwrap().path()).collect();
    names.sort();
    let trials = names.into_iter().map(|folder| {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        Trial::test(name, move || case(&folder))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

fn case(folder: &Path) -> Result<(), Failed> {
    let environment = TestEnvironment::sample(env!("CARGO_BIN_EXE_dayfly-under-test"));
    if folder.join("in").is_dir() {
        environment.overlay(&folder.join("in"));
    }
    if let Ok(text) = fs::read_to_string(folder.join("setup.yaml")) {
        let steps: serde_json::Value = serde_yaml::from_str(&text)?;
        let steps: Vec<SetupStep> = serde_json::from_value(steps).map_err(|e| format!("setup.yaml: {e}"))?;
        steps.iter().for_each(|step| prepare(&environment, step));
    }
    let script = fs::read_to_string(folder.join("cmd"))?;
    let lines: Vec<_> = script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    if !script.starts_with("# ") || lines.is_empty() {
        return Err("cmd: begins with a comment that says what holds, and has a command".into());
    }
    let mut found: BTreeMap<&str, String> = BTreeMap::new();
    for line in &lines {
        let output = perform(&environment, line);
        let code = output.code.map_or("signal".to_owned(), |code| code.to_string()) + "\n";
        for (stream, text) in [("stdout", output.stdout), ("stderr", output.stderr), ("code", code)] {
            let all = found.entry(stream).or_default();
            if lines.len() > 1 && stream != "code" && !text.is_empty() {
                writeln!(all, "$ {line}").unwrap();
            }
            all.push_str(&text);
        }
    }
    compare(folder, &found)
}

/// Holds what was answered against `out/`, or writes it there.
fn compare(folder: &Path, found: &BTreeMap<&str, String>) -> Result<(), Failed> {
    let out = folder.join("out");
    let mut differences = String::new();
    for (stream, text) in found {
        let file = out.join(stream);
        if std::env::var_os("DAYFLY_BLESS").is_some() {
            fs::create_dir_all(&out)?;
            fs::write(&file, text)?;
            continue;
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if expected != *text {
            let diff = TextDiff::from_lines(&expected, text);
            differences.push_str(&diff.unified_diff().header(&format!("out/{stream}"), "found").to_string());
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(differences.into()) }
}

fn prepare(environment: &TestEnvironment, step: &SetupStep) {
    let at = |path: &str| environment.platform().join(path);
    let folder_of = |path: &str| fs::create_dir_all(at(path).parent().unwrap()).unwrap();
    match step {
        SetupStep::Remove(path) if path == "." => {
            fs::remove_dir_all(environment.platform()).unwrap();
            fs::create_dir(environment.platform()).unwrap();
        }
        SetupStep::Remove(path) if at(path).is_dir() => fs::remove_dir_all(at(path)).unwrap(),
        SetupStep::Remove(path) => fs::remove_file(at(path)).unwrap(),
        SetupStep::Write { path, text, executable } => {
            environment.write(path, text);
            #[cfg(unix)]
            if *executable {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                fs::set_permissions(at(path), mode).unwrap();
            }
        }
        SetupStep::Replace { path, from, to } => environment.replace(path, from, to),
        SetupStep::Append { path, text } => environment.write(path, environment.read(path) + text),
        SetupStep::Bytes { path, text } => {
            environment.write(path, text.chars().map(|c| u8::try_from(c).unwrap()).collect::<Vec<_>>());
        }
        SetupStep::Repeat { path, before, text, times, after } => {
            environment.write(path, format!("{before}{}{after}", text.repeat(*times)));
        }
        SetupStep::Symlink { path, to } => {
            folder_of(path);
            #[cfg(unix)]
            std::os::unix::fs::symlink(to, at(path)).unwrap();
        }
        SetupStep::Submodule(path) => environment.write(&format!("{path}/.git"), "gitdir: ../../.git/modules/other\n"),
        SetupStep::Repository => drop(environment.repository()),
        SetupStep::Commit { at, message } => drop(environment.commit(at, message)),
        SetupStep::Shallow => {
            let tip = environment.repository().head().unwrap().target().unwrap();
            environment.write(".git/shallow", format!("{tip}\n"));
        }
        SetupStep::Rename(name) => {
            let git = environment.repository();
            let head = git.head().unwrap();
            git.branch(name, &head.peel_to_commit().unwrap(), true).unwrap();
            git.find_reference(head.name().unwrap()).unwrap().delete().unwrap();
        }
        SetupStep::Damage(path) => {
            let id = environment.repository().revparse_single(&format!("HEAD:{path}")).unwrap().id().to_string();
            let object = format!(".git/objects/{}/{}", &id[..2], &id[2..]);
            fs::remove_file(at(&object)).unwrap();
            environment.write(&object, "rubbish");
        }
        SetupStep::Dayfly(line) => {
            let output = environment.dayfly(&words(line).iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(output.code, Some(0), "setup: dayfly {line}\n{}", output.stderr);
        }
    }
}

/// Performs one line of a `cmd`.
fn perform(environment: &TestEnvironment, line: &str) -> CommandOutput {
    let (command, pattern) = line.split_once(" | grep ").unwrap_or((line, ""));
    let words = words(command);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let said = |stdout: String| CommandOutput { stdout, stderr: String::new(), code: Some(0) };
    let output = match words.as_slice() {
        ["dayfly", arguments @ ..] => environment.dayfly(arguments),
        ["show", revision] => said(show(&environment.repository(), revision)),
        ["cat", path] if !environment.platform().join(path).exists() => said("nothing\n".into()),
        ["cat", path] => said(environment.read(path)),
        ["list", path] => said(list(&environment.platform().join(path))),
        _ => panic!("cmd: {line:?} is no command: dayfly, show, cat, list"),
    };
    let commits = Repository::open(environment.platform()).map(|git| commits(&git)).unwrap_or_default();
    let mask = |text: String| masked(text, &commits);
    let matching = output.stdout.split_inclusive('\n').filter(|line| line.contains(pattern));
    CommandOutput { stdout: mask(matching.collect()), stderr: mask(output.stderr), ..output }
}

/// The words of a line, as a shell splits it; quotes keep spaces, and `\n` is a new line.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.replace("\\n", "\n").chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (' ', None) => words.push(String::new()),
            (c, _) => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A commit's author, time, message and changes.
fn show(git: &Repository, revision: &str) -> String {
    let Ok(commit) = git.revparse_single(revision).and_then(|found| found.peel_to_commit()) else {
        return "nothing\n".into();
    };
    let before = commit.parent(0).ok().map(|parent| parent.tree().unwrap());
    let after = commit.tree().unwrap();
    let mut options = git2::DiffOptions::new();
    options.context_lines(1).id_abbrev(0);
    let diff = git.diff_tree_to_tree(before.as_ref(), Some(&after), Some(&mut options)).unwrap();
    let (author, at) = (commit.author(), jiff::Timestamp::from_second(commit.time().seconds()).unwrap());
    let mut text = format!("{author} {at}\n\n{}\n", commit.message().unwrap());
    diff.print(git2::DiffFormat::Patch, |_, _, line| {
        let content = String::from_utf8_lossy(line.content());
        match line.origin() {
            '+' | '-' | ' ' => write!(text, "{}{content}", line.origin()).unwrap(),
            _ => {
                content.lines().filter(|line| !line.starts_with("index ")).for_each(|l| writeln!(text, "{l}").unwrap())
            }
        }
        true
    })
    .unwrap();
    text
}

/// The files under a folder, or that there is nothing.
fn list(path: &Path) -> String {
    if !path.exists() {
        return "nothing\n".into();
    }
    let mut names = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).unwrap().map(Result::unwrap).filter(|item| item.file_name() != ".git") {
            match item.file_type().unwrap().is_dir() {
                true => folders.push(item.path()),
                false => names.push(item.path().strip_prefix(path).unwrap().to_string_lossy().into_owned() + "\n"),
            }
        }
    }
    names.sort();
    names.concat()
}

/// The commits of all branches, each with a name such as `main~1`, oldest branch names first.
fn commits(git: &Repository) -> Vec<(String, String)> {
    let mut known: Vec<(String, String)> = Vec::new();
    let mut branches: Vec<_> = git.branches(None).unwrap().map(|branch| branch.unwrap().0).collect();
    branches.sort_by_key(|branch| branch.name().unwrap() != Some("main"));
    for branch in branches {
        let name = branch.name().unwrap().unwrap_or_default().to_owned();
        let mut next = branch.get().peel_to_commit().ok();
        for back in 0.. {
            let Some(commit) = next.filter(|commit| known.iter().all(|(id, _)| *id != commit.id().to_string())) else {
                break;
            };
            let label = if back == 0 { format!("[{name}]") } else { format!("[{name}~{back}]") };
            known.push((commit.id().to_string(), label));
            next = commit.parent(0).ok();
        }
    }
    known
}

/// A text without what differs from run to run, or whenever the sample changes.
fn masked(mut text: String, commits: &[(String, String)]) -> String {
    for (id, label) in commits {
        text = text.replace(id.as_str(), label).replace(&id[..12], label).replace(&id[..7], label);
    }
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let end = rest[start..].find(|c: char| !c.is_ascii_hexdigit()).map_or(rest.len(), |end| start + end);
        out.push_str(&rest[..start]);
        let is_key = ["key ", "key: ", "\"key\": \""].iter().any(|before| out.ends_with(before));
        out.push_str(match end - start {
            64 => "[DIGEST]",
            8.. if is_key => "[KEY]",
            _ => &rest[start..end],
        });
        rest = &rest[end..];
    }
    out + rest
}
