use bus::handler::{Payload, consumer};

async fn bill(Payload(order): Payload<String>) -> usize {
    order.len()
}

fn main() {
    let _ = consumer("orders", "billing", bill);
}
