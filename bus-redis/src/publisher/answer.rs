//! What the server answers to a pack, read in place: ids, and nothing allocated for the lines around them.

use super::lane::Form;
use crate::{
    id,
    wire::value::{Malformed, bulk, integer, line},
};

/// Reads one answer, piece by piece.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Lines before the array: to `MULTI`, and one for each command that was queued.
    lines: usize,
    /// The next element is the marker that was there before.
    marker: bool,
    elements: Option<usize>,
    answer: Answer,
}

/// What the server said to one pack.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The first error, of whatever line.
    pub(crate) error: Option<String>,
    /// The first element, where it is text: `OK`, `DUP`, `GAP`, `MISSING`.
    pub(crate) status: Option<String>,
    /// The marker that was there before: of a transaction, and at a gap.
    pub(crate) number: Option<i64>,
    /// Where the entries are.
    pub(crate) positions: Vec<u128>,
    /// Entries that were refused because there is no stream.
    pub(crate) missing: usize,
}

impl Reading {
    /// The answer to a pack of so many messages.
    pub(crate) fn new(form: Form, messages: usize) -> Self {
        let lines = match form {
            Form::Transaction => messages + 2,
            Form::Script => 0,
        };
        let answer = Answer {
            positions: Vec::with_capacity(messages),
            ..Answer::default()
        };
        Self {
            lines,
            marker: form == Form::Transaction,
            elements: None,
            answer,
        }
    }

    /// Goes on with `input`; how many bytes are used up, and the answer when it is complete.
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<(usize, Option<Answer>), Malformed> {
        let mut used = 0;
        loop {
            let mut at = used;
            if self.elements == Some(0) {
                return Ok((used, Some(std::mem::take(&mut self.answer))));
            }
            let Some((kind, rest)) = line(input, &mut at)? else {
                return Ok((used, None));
            };
            if self.lines > 0 {
                match kind {
                    b'+' => {}
                    b'-' => self.fail(rest),
                    _ => return Err(Malformed),
                }
                self.lines -= 1;
                used = at;
                continue;
            }
            match (self.elements, kind) {
                (None, b'-') => {
                    self.fail(rest);
                    self.elements = Some(0);
                }
                (None, b'*') => self.elements = Some(usize::try_from(integer(rest)?).map_err(|_| Malformed)?),
                (None, _) => return Err(Malformed),
                (Some(left), kind) => {
                    match kind {
                        b'$' if self.marker && rest == b"-1" => self.marker(0),
                        b'-' => {
                            // In the marker's place too: the next element is an entry's.
                            self.marker = false;
                            self.fail(rest);
                        }
                        b'+' => self.text(rest),
                        b':' => self.answer.number = Some(integer(rest)?),
                        b'$' if rest == b"-1" => self.answer.missing += 1,
                        b'$' => {
                            let length = usize::try_from(integer(rest)?).map_err(|_| Malformed)?;
                            match bulk(input, &mut at, length)? {
                                Some(word) if self.marker => self.marker(integer(word)?),
                                Some(word) => self.word(word),
                                None => return Ok((used, None)),
                            }
                        }
                        _ => return Err(Malformed),
                    }
                    self.elements = Some(left - 1);
                }
            }
            used = at;
        }
    }

    fn marker(&mut self, marker: i64) {
        self.marker = false;
        self.answer.number = Some(marker);
        self.answer.status = Some("OK".into());
    }
    fn word(&mut self, word: &[u8]) {
        match id::position(word) {
            Some(position) => self.answer.positions.push(position),
            None => self.text(word),
        }
    }
    fn text(&mut self, text: &[u8]) {
        self.answer
            .status
            .get_or_insert_with(|| String::from_utf8_lossy(text).into_owned());
    }
    fn fail(&mut self, text: &[u8]) {
        // `EXECABORT` only repeats that something before it was refused.
        self.answer
            .error
            .get_or_insert_with(|| String::from_utf8_lossy(text).into_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: Form, messages: usize, reply: &[u8]) -> Answer {
        let whole = Reading::new(form, messages).step(reply).unwrap();
        assert_eq!(whole.0, reply.len());
        for cut in 0..reply.len() {
            let mut reading = Reading::new(form, messages);
            let (used, none) = reading.step(&reply[..cut]).unwrap();
            assert_eq!(none, None, "cut at {cut}");
            assert_eq!(reading.step(&reply[used..]).unwrap().1, whole.1, "cut at {cut}");
        }
        whole.1.unwrap()
    }

    #[test]
    fn a_transaction_brings_ids_and_the_marker_before() {
        for (before, marker) in [("$-1\r\n", 0), ("$2\r\n17\r\n", 17)] {
            let reply = format!("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n{before}$3\r\n5-1\r\n$-1\r\n");
            let answer = read(Form::Transaction, 2, reply.as_bytes());
            assert_eq!(
                (answer.positions, answer.missing, answer.error),
                (vec![(5 << 64) | 1], 1, None)
            );
            assert_eq!(
                (answer.status.as_deref(), answer.number),
                (Some("OK"), Some(marker))
            );
        }
    }

    #[test]
    fn a_refused_transaction_brings_the_first_reason() {
        let reply = b"+OK\r\n-OOM full\r\n-OOM full\r\n-EXECABORT x\r\n";
        let answer = read(Form::Transaction, 1, reply);
        assert_eq!(answer.error.as_deref(), Some("OOM full"));
        assert!(answer.positions.is_empty());
    }

    #[test]
    fn an_error_in_the_markers_place_is_no_malformed_answer() {
        let reply = b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n-WRONGTYPE x\r\n$3\r\n5-1\r\n";
        let answer = read(Form::Transaction, 1, reply);
        assert_eq!(answer.error.as_deref(), Some("WRONGTYPE x"));
        assert_eq!((answer.positions, answer.number), (vec![(5 << 64) | 1], None));
    }

    #[test]
    fn a_script_says_what_it_found() {
        let answer = read(Form::Script, 1, b"*2\r\n$3\r\nGAP\r\n:7\r\n");
        assert_eq!((answer.status.as_deref(), answer.number), (Some("GAP"), Some(7)));
        let answer = read(Form::Script, 2, b"*3\r\n$2\r\nOK\r\n$3\r\n5-1\r\n$3\r\n5-2\r\n");
        assert_eq!(
            (answer.status.as_deref(), answer.positions.len()),
            (Some("OK"), 2)
        );
        let answer = read(Form::Script, 2, b"-NOSCRIPT x\r\n");
        assert_eq!(answer.error.as_deref(), Some("NOSCRIPT x"));
    }
}
