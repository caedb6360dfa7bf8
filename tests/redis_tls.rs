//! Redis over TLS: what connects, and what does not, with the setting that is to be changed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod folder;
mod secured;

use bus::{Bus, ErrorKind, Settings, settings::Sources};
use bus_brokers::{Authority, Certificate, Redis, RedisOptions};
use folder::Folder;
use secured::{is_refused, refused, works};

/// A server with a TLS port, and who signed what it shows.
struct Site {
    authority: Authority,
    server: Redis,
}

impl Site {
    fn start(options: RedisOptions) -> Self {
        Self::showing(options, |authority| {
            authority.issue("server", &["localhost", "127.0.0.1"]).unwrap()
        })
    }
    /// One that wants to see certificates too.
    fn strict(protocol: &str) -> Self {
        Self::showing(
            RedisOptions::new()
                .setting("tls-protocols", protocol)
                .setting("tls-auth-clients", "yes"),
            |authority| authority.issue("server", &["127.0.0.1"]).unwrap(),
        )
    }
    fn showing(options: RedisOptions, shown: impl FnOnce(&Authority) -> Certificate) -> Self {
        let authority = Authority::new().unwrap();
        let shown = shown(&authority);
        let server = Redis::start(options.tls(&authority, &shown)).unwrap();
        Self { authority, server }
    }
    fn port(&self) -> u16 {
        self.server.tls_socket().unwrap().port()
    }
    fn ca(&self) -> String {
        self.authority.file().display().to_string()
    }
    fn url(&self, options: &str) -> String {
        format!(
            "rediss://127.0.0.1:{}?tls.ca={}&{options}",
            self.port(),
            self.ca()
        )
    }
}

fn own(files: &Certificate) -> String {
    format!(
        "tls.cert={}&tls.key={}",
        files.certificate.display(),
        files.key.display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_through_tls() {
    let site = Site::start(RedisOptions::new());
    let bus = Bus::connect(&site.url("")).await.unwrap();
    works(&bus).await;
    // Nobody came by the port without TLS but who asks this.
    let all = site.server.ask(&["CLIENT", "LIST"]).unwrap();
    let (tls, any) = (format!("laddr=127.0.0.1:{}", site.port()), "laddr=127.0.0.1:");
    assert!(
        all.contains(&tls) && all.matches(any).count() == all.matches(&tls).count() + 1,
        "{all}"
    );
    let by_name = format!("rediss://localhost:{}?ssl_ca_certs={}", site.port(), site.ca());
    works(&Bus::connect(&by_name).await.unwrap()).await;
    let old = Site::start(RedisOptions::new().setting("tls-protocols", "TLSv1.2"));
    works(&Bus::connect(&old.url("")).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_may_show_certificates() {
    for protocol in ["TLSv1.2", "TLSv1.3"] {
        let site = Site::strict(protocol);
        let mine = site.authority.issue("billing", &[]).unwrap();
        works(&Bus::connect(&site.url(&own(&mine))).await.unwrap()).await;
        let foreign = Authority::new().unwrap();
        let foreign = foreign.issue("billing", &[]).unwrap();
        let old = site.authority.issue_expired("old", &[]).unwrap();
        is_refused(
            "no certificate",
            &site.url(""),
            ErrorKind::Denied,
            &["set `tls.cert` and `tls.key`"],
        )
        .await;
        is_refused(
            "a foreign one",
            &site.url(&own(&foreign)),
            ErrorKind::Denied,
            &["does not trust", "`tls.cert`"],
        )
        .await;
        is_refused(
            "an old one",
            &site.url(&own(&old)),
            ErrorKind::Denied,
            &["has expired", "`tls.cert`"],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_trusted_is_refused() {
    let denied = ErrorKind::Denied;
    let site = Site::start(RedisOptions::new());
    let of_the_system = format!("rediss://127.0.0.1:{}", site.port());
    is_refused(
        "an authority the system does not know",
        &of_the_system,
        denied,
        &["not trusted", "`tls.ca`"],
    )
    .await;
    let other = Authority::new().unwrap();
    let url = format!("{of_the_system}?tls.ca={}", other.file().display());
    is_refused(
        "another authority than that of `tls.ca`",
        &url,
        denied,
        &["not trusted", "`tls.ca`"],
    )
    .await;
    let expired = Site::showing(RedisOptions::new(), |a| {
        a.issue_expired("old", &["127.0.0.1"]).unwrap()
    });
    is_refused(
        "a certificate that has expired",
        &expired.url(""),
        denied,
        &["has expired", "`tls-cert-file`"],
    )
    .await;
    let named = Site::showing(RedisOptions::new(), |a| {
        a.issue("named", &["redis.internal", "10.0.0.9"]).unwrap()
    });
    let parts = [
        "for `redis.internal`, `10.0.0.9`, not for `127.0.0.1`",
        "`tls.server.name`",
    ];
    is_refused("another host's certificate", &named.url(""), denied, &parts).await;
    works(
        &Bus::connect(&named.url("tls.server.name=redis.internal"))
            .await
            .unwrap(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_port_is_found_out() {
    let site = Site::start(RedisOptions::new());
    let wrong = ErrorKind::Invalid;
    for host in ["127.0.0.1", "anna:secret@127.0.0.1"] {
        let tls = format!("redis://{host}:{}", site.port());
        is_refused(
            "TLS spoken to without",
            &tls,
            wrong,
            &["speaks TLS", "`rediss://`"],
        )
        .await;
    }
    // Whether a plain server answers what it takes for a command is a matter of random bytes in it.
    for _ in 0..8 {
        let plain = format!(
            "rediss://127.0.0.1:{}?tls.ca={}",
            site.server.socket().port(),
            site.ca()
        );
        is_refused(
            "plain spoken to by TLS",
            &plain,
            wrong,
            &["does not speak TLS", "`tls-port`"],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_of_no_use_are_named() {
    let site = Site::start(RedisOptions::new());
    let folder = Folder::new();
    let mine = site.authority.issue("billing", &[]).unwrap();
    let other = site.authority.issue("other", &[]).unwrap();
    let (cert, key) = (mine.certificate.display(), mine.key.display());
    let key_text = std::fs::read_to_string(&mine.key).unwrap();
    let broken = folder
        .file("broken.pem", &key_text.replace("-----END", "----END"))
        .display()
        .to_string();
    let locked = key_text.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let locked = folder.file("locked.pem", &locked).display().to_string();
    let port = site.port();
    for (what, url, part) in [
        (
            "a file that is not there",
            format!("rediss://127.0.0.1:{port}?tls.ca=/nowhere.pem"),
            "`tls.ca`, /nowhere.pem",
        ),
        (
            "a key for an authority",
            format!("rediss://127.0.0.1:{port}?tls.ca={key}"),
            "no certificate in PEM",
        ),
        ("no key", site.url(&format!("tls.cert={cert}")), "needs `tls.key`"),
        (
            "no certificate",
            site.url(&format!("tls.key={key}")),
            "needs `tls.cert`",
        ),
        (
            "a broken key",
            site.url(&format!("tls.cert={cert}&tls.key={broken}")),
            "no private key in PEM",
        ),
        (
            "a locked key",
            site.url(&format!("tls.cert={cert}&tls.key={locked}")),
            "a passphrase",
        ),
        (
            "another's key",
            site.url(&format!("tls.cert={cert}&tls.key={}", other.key.display())),
            "do not belong together",
        ),
        (
            "files without TLS",
            format!("redis://127.0.0.1:{port}?tls.ca={}", site.ca()),
            "`rediss://`",
        ),
    ] {
        let error = refused(what, Bus::connect(&url)).await;
        let shown = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
        assert!(
            error == ErrorKind::Invalid && shown.contains(part),
            "{what}: {shown}"
        );
        let secret = key_text.lines().nth(1).unwrap();
        assert!(!shown.contains(secret), "{what}: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn surroundings_say_it_too() {
    let site = Site::strict("TLSv1.3");
    let mine = site.authority.issue("billing", &[]).unwrap();
    let url = format!("rediss://127.0.0.1:{}", site.port());
    let (ca, cert, key) = (
        site.ca(),
        mine.certificate.display().to_string(),
        mine.key.display().to_string(),
    );
    let variables = [
        ("REDIS_URL", &url),
        ("REDIS_SSL_CAFILE", &ca),
        ("REDIS_SSL_CERTFILE", &cert),
        ("REDIS_SSL_KEYFILE", &key),
    ];
    let read = |variables: &[(&str, &String)]| {
        let variables = variables.iter().map(|(name, value)| (*name, value.as_str()));
        Sources::new().no_dotenv().environment(variables).read()
    };
    let settings = read(&variables).unwrap();
    works(&Bus::from_settings(&settings).await.unwrap()).await;
    let folder = Folder::new();
    let text = format!(
        "redis_url: {url}\nredis_ssl_ca_certs: {ca}\nredis_ssl_certfile: {cert}\nredis_ssl_keyfile: {key}\n"
    );
    let file = Sources::new()
        .file(folder.file("bus.yml", &text))
        .no_dotenv()
        .environment([("", "")]);
    works(&Bus::from_settings(&file.read().unwrap()).await.unwrap()).await;
    let program = Settings::new()
        .redis_url(&url)
        .set("redis_ssl_cafile", &ca)
        .set("tls.cert", &cert)
        .set("tls.key", &key);
    works(&Bus::from_settings(&program).await.unwrap()).await;
    // A certificate is asked for, and not there.
    let error = refused("too few", Bus::from_settings(&read(&variables[..2]).unwrap())).await;
    assert!(
        error == ErrorKind::Denied && error.message().contains("`tls.cert`"),
        "{error:?}"
    );
    let error = read(&[("REDIS_URL", &url), ("REDIS_SSL_CAFILE", &"/nowhere.pem".into())]).unwrap_err();
    assert!(
        error == ErrorKind::Invalid && error.message().contains("REDIS_SSL_CAFILE"),
        "{error:?}"
    );
}

/// Files are read whenever a connection is made, so what is renewed there counts from then on.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_needs_no_restart() {
    let site = Site::strict("TLSv1.3");
    let mine = site.authority.issue("billing", &[]).unwrap();
    let bus = Bus::connect(&site.url(&format!("{}&connect.timeout=1s", own(&mine))))
        .await
        .unwrap();
    works(&bus).await;
    let old = site.authority.issue_expired("old", &[]).unwrap();
    let replace = |by: &Certificate| {
        std::fs::copy(&by.certificate, &mine.certificate).unwrap();
        std::fs::copy(&by.key, &mine.key).unwrap();
    };
    let kept = site.authority.issue("kept", &[]).unwrap();
    replace(&old);
    site.server.ask(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
    let error = refused("an old certificate", bus.admin().topics()).await;
    assert!(
        error == ErrorKind::Denied && error.message().contains("has expired"),
        "{error:?}"
    );
    assert_eq!(bus.health().connection.unwrap_err(), ErrorKind::Denied);
    replace(&kept);
    works(&bus).await;
}
