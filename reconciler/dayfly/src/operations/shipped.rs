//! The platform that ships with the program, as the beginning of one's own.

use std::path::Path;

use dayfly_controller::error::Error;
use dayfly_git::{Base, Commit, MAIN, Writer};
use jiff::Timestamp;

/// Every file of `apps/ catalog/ environments/ policies/`, by path.
const SHIPPED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// Makes a repository in an empty folder whose first commit has the shipped files. Returns how many these are.
pub fn start(directory: &Path, with_samples: bool, now: Timestamp) -> Result<usize, Error> {
    let mut files: Vec<(String, Option<Vec<u8>>)> = SHIPPED
        .iter()
        .filter(|(path, _)| with_samples || !path.starts_with("apps/"))
        .map(|(path, bytes)| ((*path).to_owned(), Some(bytes.to_vec())))
        .collect();
    files.push((".gitignore".into(), Some(b".dayfly/\n".to_vec())));
    dayfly_git::init(directory)?;
    let message = "platform: start\n\nCatalog, environments and policies as Dayfly ships them.\n";
    let count = files.len();
    let commit = Commit { edits: files, message: message.into(), time: now };
    Writer::open(directory)?.commit(MAIN, Base::Orphan, &commit)?;
    Ok(count)
}
