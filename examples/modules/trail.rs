//! A asks B, B passes it on to C, C responds to A: the audit trail says so, hop by hop.

use crate::GRACE;
use bus::{
    Bus,
    event::Audit,
    handler::{Failure, Reply, State},
    router::Router,
    service::{Handle, Service},
};
use std::{error::Error, time::Duration};

async fn pass_on(me: Handle, State(next): State<String>) -> Result<(), Failure> {
    me.send(&next, "test.next", &()).await?;
    Ok(())
}

async fn respond() -> Reply<&'static str> {
    Reply("done")
}

pub(crate) async fn run(bus: &Bus, [a, b, c]: [String; 3]) -> Result<(), Box<dyn Error>> {
    println!("== audit trail");
    let bus = bus.clone().audit_trail(Audit::new());
    let passing = Router::new("b")
        .route("test.start", pass_on)
        .with_state(c.clone())
        .build()?;
    let responding = Router::new("c").route("test.next", respond).build()?;
    let last = Service::new(c).router(responding).start(&bus).await?;
    let middle = Service::new(&*b).router(passing).start(&bus).await?;
    let first = Service::new(a).start(&bus).await?;

    let id = first.send(&b, "test.start", &()).await?;
    let reply = first.take(&id, Duration::from_secs(30)).await?;
    println!("{} has the reply {}", first.name(), reply.json::<String>()?);
    for hop in &*reply.trail() {
        let of = |time: Option<_>| if time.is_some() { "with" } else { "without" };
        println!(
            "{hop}, {} sent and {} received time",
            of(hop.sent),
            of(hop.received)
        );
    }
    // What came to the wrong one, or twice, would come a moment later.
    let moment = Duration::from_secs(1);
    let (again, wrong) = tokio::join!(first.poll(moment), middle.poll(moment));
    for (service, came) in [(&first, again), (&middle, wrong)] {
        let letters = usize::from(came.is_some()) + service.drain().len();
        let strays = service.stray_replies();
        let strays = strays.late + strays.duplicate;
        println!(
            "{} has {letters} letters and {strays} stray replies",
            service.name()
        );
    }
    for service in [first, middle, last] {
        service.stop(GRACE).await?;
    }
    Ok(())
}
