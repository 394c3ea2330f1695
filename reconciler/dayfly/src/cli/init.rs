//! `dayfly init`: a platform of one's own, from the shipped one.

use std::fs;
use std::path::PathBuf;

use dayfly_controller::error::Error;
use dayfly_git as git;
use dayfly_git::{Base, Commit, MAIN, Writer};
use dayfly_model::help::shell;

use super::{Context, Exit};

/// The shipped platform: every file of `apps/ catalog/ environments/ policies/`, by path.
const SHIPPED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// Start a platform of your own
#[derive(clap::Args)]
pub struct Init {
    /// The new folder
    directory: PathBuf,
    /// Take the sample apps along
    #[arg(long)]
    samples: bool,
}

impl Init {
    /// Writes the files and commits them.
    pub fn run(self, context: &Context) -> Exit {
        let directory = &self.directory;
        if directory.is_file() {
            return Err(Error::usage(format!("{}: is a file", directory.display()), "name a new folder"));
        }
        let is_taken = fs::read_dir(directory).is_ok_and(|mut items| items.next().is_some());
        if is_taken {
            return Err(Error::usage(
                format!("{}: the folder is not empty", directory.display()),
                "name a new folder; to take over a platform that stands, run `dayfly adopt` in it",
            ));
        }
        fs::create_dir_all(directory).map_err(Error::file(directory))?;
        let mut files: Vec<(String, Option<Vec<u8>>)> = SHIPPED
            .iter()
            .filter(|(path, _)| self.samples || !path.starts_with("apps/"))
            .map(|(path, bytes)| ((*path).to_owned(), Some(bytes.to_vec())))
            .collect();
        files.push((".gitignore".into(), Some(b".dayfly/\n".to_vec())));
        let failed = |e: git2::Error| git::Error::Broken { path: directory.clone(), message: e.message().to_owned() };
        let mut options = git2::RepositoryInitOptions::new();
        options.external_template(false).initial_head(MAIN);
        git2::Repository::init_opts(directory, &options).map_err(failed)?;
        let message = "platform: start\n\nCatalog, environments and policies as Dayfly ships them.\n";
        let count = files.len();
        let commit = Commit { edits: files, message: message.into(), time: context.now() };
        Writer::open(directory)?.commit(MAIN, Base::Orphan, &commit)?;
        context.output.note(format!("a platform stands in {} ({} files, one commit)", directory.display(), count));
        context.output.note(format!(
            "next:  cd {}\n       dayfly new --template simple-survey/v1 --name first-survey --commit\n       dayfly up",
            shell(directory)
        ));
        Ok(0)
    }
}
