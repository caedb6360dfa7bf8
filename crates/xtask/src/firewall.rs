//! The firewalls: `bus-core` knows no backend, no serialization format and no HTTP stack, and no build that a user of
//! `bus` can ask for has the mutants of the tests in it, and what a feature of `bus` needs is gone without it.

use crate::Done;
use crate::cargo::cargo;
use crate::step::output;

/// What must not be among the dependencies of `bus-core`, however deep.
const FORBIDDEN: [&str; 8] = [
    "rdkafka",
    "redis",
    "serde",
    "serde_json",
    "tower",
    "hyper",
    "reqwest",
    "axum",
];

/// What only some features of `bus` pull in; any other one, and none at all, must do without.
const OPTIONAL: [(&str, &[&str]); 23] = [
    (
        "serde",
        &[
            "json",
            "settings",
            "app",
            "macros",
            "msgpack",
            "registry",
            "json-schema",
            "avro",
        ],
    ),
    (
        "serde_json",
        &["json", "app", "macros", "registry", "json-schema", "avro"],
    ),
    (
        "config",
        &["settings", "app", "macros", "registry", "json-schema", "avro"],
    ),
    (
        "dotenvy",
        &["settings", "app", "macros", "registry", "json-schema", "avro"],
    ),
    (
        "secrecy",
        &["settings", "app", "macros", "registry", "json-schema", "avro"],
    ),
    (
        "strsim",
        &["settings", "app", "macros", "registry", "json-schema", "avro"],
    ),
    ("base64", &["app", "macros", "registry", "json-schema"]),
    ("jiff", &["app", "macros", "avro"]),
    ("sha2", &["app", "macros"]),
    ("tower", &["app", "macros"]),
    ("uuid", &["app", "macros", "redis", "redis-tls", "avro"]),
    ("tokio-rustls", &["redis-tls", "registry", "json-schema"]),
    ("bus-macros", &["macros", "avro"]),
    ("apache-avro", &["avro"]),
    ("metrics", &["metrics"]),
    ("rmp-serde", &["msgpack"]),
    ("prost", &["protobuf"]),
    ("hyper", &["registry", "json-schema"]),
    ("hyper-rustls", &["registry", "json-schema"]),
    ("rustls", &["redis-tls", "registry", "json-schema"]),
    ("schemars", &["json-schema"]),
    // Never: TLS is rustls with ring, but in Kafka's client.
    ("aws-lc-rs", &[]),
    ("openssl-sys", &[]),
];

/// Looks at the tree of each feature beside memory, which brings nothing of its own. Kafka brings its client, and what that
/// needs.
fn optional() -> Done {
    for feature in crate::features::of_the_facade()? {
        if ["kafka", "kafka-tls"].contains(&feature.as_str()) {
            continue;
        }
        let with = format!("memory,{feature}");
        let words = [
            "tree",
            "-p",
            "bus",
            "-e",
            "normal",
            "--prefix",
            "none",
            "--no-default-features",
        ];
        let tree = output(cargo(words).args(["--features", with.trim_end_matches(',')]))?;
        let found = not_of(&feature, &tree);
        if !tree.contains("bus-memory v") || !found.is_empty() {
            let found = found.join(", ");
            return Err(format!("`bus` with the feature `{feature}` alone depends on {found}").into());
        }
    }
    Ok(())
}

/// Packages of a tree that belong to other features.
fn not_of(feature: &str, tree: &str) -> Vec<&'static str> {
    let packages: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let others = OPTIONAL
        .iter()
        .filter(|(_, features)| !features.contains(&feature));
    others
        .map(|(package, _)| *package)
        .filter(|package| packages.contains(package))
        .collect()
}

/// Looks at the tree that a user of `bus-core` builds, with the optional parts of it.
pub(crate) fn run() -> Done {
    for features in [&[][..], &["--all-features"]] {
        let mut tree = cargo([
            "tree",
            "-p",
            "bus-core",
            "-e",
            "normal",
            "--prefix",
            "depth",
            "--charset",
            "ascii",
        ]);
        let tree = output(tree.args(features))?;
        let paths = forbidden(&tree);
        if !paths.is_empty() {
            return Err(format!(
                "bus-core depends on what it must not know:\n  {}",
                paths.join("\n  ")
            )
            .into());
        }
    }
    for features in [&[][..], &["--all-features"]] {
        let mut tree = cargo([
            "tree",
            "-p",
            "bus",
            "-e",
            "normal",
            "--prefix",
            "none",
            "-f",
            "{p} [{f}]",
        ]);
        let tree = output(tree.args(features))?;
        if !tree.contains("bus-core v") || has_mutants(&tree) {
            return Err("`bus` is built with the mutants of its tests".into());
        }
    }
    optional()
}

/// Whether a package in a tree whose lines end with features has this one.
fn has_mutants(tree: &str) -> bool {
    let features = |line: &str| {
        line.rsplit_once('[')
            .map(|(_, features)| features.replace(']', ","))
    };
    let mut all = tree.lines().filter_map(features);
    all.any(|features| features.split(',').any(|feature| feature.trim() == "mutants"))
}

/// The way from the root to each forbidden package in a tree whose lines start with their depth.
fn forbidden(tree: &str) -> Vec<String> {
    let mut path: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for line in tree.lines() {
        let digits = line.bytes().take_while(u8::is_ascii_digit).count();
        let (depth, package) = line.split_at(digits);
        path.truncate(depth.parse().unwrap_or(0));
        path.push(package);
        if FORBIDDEN.contains(&package.split(' ').next().unwrap_or(package)) {
            found.push(path.join(" -> "));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutants_are_seen() {
        assert!(has_mutants(
            "bus v0.1.0 (/x) [default]\nbus-core v0.1.0 (/x) [conformance,mutants]\n"
        ));
        assert!(has_mutants("bus-core v0.1.0 (/x) [mutants] (*)"));
        assert!(!has_mutants(
            "bus-core v0.1.0 (/mutants) [default,unmutants]\nx v1.0.0 []\n"
        ));
    }

    #[test]
    fn what_belongs_to_another_feature_is_named() {
        let tree = "bus v0.1.0 (x)\nserde v1.0.0\ntower v0.5.0\ntower-layer v0.3.0\n";
        assert_eq!(not_of("json", tree), ["tower"]);
        assert_eq!(not_of("testing", tree), ["serde", "tower"]);
        assert!(not_of("app", tree).is_empty());
    }

    #[test]
    fn the_offender_is_named_with_its_way_in() {
        let tree =
            "0bus-core v0.1.0 (x)\n1bytes v1.12.0\n1tracing v0.1.44\n2tower v0.5.0\n1tower-layer v0.3.0\n";
        assert_eq!(
            forbidden(tree),
            ["bus-core v0.1.0 (x) -> tracing v0.1.44 -> tower v0.5.0"]
        );
        assert!(forbidden("0bus-core v0.1.0\n1serde_core v1.0.0\n1redis-protocol v6.0.0\n").is_empty());
    }
}
