//! The rules of volumes, of the files in them, and of their mounts.

use serde_json::{Value, json};

use super::{ValidationReport, below, require_text, text};
use crate::apiserver::object::JsonObject;

pub(super) fn config_map(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    require_text(fields, path, "name", report);
    mode(fields, path, "defaultMode", report);
}

pub(super) fn secret(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    require_text(fields, path, "secretName", report);
    mode(fields, path, "defaultMode", report);
}

/// Other volumes of files.
pub(super) fn files(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    mode(fields, path, "defaultMode", report);
}

/// A file in a volume.
pub(super) fn file(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    check_relative(text(fields, "path"), below(path, "path"), report);
    mode(fields, path, "mode", report);
}

pub(super) fn host_path(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    check_no_parent(text(fields, "path"), below(path, "path"), report);
}

/// As on a real server, the message does not have the index of the mount.
pub(super) fn mount(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let list = path.rsplit_once('[').map_or(path, |(list, _)| list);
    for name in ["subPath", "subPathExpr"] {
        check_relative(text(fields, name), below(list, name), report);
    }
}

fn mode(fields: &JsonObject, path: &str, name: &str, report: &mut ValidationReport) {
    let wrong = |mode: &&Value| mode.as_i64().is_some_and(|mode| !(0..=0o777).contains(&mode));
    if let Some(mode) = fields.get(name).filter(wrong) {
        report.invalid(below(path, name), mode, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

fn check_relative(file: &str, field: String, report: &mut ValidationReport) {
    if file.starts_with('/') {
        report.invalid(field.clone(), &json!(file), "must be a relative path");
    }
    check_no_parent(file, field, report);
}

fn check_no_parent(file: &str, field: String, report: &mut ValidationReport) {
    if file.split('/').any(|step| step == "..") {
        report.invalid(field, &json!(file), "must not contain '..'");
    }
}
