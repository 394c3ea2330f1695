//! The kubeconfig: read, and what is wrong with it said by its place, never by its content: it holds credentials.

use std::path::{Path, PathBuf};

use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};

/// The connection that a context means, in the file that was named or the usual one.
pub(super) async fn config(context: &str, file: Option<&Path>) -> Result<Config, String> {
    let read = match file {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    let config = match read {
        Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
        Err(error) => Err(error),
    };
    let config = config.map_err(|error| fact(&error, file))?;
    match has_odd_token(&config) {
        true => Err("the token of its user has a line break or another character that no request can carry".into()),
        false => Ok(config),
    }
}

/// Whether a request cannot carry the user's token: the client would panic on it.
fn has_odd_token(config: &Config) -> bool {
    let is_odd = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    let user = serde_json::to_value(&config.auth_info).unwrap_or_default();
    user["token"].as_str().is_some_and(|token| token.bytes().any(is_odd))
}

/// What is wrong. The parser's own words quote the lines around.
fn fact(error: &KubeconfigError, file: Option<&Path>) -> String {
    match error {
        KubeconfigError::Parse(error) => {
            let place = error.location().map(|at| format!(":{}:{}", at.line(), at.column()));
            let file = file.map(Path::to_owned).or_else(broken).unwrap_or_else(|| "the kubeconfig".into());
            format!("{}{}: this is no kubeconfig in YAML", file.display(), place.unwrap_or_default())
        }
        KubeconfigError::ReadConfig(error, path) => format!("{}: {error}", path.display()),
        KubeconfigError::LoadContext(context) => format!("the kubeconfig has no context {context}"),
        other => other.to_string(),
    }
}

/// Of the usual files, the one that cannot be parsed.
fn broken() -> Option<PathBuf> {
    let named = std::env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty());
    let files: Vec<_> = match &named {
        Some(paths) => std::env::split_paths(paths).collect(),
        None => std::env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect(),
    };
    files.into_iter().find(|path| matches!(Kubeconfig::read_from(path), Err(KubeconfigError::Parse(_))))
}
