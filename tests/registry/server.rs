//! The real registry.

/// The real one: the shared registry, which the environment names or which is started.
pub(crate) async fn server() -> String {
    let started = tokio::task::spawn_blocking(|| bus_brokers::shared(bus_brokers::Kind::Registry));
    started.await.unwrap().unwrap().address
}

pub(crate) fn passed(url: &str, check: &str) {
    bus_brokers::passed("registry", url, check).unwrap();
}

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
