//! A private Kafka with a listener for each way to connect, and a guard before what may be done. One for a test program.
#![allow(dead_code)]

#[path = "../harness/overheard.rs"]
pub(crate) mod overheard;

use bus::{Bus, Outcome, Raw, Settings, Topic, settings::Sources};
use bus_brokers::{Authority, Certificate, Kafka, KafkaListener, KafkaOptions};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Far less than brokers are waited for here, far more than a refusal takes on a busy machine.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(15);
pub(crate) const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

pub(crate) struct Secured {
    pub(crate) kafka: Kafka,
    pub(crate) ours: Authority,
    pub(crate) others: Authority,
    pub(crate) client: Certificate,
    pub(crate) stranger: Certificate,
    /// May do everything.
    pub(crate) master: (String, String),
    /// May do what is allowed to it.
    pub(crate) worker: (String, String),
}

static SERVER: Mutex<Option<Arc<Secured>>> = Mutex::new(None);

unsafe extern "C" {
    fn atexit(end: extern "C" fn()) -> i32;
}

/// Statics are not dropped, and servers that are not dropped run on.
extern "C" fn end() {
    drop(SERVER.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// The server, started by whoever comes first.
pub(crate) fn server() -> Arc<Secured> {
    overheard::listen();
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    let secured = server.get_or_insert_with(|| {
        // SAFETY: `end` is a function of this program that takes nothing and does not unwind into C: it only locks and drops.
        unsafe { atexit(end) };
        Arc::new(start())
    });
    secured.clone()
}

fn start() -> Secured {
    let (ours, others) = (Authority::new().unwrap(), Authority::new().unwrap());
    let here = ours.issue("broker", &["localhost"]).unwrap();
    let client = ours.issue("client", &["client"]).unwrap();
    let stranger = others.issue("stranger", &["client"]).unwrap();
    let expired = ours.issue_expired("expired", &["localhost"]).unwrap();
    let elsewhere = ours.issue("elsewhere", &["broker.example"]).unwrap();
    for key in [&client.key, &stranger.key] {
        let text = std::fs::read_to_string(key).unwrap();
        overheard::is_secret(text.lines().nth(1).unwrap());
    }
    let user = |name: &str| (name.to_owned(), overheard::secret(name));
    let (master, worker) = (user("master"), user("worker"));
    let listener = KafkaListener::new;
    let options = KafkaOptions::new()
        .heap(320)
        .property("num.network.threads", "1")
        .listener(listener("TLS").tls(&here).unwrap())
        .listener(listener("MUTUAL").tls(&here).unwrap().client_ca(&ours).unwrap())
        .listener(listener("LOGIN").mechanisms(&MECHANISMS))
        .listener(listener("BOTH").tls(&here).unwrap().mechanisms(&MECHANISMS))
        .listener(listener("PLAIN").mechanisms(&["PLAIN"]))
        .listener(listener("EXPIRED").tls(&expired).unwrap())
        .listener(listener("ELSEWHERE").tls(&elsewhere).unwrap())
        .user(&master.0, &master.1)
        .user(&worker.0, &worker.1)
        .guarded(&["User:master", "User:CN=client"]);
    Secured {
        kafka: Kafka::start(options).unwrap(),
        ours,
        others,
        client,
        stranger,
        master,
        worker,
    }
}

/// A way to connect, as variables of the environment.
#[derive(Clone)]
pub(crate) struct Way(pub(crate) Vec<(&'static str, String)>);

impl Secured {
    pub(crate) fn way(&self, listener: &str, protocol: &str) -> Way {
        let address = self.kafka.listener(listener).unwrap();
        let variables = [
            ("KAFKA_BOOTSTRAP_SERVERS", address),
            ("KAFKA_SECURITY_PROTOCOL", protocol),
        ];
        let way = Way(variables.map(|(name, value)| (name, value.to_owned())).to_vec());
        match protocol.ends_with("SSL") {
            true => way.trusts(&self.ours),
            false => way,
        }
    }
    /// A bus that has this login in the open, by a proof of the password.
    pub(crate) fn login(&self, (user, password): &(String, String)) -> Way {
        self.way("LOGIN", "SASL_PLAINTEXT")
            .logs_in("SCRAM-SHA-256", user, password)
    }
}

impl Way {
    pub(crate) fn set(mut self, name: &'static str, value: impl ToString) -> Self {
        self.0.retain(|(there, _)| *there != name);
        self.0.push((name, value.to_string()));
        self
    }
    pub(crate) fn trusts(self, authority: &Authority) -> Self {
        self.set("KAFKA_SSL_CAFILE", authority.file().display())
    }
    pub(crate) fn shows(self, certificate: &Certificate) -> Self {
        self.set("KAFKA_SSL_CERTFILE", certificate.certificate.display())
            .set("KAFKA_SSL_KEYFILE", certificate.key.display())
    }
    pub(crate) fn logs_in(self, mechanism: &str, user: &str, password: &str) -> Self {
        self.set("KAFKA_SASL_MECHANISM", mechanism)
            .set("KAFKA_SASL_USERNAME", user)
            .set("KAFKA_SASL_PASSWORD", password)
    }
    pub(crate) fn settings(&self) -> Settings {
        let variables = self.0.iter().map(|(name, value)| (*name, value.as_str()));
        let settings = Sources::new().no_dotenv().environment(variables).read().unwrap();
        overheard::show(&settings);
        overheard::said(&settings);
        // A refusal is told of before that, or it was not told at once. Everything that librdkafka can log about
        // connections is logged.
        settings
            .set("connect.timeout.ms", 60_000)
            .set("debug", "security,broker,conf")
    }
    pub(crate) async fn connect(&self) -> bus::Result<Bus> {
        let settings = self.settings();
        overheard::show(&settings.kafka_config());
        let bus = Bus::from_settings(&settings).await;
        overheard::show(&bus);
        if let Err(error) = &bus {
            overheard::show_error(error);
        }
        bus
    }
    /// The same way as a URL.
    pub(crate) fn url(&self) -> String {
        let value = |name: &str| {
            self.0
                .iter()
                .find(|(there, _)| *there == name)
                .map(|(_, v)| v.as_str())
        };
        let mut url = "kafka://".to_owned();
        if let (Some(user), Some(password)) = (value("KAFKA_SASL_USERNAME"), value("KAFKA_SASL_PASSWORD")) {
            url += &format!("{user}:{password}@");
        }
        url += value("KAFKA_BOOTSTRAP_SERVERS").unwrap();
        url += "?connect.timeout.ms=60000";
        for (name, option) in [
            ("KAFKA_SECURITY_PROTOCOL", "security.protocol"),
            ("KAFKA_SASL_MECHANISM", "sasl.mechanism"),
            ("KAFKA_SSL_CAFILE", "ssl.ca.location"),
            ("KAFKA_SSL_CERTFILE", "ssl.certificate.location"),
            ("KAFKA_SSL_KEYFILE", "ssl.key.location"),
        ] {
            if let Some(value) = value(name) {
                url += &format!("&{option}={value}");
            }
        }
        url
    }
}

/// A name that no other test uses.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::now_v7().simple())
}

pub(crate) type Text = Topic<String, Raw>;

pub(crate) async fn publish(bus: &Bus, topic: &Text, text: &str) -> bus::Result<()> {
    match bus.publish(topic, &text.to_owned()).key(text.to_owned()).await {
        Ok(Outcome::Stored(_)) => Ok(()),
        Ok(other) => panic!("{other:?}"),
        Err(unsent) => Err(unsent.into()),
    }
}
