//! A redis-server of one's own, for what would disturb others.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub struct Server {
    pub port: u16,
    child: Child,
    directory: PathBuf,
    arguments: Vec<String>,
}

impl Server {
    /// Starts `redis-server` from the PATH on a free port, with these settings besides.
    pub fn start(arguments: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let directory = std::env::temp_dir().join(format!("bus-redis-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let arguments: Vec<String> = arguments.iter().map(|a| a.to_string()).collect();
        let child = spawn(port, &directory, &arguments);
        let server = Self {
            port,
            child,
            directory,
            arguments,
        };
        server.wait();
        server
    }
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
    /// Starts it again with what it has on its disk.
    pub fn restart(&mut self) {
        self.child = spawn(self.port, &self.directory, &self.arguments);
        self.wait();
    }
    fn wait(&self) {
        let end = Instant::now() + super::DEADLINE;
        loop {
            // Any answer will do: it may ask for a password.
            if answers(self.port) {
                return;
            }
            assert!(
                Instant::now() < end,
                "redis-server does not come up on port {}",
                self.port
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let mut answer = [0; 8];
    let asked = stream.write_all(b"PING\r\n").is_ok() && stream.read(&mut answer).is_ok();
    asked && (answer.starts_with(b"+PONG") || answer.starts_with(b"-NOAUTH"))
}

fn spawn(port: u16, directory: &PathBuf, arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(arguments)
        .current_dir(directory)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server in PATH")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
