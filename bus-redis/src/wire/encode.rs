//! Commands in RESP, written straight into the buffer that goes onto the socket.

/// Starts a command of `arguments` words, its name included.
pub(crate) fn array(out: &mut Vec<u8>, arguments: usize) {
    out.push(b'*');
    decimal(out, arguments as u64);
    out.extend_from_slice(b"\r\n");
}

/// One word.
pub(crate) fn bulk(out: &mut Vec<u8>, word: &[u8]) {
    out.push(b'$');
    decimal(out, word.len() as u64);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

/// One word that is a number.
pub(crate) fn number(out: &mut Vec<u8>, value: i64) {
    let mut digits = Vec::with_capacity(20);
    if value < 0 {
        digits.push(b'-');
    }
    decimal(&mut digits, value.unsigned_abs());
    bulk(out, &digits);
}

/// A whole command.
pub(crate) fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    array(out, words.len());
    for word in words {
        bulk(out, word);
    }
}

fn decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_bulk_strings() {
        let mut out = Vec::new();
        command(&mut out, &[b"SET", b"k", b""]);
        array(&mut out, 1);
        number(&mut out, -120);
        assert_eq!(
            out,
            b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n*1\r\n$4\r\n-120\r\n"
        );
    }
}
