//! What holds of every codec with a registry: ids, caches, failures, and what the bus does meanwhile.

use super::{
    apps::{every_backend, read, soon, text, unique, until},
    front::Front,
    orders::{Framed, Order, order},
    rule::rule,
    server::server,
};
use bus::{
    Bytes, ErrorKind, Message, Topic,
    registry::{Registry, frame},
};
use std::time::Duration;

fn passed<C: Framed>(url: &str, check: &str) {
    super::server::passed(url, &format!("{check}, {:?}", C::KIND));
}

async fn next<C: Framed>(orders: &mut bus::Subscription<Order, C>) -> Order {
    let delivery = soon("an order", orders.next()).await.unwrap().unwrap();
    assert_eq!(delivery.attempt(), 1);
    let order = delivery.value().clone();
    delivery.ack();
    order
}

/// Texts that mean the same are the same: as JSON, where they are.
fn meaning(text: &str) -> Result<serde_json::Value, &str> {
    serde_json::from_str(text).map_err(|_| text.trim())
}

/// 64 KiB that are the same in every run, and no frame.
fn noise() -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let bytes = (0..65_536).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    });
    let mut noise: Vec<u8> = bytes.collect();
    noise[0] = 1;
    noise
}

pub(crate) async fn ids_are_asked_for_once_and_others_can_read<C: Framed>() {
    let server = server().await;
    for bus in every_backend().await {
        let front = Front::before(&server).await;
        front.slow(Duration::from_millis(50));
        let registry = Registry::new(front.url()).unwrap();
        let orders = C::topic(&registry);
        let publishes: Vec<_> = (0..50)
            .map(|id| bus.publish(&orders, &order(id)).key("a").into_future())
            .collect();
        for publish in publishes {
            soon("a publish", publish).await.unwrap();
        }
        assert_eq!(front.count("POST"), 1, "{bus:?}");
        let record = read(&bus, orders.name(), 1).await.remove(0);
        let (id, body) = frame::split(record.payload().unwrap()).unwrap();
        assert_eq!(body, C::body(&order(0)));
        assert_eq!(text(&record, "content-type"), Some(C::CONTENT_TYPE));

        // Somebody else, with a client and a cache of his own.
        let other = Registry::new(front.url()).unwrap();
        let schema = other.schema(id).await.unwrap();
        assert_eq!(schema.kind(), C::KIND);
        assert_eq!(meaning(schema.text()), meaning(C::schema().text()));
        let subject = format!("{}-value", orders.name());
        assert_eq!(other.look_up(&subject, &C::schema()).await.unwrap(), id);
        assert_eq!(other.latest(&subject).await.unwrap().id, id);

        let third = Registry::new(front.url()).unwrap();
        let again = Topic::with_codec(orders.name().to_owned(), C::own(&third));
        let asked = front.count("GET /schemas");
        let mut deliveries = bus.subscribe(&again, "g").await.unwrap();
        for id in 0..50 {
            assert_eq!(next(&mut deliveries).await, order(id), "{bus:?}");
        }
        assert_eq!(front.count("GET /schemas") - asked, 1, "{bus:?}");
        soon("the end", deliveries.close()).await.unwrap();
    }
    passed::<C>(&server, "ids_are_asked_for_once");
}

pub(crate) async fn a_registry_that_is_down_at_the_start_is_waited_for_and_later_stops_nothing<C: Framed>() {
    let server = server().await;
    for bus in every_backend().await {
        let front = Front::before(&server).await;
        front.down(true);
        // Longer than a busy machine needs to come to the end of this.
        let registry = Registry::config(front.url()).patience(Duration::from_secs(600));
        let registry = registry.build().unwrap();
        let orders = C::topic(&registry);
        bus.ensure_topics([orders.spec()]).await.unwrap();
        let elsewhere = Registry::new(&server).unwrap();
        let written = Topic::with_codec(orders.name().to_owned(), C::own(&elsewhere));
        bus.publish(&written, &order(0)).key("b").await.unwrap();
        // Whatever is published to this topic from here on waits behind it.
        let mut first = tokio::spawn(bus.publish(&orders, &order(1)).key("a").into_future());
        // Reading waits as well, is told, and is no attempt.
        let reader = Registry::new(front.url()).unwrap();
        let read_by = Topic::with_codec(orders.name().to_owned(), C::own(&reader));
        let mut deliveries = bus.subscribe(&read_by, "g").await.unwrap();
        let waits = tokio::time::timeout(Duration::from_millis(1_500), deliveries.next()).await;
        assert!(waits.is_err(), "{bus:?}");
        let told = || {
            bus.health()
                .subscriptions
                .iter()
                .flat_map(|m| m.awaits.clone())
                .find_map(|a| a.error)
        };
        until("the failure is told", || {
            told().is_some_and(|e| e.contains("cannot be reached"))
        })
        .await;
        let early = tokio::time::timeout(Duration::ZERO, &mut first).await;
        assert!(early.is_err(), "{bus:?} {early:?}");

        front.down(false);
        soon("the publish", first).await.unwrap().unwrap();
        let mut seen = [next(&mut deliveries).await, next(&mut deliveries).await];
        seen.sort_by_key(|order| order.id);
        assert_eq!(seen, [order(0), order(1)], "{bus:?}");

        // What is known now needs no registry.
        front.down(true);
        for id in 2..20 {
            soon(
                "a publish",
                bus.publish(&orders, &order(id)).key("a").into_future(),
            )
            .await
            .unwrap();
            assert_eq!(next(&mut deliveries).await, order(id), "{bus:?}");
        }
        soon("the end", deliveries.close()).await.unwrap();
    }
    passed::<C>(&server, "down_at_the_start_and_later");
}

pub(crate) async fn an_unknown_id_is_waited_for_and_given_up_in_the_end<C: Framed>() {
    let server = server().await;
    for bus in every_backend().await {
        let front = Front::before(&server).await;
        let writer = Registry::new(&server).unwrap();
        let orders = C::topic(&writer);
        bus.publish(&orders, &order(1)).key("a").await.unwrap();
        bus.publish(&orders, &order(2)).key("a").await.unwrap();
        let id = writer
            .register(&format!("{}-value", orders.name()), &C::schema())
            .await
            .unwrap();
        front.hide(id);
        let reader = Registry::new(front.url()).unwrap();
        let lagging = Topic::with_codec(orders.name().to_owned(), C::own(&reader));
        let mut deliveries = bus.subscribe(&lagging, "g").await.unwrap();
        tokio::select! {
            told = deliveries.next() => panic!("{bus:?} {told:?}"),
            () = until("it is asked for again", || front.count("GET /schemas") >= 3) => {}
        }
        assert!(front.count("GET /schemas") < 10, "no hot loop");
        front.reveal();
        assert_eq!(next(&mut deliveries).await, order(1), "{bus:?}");
        assert_eq!(next(&mut deliveries).await, order(2), "{bus:?}");
        soon("the end", deliveries.close()).await.unwrap();

        // What nobody ever knows.
        let mut lost = frame::begin();
        lost.extend(b"{}");
        let lost = frame::finish(lost, u32::MAX - 7);
        let behind = |body: &[u8]| frame::finish([&frame::begin(), body].concat(), id);
        // Half of what begins a frame, no frame, nothing behind one, and noise before and behind one.
        let broken = [
            lost,
            Bytes::from_static(b"{}"),
            Bytes::from_static(b"\0\0\0"),
            behind(C::BROKEN),
            behind(&noise()),
            noise().into(),
        ];
        for payload in &broken {
            bus.publish_message(orders.name(), Message::new(payload.clone()).keyed("x"))
                .await
                .unwrap();
        }
        bus.publish(&orders, &order(3)).key("x").await.unwrap();
        let hasty = Registry::config(front.url())
            .unknown_ids(Duration::from_millis(300))
            .build()
            .unwrap();
        let hasty = Topic::with_codec(orders.name().to_owned(), C::own(&hasty));
        let mut deliveries = bus.subscribe(&hasty, "hasty").await.unwrap();
        for id in [1, 2] {
            assert_eq!(next(&mut deliveries).await, order(id));
        }
        let reading = tokio::spawn(async move { next(&mut deliveries).await });
        let letters = read(&bus, &format!("{}.hasty.dlq", orders.name()), broken.len()).await;
        let payloads: Vec<_> = letters.iter().map(|letter| letter.payload().unwrap()).collect();
        assert_eq!(payloads, broken, "{bus:?}");
        let errors: Vec<_> = letters
            .iter()
            .map(|letter| text(letter, "bus-error").unwrap())
            .collect();
        assert!(
            errors[0].contains("does not know schema 4294967288"),
            "{errors:?}"
        );
        assert!(
            errors[1].contains("byte 123") || errors[1].contains("2 bytes"),
            "{errors:?}"
        );
        assert!(errors[2].contains("3 bytes"), "{errors:?}");
        assert!(errors[3].contains("payload is not the expected"), "{errors:?}");
        assert!(errors[5].contains("payload begins with byte 1,"), "{errors:?}");
        for letter in &letters {
            assert_eq!(text(letter, "bus-reason"), Some("undecodable"), "{bus:?}");
        }
        assert_eq!(
            soon("what is behind them", reading).await.unwrap(),
            order(3),
            "{bus:?}"
        );
    }
    passed::<C>(&server, "unknown_ids");
}

pub(crate) async fn what_is_not_compatible_is_refused_before_anything_is_stored<C: Framed>() {
    let server = server().await;
    for bus in every_backend().await {
        let registry = Registry::new(&server).unwrap();
        let name = unique("registry");
        let first = Topic::with_codec(name.clone(), C::own(&registry));
        bus.publish(&first, &order(1)).await.unwrap();
        rule(&server, &format!("{name}-value"), "BACKWARD").await;
        // A number that was text: whoever reads the old ones fails.
        for check in [true, false] {
            let fresh = Registry::new(&server).unwrap();
            let codec = C::writing(&fresh, C::changed()).changing(|framing| framing.check(check));
            let refused: Topic<Order, _> = Topic::with_codec(name.clone(), codec);
            let unsent = soon("an answer", bus.publish(&refused, &order(2)).into_future())
                .await
                .unwrap_err();
            assert_eq!(unsent.error().kind(), ErrorKind::Conflict, "{unsent}");
            assert!(
                !unsent.is_unknown() && unsent.to_string().contains("compatib"),
                "{unsent}"
            );
        }
        bus.publish(&first, &order(3)).await.unwrap();
        let records = read(&bus, &name, 2).await;
        assert!(
            records[1].payload().unwrap().ends_with(&C::body(&order(3))),
            "{bus:?}"
        );
    }
    passed::<C>(&server, "incompatible");
}
