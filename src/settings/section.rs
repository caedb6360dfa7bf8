//! Settings out of a section of a file.

use super::{
    Settings,
    kind::Kind,
    near,
    node::Node,
    table::{self, SETTINGS, Setting},
    value::{Given, Layer},
};
use bus_core::{Error, Result};
use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeMap;

/// Keys of a section that hold sections of their own.
const SECTIONS: [&str; 3] = ["topics", "groups", "options"];

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(from)?;
        Self::of_node(node, "the settings of the bus").map_err(|error| de::Error::custom(error.message()))
    }
}

impl Settings {
    /// What a section says. `place` is how errors name it.
    pub(super) fn of_node(node: Node, place: &str) -> Result<Self> {
        let mut settings = Self::default();
        let entries = match node {
            Node::Unset => return Ok(settings),
            Node::Map(entries) => entries,
            other => {
                let form = other.form();
                return Err(Error::invalid(format!(
                    "{place}: a section of settings is needed, not {form}"
                )));
            }
        };
        let mut wrong = Vec::new();
        // A file's parser may give its keys in any order; what is wrong is told in the same one each time.
        for (key, node) in BTreeMap::from_iter(entries) {
            if let Err(why) = settings.entry(&key, node, place) {
                wrong.push(format!("{place}: {why}"));
            }
        }
        if wrong.is_empty() {
            Ok(settings)
        } else {
            Err(Error::invalid(wrong.join("\n")))
        }
    }

    fn entry(&mut self, key: &str, node: Node, place: &str) -> Result<(), String> {
        let origin = |key: &str| format!("`{key}` in {place}");
        let give = |text: String, key: &str| Given::new(text, Layer::File, origin(key));
        if let Some(setting) = table::in_a_file(key) {
            let Some(text) = text_of(setting, key, node)? else {
                return Ok(());
            };
            let text = setting
                .kind
                .check(&text)
                .map_err(|allowed| bad(setting, key, &text, &allowed))?;
            if let Some(other) = self.values.insert(setting.name, give(text, key)) {
                return Err(format!(
                    "`{key}` is the same setting as {}; leave one out",
                    other.origin
                ));
            }
            return Ok(());
        }
        let section = key.to_ascii_lowercase();
        if !SECTIONS.contains(&&*section) {
            let all = SETTINGS
                .iter()
                .flat_map(|s| s.also.iter().chain([&s.name]).copied());
            return Err(format!(
                "unknown setting `{key}`{}",
                near::hint(&section, all.chain(SECTIONS))
            ));
        }
        let entries = match node {
            Node::Unset => return Ok(()),
            Node::Map(entries) => entries,
            other => {
                return Err(format!(
                    "`{key}` is {}; write a section of names and values",
                    other.form()
                ));
            }
        };
        for (name, node) in flat(entries) {
            let full = format!("{key}.{name}");
            let text = match node {
                Node::Unset => continue,
                Node::Text(text) | Node::Plain(text) => text,
                other => return Err(format!("`{full}` is {}; write one value", other.form())),
            };
            if section == "options" {
                self.options.insert(name, give(text, &full));
                continue;
            }
            let text = Kind::Name
                .check(&text)
                .map_err(|allowed| format!("`{full}` is `{}`; write {allowed}", text.escape_debug()))?;
            let map = if section == "topics" {
                &mut self.topics
            } else {
                &mut self.groups
            };
            map.insert(normal(&name), give(text, &full));
        }
        Ok(())
    }
}

/// A value that is not allowed: key, value and what is; the value is left out where it may be a secret.
pub(super) fn bad(setting: &Setting, key: &str, text: &str, allowed: &str) -> String {
    // An address with a login in it, where none belongs, holds a password as well.
    if setting.kind.is_secret() || text.contains('@') {
        return format!("the value of `{key}` is not accepted; write {allowed}");
    }
    format!("`{key}` is `{}`; write {allowed}", text.escape_debug())
}

/// The form in which names of topics and groups are looked up.
pub(super) fn normal(name: &str) -> String {
    name.to_ascii_lowercase().replace(['-', '.'], "_")
}

/// Options may be written as `linger.ms: 5`, which TOML takes for a section `linger`.
fn flat(entries: Vec<(String, Node)>) -> BTreeMap<String, Node> {
    let mut all = BTreeMap::new();
    for (name, node) in entries {
        match node {
            Node::Map(inner) => {
                all.extend(
                    flat(inner)
                        .into_iter()
                        .map(|(rest, node)| (format!("{name}.{rest}"), node)),
                );
            }
            node => {
                all.insert(name, node);
            }
        }
    }
    all
}

fn text_of(setting: &Setting, key: &str, node: Node) -> Result<Option<String>, String> {
    match node {
        Node::Unset => Ok(None),
        Node::Text(text) if text.trim().is_empty() && setting.kind != Kind::Secret => Ok(None),
        Node::Text(text) => Ok(Some(text)),
        Node::Plain(_) if setting.kind == Kind::Secret => {
            // `007` would have come as 7, and nobody would see why the broker refuses it.
            Err(format!("`{key}` is a number or truth value; write it in quotes"))
        }
        Node::Plain(text) => Ok(Some(text)),
        Node::List(nodes) if setting.kind == Kind::Brokers => {
            let mut hosts = Vec::new();
            for node in nodes {
                match node {
                    Node::Text(host) | Node::Plain(host) => hosts.push(host),
                    Node::Unset => {}
                    other => {
                        return Err(format!(
                            "`{key}` holds {}; write {}",
                            other.form(),
                            setting.kind.allowed()
                        ));
                    }
                }
            }
            Ok(Some(hosts.join(",")).filter(|hosts| !hosts.is_empty()))
        }
        other => Err(format!(
            "`{key}` is {}; write {}",
            other.form(),
            setting.kind.allowed()
        )),
    }
}
