//! JSON without the spaces between its tokens. Everything else stays as it was written: the order of fields, the
//! digits of numbers, the escapes of strings.

use bus::Bytes;

/// The compact form of a valid JSON text that lies in `arena`; no copy where it is compact already.
pub(crate) fn compact(arena: &Bytes, json: &str) -> Bytes {
    // A text without any space is the common case, and the search for one byte is fast in every build.
    if ![' ', '\t', '\n', '\r']
        .into_iter()
        .any(|space| json.contains(space))
    {
        return arena.slice_ref(json.as_bytes());
    }
    let mut out = Vec::with_capacity(json.len());
    let mut rest = json.as_bytes();
    // Split at quotes: outside of a string spaces go, inside nothing does.
    while let Some(quote) = rest.iter().position(|b| *b == b'"') {
        let (outside, string) = rest.split_at(quote);
        push(&mut out, outside);
        let (string, after) = string.split_at(string_length(string));
        out.extend_from_slice(string);
        rest = after;
    }
    push(&mut out, rest);
    if out.len() == json.len() {
        return arena.slice_ref(json.as_bytes());
    }
    out.into()
}

fn push(out: &mut Vec<u8>, outside: &[u8]) {
    out.extend(
        outside
            .iter()
            .filter(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r')),
    );
}

/// The length of the string that begins with this quote, both quotes included.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_spaces_between_tokens_go() {
        let compacted = |text: &str| {
            let arena = Bytes::copy_from_slice(text.as_bytes());
            let json = std::str::from_utf8(&arena).unwrap();
            String::from_utf8(compact(&arena, json).to_vec()).unwrap()
        };
        assert_eq!(
            compacted(r#"{ "b" : 1.50, "a b" : [ "x  y", "\" {" , "\\" ] }"#),
            r#"{"b":1.50,"a b":["x  y","\" {","\\"]}"#
        );
        assert_eq!(compacted(r#"{"a":"x y"}"#), r#"{"a":"x y"}"#);
        assert_eq!(compacted("1e400"), "1e400");
        assert_eq!(compacted("{\n\t\"é\": null\r\n}"), "{\"é\":null}");
    }

    #[test]
    fn what_is_compact_is_not_copied() {
        let arena = Bytes::from_static(br#"{"a":"x y"}"#);
        let json = std::str::from_utf8(&arena).unwrap();
        assert_eq!(compact(&arena, json).as_ptr(), arena.as_ptr());
    }
}
