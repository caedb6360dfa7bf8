//! What a registry answered.

use bus_core::{Error, ErrorKind, Result};
use hyper::StatusCode;
use serde_json::Value;
use std::fmt;

/// Longer words of a registry are cut.
const LONGEST: usize = 2_000;

/// An answer: its status, and its body, if that was JSON.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Value,
    text: String,
}

impl Answer {
    pub(super) fn new(status: StatusCode, bytes: &[u8]) -> Self {
        let body = serde_json::from_slice(bytes).unwrap_or_default();
        let text = String::from_utf8_lossy(bytes).chars().take(LONGEST).collect();
        Self { status, body, text }
    }
    /// Whether a registry says that there is no such thing. A server that is none says 404 too, without a code.
    pub(super) fn is_missing(&self) -> bool {
        self.status == StatusCode::NOT_FOUND && self.body.get("error_code").is_some()
    }
    /// The body of a success.
    /// # Errors
    /// What the registry says, and what can be done about it.
    pub(super) fn good(self, doing: &str) -> Result<Value> {
        if self.status.is_success() && !self.body.is_null() {
            return Ok(self.body);
        }
        let (kind, hint) = match self.status {
            StatusCode::UNAUTHORIZED => (
                ErrorKind::Denied,
                "; set `KAFKA_SCHEMA_REGISTRY_USER` and `KAFKA_SCHEMA_REGISTRY_PASSWORD`, or correct them",
            ),
            StatusCode::FORBIDDEN => (ErrorKind::Denied, "; this user may not do that there"),
            StatusCode::CONFLICT => (
                ErrorKind::Conflict,
                "; change the schema so that it is compatible, or the subject's rule",
            ),
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => {
                (ErrorKind::Invalid, "; correct the schema")
            }
            status if status.is_success() => {
                (ErrorKind::Other, "; this is no schema registry: correct its URL")
            }
            _ => (
                ErrorKind::Other,
                "; is its URL that of a schema registry, path included?",
            ),
        };
        Err(Error::new(
            kind,
            format!("{doing}: the schema registry says {self}{hint}"),
        ))
    }
}

/// Status, and the registry's own words.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = self
            .body
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or(&self.text);
        write!(f, "{}", self.status.as_u16())?;
        match said.trim() {
            "" => Ok(()),
            said => write!(f, " ({said})"),
        }
    }
}
