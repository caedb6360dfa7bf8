//! What is written at once: whole lines only, so that several processes may append to one file.

use bus::{Bytes, Delivery};
use std::io::{self, Write};

/// Bytes that one write takes at most, but for a longer line, which goes alone: what POSIX promises not to tear apart
/// in a pipe (`PIPE_BUF` on Linux), and little enough that a process which is killed has written it or has not.
const WRITE: usize = 4_096;

/// Deliveries and their lines.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) deliveries: Vec<Delivery<Bytes>>,
    pub(super) lines: Vec<u8>,
    /// Where the line of each ends.
    ends: Vec<usize>,
}

impl Page {
    /// Adds a delivery whose line was just appended to `lines`.
    pub(super) fn push(&mut self, delivery: Delivery<Bytes>) {
        self.deliveries.push(delivery);
        self.ends.push(self.lines.len());
    }
    /// Writes the lines; how many deliveries are written, also after an error.
    pub(super) fn write(&self, to: &mut impl Write) -> (usize, io::Result<()>) {
        write(&self.lines, &self.ends, to)
    }
}

fn write(lines: &[u8], ends: &[usize], to: &mut impl Write) -> (usize, io::Result<()>) {
    let (mut written, mut from) = (0, 0);
    while written < ends.len() {
        let fitting = ends[written..]
            .iter()
            .take_while(|end| **end <= from + WRITE)
            .count()
            .max(1);
        let until = ends[written + fitting - 1];
        if let Err(error) = to.write_all(&lines[from..until]) {
            return (written, Err(error));
        }
        written += fitting;
        from = until;
    }
    (written, to.flush())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Writes(Vec<Vec<u8>>, usize);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.len() == self.1 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whole_lines_in_few_writes() {
        let (mut lines, mut ends) = (Vec::new(), Vec::new());
        for length in [1_000, 3_000, 94, 1, 9_000, 10, 10] {
            lines.extend(std::iter::repeat_n(b'x', length));
            lines.push(b'\n');
            ends.push(lines.len());
        }
        let mut to = Writes(Vec::new(), 100);
        let (written, result) = write(&lines, &ends, &mut to);
        assert!(written == 7 && result.is_ok());
        assert!(to.0.iter().all(|w| w.ends_with(b"\n")));
        assert_eq!(
            to.0.iter().map(Vec::len).collect::<Vec<_>>(),
            [4_002, 97, 9_001, 22]
        );
        assert_eq!(to.0.concat(), lines);

        let (written, result) = write(&lines, &ends, &mut Writes(Vec::new(), 1));
        assert!(
            written == 2 && result.is_err(),
            "what was written before the end of the reader"
        );
    }
}
