//! `dayfly init`: a platform of one's own, from the shipped one.

use std::fs;
use std::path::PathBuf;

use dayfly_controller::error::Error;
use dayfly_model::help::shell;

use super::CommandResult;
use super::context::CommandContext;
use crate::operations::shipped;

/// Start a platform of your own
#[derive(clap::Args)]
pub struct InitArgs {
    /// The new folder
    directory: PathBuf,
    /// Take the sample apps along
    #[arg(long)]
    samples: bool,
}

impl InitArgs {
    /// Writes the files and commits them.
    pub fn run(self, context: &CommandContext) -> CommandResult {
        let (directory, shown) = (&self.directory, self.directory.display());
        if directory.is_file() {
            return Err(Error::usage(format!("{shown}: is a file"), "name a new folder").into());
        }
        let is_taken = fs::read_dir(directory).is_ok_and(|mut items| items.next().is_some());
        if is_taken {
            let help = "name a new folder; to take over a platform that stands, run `dayfly adopt` in it";
            return Err(Error::usage(format!("{shown}: the folder is not empty"), help).into());
        }
        fs::create_dir_all(directory).map_err(Error::file(directory))?;
        let files = shipped::start(directory, self.samples, context.now())?;
        context.printer.note(format!("a platform stands in {shown} ({files} files, one commit)"));
        context.printer.note(format!(
            "next:  cd {}\n       dayfly new --template simple-survey/v1 --name first-survey --commit\n       dayfly up",
            shell(directory)
        ));
        Ok(0)
    }
}
