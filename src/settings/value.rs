//! A value that was given: what it says, how strong it is, and where it came from.

use secrecy::{ExposeSecret, SecretString};
use std::{fmt, sync::Arc};

/// What shows instead of a secret.
pub(super) const MASK: &str = "***";

/// Where values come from, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    File,
    Dotenv,
    Environment,
    Explicit,
}

impl Layer {
    #[cfg_attr(
        not(any(feature = "memory", feature = "kafka", feature = "redis")),
        allow(unused, reason = "no backend is compiled in")
    )]
    pub(super) const ALL: [Self; 4] = [Self::File, Self::Dotenv, Self::Environment, Self::Explicit];
}

/// One value. Every one is held as a secret: which are is a matter of showing them.
#[derive(Clone)]
pub(super) struct Given {
    text: SecretString,
    pub(super) layer: Layer,
    /// As an error names it: "`KAFKA_LINGER_MS` in the environment".
    pub(super) origin: Arc<str>,
}

impl Given {
    pub(super) fn new(text: impl Into<String>, layer: Layer, origin: impl Into<Arc<str>>) -> Self {
        Self {
            text: SecretString::from(text.into()),
            layer,
            origin: origin.into(),
        }
    }
    /// The text itself: for use, never to be shown.
    pub(super) fn reveal(&self) -> &str {
        self.text.expose_secret()
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MASK} ({})", self.origin)
    }
}

/// Whether an option of a backend must not be shown.
pub(super) fn is_secret_option(option: &str) -> bool {
    let option = option.to_ascii_lowercase();
    [
        "password",
        "secret",
        "token",
        "pem",
        "jaas",
        "oauthbearer.config",
        "key.location",
    ]
    .iter()
    .any(|part| option.contains(part))
}

/// A URL without what it may hold: user, password, options that are secret.
pub(super) fn masked_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return MASK.to_owned();
    };
    // A password that holds a `?`, or an option that holds an `@`: nobody can tell where it ends.
    if rest.split_once('?').is_some_and(|(_, query)| query.contains('@')) {
        return format!("{scheme}://{MASK}");
    }
    let (rest, query) = rest
        .split_once('?')
        .map_or((rest, None), |(rest, query)| (rest, Some(query)));
    // A password may hold an `@` or a `/` that somebody forgot to encode.
    let (login, hosts) = rest
        .rsplit_once('@')
        .map_or((None, rest), |(login, hosts)| (Some(login), hosts));
    let login = login.map(|login| match login.split_once(':') {
        Some((user, _)) => format!("{user}:{MASK}@"),
        None => format!("{MASK}@"),
    });
    let option = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if is_secret_option(name) => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    };
    let query = query.map(|query| format!("?{}", query.split('&').map(option).collect::<Vec<_>>().join("&")));
    format!(
        "{scheme}://{}{hosts}{}",
        login.unwrap_or_default(),
        query.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_their_secrets() {
        for (url, shown) in [
            ("kafka://h:1,i:2?linger.ms=5", "kafka://h:1,i:2?linger.ms=5"),
            ("kafka://u:hun@ter2@h:1", "kafka://u:***@h:1"),
            ("redis://:hunter2@h:1/0", "redis://:***@h:1/0"),
            ("redis://hunter2@h", "redis://***@h"),
            (
                "kafka://h?sasl.password=hunter2&a=b",
                "kafka://h?sasl.password=***&a=b",
            ),
            ("hunter2", "***"),
        ] {
            assert_eq!(masked_url(url), shown);
        }
    }
}
