//! What a value may be. Checked where it is given, so that every later use can rely on it.

/// The form of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// A name that topics and groups may have.
    Name,
    /// The same, with `{topic}` and `{group}` in it.
    Template,
    /// True or false.
    Flag,
    /// A whole number in this range.
    Number(u64, u64),
    /// One of these words, in any case; kept as it is written here.
    OneOf(&'static [&'static str]),
    /// Addresses: a list, or a text with commas.
    Brokers,
    /// A URL with one of these schemes; it may hold a password.
    Url(&'static [&'static str]),
    /// The path of a file that is there.
    File,
    /// Never shown.
    Secret,
}

impl Kind {
    /// Whether its text, or a part of it, must not be shown.
    pub(super) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Url(_))
    }
    /// The value in its one form.
    /// # Errors
    /// What is allowed, as the end of a sentence.
    pub(super) fn check(self, text: &str) -> Result<String, String> {
        if self == Self::Secret {
            return Ok(text.to_owned());
        }
        let text = text.trim();
        let fine = match self {
            Self::Secret | Self::Text => !text.contains(char::is_control),
            Self::Name => bus_core::check_name(text).is_ok(),
            Self::Template => {
                let filled = text.replace("{topic}", "t").replace("{group}", "g");
                bus_core::check_name(&filled).is_ok()
            }
            Self::Flag => return flag(text).map(|on| on.to_string()).ok_or_else(|| self.allowed()),
            Self::Number(least, most) => {
                return match text.parse::<u64>() {
                    Ok(number) if (least..=most).contains(&number) => Ok(number.to_string()),
                    _ => Err(self.allowed()),
                };
            }
            Self::OneOf(words) => {
                let word = words.iter().find(|word| word.eq_ignore_ascii_case(text));
                return word.map(|word| (*word).to_owned()).ok_or_else(|| self.allowed());
            }
            Self::Brokers => return brokers(text).ok_or_else(|| self.allowed()),
            Self::Url(schemes) => text
                .split_once("://")
                .is_some_and(|(scheme, _)| schemes.is_empty() || schemes.contains(&scheme)),
            Self::File => std::path::Path::new(text).is_file(),
        };
        if fine {
            Ok(text.to_owned())
        } else {
            Err(self.allowed())
        }
    }
    /// What may be written.
    pub(super) fn allowed(self) -> String {
        match self {
            Self::Text | Self::Secret => "text in one line".to_owned(),
            Self::Name => "a name of letters, digits, `.`, `_` and `-`, at most 249 of them".to_owned(),
            Self::Template => "a topic's name, in which `{topic}` and `{group}` stand for those".to_owned(),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Number(least, u64::MAX) => format!("a whole number from {least}"),
            Self::Number(least, most) => format!("a whole number from {least} to {most}"),
            Self::OneOf(words) => choice(words),
            Self::Brokers => "`host:port`, several as a list or with commas between".to_owned(),
            Self::Url([]) => {
                "a URL such as `memory://`, `kafka://host:9092` or `redis://host:6379`".to_owned()
            }
            Self::Url(schemes) => {
                let forms: Vec<_> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
                let forms: Vec<_> = forms.iter().map(String::as_str).collect();
                format!("a URL that begins with {}", choice(&forms))
            }
            Self::File => "the path of a file that is there and can be read".to_owned(),
        }
    }
}

fn flag(text: &str) -> Option<bool> {
    match &*text.to_ascii_lowercase() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn brokers(text: &str) -> Option<String> {
    let hosts: Vec<_> = text
        .split(',')
        .map(str::trim)
        .filter(|host| !host.is_empty())
        .collect();
    let odd = |c: char| c.is_whitespace() || matches!(c, '/' | '@' | '?' | '#');
    let fine = !hosts.is_empty() && hosts.iter().all(|host| !host.contains(odd) && host.len() > 1);
    fine.then(|| hosts.join(","))
}

/// `a`, `b` or `c`.
pub(super) fn choice(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match &quoted[..] {
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        _ => quoted.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_one_form() {
        for (kind, text, form) in [
            (Kind::Flag, "YES", "true"),
            (Kind::Flag, "0", "false"),
            (Kind::Number(1, 9), " 7 ", "7"),
            (Kind::OneOf(&["SASL_SSL"]), "sasl_ssl", "SASL_SSL"),
            (Kind::Brokers, "a:1, b:2,", "a:1,b:2"),
            (Kind::Template, "{topic}-dlq", "{topic}-dlq"),
            (Kind::Secret, " p ", " p "),
        ] {
            assert_eq!(kind.check(text).as_deref(), Ok(form));
        }
    }

    #[test]
    fn what_is_allowed_is_said() {
        for (kind, text, part) in [
            (Kind::Flag, "maybe", "`true` or `false`"),
            (Kind::Number(1, 9), "10", "from 1 to 9"),
            (Kind::Number(0, 9), "-1", "from 0 to 9"),
            (Kind::OneOf(&["a", "b", "c"]), "d", "`a`, `b` or `c`"),
            (Kind::Brokers, "a b", "host:port"),
            (
                Kind::Url(&["redis", "rediss"]),
                "kafka://h",
                "`redis://` or `rediss://`",
            ),
            (Kind::Template, "{tpoic}-dlq", "{topic}"),
            (Kind::File, "/no/such/file", "is there"),
        ] {
            let allowed = kind.check(text).unwrap_err();
            assert!(allowed.contains(part), "{allowed}");
        }
    }
}
