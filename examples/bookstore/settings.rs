//! The application's own file, in which the bus has a section.

use crate::book::Book;
use bus::Settings;
use config::{File, FileFormat};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
pub(crate) struct Config {
    pub(crate) app: App,
    pub(crate) db: Db,
    pub(crate) mq: Settings,
}

#[derive(Deserialize)]
pub(crate) struct App {
    /// Where the web service listens.
    pub(crate) listen: String,
}

/// The books: a data base would be named here.
#[derive(Deserialize)]
pub(crate) struct Db {
    pub(crate) books: Vec<Book>,
}

impl Config {
    /// The file, or without one what `config.yml` beside this says, on memory.
    pub(crate) fn read(file: Option<&Path>, url: Option<&str>) -> Result<Self, crate::Failed> {
        let built_in = File::from_str(include_str!("config.yml"), FileFormat::Yaml);
        let source = config::Config::builder();
        let source = match file {
            Some(path) => source.add_source(File::from(path)),
            None => source.add_source(built_in),
        };
        let mut config: Self = source.build()?.try_deserialize()?;
        config.mq = config.mq.with_env()?;
        if let Some(url) = url.or(file.is_none().then_some("memory://")) {
            config.mq = config.mq.url(url);
        }
        Ok(config)
    }
}
