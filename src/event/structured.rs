//! The structured mode of CloudEvents, read as the binary one.

use super::header;
use base64::{Engine, engine::general_purpose::STANDARD};
use bus_core::{BatchBuilder, Bytes, Error, ErrorKind, Headers, Record, Result};
use serde_json::{Value, value::RawValue};
use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

const STRUCTURED: &str = "application/cloudevents+json";

/// The record as the binary mode has it: attributes as headers, the data as the payload. `None` for a record
/// that is not structured, and stays as it is. Position, timestamp, key and other headers are kept.
/// # Errors
/// `Undecodable`: the content type says that it is a structured event, and the payload is none.
pub fn binary(record: &Record) -> Result<Option<Record>> {
    let is_structured = |media: &str| {
        let name = media.split(';').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case(STRUCTURED)
    };
    if !record
        .headers()
        .text(header::CONTENT_TYPE)
        .is_some_and(is_structured)
    {
        return Ok(None);
    }
    let wrong = |what: String| {
        Error::new(
            ErrorKind::Undecodable,
            format!("not a structured CloudEvent: {what}"),
        )
    };
    let body = record.payload().unwrap_or_default();
    let mut fields: BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_slice(body).map_err(|e| wrong(e.to_string()))?;
    let (data, base64) = (fields.remove("data"), fields.remove("data_base64"));
    let mut headers = others(record);
    let mut media = None;
    for (name, value) in fields {
        let value = match serde_json::from_str(value.get()).map_err(|e| wrong(e.to_string()))? {
            Value::Null => continue,
            Value::String(text) => text,
            value @ (Value::Bool(_) | Value::Number(_)) => value.to_string(),
            _ => {
                return Err(wrong(format!(
                    "attribute `{name}` is neither text, number nor truth value"
                )));
            }
        };
        if name == "datacontenttype" {
            media = Some(value);
        } else {
            headers.set(format!("ce_{name}"), value);
        }
    }
    for name in ["specversion", "id", "type", "source"] {
        if !headers.contains(&format!("ce_{name}")) {
            return Err(wrong(format!("attribute `{name}` is missing")));
        }
    }
    let media = media.unwrap_or_else(|| "application/json".to_owned());
    let payload = payload(data, base64, &media).map_err(wrong)?;
    headers.set(header::CONTENT_TYPE, media);
    Ok(Some(rebuilt(record, payload.as_deref(), &headers)))
}

/// The headers that are no attributes.
fn others(record: &Record) -> Headers {
    let is_attribute = |name: &[u8]| name.starts_with(b"ce_") || name == header::CONTENT_TYPE.as_bytes();
    record
        .headers()
        .iter()
        .filter(|(name, _)| !is_attribute(name))
        .map(|(name, value)| (Bytes::copy_from_slice(name), value.map(Bytes::copy_from_slice)))
        .collect()
}

/// Data in JSON is the payload byte by byte; a string of another media type is text.
fn payload(
    data: Option<&RawValue>,
    base64: Option<&RawValue>,
    media: &str,
) -> Result<Option<Vec<u8>>, String> {
    if let Some(base64) = base64 {
        let text: String = serde_json::from_str(base64.get()).map_err(|e| format!("data_base64: {e}"))?;
        return STANDARD
            .decode(text)
            .map(Some)
            .map_err(|e| format!("data_base64: {e}"));
    }
    let Some(data) = data else {
        return Ok(None);
    };
    let name = media
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if !(name.ends_with("/json") || name.ends_with("+json"))
        && let Ok(text) = serde_json::from_str::<String>(data.get())
    {
        return Ok(Some(text.into_bytes()));
    }
    Ok(Some(data.get().as_bytes().to_vec()))
}

/// The same record with another payload and other headers.
fn rebuilt(record: &Record, payload: Option<&[u8]>, headers: &Headers) -> Record {
    let mut batch = BatchBuilder::default();
    batch.push(
        record.position(),
        record.timestamp(),
        record.key(),
        payload,
        headers.iter(),
    );
    Record::new(Arc::new(batch.finish()), 0)
}
