//! Where payloads are written.

use bus_core::Bytes;
use std::cell::Cell;

/// Payloads over this size leave with the buffer that they were written into: copying them costs more than an allocation, and
/// a thread should not hold on to so much.
const LARGE: usize = 16 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What `write` appends to an empty buffer, as a payload of one allocation of just its size: a buffer that grows step by step,
/// and room at its end, would each cost another one.
pub(crate) fn written<E>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Bytes, E> {
    // Taken, because what is written may write by a codec itself.
    let mut buffer = SCRATCH.take();
    buffer.clear();
    write(&mut buffer)?;
    if buffer.len() > LARGE {
        return Ok(buffer.into());
    }
    let payload = Bytes::copy_from_slice(&buffer);
    SCRATCH.set(buffer);
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> usize {
        let buffer = SCRATCH.take();
        let kept = buffer.capacity();
        SCRATCH.set(buffer);
        kept
    }

    #[test]
    fn payloads_are_what_was_written_within_others_too() {
        let outer = written(|outer| {
            outer.extend(b"<");
            let inner = written(|inner| {
                inner.extend(b"inner");
                Ok::<_, ()>(())
            })?;
            outer.extend(&inner);
            outer.extend(b">");
            Ok::<_, ()>(())
        });
        assert_eq!(outer.unwrap(), "<inner>");
        assert_eq!(written(|_| Ok::<_, ()>(())).unwrap(), "");
    }

    #[test]
    fn what_failed_is_not_in_the_next_and_large_ones_are_not_kept() {
        let failed = written(|buffer| {
            buffer.extend(b"half");
            Err("no")
        });
        assert_eq!(failed, Err("no"));
        let large = written(|buffer| {
            buffer.resize(LARGE + 1, 7);
            Ok::<_, ()>(())
        });
        assert_eq!((large.unwrap().len(), kept()), (LARGE + 1, 0));
        let small = written(|buffer| {
            buffer.push(1);
            Ok::<_, ()>(())
        });
        assert_eq!(small.unwrap(), &[1u8][..]);
        assert!((1..=LARGE).contains(&kept()));
    }
}
