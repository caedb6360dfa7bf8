//! The backend.

use crate::{
    KafkaConfig,
    admin::{KafkaAdmin, Requests},
    consumer, error,
    health::Health,
    native::{Code, Failure},
    notes,
    producer::{HEADROOM, KafkaPublisher, Producer},
};
use async_trait::async_trait;
use bus_core::{Ack, Admin, Backend, Limits, Publisher, Result, Source, Subscriber};
use parking_lot::Mutex;
use std::{
    fmt,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

/// Apache Kafka, seen by one process.
pub struct Kafka {
    config: KafkaConfig,
    requests: Arc<Requests>,
    outputs: Arc<Outputs>,
    health: Arc<Health>,
    names: consumer::Names,
}

impl Kafka {
    /// Connects, and returns when a broker has answered.
    /// # Errors
    /// `Invalid` for an option that librdkafka does not know or accept; `Unavailable`, with the address and what to
    /// try, when nobody answers within [`KafkaConfig::connect_timeout`]; `Denied`, at once, with the setting to change, for
    /// a certificate that is not accepted or missing and for a wrong login.
    pub async fn connect(config: KafkaConfig) -> Result<Self> {
        config.check_security()?;
        // All three kinds of client, so that a wrong option is found here and not at the first publish.
        config.publisher_conf()?;
        config.consumer_conf("check", 1)?;
        let health = Arc::new(Health::new(&config.brokers));
        let requests = Requests::start(&config, health.clone())?;
        preflight(&config, &requests, &health).await?;
        let outputs = Outputs {
            config: config.clone(),
            health: health.clone(),
            current: Mutex::default(),
        };
        Ok(Self {
            config,
            requests: Arc::new(requests),
            outputs: Arc::new(outputs),
            health,
            names: consumer::Names::default(),
        })
    }
}

/// How long the first question to the cluster may take.
const FIRST: Duration = Duration::from_millis(500);

/// Asks for the cluster until it answers or the time is over.
async fn preflight(config: &KafkaConfig, requests: &Requests, health: &Health) -> Result<()> {
    let deadline = Instant::now() + config.connect_timeout;
    // A question occupies a thread that nobody can call back, so the first one is short: most refusals come in that time.
    let mut longest = FIRST;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let asked = requests.reach(left.min(longest).max(Duration::from_millis(100)));
        longest = config.connect_timeout;
        let answer = tokio::select! {
            answer = tokio::time::timeout(left, asked) => answer,
            refusal = health.refusal() => return Err(refusal.error(&config.brokers)),
        };
        let failure = match answer {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::new(Code::TIMED_OUT),
        };
        match failure.code {
            Code::AUTHENTICATION | Code::SASL_AUTHENTICATION | Code::CLUSTER_AUTHORIZATION => {
                return Err(error::classify(
                    format_args!("connecting to kafka at {}", config.brokers),
                    &failure,
                ));
            }
            _ if Instant::now() >= deadline => {
                return Err(error::unreachable(
                    &config.brokers,
                    config.connect_timeout,
                    health.last_reason(),
                ));
            }
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kafka")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// The producer that publishers and outputs share. It lives as long as anybody uses it.
pub(crate) struct Outputs {
    config: KafkaConfig,
    health: Arc<Health>,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    shared: Weak<Producer>,
    /// Held once a subscription has had outputs, or a client would come and go with each of them.
    kept: Option<Arc<Producer>>,
}

impl Outputs {
    /// A live producer: the one that there is, or a new one.
    pub(crate) fn shared(&self) -> Result<Arc<Producer>> {
        let mut current = self.current.lock();
        if let Some(producer) = current.shared.upgrade()
            && !producer.is_dead()
        {
            return Ok(producer);
        }
        let producer = Producer::start(&self.config, self.health.clone(), current.shared.upgrade())?;
        current.shared = Arc::downgrade(&producer);
        current.kept = current.kept.take().map(|_| producer.clone());
        Ok(producer)
    }
    /// The same, for the outputs of commits.
    pub(crate) fn producer(&self) -> Result<Arc<Producer>> {
        let producer = self.shared()?;
        self.current.lock().kept = Some(producer.clone());
        Ok(producer)
    }
}

#[async_trait]
impl Backend for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn limits(&self) -> Limits {
        Limits {
            notes: notes::LIMIT,
            message: self.config.message_max().saturating_sub(HEADROOM),
            outputs: 100_000,
        }
    }

    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        let outputs = self.outputs.clone();
        Ok(Arc::new(KafkaPublisher::new(
            self.outputs.shared()?,
            self.config.publish_deadline,
            move || outputs.shared(),
        )))
    }

    async fn subscribe(&self, source: Source) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
        let backing = consumer::Backing {
            config: self.config.clone(),
            requests: self.requests.clone(),
            outputs: self.outputs.clone(),
            health: self.health.clone(),
            names: self.names.clone(),
        };
        consumer::subscribe(backing, source).await
    }

    fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(KafkaAdmin::new(self.requests.clone()))
    }

    fn health(&self) -> Result<()> {
        self.health.check()
    }
}
