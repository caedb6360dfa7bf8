//! `#[serde(rename_all = "…")]`, as serde does it.

use syn::{Error, LitStr, Result};

const RULES: &str = "`lowercase`, `UPPERCASE`, `PascalCase`, `camelCase`, `snake_case` or `SCREAMING_SNAKE_CASE`; with `-` a name is none in Avro";

/// The words of a name of Rust's, in lower case.
fn words(name: &str, of_variant: bool) -> Vec<String> {
    if !of_variant {
        return name.split('_').map(str::to_owned).collect();
    }
    let mut words: Vec<String> = Vec::new();
    for c in name.chars() {
        match words.last_mut() {
            Some(word) if !c.is_uppercase() => word.push(c),
            _ => words.push(c.to_ascii_lowercase().to_string()),
        }
    }
    words
}

fn capital(word: &str) -> String {
    let mut characters = word.chars();
    let first = characters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

fn joined(rule: &LitStr, words: &[String]) -> Result<String> {
    Ok(match &*rule.value() {
        "lowercase" => words.concat().to_ascii_lowercase(),
        "UPPERCASE" => words.concat().to_ascii_uppercase(),
        "PascalCase" => words.iter().map(|word| capital(word)).collect(),
        "camelCase" => {
            let all: String = words.iter().map(|word| capital(word)).collect();
            let mut characters = all.chars();
            let first = characters.next().map(|c| c.to_ascii_lowercase());
            first.into_iter().chain(characters).collect()
        }
        "snake_case" => words.join("_"),
        "SCREAMING_SNAKE_CASE" => words.join("_").to_ascii_uppercase(),
        _ => {
            return Err(Error::new(
                rule.span(),
                format!("a schema's names can follow {RULES}"),
            ));
        }
    })
}

pub(super) fn of_variant(rule: Option<&LitStr>, name: &str) -> Result<String> {
    match rule {
        Some(rule) => joined(rule, &words(name, true)),
        None => Ok(name.to_owned()),
    }
}

/// Of a field, whose name is in snake case: three rules leave the underscores where they are.
pub(super) fn of_field(rule: Option<&LitStr>, name: &str) -> Result<String> {
    let Some(rule) = rule else {
        return Ok(name.to_owned());
    };
    match &*rule.value() {
        "lowercase" | "snake_case" => Ok(name.to_owned()),
        "UPPERCASE" | "SCREAMING_SNAKE_CASE" => Ok(name.to_ascii_uppercase()),
        _ => joined(rule, &words(name, false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_serde_gives() {
        for (rule, field, variant) in [
            ("lowercase", "user_id", "userlogin"),
            ("UPPERCASE", "USER_ID", "USERLOGIN"),
            ("PascalCase", "UserId", "UserLogin"),
            ("camelCase", "userId", "userLogin"),
            ("snake_case", "user_id", "user_login"),
            ("SCREAMING_SNAKE_CASE", "USER_ID", "USER_LOGIN"),
        ] {
            let rule = LitStr::new(rule, proc_macro2::Span::call_site());
            assert_eq!(of_field(Some(&rule), "user_id").unwrap(), field);
            assert_eq!(of_variant(Some(&rule), "UserLogin").unwrap(), variant);
        }
        let kebab = LitStr::new("kebab-case", proc_macro2::Span::call_site());
        of_field(Some(&kebab), "user_id").unwrap_err();
    }
}
