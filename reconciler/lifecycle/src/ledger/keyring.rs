//! The keys that sign and verify records, and the DSSE envelopes that they do it in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dayfly_model::digest::Digest;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::{LedgerError, LedgerRecord};

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// A key that signs records.
pub struct Signer {
    pair: Ed25519KeyPair,
}

/// A public key: 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier(Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
struct Signature {
    keyid: String,
    sig: String,
}

impl Signer {
    /// Reads a PKCS #8 key.
    ///
    /// # Errors
    /// [`LedgerError::Key`] where it is no such key, or none for ed25519.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, LedgerError> {
        Ok(Self { pair: Ed25519KeyPair::from_pkcs8(bytes).map_err(|e| LedgerError::Key(e.to_string()))? })
    }

    /// The key that verifies what this one signs.
    pub fn verifier(&self) -> Verifier {
        Verifier(self.pair.public_key().as_ref().to_vec())
    }

    /// The signed envelope of a record, as JSON.
    pub fn sign(&self, record: &LedgerRecord) -> String {
        let payload = record.to_statement();
        let signature = self.pair.sign(&pre_authentication_encoding(&payload));
        let envelope = Envelope {
            payload_type: PAYLOAD_TYPE.into(),
            payload: STANDARD.encode(&payload),
            signatures: vec![Signature { keyid: self.verifier().id(), sig: STANDARD.encode(signature) }],
        };
        serde_json::to_string_pretty(&envelope).unwrap_or_default() + "\n"
    }
}

impl Verifier {
    /// The key's id: the start of its digest.
    pub fn id(&self) -> String {
        Digest::of(&self.0).short()
    }

    /// Reads the record at `path` and checks its signature. Returns the digest of what was signed as well, which the next
    /// record names.
    ///
    /// # Errors
    /// [`LedgerError::Malformed`] and [`LedgerError::Unsigned`]: it proves nothing.
    pub fn verify(&self, path: &str, envelope: &[u8]) -> Result<(Digest, LedgerRecord), LedgerError> {
        let malformed = |message: String| LedgerError::Malformed { path: path.into(), message };
        let envelope: Envelope = serde_json::from_slice(envelope).map_err(|e| malformed(e.to_string()))?;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(malformed(format!("its payload is {:?}, not {PAYLOAD_TYPE}", envelope.payload_type)));
        }
        let payload = STANDARD.decode(&envelope.payload).map_err(|e| malformed(e.to_string()))?;
        let message = pre_authentication_encoding(&payload);
        let is_ours = |signature: &Signature| {
            let bytes = STANDARD.decode(&signature.sig).unwrap_or_default();
            UnparsedPublicKey::new(&ED25519, &self.0).verify(&message, &bytes).is_ok()
        };
        if !envelope.signatures.iter().any(is_ours) {
            return Err(LedgerError::Unsigned { path: path.into(), key: self.id() });
        }
        let record = LedgerRecord::from_statement(&payload).map_err(malformed)?;
        Ok((Digest::of(&payload), record))
    }
}

/// DSSE's PAE: what is signed binds the payload's type and its length.
fn pre_authentication_encoding(payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}
