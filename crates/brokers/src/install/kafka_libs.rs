//! Apache Kafka as jars from Maven Central: the broker, its tools, and a logger for both.

use std::path::PathBuf;
use std::process::Command;

use super::{ensure_program, run};
use crate::error::{Doing, Result};
use crate::say::say;
use crate::{lock, paths};

/// The version of Apache Kafka that is started natively.
pub(crate) const KAFKA_VERSION: &str = "4.3.0";

/// The Scala version that the broker was built with; a part of its name.
const SCALA: &str = "2.13";
const LOG4J: &str = "2.24.3";

/// The folder with Kafka's jars, the broker and `org.apache.kafka.tools.*`: the class path is its path and `/*`.
/// They are downloaded on first use (about 54 MB).
///
/// # Errors
///
/// When Maven is missing and cannot be installed, or cannot download.
pub fn kafka_libs() -> Result<PathBuf> {
    let root = paths::brokers_dir();
    let libs = root.join(format!("kafka-libs-{KAFKA_VERSION}"));
    if libs.is_dir() {
        return Ok(libs);
    }
    let _lock = lock::wait_for(&root.join("kafka-libs.lock"))?;
    if libs.is_dir() {
        return Ok(libs);
    }
    let mvn = ensure_program("mvn", "maven")?;
    say(format_args!(
        "kafka: downloading Apache Kafka {KAFKA_VERSION} with Maven"
    ));
    let work = root.join("kafka-libs.partial");
    let _ = std::fs::remove_dir_all(&work); // what a killed download left
    let jars = work.join("jars");
    std::fs::create_dir_all(&jars).doing(|| format!("creating {}", jars.display()))?;
    let pom_file = work.join("pom.xml");
    std::fs::write(&pom_file, pom()).doing(|| format!("writing {}", pom_file.display()))?;
    let mut command = Command::new(mvn);
    command
        .args(["-q", "-B", "dependency:copy-dependencies"])
        .current_dir(&work);
    run(command.arg(format!("-DoutputDirectory={}", jars.display())))?;
    // Renamed as the last step: a folder of that name is complete.
    std::fs::rename(&jars, &libs).doing(|| format!("renaming {}", jars.display()))?;
    let _ = std::fs::remove_dir_all(&work);
    Ok(libs)
}

fn pom() -> String {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "    <dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version></dependency>\n"
        )
    };
    let dependencies = [
        dependency("org.apache.kafka", &format!("kafka_{SCALA}"), KAFKA_VERSION),
        dependency("org.apache.kafka", "kafka-tools", KAFKA_VERSION),
        dependency("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J),
        dependency("org.apache.logging.log4j", "log4j-core", LOG4J),
    ];
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  <modelVersion>4.0.0</modelVersion>\n  \
         <groupId>bus</groupId>\n  <artifactId>kafka-libs</artifactId>\n  <version>1</version>\n  \
         <packaging>pom</packaging>\n  <dependencies>\n{}  </dependencies>\n</project>\n",
        dependencies.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_names_the_broker_and_the_tools() {
        let pom = pom();
        assert!(
            pom.contains("<artifactId>kafka_2.13</artifactId><version>4.3.0</version>"),
            "{pom}"
        );
        assert!(pom.contains("<artifactId>kafka-tools</artifactId>"));
        assert_eq!(pom.matches("<dependency>").count(), 4);
    }
}
