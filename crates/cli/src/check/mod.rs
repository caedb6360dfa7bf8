//! `bus check`.

mod judge;

use crate::{
    args::Global,
    failure::{Done, Status},
    output::{Output, coloured, text},
    secret,
    session::Session,
};
use bus::ErrorKind;
use clap::builder::styling::AnsiColor;
use judge::{Facts, Finding, Verdict};
use std::time::{Instant, SystemTime};

pub(crate) async fn run(global: &Global) -> Done {
    let begin = Instant::now();
    let out = Output::new(global.json);
    let session = match Session::open(global).await {
        Ok(session) => session,
        // Wrong usage is no finding.
        Err(failure) if failure.kind().is_none() || failure.kind() == Some(ErrorKind::Invalid) => {
            return Err(failure);
        }
        Err(failure) => {
            let why = failure.to_string();
            let why = secret::hide(why.trim_start_matches("error: "));
            tell(out, &Finding::new("connection", Verdict::Wrong, why))?;
            return Ok(Status::Failed);
        }
    };
    let admin = session.admin();
    let facts = session.ask(|| admin.facts()).await?;
    let took = begin.elapsed().as_millis();
    let facts = Facts {
        facts: &facts,
        now: SystemTime::now(),
    };
    let answered = format!("{} answered within {took} ms", session.address());
    let mut findings = vec![Finding::new("connection", Verdict::Ok, answered)];
    findings.extend(facts.facts.iter().map(|(name, value)| facts.judge(name, value)));
    // The worst first; the sort keeps the order within.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.status));
    for finding in &findings {
        tell(out, finding)?;
    }
    session.close().await;
    let wrong = findings.iter().any(|finding| finding.status == Verdict::Wrong);
    Ok(if wrong { Status::Failed } else { Status::Done })
}

fn tell(out: Output, finding: &Finding) -> Done<()> {
    if out.is_json() {
        out.line(finding)
    } else {
        text(&person(finding))
    }
}

fn person(finding: &Finding) -> String {
    let (word, colour) = match finding.status {
        Verdict::Ok => ("ok", AnsiColor::Green),
        Verdict::Warning => ("warning", AnsiColor::Yellow),
        Verdict::Wrong => ("wrong", AnsiColor::Red),
        Verdict::Info => ("", AnsiColor::BrightBlack),
    };
    let advice = finding
        .advice
        .map(|advice| format!("\n         {advice}"))
        .unwrap_or_default();
    format!(
        "{} {}: {}{advice}\n",
        coloured(&format!("{word:8}"), colour),
        finding.check,
        finding.value
    )
}
