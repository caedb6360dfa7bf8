use bus::handler::consumer;
use std::rc::Rc;

async fn pause() {}

async fn bill() {
    let count = Rc::new(1);
    pause().await;
    println!("{count}");
}

fn main() {
    let _ = consumer("orders", "billing", bill);
}
