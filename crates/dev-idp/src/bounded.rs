use std::collections::{HashMap, VecDeque};

/// A map that forgets its oldest entry for one more than it may hold.
pub(crate) struct Bounded<V> {
    entries: HashMap<String, V>,
    // Names of removed entries stay here until their turn comes.
    order: VecDeque<String>,
    capacity: usize,
}

impl<V> Bounded<V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            capacity,
        }
    }

    /// Adds an entry under a name that it never had before.
    pub(crate) fn insert(&mut self, name: String, value: V) {
        if self.order.len() >= self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
        self.order.push_back(name.clone());
        self.entries.insert(name, value);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&V> {
        self.entries.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut V> {
        self.entries.get_mut(name)
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<V> {
        self.entries.remove(name)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_for_one_too_many() {
        let mut map = Bounded::new(2);
        for (name, value) in [("a", 1), ("b", 2), ("c", 3)] {
            map.insert(name.to_owned(), value);
        }
        assert_eq!(
            (map.get("a"), map.get("b"), map.get("c")),
            (None, Some(&2), Some(&3))
        );
    }
}
