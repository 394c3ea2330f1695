//! A platform in a folder of its own, and `dayfly` run on it with nothing of the machine around: no home, no clock, no
//! git or cluster settings.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use git2::{ObjectType, Oid, Repository, Signature, Time};
use jiff::Timestamp;
use tempfile::TempDir;

use crate::{DEADLINE, folders};

/// The moment that a test takes as now where it says nothing else.
pub const NOW: &str = "2026-03-01T12:00:00Z";

/// The commands that take no moment.
const TIMELESS: [&str; 2] = ["schema", "completions"];

/// A folder for a platform, gone with the value.
pub struct TestEnvironment {
    root: TempDir,
    binary: PathBuf,
}

/// What a command answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutput {
    /// The results.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
    /// The exit code; none where a signal ended it.
    pub code: Option<i32>,
}

impl TestEnvironment {
    /// An empty folder. `binary` is `env!("CARGO_BIN_EXE_dayfly-under-test")`.
    pub fn empty(binary: &str) -> Self {
        let root = tempfile::Builder::new().prefix("dayfly-case-").tempdir().unwrap();
        for folder in ["home", "platform"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root, binary: binary.into() }
    }

    /// A copy of the platform that ships.
    pub fn sample(binary: &str) -> Self {
        let environment = Self::empty(binary);
        folders::copy_shipped_platform(&environment.platform());
        environment
    }

    /// The platform's folder.
    pub fn platform(&self) -> PathBuf {
        self.root.path().join("platform")
    }

    /// Runs `dayfly` in the platform's folder, at [`NOW`] unless the arguments say when.
    pub fn dayfly(&self, arguments: &[&str]) -> CommandOutput {
        self.masked(run(self.command(arguments)))
    }

    /// The command of [`Self::dayfly`], for a test that starts it itself.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(self.platform()).env_clear().envs([
            ("HOME", self.root.path().join("home").as_os_str()),
            ("NO_COLOR", "1".as_ref()),
            ("LC_ALL", "C".as_ref()),
        ]);
        let is_timeless = TIMELESS.iter().any(|name| arguments.contains(name));
        if !is_timeless && !arguments.contains(&"--now") {
            command.args(["--now", NOW]);
        }
        command
    }

    /// The output with the folder's own name taken out.
    fn masked(&self, output: CommandOutput) -> CommandOutput {
        let root = self.root.path().to_string_lossy().into_owned();
        let mask = |text: String| text.replace(&root, "[ROOT]");
        CommandOutput { stdout: mask(output.stdout), stderr: mask(output.stderr), ..output }
    }

    /// Writes a file of the platform, and the folders above it.
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let file = self.platform().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }

    /// Reads a file of the platform.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.platform().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Replaces a text that stands exactly once in a file of the platform.
    pub fn replace(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert_eq!(text.matches(from).count(), 1, "{path}: {from:?} does not stand there once:\n{text}");
        self.write(path, text.replace(from, to));
    }

    /// Copies a folder over the platform.
    pub fn overlay(&self, folder: &Path) {
        folders::copy(folder, &self.platform());
    }

    /// The platform's git repository, made where it is absent.
    pub fn repository(&self) -> Repository {
        Repository::open(self.platform()).unwrap_or_else(|_| {
            let mut options = git2::RepositoryInitOptions::new();
            options.external_template(false).initial_head("main");
            Repository::init_opts(self.platform(), &options).unwrap()
        })
    }

    /// Commits all files as they stand at a moment, whatever their names: links stay links, and a folder with a `.git` in
    /// it becomes a submodule.
    pub fn commit(&self, at: &str, message: &str) -> Oid {
        let git = self.repository();
        let tree = tree(&git, &self.platform());
        let seconds = at.parse::<Timestamp>().unwrap().as_second();
        let by = Signature::new("Robin", "robin@example.com", &Time::new(seconds, 0)).unwrap();
        let parent = git.head().ok().map(|head| head.peel_to_commit().unwrap());
        let tree = git.find_tree(tree).unwrap();
        let id = git.commit(Some("HEAD"), &by, &by, message, &tree, &parent.iter().collect::<Vec<_>>()).unwrap();
        // Names that git refuses stay out of the index; nothing reads it then.
        let mut index = git.index().unwrap();
        if index.read_tree(&tree).is_ok() {
            index.write().unwrap();
        }
        id
    }
}

/// Runs a command to its end, or fails when it takes too long.
fn run(mut command: Command) -> CommandOutput {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let (stdout, stderr) = (drain(child.stdout.take().unwrap()), drain(child.stderr.take().unwrap()));
    let start = Instant::now();
    let mut ended = child.try_wait().unwrap();
    while ended.is_none() && start.elapsed() < DEADLINE {
        std::thread::sleep(Duration::from_millis(5));
        ended = child.try_wait().unwrap();
    }
    if ended.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    let status = ended.unwrap_or_else(|| panic!("the command hangs; so far it said:\n{stdout}{stderr}"));
    CommandOutput { stdout, stderr, code: status.code() }
}

/// Reads a stream to its end, beside others.
fn drain(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).expect("the output is UTF-8")
    })
}

/// Writes a folder as a tree object, as it stands.
fn tree(git: &Repository, folder: &Path) -> Oid {
    // Git sorts a folder as if its name ended in a slash.
    let mut entries = BTreeMap::new();
    for item in fs::read_dir(folder).unwrap() {
        let item = item.unwrap();
        let (name, path, kind) = (item.file_name().into_encoded_bytes(), item.path(), item.file_type().unwrap());
        let is_own = name == b".git" || name == b".dayfly";
        let (mode, id) = if kind.is_symlink() {
            ("120000", git.blob(fs::read_link(&path).unwrap().as_os_str().as_encoded_bytes()).unwrap())
        } else if kind.is_dir() && path.join(".git").exists() {
            ("160000", Oid::from_str(&"5".repeat(40)).unwrap())
        } else if kind.is_dir() && !is_own {
            ("40000", tree(git, &path))
        } else if kind.is_file() && !is_own {
            ("100644", git.blob(&fs::read(&path).unwrap()).unwrap())
        } else {
            continue;
        };
        let key = [name.as_slice(), if mode == "40000" { b"/" } else { b"" }].concat();
        entries.insert(key, [mode.as_bytes(), b" ", &name, b"\0", id.as_bytes()].concat());
    }
    let bytes: Vec<u8> = entries.into_values().flatten().collect();
    git.odb().unwrap().write(ObjectType::Tree, &bytes).unwrap()
}
