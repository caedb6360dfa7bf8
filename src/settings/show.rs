//! Settings as people may see them.

use super::{
    Settings,
    kind::Kind,
    table,
    value::{Given, MASK, is_secret_option, masked_url},
};
use std::fmt;

impl Settings {
    /// Everything that was given, by name, with secrets masked, and where it came from.
    fn shown(&self) -> impl Iterator<Item = (String, String, &str)> {
        let values = self.values.iter().map(|(name, given)| {
            let text = match table::setting(name).map(|setting| setting.kind) {
                Some(Kind::Secret) | None => MASK.to_owned(),
                // Registries may be several; any other comma may be one of a password's.
                Some(Kind::Url(_)) => given
                    .reveal()
                    .replace(",http", "\nhttp")
                    .lines()
                    .map(masked_url)
                    .collect::<Vec<_>>()
                    .join(","),
                Some(_) => given.reveal().to_owned(),
            };
            ((*name).to_owned(), text, &*given.origin)
        });
        let options = self.options.iter().map(|(name, given)| {
            let text = if is_secret_option(name) {
                MASK
            } else {
                given.reveal()
            };
            (format!("options.{name}"), text.to_owned(), &*given.origin)
        });
        fn plain<'a>(
            section: &'static str,
            (name, given): (&'a String, &'a Given),
        ) -> (String, String, &'a str) {
            (
                format!("{section}.{name}"),
                given.reveal().to_owned(),
                &given.origin,
            )
        }
        let topics = self.topics.iter().map(|entry| plain("topics", entry));
        let groups = self.groups.iter().map(|entry| plain("groups", entry));
        values.chain(options).chain(topics).chain(groups)
    }
}

/// `name = value`, a line each; secrets are `***`.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, value, _)) in self.shown().enumerate() {
            let end = if i == 0 { "" } else { "\n" };
            write!(f, "{end}{name} = {value}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Line<'a>(String, &'a str);
        impl fmt::Debug for Line<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} ({})", self.0, self.1)
            }
        }
        let lines = self
            .shown()
            .map(|(name, value, origin)| (name, Line(value, origin)));
        f.write_str("Settings ")?;
        f.debug_map().entries(lines).finish()
    }
}
