//! An operator's hand on the real registry.

/// Sets a subject's rule, as an operator does.
pub(crate) async fn rule(server: &str, subject: &str, rule: &str) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (host, path) = server.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let body = format!("{{\"compatibility\":\"{rule}\"}}");
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let length = body.len();
    let request = format!(
        "PUT /{path}/config/{subject} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
