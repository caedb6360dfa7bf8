use bus::handler::is_extractor;

struct Order;

fn main() {
    is_extractor::<Order, ()>();
}
