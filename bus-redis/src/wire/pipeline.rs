//! Commands that go out together and are answered together.

use super::encode;
use crate::{Password, scripts::Script};

/// Commands in the order of their replies. It can be sent again as it is: a call that is idempotent stays so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipeline {
    commands: Vec<Command>,
}

#[derive(Clone, Debug)]
struct Command {
    script: Option<Script>,
    arguments: usize,
    bytes: Vec<u8>,
}

impl Pipeline {
    /// No commands yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }
    /// One command.
    pub(crate) fn of(words: &[&[u8]]) -> Self {
        let mut pipeline = Self::new();
        pipeline.add(words);
        pipeline
    }
    /// Adds a command.
    pub(crate) fn add(&mut self, words: &[&[u8]]) -> &mut Self {
        let mut bytes = Vec::new();
        for word in words {
            encode::bulk(&mut bytes, word);
        }
        self.push(None, words.len(), bytes)
    }
    /// Adds what says who we are, where there is anything to say.
    pub(crate) fn authenticate(&mut self, user: Option<&str>, password: Option<&Password>) {
        match (user, password.map_or("", Password::reveal)) {
            (Some(user), password) => self.add(&[b"AUTH", user.as_bytes(), password.as_bytes()]),
            (None, "") => self,
            (None, password) => self.add(&[b"AUTH", password.as_bytes()]),
        };
    }
    /// Adds a call of a script.
    pub(crate) fn script(&mut self, script: Script, keys: &[&[u8]], arguments: &[&[u8]]) -> &mut Self {
        let mut bytes = Vec::new();
        encode::number(&mut bytes, keys.len() as i64);
        for word in keys.iter().chain(arguments) {
            encode::bulk(&mut bytes, word);
        }
        self.push(Some(script), 1 + keys.len() + arguments.len(), bytes)
    }
    /// Adds a call of a script whose words (the number of keys first) are encoded already.
    pub(crate) fn encoded_script(&mut self, script: Script, words: usize, bytes: Vec<u8>) -> &mut Self {
        self.push(Some(script), words, bytes)
    }
    fn push(&mut self, script: Option<Script>, arguments: usize, bytes: Vec<u8>) -> &mut Self {
        self.commands.push(Command {
            script,
            arguments,
            bytes,
        });
        self
    }
    /// How many commands.
    pub(crate) fn len(&self) -> usize {
        self.commands.len()
    }
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }
    /// Whether it calls scripts.
    pub(crate) fn has_scripts(&self) -> bool {
        self.commands.iter().any(|c| c.script.is_some())
    }
    /// Only the command at `index`.
    pub(crate) fn only(&self, index: usize) -> Self {
        Self {
            commands: vec![self.commands[index].clone()],
        }
    }
    /// Writes them; `sha` says what the server calls a script.
    pub(crate) fn write(&self, out: &mut Vec<u8>, sha: impl Fn(Script) -> String) {
        for command in &self.commands {
            match command.script {
                None => encode::array(out, command.arguments),
                Some(script) => {
                    encode::array(out, command.arguments + 2);
                    encode::bulk(out, b"EVALSHA");
                    encode::bulk(out, sha(script).as_bytes());
                }
            }
            out.extend_from_slice(&command.bytes);
        }
    }
}
