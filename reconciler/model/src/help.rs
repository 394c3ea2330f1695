//! Next steps that many messages share: a path as a shell takes it, a disk that takes no more.

use std::path::Path;

/// A path as a shell takes it: in quotes where it has more than plain characters.
pub fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@,:".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The next step where the system says that a disk takes no more, whoever hands that on.
pub fn disk_help(said: &str) -> Option<&'static str> {
    let is_said = |words: &str| said.contains(words);
    if is_said("No space left on device") || is_said("Disk quota exceeded") {
        Some("the disk is full: free some space, then run the same command again")
    } else if is_said("Read-only file system") {
        Some("the disk cannot be written: make it writable, or work in a folder that is")
    } else if is_said("Permission denied") {
        Some("this account may not do that there: give it the right, or work in a folder of its own")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::shell;

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        for (path, word) in [("a/b.git", "a/b.git"), ("my apps", "'my apps'"), ("it's", r"'it'\''s'")] {
            assert_eq!(shell(path.as_ref()), word);
        }
    }
}
