//! Consume, transform, produce: under exactly once the output is the input, whatever becomes of who does it.

use crate::{
    Bus, Control, Delivery, Error, Message, Order,
    conformance::{
        Failure, Lab, Proof,
        lab::Feed,
        work::{id_of, keyed, messages},
    },
};
use bytes::Bytes;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::task::JoinHandle;

const COUNT: usize = 600;
const KEYS: usize = 20;

/// The middle of a chain.
#[derive(Debug)]
struct Middle {
    control: Control,
    task: JoinHandle<Result<(), Error>>,
}

#[derive(Debug)]
struct Chain {
    lab: Lab,
    input: Feed,
    output: Feed,
    group: String,
    /// Messages that were worked on, each time anew.
    turns: Arc<AtomicUsize>,
}

impl Chain {
    async fn middle(&self) -> Result<Middle, Failure> {
        let bus = self.lab.bus().await?;
        let subscribe = self.lab.subscribe(&bus, &self.input, &self.group).exactly_once();
        let subscription = self.lab.join(subscribe).await?;
        let (output, turns) = (self.output.name().to_owned(), self.turns.clone());
        let control = subscription.control();
        let work = move |delivery: Delivery<Bytes>| {
            let (output, turns) = (output.clone(), turns.clone());
            async move {
                tokio::time::sleep(Duration::from_millis(2)).await;
                let key = Bytes::copy_from_slice(delivery.key().unwrap_or_default());
                let message = Message::new(delivery.value().clone()).keyed(key);
                turns.fetch_add(1, Relaxed);
                // What cannot be stored with it fails it, and it comes again.
                let _ = delivery.ack_with([(output, message)]);
            }
        };
        let task = tokio::spawn(subscription.for_each(4, work));
        Ok(Middle { control, task })
    }
}

pub(crate) async fn outputs_equal_inputs_under_crashes(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let chain = Chain {
        lab: lab.clone(),
        input: lab.topic(&bus, "in", 4).await?,
        output: lab.topic(&bus, "out", 4).await?,
        group: lab.group("g"),
        turns: Arc::default(),
    };
    lab.store(&bus, chain.input.name(), messages(KEYS, COUNT / 2))
        .await?;
    let mut staying = chain.middle().await?;
    let mut leaving = chain.middle().await?;
    for crash in 1..=4 {
        let worked = || async { Ok(chain.turns.load(Relaxed) >= crash * COUNT / 10) };
        lab.poll("the chain goes on", worked).await?;
        leaving.control.abort();
        lab.within("the end of a crashed member", leaving.task)
            .await???;
        // Each is the next to crash but one, so that a crash takes away what was taken over from the last.
        leaving = std::mem::replace(&mut staying, chain.middle().await?);
        if crash == 2 {
            let more = (COUNT / KEYS / 2..COUNT / KEYS)
                .flat_map(|n| (0..KEYS).map(move |k| keyed(format_args!("k{k}"), n)));
            lab.store(&bus, chain.input.name(), more.collect()).await?;
        }
    }
    whole(lab, &bus, &chain.output).await?;
    for member in [leaving, staying] {
        lab.within("draining", member.control.drain(lab.patience()))
            .await??;
        lab.within("the end of a member", member.task).await???;
    }
    Ok(())
}

/// The output, as who reads it sees it: each message once, and each key in order.
async fn whole(lab: &Lab, bus: &Bus, output: &Feed) -> Proof {
    // A crash in a transaction holds its readers up for as long as brokers let one be open.
    let lab = &lab.patient(lab.patience());
    let observe = bus.observe(output).order(Order::None).in_flight(2 * COUNT);
    let mut reader = lab.join(observe).await?;
    let mut next: HashMap<String, usize> = HashMap::new();
    let mut look = |d: &Delivery<Bytes>| {
        let key = id_of(d.key()).to_string();
        let expected = next.entry(key.clone()).or_default();
        ensure_eq!(
            &*id_of(d.payload()),
            format!("{key}:{expected}"),
            "the next output of its key"
        );
        *expected += 1;
        Ok(())
    };
    lab.each(&mut reader, COUNT, &mut look).await?;
    let more = lab.rest(bus, output, &mut reader).await?;
    ensure!(
        more.is_empty(),
        "{} outputs are more than there were inputs",
        more.len()
    );
    Ok(())
}
