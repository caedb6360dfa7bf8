//! Compaction: of each key only the newest record stays.

use crate::{
    log::{Log, Segment},
    topic::{Partition, Topic},
};
use bus_core::{Batch, BatchBuilder, Record};
use std::{collections::HashSet, sync::Arc};

impl Topic {
    /// Compacts every partition. `floors`: what every group has settled.
    pub(crate) fn compact_all(
        &self,
        partitions: &[Arc<Partition>],
        floors: Option<&[u128]>,
        gone: &mut Vec<Segment>,
    ) {
        for (index, partition) in partitions.iter().enumerate() {
            let settled = floors.map(|floors| floors[index]);
            gone.extend(partition.log.lock().compact(settled));
        }
    }
}

impl Log {
    /// Keeps the newest record of each key, and a tombstone until every group and reader is past it: who saw the value
    /// must see that it is gone. Positions stay, with holes. The old batches come back to be freed without the lock.
    fn compact(&mut self, settled: Option<u128>) -> Vec<Segment> {
        if !self.changed_since_compaction() {
            return Vec::new();
        }
        self.seal();
        let passed = settled.into_iter().chain(self.slowest_reader()).min();
        let passed = passed.unwrap_or(self.end());
        let mut keys = HashSet::new();
        let mut kept: Vec<Record> = Vec::new();
        for segment in self.segments.iter().rev() {
            for index in (0..segment.batch.records().len() as u32).rev() {
                let record = Record::new(segment.batch.clone(), index);
                let newest = keys.insert(record.key_bytes());
                let over = record.payload().is_none() && record.position() < passed;
                if newest && !over {
                    kept.push(record);
                }
            }
        }
        let mut segments = Vec::new();
        let mut builder = BatchBuilder::default();
        for record in kept.iter().rev() {
            if builder.bytes() + record.entry().size() > Batch::ARENA {
                segments.push(std::mem::take(&mut builder));
            }
            builder.push(
                record.position(),
                record.timestamp(),
                record.key(),
                record.payload(),
                record.headers().iter(),
            );
        }
        segments.push(builder);
        self.replace(segments)
    }
}
