//! Transport and login: what goes together.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod folder;

use bus::{
    ErrorKind, Settings,
    settings::{Mechanism, Protocol, Sources},
};
use folder::Folder;

const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];

fn read(variables: &[(&str, &str)]) -> bus::Result<Settings> {
    Sources::new()
        .no_dotenv()
        .environment(variables.iter().copied())
        .read()
}

#[test]
fn every_protocol_with_every_mechanism() {
    for protocol in PROTOCOLS {
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let result = read(&[
                ("KAFKA_SECURITY_PROTOCOL", protocol),
                ("KAFKA_SASL_MECHANISM", mechanism),
                ("KAFKA_SASL_USERNAME", "me"),
                ("KAFKA_SASL_PASSWORD", "hunter2"),
            ]);
            if protocol.starts_with("SASL_") {
                result.unwrap();
                continue;
            }
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            for part in [
                "`KAFKA_SASL_MECHANISM`",
                protocol,
                "`SASL_PLAINTEXT` or `SASL_SSL`",
            ] {
                assert!(error.message().contains(part), "{error}");
            }
        }
    }
}

#[test]
fn a_mechanism_without_any_protocol_is_an_error_too() {
    let error = read(&[("KAFKA_SASL_MECHANISM", "PLAIN")]).unwrap_err();
    assert!(
        error.message().contains("`PLAINTEXT`") && error.message().contains("`SASL_SSL`"),
        "{error}"
    );
}

#[test]
fn a_login_needs_user_and_password() {
    let sasl = ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL");
    let error = read(&[sasl]).unwrap_err();
    assert!(error.message().contains("`KAFKA_SASL_USERNAME`"), "{error}");
    let error = read(&[sasl, ("KAFKA_SASL_USERNAME", "me")]).unwrap_err();
    assert!(error.message().contains("`KAFKA_SASL_PASSWORD`"), "{error}");
    read(&[sasl, ("KAFKA_SASL_USERNAME", "me"), ("KAFKA_SASL_PASSWORD", "p")]).unwrap();
    // Mechanisms that are not ours come as raw options, with their own.
    let settings = Settings::new()
        .set("sasl.mechanism", "OAUTHBEARER")
        .security_protocol(Protocol::SaslSsl);
    settings.check().unwrap();
}

#[test]
fn tls_is_independent_of_the_login() {
    let folder = Folder::new();
    let file = folder.file("ca.pem", "-").display().to_string();
    for protocol in PROTOCOLS {
        let login = [("KAFKA_SASL_USERNAME", "me"), ("KAFKA_SASL_PASSWORD", "p")];
        let sasl = protocol.starts_with("SASL_");
        let mut variables = vec![("KAFKA_SECURITY_PROTOCOL", protocol), ("KAFKA_SSL_CAFILE", &file)];
        variables.extend(login.iter().filter(|_| sasl));
        match read(&variables) {
            Ok(_) => assert!(protocol.ends_with("SSL")),
            Err(error) => {
                assert!(!protocol.ends_with("SSL"), "{error}");
                assert!(error.message().contains("`SSL` or `SASL_SSL`"), "{error}");
            }
        }
    }
    let ssl = ("KAFKA_SECURITY_PROTOCOL", "SSL");
    let error = read(&[ssl, ("KAFKA_SSL_CERTFILE", &file)]).unwrap_err();
    assert!(error.message().contains("`KAFKA_SSL_KEYFILE`"), "{error}");
    read(&[ssl, ("KAFKA_SSL_CERTFILE", &file), ("KAFKA_SSL_KEYFILE", &file)]).unwrap();
}

#[test]
fn setters_are_held_to_the_same_rules() {
    let settings = Settings::new().sasl(Mechanism::ScramSha256, "me", "hunter2");
    let error = settings.check().unwrap_err();
    assert!(
        error.message().contains("`SASL_PLAINTEXT` or `SASL_SSL`"),
        "{error}"
    );
    settings
        .security_protocol(Protocol::SaslPlaintext)
        .check()
        .unwrap();
}
