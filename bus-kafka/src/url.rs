//! `kafka://…` as a configuration. Several addresses make it no URL in the sense of the standard, so it is read here.

use crate::KafkaConfig;
use bus_core::{Error, Result, partition::Partitioner};
use std::time::Duration;

const FORM: &str = "write `kafka://host:port,host:port?option=value`";

pub(crate) fn parse(url: &str) -> Result<KafkaConfig> {
    parse_over(KafkaConfig::new(""), url)
}

/// The URL's addresses and options over a configuration that has some of its own.
pub(crate) fn parse_over(mut config: KafkaConfig, url: &str) -> Result<KafkaConfig> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(Error::invalid(format!("no scheme in the address; {FORM}")));
    };
    if scheme != "kafka" {
        return Err(Error::invalid(format!(
            "scheme `{}` is not `kafka`; {FORM}",
            scheme.escape_debug()
        )));
    }
    let (address, query) = match rest.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (rest, None),
    };
    let (login, hosts) = match address.rsplit_once('@') {
        Some((login, hosts)) => (Some(login), hosts),
        None => (None, address),
    };
    let hosts = hosts.strip_suffix('/').unwrap_or(hosts);
    config.brokers = brokers(hosts)?;
    if let Some(login) = login {
        let (user, password) = login.split_once(':').ok_or_else(|| {
            Error::invalid("a user without a password; write `kafka://user:password@host:port`")
        })?;
        config = config
            .set("sasl.username", decode(user, "user")?)
            .set("sasl.password", decode(password, "password")?);
        // Where the configuration asks for TLS, a login in the URL is no reason to do without.
        for (option, value) in [
            ("sasl.mechanism", "PLAIN"),
            ("security.protocol", "sasl_plaintext"),
        ] {
            config
                .native
                .entry(option.to_owned())
                .or_insert_with(|| value.to_owned());
        }
    }
    for pair in query.unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
        let (option, value) = pair
            .split_once('=')
            .ok_or_else(|| Error::invalid(format!("option `{}` has no value; {FORM}", shown(pair))))?;
        let option = decode(option, "an option's name")?;
        let value = decode(value, &option)?;
        config = option_of(config, &option, value)?;
    }
    Ok(config)
}

fn brokers(hosts: &str) -> Result<String> {
    if hosts.is_empty() {
        return Err(Error::invalid(format!("no broker in the address; {FORM}")));
    }
    for host in hosts.split(',') {
        let wrong = || {
            Error::invalid(format!(
                "broker `{}` is not `host:port`; {FORM}",
                host.escape_debug()
            ))
        };
        // An IPv6 address has colons of its own, inside brackets.
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
            Some(_) if host.ends_with(']') => (host, None),
            Some(_) => return Err(wrong()),
            None => (host, None),
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@' | '#');
        if name.is_empty() || name.contains(odd) {
            return Err(wrong());
        }
        if let Some(port) = port
            && !matches!(port.parse::<u16>(), Ok(1..))
        {
            return Err(wrong());
        }
    }
    Ok(hosts.to_owned())
}

pub(crate) fn option_of(config: KafkaConfig, option: &str, value: String) -> Result<KafkaConfig> {
    let millis = |value: &str| {
        value.parse().map(Duration::from_millis).map_err(|_| {
            Error::invalid(format!(
                "option `{option}` is `{}`, not a number of milliseconds",
                value.escape_debug()
            ))
        })
    };
    Ok(match option {
        "client.id" => config.client_id(value),
        "partitioner" => config.partitioner(match &*value {
            "murmur2" | "murmur2_random" => Partitioner::Murmur2,
            "crc32" | "consistent_random" => Partitioner::Crc32,
            _ => {
                return Err(Error::invalid(format!(
                    "option `partitioner` is `{}`; use `murmur2` or `crc32`",
                    value.escape_debug()
                )));
            }
        }),
        "session.timeout.ms" => config.session_timeout(millis(&value)?),
        "heartbeat.interval.ms" => config.heartbeat(millis(&value)?),
        "rebalance.grace.ms" => config.rebalance_grace(millis(&value)?),
        "connect.timeout.ms" => config.connect_timeout(millis(&value)?),
        "delivery.timeout.ms" | "message.timeout.ms" => config.publish_deadline(millis(&value)?),
        "metadata.refresh.ms" => config.metadata_refresh(millis(&value)?),
        "request.timeout.ms" => config.request_timeout(millis(&value)?),
        "transaction.timeout.ms" => config.transaction_timeout(millis(&value)?),
        "instance" if value.is_empty() => {
            return Err(Error::invalid(
                "option `instance` is empty; give this process a name, or leave it out",
            ));
        }
        "instance" => config.instance(value),
        _ => config.set(option, value),
    })
}

/// An option as it may be shown: its name, never its value.
fn shown(pair: &str) -> String {
    pair.split('=')
        .next()
        .unwrap_or_default()
        .escape_debug()
        .to_string()
}

fn decode(text: &str, what: &str) -> Result<String> {
    let wrong = || Error::invalid(format!("{what} is not percent-encoded UTF-8"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2).ok_or_else(wrong)?;
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bus_core::ErrorKind;

    #[test]
    fn addresses_and_options() {
        let config = parse(
            "kafka://h1:9092,h2:9093/?client.id=x%20y&linger.ms=5&partitioner=crc32&session.timeout.ms=9000",
        )
        .unwrap();
        assert_eq!(config.brokers, "h1:9092,h2:9093");
        assert_eq!(config.client_id, "x y");
        assert_eq!(config.partitioner, Partitioner::Crc32);
        assert_eq!(config.session_timeout, Duration::from_secs(9));
        assert_eq!(config.native.get("linger.ms").map(String::as_str), Some("5"));
        let config = parse("kafka://h:1?instance=pod-3&transaction.timeout.ms=5000").unwrap();
        assert_eq!(config.instance.as_deref(), Some("pod-3"));
        assert_eq!(config.transaction_timeout, Duration::from_secs(5));
        assert_eq!(parse("kafka://[::1]:9092").unwrap().brokers, "[::1]:9092");
    }

    #[test]
    fn a_login_is_sasl() {
        let config = parse("kafka://me:p%40ss@h:9092?security.protocol=sasl_ssl").unwrap();
        assert_eq!(config.native["sasl.password"], "p@ss");
        assert_eq!(config.native["security.protocol"], "sasl_ssl");
        assert!(!format!("{config:?}").contains("p@ss"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for bad in [
            "",
            "kafka",
            "kafka://",
            "redis://h:1",
            "kafka://h:x",
            "kafka://h:0",
            "kafka://h:99999",
            "kafka://:9092",
            "kafka://h:1,",
            "kafka://h:1?x",
            "kafka://h:1?a=%zz",
            "kafka://me@h:1",
            "kafka://h:1?partitioner=md5",
            "kafka://h:1?session.timeout.ms=soon",
            "kafka://h:1?transaction.timeout.ms=soon",
            "kafka://h:1?instance=",
            "kafka://a b:1",
            "kafka://h:1/path",
            "kafka://1:2:3",
        ] {
            let error = parse(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{bad}");
        }
        let error = parse("kafka://me:hunter2@h:x").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
