//! Mail, by as much of SMTP as that takes.

use std::io::{Error, Result};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufStream},
    net::TcpStream,
};

/// Sends mail by a server, if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Mailer {
    pub(crate) server: Option<String>,
}

impl Mailer {
    pub(crate) async fn send(&self, user: &str, text: &str) -> Result<()> {
        let server = self
            .server
            .as_ref()
            .ok_or_else(|| Error::other("there is no mail server: give one by `--smtp`"))?;
        let mut mail = BufStream::new(TcpStream::connect(server).await?);
        expect(&mut mail, "220").await?;
        for (line, code) in [
            ("HELO tasks".to_owned(), "250"),
            ("MAIL FROM:<tasks@example.org>".to_owned(), "250"),
            (format!("RCPT TO:<{user}@example.org>"), "250"),
            ("DATA".to_owned(), "354"),
            (format!("Subject: {text}\r\n\r\n{text}\r\n."), "250"),
            ("QUIT".to_owned(), "221"),
        ] {
            mail.write_all(format!("{line}\r\n").as_bytes()).await?;
            mail.flush().await?;
            expect(&mut mail, code).await?;
        }
        Ok(())
    }
}

async fn expect(mail: &mut BufStream<TcpStream>, code: &str) -> Result<()> {
    let mut line = String::new();
    mail.read_line(&mut line).await?;
    match line.starts_with(code) {
        true => Ok(()),
        false => Err(Error::other(format!(
            "the mail server said `{}`",
            line.trim_end()
        ))),
    }
}
