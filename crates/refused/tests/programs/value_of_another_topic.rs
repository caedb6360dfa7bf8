use bus::{Bus, Topic};

const ORDERS: Topic<String> = Topic::new("orders");

async fn publish(bus: &Bus) -> bus::Result<()> {
    bus.publish(&ORDERS, &7).await?;
    Ok(())
}

fn main() {
    let _ = publish;
}
