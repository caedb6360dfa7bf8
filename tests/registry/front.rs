//! A reverse proxy before a real registry: counts what passes, asks for a login, hides ids, is down.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

#[derive(Debug, Default)]
struct State {
    seen: Vec<String>,
    login: Option<String>,
    hidden: HashSet<u32>,
    down: bool,
    delay: Duration,
}

/// It stays for as long as its test runs.
#[derive(Clone, Debug)]
pub(crate) struct Front {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    path: String,
}

impl Front {
    /// Before the registry at this URL.
    pub(crate) async fn before(url: &str) -> Self {
        let rest = url.strip_prefix("http://").unwrap();
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, path) = (host.to_owned(), path.trim_end_matches('/').to_owned());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let front = Self { state, address, path };
        let serving = front.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (front, host) = (serving.clone(), host.clone());
                tokio::spawn(async move { front.serve(client, &host).await });
            }
        });
        front
    }
    pub(crate) fn url(&self) -> String {
        format!("http://{}/{}", self.address, self.path)
    }
    /// The same with a login in it.
    pub(crate) fn url_of(&self, login: &str) -> String {
        format!("http://{login}@{}/{}", self.address, self.path)
    }
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.state.lock().unwrap())
    }
    /// Whether it takes no connections any more; those that it has are cut.
    pub(crate) fn down(&self, down: bool) {
        self.change(|state| state.down = down);
    }
    /// Asks for this `Authorization`.
    pub(crate) fn asks_for(&self, login: &str) {
        self.change(|state| state.login = Some(login.to_owned()));
    }
    /// Does not know this id, as a replica that lags behind.
    pub(crate) fn hide(&self, id: u32) {
        self.change(|state| state.hidden.insert(id));
    }
    pub(crate) fn reveal(&self) {
        self.change(|state| state.hidden.clear());
    }
    /// Every answer takes so long.
    pub(crate) fn slow(&self, delay: Duration) {
        self.change(|state| state.delay = delay);
    }
    /// How many requests begin with this, such as `GET /schemas`.
    pub(crate) fn count(&self, beginning: &str) -> usize {
        self.change(|state| {
            state
                .seen
                .iter()
                .filter(|line| line.starts_with(beginning))
                .count()
        })
    }
    async fn serve(&self, client: TcpStream, host: &str) -> Option<()> {
        let mut client = BufReader::new(client);
        let (mut line, mut length, mut login, mut head) = (String::new(), 0, String::new(), String::new());
        client.read_line(&mut line).await.ok()?;
        let line = line.trim_end().replace(&format!("/{}", self.path), "");
        loop {
            let mut header = String::new();
            if client.read_line(&mut header).await.ok()? == 0 {
                return None;
            }
            let Some((name, value)) = header.trim_end().split_once(": ") else {
                break;
            };
            match &*name.to_ascii_lowercase() {
                "content-length" => length = value.parse().ok()?,
                "authorization" => login = value.to_owned(),
                "host" | "connection" => continue,
                _ => {}
            }
            head.push_str(&header);
        }
        let mut body = vec![0; length];
        client.read_exact(&mut body).await.ok()?;
        let (method, path) = line.split_once(' ')?;
        let path = path.split(' ').next()?;
        let (down, delay, denied, hidden) = self.change(|state| {
            if !state.down {
                state.seen.push(format!("{method} {path}"));
            }
            let id = path.strip_prefix("/schemas/ids/").and_then(|id| id.parse().ok());
            let denied = state.login.as_ref().is_some_and(|asked| *asked != login);
            (
                state.down,
                state.delay,
                denied,
                id.is_some_and(|id| state.hidden.contains(&id)),
            )
        });
        if down {
            return None;
        }
        tokio::time::sleep(delay).await;
        let short = |status: &str, body: &str| {
            format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        };
        let answer = if denied {
            short(
                "401 Unauthorized",
                r#"{"error_code":40101,"message":"who are you?"}"#,
            )
        } else if hidden {
            short(
                "404 Not Found",
                r#"{"error_code":40403,"message":"Schema not found"}"#,
            )
        } else {
            let mut registry = TcpStream::connect(host).await.ok()?;
            let head = format!(
                "{method} /{}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{head}\r\n",
                self.path
            );
            registry.write_all(head.as_bytes()).await.ok()?;
            registry.write_all(&body).await.ok()?;
            let mut answer = Vec::new();
            registry.read_to_end(&mut answer).await.ok()?;
            answer
        };
        let down = self.change(|state| state.down);
        if !down {
            client.write_all(&answer).await.ok()?;
            client.shutdown().await.ok()?;
        }
        Some(())
    }
}
