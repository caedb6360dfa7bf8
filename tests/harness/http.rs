//! As much of HTTP as tests of a web service need.
#![allow(dead_code)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// A connection that is kept.
pub(crate) struct Http(BufReader<TcpStream>);

impl Http {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(BufReader::new(stream))
    }
    pub(crate) fn get(&mut self, path: &str) -> (u16, String) {
        self.ask("GET", path, "")
    }
    pub(crate) fn post(&mut self, path: &str, json: &str) -> (u16, String) {
        self.ask("POST", path, json)
    }
    /// Status and body.
    pub(crate) fn ask(&mut self, method: &str, path: &str, json: &str) -> (u16, String) {
        let length = json.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{json}"
        );
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let first = self.line();
        let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
        let mut length = 0;
        loop {
            let line = self.line().to_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(number) = line.strip_prefix("content-length:") {
                length = number.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (
            status.unwrap_or_else(|| panic!("no status: {first}")),
            String::from_utf8(body).unwrap(),
        )
    }
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}
