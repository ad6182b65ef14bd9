//! Rising numbers, written down as what lies in a row: a chunk's neighbours mostly share its fate.

use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Most numbers that one list may have: chunks of 256 GiB.
const MOST: u64 = 1 << 17;

/// So many numbers in a row, from the first on.
type Run = (u64, u64);

pub(crate) fn serialize<S: Serializer>(numbers: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
    runs(numbers).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    numbers(Vec::deserialize(deserializer)?)
}

fn runs(numbers: &[u64]) -> Vec<Run> {
    let rows = numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    rows.filter_map(|row| Some((*row.first()?, row.len() as u64))).collect()
}

fn numbers<E: de::Error>(runs: Vec<Run>) -> Result<Vec<u64>, E> {
    let mut numbers = Vec::new();
    for (first, count) in runs {
        let end = first.checked_add(count).filter(|_| count <= MOST - numbers.len() as u64);
        numbers.extend(first..end.ok_or_else(|| E::custom("more chunks than any machine has"))?);
    }
    Ok(numbers)
}

/// A list for each key.
pub(crate) mod of_each {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Run, numbers, runs};

    pub(crate) fn serialize<S: Serializer>(
        lists: &BTreeMap<u8, Vec<u64>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(lists.iter().map(|(key, list)| (key, runs(list))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<u8, Vec<u64>>, D::Error> {
        let lists = BTreeMap::<u8, Vec<Run>>::deserialize(deserializer)?;
        lists.into_iter().map(|(key, list)| Ok((key, numbers(list)?))).collect()
    }
}
