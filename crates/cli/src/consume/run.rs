//! From the first message to the last: collect what is there, write it, flush, and only then acknowledge.

use super::{
    args::Args,
    begin::{Messages, UNSETTLED},
    idle::Idle,
    page::Page,
    render,
};
use crate::{
    failure::{Done, Failure, Status},
    session::Session,
    stop::Stop,
};
use bus::{Bytes, Delivery};
use futures_util::FutureExt;
use std::{fs::File, io, time::Duration};

/// Bytes that are collected before they are written.
const PAGE: usize = 64 * 1024;
/// How long storing what was printed may take at the end.
const GRACE: Duration = Duration::from_secs(10);

/// What one run needs.
pub(super) struct Run<'a> {
    session: &'a Session,
    args: &'a Args,
    out: File,
    printed: u64,
    /// What `--no-ack` holds back until the end, and what could not be written.
    held: Vec<Delivery<Bytes>>,
    /// What ended the subscription while a page was collected: said after that page was written.
    failed: Option<bus::Error>,
}

enum Next {
    Delivery(Delivery<Bytes>),
    /// Somebody asked to stop, or nobody reads any more.
    Stop,
    Idle,
    End,
}

impl<'a> Run<'a> {
    pub(super) fn new(session: &'a Session, args: &'a Args) -> Done<Self> {
        let out = stdout().map_err(Failure::from)?;
        Ok(Self {
            session,
            args,
            out,
            printed: 0,
            held: Vec::new(),
            failed: None,
        })
    }

    /// Prints until there is a reason to end; what was printed is stored then.
    pub(super) async fn until_the_end(mut self, mut messages: Messages, mut stop: Stop) -> Done {
        let mut idle = Idle::new(
            self.session,
            self.args.idle,
            self.args.group.as_deref(),
            &self.args.topics,
        );
        let mut broken = None;
        let next = loop {
            if self.left() == 0 {
                break Next::End;
            }
            let first = match self.next(&mut messages, &mut stop, &mut idle).await? {
                Next::Delivery(first) => first,
                other => break other,
            };
            let page = self.collect(first, &mut messages)?;
            if let Err(error) = self.write(page).await? {
                broken = Some(error);
                break Next::Stop;
            }
            if let Some(error) = self.failed.take() {
                return Err(self.session.failure(error));
            }
            idle.over();
        };
        // What is held or was not written is let go after the drain: not acknowledged, and not counted as a failed try.
        let grace = if self.held.is_empty() {
            GRACE
        } else {
            Duration::ZERO
        };
        messages
            .drain(grace)
            .await
            .map_err(|error| self.session.failure(error))?;
        match (broken, next) {
            (Some(error), _) => Err(error.into()),
            (None, Next::Stop) => Ok(Status::Done),
            (None, Next::Idle) if self.printed == 0 || self.args.count.is_some() => Ok(Status::NothingCame),
            _ => Ok(Status::Done),
        }
    }

    /// How many messages may still be printed.
    fn left(&self) -> u64 {
        let most = self.args.count.unwrap_or(u64::MAX);
        let most = if self.args.keeps() {
            most.min(UNSETTLED as u64)
        } else {
            most
        };
        most - self.printed
    }

    async fn next(&self, messages: &mut Messages, stop: &mut Stop, idle: &mut Idle<'_>) -> Done<Next> {
        let next = tokio::select! {
            biased;
            () = stop.asked() => return Ok(Next::Stop),
            next = messages.next() => next,
            () = idle.passed() => return Ok(Next::Idle),
        };
        match next {
            Some(delivery) => Ok(Next::Delivery(
                delivery.map_err(|error| self.session.failure(error))?,
            )),
            None => Ok(Next::End),
        }
    }

    /// The first and what is there without waiting.
    fn collect(&mut self, first: Delivery<Bytes>, messages: &mut Messages) -> Done<Page> {
        let mut page = Page::default();
        let mut next = Some(first);
        while let Some(delivery) = next.take() {
            let form = self.session.form();
            let rendered = if self.session.out.is_json() {
                render::json(&delivery, form, &mut page.lines)
            } else {
                render::plain(&delivery, form, &mut page.lines)
            };
            rendered.map_err(Failure::from)?;
            page.push(delivery);
            if page.lines.len() < PAGE && (page.deliveries.len() as u64) < self.left() {
                match messages.next().now_or_never().flatten() {
                    Some(Ok(delivery)) => next = Some(delivery),
                    Some(Err(error)) => self.failed = Some(error),
                    None => {}
                }
            }
        }
        Ok(page)
    }

    /// Writes, flushes, acknowledges. A reader that is slow or stuck holds up nothing but this.
    async fn write(&mut self, page: Page) -> Done<Result<(), io::Error>> {
        let mut out = self.out.try_clone().map_err(Failure::from)?;
        let writing = tokio::task::spawn_blocking(move || {
            let (written, result) = page.write(&mut out);
            (page, written, result)
        });
        let (mut page, written, result) = writing.await.map_err(|e| Failure::new(e.to_string()))?;
        self.printed += written as u64;
        self.held.extend(page.deliveries.split_off(written));
        if self.args.keeps() {
            self.held.append(&mut page.deliveries);
        }
        page.deliveries.into_iter().for_each(Delivery::ack);
        Ok(result)
    }
}

/// Standard output without a buffer in between, so that a write is a write.
#[cfg(unix)]
fn stdout() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

#[cfg(windows)]
fn stdout() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}
