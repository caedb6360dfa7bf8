use super::*;
use bus_core::Record;
use std::sync::Arc;

const KEYS: [&str; 3] = ["a", "b", "c"];

fn bulk_of(out: &mut Vec<u8>, word: &[u8]) {
    crate::wire::encode::bulk(out, word);
}

/// Two streams, the second with a foreign entry of many fields and one that fills an arena alone.
fn reply() -> Vec<u8> {
    let mut out = b"*2\r\n*2\r\n$1\r\na\r\n*2\r\n".to_vec();
    for seq in ["5-1", "5-2"] {
        out.extend_from_slice(b"*2\r\n");
        bulk_of(&mut out, seq.as_bytes());
        out.extend_from_slice(b"*4\r\n");
        for word in [&b"key"[..], b"k", b"data", b"payload\r\n"] {
            bulk_of(&mut out, word);
        }
    }
    out.extend_from_slice(b"*2\r\n$1\r\nc\r\n*2\r\n*2\r\n$3\r\n6-0\r\n*24\r\n");
    for _ in 0..24 {
        bulk_of(&mut out, b"f");
    }
    out.extend_from_slice(b"*2\r\n$3\r\n7-0\r\n*2\r\n");
    bulk_of(&mut out, b"data");
    bulk_of(&mut out, &vec![7; Batch::ARENA + 1]);
    out
}

fn read(decoder: &mut Decoder, input: &[u8]) -> (usize, Vec<(usize, Batch, u128)>, bool) {
    let (mut used, mut batches) = (0, Vec::new());
    loop {
        let (n, step) = decoder.step(&input[used..], &KEYS).unwrap();
        used += n;
        match step {
            Step::Wait => return (used, batches, false),
            Step::End => return (used, batches, true),
            Step::Batch(stream, batch, last) => batches.push((stream, batch, last)),
            Step::Refused(text) => panic!("{text}"),
        }
    }
}

#[test]
fn a_reply_comes_out_as_batches_an_arena_each() {
    let reply = reply();
    let (used, batches, end) = read(&mut Decoder::default(), &reply);
    assert!(end && used == reply.len());
    let found: Vec<_> = batches
        .iter()
        .map(|(s, b, last)| (*s, b.records().len(), *last))
        .collect();
    assert_eq!(found, [(0, 2, (5 << 64) | 2), (2, 1, 6 << 64), (2, 1, 7 << 64)]);
    let record = Record::new(Arc::new(batches.into_iter().next().unwrap().1), 1);
    assert_eq!(
        (record.key(), record.payload()),
        (Some(&b"k"[..]), Some(&b"payload\r\n"[..]))
    );
}

#[test]
fn any_cut_gives_the_same_records() {
    let reply = reply();
    let step = (reply.len() / 997).max(1);
    for cut in (0..1000).chain((1000..reply.len()).step_by(step)) {
        let mut decoder = Decoder::default();
        let (used, first, end) = read(&mut decoder, &reply[..cut]);
        assert!(!end);
        let (_, second, end) = read(&mut decoder, &reply[used..]);
        assert!(end, "cut at {cut}");
        let records: usize = first
            .iter()
            .chain(&second)
            .map(|(_, b, _)| b.records().len())
            .sum();
        assert_eq!(records, 4, "cut at {cut}");
    }
}

#[test]
fn nothing_new_and_errors_end_a_reply() {
    let (used, batches, end) = read(&mut Decoder::default(), b"*-1\r\n");
    assert!(end && used == 5 && batches.is_empty());
    let (_, step) = Decoder::default().step(b"-LOADING x\r\n", &KEYS).unwrap();
    assert!(matches!(step, Step::Refused(text) if text == "LOADING x"));
}

#[test]
fn random_bytes_never_panic() {
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let good = reply();
    for _ in 0..20_000 {
        let mut bytes = good[..200 + (next() % 100) as usize].to_vec();
        for _ in 0..1 + next() % 4 {
            let at = (next() % bytes.len() as u64) as usize;
            bytes[at] = next() as u8;
        }
        let mut decoder = Decoder::default();
        let mut used = 0;
        while let Ok((n, step)) = decoder.step(&bytes[used..], &KEYS) {
            used += n;
            if !matches!(step, Step::Batch(..)) {
                break;
            }
        }
    }
}
