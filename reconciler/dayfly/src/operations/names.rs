//! Names as people give them.

use std::str::FromStr;

use dayfly_controller::error::Error;
use dayfly_model::names::{AppName, NameError};
use dayfly_model::platform::{Platform, suggestion};

/// A name of the right form.
pub fn parsed<N: FromStr<Err = NameError>>(text: &str) -> Result<N, Error> {
    text.parse()
        .map_err(|e| Error::usage(format!("the name {text:?} {e}"), "names are lower case letters, digits and '-'"))
}

/// The app of that name, or an error that suggests the nearest.
pub fn known_app(platform: &Platform, name: &str) -> Result<AppName, Error> {
    let parsed: AppName = parsed(name)?;
    if platform.apps.contains_key(&parsed) {
        return Ok(parsed);
    }
    let help = match suggestion(name, platform.apps.keys().map(AppName::as_str)) {
        Some(near) => format!("did you mean {near}? `dayfly status` lists all"),
        None if platform.apps.is_empty() => "there are no apps yet: `dayfly new` starts one".into(),
        None => "`dayfly status` lists all".into(),
    };
    Err(Error::refused(format!("{name}: no such app under apps/"), help))
}
