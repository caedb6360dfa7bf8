//! Request and reply over two topics: the inbox is there before the request, so that no reply can overtake it.

use crate::{
    Message, Scope, Start,
    conformance::{Failure, Lab, Proof, work::id_of},
};

const ROUNDS: usize = 20;

pub(crate) async fn an_inbox_sees_what_follows(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let backend = lab.backend().await?;
    for n in 0..ROUNDS {
        let partition = n as u32 % 4;
        let scope = Scope::Everyone {
            partitions: Some(vec![partition]),
        };
        let mut inbox = lab.open(&backend, topic.name(), scope, Start::Latest).await?;
        // At once: its positions were resolved before it was handed out.
        let message = Message::new(format!("m:{n}")).to_partition(partition);
        lab.store_one(&bus, topic.name(), message).await?;
        let records = inbox.records(1).await;
        let records = records.map_err(|f| f.context(format_args!("round {n}")))?;
        let seen: Vec<_> = records
            .iter()
            .map(|(_, r)| id_of(r.payload()).to_string())
            .collect();
        ensure_eq!(
            seen,
            [format!("m:{n}")],
            "what an inbox sees that was opened before"
        );
        inbox.close().await?;
    }
    Ok(())
}

pub(crate) async fn a_reply_never_overtakes_its_inbox(lab: &Lab) -> Proof {
    let (server, client) = (lab.bus().await?, lab.bus().await?);
    let requests = lab.topic(&server, "s", 4).await?;
    let replies = lab.topic(&server, "s.replies", 4).await?;
    let service = lab
        .join(lab.subscribe(&server, &requests, &lab.group("g")))
        .await?;
    let (control, to) = (service.control(), replies.name().to_owned());
    let answering = tokio::spawn(service.for_each(4, move |request| {
        let (server, to) = (server.clone(), to.clone());
        async move {
            let partition = request
                .headers()
                .text("reply-partition")
                .and_then(|p| p.parse().ok());
            let reply = Message::new(request.value().clone()).to_partition(partition.unwrap_or(0));
            // Sent at once, and settled only if that worked.
            if server.publish_message(&to, reply).await.is_ok() {
                request.ack();
            }
        }
    }));
    for n in 0..ROUNDS {
        let partition = n as u32 % 4;
        let observe = client
            .observe(&replies)
            .partitions([partition])
            .start(Start::Latest);
        let mut inbox = lab.join(observe).await?;
        let request = Message::new(format!("r:{n}")).header("reply-partition", partition.to_string());
        lab.store_one(&client, requests.name(), request).await?;
        let context = |f: Failure| f.context(format_args!("the reply to request {n}"));
        let reply = lab.next(&mut inbox).await.map_err(context)?;
        ensure_eq!(
            &*id_of(reply.payload()),
            format!("r:{n}"),
            "the first in the inbox"
        );
        reply.ack();
        lab.within("closing", inbox.close()).await??;
    }
    lab.within("draining", control.drain(lab.patience())).await??;
    Ok(lab.within("the end of the service", answering).await???)
}
