//! The client: ids for schemas and schemas for ids.

use super::{Framing, RegistryConfig, Schema, SchemaKind, Writer, answer::Answer, cache::Cache, http::Http};
use bus_core::{BoxFuture, Error, ErrorKind, Result, Retry};
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

const WAITS: Retry = Retry::exponential(Duration::from_millis(100)).cap(Duration::from_secs(2));
/// Unknown ids of which it is remembered since when they are: beyond that the oldest are forgotten, and wait anew.
const UNKNOWN: usize = 1_000;

/// A client of a schema registry. Cheap to clone; every clone has the same cache and the same connections.
///
/// ```no_run
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use bus::registry::{Registry, Schema};
/// let registry = Registry::new("http://localhost:8081")?;
/// let id = registry.register("orders-value", &Schema::avro("\"string\"")).await?;
/// assert_eq!(registry.schema(id).await?.text(), "\"string\"");
/// # Ok::<_, bus::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    http: Http,
    schemas: Arc<Cache<u32, Schema>>,
    writers: Arc<Cache<Key, Writer>>,
    /// Since when ids are asked for that nobody knows.
    unknown: Mutex<HashMap<u32, Instant>>,
    patience: Duration,
    give_up: Duration,
}

/// What a schema is written under, and how its id is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) subject: String,
    pub(super) kind: SchemaKind,
    pub(super) text: String,
    pub(super) how: How,
}

/// How the id of a writer's schema is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum How {
    /// Registered, after a check of compatibility or not.
    Register { check: bool },
    /// It must have been registered by somebody else.
    LookUp,
    /// Whatever was registered last.
    Latest,
}

impl Registry {
    /// A registry at these URLs, as [`RegistryConfig::new`] takes them.
    /// # Errors
    /// As [`RegistryConfig::build`].
    pub fn new(urls: impl Into<String>) -> Result<Self> {
        RegistryConfig::new(urls).build()
    }
    /// As [`new`](Self::new), for more to say.
    pub fn config(urls: impl Into<String>) -> RegistryConfig {
        RegistryConfig::new(urls)
    }
    /// The registry that settings name.
    /// # Errors
    /// `Invalid`, with the setting's name where there is none.
    pub fn from_settings(settings: &crate::Settings) -> Result<Self> {
        settings.registry()?.build()
    }
    /// The registry that the environment names: `KAFKA_SCHEMA_REGISTRY_URL`.
    /// # Errors
    /// As [`from_settings`](Self::from_settings).
    pub fn from_env() -> Result<Self> {
        Self::from_settings(&crate::Settings::from_env()?)
    }
    pub(super) fn over(http: Http, patience: Duration, give_up: Duration) -> Self {
        Self(Arc::new(Inner {
            http,
            schemas: Arc::default(),
            writers: Arc::default(),
            unknown: Mutex::default(),
            patience,
            give_up,
        }))
    }
    /// What a codec needs to write this schema, and to read others.
    pub fn framing(&self, own: Schema) -> Framing {
        Framing::new(self, own)
    }
    /// The id of a schema under a subject, registered where it is new. Asked for once; then it is known.
    /// # Errors
    /// `Conflict`: it is not compatible with the subject's others; `Invalid`: it is no schema; `Denied`; `Unavailable`, after
    /// [some time](RegistryConfig::patience).
    pub async fn register(&self, subject: &str, schema: &Schema) -> Result<u32> {
        self.find(subject, schema, How::Register { check: false })
            .await
            .map(|writer| writer.id)
    }
    /// The id of a schema that was registered under a subject before.
    /// # Errors
    /// `Invalid`: it was not; else as [`register`](Self::register).
    pub async fn look_up(&self, subject: &str, schema: &Schema) -> Result<u32> {
        self.find(subject, schema, How::LookUp)
            .await
            .map(|writer| writer.id)
    }
    /// The schema that was registered last under a subject, and its id. Asked for each time.
    /// # Errors
    /// `Invalid`: there is none; else as [`register`](Self::register).
    pub async fn latest(&self, subject: &str) -> Result<Writer> {
        let path = format!("/subjects/{}/versions/latest", escape(subject));
        let answer = self.0.http.ask(Method::GET, &path, None).await?;
        if answer.is_missing() {
            return Err(Error::invalid(format!(
                "subject `{subject}` has no schema ({answer}); register one first"
            )));
        }
        let body = answer.good(&format!("looking for the latest schema of `{subject}`"))?;
        let (id, schema) = (id_of(&body)?, schema_of(&body)?);
        self.0.schemas.set(id, schema.clone());
        Ok(Writer { id, schema })
    }
    /// Whether a schema may follow the one that was registered last under a subject; `Err` says why not. A subject without
    /// any takes all.
    /// # Errors
    /// `Conflict`, with the registry's reasons; else as [`register`](Self::register).
    pub async fn check(&self, subject: &str, schema: &Schema) -> Result<()> {
        let path = format!(
            "/compatibility/subjects/{}/versions/latest?verbose=true",
            escape(subject)
        );
        let answer = self
            .0
            .http
            .ask(Method::POST, &path, Some(&request(schema)))
            .await?;
        if answer.is_missing() {
            return Ok(());
        }
        let body = answer.good(&format!("checking a schema against `{subject}`"))?;
        if body.get("is_compatible").and_then(Value::as_bool) == Some(true) {
            return Ok(());
        }
        let reasons = body
            .get("messages")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let reasons: Vec<_> = reasons
            .map(|reason| reason.as_str().map_or_else(|| reason.to_string(), str::to_owned))
            .collect();
        Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "this schema is not compatible with the latest of `{subject}`: {}; change it so that it is, or the subject's rule",
                if reasons.is_empty() {
                    "the registry gives no reason".to_owned()
                } else {
                    reasons.join("; ")
                }
            ),
        ))
    }
    /// The schema with this id, if it is known already: no question, no wait.
    pub fn cached(&self, id: u32) -> Option<Schema> {
        self.0.schemas.get(&id)
    }
    /// The schema with this id. Asked for once, however many ask.
    /// # Errors
    /// `Unavailable`: nobody answers, or nobody knows the id yet (transient); `Undecodable`: nobody has known it
    /// [for long](RegistryConfig::unknown_ids). Whatever else a registry says is transient too, `Denied` for one: who reads waits
    /// for a password or a URL to be corrected rather than to give up every record.
    pub fn schema(&self, id: u32) -> BoxFuture<'static, Result<Schema>> {
        let this = self.clone();
        self.0
            .schemas
            .fetch(id, || Box::pin(async move { this.fetch(id).await }))
    }
    async fn fetch(&self, id: u32) -> Result<Schema> {
        let answer = self
            .0
            .http
            .ask(Method::GET, &format!("/schemas/ids/{id}"), None)
            .await?;
        if answer.is_missing() {
            return Err(self.is_unknown(id, &answer));
        }
        self.unknown().remove(&id);
        let doing = format!("looking for schema {id}");
        answer
            .good(&doing)
            .map_err(|error| error.transient(true))
            .and_then(|body| schema_of(&body))
    }
    fn is_unknown(&self, id: u32, answer: &Answer) -> Error {
        let mut unknown = self.unknown();
        if unknown.len() >= UNKNOWN
            && !unknown.contains_key(&id)
            && let Some(oldest) = unknown.iter().min_by_key(|(_, since)| **since).map(|(id, _)| *id)
        {
            unknown.remove(&oldest);
        }
        let waited = unknown.entry(id).or_insert_with(Instant::now).elapsed();
        let text = format!("the schema registry does not know schema {id} ({answer})");
        if waited < self.0.give_up {
            return Error::unavailable(text);
        }
        Error::new(
            ErrorKind::Undecodable,
            format!("{text}, after {} s", waited.as_secs()),
        )
    }
    fn unknown(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Instant>> {
        self.0.unknown.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The id under which a schema is written.
    pub(super) fn find(
        &self,
        subject: &str,
        schema: &Schema,
        how: How,
    ) -> BoxFuture<'static, Result<Writer>> {
        let key = Key {
            subject: subject.to_owned(),
            kind: schema.kind(),
            text: match how {
                How::Latest => String::new(),
                _ => schema.text().to_owned(),
            },
            how,
        };
        let (this, schema, subject) = (self.clone(), schema.clone(), subject.to_owned());
        self.0.writers.fetch(key, || {
            Box::pin(async move { this.insist(&subject, schema, how).await })
        })
    }
    /// Tries again while nobody answers.
    async fn insist(&self, subject: &str, schema: Schema, how: How) -> Result<Writer> {
        let deadline = tokio::time::Instant::now() + self.0.patience;
        for attempt in 1.. {
            let wait = WAITS.wait(attempt);
            match self.try_once(subject, &schema, how).await {
                Err(error) if error.is_transient() && tokio::time::Instant::now() + wait < deadline => {
                    tracing::warn!(subject, %error, attempt, "the id of a schema is asked for again");
                    tokio::time::sleep(wait).await;
                }
                result => return result,
            }
        }
        Err(Error::unavailable("the schema registry was asked too often"))
    }
    async fn try_once(&self, subject: &str, schema: &Schema, how: How) -> Result<Writer> {
        if how == How::Latest {
            return self.latest(subject).await;
        }
        if how == (How::Register { check: true }) {
            self.check(subject, schema).await?;
        }
        let (path, doing) = match how {
            How::LookUp => (format!("/subjects/{}", escape(subject)), "looking for"),
            _ => (format!("/subjects/{}/versions", escape(subject)), "registering"),
        };
        let answer = self
            .0
            .http
            .ask(Method::POST, &path, Some(&request(schema)))
            .await?;
        if answer.is_missing() && how == How::LookUp {
            return Err(Error::invalid(format!(
                "subject `{subject}` has no such schema ({answer}); register it, or let the codec do it (`auto_register(true)`)"
            )));
        }
        let body = answer.good(&format!("{doing} a schema under `{subject}`"))?;
        let id = id_of(&body)?;
        // What it says of this id is known now, without a question.
        self.0.schemas.set(id, schema.clone());
        Ok(Writer {
            id,
            schema: schema.clone(),
        })
    }
}

fn escape(subject: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(subject, NON_ALPHANUMERIC)
}

fn request(schema: &Schema) -> Value {
    match schema.kind() {
        // As clients from before other languages write it.
        SchemaKind::Avro => json!({"schema": schema.text()}),
        kind => json!({"schema": schema.text(), "schemaType": kind.word()}),
    }
}

fn strange(what: &str, body: &Value) -> Error {
    Error::new(
        ErrorKind::Other,
        format!("the schema registry's answer has no {what}: {body}"),
    )
}

fn id_of(body: &Value) -> Result<u32> {
    let id = body
        .get("id")
        .and_then(Value::as_u64)
        .and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| strange("id", body))
}

fn schema_of(body: &Value) -> Result<Schema> {
    let text = body
        .get("schema")
        .and_then(Value::as_str)
        .ok_or_else(|| strange("schema", body))?;
    let kind = SchemaKind::of(body.get("schemaType").and_then(Value::as_str));
    Ok(Schema::new(
        kind.ok_or_else(|| strange("known schemaType", body))?,
        text,
    ))
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("http", &self.0.http)
            .field("schemas", &self.0.schemas)
            .finish_non_exhaustive()
    }
}
