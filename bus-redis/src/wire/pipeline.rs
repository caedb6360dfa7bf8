//! Commands that go out together and are answered together.

use super::{encode, value};
use crate::{Password, scripts::Script};

/// Commands in the order of their replies. It can be sent again as it is: a call that is idempotent stays so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipeline {
    commands: Vec<Command>,
}

#[derive(Clone, Debug)]
struct Command {
    script: Option<Script>,
    /// Which of the words is the key that says where it belongs; 0 is the command itself, which has none.
    key: usize,
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
        self.push(None, key_of(words), words.len(), bytes)
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
        self.push(Some(script), 1, 1 + keys.len() + arguments.len(), bytes)
    }
    /// Adds a call of a script whose words (the number of keys first) are encoded already.
    pub(crate) fn encoded_script(&mut self, script: Script, words: usize, bytes: Vec<u8>) -> &mut Self {
        self.push(Some(script), 1, words, bytes)
    }
    fn push(&mut self, script: Option<Script>, key: usize, arguments: usize, bytes: Vec<u8>) -> &mut Self {
        self.commands.push(Command {
            script,
            key,
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
    /// The key that says where the command at `index` belongs, if it has one.
    pub(crate) fn key(&self, index: usize) -> Option<&[u8]> {
        let command = &self.commands[index];
        let mut at = 0;
        for number in 0..=command.key {
            let (_, length) = value::line(&command.bytes, &mut at).ok()??;
            let length = usize::try_from(value::integer(length).ok()?).ok()?;
            let word = value::bulk(&command.bytes, &mut at, length).ok()??;
            if number > 0 && number == command.key {
                return Some(word);
            }
        }
        None
    }
    /// Only the commands at these places.
    pub(crate) fn pick(&self, indexes: impl IntoIterator<Item = usize>) -> Self {
        let commands = indexes.into_iter().map(|index| self.commands[index].clone());
        Self {
            commands: commands.collect(),
        }
    }
    /// Only the commands at these places, each behind one that asks for a slot that is on its way.
    pub(crate) fn pick_asking(&self, indexes: &[usize]) -> Self {
        let mut picked = Self::new();
        for index in indexes {
            picked.add(&[b"ASKING"]);
            picked.commands.push(self.commands[*index].clone());
        }
        picked
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

/// Which of the words is the first key, of the commands that are used here.
fn key_of(words: &[&[u8]]) -> usize {
    match words[0] {
        b"XINFO" | b"XGROUP" => 2,
        b"AUTH" | b"SELECT" | b"CLIENT" | b"INFO" | b"PING" | b"TIME" | b"CONFIG" | b"SCRIPT" | b"WAIT"
        | b"WAITAOF" | b"CLUSTER" | b"SENTINEL" | b"ASKING" => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_belongs_where_its_key_does() {
        let mut pipeline = Pipeline::new();
        pipeline
            .add(&[b"GET", b"marker"])
            .add(&[b"XINFO", b"GROUPS", b"orders"])
            .add(&[b"WAIT", b"1", b"100"])
            .script(Script::Facts, &[b"lease", b"stream"], &[b"word"]);
        let keys: Vec<_> = (0..4).map(|index| pipeline.key(index)).collect();
        assert_eq!(
            keys,
            [Some(&b"marker"[..]), Some(b"orders"), None, Some(b"lease")]
        );
    }
}
