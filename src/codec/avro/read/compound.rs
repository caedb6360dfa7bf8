//! Arrays, maps and records.

use super::{
    super::{
        plan::Id,
        resolve::{Reading, Step},
        wire::Input,
        wrong::{Result, Wrong, wrong},
    },
    At, pass, scalars,
};
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, value::StrDeserializer};

/// The items of an array, or the entries of a map, in blocks.
#[derive(Debug)]
pub(super) struct Items<'a, 'i> {
    reading: &'a Reading,
    node: Id,
    input: &'a mut Input<'i>,
    deep: usize,
    /// How many bytes one has at least.
    least: u64,
    /// What was there before the item that is being read, where items may have no bytes.
    before: Option<usize>,
    /// What is left of the block; `None`: no block is begun.
    left: Option<u64>,
}

impl<'a, 'i> Items<'a, 'i> {
    pub(super) fn new(
        reading: &'a Reading,
        node: Id,
        input: &'a mut Input<'i>,
        deep: usize,
        least: u64,
    ) -> Self {
        Self {
            reading,
            node,
            input,
            deep,
            least,
            before: None,
            left: None,
        }
    }
    /// Whether there is another.
    fn next(&mut self) -> Result<bool> {
        if self.before == Some(self.input.0.len()) {
            self.input.empty(1)?;
        }
        let more = match &mut self.left {
            Some(left @ 1..) => {
                *left -= 1;
                true
            }
            _ => self.block()?,
        };
        self.before = (more && self.least == 0).then_some(self.input.0.len());
        Ok(more)
    }
    /// Begins the next block, if there is one, with its first item.
    fn block(&mut self) -> Result<bool> {
        let count = self.input.block()?;
        if count == 0 {
            return Ok(false);
        }
        let there = self.input.0.len() as u64;
        if count.checked_mul(self.least).is_none_or(|bytes| bytes > there) {
            return Err(wrong(format!(
                "{count} items are announced, and {there} bytes are there"
            )));
        }
        self.left = Some(count - 1);
        Ok(true)
    }
    fn at(&mut self) -> At<'_, 'i> {
        At {
            reading: self.reading,
            node: self.node,
            input: self.input,
            deep: self.deep,
        }
    }
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Wrong;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        match self.next()? {
            true => seed.deserialize(self.at()).map(Some),
            false => Ok(None),
        }
    }
    /// What the block has left: the input bounds it. Of items without bytes nothing is foretold.
    fn size_hint(&self) -> Option<usize> {
        let left = self.left.filter(|_| self.least > 0)?;
        usize::try_from(left).ok()
    }
}

impl<'de> MapAccess<'de> for Items<'_, '_> {
    type Error = Wrong;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.next()? {
            return Ok(None);
        }
        let key = scalars::utf8(self.input.bytes()?)?;
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        seed.deserialize(self.at())
    }
}

/// The fields of a record.
pub(super) struct Fields<'a, 'i> {
    reading: &'a Reading,
    steps: std::slice::Iter<'a, Step>,
    input: &'a mut Input<'i>,
    deep: usize,
    /// What the value is that was announced.
    value: Option<&'a Step>,
}

impl<'a, 'i> Fields<'a, 'i> {
    pub(super) fn new(
        reading: &'a Reading,
        steps: &'a [Step],
        input: &'a mut Input<'i>,
        deep: usize,
    ) -> Self {
        Self {
            reading,
            steps: steps.iter(),
            input,
            deep,
            value: None,
        }
    }
    fn at(&mut self, node: Id) -> At<'_, 'i> {
        At {
            reading: self.reading,
            node,
            input: self.input,
            deep: self.deep,
        }
    }
    /// Passes over what nobody asked for.
    pub(super) fn skip(&mut self) -> Result<()> {
        while let Some(step) = self.value.take().or_else(|| self.steps.next()) {
            if let Step::Read(_, id) | Step::Skip(id) = step {
                pass(self.at(*id))?;
            }
        }
        Ok(())
    }
}

impl<'de> MapAccess<'de> for &mut Fields<'_, '_> {
    type Error = Wrong;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        for step in self.steps.by_ref() {
            let (Step::Read(name, _) | Step::Preset(name, ..)) = step else {
                let Step::Skip(id) = step else { continue };
                let at = At {
                    reading: self.reading,
                    node: *id,
                    input: self.input,
                    deep: self.deep,
                };
                pass(at)?;
                continue;
            };
            self.value = Some(step);
            return seed.deserialize(StrDeserializer::new(name)).map(Some);
        }
        Ok(None)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        match self.value.take() {
            Some(Step::Read(name, id)) => seed.deserialize(self.at(*id)).map_err(|e| e.inside(&**name)),
            Some(Step::Preset(name, id, bytes)) => {
                let mut input = Input::new(bytes);
                let at = At {
                    reading: self.reading,
                    node: *id,
                    input: &mut input,
                    deep: self.deep,
                };
                seed.deserialize(at).map_err(|e| e.inside(&**name))
            }
            _ => Err(wrong("a value is wanted before its field")),
        }
    }
}
