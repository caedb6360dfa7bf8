use bus::handler::consumer;

#[derive(serde::Deserialize)]
struct Order {
    item: String,
}

// It should be `Payload<Order>`.
async fn bill(order: Order) {
    println!("{}", order.item);
}

fn main() {
    let _ = consumer("orders", "billing", bill);
}
