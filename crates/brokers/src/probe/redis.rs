//! Redis: `PING`, then `INFO server` for the version.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::probe::connect;

/// The version of the server at `redis://[user:password@]host[:port][/db]`, or why it does not answer.
pub(crate) fn redis_version(url: &str) -> Result<String, String> {
    let mut connection = open(url)?;
    ask(&mut connection, &["PING"])?;
    let info = ask(&mut connection, &["INFO", "server"])?;
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
    version
        .map(|v| v.trim().to_owned())
        .ok_or_else(|| "INFO names no version".into())
}

/// One command on a connection of its own; its reply as text, the elements of an array in lines.
pub(crate) fn redis_ask(url: &str, words: &[&str]) -> Result<String, String> {
    ask(&mut open(url)?, words)
}

fn open(url: &str) -> Result<BufReader<TcpStream>, String> {
    let target = Target::parse(url)?;
    let mut connection = BufReader::new(connect(&target.address)?);
    if let Some(password) = &target.password {
        let user = target.user.as_deref().unwrap_or("default");
        ask(&mut connection, &["AUTH", user, password])?;
    }
    Ok(connection)
}

#[derive(Debug, PartialEq)]
struct Target {
    address: String,
    user: Option<String>,
    password: Option<String>,
}

impl Target {
    fn parse(url: &str) -> Result<Self, String> {
        let rest = url
            .strip_prefix("redis://")
            .ok_or("not a redis://host:port address")?;
        let rest = rest.split(['/', '?']).next().unwrap_or(rest);
        let (login, host) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (user, password) = login.split_once(':').unwrap_or(("", login));
        let address = if host.contains(':') {
            host.to_owned()
        } else {
            format!("{host}:6379")
        };
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(Self {
            address,
            user: some(user),
            password: some(password),
        })
    }
}

fn ask(connection: &mut BufReader<TcpStream>, words: &[&str]) -> Result<String, String> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    let socket = connection.get_mut();
    socket.write_all(command.as_bytes()).map_err(|e| e.to_string())?;
    reply(connection)
}

/// Nothing that a test asks for is larger.
const LARGEST: usize = 1 << 20;

fn reply(connection: &mut BufReader<TcpStream>) -> Result<String, String> {
    let mut line = String::new();
    connection.read_line(&mut line).map_err(|e| e.to_string())?;
    let Some((kind, rest)) = line.trim_end().split_at_checked(1) else {
        return Err("the connection was closed".into());
    };
    let count = || rest.parse::<usize>().ok().filter(|n| *n < LARGEST);
    match (kind, count()) {
        ("+" | ":", _) => Ok(rest.to_owned()),
        ("$", Some(size)) => {
            let mut body = vec![0; size + 2];
            connection.read_exact(&mut body).map_err(|e| e.to_string())?;
            Ok(String::from_utf8_lossy(&body[..size]).into_owned())
        }
        // Nothing.
        ("$" | "*", None) if rest == "-1" => Ok(String::new()),
        ("*", Some(count)) => {
            let replies = (0..count)
                .map(|_| reply(connection))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(replies.join("\n"))
        }
        // `-LOADING …` while a restarted server reads its file back lands here too.
        _ => Err(format!("{kind}{rest}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let plain = Target::parse("redis://127.0.0.1:6400").unwrap();
        assert_eq!(
            plain,
            Target {
                address: "127.0.0.1:6400".into(),
                user: None,
                password: None
            }
        );
        let full = Target::parse("redis://me:secret@cache/2").unwrap();
        assert_eq!(full.address, "cache:6379");
        assert_eq!(
            (full.user.as_deref(), full.password.as_deref()),
            (Some("me"), Some("secret"))
        );
        assert!(Target::parse("localhost:6379").is_err());
    }
}
