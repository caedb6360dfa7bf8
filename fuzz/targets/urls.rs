//! URLs and options of the backends: a configuration or an error, and no secret in either.
#![no_main]

use bus::backend::{KafkaConfig, RedisConfig};
use libfuzzer_sys::fuzz_target;

const SCHEMES: [&str; 6] = [
    "kafka",
    "redis",
    "rediss",
    "redis-sentinel",
    "redis-cluster",
    "memory",
];
const SECRET: &str = "c4n4ry-0f-4-p455w0rd";

fuzz_target!(|rest: &str| {
    for scheme in SCHEMES {
        for url in [
            format!("{scheme}://{rest}"),
            format!("{scheme}://u:{SECRET}@h:1/{rest}"),
        ] {
            let kafka = format!("{:?}", KafkaConfig::from_url(&url));
            let redis = format!("{:?}", RedisConfig::from_url(&url));
            let hidden = rest.contains(SECRET) || !(kafka.contains(SECRET) || redis.contains(SECRET));
            assert!(hidden, "{kafka} {redis}");
        }
    }
});
