use bus::{Delivery, handler::Failure, worker};

#[worker(topic = "orders")]
fn not_async(_: &u32) {}

#[worker(topic = "orders")]
async fn takes_nothing() {}

#[worker(topic = "orders")]
async fn takes_it(_: u32) {}

#[worker(topic = "orders")]
async fn generic<T>(_: &T) {}

#[worker(topic = "orders", batch_size = 10)]
async fn one_by_one(_: &u32) {}

#[worker(topic = "orders", output = "results")]
async fn gives_nothing(_: &u32) -> Result<(), Failure> {
    Ok(())
}

#[worker(topic = "orders", batch_size = 10)]
async fn one_for_all(_: &[Delivery<u32>]) -> Result<(), Failure> {
    Ok(())
}

fn main() {}
