//! What a production broker is reached with. Settings print without their secrets.

use bus::{
    Settings,
    settings::{Compression, Mechanism, Protocol},
};
use std::time::Duration;

pub(crate) fn show() -> bus::Result<()> {
    println!("== settings");
    let settings = Settings::new()
        .brokers(["b1.example.com:9093", "b2.example.com:9093"])
        .security_protocol(Protocol::SaslSsl)
        .sasl(Mechanism::ScramSha256, "platform", "a-secret-that-nobody-sees")
        .compression(Compression::Lz4)
        .linger(Duration::from_millis(5))
        .max_batch_size(32_768);
    settings.check()?;
    println!("{settings}");
    Ok(())
}
