//! Avro's binary encoding of numbers and lengths.

use super::wrong::{Result, wrong};

/// A whole number: zigzag, seven bits to a byte, the lowest first.
pub(super) fn whole(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

/// A length or a count. No vector is longer than this.
pub(super) fn length(out: &mut Vec<u8>, length: usize) {
    whole(out, i64::try_from(length).unwrap_or(i64::MAX));
}

/// Bytes with their length.
pub(super) fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Signs are in the lowest bit.
fn unfolded(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// So many values that take no bytes a payload may have: nothing else bounds them.
const MOST_EMPTY: usize = 65_536;

/// What is left to read.
#[derive(Debug)]
pub(super) struct Input<'de>(pub(super) &'de [u8], usize);

impl<'de> Input<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self(bytes, 0)
    }
    /// So many values were read that took no bytes.
    pub(super) fn empty(&mut self, count: usize) -> Result<()> {
        self.1 = self.1.saturating_add(count);
        match self.1 {
            ..=MOST_EMPTY => Ok(()),
            _ => Err(wrong(format!("more than {MOST_EMPTY} values have no bytes"))),
        }
    }
    #[inline]
    pub(super) fn whole(&mut self) -> Result<i64> {
        match self.0.split_first() {
            // Most are lengths and small numbers.
            Some((byte @ 0..0x80, rest)) => {
                self.0 = rest;
                Ok(unfolded(u64::from(*byte)))
            }
            _ => self.longer(),
        }
    }
    fn longer(&mut self) -> Result<i64> {
        let (mut number, mut shift, mut left) = (0_u64, 0, self.0);
        while let Some((byte, rest)) = left.split_first() {
            // The tenth byte has room for one bit.
            if shift == 63 && *byte > 1 {
                return Err(wrong("a number has more than 64 bits"));
            }
            number |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                self.0 = rest;
                return Ok(unfolded(number));
            }
            (shift, left) = (shift + 7, rest);
        }
        Err(wrong("it ends inside of a number"))
    }
    pub(super) fn take(&mut self, count: usize) -> Result<&'de [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| {
            let there = self.0.len();
            wrong(format!("{count} bytes are announced, and {there} are there"))
        })?;
        self.0 = rest;
        Ok(taken)
    }
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self
            .0
            .split_first_chunk()
            .ok_or_else(|| wrong("it ends inside of a value"))?;
        self.0 = rest;
        Ok(*taken)
    }
    /// Bytes with their length in front.
    pub(super) fn bytes(&mut self) -> Result<&'de [u8]> {
        let count = self.whole()?;
        let count = usize::try_from(count).map_err(|_| wrong(format!("a length is {count}")))?;
        self.take(count)
    }
    /// How many items the next block of an array or a map has; 0 ends it.
    pub(super) fn block(&mut self) -> Result<u64> {
        let count = self.whole()?;
        if count < 0 {
            // Then its size in bytes follows, for those who want to leave it out.
            self.whole()?;
        }
        Ok(count.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_specification() {
        let known: [(i64, &[u8]); 8] = [
            (0, &[0]),
            (-1, &[1]),
            (1, &[2]),
            (-64, &[0x7f]),
            (64, &[0x80, 1]),
            (8192, &[0x80, 0x80, 1]),
            (i64::MAX, &[0xfe, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
            (i64::MIN, &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        ];
        for (number, written) in known {
            let mut out = Vec::new();
            whole(&mut out, number);
            assert_eq!(out, written, "{number}");
            assert_eq!(Input::new(written).whole().unwrap(), number);
        }
        for broken in [
            &[0x80][..],
            &[0xff; 10],
            &[255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
        ] {
            Input::new(broken).whole().unwrap_err();
        }
    }
}
