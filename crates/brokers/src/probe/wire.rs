//! Kafka's wire format, as far as an old Metadata answer has it. `None`: the bytes end too early.

pub(super) struct Wire<'a>(pub(super) &'a [u8]);

impl Wire<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    pub(super) fn short(&mut self) -> Option<i16> {
        self.take().map(i16::from_be_bytes)
    }

    pub(super) fn int(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    /// Skips a text, which may be absent.
    pub(super) fn text(&mut self) -> Option<()> {
        let length = usize::try_from(self.short()?).unwrap_or(0);
        self.0 = self.0.get(length..)?;
        Some(())
    }

    pub(super) fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.int()?;
        (0..count).map(|_| item(self)).collect()
    }
}
