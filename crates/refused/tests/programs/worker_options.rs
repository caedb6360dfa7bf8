use bus::worker;

#[worker(topik = "orders")]
async fn misspelt(_: &u32) {}

#[worker(topic = "orders", priority = 3)]
async fn unknown(_: &u32) {}

#[worker(group = "g")]
async fn without_a_topic(_: &u32) {}

#[worker(topic = "orders", group = "a", group_id = "b")]
async fn twice(_: &u32) {}

#[worker(topic = "orders", concurrency = 0)]
async fn none_at_a_time(_: &u32) {}

#[worker(topic = "orders", backoff = quadratic)]
async fn backs_off(_: &u32) {}

#[worker(topic = "orders", initial = 5)]
async fn without_a_unit(_: &u32) {}

#[worker(topic = "orders", initial = "5 days")]
async fn another_unit(_: &u32) {}

#[bus::consumer(topic = "orders")]
async fn without_a_group() {}

fn main() {}
