//! A small server that many publishers fill, while a dead group and the publishers' own markers try to keep it full.

use super::{member::Member, server::Server, *};
use bus_brokers::Awake;
use bus_core::TopicSpec;
use parking_lot::Mutex;
use std::time::Instant;

/// How hard.
#[derive(Clone, Debug)]
pub struct Plan {
    pub maxmemory: &'static str,
    /// Retention, and the time after which a group without a member is abandoned.
    pub keep: Duration,
    pub publishers: usize,
    /// Messages of 1 KiB a second and publisher.
    pub rate: usize,
    pub duration: Duration,
    /// It goes on for up to two minutes more, until so many messages were published: a slow machine takes longer.
    pub least: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    pub published: u64,
    pub errors: Vec<String>,
    /// Publishers that came and went.
    pub lives: u64,
    /// The longest time in which nothing was stored and the process was awake.
    pub longest_gap: Duration,
    /// Bytes, by the server's own account.
    pub memory_peak: u64,
    /// Publishes that the server refused for lack of memory; they were sent again.
    pub refused: String,
    pub markers: usize,
    pub entries: usize,
}

struct Tally {
    report: Report,
    awake: Awake,
    last: Duration,
}

/// Runs it on a private server.
pub async fn run(plan: Plan) -> Report {
    let server = Server::start(&["--maxmemory", plan.maxmemory, "--maxmemory-policy", "noeviction"]);
    let keep = plan.keep.as_millis();
    let url = format!(
        "{}?retention={keep}ms&abandoned.after={keep}ms&ttl=2s",
        server.url()
    );
    let backend = Redis::connect_url(&url).await.unwrap();
    let topic = unique("orders");
    backend
        .admin()
        .create(&[TopicSpec::new(topic.clone()).partitions(4)])
        .await
        .unwrap();
    let mut dead = Member::join(&backend, group(&topic, &"dead".into())).await;
    dead.until(|m| m.owned.len() == 4).await;
    dead.subscriber.close().await.unwrap();
    // Only publishers are left to look after the topic.
    drop((dead, backend));

    let tally = Arc::new(Mutex::new(Tally {
        report: Report::default(),
        awake: Awake::begin(),
        last: Duration::ZERO,
    }));
    let begun = Instant::now();
    let publishers: Vec<_> = (0..plan.publishers)
        .map(|number| {
            tokio::spawn(lives(
                number,
                plan.clone(),
                begun,
                url.clone(),
                topic.clone(),
                tally.clone(),
            ))
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    let mut report = std::mem::take(&mut tally.lock().report);
    report.memory_peak = server.info("used_memory_peak").parse().unwrap();
    report.refused = server.info("errorstat_OOM");
    report.markers = server.command::<Vec<String>>(&["KEYS", "*:bus:pid:*"]).len();
    report.entries = (0..4)
        .map(|p| server.command::<usize>(&["XLEN", &format!("{topic}:{{{p}}}")]))
        .sum();
    report
}

/// One publisher after the other. Every second one is killed: its runtime goes, and with it whoever would clean up.
async fn lives(
    number: usize,
    plan: Plan,
    begun: Instant,
    url: String,
    topic: Name,
    tally: Arc<Mutex<Tally>>,
) {
    let mut life = number;
    let goes_on = || {
        let too_few = tally.lock().report.published < plan.least;
        let longer = Duration::from_secs(if too_few { 120 } else { 0 });
        begun.elapsed() < plan.duration + longer
    };
    while goes_on() {
        let one = one_life(2 + life % 5, plan.rate, url.clone(), topic.clone(), tally.clone());
        if life.is_multiple_of(2) {
            one.await.close().await.unwrap();
        } else {
            let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
            let killed = tokio::task::spawn_blocking(move || drop(runtime().unwrap().block_on(one)));
            killed.await.unwrap();
        }
        tally.lock().report.lives += 1;
        life += 1;
    }
}

async fn one_life(
    seconds: usize,
    rate: usize,
    url: String,
    topic: Name,
    tally: Arc<Mutex<Tally>>,
) -> Arc<dyn Publisher> {
    let backend = Redis::connect_url(&url).await.unwrap();
    let publisher = backend.publisher().await.unwrap();
    for _ in 0..seconds {
        let second = tokio::time::Instant::now() + Duration::from_secs(1);
        let batch = vec![Message::new(vec![b'x'; 1024]); rate];
        for outcome in publisher.publish_batch(&topic, batch).await {
            let mut tally = tally.lock();
            match outcome {
                Ok(_) => {
                    tally.report.published += 1;
                    let now = tally.awake.elapsed();
                    let gap = now - std::mem::replace(&mut tally.last, now);
                    tally.report.longest_gap = tally.report.longest_gap.max(gap);
                }
                Err(unsent) => tally.report.errors.push(unsent.to_string()),
            }
        }
        tokio::time::sleep_until(second).await;
    }
    publisher
}
