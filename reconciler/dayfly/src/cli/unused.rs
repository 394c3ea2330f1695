//! Options that a command has no use for are refused, not ignored: whoever gives one expects something of it. So is a stated
//! time where something is written: what git and the ledger date is dated by the clock.

use clap::ArgMatches;
use clap::parser::ValueSource;
use dayfly_controller::error::Error;

/// An option, by the name that clap knows it by and as people write it.
type CommandOption = (&'static str, &'static str);
/// An option without use, and what to do instead of giving it.
type UnusedOption = (CommandOption, &'static str);

const FOLDER: CommandOption = ("platform", "-C");
const KUBECONFIG: CommandOption = ("kubeconfig", "--kubeconfig");
const CONTEXT: CommandOption = ("context", "--context");
const KEY: CommandOption = ("ledger_key", "--ledger-key");
const NOW: CommandOption = ("now", "--now");
const OUTPUT: CommandOption = ("output", "-o");
const PORT: CommandOption = ("port", "--port");
const ONCE: CommandOption = ("once", "--once");
const CONFIRM: CommandOption = ("confirm", "--confirm");
const FORMAT: CommandOption = ("format", "--format");

/// The commands that write to git, the ledger or a cluster that is not theirs.
const WRITES: [&str; 7] = ["adopt", "apply", "init", "new", "renew", "retire", "run"];

const NO_CLUSTER: &str = "leave it out: no cluster is asked; `dayfly plan` compares the files with one";
const NO_APPROVALS: &str = "leave it out: no approvals are read; `dayfly status` tells what waits for one";
const NO_PLATFORM: &str = "leave it out: the answer is the same for every platform";

const CLOCK: &str = "leave it out: what is written is dated by the clock; `dayfly status --now TIME` looks ahead";

/// Which commands take `--now`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatedTime {
    /// Those that only read, and `up` on its own cluster.
    ToRead,
    /// All: a test plays whole lives.
    ToWrite,
}

/// Refuses the first option that was given and that the command has no use for.
pub fn refuse(matches: &ArgMatches, stated: StatedTime) -> Result<(), Error> {
    let Some((name, own)) = matches.subcommand() else { return Ok(()) };
    let is_given = |(id, _): CommandOption| {
        let is_known = own.ids().any(|known| known == id);
        is_known && own.value_source(id) == Some(ValueSource::CommandLine)
    };
    let mut unused = never_used(name).into_iter().chain(unused_beside_others(name, is_given));
    if let Some(((_, option), instead)) = unused.find(|(option, _)| is_given(*option)) {
        return Err(Error::usage(format!("`dayfly {name}` has no use for {option}"), instead));
    }
    let writes = WRITES.contains(&name) || (name == "up" && is_given(CONTEXT));
    if writes && stated == StatedTime::ToRead && is_given(NOW) {
        return Err(Error::usage(format!("`dayfly {name}` takes no --now, since it writes"), CLOCK));
    }
    Ok(())
}

/// The command line, whose help offers no command what that command never uses.
pub fn hidden_from_help(mut line: clap::Command) -> clap::Command {
    let options: Vec<_> = line.get_arguments().cloned().collect();
    let names: Vec<_> = line.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        let mut unused: Vec<_> = never_used(&name).into_iter().map(|((id, _), _)| id).collect();
        unused.extend(WRITES.contains(&&*name).then_some(NOW.0));
        let is_unused = |option: &&clap::Arg| unused.iter().any(|id| option.get_id() == *id);
        let hidden: Vec<_> = options.iter().filter(is_unused).map(|option| option.clone().hide(true)).collect();
        line = line.mut_subcommand(name, |command| command.args(hidden));
    }
    line
}

/// What a command of that name never uses.
fn never_used(command: &str) -> Vec<UnusedOption> {
    match command {
        "init" => vec![
            (FOLDER, "name the new folder as the argument: dayfly init DIR"),
            (KUBECONFIG, "leave it out: `dayfly up` in the new folder starts a cluster"),
            (CONTEXT, "leave it out: environments/ in the new folder names the clusters"),
            (KEY, "leave it out: nothing is signed; `dayfly up` or `dayfly adopt` in the new folder does that"),
            (OUTPUT, "leave it out: the result is the new folder"),
        ],
        "adopt" | "renew" => vec![(KUBECONFIG, NO_CLUSTER), (CONTEXT, NO_CLUSTER)],
        "new" => vec![
            (KUBECONFIG, NO_CLUSTER),
            (CONTEXT, NO_CLUSTER),
            (KEY, "leave it out: nothing is signed; `dayfly adopt` approves a commit"),
        ],
        // A reading command takes `--now`, also where the answer is the same at every time.
        "check" | "render" | "policy" => vec![(KUBECONFIG, NO_CLUSTER), (CONTEXT, NO_CLUSTER), (KEY, NO_APPROVALS)],
        "run" => vec![(OUTPUT, "leave it out: each pass is told in lines; `dayfly status -o json` is for scripts")],
        "schema" => [FOLDER, KUBECONFIG, CONTEXT, KEY, NOW].map(|option| (option, NO_PLATFORM)).into(),
        "completions" => {
            let mut unused = never_used("schema");
            unused.push((OUTPUT, "leave it out: the shell's name says the form"));
            unused
        }
        _ => vec![],
    }
}

/// What a command has no use for, as its other options are.
fn unused_beside_others(command: &str, is_given: impl Fn(CommandOption) -> bool) -> Vec<UnusedOption> {
    let no_cluster = "leave it out: a commit ends the app, and no cluster is asked";
    let candidates = match command {
        "up" => vec![
            (is_given(CONTEXT), PORT, "leave it out: with --context no API is started here"),
            (!is_given(CONTEXT), KUBECONFIG, "say with --context NAME which of its clusters to use"),
            (!is_given(ONCE), OUTPUT, "add --once, or use `dayfly status -o json` in another terminal"),
        ],
        "retire" => vec![(!is_given(CONFIRM), KUBECONFIG, no_cluster), (!is_given(CONFIRM), CONTEXT, no_cluster)],
        "check" => vec![(is_given(FORMAT), OUTPUT, "leave it out: --format says the form of the report already")],
        _ => vec![],
    };
    candidates.into_iter().filter(|(is_unused, ..)| *is_unused).map(|(_, option, help)| (option, help)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_knows_every_option_that_is_refused() {
        let line = Cli::command();
        for (id, written) in [FOLDER, KUBECONFIG, CONTEXT, KEY, NOW, OUTPUT, CONFIRM, FORMAT] {
            let of_commands = line.get_subcommands().flat_map(|command| command.get_arguments());
            let option = line.get_arguments().chain(of_commands).find(|option| option.get_id() == id).unwrap();
            let (short, long) =
                (option.get_short().map(|c| format!("-{c}")), option.get_long().map(|l| format!("--{l}")));
            assert!(short.as_deref() == Some(written) || long.as_deref() == Some(written), "{id} is not {written}");
        }
    }

    fn said(arguments: &[&str], stated: StatedTime) -> Result<(), String> {
        let matches = Cli::command().try_get_matches_from([&["dayfly"], arguments].concat()).unwrap();
        refuse(&matches, stated).map_err(|error| error.to_string())
    }

    #[test]
    fn what_writes_refuses_a_stated_time_and_what_reads_takes_it() {
        let now = ["--now", "2020-01-01"];
        let writing: [&[&str]; 10] = [
            &["adopt"],
            &["adopt", "--app", "survey"],
            &["apply"],
            &["init", "platform"],
            &["new"],
            &["renew", "survey"],
            &["retire", "survey"],
            &["retire", "--confirm"],
            &["run"],
            &["up", "--context", "pilot"],
        ];
        for command in writing {
            let refused = Err(format!("`dayfly {}` takes no --now, since it writes", command[0]));
            assert_eq!(said(&[command, &now[..]].concat(), StatedTime::ToRead), refused, "{command:?}");
            assert_eq!(said(&[&now[..], command].concat(), StatedTime::ToRead), refused, "{command:?}");
            assert_eq!(said(command, StatedTime::ToRead), Ok(()));
            assert_eq!(said(&[command, &now[..]].concat(), StatedTime::ToWrite), Ok(()));
        }
        let reading: [&[&str]; 7] = [
            &["check"],
            &["render", "survey"],
            &["plan"],
            &["status"],
            &["policy", "test"],
            &["up"],
            &["up", "--once"],
        ];
        for command in reading {
            assert_eq!(said(&[command, &now[..]].concat(), StatedTime::ToRead), Ok(()), "{command:?}");
        }
    }

    #[test]
    fn every_command_that_refuses_an_option_exists() {
        let line = Cli::command();
        for name in ["init", "adopt", "renew", "new", "check", "render", "policy", "run", "schema", "completions"] {
            assert!(line.find_subcommand(name).is_some() && !never_used(name).is_empty(), "{name}");
        }
        assert!(WRITES.iter().all(|name| line.find_subcommand(name).is_some()));
    }
}
