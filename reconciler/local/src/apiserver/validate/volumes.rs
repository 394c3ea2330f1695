//! The rules of volumes, of the files in them, and of where they are mounted.

use super::kinds::{Fields, text};
use super::{Report, below};
use serde_json::{Value, json};

pub(super) fn config_map(fields: &Fields, path: &str, report: &mut Report) {
    named(fields, path, "name", report);
    mode(fields, path, "defaultMode", report);
}

pub(super) fn secret(fields: &Fields, path: &str, report: &mut Report) {
    named(fields, path, "secretName", report);
    mode(fields, path, "defaultMode", report);
}

/// A volume of other sorts of files.
pub(super) fn files(fields: &Fields, path: &str, report: &mut Report) {
    mode(fields, path, "defaultMode", report);
}

/// A file in a volume.
pub(super) fn file(fields: &Fields, path: &str, report: &mut Report) {
    below_root(text(fields, "path"), below(path, "path"), report);
    mode(fields, path, "mode", report);
}

pub(super) fn host_path(fields: &Fields, path: &str, report: &mut Report) {
    no_steps_back(text(fields, "path"), below(path, "path"), report);
}

/// As the real server has it, without the number of the mount.
pub(super) fn mount(fields: &Fields, path: &str, report: &mut Report) {
    let list = path.rsplit_once('[').map_or(path, |(list, _)| list);
    for name in ["subPath", "subPathExpr"] {
        below_root(text(fields, name), below(list, name), report);
    }
}

/// Requires the name of what is referred to.
pub(super) fn named(fields: &Fields, path: &str, name: &str, report: &mut Report) {
    if text(fields, name).is_empty() {
        report.required(below(path, name), "");
    }
}

fn mode(fields: &Fields, path: &str, name: &str, report: &mut Report) {
    let wrong = |mode: &&Value| mode.as_i64().is_some_and(|mode| !(0..=0o777).contains(&mode));
    if let Some(mode) = fields.get(name).filter(wrong) {
        report.invalid(below(path, name), mode, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

fn below_root(file: &str, field: String, report: &mut Report) {
    if file.starts_with('/') {
        report.invalid(field.clone(), &json!(file), "must be a relative path");
    }
    no_steps_back(file, field, report);
}

fn no_steps_back(file: &str, field: String, report: &mut Report) {
    if file.split('/').any(|step| step == "..") {
        report.invalid(field, &json!(file), "must not contain '..'");
    }
}
