use bus::handler::State;
use bus::router::Router;

async fn bill(State(price): State<u32>) {
    println!("{price}");
}

fn main() {
    let _ = Router::new("shop").route("order.placed", bill).build();
}
