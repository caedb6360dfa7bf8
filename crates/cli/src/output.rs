//! Standard output: tables for a terminal, JSON lines otherwise.

use crate::failure::{Done, Failure};
use clap::builder::styling::{AnsiColor, Style};
use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets::UTF8_HORIZONTAL_ONLY};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// How results are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// JSON where it is asked for, and where no person reads.
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json: json || !io::stdout().is_terminal(),
        }
    }
    pub(crate) fn is_json(self) -> bool {
        self.json
    }
    /// One JSON line.
    pub(crate) fn line(self, value: &impl Serialize) -> Done<()> {
        let mut line = serde_json::to_vec(value).map_err(|e| Failure::new(e.to_string()))?;
        line.push(b'\n');
        write(&line)
    }
    /// A sentence for a person, or its JSON line.
    pub(crate) fn say(self, sentence: &str, value: &impl Serialize) -> Done<()> {
        if self.json {
            self.line(value)
        } else {
            text(&format!("{sentence}\n"))
        }
    }
}

/// Writes text as it is.
pub(crate) fn text(text: &str) -> Done<()> {
    write(text.as_bytes())
}

/// Not `print!`, which panics when nobody reads any more.
fn write(bytes: &[u8]) -> Done<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(Failure::from)
}

/// A table with these column heads.
pub(crate) fn table<'a>(heads: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    // Never wrapped: half a name cannot be copied.
    table
        .load_style(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Disabled);
    let head = |head| {
        let cell = Cell::new(head);
        if stdout_is_styled() {
            cell.add_attribute(Attribute::Bold)
        } else {
            cell
        }
    };
    table.set_header(heads.into_iter().map(head).collect::<Vec<_>>());
    table
}

/// Shows a table, or says that there is nothing to show.
pub(crate) fn show(table: &Table, nothing: &str) -> Done<()> {
    if table.is_empty() {
        return text(&format!("{nothing}\n"));
    }
    text(&format!("{table}\n"))
}

/// Whether colours belong on standard output.
pub(crate) fn stdout_is_styled() -> bool {
    io::stdout().is_terminal() && wanted()
}

/// Whether colours belong on standard error.
pub(crate) fn stderr_is_styled() -> bool {
    io::stderr().is_terminal() && wanted()
}

fn wanted() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// Text in a colour, where colours belong on standard output.
pub(crate) fn coloured(text: &str, colour: AnsiColor) -> String {
    if !stdout_is_styled() {
        return text.to_owned();
    }
    let style = Style::new().fg_color(Some(colour.into()));
    format!("{style}{text}{style:#}")
}
