//! A private schema registry survives what tests do to it.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::io::{Read, Write};
use std::net::TcpStream;

use bus_brokers::SchemaRegistry;

fn ask(registry: &SchemaRegistry, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(registry.socket())?;
    let length = body.len();
    write!(
        stream,
        "{method} /apis/ccompat/v7{path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn it_registers_is_killed_and_comes_back() {
    let registry = SchemaRegistry::start().unwrap();
    assert!(registry.url().starts_with("http://127.0.0.1:") && registry.version().starts_with("Apicurio"));
    let body = r#"{"schema": "\"string\""}"#;
    let answer = ask(&registry, "POST", "/subjects/a-value/versions", body).unwrap();
    assert!(answer.contains("\"id\":"), "{answer}");
    let url = registry.url().to_owned();
    registry.kill9().unwrap();
    assert!(ask(&registry, "GET", "/subjects", "").is_err(), "nobody listens");
    registry.restart().unwrap();
    assert_eq!(registry.url(), url);
    let answer = ask(&registry, "GET", "/subjects", "").unwrap();
    assert!(answer.ends_with("[]"), "what was in memory is gone: {answer}");
}
