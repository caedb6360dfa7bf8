//! The test that docs/testing.md shows, word for word.

use bus::{
    Bus, Result, Topic,
    handler::{Failure, Payload, State, consumer_with},
    testing,
};

// From here on it is what the guide shows.
static ORDERS: Topic<u32> = Topic::new("orders").partitions(4);
static INVOICES: Topic<String> = Topic::new("invoices");

/// What is tested: every order becomes an invoice.
async fn bill(State(bus): State<Bus>, Payload(quantity): Payload<u32>) -> Result<(), Failure> {
    if quantity == 0 {
        return Err(Failure::permanent("an order of nothing"));
    }
    bus.publish(&INVOICES, &format!("{quantity} × bread")).await?;
    Ok(())
}

#[tokio::test]
async fn every_order_becomes_an_invoice() -> Result<()> {
    let bus = testing::bus().await?; // memory, or the broker of BUS_TEST_URL
    bus.ensure_topics([ORDERS.spec(), INVOICES.spec()]).await?;
    let billing = consumer_with(&ORDERS, "billing", bill, bus.clone())
        .start(&bus)
        .await?;

    testing::settle(&bus)
        .after(bus.publish(&ORDERS, &2).key("ada"))
        .await?;
    let invoices = testing::published(&bus, &INVOICES).await?;
    assert_eq!((invoices.len(), invoices[0].as_str()), (1, "2 × bread"));

    // What a handler fails with is an error of the test, unless it is what the test is about.
    let error = testing::settle(&bus).after(bus.publish(&ORDERS, &0)).await;
    assert!(error.unwrap_err().to_string().contains("an order of nothing"));
    let dead = testing::published(&bus, "orders.billing.dlq").await?;
    assert_eq!((dead.len(), &dead[0][..]), (1, &b"0"[..]));
    billing.drain(std::time::Duration::from_secs(5)).await
}
