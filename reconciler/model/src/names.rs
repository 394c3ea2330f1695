//! The names that users choose, as types: a value that exists is a legal name.

use std::fmt;
use std::str::FromStr;

/// Why a text is no legal name. The message reads on after "the name": it says the fact and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(pub String);

/// Checks an RFC 1123 label (lower case letters, digits, `-`; first and last a letter or digit) of at most `max` bytes.
fn label(text: &str, max: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError("is empty".into()));
    }
    if text.len() > max {
        return Err(NameError(format!("has {} characters, at most {max} are possible", text.chars().count())));
    }
    if let Some(bad) = text.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')) {
        return Err(NameError(format!(
            "has the character {}, only lower case letters, digits and '-' are possible",
            bad.escape_debug().to_string().replacen(bad, &format!("'{bad}'"), usize::from(!bad.is_control()))
        )));
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err(NameError("starts or ends with '-'".into()));
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(std::sync::Arc<str>);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                label(text, $max).map(|()| Self(text.into()))
            }
        }
        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.to_string()
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name!(
    /// An app's name, which is its folder's name under `apps/`: an RFC 1123 label of 1 to 40 characters.
    AppName,
    40
);
name!(
    /// A tier's name, which is its folder's name under `environments/`: an RFC 1123 label of 1 to 20 characters.
    TierName,
    20
);

/// A template and its major version, written `simple-survey/v1`; also its folder under `catalog/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TemplateRef {
    name: std::sync::Arc<str>,
    major: u32,
}

impl TemplateRef {
    /// The template's name without its version.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The major version: the number after `/v`.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The reference as a label value, where a slash is illegal: `simple-survey.v1`.
    pub fn label(&self) -> String {
        format!("{}.v{}", self.name, self.major)
    }
}

impl FromStr for TemplateRef {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let form = || NameError("must be written like simple-survey/v1".into());
        let (name, version) = text.split_once("/v").ok_or_else(form)?;
        label(name, 40).map_err(|_| form())?;
        let major: u32 = version.parse().map_err(|_| form())?;
        if version.starts_with(['0', '+']) {
            return Err(form());
        }
        Ok(Self { name: name.into(), major })
    }
}
impl TryFrom<String> for TemplateRef {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}
impl From<TemplateRef> for String {
    fn from(template: TemplateRef) -> String {
        template.to_string()
    }
}
impl fmt::Display for TemplateRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/v{}", self.name, self.major))
    }
}
impl fmt::Debug for TemplateRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// An instance is an app in a tier. Written `app.tier`, which is also its inventory's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub struct InstanceKey {
    /// The app.
    pub app: AppName,
    /// The tier it runs in.
    pub tier: TierName,
}

impl fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.app, self.tier)
    }
}

impl FromStr for InstanceKey {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let (app, tier) = text.split_once('.').ok_or_else(|| NameError("must be written like app.tier".into()))?;
        Ok(Self { app: app.parse()?, tier: tier.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_short_lower_case_label() {
        for good in ["a", "quarterly-feedback", "x1", &"a".repeat(40)] {
            assert!(good.parse::<AppName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a\nb", "a\u{202e}b", "../x", &"a".repeat(41)] {
            assert!(bad.parse::<AppName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_template_reference_is_a_name_and_a_major_version() {
        let template: TemplateRef = "simple-survey/v1".parse().unwrap();
        assert_eq!(
            (template.name(), template.major(), template.label()),
            ("simple-survey", 1, "simple-survey.v1".into())
        );
        for bad in
            ["../x", "simple-survey", "simple-survey/1", "simple-survey/v", "simple-survey/v01", "../x/v1", "a/v-1"]
        {
            assert!(bad.parse::<TemplateRef>().is_err(), "{bad}");
        }
    }
}
