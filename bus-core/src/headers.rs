//! Headers: an ordered list of names (bytes) and nullable values (bytes); duplicates are kept.

use bytes::{BufMut, Bytes};

/// The length that stands for a null value in the encoded form.
const NULL: u32 = u32::MAX;

/// Headers of a message, in order, duplicates and null values included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Bytes, Option<Bytes>)>);

impl Headers {
    /// No headers; allocates nothing.
    pub const fn new() -> Self {
        Self(Vec::new())
    }
    /// Adds one at the end; an equal name before it stays.
    pub fn push(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.0.push((name.into(), Some(value.into())));
    }
    /// Adds one with a null value, which is not the same as an empty one.
    pub fn push_null(&mut self, name: impl Into<Bytes>) {
        self.0.push((name.into(), None));
    }
    /// Removes every header of that name, then adds this one at the end.
    pub fn set(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        let name = name.into();
        self.0.retain(|(n, _)| *n != name);
        self.0.push((name, Some(value.into())));
    }
    pub(crate) fn append(&mut self, more: Headers) {
        self.0.extend(more.0);
    }
    /// Removes every header of that name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| *n != name.as_bytes());
    }
    /// Whether there is one of that name, be it null.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| *n == name.as_bytes())
    }
    /// The last value of that name; `None` where there is none or it is null.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .rev()
            .find(|(n, _)| *n == name.as_bytes())
            .and_then(|(_, v)| v)
    }
    /// Names and values, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], Option<&[u8]>)> {
        self.0.iter().map(|(n, v)| (&n[..], v.as_deref()))
    }
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Bytes of names and values.
    pub fn size(&self) -> usize {
        self.0
            .iter()
            .map(|(n, v)| n.len() + v.as_ref().map_or(0, |v| v.len()))
            .sum()
    }
    /// Appends the encoded form: a count, then each name and value behind its length, all `u32` little-endian.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode(self.iter(), out);
    }
}

impl FromIterator<(Bytes, Option<Bytes>)> for Headers {
    fn from_iter<I: IntoIterator<Item = (Bytes, Option<Bytes>)>>(headers: I) -> Self {
        Self(headers.into_iter().collect())
    }
}

/// Appends headers in the encoded form of [`Headers::encode`].
pub fn encode<'a>(headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>, out: &mut Vec<u8>) {
    let at = out.len();
    let mut count = 0u32;
    out.put_u32_le(0);
    for (name, value) in headers {
        count += 1;
        out.put_u32_le(name.len() as u32);
        out.put_slice(name);
        out.put_u32_le(value.map_or(NULL, |v| v.len() as u32));
        out.put_slice(value.unwrap_or_default());
    }
    out[at..at + 4].copy_from_slice(&count.to_le_bytes());
}

/// Headers in their encoded form, read in place. Truncated or foreign bytes end the iteration; they never panic.
#[derive(Clone, Copy, Debug)]
pub struct HeadersView<'a>(&'a [u8]);

impl<'a> HeadersView<'a> {
    /// Reads what [`Headers::encode`] wrote; an empty slice is no headers.
    pub fn new(encoded: &'a [u8]) -> Self {
        Self(encoded)
    }
    /// Whether `encoded` is exactly one well-formed block.
    pub fn is_well_formed(self) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let mut iter = self.iter();
        let count = iter.left;
        count as usize == iter.by_ref().count() && iter.rest.is_empty()
    }
    /// Names and values, in order.
    pub fn iter(self) -> HeadersIter<'a> {
        let mut rest = self.0;
        let left = take_u32(&mut rest).unwrap_or(0);
        HeadersIter { rest, left }
    }
    /// The last value of that name; `None` where there is none or it is null.
    pub fn get(self, name: &str) -> Option<&'a [u8]> {
        self.iter()
            .filter(|(n, _)| *n == name.as_bytes())
            .last()
            .and_then(|(_, v)| v)
    }
    /// The last value of that name as text.
    pub fn text(self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(|v| std::str::from_utf8(v).ok())
    }
    /// An owned copy.
    pub fn to_owned(self) -> Headers {
        self.iter()
            .map(|(n, v)| (Bytes::copy_from_slice(n), v.map(Bytes::copy_from_slice)))
            .collect()
    }
}

/// The iterator of [`HeadersView::iter`].
#[derive(Clone, Debug)]
pub struct HeadersIter<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Iterator for HeadersIter<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let length = take_u32(&mut self.rest)?;
        let name = take(&mut self.rest, length)?;
        let value = match take_u32(&mut self.rest)? {
            NULL => None,
            length => Some(take(&mut self.rest, length)?),
        };
        Some((name, value))
    }
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_le_bytes(*head))
}

fn take<'a>(rest: &mut &'a [u8], length: u32) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length as usize)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_duplicates_null_and_empty_survive() {
        let mut headers = Headers::new();
        headers.push("a", "1");
        headers.push(&b"\xff\x00"[..], &b""[..]);
        headers.push_null("a");
        let mut bytes = Vec::new();
        headers.encode(&mut bytes);
        let view = HeadersView::new(&bytes);
        assert!(view.is_well_formed());
        assert_eq!(view.to_owned(), headers);
        assert_eq!(view.get("a"), None, "the last one is null");
        assert_eq!(headers.get("a"), None);
    }

    #[test]
    fn every_truncation_ends_without_panic() {
        let mut headers = Headers::new();
        headers.push("name", "value");
        headers.push("second", "x");
        let mut bytes = Vec::new();
        headers.encode(&mut bytes);
        for cut in 1..bytes.len() {
            let view = HeadersView::new(&bytes[..cut]);
            assert!(!view.is_well_formed(), "cut at {cut}");
            assert!(view.iter().count() < 2);
        }
        assert_eq!(HeadersView::new(&[0xff; 64]).iter().count(), 0);
    }
}
