//! Settings as a URL: `redis://user:password@host:6379/0?client.id=x&ttl=10s`.

use crate::{
    Durability, RedisConfig, Tls,
    security::PasswordSource,
    servers::{Host, Sentinels, Servers},
};
use bus_core::{Error, Result, partition::Partitioner};
use std::time::Duration;
use url::Url;

/// The options of a URL, and their forms.
const OPTIONS: &str = "client.id, ttl, grace, publish.timeout, connect.timeout, retention, abandoned.after, durability, message.max, partitioner, \
     username, password, password.file, tls, tls.ca, tls.cert, tls.key, tls.server.name, \
     and with sentinels sentinel.user, sentinel.password";

impl RedisConfig {
    /// Reads `redis[s]://[user[:password]@]host[:port][/database][?option=value&…]`, or, with sentinels,
    /// `redis-sentinel://[user[:password]@]host[:port],host[:port],…/primary[/database][?option=value&…]`: the hosts are
    /// sentinels (port 26379 unless said), `primary` is what they call the primary, user and password are the primary's. Or,
    /// of a cluster, `redis-cluster://[user[:password]@]host[:port],…[?option=value&…]`: some of its nodes, who know the
    /// others.
    ///
    /// | option | value | default |
    /// |---|---|---|
    /// | `client.id` | a name without spaces | `bus` |
    /// | `ttl` | a duration: how long a silent owner keeps a partition | `10s` |
    /// | `grace` | a duration: how long handlers go on when a partition moves | `5s` |
    /// | `publish.timeout` | a duration: how long a publish is tried | `30s` |
    /// | `connect.timeout` | a duration: how long connecting and any answer may take | `5s` |
    /// | `retention` | a duration: for topics without one of their own | `7d` |
    /// | `abandoned.after` | a duration: how long a group without a member holds back trimming | `7d` |
    /// | `durability` | `memory`, `fsync` or `replicas(n)`: what a confirmed publish survives | `memory` |
    /// | `message.max` | bytes, or with `KiB`, `MiB` | `64MiB` |
    /// | `partitioner` | `murmur2` or `crc32` | `murmur2` |
    /// | `username`, `password` | who we are, where the URL should not say it in front of the host | none |
    /// | `password.file` | a file that holds the password, read whenever a connection is made | none |
    /// | `tls.ca` | a PEM file of the authorities that may have signed the server's certificate | the system's |
    /// | `tls.cert`, `tls.key` | PEM files of our own certificate and its key | none |
    /// | `tls.server.name` | the name that the server's certificate must be for | the host |
    /// | `tls` | `true`: TLS, where the scheme does not say it, as with sentinels | `true` with `rediss://` |
    /// | `sentinel.user` | the sentinels' own ACL user | none |
    /// | `sentinel.password` | the sentinels' own password | none |
    ///
    /// `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile` are other names of the files, as in URLs for Python.
    /// A duration is a number with `ms`, `s`, `m`, `h` or `d`. User and password are percent-encoded.
    /// # Errors
    /// `Invalid` for a malformed URL, an unknown option or value (named, with what is known; the password never is).
    pub fn from_url(text: &str) -> Result<Self> {
        Self::new("", 6379).merge_url(text)
    }
    /// Takes the address and options of a URL, as [`from_url`](Self::from_url) reads them, over what is set here.
    /// # Errors
    /// As [`from_url`](Self::from_url).
    pub fn merge_url(mut self, text: &str) -> Result<Self> {
        // Neither the text nor the parser's view of it goes into an error: it may hold a password.
        let (text, others) = first_host(text);
        let url = Url::parse(&text).map_err(|e| malformed(&e.to_string()))?;
        if !matches!(
            url.scheme(),
            "redis" | "rediss" | "redis-sentinel" | "redis-cluster"
        ) {
            return Err(malformed(&format!("the scheme is `{}`", url.scheme())));
        }
        let host = url
            .host_str()
            .filter(|h| !h.is_empty())
            .ok_or_else(|| malformed("the host is missing"))?;
        let mut path = url.path().trim_matches('/');
        let config = &mut self;
        let asked_for_tls = config.tls.is_on();
        match url.scheme() {
            "rediss" => config.tls.turn(true),
            "redis" => config.tls.turn(false),
            // The scheme does not say it.
            _ => {}
        }
        config.servers = match url.scheme() {
            "redis-sentinel" => {
                let mut hosts = vec![Host::new(host, url.port().unwrap_or(SENTINEL))];
                for other in others {
                    hosts.push(parse_host(&other, SENTINEL)?);
                }
                let (primary, rest) = path.split_once('/').unwrap_or((path, ""));
                path = rest;
                if primary.is_empty() {
                    return Err(malformed("what the sentinels call the primary is missing"));
                }
                Servers::Sentinels(Sentinels {
                    hosts,
                    primary: decode(primary, "primary's name")?,
                })
            }
            "redis-cluster" => {
                let first = Host::new(host, url.port().unwrap_or(6379));
                let others = others.iter().map(|other| parse_host(other, 6379));
                let hosts = std::iter::once(Ok(first)).chain(others);
                Servers::Cluster(hosts.collect::<Result<_>>()?)
            }
            _ if !others.is_empty() => return Err(malformed("it names several hosts")),
            _ => Servers::One(Host::new(host, url.port().unwrap_or(6379))),
        };
        if !url.username().is_empty() {
            config.user = Some(decode(url.username(), "user")?);
        }
        if let Some(password) = url.password() {
            config.password = Some(PasswordSource::Fixed(decode(password, "password")?.into()));
        }
        if !path.is_empty() {
            config.database = path
                .parse()
                .map_err(|_| malformed(&format!("`{path}` is no database number")))?;
        }
        for (name, value) in url.query_pairs() {
            config.set(&name, &value)?;
        }
        if asked_for_tls && !config.tls.is_on() {
            return Err(Error::invalid(
                "the settings ask for TLS, which a URL with `redis://` does not: write `rediss://`, or leave TLS out",
            ));
        }
        let of_sentinels = [
            ("sentinel.user", config.sentinel_user.is_some()),
            ("sentinel.password", config.sentinel_password.is_some()),
        ];
        for (name, given) in of_sentinels {
            // The value may be a password.
            if given && !matches!(config.servers, Servers::Sentinels(_)) {
                return Err(no_sentinels(name));
            }
        }
        Ok(self)
    }
    /// Sets one of the options of the table above by its name and value.
    /// # Errors
    /// `Invalid` for an unknown option or a value that is not allowed.
    pub fn option(mut self, name: &str, value: &str) -> Result<Self> {
        self.set(name, value)?;
        Ok(self)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let wrong = |form: &str| {
            Err(Error::invalid(format!(
                "option `{name}` of the redis URL is `{value}`; write {form}"
            )))
        };
        let time = || duration(value).ok_or(());
        const TIME: &str = "a duration above zero such as `500ms`, `10s`, `5m`, `1h` or `7d`";
        match name {
            "client.id"
                if value.is_empty() || value.contains(|c: char| c.is_whitespace() || c.is_control()) =>
            {
                return wrong("a name without spaces");
            }
            "client.id" => self.client_id = value.into(),
            "ttl" => match time() {
                Ok(ttl) if ttl >= Self::TTL_MIN => self.ttl = ttl,
                _ => return wrong("a duration of at least 500ms, such as `10s`"),
            },
            "grace" | "publish.timeout" | "connect.timeout" | "retention" | "abandoned.after" => {
                let Ok(time) = time() else { return wrong(TIME) };
                match name {
                    "grace" => self.grace = time,
                    "publish.timeout" => self.publish_timeout = time,
                    "connect.timeout" => self.connect_timeout = time,
                    "abandoned.after" => self.abandoned_after = time,
                    _ => self.retention = time,
                }
            }
            "username" if value.is_empty() => return wrong("a name"),
            "username" => self.user = Some(value.into()),
            "password" => self.password = Some(PasswordSource::Fixed(value.into())),
            "password.file" if value.is_empty() => return wrong("the path of a file"),
            "password.file" => self.password = Some(PasswordSource::File(value.into())),
            name if Tls::OPTIONS.contains(&name) => {
                if let Err(form) = self.tls.set(name, value) {
                    return wrong(form);
                }
            }
            "durability" => match durability(value) {
                Some(durability) => self.durability = durability,
                None => return wrong("`memory`, `fsync` or `replicas(n)` with n of at least 1"),
            },
            "message.max" => match size(value) {
                Some(bytes) if (1..=Self::MESSAGE_MAX).contains(&bytes) => self.message_max = bytes,
                _ => return wrong("a number of bytes up to 256MiB, such as `1048576` or `1MiB`"),
            },
            "partitioner" => match value {
                "murmur2" => self.partitioner = Partitioner::Murmur2,
                "crc32" => self.partitioner = Partitioner::Crc32,
                _ => return wrong("`murmur2` or `crc32`"),
            },
            "sentinel.user" | "sentinel.password" => match &self.servers {
                Servers::One(host) if !host.name.is_empty() => return Err(no_sentinels(name)),
                Servers::Cluster(_) => return Err(no_sentinels(name)),
                // Where no server is named yet, the URL may come later.
                _ if name == "sentinel.user" => self.sentinel_user = Some(value.into()),
                _ => self.sentinel_password = Some(value.into()),
            },
            _ => {
                let sentence = format!("unknown option `{name}` in the redis URL; known are {OPTIONS}");
                return Err(Error::invalid(sentence));
            }
        }
        Ok(())
    }
}

/// Where sentinels listen unless something else is said.
const SENTINEL: u16 = 26379;

/// The URL with the first of its hosts, and the others: commas between hosts are no part of what a URL is elsewhere.
fn first_host(text: &str) -> (String, Vec<String>) {
    let Some(start) = text.find("://").map(|at| at + 3) else {
        return (text.into(), Vec::new());
    };
    let end = text[start..]
        .find(['/', '?', '#'])
        .map_or(text.len(), |at| start + at);
    let hosts = text[start..end].rfind('@').map_or(start, |at| start + at + 1);
    let mut all = text[hosts..end].split(',');
    let first = all.next().unwrap_or_default();
    let others = all.map(str::to_owned).collect();
    (format!("{}{first}{}", &text[..hosts], &text[end..]), others)
}

fn parse_host(text: &str, port: u16) -> Result<Host> {
    let url = Url::parse(&format!("redis://{text}")).map_err(|e| malformed(&e.to_string()))?;
    match url.host_str() {
        Some(host) if !host.is_empty() => Ok(Host::new(host, url.port().unwrap_or(port))),
        _ => Err(malformed("a host is missing")),
    }
}

fn no_sentinels(option: &str) -> Error {
    Error::invalid(format!(
        "option `{option}` is for `redis-sentinel://…`, which this URL is not"
    ))
}

fn malformed(why: &str) -> Error {
    Error::invalid(format!(
        "malformed redis URL ({why}); write `redis[s]://[user:password@]host[:6379][/database]`, or \
         `redis-sentinel://[user:password@]host[:26379],…/primary[/database]`, or `redis-cluster://[user:password@]host[:6379],…`"
    ))
}

fn decode(text: &str, what: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let hex = |b: &u8| (*b as char).to_digit(16);
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(high).is_some() && hex(low).is_some() => {
                bytes.push((hex(high).unwrap_or(0) * 16 + hex(low).unwrap_or(0)) as u8);
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed(&format!("the {what} is not UTF-8")))
}

/// A number with a unit; zero is no duration.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok().filter(|n| *n > 0)?;
    let unit = match &text[digits..] {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return None,
    };
    number
        .checked_mul(unit)
        .filter(|s| *s < 1 << 40)
        .map(Duration::from_secs)
}

fn durability(text: &str) -> Option<Durability> {
    match text {
        "memory" => Some(Durability::Memory),
        "fsync" => Some(Durability::Fsync),
        _ => {
            let count = text.strip_prefix("replicas(")?.strip_suffix(')')?.parse().ok()?;
            (count > 0).then_some(Durability::Replicas(count))
        }
    }
}

fn size(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: usize = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bus_core::ErrorKind;

    #[test]
    fn everything_can_be_said_in_a_url() {
        let url = "redis://app:p%40ss@[::1]:7000/3?client.id=x&ttl=2s&grace=1m&publish.timeout=5s&connect.timeout=500ms\
                   &retention=1d&abandoned.after=2d&durability=replicas(2)&message.max=1MiB&partitioner=crc32";
        let config = RedisConfig::from_url(url).unwrap();
        let expected = RedisConfig::new("::1", 7000)
            .database(3)
            .user("app")
            .password("p@ss")
            .client_id("x")
            .ttl(Duration::from_secs(2))
            .grace(Duration::from_secs(60))
            .publish_timeout(Duration::from_secs(5))
            .connect_timeout(Duration::from_millis(500))
            .retention(Duration::from_secs(86400))
            .abandoned_after(Duration::from_secs(2 * 86400))
            .durability(Durability::Replicas(2))
            .message_max(1 << 20)
            .partitioner(Partitioner::Crc32);
        assert_eq!(config, expected);
        assert_eq!(config.address(), "[::1]:7000");
        assert_eq!(
            RedisConfig::from_url("redis://h").unwrap(),
            RedisConfig::new("h", 6379)
        );
    }

    #[test]
    fn security_can_be_said_in_a_url() {
        let tls = Tls::new().ca("a.pem").certificate("c.pem", "k.pem");
        let expected = RedisConfig::new("h", 6379)
            .user("app")
            .password_file("/run/secret")
            .tls(tls);
        let python =
            "ssl_ca_certs=a.pem&ssl_certfile=c.pem&ssl_keyfile=k.pem&ssl_cert_reqs=required&username=app";
        for url in [
            "rediss://app@h?password.file=/run/secret&tls.ca=a.pem&tls.cert=c.pem&tls.key=k.pem".to_owned(),
            format!("redis://h?tls=true&password.file=/run/secret&{python}"),
        ] {
            assert_eq!(RedisConfig::from_url(&url).unwrap(), expected);
        }
        // Which layer says it makes no difference.
        let sentinels = "redis-sentinel://h/m";
        let secured = RedisConfig::new("", 6379).tls(Tls::new()).merge_url(sentinels);
        assert_eq!(
            secured.unwrap(),
            RedisConfig::from_url(&format!("{sentinels}?tls=true")).unwrap()
        );
        let password = RedisConfig::new("", 6379).option("sentinel.password", "s3cret");
        let password = password.unwrap().merge_url(sentinels).unwrap();
        let expected = RedisConfig::sentinel("m", [("h", 26379)]).sentinel_password("s3cret");
        assert_eq!(password, expected);
        // It is never taken back unnoticed, nor is a password for nobody.
        for (config, sentence) in [
            (RedisConfig::new("", 6379).tls(Tls::new()), "write `rediss://`"),
            (RedisConfig::new("", 6379).sentinel_user("u"), "`sentinel.user`"),
        ] {
            let error = config.merge_url("redis://h").unwrap_err();
            assert!(
                error == ErrorKind::Invalid && error.message().contains(sentence),
                "{error}"
            );
        }
        let named = RedisConfig::from_url("rediss://h?tls.server.name=redis.internal").unwrap();
        let tls = Tls::new().server_name("redis.internal");
        assert_eq!(named, RedisConfig::new("h", 6379).tls(tls));
    }

    #[test]
    fn sentinels_are_named_with_what_they_call_the_primary() {
        let url = "redis-sentinel://app:p%40ss@a:1,[::1]:7000,b/m%20y/3?sentinel.user=s&sentinel.password=p%2Fw&ttl=2s";
        let config = RedisConfig::from_url(url).unwrap();
        let hosts = [("a", 1), ("::1", 7000), ("b", 26379)];
        let expected = RedisConfig::sentinel("m y", hosts)
            .user("app")
            .password("p@ss")
            .sentinel_user("s")
            .sentinel_password("p/w")
            .database(3)
            .ttl(Duration::from_secs(2));
        assert_eq!(config, expected);
        assert_eq!(config.address(), "a:1,[::1]:7000,b:26379/m y");
        let cluster = RedisConfig::from_url("redis-cluster://app:x@a:1,b?ttl=2s").unwrap();
        let expected = RedisConfig::cluster([("a", 1), ("b", 6379)]);
        assert_eq!(
            cluster,
            expected.user("app").password("x").ttl(Duration::from_secs(2))
        );
        let shown = format!("{config:?}");
        assert!(!shown.contains("p@ss") && !shown.contains("p/w"), "{shown}");
    }

    #[test]
    fn what_is_wrong_is_named_and_the_password_is_not() {
        for (url, part) in [
            ("redis://u:s3cret@", "host"),
            ("redis://u:s3cret@h:99999", "port"),
            ("redis://u:s3cret@h/x", "`x` is no database number"),
            ("redis://u:s3cret@h?ttl=1", "option `ttl`"),
            ("redis://u:s3cret@h?ttl=10ms", "at least 500ms"),
            ("redis://u:s3cret@h?retention=0d", "option `retention`"),
            ("redis://u:s3cret@h?durability=replicas(0)", "replicas(n)"),
            ("redis://u:s3cret@h?colour=red", "unknown option `colour`"),
            ("redis://u:s3cret@h?message.max=1TB", "256MiB"),
            ("redis://u:s3cret@h?client.id=a%20b", "without spaces"),
            ("redis//u:s3cret@h", "malformed"),
            ("http://u:s3cret@h", "scheme is `http`"),
            ("rediss://u:s3cret@h?ssl_cert_reqs=none", "always checked"),
            ("rediss://u:s3cret@h?tls.ca=", "PEM file"),
            ("rediss://u:s3cret@h?tls=false", "leave it out"),
            ("redis-cluster://u:s3cret@h:1,h:x", "port"),
            (
                "redis-sentinel://u:s3cret@h",
                "what the sentinels call the primary",
            ),
            ("redis-sentinel://u:s3cret@h:1,:2/m", "host"),
            ("redis-sentinel://u:s3cret@h:1,h:x/m", "port"),
            ("redis-sentinel://u:s3cret@h/m/x", "`x` is no database number"),
            ("redis://u:s3cret@h:1,i:2", "several hosts"),
            ("redis://h?sentinel.password=s3cret", "is for `redis-sentinel://"),
            (
                "redis-cluster://h?sentinel.password=s3cret",
                "is for `redis-sentinel://",
            ),
        ] {
            let error = RedisConfig::from_url(url).unwrap_err().to_string();
            assert!(error.contains(part), "{url}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
