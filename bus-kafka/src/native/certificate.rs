//! Why a broker's certificate is not accepted. librdkafka's own error says only that it is not; a callback hears the reason,
//! and may add a sentence to a log line, which comes back as an event.

use super::Conf;
use rdkafka::bindings::*;
use std::ffi::{CStr, c_char, c_int, c_void};

/// The facility of that log line.
pub(crate) const FACILITY: &str = "SSLCERTVRFY";

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    Expired,
    NotYetValid,
    UnknownIssuer,
    OtherHost,
    Revoked,
    Other,
}

impl Flaw {
    const ALL: [Self; 6] = [
        Self::Expired,
        Self::NotYetValid,
        Self::UnknownIssuer,
        Self::OtherHost,
        Self::Revoked,
        Self::Other,
    ];

    /// By OpenSSL's number (`X509_V_ERR_…`).
    fn of(number: c_int) -> Self {
        match number {
            10 => Self::Expired,
            9 => Self::NotYetValid,
            // No issuer, a wrong signature, or one that signed itself, as the first or the last of the chain.
            2 | 7 | 18..=21 => Self::UnknownIssuer,
            62..=64 => Self::OtherHost,
            23 => Self::Revoked,
            _ => Self::Other,
        }
    }
    fn word(self) -> &'static CStr {
        match self {
            Self::Expired => c"expired",
            Self::NotYetValid => c"not yet valid",
            Self::UnknownIssuer => c"unknown issuer",
            Self::OtherHost => c"other host",
            Self::Revoked => c"revoked",
            Self::Other => c"not accepted",
        }
    }
    /// Out of the log line.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let word = line.rsplit_once("callback failed: ")?.1.trim();
        Self::ALL
            .into_iter()
            .find(|flaw| flaw.word().to_str() == Ok(word))
    }
}

impl Conf {
    /// Has certificates explained that are not accepted. Which are accepted stays OpenSSL's judgement; but librdkafka judges
    /// them whenever it has somebody to tell, so not where the judging is switched off.
    pub(crate) fn explain_certificates(&mut self) {
        // SAFETY: the configuration is ours; the callback needs nothing but its arguments. A build without TLS refuses it.
        unsafe { rd_kafka_conf_set_ssl_cert_verify_cb(self.ptr(), Some(judged)) };
    }
}

/// On a thread of librdkafka's. 0: not accepted.
unsafe extern "C" fn judged(
    _: *mut rd_kafka_t,
    _: *const c_char,
    _: i32,
    number: *mut c_int,
    _: c_int,
    _: *const c_char,
    _: usize,
    sentence: *mut c_char,
    size: usize,
    _: *mut c_void,
) -> c_int {
    // SAFETY: librdkafka gives a number to read, and room for a sentence of `size` bytes.
    unsafe {
        if *number == 0 {
            return 1;
        }
        let word = Flaw::of(*number).word().to_bytes_with_nul();
        if word.len() <= size {
            sentence.copy_from_nonoverlapping(word.as_ptr().cast(), word.len());
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(mut number: c_int, size: usize) -> (c_int, String) {
        let mut room = [0 as c_char; 64];
        let null = std::ptr::null_mut();
        // SAFETY: the number and the room live as long as the call, which touches nothing else.
        let accepted = unsafe {
            judged(
                null,
                null.cast(),
                1,
                &mut number,
                0,
                null.cast(),
                0,
                room.as_mut_ptr(),
                size,
                null.cast(),
            )
        };
        // SAFETY: ends with NUL, because only a part of it can be written.
        let text = unsafe { super::super::text(room.as_ptr()) };
        (accepted, text)
    }

    #[test]
    fn openssls_judgement_stands_and_is_explained() {
        assert_eq!(told(0, 64), (1, String::new()));
        for (number, flaw) in [
            (10, Flaw::Expired),
            (20, Flaw::UnknownIssuer),
            (62, Flaw::OtherHost),
            (1, Flaw::Other),
        ] {
            let (accepted, word) = told(number, 64);
            assert_eq!(accepted, 0);
            let line =
                format!("Certificate (subject=/CN=x, issuer=/CN=y) verification callback failed: {word}");
            assert_eq!(Flaw::read(&line), Some(flaw));
        }
        assert_eq!(told(10, 3), (0, String::new()));
        assert_eq!(Flaw::read("something else"), None);
    }
}
