use bus::Bus;

struct Order;

async fn publish(bus: &Bus) -> bus::Result<()> {
    bus.publish("orders", &Order).await?;
    Ok(())
}

fn main() {
    let _ = publish;
}
