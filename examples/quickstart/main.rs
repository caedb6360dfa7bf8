//! Publishes three orders, consumes them in a group, acknowledges and prints them.
//!
//! `cargo run --example quickstart -- --url memory://` (the default), or `kafka://host:9092`, or `redis://host:6379` with that
//! feature.

use bus::{Bus, Error, Result, Topic};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Order {
    item: String,
    quantity: u32,
}

const ORDERS: Topic<Order> = Topic::new("orders").partitions(8);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let url = match &arguments[..] {
        [] => "memory://",
        [flag, url] if flag == "--url" => url,
        _ => return Err(Error::invalid("give `--url URL`, or nothing")),
    };
    let bus = Bus::connect(url).await?;
    bus.ensure_topics([ORDERS.spec()]).await?;
    for (item, quantity) in [("bread", 2), ("milk", 1), ("eggs", 12)] {
        let order = Order {
            item: item.into(),
            quantity,
        };
        bus.publish(&ORDERS, &order).key("customer-1").await?;
    }
    let mut orders = bus.subscribe(&ORDERS, "billing").await?;
    for _ in 0..3 {
        let next = orders.next().await.transpose()?;
        let order = next.ok_or_else(|| Error::closed("the subscription"))?;
        println!("{} × {}", order.quantity, order.item);
        order.ack();
    }
    orders.close().await
}
