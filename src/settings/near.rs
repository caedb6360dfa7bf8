//! Names that look like what was meant.

use super::kind::choice;

/// How alike two names must be to be worth a hint.
const ALIKE: f64 = 0.65;
/// More would be a list, not a hint.
const MOST: usize = 3;

/// "; did you mean `a` or `b`?", or nothing where nothing is near.
pub(super) fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let mut near: Vec<_> = known
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known))
        .filter(|(alike, _)| *alike >= ALIKE)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.dedup_by_key(|(_, name)| *name);
    let names: Vec<_> = near.iter().take(MOST).map(|(_, name)| *name).collect();
    match names[..] {
        [] => "; docs/settings.md lists all there are".to_owned(),
        _ => format!("; did you mean {}?", choice(&names)),
    }
}
