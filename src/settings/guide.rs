//! `docs/settings.md`, made from the table that the code goes by.

use super::{
    env::{GROUP, TOPIC},
    table::{SETTINGS, Setting},
};
use std::fmt::Write;

/// The table of all settings, as `docs/settings.md` has it.
pub fn markdown() -> String {
    let mut text = String::from(
        "| name, and other names in a file | environment | value | our option | native option | default | reason |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for setting in SETTINGS {
        line(&mut text, setting);
    }
    for (section, prefix, what) in [("topics", TOPIC, "topic"), ("groups", GROUP, "group")] {
        let _ = writeln!(
            text,
            "| `{section}: {{name: …}}` | `{prefix}<NAME>` | a {what}'s name | `Settings::{what}(\"name\")` | | none | the {what} that the application calls so |"
        );
    }
    text.push_str("| `options: {name: …}` | | any | `Settings::set` | the same name | none | what has no setting of its own: each backend's URL options, and librdkafka's |\n");
    text
}

fn line(text: &mut String, setting: &Setting) {
    let code = |words: &[&str]| {
        let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        words.join(", ")
    };
    let names: Vec<_> = [setting.name]
        .into_iter()
        .chain(setting.also.iter().copied())
        .collect();
    let native = if setting.native.is_empty() {
        String::new()
    } else {
        format!("`{}`", setting.native)
    };
    let default = match setting.default {
        plain if plain.contains(['`', ' ']) || plain == "none" => plain.to_owned(),
        value => format!("`{value}`"),
    };
    let allowed = setting.kind.allowed();
    let _ = writeln!(
        text,
        "| {} | {} | {allowed} | {} | {native} | {default} | {} |",
        code(&names),
        code(setting.variables),
        setting.ours,
        setting.reason
    );
}
