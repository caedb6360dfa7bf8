use bus::handler::{Payload, consumer};
use bus::{Bytes, Delivery};

async fn bill(delivery: Delivery<Bytes>, Payload(_order): Payload<String>) {
    delivery.ack();
}

fn main() {
    let _ = consumer("orders", "billing", bill);
}
