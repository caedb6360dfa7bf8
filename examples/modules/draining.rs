//! A service that collects what came, and works on all of it when it has the time.

use crate::GRACE;
use bus::{Bus, event::EventExt, handler::Payload, router::Router, service::Service};
use std::{collections::BTreeMap, error::Error};

async fn file(Payload(page): Payload<u32>) {
    println!("page {page} is filed");
}

pub(crate) async fn run(bus: &Bus, archive: &str) -> Result<(), Box<dyn Error>> {
    println!("== drain");
    let routes = Router::new("archive").route("file", file).build()?;
    let service = Service::new(archive).router(routes).by_hand().start(bus).await?;
    for page in 1..=3 {
        bus.publish(archive, &page)
            .event("file")
            .correlation_id(format!("page-{page}"))
            .await?;
    }
    let mut letters = BTreeMap::new();
    while letters.len() < 3 {
        // Waits for one, and takes all that came with it.
        let first = service.receive().await;
        letters.insert(first.id().to_owned(), first);
        letters.append(&mut service.drain());
    }
    println!("{} entries", letters.len());
    for (id, letter) in letters {
        let response = service.dispatch(letter).await?;
        println!("{id}: {:?}", response.verdict);
    }
    println!("again: {} entries", service.drain().len());
    Ok(service.stop(GRACE).await?)
}
