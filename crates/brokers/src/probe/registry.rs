//! A schema registry: `GET /subjects`, whose answer is a list.

use std::io::{Read, Write};

use crate::probe::connect;

/// Whether the registry at `http://[user:password@]host:port[/path]` answers, or why not.
pub(crate) fn registry(url: &str) -> Result<(), String> {
    let rest = url
        .strip_prefix("http://")
        .ok_or("not an http://host:port address")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_end_matches('/');
    let path = if path.is_empty() {
        String::new()
    } else {
        format!("/{path}")
    };
    let mut stream = connect(host)?;
    write!(
        stream,
        "GET {path}/subjects HTTP/1.0\r\nHost: {host}\r\nAccept: application/json\r\n\r\n"
    )
    .map_err(|e| e.to_string())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(|e| e.to_string())?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).unwrap_or("no status");
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    match (status, body.trim_start().starts_with('[')) {
        ("200", true) => Ok(()),
        _ => Err(format!("GET {path}/subjects: {status}")),
    }
}
