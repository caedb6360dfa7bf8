//! Kafka: CreateAcls and DeleteAcls, version 1 of both.

use super::kafka::{NO_SENSE, exchange, frame, text};
use super::wire::Wire;
use crate::native::{KafkaOperation, KafkaResource};

const CREATE: i16 = 30;
const DELETE: i16 = 31;
const VERSION: i16 = 1;
const ALLOW: i8 = 3;

/// Allows a user something, from any host.
pub(crate) fn kafka_allow(
    address: &str,
    user: &str,
    operation: KafkaOperation,
    on: KafkaResource<'_>,
) -> Result<(), String> {
    tell(address, CREATE, user, operation, on)
}

/// Takes it back.
pub(crate) fn kafka_take_back(
    address: &str,
    user: &str,
    operation: KafkaOperation,
    on: KafkaResource<'_>,
) -> Result<(), String> {
    tell(address, DELETE, user, operation, on)
}

/// One entry to make, or a filter that fits one entry: they are written alike.
fn tell(
    address: &str,
    key: i16,
    user: &str,
    operation: KafkaOperation,
    on: KafkaResource<'_>,
) -> Result<(), String> {
    let (kind, name, pattern) = on.wire();
    let mut body = 1_i32.to_be_bytes().to_vec();
    body.extend(kind.to_be_bytes());
    text(&mut body, name);
    body.extend(pattern.to_be_bytes());
    text(&mut body, &format!("User:{user}"));
    text(&mut body, "*");
    body.extend(operation.wire().to_be_bytes());
    body.extend(ALLOW.to_be_bytes());
    let answer = exchange(address, &frame(key, VERSION, &body))?;
    match code(&mut Wire(&answer)).ok_or(NO_SENSE)? {
        0 => Ok(()),
        code => Err(format!("error {code}")),
    }
}

/// What became of the one entry.
fn code(answer: &mut Wire<'_>) -> Option<i16> {
    answer.int()?; // correlation id
    answer.int()?; // throttled for
    match answer.int()? {
        1 => answer.short(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_code_is_found() {
        let answer = |count: u8, code: u8| [0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, count, 0, code];
        assert_eq!(code(&mut Wire(&answer(1, 31))), Some(31));
        assert_eq!(code(&mut Wire(&answer(0, 0))), None);
    }
}
