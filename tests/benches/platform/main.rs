//! How fast a platform of N apps is: `cargo bench -p dayfly-tests -- [N]... [--core|--passes] [--runs N] [--json FILE]`.
//!
//! Each measurement runs in a process of its own, so that caches are cold and peaks of memory do not mix. A figure of the
//! core is the median of the runs. What the bare floors are, `floors.rs` says.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for terminals"
)]

mod core;
mod floors;
mod measure;
mod passes;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use crate::measure::Figures;

/// The marker of a child: what it measures, of how many apps, on how many threads.
const CHILD: &str = "--child";

struct Arguments {
    apps: Vec<usize>,
    runs: usize,
    core: bool,
    passes: bool,
    json: Option<String>,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [marker, what, apps, threads] = &words[..]
        && marker == CHILD
    {
        if what == "serve" {
            return passes::serve();
        }
        let figures = child(what, apps.parse().unwrap(), threads.parse().unwrap());
        println!("{}", serde_json::to_string(&figures).unwrap());
        return;
    }
    let arguments = Arguments::read(&words);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut all = BTreeMap::new();
    for apps in arguments.apps {
        let threads = [1, threads];
        for threads in threads.into_iter().take(if threads[1] > 1 { 2 } else { 1 }).filter(|_| arguments.core) {
            let figures = Figures::median((0..arguments.runs).map(|_| spawn("core", apps, threads)));
            let figures = figures.and(spawn("memory", apps, threads));
            core::print(apps, threads, &figures);
            all.insert(format!("core, {apps} apps, threads: {threads}"), figures);
        }
        if arguments.passes {
            let figures = spawn("passes", apps, 0).and(spawn("send", apps, 0));
            passes::print(apps, &figures);
            all.insert(format!("passes, {apps} apps"), figures);
        }
    }
    if let Some(path) = arguments.json {
        std::fs::write(path, serde_json::to_vec_pretty(&all).unwrap()).unwrap();
    }
}

fn child(what: &str, apps: usize, threads: usize) -> Figures {
    match what {
        "core" => core::measure(apps, threads),
        "memory" => core::measure_memory(apps, threads),
        "passes" => passes::measure(apps),
        "send" => passes::measure_floor(apps),
        other => panic!("{other} is nothing to measure"),
    }
}

fn spawn(what: &str, apps: usize, threads: usize) -> Figures {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([CHILD, what, &apps.to_string(), &threads.to_string()]).stderr(Stdio::inherit());
    let output = command.output().unwrap();
    assert!(output.status.success(), "the measurement of {what} failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

impl Arguments {
    fn read(words: &[String]) -> Self {
        let mut arguments = Self { apps: Vec::new(), runs: 3, core: true, passes: true, json: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value")).clone();
            match word.as_str() {
                "--core" => arguments.passes = false,
                "--passes" => arguments.core = false,
                "--runs" => arguments.runs = value().parse().unwrap(),
                "--json" => arguments.json = Some(value()),
                number => arguments.apps.push(number.parse().unwrap_or_else(|_| panic!("{number}: not a number"))),
            }
        }
        if arguments.apps.is_empty() {
            arguments.apps = vec![100, 1000];
        }
        arguments
    }
}
