//! A mail server that takes mail for everybody but one.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

pub(crate) struct Smtp {
    pub(crate) address: String,
    taken: Arc<Mutex<Vec<String>>>,
}

impl Smtp {
    /// It ends with the process.
    pub(crate) fn refusing(user: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, taken) = (
            listener.local_addr().unwrap().to_string(),
            Arc::new(Mutex::new(Vec::new())),
        );
        let mails = taken.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if let Some(mail) = serve(stream, user) {
                    mails.lock().unwrap().push(mail);
                }
            }
        });
        Self { address, taken }
    }
    /// `to: text` of each mail.
    pub(crate) fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, refused: &str) -> Option<String> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    stream.write_all(b"220 mail\r\n").ok()?;
    let (mut to, mut text) = (String::new(), String::new());
    while let Some(Ok(line)) = lines.next() {
        let mut answer = "250 ok";
        if let Some(address) = line.strip_prefix("RCPT TO:<") {
            to = address.trim_end_matches('>').to_owned();
            if to.starts_with(refused) {
                answer = "451 try again later";
            }
        } else if line == "DATA" {
            stream.write_all(b"354 go on\r\n").ok()?;
            text = lines
                .by_ref()
                .map_while(Result::ok)
                .take_while(|line| line != ".")
                .last()?;
        } else if line == "QUIT" {
            stream.write_all(b"221 bye\r\n").ok()?;
            return Some(format!("{to}: {text}"));
        }
        stream.write_all(format!("{answer}\r\n").as_bytes()).ok()?;
    }
    None
}
