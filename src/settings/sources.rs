//! Where settings are read from.

use super::{Settings, env, node::Node, value::Layer};
use bus_core::{Error, Result};
use config::Source as _;
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Where settings are read from, the weakest first: a file, `.env`, the process's environment.
///
/// ```no_run
/// # fn main() -> bus::Result<()> {
/// use bus::settings::Sources;
///
/// let settings = Sources::new().file("config.yml").section("mq").read()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is read before `read`"]
pub struct Sources {
    file: Option<PathBuf>,
    section: Option<String>,
    dotenv: Dotenv,
    environment: Option<BTreeMap<String, String>>,
    base: Settings,
}

#[derive(Clone, Debug, Default)]
enum Dotenv {
    /// In the working directory or the nearest one above it that has one.
    #[default]
    Nearest,
    At(PathBuf),
    Nowhere,
}

impl Sources {
    /// `.env` where there is one, and the process's environment.
    pub fn new() -> Self {
        Self::default()
    }
    /// A file that must be there: YAML (`.yml`, `.yaml`) or TOML (`.toml`).
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }
    /// Under which key of the file the settings are, `a.b` for one inside another (default: the whole file). A file
    /// without that key gives no settings.
    pub fn section(mut self, key: impl Into<String>) -> Self {
        self.section = Some(key.into());
        self
    }
    /// A `.env` file that must be there (default: the nearest `.env` in the working directory or above it, if any).
    pub fn dotenv(mut self, path: impl Into<PathBuf>) -> Self {
        self.dotenv = Dotenv::At(path.into());
        self
    }
    /// No `.env` file.
    pub fn no_dotenv(mut self) -> Self {
        self.dotenv = Dotenv::Nowhere;
        self
    }
    /// These variables instead of the process's, as tests need it.
    pub fn environment<N: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        self.environment = Some(variables.collect());
        self
    }
    /// Settings that are there already: a section that the application has read with its own file, or setters.
    pub fn over(mut self, settings: Settings) -> Self {
        self.base = settings;
        self
    }
    /// Reads them all.
    /// # Errors
    /// `Invalid`: a file that cannot be read, an unknown setting or a value that is not allowed, with its place and
    /// what is; one line for each.
    pub fn read(self) -> Result<Settings> {
        let mut settings = self.base;
        if let Some(path) = &self.file {
            settings.lay(file(path, self.section.as_deref())?);
        }
        let dotenv = match &self.dotenv {
            Dotenv::Nowhere => None,
            Dotenv::At(path) => Some(path.clone()),
            Dotenv::Nearest => nearest(),
        };
        if let Some(path) = dotenv {
            let place = path.display().to_string();
            settings.lay(Settings::of_variables(&variables(&path)?, Layer::Dotenv, &place)?);
        }
        let environment = match self.environment {
            Some(environment) => environment,
            None => env::of_process()?,
        };
        settings.lay(Settings::of_variables(
            &environment,
            Layer::Environment,
            "the environment",
        )?);
        settings.check()?;
        Ok(settings)
    }
}

fn nearest() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors()
        .map(|folder| folder.join(".env"))
        .find(|path| path.is_file())
}

/// A file's section.
fn file(path: &Path, section: Option<&str>) -> Result<Settings> {
    let place = path.display().to_string();
    let format = match path.extension().and_then(|e| e.to_str()) {
        Some("yml" | "yaml") => config::FileFormat::Yaml,
        Some("toml") => config::FileFormat::Toml,
        _ => {
            let text =
                format!("{place}: neither YAML nor TOML; its name must end in `.yml`, `.yaml` or `.toml`");
            return Err(Error::invalid(text));
        }
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::invalid(format!("{place} cannot be read")).source(error))?;
    let broken = |error: &dyn std::fmt::Display| {
        let kind = if format == config::FileFormat::Toml {
            "TOML"
        } else {
            "YAML"
        };
        Error::invalid(format!(
            "{place}{}: it is no valid {kind}",
            position(&error.to_string())
        ))
    };
    let tree = config::File::from_str(&text, format)
        .collect()
        .map_err(|error| broken(&error))?;
    let tree = config::Value::new(None, tree);
    let mut node: Node = tree.try_deserialize().map_err(|error| broken(&error))?;
    for key in section.into_iter().flat_map(|section| section.split('.')) {
        let Node::Map(entries) = node else {
            return Ok(Settings::default());
        };
        match entries.into_iter().find(|(name, _)| name == key) {
            Some((_, inner)) => node = inner,
            None => return Ok(Settings::default()),
        }
    }
    let place = section.map_or(place.clone(), |section| format!("{place}, section `{section}`"));
    Settings::of_node(node, &place)
}

/// Where a parser stumbled. Nothing else of its sentence is passed on: it quotes the file, which may hold a password.
fn position(sentence: &str) -> String {
    let number = |word: &str| {
        let rest = sentence.split_once(word)?.1.trim_start();
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        (!digits.is_empty()).then(|| format!(", {word} {digits}"))
    };
    ["line", "column"].into_iter().filter_map(number).collect()
}

/// The variables of a `.env` file.
fn variables(path: &Path) -> Result<BTreeMap<String, String>> {
    let place = path.display();
    let unread = |error: std::io::Error| Error::invalid(format!("{place} cannot be read")).source(error);
    let mut map = BTreeMap::new();
    let lines = dotenvy::from_path_iter(path).map_err(|error| match error {
        dotenvy::Error::Io(error) => unread(error),
        _ => unread(ErrorKind::InvalidData.into()),
    })?;
    let mut last = None;
    for line in lines {
        match line {
            Ok((name, value)) => {
                last = Some(name.clone());
                map.insert(name, value);
            }
            Err(dotenvy::Error::Io(error)) => return Err(unread(error)),
            // What the parser says of the line is its text, which may be a password.
            Err(dotenvy::Error::LineParse(..)) => {
                let which = match &last {
                    Some(name) => format!("what follows `{name}`"),
                    None => "its first line".to_owned(),
                };
                let text = format!(
                    "{place}: {which} is not `NAME=value`; a value with spaces or quotes goes in single quotes"
                );
                return Err(Error::invalid(text));
            }
            Err(_) => return Err(Error::invalid(format!("{place} cannot be understood"))),
        }
    }
    Ok(map)
}
