//! Questions to a registry: over the URLs in turn, and no answer is waited for longer than it may take.

use super::{answer::Answer, tls};
use base64::{Engine, prelude::BASE64_STANDARD};
use bus_core::{Bytes, Error, ErrorKind, Result};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::ClientConfig;
use serde_json::Value;
use std::{
    error::Error as _,
    fmt,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};
use url::Url;

/// No schema is larger.
const LARGEST: usize = 16 << 20;
const JSON: &str = "application/vnd.schemaregistry.v1+json";

/// One of the URLs.
pub(super) struct Base {
    /// Without user and password.
    url: String,
    login: Option<HeaderValue>,
}

impl Base {
    pub(super) fn new(text: &str, login: Option<(&str, &str)>) -> Result<Self> {
        let wrong = |why: &str| {
            Error::invalid(format!(
                "the schema registry's URL {why}; write `http://host:8081` or `https://…`"
            ))
        };
        // What is wrong with it may hold a password, so it is not quoted.
        let mut url = Url::parse(text).map_err(|e| wrong(&format!("is none ({e})")))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong("is not one of HTTP"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has a query or a fragment"));
        }
        let decode = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned()
        };
        let own = (!url.username().is_empty())
            .then(|| (decode(url.username()), decode(url.password().unwrap_or_default())));
        let login = own
            .as_ref()
            .map(|(user, password)| (&**user, &**password))
            .or(login);
        let login = login.map(|(user, password)| basic(user, password)).transpose()?;
        let _ = (url.set_username(""), url.set_password(None));
        let url = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, login })
    }
    pub(super) fn is_secure(&self) -> bool {
        self.url.starts_with("https:")
    }
    pub(super) fn shown(&self) -> &str {
        &self.url
    }
}

fn basic(user: &str, password: &str) -> Result<HeaderValue> {
    if user.contains(':') {
        return Err(Error::invalid(
            "a user of a schema registry has no `:` in its name",
        ));
    }
    let text = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
    let mut value = HeaderValue::from_str(&text).map_err(|e| Error::invalid("no login").source(e))?;
    value.set_sensitive(true);
    Ok(value)
}

pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    bases: Vec<Base>,
    /// The one that answered last: those that are down are not tried first each time.
    good: AtomicUsize,
    timeout: Duration,
}

impl Http {
    pub(super) fn new(bases: Vec<Base>, tls: ClientConfig, timeout: Duration) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1();
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector.build()),
            bases,
            good: AtomicUsize::new(0),
            timeout,
        }
    }
    /// The answer of the first that is able to give one.
    /// # Errors
    /// `Unavailable`, with what each URL said.
    pub(super) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let first = self.good.load(Relaxed);
        let mut failed = Vec::new();
        for turn in 0..self.bases.len() {
            let number = (first + turn) % self.bases.len();
            let base = &self.bases[number];
            match tokio::time::timeout(self.timeout, self.ask_one(base, &method, path, body)).await {
                Ok(Ok(answer)) => {
                    self.good.store(number, Relaxed);
                    return Ok(answer);
                }
                Ok(Err(why)) => failed.push(format!("{base}: {why}")),
                Err(_) => failed.push(format!("{base}: no answer within {:?}", self.timeout)),
            }
        }
        let failed = failed.join("; ");
        Err(Error::new(
            ErrorKind::Unavailable,
            format!("the schema registry cannot be reached ({failed}); is it running, and is its URL right?"),
        ))
    }
    async fn ask_one(
        &self,
        base: &Base,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", base.url))
            .header(ACCEPT, JSON)
            .header(USER_AGENT, concat!("bus/", env!("CARGO_PKG_VERSION")));
        if let Some(login) = &base.login {
            request = request.header(AUTHORIZATION, login);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, JSON);
        }
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request.body(Full::new(bytes)).map_err(|e| e.to_string())?;
        let response = self.client.request(request).await.map_err(|e| cause(&e))?;
        let status = response.status();
        let limited = Limited::new(response.into_body(), LARGEST).collect().await;
        let bytes = limited.map_err(|e| e.to_string())?.to_bytes();
        // It is not able to answer; the next one may be.
        if status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT
        {
            return Err(Answer::new(status, &bytes).to_string());
        }
        Ok(Answer::new(status, &bytes))
    }
}

/// The last of the causes, which says what happened; the first say only where.
fn cause(error: &hyper_util::client::legacy::Error) -> String {
    let mut last = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(refusal) = tls::refusal(error) {
            return refusal;
        }
        last = error.to_string();
        next = error.source();
    }
    last
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<_> = self.bases.iter().map(Base::shown).collect();
        f.debug_struct("Http")
            .field("urls", &urls)
            .finish_non_exhaustive()
    }
}
