//! Settings out of environment variables, of a process or a `.env` file.

use super::{
    Settings,
    kind::Kind,
    near,
    section::{bad, normal},
    table::{self, SETTINGS},
    value::{Given, Layer},
};
use bus_core::{Error, Result};
use std::{collections::BTreeMap, ffi::OsString};

/// `KAFKA_TOPIC_<NAME>` fills [`Settings::topic`].
pub(super) const TOPIC: &str = "KAFKA_TOPIC_";
/// `KAFKA_CONSUMER_GROUP_<NAME>` fills [`Settings::group`].
pub(super) const GROUP: &str = "KAFKA_CONSUMER_GROUP_";
/// Variables with this prefix are ours, so one that nobody knows is a mistake.
const OURS: &str = "BUS_";

/// Variables of the command line, which has one for each flag, of the tests, and of Kubernetes for a service `bus`.
const ELSEWHERE: [&str; 5] = ["BUS_JSON", "BUS_TIMEOUT", "BUS_LOG", "BUS_SEED", "BUS_MUTANT"];
const ELSEWHERE_BEGIN: [&str; 15] = [
    "BUS_PUBLISH_",
    "BUS_CONSUME_",
    "BUS_TOPICS_",
    "BUS_GROUPS_",
    "BUS_LAG_",
    "BUS_DLQ_",
    "BUS_REPLAY_",
    "BUS_CHECK_",
    "BUS_BENCH_",
    "BUS_DOCS_",
    "BUS_CREATE_TOPIC_",
    "BUS_DELETE_TOPIC_",
    "BUS_TEST_",
    "BUS_SERVICE_",
    "BUS_PORT",
];

/// The process's environment. What is no text is left out, unless its name is ours.
pub(super) fn of_process() -> Result<BTreeMap<String, String>> {
    texts(std::env::vars_os())
}

fn texts(all: impl Iterator<Item = (OsString, OsString)>) -> Result<BTreeMap<String, String>> {
    let mut map = BTreeMap::new();
    for (name, value) in all {
        let Some(name) = name.to_str() else { continue };
        match value.into_string() {
            Ok(value) => {
                map.insert(name.to_owned(), value);
            }
            Err(_) if table::of_variable(name).is_some() => {
                return Err(Error::invalid(format!(
                    "`{name}` in the environment is not UTF-8"
                )));
            }
            Err(_) => {}
        }
    }
    Ok(map)
}

impl Settings {
    /// What variables say. `place` is how errors name them: "the environment".
    pub(super) fn of_variables(
        variables: &BTreeMap<String, String>,
        layer: Layer,
        place: &str,
    ) -> Result<Self> {
        let mut settings = Self::default();
        let mut wrong = Vec::new();
        for (variable, text) in variables {
            if let Err(why) = settings.variable(variable, text, layer, place) {
                wrong.push(format!("{place}: {why}"));
            }
        }
        if wrong.is_empty() {
            Ok(settings)
        } else {
            Err(Error::invalid(wrong.join("\n")))
        }
    }

    fn variable(&mut self, variable: &str, text: &str, layer: Layer, place: &str) -> Result<(), String> {
        let given = |text: String| Given::new(text, layer, format!("`{variable}` in {place}"));
        let setting = table::of_variable(variable);
        let secret = setting.is_some_and(|setting| setting.kind == Kind::Secret);
        let empty = if secret {
            text.is_empty()
        } else {
            text.trim().is_empty()
        };
        if let Some(setting) = setting {
            if !empty {
                let text = setting
                    .kind
                    .check(text)
                    .map_err(|allowed| bad(setting, variable, text, &allowed))?;
                match self.values.get(setting.name) {
                    Some(other) if other.reveal() != text => {
                        return Err(format!(
                            "`{variable}` says otherwise than {}; leave one out",
                            other.origin
                        ));
                    }
                    _ => self.values.insert(setting.name, given(text)),
                };
            }
            return Ok(());
        }
        for (prefix, map) in [(TOPIC, &mut self.topics), (GROUP, &mut self.groups)] {
            let Some(name) = variable.strip_prefix(prefix).filter(|name| !name.is_empty()) else {
                continue;
            };
            if !empty {
                let text = Kind::Name.check(text).map_err(|allowed| {
                    format!("`{variable}` is `{}`; write {allowed}", text.escape_debug())
                })?;
                map.insert(normal(name), given(text));
            }
            return Ok(());
        }
        let ours = variable.starts_with(OURS);
        let elsewhere =
            ELSEWHERE.contains(&variable) || ELSEWHERE_BEGIN.iter().any(|p| variable.starts_with(p));
        if !ours || elsewhere {
            return Ok(());
        }
        let known = SETTINGS.iter().flat_map(|setting| setting.variables).copied();
        Err(format!(
            "unknown setting `{variable}`{}",
            near::hint(variable, known.chain(ELSEWHERE))
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(unix)]
    use std::os::unix::ffi::OsStringExt;

    #[cfg(unix)]
    #[test]
    fn what_is_no_text_is_an_error_only_where_it_is_ours() {
        let broken = || OsString::from_vec(vec![0xff]);
        assert!(
            texts([("LS_COLORS".into(), broken())].into_iter())
                .unwrap()
                .is_empty()
        );
        let error = texts([("KAFKA_SASL_PASSWORD".into(), broken())].into_iter()).unwrap_err();
        assert!(error.message().contains("`KAFKA_SASL_PASSWORD`"));
    }
}
