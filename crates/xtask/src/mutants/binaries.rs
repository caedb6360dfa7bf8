//! The test programs, built once with every mutant in them.

use super::list::{Killer, Mutant, Package};
use crate::cargo::cargo;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Programs by package and target, and the folder they run in.
#[derive(Debug, Default)]
pub(super) struct Binaries(BTreeMap<(Package, String), (PathBuf, PathBuf)>);

const FEATURES: &str = "--features=bus/kafka,bus/redis,bus-core/conformance,bus-core/mutants";

/// Builds what the mutants' tests are in.
pub(super) fn build(mutants: &[&Mutant]) -> Result<Binaries, Box<dyn std::error::Error>> {
    let mut binaries = Binaries::default();
    let killers = || mutants.iter().flat_map(|mutant| mutant.killers);
    let packages = Package::ALL
        .into_iter()
        .filter(|p| killers().any(|k| k.package == *p));
    let (checked, plain): (Vec<_>, Vec<_>) = packages.partition(|package| *package == Package::Loom);
    if !plain.is_empty() {
        let mut command = cargo(["test", "--no-run", FEATURES]);
        for package in &plain {
            command.args(["--package", package.name()]);
        }
        let targets: BTreeSet<_> = killers()
            .filter(|killer| plain.contains(&killer.package))
            .map(|killer| killer.target)
            .collect();
        for target in targets {
            match target {
                "lib" => command.arg("--lib"),
                target => command.args(["--test", target]),
            };
        }
        binaries.add(&mut command, |name| {
            Package::ALL.into_iter().find(|p| p.name() == name)
        })?;
    }
    if !checked.is_empty() {
        let features = "--features=mutants";
        let mut command = cargo(["test", "--no-run", "--lib", "--package", "bus-core", features]);
        crate::loom::apart(&mut command);
        binaries.add(&mut command, |_| Some(Package::Loom))?;
    }
    Ok(binaries)
}

impl Binaries {
    /// The program in which a test is, and where it runs.
    pub(super) fn find(&self, killer: &Killer) -> Option<(&Path, &Path)> {
        let (program, folder) = self.0.get(&(killer.package, killer.target.to_owned()))?;
        Some((program, folder))
    }
    fn add(
        &mut self,
        command: &mut Command,
        package: impl Fn(&str) -> Option<Package>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let command = command
            .arg("--message-format=json-render-diagnostics")
            .stderr(Stdio::inherit());
        let output = command.output()?;
        if !output.status.success() {
            return Err("the tests do not build with the mutants in them".into());
        }
        for line in String::from_utf8(output.stdout)?.lines() {
            let Ok(message) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let Some((name, target, program, folder)) = program(&message) else {
                continue;
            };
            if let Some(package) = package(&name) {
                self.0.insert((package, target), (program, folder));
            }
        }
        Ok(())
    }
}

/// The test program that a message of cargo tells of: its package, its target, itself, its package's folder.
fn program(message: &Value) -> Option<(String, String, PathBuf, PathBuf)> {
    let is_test = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
    let program = message["executable"].as_str().filter(|_| is_test)?;
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
    let target = match message["target"]["kind"][0].as_str()? {
        "lib" => "lib",
        _ => message["target"]["name"].as_str()?,
    };
    // `path#name@version`, or `path/name#version`.
    let (path, name) = message["package_id"].as_str()?.rsplit_once('#')?;
    let name = match name.split_once('@') {
        Some((name, _)) => name,
        None => path.rsplit('/').next()?,
    };
    Some((name.to_owned(), target.to_owned(), program.into(), folder.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_among_messages() {
        let message = |kind: &str, test: bool| {
            serde_json::json!({
                "reason": "compiler-artifact", "package_id": "path+file:///x/bus-core#0.1.0", "manifest_path": "/x/bus-core/Cargo.toml", "executable": "/x/t/p-1",
                "target": {"kind": [kind], "name": "flow_model"}, "profile": {"test": test},
            })
        };
        let found = |target: &str| {
            Some((
                "bus-core".to_owned(),
                target.to_owned(),
                "/x/t/p-1".into(),
                "/x/bus-core".into(),
            ))
        };
        assert_eq!(program(&message("test", true)), found("flow_model"));
        assert_eq!(program(&message("lib", true)), found("lib"));
        assert_eq!(program(&message("bin", false)), None);
    }
}
