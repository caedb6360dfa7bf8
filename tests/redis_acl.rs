//! Redis with users: who is let in, what is told where a right is missing, and that passwords may change.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod folder;
mod logs;
mod secured;

use bus::{Bus, Error, ErrorKind, Settings, backend::Redis, backend::RedisConfig, settings::Sources};
use bus_brokers::{Awake, Redis as Server, RedisOptions};
use folder::Folder;
use logs::Logs;
use secured::{PATIENCE, eventually, is_refused, refused, topic, works};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

const DENIED: ErrorKind = ErrorKind::Denied;

/// A server with a user who may do everything but what the rule says.
fn server(but: &str) -> Server {
    let rule = format!("anna on >right ~* &* +@all {but}");
    Server::start(RedisOptions::new().user(rule.trim())).unwrap()
}

/// The address as somebody has it.
fn url(server: &Server, login: &str) -> String {
    format!("redis://{login}{}?ttl=2s&connect.timeout=2s", server.socket())
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_passwords_are_taken() {
    let anna = server("");
    works(&Bus::connect(&url(&anna, "anna:right@")).await.unwrap()).await;
    let default = Server::start(RedisOptions::new().password("p@ss")).unwrap();
    works(&Bus::connect(&url(&default, ":p%40ss@")).await.unwrap()).await;
    works(&Bus::connect(&url(&default, "default:p%40ss@")).await.unwrap()).await;
    let folder = Folder::new();
    let file = folder.file("password", "right\n").display().to_string();
    let url = format!("redis://{}", anna.socket());
    for password in [("REDIS_PASSWORD", "right"), ("REDIS_PASSWORD_FILE", &file)] {
        let variables = [("REDIS_URL", &*url), ("REDIS_USERNAME", "anna"), password];
        let settings = Sources::new().no_dotenv().environment(variables).read().unwrap();
        works(&Bus::from_settings(&settings).await.unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_known_is_told_at_once() {
    let anna = server("");
    anna.ask(&["ACL", "SETUSER", "gone", "off", ">right"]).unwrap();
    let parts = ["user or password", "correct them in the URL"];
    is_refused("a wrong password", &url(&anna, "anna:wrong@"), DENIED, &parts).await;
    is_refused("an unknown user", &url(&anna, "nobody:right@"), DENIED, &parts).await;
    is_refused("a user who is off", &url(&anna, "gone:right@"), DENIED, &parts).await;
    let default = Server::start(RedisOptions::new().password("right")).unwrap();
    let parts = ["asks for a password", "put it in the URL"];
    is_refused("no password", &url(&default, ""), DENIED, &parts).await;
    is_refused(
        "a wrong one",
        &url(&default, ":wrong@"),
        DENIED,
        &["user or password"],
    )
    .await;
    let open = Server::start(RedisOptions::new()).unwrap();
    is_refused(
        "one too many",
        &url(&open, ":right@"),
        DENIED,
        &["remove it from the URL"],
    )
    .await;
    let missing = format!("{}&password.file=/nowhere", url(&anna, "anna@"));
    is_refused(
        "no file",
        &missing,
        ErrorKind::Invalid,
        &["`password.file`, /nowhere"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_told_at_once() {
    let lacking = ["lacks a right", "docs/connecting.md"];
    for (but, what) in [
        ("-info", "'info'"),
        ("-client", "'client|setname'"),
        ("-script", "'script|load'"),
    ] {
        let server = server(but);
        is_refused(
            but,
            &url(&server, "anna:right@"),
            DENIED,
            &[what, lacking[0], lacking[1]],
        )
        .await;
    }
    for but in [
        "-@write",
        "resetkeys ~bus:*",
        "-evalsha",
        "-xadd",
        "-xgroup",
        "-xread",
    ] {
        let server = server("");
        let admin = Bus::connect(&url(&server, "")).await.unwrap();
        let topic = topic();
        admin.ensure_topics([topic.spec()]).await.unwrap();
        admin.publish(&topic, &b"0".to_vec()).await.unwrap();
        let words = ["ACL", "SETUSER", "anna"].into_iter().chain(but.split(' '));
        server.ask(&words.collect::<Vec<_>>()).unwrap();
        let bus = Bus::connect(&url(&server, "anna:right@")).await.unwrap();
        let told = |what: &str, error: Error| {
            let text = error.to_string();
            let named = error == DENIED && lacking.iter().all(|part| text.contains(part));
            assert!(
                named && !text.contains("user_script"),
                "{what} with {but}: {error:?}"
            );
        };
        if !matches!(but, "-evalsha" | "-xgroup" | "-xread") {
            let publish = async { bus.publish(&topic, &b"1".to_vec()).await.map_err(Error::from) };
            told("a publish", refused(but, publish).await);
        }
        if but != "-xadd" {
            let reading = async {
                let mut all = bus.subscribe(&topic, "g").await?;
                match all.next().await {
                    Some(Err(error)) => Err(error),
                    other => Ok(other),
                }
            };
            told("a subscription", refused(but, reading).await);
        }
        // What others stored is as it was.
        let ends = admin
            .admin()
            .positions(topic.name(), bus::Start::Latest)
            .await
            .unwrap();
        assert_eq!(ends.len(), 2);
        assert_eq!(stored(&server, topic.name()), 1, "{but}");
    }
}

/// Entries in a topic of two partitions.
fn stored(server: &Server, topic: &str) -> u64 {
    let length = |n| server.ask(&["XLEN", &format!("{topic}:{{{n}}}")]).unwrap();
    (0..2).map(|n| length(n).parse::<u64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_without_transactions_use_a_script() {
    for but in ["-client|kill", "-multi", "-exec"] {
        let server = server(but);
        works(&Bus::connect(&url(&server, "anna:right@")).await.unwrap()).await;
        // At most the one by which it was tried.
        let stats = server.info("cmdstat_exec").unwrap_or("calls=0,".to_owned());
        assert!(
            stats.starts_with("calls=0,") || stats.starts_with("calls=1,"),
            "{but}: {stats}"
        );
    }
}

/// Changes a user's password.
fn rotate(server: &Server, password: &str) {
    let password = format!(">{password}");
    server
        .ask(&["ACL", "SETUSER", "anna", "resetpass", &password])
        .unwrap();
}

fn cut(server: &Server) {
    server.ask(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_outlive_a_password_and_new_ones_are_refused() {
    let server = server("");
    let bus = Bus::connect(&url(&server, "anna:right@")).await.unwrap();
    let topic = topic();
    bus.ensure_topics([topic.spec()]).await.unwrap();
    let mut all = bus.subscribe(&topic, "g").await.unwrap();
    bus.publish(&topic, &b"0".to_vec()).await.unwrap();
    all.next().await.unwrap().unwrap().ack();
    rotate(&server, "new");
    bus.publish(&topic, &b"1".to_vec()).await.unwrap();
    all.next().await.unwrap().unwrap().ack();
    assert!(bus.health().is_ok());
    cut(&server);
    let publish = async { bus.publish(&topic, &b"2".to_vec()).await.map_err(Error::from) };
    let error = refused("a publish", publish).await;
    assert!(
        error == DENIED && error.message().contains("user or password"),
        "{error:?}"
    );
    let ended = tokio::time::timeout(PATIENCE, all.next())
        .await
        .expect("an end")
        .expect("an error");
    assert_eq!(ended.unwrap_err(), DENIED);
    assert_eq!(bus.health().connection.unwrap_err(), DENIED);
    // Publishing goes on as soon as the password holds again.
    rotate(&server, "right");
    eventually("a publish", async || {
        bus.publish(&topic, &b"3".to_vec()).await.is_ok()
    })
    .await;
    eventually("health", async || bus.health().connection.is_ok()).await;
}

/// The bus is let in again with the new password, and its subscription is the same one.
async fn survives(server: &Server, bus: Bus, hand_in: impl FnOnce()) {
    let topic = topic();
    bus.ensure_topics([topic.spec()]).await.unwrap();
    let mut all = bus.subscribe(&topic, "g").await.unwrap();
    bus.publish(&topic, &b"0".to_vec()).await.unwrap();
    all.next().await.unwrap().unwrap().ack();
    rotate(server, "new");
    cut(server);
    let waiting = tokio::spawn({
        let (bus, topic) = (bus.clone(), topic.clone());
        async move { bus.publish(&topic, &b"1".to_vec()).await }
    });
    eventually("health", async || {
        bus.health().connection.is_err_and(|error| error == DENIED)
    })
    .await;
    hand_in();
    waiting.await.unwrap().unwrap();
    let next = tokio::time::timeout(PATIENCE, all.next())
        .await
        .expect("a delivery");
    let next = next.unwrap().unwrap();
    assert_eq!(next.value(), b"1");
    next.ack();
    all.close().await.unwrap();
    eventually("health", async || bus.health().connection.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_is_handed_in_by_a_file() {
    let (server, folder) = (server(""), Folder::new());
    let file = folder.file("password", "right\n");
    let settings = Settings::new()
        .redis_url(url(&server, "anna@"))
        .set("redis_password_file", file.display());
    let bus = Bus::from_settings(&settings).await.unwrap();
    survives(&server, bus, || std::fs::write(&file, "new\n").unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_is_handed_in_by_the_application() {
    let server = server("");
    let vault = Arc::new(Mutex::new("right".to_owned()));
    let config = RedisConfig::from_url(&url(&server, "anna@"))
        .unwrap()
        .password_from({
            let vault = vault.clone();
            move || {
                let password = vault.lock().unwrap().clone();
                async { Ok(password.into()) }
            }
        });
    let bus = Bus::new(Arc::new(Redis::connect(config).await.unwrap()))
        .await
        .unwrap();
    survives(&server, bus, || *vault.lock().unwrap() = "new".to_owned()).await;
    let silent = RedisConfig::from_url(&url(&server, "anna@"))
        .unwrap()
        .password_from(std::future::pending);
    let asked = Awake::begin();
    let error = Redis::connect(silent).await.unwrap_err();
    assert!(
        error == ErrorKind::Unavailable && asked.elapsed() < Duration::from_secs(4),
        "{error:?}"
    );
}

/// A secret of its own in each place, looked for in all that is logged, printed and told.
#[tokio::test]
async fn no_secret_is_told() {
    let logs = Logs::default();
    let _listening = logs.install();
    let (server, folder) = (server(""), Folder::new());
    let mut shown = Vec::new();
    for (number, known) in [true, false].into_iter().enumerate() {
        let secret = |place: &str| format!("canary-{place}-{number}");
        let [inline, filed, asked] = ["url", "file", "vault"].map(secret);
        let passwords = if known {
            [&inline, &filed, &asked]
        } else {
            [&inline; 3]
        };
        server.ask(&["ACL", "SETUSER", "anna", "resetpass"]).unwrap();
        for password in passwords.iter().filter(|_| known) {
            server
                .ask(&["ACL", "SETUSER", "anna", &format!(">{password}")])
                .unwrap();
        }
        let file = folder.file("password", &filed);
        let by_url = Settings::new().redis_url(url(&server, &format!("anna:{inline}@")));
        let by_option = Settings::new().redis_url(format!("{}&password={inline}", url(&server, "anna@")));
        let by_name = Settings::new()
            .redis_url(url(&server, "anna@"))
            .set("redis_password", &inline);
        let by_file = Settings::new()
            .redis_url(url(&server, "anna@"))
            .set("redis_password_file", file.display());
        for settings in [by_url, by_option, by_name, by_file] {
            let config = settings.redis_config().unwrap();
            shown.push(format!(
                "{settings} {settings:?} {settings:#?} {config:?} {config:#?}"
            ));
            match Bus::from_settings(&settings).await {
                Ok(bus) => {
                    assert!(known);
                    works(&bus).await;
                    shown.push(format!("{bus:?} {:#?} {:?}", bus.health(), bus.backend()));
                    cut(&server);
                    works(&bus).await;
                    bus.close().await.unwrap();
                }
                Err(error) => {
                    assert!(!known, "{error:?}");
                    shown.push(format!(
                        "{error} {error:?} {:?}",
                        std::error::Error::source(&error)
                    ));
                }
            }
        }
        let config = RedisConfig::from_url(&url(&server, "anna@"))
            .unwrap()
            .password_from(move || {
                let password = asked.clone();
                async { Ok(password.into()) }
            });
        shown.push(format!("{config:?}"));
        let made = Redis::connect(config).await;
        assert_eq!(made.is_ok(), known);
        shown.push(format!("{made:?}"));
    }
    shown.extend(logs.with(""));
    assert!(shown.len() > 20, "{}", shown.len());
    for text in shown {
        assert!(!text.contains("canary"), "{text}");
    }
}
