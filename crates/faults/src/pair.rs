//! A Redis with its replica, and the proxies before and between them.

use crate::{
    server::{Server, blocking},
    test::{On, Test},
};
use bus_brokers::{RedisOptions, RedisPair};
use bus_core::conformance::Failure;
use bus_proxy::{Protocol, Proxy};
use std::sync::Arc;

/// A primary and a replica. Actors go through the server's own proxy, or through `side`; whoever observes through
/// `watch`, which no fault touches.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) redis: RedisPair,
    /// From the replica to the primary: what it holds back is the replica's lag.
    pub(crate) link: Arc<Proxy>,
    pub(crate) side: Proxy,
    pub(crate) watch: Proxy,
}

impl Server {
    /// A primary and a replica with these options.
    pub(crate) async fn pair(test: &Test, options: RedisOptions) -> Result<Self, Failure> {
        let proxy = async || {
            let proxy = Proxy::builder(Protocol::Redis).seed(test.seed).start().await;
            proxy.map_err(Failure::new)
        };
        let (main, side, watch, link) = (
            proxy().await?,
            proxy().await?,
            proxy().await?,
            Arc::new(proxy().await?),
        );
        let between = link.clone();
        let redis = blocking(move || {
            RedisPair::start_behind(options, |first| {
                between.set_upstream(first.to_string());
                between.address().parse().map_err(std::io::Error::other)
            })
        });
        let redis = redis.await?;
        for proxy in [&main, &side, &watch] {
            proxy.set_upstream(redis.first.socket().to_string());
        }
        Ok(Self {
            pair: Some(Pair {
                redis,
                link,
                side,
                watch,
            }),
            proxy: Some(main),
            ..Self::nothing(On::Redis)
        })
    }

    /// Both servers and what lies between.
    /// # Errors
    /// When there is only one.
    pub(crate) fn both(&self) -> Result<&Pair, Failure> {
        self.pair
            .as_ref()
            .ok_or_else(|| Failure::new("this server has no replica"))
    }
}

impl Pair {
    /// Leads whoever comes through these proxies to the second server, and cuts their connections to the first.
    pub(crate) fn lead_to_second(&self, proxies: &[&Proxy]) {
        for proxy in proxies {
            proxy.set_upstream(self.redis.second.socket().to_string());
            proxy.reset();
        }
    }
}
