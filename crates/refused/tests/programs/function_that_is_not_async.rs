use bus::handler::{Payload, consumer};

fn bill(Payload(_order): Payload<String>) {}

fn main() {
    let _ = consumer("orders", "billing", bill);
}
