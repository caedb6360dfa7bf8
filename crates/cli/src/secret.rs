//! Passwords never reach a screen or a log, whoever wrote the sentence that holds one.

use std::sync::OnceLock;

/// What is hidden: passwords of every URL on the command line or in `BUS_URL`, as typed and as decoded.
fn secrets() -> &'static [String] {
    static SECRETS: OnceLock<Vec<String>> = OnceLock::new();
    SECRETS.get_or_init(|| {
        let typed = std::env::args_os().skip(1).chain(std::env::var_os("BUS_URL"));
        let mut found: Vec<_> = typed.flat_map(|text| of(&text.to_string_lossy())).collect();
        // The longest first, so that no rest of one stays when another is a part of it.
        found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        found
    })
}

/// The text without the secrets.
pub(crate) fn hide(text: &str) -> String {
    secrets()
        .iter()
        .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
}

/// The secrets in one URL: the password, and options that are named like one.
fn of(text: &str) -> Vec<String> {
    let Some((scheme, rest)) = text.strip_prefix("--url=").unwrap_or(text).split_once("://") else {
        return Vec::new();
    };
    // A payload that has a URL somewhere in it is none.
    if !scheme
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    {
        return Vec::new();
    }
    let (login, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    let password = login.split_once(':').map(|(_, password)| password);
    let options = rest
        .split_once('?')
        .map_or("", |(_, options)| options)
        .split('&')
        .filter_map(|option| {
            let (name, value) = option.split_once('=')?;
            let name = name.to_lowercase();
            ["password", "secret", "token", "sasl.jaas", "key.pem"]
                .iter()
                .any(|word| name.contains(word))
                .then_some(value)
        });
    let typed = password
        .into_iter()
        .chain(options)
        .filter(|secret| !secret.is_empty());
    typed
        .flat_map(|secret| [secret.to_owned(), decoded(secret)])
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail
            .get(..2)
            .and_then(|d| std::str::from_utf8(d).ok())
            .and_then(|d| u8::from_str_radix(d, 16).ok());
        match code {
            Some(code) if *first == b'%' => {
                bytes.push(code);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The bus as it may be shown: scheme and hosts.
pub(crate) fn address(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "the bus".to_owned();
    };
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let hosts = rest.split(['/', '?', '#']).next().unwrap_or_default();
    format!("{scheme}://{hosts}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_found_as_typed_and_as_decoded() {
        assert_eq!(of("redis://:p%40ss@h:1/0"), ["p%40ss", "p@ss"]);
        assert_eq!(of("--url=kafka://u:a@b@h:1"), ["a@b", "a@b"]);
        assert_eq!(of("kafka://h:1?sasl.password=x&linger.ms=5"), ["x", "x"]);
        assert!(of("redis://h:1").is_empty() && of("orders").is_empty());
    }

    #[test]
    fn an_address_is_scheme_and_hosts() {
        assert_eq!(address("redis://u:p/w@h:1/0?x=y"), "redis://h:1");
        assert_eq!(address("kafka://h:1,i:2"), "kafka://h:1,i:2");
        assert_eq!(address("nonsense"), "the bus");
    }
}
