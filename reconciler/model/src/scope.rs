//! Whose objects something is about: those of an app in a tier, or a tier's shared objects.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use sha2::{Digest as _, Sha256};

use crate::names::{AppName, InstanceKey, NameError, TierName};

/// The namespace of what Dayfly keeps for itself on a cluster: the inventories.
pub const SYSTEM_NAMESPACE: &str = "dayfly-system";

/// Whose objects an inventory lists.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// An app in a tier; written `app.tier`.
    Instance(InstanceKey),
    /// A tier's shared objects, from `environments/<tier>/shared/`; written `tier`.
    Shared(TierName),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance(key) => key.fmt(f),
            Self::Shared(tier) => tier.fmt(f),
        }
    }
}

impl FromStr for Scope {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.contains('.') { text.parse().map(Self::Instance) } else { text.parse().map(Self::Shared) }
    }
}

impl From<InstanceKey> for Scope {
    fn from(key: InstanceKey) -> Self {
        Self::Instance(key)
    }
}

impl Scope {
    /// The app; none for a tier's shared objects.
    pub fn app(&self) -> Option<&AppName> {
        match self {
            Self::Instance(key) => Some(&key.app),
            Self::Shared(_) => None,
        }
    }

    /// The tier.
    pub fn tier(&self) -> &TierName {
        match self {
            Self::Instance(key) => &key.tier,
            Self::Shared(tier) => tier,
        }
    }

    /// The id that the ApplySet specification gives this inventory. Every object of the scope carries it as the label
    /// `applyset.kubernetes.io/part-of`, from its first apply on; it is our apply id.
    pub fn apply_set(&self) -> String {
        let hash = Sha256::digest(format!("{self}.{SYSTEM_NAMESPACE}.ConfigMap."));
        format!("applyset-{}-v1", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash))
    }
}

/// A scope on a cluster. A tier that moves to another cluster leaves its scopes on the old one for a while.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Location {
    /// The cluster's id.
    pub cluster: String,
    /// What is there.
    pub scope: Scope,
}
